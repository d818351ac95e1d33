"""Claim 2.18: what remains when perturbations change the spread of latents beside their place.

z = e^{S(l − l₀)} z_base + W l, with S(Δ) symmetric and linear in Δ: diagonal where each latent is scaled by itself, and
0 in the additive model. A rotation of the latents turns S with them, and the matrix logarithm commutes with that, so
scales extrapolate as shifts do, by the same α. What is lost is the shortcut: log density ratios are quadratic in z, so
2.1 fails, with it the product formula of 2.7 (tilting, the test of additivity) wherever two parts of a combination
change one latent, and 2.4 without diversity.

Survive, on the strength of this claim: 2.3 and 2.5 (from labels that shift alone), 2.4 with diversity and an isotropic
base, 2.6 and 2.10 (they speak of means), 2.11 and 2.12 (they speak of f(z)). Fail: 2.1, 2.2 and 2.8 from labels that
scale, 2.4 without diversity, 2.7, 2.9 (support is that of Gaussians of unequal variance), 2.14.

Tried against it: labels that all scale (a counterexample below: h may reverse the level lines of one quadratic); a base
that is not isotropic (another: scales of a correlated base hide in its correlation).
"""

import numpy as np
from scipy.linalg import expm, logm
from sympy import Expr, Identity, Integer, MatrixSymbol, Rational, Symbol, diff, exp, expand, symbols

from theory.assumptions import EQUIVALENT, GAUSSIAN, IN_SPAN, INJECTIVE, ISOTROPIC, NOTATION, OURS, RECOVERABLE
from theory.engine.instances import EPS, World, log_densities, symmetric_columns, worlds
from theory.engine.proof import Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability import orthogonal, rivals
from theory.identifiability.affine import largest, rise, run
from theory.identifiability.converse import moved_column
from theory.identifiability.orthogonal import rise_other, run_other
from theory.identifiability.rivals import curved, different, extrapolated, folded, noisy, wavy
from theory.symbols import Delta_t, K, L, P, W, W_rival, alpha, d, l_0, l_t, z

d_squared = Symbol("d_Z^2", integer=True, positive=True)
V, V_rival = MatrixSymbol("V", d_squared, K), MatrixSymbol("Vtilde", d_squared, K)
turn = MatrixSymbol("T", d_squared, d_squared)
Q, P_rival = MatrixSymbol("Q", d, d), MatrixSymbol("Ptilde", d, d)
m, m_rival, k, h = (MatrixSymbol(name, d, 1) for name in ("m_t", "mtilde_t", "k", "h(z)"))
a, b = symbols("a b", real=True)
point = Symbol("z", real=True)

SCALED = Assumption(
    "scaled",
    "z = exp(S(l − l₀)) z_base + W l with S(Δ) symmetric and linear in Δ, vec S(Δ) = V Δ; where it is 0 the label"
    " shifts alone",
    implies=("additive",),
)
ANCHORED = Assumption(
    "anchored",
    "the training shifts that only shift, S(Δₑ) = 0, have effects that span the latent space",
    implies=("diverse",),
)

