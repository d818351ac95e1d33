"""Rival models that agree at every training label because one assumption is missing.

Each function builds a model and a rival for a violation of a given size, states as premises why they have the same law
at every training label, and measures two conclusions: identifiability (2.3) and extrapolation inside the span (2.4).
At size 0 the rival is the model itself. The model has W = I, labels 0 and the unit vectors, and f the identity, unless
said otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sympy import Expr, Integer, Matrix, Rational, Symbol, cos, diff, exp, pi, sin, sqrt, symbols

from theory.assumptions import ADDITIVE, DIVERSE, EQUIVALENT, GAUSSIAN, INJECTIVE, ISOTROPIC, NOISELESS, RECOVERABLE
from theory.engine.formulas import rotation
from theory.engine.proof import Assumption, Formula
from theory.engine.record import Counterexample, Model, compare

HALF = Rational(1, 2)


@dataclass(frozen=True)
class Rival:
    """A rival of one size.

    Attributes:
        premises: what is equal in both because the rival is admissible and agrees at every training label.
        identified: where h(z) = Q z + c, Q orthogonal, W̃ L = Q W L is violated.
        extrapolated: what differs at a test label inside the span; nothing, if the law does not.
    """

    premises: tuple[tuple[str, Formula, Formula], ...]
    identified: tuple[str, Formula, Formula]
    extrapolated: tuple[str, Formula, Formula]


def stretched(size: Rational) -> Rival:
    """Not isotropic: W̃ = R, Σ̃ = R Rᵀ, f̃ = R⁻¹ with R = diag(1 + size, 1). In the span it predicts the same."""
    R, test, label = Matrix([[1 + size, 0], [0, 1]]), Matrix([1, 1]), Matrix(symbols("l1:3", real=True))
    return Rival(
        premises=(
            ("mean of x at label l", R.inv() * (R * label), label),
            ("covariance of x", R.inv() * (R * R.T) * R.inv().T, Matrix.eye(2)),
        ),
        identified=("Gram matrix of the effects", R.T * R, Matrix.eye(2)),
        extrapolated=("mean of x at the test label", R.inv() * R * test, test),
    )


def wavy(size: Rational) -> Rival:
    """Not Gaussian: h(z) = (z + a sin 2πz) / σ commutes with shifts by whole doses and not by half a dose.

    d_Z = K = 1 with labels 0 and 1; f̃ = h⁻¹, W̃ = 1/σ, and the rival's base law is that of h(z_base), with mean 0 (as
    h is odd) and variance 1. At dose 1/2 the two models are different increasing maps of z_base, hence different laws.
    All residuals are multiplied by σ.
    """
    t, a = Symbol("t", real=True), size / (4 * pi)
    variance, h = _wavy_variance(a), t + a * sin(2 * pi * t)
    return Rival(
        premises=(
            ("h(z) a whole dose further", h.subs(t, t + 1), h + 1),
            ("second moment of h at the base latents", _second_moment(a), variance),
        ),
        identified=("h″ at 1/4", diff(h, t, 2).subs(t, Rational(1, 4)), Integer(0)),
        extrapolated=(
            "h(z) half a dose further, from z = 1/4",
            h.subs(t, Rational(3, 4)),
            h.subs(t, Rational(1, 4)) + HALF,
        ),
    )


def turned(size: Rational) -> Rival:
    """Not diverse, rank(W L) = d_Z - 2: turn two coordinates by an angle that depends on the third.

    d_Z = 3, K = 1, W = e_1, labels 0 and 1, f̃ = h⁻¹. Every Gaussian with mean on the first axis is preserved, so the
    rival also predicts dose 3 correctly.
    """
    z1, z2, z3 = z = symbols("z1:4", real=True)
    h = Matrix([z1, *(rotation(size * z1) * Matrix([z2, z3]))])
    jacobian = h.jacobian(z)
    return Rival(
        premises=(
            ("volume", jacobian.det(), Integer(1)),
            ("exponent of the density at dose 0", _exponent(h, 0), _exponent(z, 0)),
            ("exponent of the density at dose 1", _exponent(h, 1), _exponent(z, 1)),
        ),
        identified=("Jacobian of h at z₁ = π and at 0", *(jacobian.subs({z1: at, z2: 0, z3: 0}) for at in (pi, 0))),
        extrapolated=(
            "exponent of the density at dose 3",
            *(_exponent(point, 3).subs({z1: 1, z2: 2, z3: 5}) for point in (h, Matrix(z))),
        ),
    )


def folded(size: Integer) -> Rival:
    """Not injective: f(z) = cos 2πz does not see whole doses, so W = 1 and W̃ = 1 - size agree for a whole size.

    d_Z = K = 1 with labels 0 and 1. At dose 1/2 the means of x are exp(-2π²) cos πW, hence differ.
    """
    t, W, W_rival = Symbol("t", real=True), Integer(1), 1 - size
    return Rival(
        premises=tuple(
            (f"x at dose {dose}", *(cos(2 * pi * (t + effect * dose)) for effect in (W, W_rival))) for dose in (0, 1)
        ),
        identified=("squared effect size", W_rival**2, W**2),
        extrapolated=("mean of x at dose 1/2", *(exp(-2 * pi**2) * cos(pi * effect) for effect in (W_rival, W))),
    )


def noisy(size: Rational) -> Rival:
    """Noise of no known law: with a fair coin ε, f(z, ε) = z or size - z with W = size, against z + size ε with W̃ = 0.

    d_Z = K = 1 with labels 0 and 1, where both have the law (N(0, 1) + N(size, 1)) / 2; either f is a diffeomorphism
    for each ε. The laws are compared through their moment generating functions.
    """
    t = Symbol("t", real=True)

    def law(dose: Rational) -> Expr:
        return (_generating(t, size * dose) + _generating(t, size - size * dose)) / 2

    law_rival = (_generating(t, Integer(0)) + _generating(t, size)) / 2
    return Rival(
        premises=tuple(
            (f"moment generating function of x at dose {dose}", law(Integer(dose)), law_rival) for dose in (0, 1)
        ),
        identified=("squared effect size", size**2, Integer(0)),
        extrapolated=("𝔼 exp(x) at dose 1/2", law(HALF).subs(t, 1), law_rival.subs(t, 1)),
    )


def leaky(size: Rational) -> Rival:
    """Noise that is free in the rival: x = z with W = 1, against x = cos θ z₁ + sin θ z₂ with z₂ noise, W̃ = (1/cos
    θ, 0).

    cos θ = (1 + size)^(-1/2). The rival has the law N(l, 1) of x at every label l, and a larger effect.
    """
    t, dose = symbols("t l", real=True)
    cosine = 1 / sqrt(1 + size)
    return Rival(
        premises=(
            ("mean of x at dose l", cosine * (dose / cosine), dose),
            ("cumulant function of x less its mean", (cosine**2 + (1 - cosine**2)) * t**2 / 2, t**2 / 2),
        ),
        identified=("squared effect size", 1 / cosine**2, Integer(1)),
        extrapolated=("mean of x at dose 2", cosine * (2 / cosine), Integer(2)),
    )


def curved(size: Rational) -> Rival:
    """Not additive: the dose enters as (1 + size) l - size l², which is l at the training doses 0 and 1.

    d_Z = K = 1, W = 1 and W̃ = 1 + size; the test dose is 2.
    """
    dose = Symbol("l", real=True)
    mean = (1 + size) * dose - size * dose**2
    return Rival(
        premises=(
            *((f"mean at dose {trained}", mean.subs(dose, trained), Integer(trained)) for trained in (0, 1)),
            ("mean at any dose, less what vanishes at both", mean - size * dose * (1 - dose), dose),
        ),
        identified=("squared effect size", (1 + size) ** 2, Integer(1)),
        extrapolated=("mean at dose 2", mean.subs(dose, 2), Integer(2)),
    )


def different(size: Rational) -> Rival:
    """Not equivalent: W̃ = (1 + size) W, a model that is told apart by its training laws; test dose 2."""
    t = Symbol("t", real=True)
    return Rival(
        premises=(
            ("moment generating function at the reference", _generating(t, 0 * (1 + size)), _generating(t, Integer(0))),
        ),
        identified=("squared effect size", (1 + size) ** 2, Integer(1)),
        extrapolated=("mean at dose 2", 2 * (1 + size), Integer(2)),
    )


KNOWN: dict[Assumption, tuple[str, Callable[[Rational], Rival]]] = {
    ADDITIVE: ("a dose response that is linear at the training doses only hides another W", curved),
    GAUSSIAN: ("h may wave with the period of the doses", wavy),
    ISOTROPIC: ("h may stretch the latent space, with f and Σ", stretched),
    NOISELESS: ("a coin flip hides the shift", noisy),
    RECOVERABLE: ("a coin flip hides the shift", noisy),
    INJECTIVE: ("f may have the period of the doses, and W is not seen", folded),
    DIVERSE: ("h may turn two unseen coordinates by a varying angle", turned),
    EQUIVALENT: ("a model with other training laws has another W", different),
}
"""For each assumption the rival that it excludes, in words and as a model."""


def counterexamples(refutes: str, *assumptions: Assumption, shape: str = "") -> tuple[Counterexample, ...]:
    """The rivals that these assumptions exclude, as counterexamples to identifiability.

    What `Rival.identified` measures refutes 2.2 as well as 2.3: either h is not affine, or f̃ = f, hence h(z) = z, and
    W̃ L is not W L, or there is no H at all because W̃ L = 0 and W L is not. But for the wavy rival, whose W̃ is
    compared in `rescaled`, the Gram matrices differ too.

    Args:
        refutes: the conclusion on W̃ that they refute.
        assumptions: those that are dropped.
        shape: the conclusion on h that those refute whose h is not affine.
    """
    return tuple(
        Counterexample(
            dropped,
            KNOWN[dropped][0],
            identified(KNOWN[dropped][1]),
            shape if shape and dropped in (GAUSSIAN, DIVERSE) else refutes,
        )
        for dropped in assumptions
    )


def identified(rival: Callable[[Rational], Rival]) -> Callable[[Rational], Model]:
    """A family of rivals as models whose gap is the violation of identifiability."""

    def build(size: Rational) -> Model:
        model = rival(size)
        return compare(model.identified, *model.premises)

    build.__doc__ = rival.__doc__
    return build


def extrapolated(rival: Callable[[Rational], Rival]) -> Callable[[Rational], Model]:
    """A family of rivals as models whose gap is the violation of equal laws at a test label."""

    def build(size: Rational) -> Model:
        model = rival(size)
        return compare(model.extrapolated, *model.premises)

    build.__doc__ = rival.__doc__
    return build


def rescaled(size: Rational) -> Model:
    """The rival whose h(z) = (z + a sin 2πz) / σ waves: W = 1 and W̃ = 1/σ, so the Gram matrices differ by σ² - 1."""
    return compare(("squared effect size times σ²", _wavy_variance(size / (4 * pi)), Integer(1)), *wavy(size).premises)


def _wavy_variance(a: Expr) -> Expr:
    """The variance of t + a sin 2πt under N(0, 1)."""
    return 1 + 4 * pi * a * exp(-2 * pi**2) + a**2 * (1 - exp(-8 * pi**2)) / 2


def _second_moment(a: Expr) -> Expr:
    """E (t + a sin 2πt)² under N(0, 1), from E cos bt = exp(-b²/2) and its derivative -E t sin bt."""
    b = Symbol("b", real=True)
    cosine = exp(-(b**2) / 2)
    square = 1 - 2 * a * diff(cosine, b) + a**2 * (1 - cosine.subs(b, 2 * b)) / 2
    return square.subs(b, 2 * pi)


def _exponent(point: Matrix | tuple, dose: int) -> Expr:
    """Twice the negative log density of N(dose e_1, I), up to its constant."""
    return (point[0] - dose) ** 2 + point[1] ** 2 + point[2] ** 2


def _generating(t: Symbol, mean: Expr) -> Expr:
    return exp(mean * t + t**2 / 2)


def one_quadratic(size: Rational) -> Model:
    """Variances that shrink with the perturbation: all log density ratios are multiples of one quadratic s(z).

    d_Z = K = 2, labels 0, e_1, e_2; at label e_j the latent has precision P_j = diag(1 + j·size, 1) and mean
    P_j⁻¹ j (1, 1), so that log p_j / p_0 = j s(z) + const with s(z) = -size z_1² / 2 + z_1 + z_2. The two means are
    independent (first premise), so W = [m_1 m_2] is diverse. Yet (z_1, s) are coordinates of the plane, and with F_s
    the distribution function of z_1 given s, the diffeomorphism h: (z_1, s) → (F_s⁻¹(1 - F_s(z_1)), s) preserves the
    control and s, hence every law; it fits with f̃ = f ∘ h⁻¹ and W̃ = W. An affine h that reverses z_1 would be a
    reflection t → 2 a - t on the line s = 0, where -log density q has its only stationary point at t = 0, so a = 0
    and q would be even. The gap is q(1) - q(-1).
    """
    point = z1, z2 = symbols("z1 z2", real=True)
    b = Matrix([1, 1])
    s = -size * z1**2 / 2 + z1 + z2

    def precision(j: int) -> Matrix:
        return Matrix([[1 + j * size, 0], [0, 1]])

    def exponent(j: int) -> Expr:
        deviation = Matrix(point) - precision(j).inv() * b * j
        return (deviation.T * precision(j) * deviation)[0] / 2

    means = Matrix.hstack(*(precision(j).inv() * b * j for j in (1, 2)))
    ratios = [exponent(0) - exponent(j) - j * s for j in (1, 2)]
    on_the_line = exponent(0).subs(z2, -(s - z2))
    same = tuple(
        (f"log density ratio {j}, up to a constant", exponent(0) - exponent(j), j * s + ratio.subs({z1: 0, z2: 0}))
        for j, ratio in zip((1, 2), ratios, strict=True)
    )
    return compare(
        ("−log density on the line s = 0 at 1 and −1", *(on_the_line.subs(z1, Integer(at)) for at in (1, -1))),
        ("determinant of the two mean shifts", means.det(), 2 * size / ((1 + size) * (1 + 2 * size))),
        *same,
    )
