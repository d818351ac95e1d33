"""Claim 3.8: what logits (Ŵ Δ_e)ᵀ g(x) + b_e at their best say of g and Ŵ: all but a rotation, once the base is white.

The logits are the log ratios (3.7), and those are affine in the latent (2.1), so (Ŵ L)ᵀ g and (W L)ᵀ f⁻¹ differ by a
constant. Hence g = H f⁻¹ + k with H invertible and Ŵ L = H⁻ᵀ W L. The classifier alone leaves H free: g and Ŵ turn
against each other, and Ŵ Δ_e is then not the shift of g(x), which is H W Δ_e. Base latents of covariance I make H
orthogonal, and the two agree.

What was tried against the need for a white base: intercepts b_e fixed at -½ ‖Ŵ l_e‖², as a model with base N(0, I) has
them. They give one equation per environment, against d_Z² + d_Z unknowns in H and k, so a stretched g passes
(`_stretched`). The class frequencies do not matter, as the free intercepts absorb them.
"""

from dataclasses import replace

import numpy as np
from sympy import Identity, Integer, MatrixSymbol, Rational, Symbol

from theory.assumptions import ADDITIVE, DIVERSE, GAUSSIAN, INJECTIVE, ISOTROPIC, NOISELESS, OURS
from theory.engine.expectation import Base, E, Random
from theory.engine.instances import EPS, World, log_ratios, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability import density_ratio, rivals
from theory.identifiability.affine import POINTS, H, b, c, image_lemma, image_of, increments, linear_part, r, z
from theory.symbols import L, M, W, W_rival, d, l_e, right_inverse
from theory.training import classifier
from theory.training.classifier import COMMON_SUPPORT, OPTIMAL

NORMAL = replace(GAUSSIAN, implies=(COMMON_SUPPORT.name,))
IMAGE = image_of("g")
g, eta, zeta, k = IMAGE.at, Random("eta", d, 1), Base("zeta", d, 1), MatrixSymbol("k", d, 1)
IMAGE_AT = image_lemma(IMAGE)

WHITE = Assumption(
    "white",
    "the base latents η = g(xₑ) − H W lₑ − k of the learned encoder have covariance I",
    states=((E(eta * eta.T), Identity(d)),),
)
kappa, rho = (MatrixSymbol(name, M, 1) for name in ("kappa", "rho"))

_diverse = Equation(DIVERSE, W * L * right_inverse, Identity(d))

RATIOS = Lemma(
    "ratios",
    "the best logits (W̃ L)ᵀ g(z) + b are the log density ratios r with the shares of the environments ρ, and r is"
    " affine in z",
    "claims 3.7 and 2.1; an injective f without noise carries density ratios from z to x",
    (classifier.CLAIM, density_ratio.CLAIM, ISOTROPIC, NOISELESS, INJECTIVE),
    ((L.T * W_rival.T * g, r + rho - b), (L.T * W.T * z, r - kappa)),
    (g, z),
)
LOGITS = Step(
    "equal_logits",
    "(W̃ L)ᵀ g(z) = (W L)ᵀ z + c, where g(z) is short for g(f(z))",
    L.T * W_rival.T * g,
    L.T * W.T * z + c,
    (
        RATIOS.equation(0),
        RATIOS.equation(1),
        Equation(DEFINITION, c, rho - b + kappa),
    ),
    generic=(g, z),
)


def _linear() -> tuple[Step | Lemma, ...]:
    sides = L.T * W_rival.T, L.T * W.T
    difference = increments(LOGITS, IMAGE, *sides, "(W̃ L)ᵀ (g(z₁) − g(z₀)) = (W L)ᵀ (z₁ − z₀)")
    stacked, inverse, affine, slope = linear_part(
        LOGITS,
        IMAGE,
        sides,
        right_inverse.T,
        (_diverse,),
        (
            "N = (W L)⁺ᵀ (W̃ L)ᵀ and H = Y E⁻¹ satisfy N H = I, Y the increments of g over E",
            "H N g(z) = H z + k, and H N = I: g is affine in the latent with the invertible slope H",
            "(W̃ L)ᵀ H = (W L)ᵀ, i.e. W̃ L = H⁻ᵀ W L: g and W̃ turn against each other",
        ),
    )
    return difference, POINTS, stacked, inverse, affine, IMAGE_AT, slope, *_white(slope)


