"""Claim 2.2a, the Jacobian lemma: log-determinants cancel from density ratios, and the Jacobian of h is constant.

This is the road of the paper to 2.2, for diffeomorphisms and at every latent instead of almost every one. The
observed dimension may exceed the latent one: only the volume factor of f changes, and it cancels.

The derivative enters as a lemma, the chain rule; for d_Z = 1, 2, 3 it is computed for an undetermined h.
"""

import numpy as np
from sympy import Derivative, Expr, Function, Identity, Matrix, MatrixSymbol, Rational, Symbol, cos, pi, sin, symbols

from theory.assumptions import ADDITIVE, DIVERSE, EQUIVALENT, GAUSSIAN, NOISELESS, PAPER, SHARED_COVARIANCE
from theory.engine.instances import EPS, World, log_densities, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability import affine, density_ratio, rivals
from theory.identifiability.affine import equal_ratios, slopes, slopes_rival
from theory.symbols import L, M, P, Sigma, W, d, right_inverse

DIFFEOMORPHISM = Assumption(
    "diffeomorphism", "f and f̃ are diffeomorphisms onto one and the same image, so h = f̃⁻¹ ∘ f is one of ℝ^d"
)

J, J_1, J_0, T = (MatrixSymbol(name, d, d) for name in ("J", "J(z_{1})", "J(z_{0})", "J(z_{0}) N J(z_{1})"))
ratio_x, log_x_e, log_x_0, log_z_e, log_z_0, volume = (
    MatrixSymbol(name, 1, 1)
    for name in (
        r"\log \frac{p_{e}}{p_{0}} (x)",
        r"\log p_{e}(x)",
        r"\log p_{0}(x)",
        r"\log p_{e}(z)",
        r"\log p_{0}(z)",
        r"\log \operatorname{vol} J_{f}(z)",
    )
)
derivative = MatrixSymbol(r"\mathrm{d}r/\mathrm{d}z", M, d)
h, c = affine.h, affine.c
N = Sigma * right_inverse.T * slopes_rival

CHANGE = Lemma(
    "change_of_variables",
    "log pₑ(x) = log pₑ(z) − log vol J_f(z) at x = f(z), vol J = √(det Jᵀ J), with the same f in all environments",
    "area formula; densities of x are taken on the image of f",
    (NOISELESS, DIFFEOMORPHISM),
    ((log_x_e, log_z_e - volume), (log_x_0, log_z_0 - volume)),
)
RATIOS = Lemma(
    "ratios",
    "the log density ratios r of x are (P W L)ᵀ z + b in the model and (P̃ W̃ L)ᵀ h(z) + b̃ in the rival, at every z",
    "claim 2.1 in either model, stacked over the training labels; by `determinants_cancel` the ratios of x are those of"
    " the latents, and equivalent models have one law of x",
    ("determinants_cancel", density_ratio.CLAIM, EQUIVALENT),
    ((slopes_rival * h, affine.r - affine.b_rival), (slopes * affine.z, affine.r - affine.b)),
    (h, affine.z),
)
CHAIN = Lemma(
    "chain_rule",
    "the derivative of A h(z) + b is A J(z), with J the Jacobian of h, and that of A z + b is A",
    "linearity of the derivative; computed for an undetermined h in the steps `chain_d`",
    (DIFFEOMORPHISM, "chain_d1", "chain_d2", "chain_d3", "equal_ratios"),
    ((slopes_rival * J, derivative), (slopes, derivative)),
    (J,),
)
BOTH_SIDES = Lemma(
    "both_sides",
    "J(z) N = I",
    "for square matrices N J = I implies J N = I, rank-nullity",
    "regular",
    ((J * N, Identity(d)),),
    (J,),
)


def _determinants() -> tuple[Step | Lemma, ...]:
    cancel = Step(
        "determinants_cancel",
        "log pₑ(x) − log p₀(x) = log pₑ(z) − log p₀(z): the volume factor of f cancels",
        ratio_x,
        log_z_e - log_z_0,
        (
            Equation(DEFINITION, ratio_x, log_x_e - log_x_0),
            Equation(CHANGE, log_x_e, log_z_e - volume),
            Equation(CHANGE, log_x_0, log_z_0 - volume),
        ),
    )
    equal = equal_ratios(
        slopes_rival,
        slopes,
        RATIOS,
        "(P̃ W̃ L)ᵀ h(z) = (P W L)ᵀ z + c at every z: the ratios r of x by claim 2.1 in either model",
    )
    return CHANGE, cancel, RATIOS, equal


def chain_step(size: int) -> Step:
    """The chain rule for d_Z = size and one row a of the slopes, with h undetermined."""
    point, row = Matrix(symbols(f"z1:{size + 1}")), Matrix([symbols(f"a1:{size + 1}")])
    image = Matrix([Function(f"h{i + 1}")(*point) for i in range(size)])
    return Step(
        f"chain_d{size}",
        f"the derivative of aᵀ h(z) is aᵀ J(z) for d_Z = {size}",
        Matrix([[Derivative((row * image)[0], z) for z in point]]),
        row * image.jacobian(point),
    )


