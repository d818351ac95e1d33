"""Claim 2.7e: the product formula at all shifts makes the base Gaussian.

Written for the log density φ the formula says that second differences φ(z − a − b) − φ(z − a) − φ(z − b) + φ(z) are
constants c(a, b). They add up in each shift, so they are bilinear, c(a, b) = aᵀ C b; what is left of φ without ½ zᵀ C z
has no second differences and is affine. Nothing is asked of φ but that it is measurable, as a density is.

Tried against it: shifts by whole doses only, where every factor with the period of the doses passes (`_waves`); laws
that are cut off, where the formula holds wherever it can be read (`_cut`); perturbations that replace mechanisms
instead of shifting them (2.7c); the Gumbel law, whose shifts are an exponential family with a parameter that is not
linear in the shift: second differences are not constant.

References:
    Ferguson (1962), Location and scale parameters in exponential families of distributions, Ann. Math. Statist. 33;
    Banach (1920) and Sierpiński (1920), Fund. Math. 1, on measurable additive functions.
"""

from collections.abc import Callable

import numpy as np
from sympy import Expr, Integer, MatrixSymbol, Rational, Symbol, cos, pi, symbols
from sympy.matrices.expressions import MatrixExpr

from theory.assumptions import OURS
from theory.engine.formulas import normal_cdf, quartic_log_density
from theory.engine.instances import EPS, World, log_densities, worlds
from theory.engine.proof import Assumption, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.symbols import P, d, z

PRODUCT = Assumption("product", "the product formula of 2.7 holds for doubles, p_AB p₀ = c p_A p_B with c free of z")
EVERY_SHIFT = Assumption("every_shift", "the effects a of A and b of B may be any vectors")
ONE_BASE = Assumption("one_base", "z is z_base plus the effect, z_base of one law in all environments")
POSITIVE = Assumption("positive", "that law has a density which is positive everywhere")

half = Rational(1, 2)
rise_0, rise_1, rise_2 = symbols(r"\Delta\phi_0 \Delta\phi_1 \Delta\phi_2", real=True)
c_ab, c_rest, c_sum = (Symbol(name, real=True) for name in ("c(a,b)", "c(a,b')", "c(a,b+b')"))
a, b, k, m = (MatrixSymbol(name, d, 1) for name in ("a", "b", "k", "m"))
C, log_p, level = MatrixSymbol("C", d, d), MatrixSymbol(r"\log p", 1, 1), MatrixSymbol("c", 1, 1)

DIFFERENCES = Lemma(
    "second_differences",
    "with φ = log p of the base and Δφ₀, Δφ₁, Δφ₂ the rises φ(y − a) − φ(y) at y = z, z − b and z − b − b′, all of"
    " c(a, b) = Δφ₁ − Δφ₀, c(a, b′) = Δφ₂ − Δφ₁ and c(a, b + b′) = Δφ₂ − Δφ₀ are free of z",
    "the logarithm of the product formula for the shifts a and b, at z; for a and b′, at z − b; for a and b + b′, at z",
    (PRODUCT, EVERY_SHIFT, ONE_BASE, POSITIVE),
    ((c_ab, rise_1 - rise_0), (c_rest, rise_2 - rise_1), (c_sum, rise_2 - rise_0)),
)
ADDITIVE_IN_B = Step(
    "additive_in_b",
    "c(a, b + b′) = c(a, b) + c(a, b′)",
    c_sum,
    c_ab + c_rest,
    tuple(DIFFERENCES.equation(place) for place in range(3)),
)
BILINEAR = Lemma(
    "bilinear",
    "c(a, b) = aᵀ C b with a symmetric C",
    "c is measurable, symmetric, and by `additive_in_b` additive in b, so in a too; measurable additive functions are"
    " linear (Banach 1920, Sierpiński 1920)",
    ADDITIVE_IN_B,
    ((C.T, C),),
)


def _bowl(at: MatrixExpr) -> MatrixExpr:
    return half * at.T * C * at