def _white(slope: Step) -> tuple[Step, ...]:
    base = Step(
        "learned_base",
        "the learned base latent is η = H ζ, ζ = z − W lₑ that of the model",
        eta,
        H * zeta,
        (
            Equation(DEFINITION, eta, g - H * W * l_e - k),
            IMAGE_AT.equation(),
            Equation(ADDITIVE, z, zeta + W * l_e),
        ),
    )
    spread = Step(
        "learned_covariance",
        "𝔼 η ηᵀ = H Hᵀ",
        E(eta * eta.T),
        H * H.T,
        (base.equation(), Equation(ISOTROPIC, E(zeta * zeta.T), Identity(d))),
    )
    orthogonal = Step(
        "orthogonal",
        "H Hᵀ = I, the covariance of the learned base latents",
        H * H.T,
        Identity(d),
        (spread.reversed(), Equation(WHITE, E(eta * eta.T), Identity(d))),
    )
    one_way = Step("one_way", "H Hᵀ W̃ L = H W L", H * H.T * W_rival * L, H * W * L, (slope.equation(),))
    shifts = Step(
        "shifts",
        "W̃ L = H W L: the learned shifts are those of the learned latents, turned",
        H * W * L,
        W_rival * L,
        (one_way.reversed(), orthogonal.equation()),
    )
    return base, spread, orthogonal, one_way, shifts


def measure(world: World, H: np.ndarray, W_learned: np.ndarray) -> tuple[Measurement, ...]:
    """Solve the logits for g without the proof, at the latents of a world, and compare with H z and with Ŵ L = H⁻ᵀ W L.

    The logits are scipy's log density ratios less an intercept per environment, that of the first point. Rounding:
    c·eps·cond(Ŵ L)·size of the ratios, c = 8 n operations.
    """
    ratios = log_ratios(world.z_base, world.labels @ world.W.T, np.eye(len(world.W)))
    logits, B = ratios - ratios[:, :1], (W_learned @ world.shifts).T
    increments = np.linalg.lstsq(B, logits, rcond=None)[0]
    expected = H @ (world.z_base - world.z_base[0]).T
    size = (1 + np.abs(ratios).max()) * (1 + np.linalg.norm(np.linalg.pinv(B), 2)) * (1 + np.abs(H).max())
    bound = 8 * len(world.z_base) * EPS * np.linalg.cond(B) * size
    return (
        Measurement("encoder", float(np.abs(increments - expected).max()), float(bound)),
        Measurement("logits", float(np.abs(B @ increments - logits).max()), float(bound)),
    )


def learned(world: World, fault: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Some invertible H (d_Z, d_Z) of condition 2 and the Ŵ (d_Z, K) that goes with it, or goes astray with a fault."""
    H = world.Q * np.linspace(1, 2, len(world.Q))
    return H, np.linalg.solve(H.T, world.W) + 1e-2 * fault * np.outer(world.u, np.cos(np.arange(world.W.shape[1])))


def _stretched(size: Rational) -> Model:
    """d_Z = 1, W = 1, labels 0 and 1: g = h z + k with h = 1 + size, Ŵ = 1/h passes with intercept -½ Ŵ² as well."""
    t, h = Symbol("z", real=True), 1 + size
    encoded = h * t + (1 / h - h) / 2
    return compare(
        ("H Hᵀ", h**2, Integer(1)), ("logit, intercept included", encoded / h - 1 / (2 * h**2), t - Rational(1, 2))
    )


CLAIM = Claim(
    name="classifier_form",
    number="3.8",
    statement="best logits (W̃ Δₑ)ᵀ g(x) + bₑ have g = H f⁻¹ + k, W̃ L = H⁻ᵀ W L, and H orthogonal if white",
    latex=r"g = Hf^{-1} + k,\quad \hat W L = H^{-\top} W L,\quad \mathrm{Cov}(g(x_e)) = I \Rightarrow HH^\top = I",
    assumptions=(OPTIMAL, ADDITIVE, NORMAL, ISOTROPIC, NOISELESS, INJECTIVE, DIVERSE, WHITE),
    source=f"{OURS}; that such logits identify g up to a linear map is Roeder et al. (2021), arXiv:2007.00810,"
    " after TCL and iVAE",
    proof=(RATIOS, LOGITS, *_linear()),
    conclusions=("image", "slope", "orthogonal", "shifts"),
    says=(
        (g, "=", H * z + k),
        (L.T * W_rival.T * H, "=", L.T * W.T),
        (H * H.T, "=", Identity(d)),
        (H * W * L, "=", W_rival * L),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds() for m in measure(world, *learned(world, fault))),
    counterexamples=(
        Counterexample(OPTIMAL, "logits of another model", rivals.identified(rivals.different), "shifts"),
        *rivals.counterexamples("slope", ADDITIVE),
        Counterexample(NORMAL, "a base law exp(−t²/2 − t⁴/4) makes g a cubic", density_ratio.quartic_base, "image"),
        *rivals.counterexamples("slope", ISOTROPIC, NOISELESS, INJECTIVE, DIVERSE, shape="image"),
        Counterexample(
            WHITE, "g stretched and W̃ shrunk have the same logits, intercepts included", _stretched, "orthogonal"
        ),
    ),
    uses=(classifier.CLAIM, density_ratio.CLAIM),
    remark="The classifier leaves g and W̃ free to turn against each other, even with the intercepts that a Gaussian "
    "base has; base latents of covariance I make the two agree.",
)
