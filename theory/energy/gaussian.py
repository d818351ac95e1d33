"""Claim 3.4: the energy distance of Gaussian laws, in closed form on the line and by one quadrature in more dimensions.

On the line E|Z| for Z ~ N(m, v) is √(2v/π) exp(-m²/2v) + m erf(m/√(2v)), and ED is three of these. In d dimensions
E‖Z‖^β is the mixture of 3.1 of the transforms E exp(-s ‖Z‖²), which factor over the principal axes of the covariance.
"""

from typing import cast

import numpy as np
from scipy.integrate import quad
from scipy.special import gamma, hyp1f1
from scipy.stats import norm
from sympy import Derivative, Expr, Integer, Rational, Subs, Symbol, diff, erf, exp, expand, pi, sqrt, symbols

from theory.energy.distance import SZEKELY
from theory.engine.exact import Number, rational
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare

GAUSSIAN_LAWS = Assumption("gaussian_laws", "X ∼ N(m₁, v₁) and Y ∼ N(m₂, v₂), with positive variances")
INDEPENDENT_PAIR = Assumption("independent_pair", "X and Y are independent, and so are X, X′ and Y, Y′")


def mean_absolute(mean: Expr, variance: Expr) -> Expr:
    """E|Z| for Z ~ N(mean, variance), exactly.

    Example:
        >>> mean_absolute(Integer(0), Integer(1)) == sqrt(2 / pi)
        True
    """
    return sqrt(2 * variance / pi) * exp(-(mean**2) / (2 * variance)) + mean * erf(mean / sqrt(2 * variance))


def energy_distance_line(
    first: tuple[Number | Expr, Number | Expr], second: tuple[Number | Expr, Number | Expr]
) -> Expr:
    """ED of N(m_1, v_1) and N(m_2, v_2) for β = 1, exactly.

    Args:
        first: mean and variance of P, numbers or symbols; the variance is positive.
        second: mean and variance of Q.

    Returns:
        2 E|X - Y| - 2 √(v_1/π) - 2 √(v_2/π), which for equal laws is 0.

    Example:
        >>> energy_distance_line((0, 1), (0, 4)) == 2 * sqrt(2) * sqrt(5) / sqrt(pi) - 6 / sqrt(pi)
        True
    """
    (m_1, v_1), (m_2, v_2) = ([_exact(entry) for entry in law] for law in (first, second))
    return (
        2 * mean_absolute(m_1 - m_2, v_1 + v_2)
        - mean_absolute(Integer(0), 2 * v_1)
        - mean_absolute(Integer(0), 2 * v_2)
    )


def energy_distance(
    first: tuple[np.ndarray, np.ndarray], second: tuple[np.ndarray, np.ndarray], beta: float = 1.0
) -> float:
    """ED of two Gaussian laws in d dimensions, by quadrature.

    Args:
        first: mean (d,) and covariance (d, d) of P.
        second: mean and covariance of Q.
        beta: exponent in (0, 2).

    Returns:
        The energy distance, to about ten digits of E‖X - Y‖^β.

    Example:
        >>> line = energy_distance((np.zeros(1), np.eye(1)), (np.ones(1), np.eye(1)))
        >>> abs(line - float(energy_distance_line((0, 1), (1, 1)))) < 1e-9
        True
    """
    (mean, spread), (other, other_spread) = first, second
    return (
        2 * mean_norm(mean - other, spread + other_spread, beta)
        - mean_norm(np.zeros(len(mean)), 2 * spread, beta)
        - mean_norm(np.zeros(len(mean)), 2 * other_spread, beta)
    )