SHAPE = Step(
    "isometry",
    "h keeps distances and angles: h(z) = Q z + k with Q orthogonal, from the labels that shift alone",
    rise.T * rise_other,
    run.T * run_other,
    (Equation(orthogonal.CLAIM, rise.T * rise_other, run.T * run_other),),
)
CARRIED = Lemma(
    "carried",
    "h(z) = Q z + k, and at every training label h carries the law of z to that of z̃: W̃ L = Q W L, W̃ l₀ = Q W l₀ + k"
    " and, with T vec S = vec(Q S Qᵀ), Ṽ L = T V L",
    "2.3 over the labels that shift alone gives h; means and covariances of an affine image; exp(2S̃) = Q exp(2S) Qᵀ"
    " and a positive matrix has one symmetric logarithm",
    (orthogonal.CLAIM, SCALED, ANCHORED, EQUIVALENT, ISOTROPIC),
    (
        (W_rival * L, Q * W * L),
        (V_rival * L, turn * V * L),
        (W_rival * l_0, Q * W * l_0 + k),
        (h, Q * z + k),
        (Q.T * Q, Identity(d)),
    ),
)
SHIFTS = Step(
    "shifts",
    "W̃ Δₜ = Q W Δₜ",
    W_rival * Delta_t,
    Q * W * Delta_t,
    (Equation(IN_SPAN, Delta_t, L * alpha), CARRIED.equation(0)),
)
SPREADS = Step(
    "spreads",
    "Ṽ Δₜ = T V Δₜ, which is S̃(Δₜ) = Q S(Δₜ) Qᵀ: log scales extrapolate by the same α as shifts",
    V_rival * Delta_t,
    turn * V * Delta_t,
    (Equation(IN_SPAN, Delta_t, L * alpha), CARRIED.equation(1)),
)
MEANS = Step(
    "means",
    "W̃ lₜ = Q W lₜ + k",
    W_rival * l_t,
    Q * W * l_t + k,
    (Equation(NOTATION, l_t, l_0 + Delta_t), SHIFTS.equation(), CARRIED.equation(2)),
)
PRECISIONS = Lemma(
    "precisions",
    "the precisions P = exp(−2S(Δₜ)) and P̃ of z and z̃ at lₜ have P̃ = Q P Qᵀ; their means are W lₜ and W̃ lₜ",
    "the exponential of a matrix turns with it; z_base has mean 0 and covariance I",
    ("spreads", SCALED, ISOTROPIC),
    ((P_rival, Q * P * Q.T), (m, W * l_t), (m_rival, W_rival * l_t)),
)
SAME_DENSITY = Step(
    "same_density",
    "the laws of z̃ and of h(z) at lₜ have one exponent, and one determinant as det Q = ±1: x has one law at lₜ",
    (h - m_rival).T * P_rival * (h - m_rival),
    (z - m).T * P * (z - m),
    (
        PRECISIONS.equation(0),
        PRECISIONS.equation(1),
        PRECISIONS.equation(2),
        CARRIED.equation(3),
        MEANS.equation(),
        CARRIED.equation(4),
    ),
)


def _log_density(scale: Expr) -> Expr:
    """log N(z; 0, e^{2 scale}) up to 2π."""
    return -(point**2) * exp(-2 * scale) / 2 - scale


EXCESS = Step(
    "excess",
    "where A scales a latent by eᵃ and B by eᵇ, log p_AB − log p_A − log p_B + log p₀ has the curvature"
    " −(1 − exp(−2a))(1 − exp(−2b)), zero only if one of them leaves it: the product formula fails by that",
    diff(_log_density(a + b) - _log_density(a) - _log_density(b) + _log_density(Integer(0)), point, 2),
    -(1 - exp(-2 * a)) * (1 - exp(-2 * b)),
)