def _constancy() -> tuple[Step | Lemma, ...]:
    gradients = Step(
        "gradients",
        "(P̃ W̃ L)ᵀ J(z) = (P W L)ᵀ: both are the derivative of the log ratios",
        slopes_rival * J,
        slopes,
        (CHAIN.equation(0), CHAIN.equation(1)),
        generic=(J,),
    )
    regular = Step(
        "regular",
        "N = Σ (W L)⁺ᵀ (P̃ W̃ L)ᵀ satisfies N J(z) = I: the Jacobian is invertible at every z",
        N * J,
        Identity(d),
        (
            gradients.equation(),
            Equation(DIVERSE, W * L * right_inverse, Identity(d)),
            Equation(SHARED_COVARIANCE, Sigma * P, Identity(d)),
        ),
        generic=(J,),
    )
    define = Equation(DEFINITION, T, J_0 * N * J_1)
    right = Step("from_the_right", "J(z₀) (N J(z₁)) = J(z₀)", T, J_0, (define, regular.equation({J: J_1})))
    left = Step(
        "from_the_left",
        "(J(z₀) N) J(z₁) = J(z₁)",
        T,
        J_1,
        (define, BOTH_SIDES.equation(0, {J: J_0})),
    )
    constant = Step(
        "constant", "J(z₁) = J(z₀) for any two points: h is affine", J_1, J_0, (left.reversed(), right.equation())
    )
    return gradients, regular, right, BOTH_SIDES, left, constant


def _proof() -> tuple[Step | Lemma, ...]:
    return *_determinants(), *(chain_step(size) for size in (1, 2, 3)), CHAIN, *_constancy()


def measure(world: World, W_rival: np.ndarray, H: np.ndarray) -> tuple[Measurement, ...]:
    """Compare the densities of x, volume factors included, in the model and in the rival f̃(H z + k) = f(z).

    `densities`: log p_e(x) in both; `ratios`: those of x, taken in the rival, against those of z, taken in the model.
    Rounding: c·eps·cond(Σ̃)·(squared size of the latents in the metric of Σ̃), c = 32 d_Z².
    """
    point = world.z_base
    image = point @ H.T + W_rival @ world.labels[0] - H @ world.W @ world.labels[0]
    means, covariance = world.labels @ W_rival.T, H @ world.Sigma @ H.T
    own = log_densities(point, world.labels @ world.W.T, world.Sigma)
    rival = log_densities(image, means, covariance)
    x, x_rival = own - _log_volumes(world, point, np.eye(len(H))), rival - _log_volumes(world, point, np.linalg.inv(H))
    size = (affine.largest(image) + affine.largest(means)) ** 2 * np.linalg.norm(np.linalg.inv(covariance), 2)
    bound = float(32 * len(H) ** 2 * EPS * np.linalg.cond(covariance) * (1 + size))
    return (
        Measurement("densities", affine.largest(x - x_rival), bound),
        Measurement("ratios", affine.largest(x_rival[1:] - x_rival[0] - own[1:] + own[0]), bound),
    )


def _log_volumes(world: World, points: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """log |det| of the Jacobian of z̃ → f(inner z̃ + const) where it passes through f(z), for rows z of `points`."""
    jacobians = np.cosh(points @ world.R.T)[:, :, None] * (world.R @ inner)
    return np.linalg.slogdet(jacobians)[1]


def _of(world: World, H: np.ndarray, fault: float) -> tuple[Measurement, ...]:
    return measure(world, affine.rival_matrix(world, H) * (1 + 1e-3 * fault), H)


def _winding(size: Rational) -> Model:
    """f(z) = (cos 2πz, sin 2πz) winds the line around a circle: smooth, with an invertible Jacobian, not injective.

    d_Z = K = 1 with labels 0 and 1. W = 1 and W̃ = 1 - size agree for whole sizes, although h(z) = z has Jacobian 1.
    """
    t, W, W_rival = Symbol("t", real=True), Rational(1), 1 - size

    def circle(angle: Expr) -> Matrix:
        return Matrix([cos(2 * pi * angle), sin(2 * pi * angle)])

    same = ((f"x at dose {dose}", circle(t + W * dose), circle(t + W_rival * dose)) for dose in (0, 1))
    return compare(("the effect of one dose, where the Jacobian of h is 1", W_rival, W), *same)


CLAIM = Claim(
    name="jacobian",
    number="2.2a",
    statement="density ratios of x are those of z; for equivalent models (P̃ W̃ L)ᵀ Jₕ(z) = (P W L)ᵀ, Jₕ constant",
    latex=r"\frac{p_e(x)}{p_0(x)} = \frac{p_e(z)}{p_0(z)},\quad"
    r" (\tilde\Sigma^{-1}\tilde W L)^\top J_h(z) = (\Sigma^{-1} W L)^\top,\quad J_h(z) = J_h(z')",
    assumptions=(ADDITIVE, GAUSSIAN, SHARED_COVARIANCE, NOISELESS, DIFFEOMORPHISM, DIVERSE, EQUIVALENT),
    source=f"{PAPER}, v1",
    proof=_proof(),
    conclusions=("gradients", "constant"),
    says=((slopes_rival * J, "=", slopes), (J_1, "=", J_0)),
    check=lambda fault=0.0: tuple(m for world in worlds() for m in _of(world, affine.linear_map(world), fault)),
    counterexamples=(
        *rivals.counterexamples("gradients", ADDITIVE, GAUSSIAN, shape="constant"),
        Counterexample(
            SHARED_COVARIANCE,
            "h may reverse the level lines of one quadratic, see 2.2",
            rivals.one_quadratic,
            "constant",
        ),
        *rivals.counterexamples("gradients", NOISELESS),
        Counterexample(DIFFEOMORPHISM, "a line wound around a circle hides whole turns", _winding, "gradients"),
        *rivals.counterexamples("gradients", DIVERSE, EQUIVALENT, shape="constant"),
    ),
    uses=(density_ratio.CLAIM,),
    remark="Diversity is what the inverse of the slopes needs and is not minimal: with continuous mixings d_Z − 1"
    " shifts suffice (2.8). Both mixings must have one image; the observed dimension may exceed the latent one.",
)