def mean_norm(mean: np.ndarray, covariance: np.ndarray, beta: float = 1.0) -> float:
    """E‖Z‖^β for Z ~ N(mean, covariance) in d dimensions.

    With γ = β/2, λ the eigenvalues of the covariance and m the mean in its axes:

        γ/Γ(1-γ) ∫ (1 - ∏_i (1 + 2 s λ_i)^(-1/2) exp(-s m_i² / (1 + 2 s λ_i))) s^(-1-γ) ds.

    Args:
        mean: (d,).
        covariance: (d, d), positive semidefinite.
        beta: exponent in (0, 2).
    """
    half, (lengths, axes) = beta / 2, np.linalg.eigh(covariance)
    squares, lengths = (axes.T @ mean) ** 2, np.maximum(lengths, 0)
    scale = float(squares.sum() + lengths.sum())
    if scale == 0:
        return 0.0

    def integrand(v: float) -> float:
        widened = 2 * np.exp(v) * lengths / scale
        exponent = np.log1p(widened) / 2 + np.exp(v) * squares / scale / (1 + widened)
        return -np.expm1(-exponent.sum()) * np.exp(-half * v)

    value = sum(quad(integrand, *ends, limit=400, epsabs=1e-13, epsrel=1e-12)[0] for ends in _pieces(half))
    return float(half / gamma(1 - half) * value * scale**half)


def _pieces(half: float) -> tuple[tuple[float, float], ...]:
    """Intervals of v = log s: beyond, the integrand is below exp(-40) of its size."""
    return ((-40 / (1 - half), -4.0), (-4.0, 4.0), (4.0, 40 / half))


def _exact(entry: Number | Expr) -> Expr:
    return entry if isinstance(entry, Expr) else rational(entry)


mean, x, delta = symbols("m x delta", real=True)
cross, own, other, value = symbols(
    r"\mathbb{E}\lvert{X-Y}\rvert \mathbb{E}\lvert{X-X'}\rvert \mathbb{E}\lvert{Y-Y'}\rvert \mathrm{ED}", real=True
)
v, v_1, v_2, s = symbols("v v_1 v_2 s", positive=True)
density = exp(-((x - mean) ** 2) / (2 * v)) / sqrt(2 * pi * v)
primitive = -v * density + mean / 2 * erf((x - mean) / sqrt(2 * v))


def _line() -> tuple[Step | Lemma, ...]:
    upper, lower, total = symbols(r"\mathbb{E}[Z_{+}] \mathbb{E}[Z_{-}] \mathbb{E}\lvert{Z}\rvert", real=True)
    part = v * density.subs(x, 0) + mean / 2 * (1 + erf(mean / sqrt(2 * v)))
    integral = Lemma(
        "integral",
        "𝔼 max(Z, 0) is the limit of the antiderivative at infinity, m/2, less its value at 0",
        "`antiderivative`, and the fundamental theorem",
        (GAUSSIAN_LAWS, "antiderivative"),
        ((upper, mean / 2 - primitive.subs(x, 0)),),
    )
    reflected = Lemma(
        "reflected",
        "𝔼 max(−Z, 0) is 𝔼 max(Z, 0) with −m for m",
        "−Z ∼ N(−m, v)",
        (GAUSSIAN_LAWS, "positive_part"),
        ((lower, part.subs(mean, -mean)),),
    )
    antiderivative = Step(
        "antiderivative",
        "x n(x) is the derivative of −v n(x) + (m/2) erf((x − m) / √(2v)), n the density of N(m, v)",
        diff(primitive, x),
        x * density,
    )
    positive = Step(
        "positive_part",
        "𝔼 max(Z, 0) = v n(0) + (m/2) (1 + erf(m / √(2v)))",
        upper,
        part,
        (integral.equation(),),
    )
    absolute = Step(
        "absolute",
        "𝔼|Z| = √(2v/π) exp(−m² / 2v) + m erf(m / √(2v))",
        total,
        mean_absolute(mean, v),
        (
            Equation(DEFINITION, total, upper + lower),
            Equation(positive, upper, part),
            reflected.equation(),
        ),
    )
    return antiderivative, integral, positive, reflected, absolute, *_distances()


