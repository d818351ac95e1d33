"""Rival models that agree at every training label because one assumption is missing.

Each function builds a model and a rival for a violation of a given size, states as premises why they have the same law
at every training label, and measures two conclusions: identifiability (2.3) and extrapolation inside the span (2.4).
At size 0 the rival is the model itself. The model has W = I, labels 0 and the unit vectors, and f the identity, unless
said otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sympy import Expr, Integer, Matrix, Rational, Symbol, cos, diff, exp, pi, sin, symbols

from theory.assumptions import ADDITIVE, DIVERSE, EQUIVALENT, GAUSSIAN, INJECTIVE, ISOTROPIC, NOISELESS, RECOVERABLE
from theory.engine.formulas import rotation
from theory.engine.proof import Assumption, Formula
from theory.engine.record import Counterexample, Model

HALF = Rational(1, 2)


@dataclass(frozen=True)
class Rival:
    """A rival of one size.

    Attributes:
        premises: residuals that vanish because the rival is admissible and agrees at every training label.
        identified: the violation of h(z) = Q z + c, Q orthogonal, W̃ L = Q W L; zero if there is none.
        extrapolated: the violation of equal laws at a test label inside the span; zero if there is none.
    """

    premises: tuple[Formula, ...]
    identified: Formula
    extrapolated: Formula


def stretched(size: Rational) -> Rival:
    """Not isotropic: W̃ = R, Σ̃ = R Rᵀ, f̃ = R⁻¹ with R = diag(1 + size, 1). In the span it predicts the same."""
    R, test = Matrix([[1 + size, 0], [0, 1]]), Matrix([1, 1])
    return Rival(
        premises=(R.inv() * R - Matrix.eye(2), R.inv() * (R * R.T) * R.inv().T - Matrix.eye(2)),
        identified=R * R.T - Matrix.eye(2),
        extrapolated=R.inv() * R * test - test,
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
        premises=(h.subs(t, t + 1) - h - 1, _second_moment(a) - variance),
        identified=diff(h, t, 2).subs(t, Rational(1, 4)),
        extrapolated=(h.subs(t, t + HALF) - h - HALF).subs(t, Rational(1, 4)),
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
        premises=(jacobian.det() - 1, _exponent(h, 0) - _exponent(z, 0), _exponent(h, 1) - _exponent(z, 1)),
        identified=jacobian.subs({z1: pi, z2: 0, z3: 0}) - jacobian.subs({z1: 0, z2: 0, z3: 0}),
        extrapolated=(_exponent(h, 3) - _exponent(z, 3)).subs({z1: 1, z2: 2, z3: 5}),
    )


def folded(size: Integer) -> Rival:
    """Not injective: f(z) = cos 2πz does not see whole doses, so W = 1 and W̃ = 1 - size agree for a whole size.

    d_Z = K = 1 with labels 0 and 1. At dose 1/2 the means of x are exp(-2π²) cos πW, hence differ.
    """
    t, W, W_rival = Symbol("t", real=True), Integer(1), 1 - size
    return Rival(
        premises=tuple(cos(2 * pi * (t + W * dose)) - cos(2 * pi * (t + W_rival * dose)) for dose in (0, 1)),
        identified=W_rival**2 - W**2,
        extrapolated=exp(-2 * pi**2) * (cos(pi * W_rival) - cos(pi * W)),
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
        premises=(law(Integer(0)) - law_rival, law(Integer(1)) - law_rival),
        identified=size**2,
        extrapolated=(law(HALF) - law_rival).subs(t, 1),
    )


def curved(size: Rational) -> Rival:
    """Not additive: the dose enters as (1 + size) l - size l², which is l at the training doses 0 and 1.

    d_Z = K = 1, W = 1 and W̃ = 1 + size; the test dose is 2.
    """
    dose = Symbol("l", real=True)
    mean = (1 + size) * dose - size * dose**2
    return Rival(
        premises=tuple((mean - dose).subs(dose, trained) for trained in (0, 1)),
        identified=(1 + size) ** 2 - 1,
        extrapolated=(mean - dose).subs(dose, 2),
    )


def different(size: Rational) -> Rival:
    """Not equivalent: W̃ = (1 + size) W, a model that is told apart by its training laws; test dose 2."""
    return Rival(premises=(), identified=(1 + size) ** 2 - 1, extrapolated=2 * (1 + size) - 2)


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


def counterexamples(*assumptions: Assumption) -> tuple[Counterexample, ...]:
    """The rivals that these assumptions exclude, as counterexamples to identifiability.

    What `Rival.identified` measures refutes 2.2 as well as 2.3: either h is not affine, or f̃ = f, hence h(z) = z, and
    W̃ L is not W L, or there is no H at all because W̃ L = 0 and W L is not. But for the wavy rival, whose W̃ is
    compared in `rescaled`, the Gram matrices differ too.
    """
    return tuple(Counterexample(dropped, KNOWN[dropped][0], identified(KNOWN[dropped][1])) for dropped in assumptions)


def identified(rival: Callable[[Rational], Rival]) -> Callable[[Rational], Model]:
    """A family of rivals as models whose gap is the violation of identifiability."""

    def build(size: Rational) -> Model:
        model = rival(size)
        return Model(model.premises, model.identified)

    return build


def extrapolated(rival: Callable[[Rational], Rival]) -> Callable[[Rational], Model]:
    """A family of rivals as models whose gap is the violation of equal laws at a test label."""

    def build(size: Rational) -> Model:
        model = rival(size)
        return Model(model.premises, model.extrapolated)

    return build


def rescaled(size: Rational) -> Model:
    """The rival whose h(z) = (z + a sin 2πz) / σ waves: W = 1 and W̃ = 1/σ, so the Gram matrices differ by σ² - 1."""
    return Model(premises=wavy(size).premises, gap=_wavy_variance(size / (4 * pi)) - 1)


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