QUADRATIC = Step(
    "quadratic",
    "½ zᵀ C z has the same second differences, aᵀ C b",
    _bowl(z - a - b) - _bowl(z - a) - _bowl(z - b) + _bowl(z),
    a.T * C * b,
    (BILINEAR.equation(),),
)
REST = Lemma(
    "rest",
    "φ(z) = ½ zᵀ C z + kᵀ z + c with C = −P, P positive definite, and k = P m",
    "by `quadratic` and `bilinear` φ − ½ zᵀ C z has second differences zero, so it is affine; a density has a finite"
    " integral, which needs −C positive definite",
    (QUADRATIC, BILINEAR, POSITIVE),
    ((log_p, half * z.T * C * z + k.T * z + level), (C, -P), (k, P * m), (P.T, P)),
)
GAUSSIAN_LAW = Step(
    "gaussian_law",
    "log p(z) = −½ (z − m)ᵀ P (z − m) + ½ mᵀ P m + c: the base is Gaussian",
    log_p,
    -half * (z - m).T * P * (z - m) + half * m.T * P * m + level,
    tuple(REST.equation(place) for place in range(4)),
)


def measure(world: World, tilt: float = 0.0) -> tuple[Measurement, ...]:
    """Second differences of scipy's Gaussian log densities against −aᵀ P b, and those of other laws, which vary.

    Rounding: c·eps·cond(Σ)·size of the logs, c = 8 d_Z². Four other laws of variance near 1 on the line vary by more
    than a hundredth of a unit over [−2, 2] for shifts ½ and 1; the fault puts a Gaussian among them.
    """
    first, second = world.W[:, 0], world.W[:, 1]
    means = np.stack([first + second, first, second, 0 * first])
    logs = log_densities(world.z_base, means, world.Sigma)
    excess = logs[0] - logs[1] - logs[2] + logs[3]
    claimed = -(1 + tilt) * first @ np.linalg.solve(world.Sigma, second)
    bound = 8 * len(first) ** 2 * EPS * np.linalg.cond(world.Sigma) * float(1 + np.abs(logs).max())
    least = min(_variation(law) for law in (*_OTHERS, *[_normal] * bool(tilt)))
    return (
        Measurement("second_differences", float(np.abs(excess - claimed).max()), bound),
        Measurement("other_laws", 0.01 - least, 0.0),
    )


def _normal(t: np.ndarray) -> np.ndarray:
    return -(t**2) / 2


_OTHERS = (
    lambda t: -3 * np.log1p(t**2 / 5),  # Student, five degrees of freedom
    lambda t: -np.sqrt(2) * np.abs(t),  # Laplace
    lambda t: np.logaddexp(-((t - 0.7) ** 2), -((t + 0.7) ** 2)),  # two bumps
    lambda t: -t - np.exp(-t),  # Gumbel
)


def _variation(phi: Callable[[np.ndarray], np.ndarray]) -> float:
    """By how much φ(t − 3/2) − φ(t − 1) − φ(t − ½) + φ(t) varies on [−2, 2]."""
    t = np.linspace(-2, 2, 41)
    return float(np.ptp(phi(t - 1.5) - phi(t - 1.0) - phi(t - 0.5) + phi(t)))


def _rise(size: Rational) -> tuple[str, Expr, Expr]:
    """log p(1) − log p(0) of exp(−t²/2 − size t⁴/4), and what the variance at the centre says of a Gaussian."""
    t = Symbol("t", real=True)
    phi = quartic_log_density(t, size)
    return (
        "log p(1) − log p(0), from the curvature at 0",
        phi.subs(t, 1) - phi.subs(t, 0),
        phi.diff(t, 2).subs(t, 0) / 2,
    )