def _distances() -> tuple[Step | Lemma, ...]:
    differences = Lemma(
        "differences",
        "X − Y ∼ N(m₁ − m₂, v₁ + v₂), X − X′ ∼ N(0, 2 v₁), Y − Y′ ∼ N(0, 2 v₂), with the means of `absolute`",
        "sums of independent normal variables",
        (GAUSSIAN_LAWS, INDEPENDENT_PAIR, "absolute"),
        (
            (cross, mean_absolute(delta, v_1 + v_2)),
            (own, mean_absolute(Integer(0), 2 * v_1)),
            (other, mean_absolute(Integer(0), 2 * v_2)),
        ),
    )
    distance = Step(
        "distance",
        "ED = 2 𝔼|X − Y| − 2 √(v₁/π) − 2 √(v₂/π), with δ = m₁ − m₂",
        2 * cross - own - other,
        2 * mean_absolute(delta, v_1 + v_2) - 2 * sqrt(v_1 / pi) - 2 * sqrt(v_2 / pi),
        tuple(differences.equation(place) for place in range(3)),
    )
    formula = Equation((distance, DEFINITION), value, energy_distance_line((delta, v), (Integer(0), v)))
    equal = Step(
        "equal_variances",
        "for v₁ = v₂ = v, ED = 4 √(v/π) (exp(−δ² / 4v) − 1) + 2 δ erf(δ / (2 √v))",
        value,
        4 * sqrt(v / pi) * (exp(-(delta**2) / (4 * v)) - 1) + 2 * delta * erf(delta / (2 * sqrt(v))),
        (formula,),
    )
    small = Step(
        "small_shifts",
        "its second derivative at δ = 0 is 2 / √(π v): a small shift costs δ² / √(π v)",
        Subs(Derivative(equal.right, (delta, 2)), delta, 0),
        2 / sqrt(pi * v),
    )
    return differences, distance, equal, small


def _dimensions() -> tuple[Step | Lemma, ...]:
    wide = 1 + 2 * s * v
    square = Step(
        "square",
        "−s x² − (x − m)² / 2v = −(1 + 2sv) (x − m / (1 + 2sv))² / 2v − s m² / (1 + 2sv)",
        -s * x**2 - (x - mean) ** 2 / (2 * v),
        -wide * (x - mean / wide) ** 2 / (2 * v) - s * mean**2 / wide,
    )
    transform = Lemma(
        "transform",
        "𝔼 exp(−s |Z|²) is the product over principal axes of (1 + 2 s lᵢ)^(−1/2) exp(−s mᵢ² / (1 + 2 s lᵢ)), and"
        " 𝔼|Z|ᵝ its mixture by 3.1",
        "by `square` each axis is a Gaussian integral of variance v / (1 + 2sv); axes are independent",
        (GAUSSIAN_LAWS, square),
    )
    return square, transform


def measure_line(world: World, factor: float = 1.0) -> Measurement:
    """E|Z| by quadrature of |x| n(x) on either side of 0, against `factor` times the closed form."""
    mean, variance = float(world.u[0]), float(world.Sigma[0, 0])
    spread = np.sqrt(variance)
    sides = [
        quad(lambda x: abs(x) * norm.pdf(x, mean, spread), *ends, points=None, epsabs=1e-13, epsrel=1e-12)
        for ends in ((0, max(0, mean) + 40 * spread), (min(0, mean) - 40 * spread, 0))
    ]
    claimed = factor * float(mean_absolute(rational(mean), rational(variance)))
    bound = sum(error for _, error in sides) + 64 * EPS * (1 + abs(mean) + spread)
    return Measurement("mean_absolute", abs(sum(value for value, _ in sides) - claimed), bound)


def measure_line_by_mixture(world: World, factor: float = 1.0) -> Measurement:
    """The two routes to the energy distance on the line. Bound: relative error 1e-9 of the quadrature asked for."""
    first, second = (float(world.u[0]), float(world.Sigma[0, 0])), (0.5, 1.5)
    exact = factor * float(energy_distance_line(first, second))
    one, other = ((np.array([mean]), np.array([[variance]])) for mean, variance in (first, second))
    value = energy_distance(one, other)
    return Measurement(
        "mixture_line", abs(exact - value), 1e-9 * (1 + abs(first[0]) + sum(v for _, v in (first, second)))
    )