def measure(world: World, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """Scales and densities at the test label by a rotated rival, which has nothing but covariances to go by.

    Its log scales are half the logarithms of rotated covariances, combined by the α of least squares. Rounding:
    c·eps·cond(L)·cond(covariance)·(squared size of the latents), c = 32 (d_Z + K) M.

    Args:
        world: Labels, W and a rotation.
        tilt: Relative error of the combination.
    """
    columns = 0.1 * symmetric_columns(world) / np.abs(world.labels).max()
    shift, means = world.inside - world.labels[0], world.W @ world.inside
    own = np.tensordot(shift, columns, 1)
    training = np.tensordot(world.shifts.T, columns, 1)
    rival = np.array([logm(world.Q @ expm(2 * S) @ world.Q.T).real / 2 for S in training])
    coefficients = (1 + tilt) * np.linalg.lstsq(world.shifts, shift, rcond=None)[0]
    predicted = np.tensordot(coefficients, rival, 1)
    latents = means + world.z_base @ expm(own)
    densities = log_densities(latents, means[None], expm(2 * own))
    rivals_ = log_densities(latents @ world.Q.T, (world.Q @ means)[None], expm(2 * predicted))
    condition = np.linalg.cond(world.shifts) * max(np.linalg.cond(expm(2 * S)) for S in (own, *training))
    size = (1 + largest(densities) + np.abs(coefficients).sum()) * (1 + np.square(latents).max())
    bound = float(32 * sum(world.W.shape) * len(coefficients) * EPS * condition * size)
    return (
        Measurement("spreads", largest(predicted - world.Q @ own @ world.Q.T), bound),
        Measurement("same_density", largest(densities - rivals_), bound),
    )


def correlated(size: Rational) -> Model:
    """A base that is not isotropic: S = diag(s, −s) with Σ = I against S̃ = diag(s̃, −s̃) with correlation ρ, ρ² = size/2.

    Covariances at label 1 against the reference have one spectrum in both models if cosh 2s̃ = (1 − ρ²) cosh 2s + ρ²,
    here with cosh 2s = 2; then an H carries the one pair of covariances to the other. At label 2 spectra differ.
    """
    square, t = size / 2, Symbol("t", real=True)
    cosine = 2 - square

    def trace(double: Expr, correlation: Expr) -> Expr:
        """Trace of e^S Σ e^S Σ⁻¹ with cosh of twice the log scale."""
        return expand((2 * double - 2 * correlation) / (1 - correlation))

    return compare(
        (
            "trace of the relative covariance at label 2",
            trace(2 * cosine**2 - 1, square),
            trace(Integer(7), Integer(0)),
        ),
        (
            "characteristic polynomial of the relative covariance at label 1",
            t**2 - trace(cosine, square) * t + 1,
            t**2 - trace(Integer(2), Integer(0)) * t + 1,
        ),
    )


CLAIM = Claim(
    name="changing_spread",
    number="2.18",
    statement="with log scales linear in the label beside shifts, labels in the span have one law in all equivalent"
    " models, if the base is isotropic and labels that shift alone are diverse; the product formula fails",
    latex=r"z = e^{S(l - l_0)} z_{\mathrm{base}} + W l,\ \Delta_t = L\alpha \ \Rightarrow\ "
    r"\tilde S(\Delta_t) = Q\,S(\Delta_t)\,Q^\top,\ \tilde P(x \mid l_t) = P(x \mid l_t)",
    assumptions=(SCALED, GAUSSIAN, ISOTROPIC, RECOVERABLE, INJECTIVE, ANCHORED, EQUIVALENT, IN_SPAN),
    source=OURS,
    proof=(SHAPE, CARRIED, SHIFTS, SPREADS, MEANS, PRECISIONS, SAME_DENSITY, EXCESS),
    conclusions=("isometry", "shifts", "spreads", "same_density", "excess"),
    says=(
        (rise.T * rise_other, "=", run.T * run_other),
        (W_rival * Delta_t, "=", Q * W * Delta_t),
        (V_rival * Delta_t, "=", turn * V * Delta_t),
        ((h - m_rival).T * P_rival * (h - m_rival), "=", (z - m).T * P * (z - m)),
        (EXCESS.left, "=", EXCESS.right),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds() for m in measure(world, 1e-3 * fault)),
    counterexamples=(
        Counterexample(
            SCALED, "a dose response that is linear at the training doses only", extrapolated(curved), "same_density"
        ),
        Counterexample(GAUSSIAN, "h may wave with the period of the doses", extrapolated(wavy), "same_density"),
        Counterexample(ISOTROPIC, "scales of a correlated base hide in its correlation", correlated, "spreads"),
        Counterexample(RECOVERABLE, "a coin flip hides the shift at whole doses", extrapolated(noisy), "same_density"),
        Counterexample(INJECTIVE, "f may have the period of the doses", extrapolated(folded), "same_density"),
        Counterexample(
            ANCHORED,
            "labels that all scale can put all density ratios on one quadratic, whose level lines h may reverse",
            rivals.one_quadratic,
            "isometry",
        ),
        Counterexample(
            EQUIVALENT, "a model with other training laws has another test law", extrapolated(different), "same_density"
        ),
        Counterexample(IN_SPAN, "the second model of 2.6", moved_column, "shifts"),
    ),
    uses=(orthogonal.CLAIM,),
    remark="Costs diversity, an isotropic base and labels that shift alone; tilting, the additivity test and support by"
    " distance do not survive.",
)