def _waves(size: Rational) -> Model:
    """φ = −z²/2 + size (cos(2πz) − 1): second differences at whole shifts are those of −z²/2."""
    t = Symbol("z", real=True)

    def phi(at: Expr) -> Expr:
        return -(at**2) / 2 + size * (cos((2 * pi * at).expand()) - 1)

    return compare(
        ("log p(½) − log p(0), and what p(1)/p(0) says", phi(half) - phi(Integer(0)), (phi(Integer(1))) / 4),
        ("second difference for a = b = 1, beside z", phi(t - 2) - 2 * phi(t - 1) + phi(t) + t, t - 1),
    )


def _quartic(size: Rational) -> Model:
    """φ = −t²/2 − size t⁴/4, for which the formula does not hold."""
    t = Symbol("t", real=True)
    phi = quartic_log_density(t, size)
    return compare(_rise(size), ("the law and its reflection", phi, phi.subs(t, -t)))


def _replaced(size: Rational) -> Model:
    """A replaces the law of z₁ by N(1, 1) and B that of z₂, both exp(−t²/2 − size t⁴/4) before: the formula holds."""
    z_1, z_2 = symbols("z_1 z_2", real=True)
    base = [quartic_log_density(at, size) for at in (z_1, z_2)]
    new = [-((at - 1) ** 2) / 2 for at in (z_1, z_2)]
    return compare(
        _rise(size),
        ("log p_AB p₀, and log p_A p_B", sum(new) + sum(base), (new[0] + base[1]) + (base[0] + new[1])),
    )


def _cut(size: Integer) -> Model:
    """N(0, 1) cut off below −1 at size 1: where p₀, p_A, p_B and p_AB are positive the formula holds."""
    t = Symbol("z", real=True)
    phi = -(t**2) / 2
    tail = normal_cdf(Integer(-1))
    return compare(
        ("probability of z < −1", Integer(0) if size else tail, tail),
        (
            "second difference for a = b = 1 where all are positive, beside z",
            phi.subs(t, t - 2) - 2 * phi.subs(t, t - 1) + phi + t,
            t - 1,
        ),
    )


CLAIM = Claim(
    name="only_gaussian",
    number="2.7e",
    statement="a base law with a positive density for which the product formula holds at all shifts is Gaussian",
    latex=r"p(z-a-b)\,p(z) = c(a,b)\,p(z-a)\,p(z-b)\ \ \forall a, b\quad\Rightarrow\quad "
    r"p(z) \propto e^{-\frac12 (z-m)^\top P (z-m)}",
    assumptions=(PRODUCT, EVERY_SHIFT, ONE_BASE, POSITIVE),
    source=f"{OURS}; that location families which are exponential ones are normal or those of log gamma variables is"
    " Ferguson"
    " (1962), Annals of Mathematical Statistics 33",
    proof=(DIFFERENCES, ADDITIVE_IN_B, BILINEAR, QUADRATIC, REST, GAUSSIAN_LAW),
    conclusions=("quadratic", "gaussian_law"),
    says=(
        (_bowl(z - a - b) - _bowl(z - a) - _bowl(z - b) + _bowl(z), "=", a.T * C * b),
        (log_p, "=", -half * (z - m).T * P * (z - m) + half * m.T * P * m + level),
    ),
    check=lambda fault=0.0: tuple(m for world in worlds(6) for m in measure(world, 1e-3 * fault)),
    counterexamples=(
        Counterexample(PRODUCT, "without the formula any law is as good", _quartic, "gaussian_law"),
        Counterexample(EVERY_SHIFT, "whole doses do not see a factor of their period", _waves, "gaussian_law"),
        Counterexample(ONE_BASE, "replaced mechanisms obey the formula whatever they are", _replaced, "gaussian_law"),
        Counterexample(POSITIVE, "a normal law that is cut off obeys it where it can be read", _cut, "gaussian_law"),
    ),
    remark="No continuity is needed, a density being measurable. Behind an injective f without noise the formula for"
    " x is"
    " that for z. So a test of 2.7 at many doses is one of a Gaussian base, and at whole doses it is not.",
)