def measure_round(world: World, beta: float, wrong: float = 1.0) -> Measurement:
    """E‖Z‖^β for N(u, v I) against 2^(β/2) Γ((d+β)/2)/Γ(d/2) v^(β/2) 1F1(-β/2; d/2; -‖u‖²/2v), Kummer's function."""
    d, variance = len(world.u), 0.7
    factor = (2 * variance) ** (beta / 2) * gamma((d + beta) / 2) / gamma(d / 2)
    exact = wrong * factor * hyp1f1(-beta / 2, d / 2, -world.u @ world.u / (2 * variance))
    return Measurement("round", abs(mean_norm(world.u, variance * np.eye(d), beta) - exact), 1e-9 * (1 + exact))


def _coins(size: Rational) -> Model:
    """X is a fair coin ±1 with probability `size`, else N(0, 1): mean 0 and variance 1 throughout."""
    normal, mixed, coin = mean_absolute(Integer(0), Integer(2)), mean_absolute(Integer(1), Integer(1)), Integer(1)
    spread = (1 - size) ** 2 * normal + 2 * size * (1 - size) * mixed + size**2 * coin
    t = Symbol("t", real=True)
    return compare(
        ("𝔼|X − X′|", expand(spread), normal),
        ("cumulant function to second order", ((1 - size) * 1 + size * 1) * t**2 / 2, t**2 / 2),
    )


def _coupled(size: Rational) -> Model:
    """X, Y ~ N(0, 1) with correlation size/2: E|X - Y| is that of N(0, 2 - size)."""
    t = Symbol("t", real=True)
    rho = size / 2
    return compare(
        ("𝔼|X − Y|", mean_absolute(Integer(0), 2 - size), mean_absolute(Integer(0), Integer(2))),
        ("cumulant function of Y = ρ X + √(1 − ρ²) Z", rho**2 * t**2 / 2 + (1 - rho**2) * t**2 / 2, t**2 / 2),
    )


CLAIM = Claim(
    name="energy_gaussian",
    number="3.4",
    statement="ED = 2 A(m₁ − m₂, v₁ + v₂) − A(0, 2 v₁) − A(0, 2 v₂) on the line, A(m, v) = 𝔼|N(m, v)|",
    latex=r"A(m, v) = E|N(m, v)| = \sqrt{2v/\pi}\, e^{-m^2/2v} + m\,\mathrm{erf}(m/\sqrt{2v})",
    assumptions=(GAUSSIAN_LAWS, INDEPENDENT_PAIR),
    source=SZEKELY + "; the formula by direct integration",
    proof=(*_line(), *_dimensions()),
    conclusions=("distance", "equal_variances", "small_shifts", "transform"),
    says=(
        (
            2 * cross - own - other,
            "=",
            2 * mean_absolute(delta, v_1 + v_2) - 2 * sqrt(v_1 / pi) - 2 * sqrt(v_2 / pi),
        ),
        (
            value,
            "=",
            4 * sqrt(v / pi) * (exp(-(delta**2) / (4 * v)) - 1) + 2 * delta * erf(delta / (2 * sqrt(v))),
        ),
        (cast("Step", _line()[-1]).left, "=", 2 / sqrt(pi * v)),
        _dimensions()[-1].statement,
    ),
    check=lambda fault=0.0: (
        *(measure_line(world, 1 + 1e-3 * fault) for world in worlds()),
        *(measure_line_by_mixture(world, 1 + 1e-3 * fault) for world in worlds(4)),
        *(measure_round(world, beta, 1 + 1e-3 * fault) for world in worlds(4) for beta in (0.5, 1.0, 1.5)),
    ),
    counterexamples=(
        Counterexample(GAUSSIAN_LAWS, "coins of the same mean and variance", _coins, "distance"),
        Counterexample(INDEPENDENT_PAIR, "pairs that are drawn together are closer", _coupled, "distance"),
    ),
)
