"""Claim 3.1: the energy distance of two laws is not negative, and zero only if they are equal.

The proof is by subordination: ‖u‖^β is a mixture of 1 - exp(-s ‖u‖²), each of which is a mean of 1 - cos(ω'u) over
Gaussian frequencies ω, so that ED is a sum of squares |φ_P - φ_Q|² in any dimension. Laws are written as weights p, q
on n points, n any number; for laws in general sums are read as expectations, which the moment permits (Fubini).
"""

import numpy as np
from scipy.integrate import quad
from scipy.special import gamma as gamma_function
from sympy import Integer, Rational, Symbol, diff, symbols
from sympy.functions import cos, exp, gamma, log, sin, sqrt
from sympy.matrices.expressions import Identity, MatrixSymbol, ZeroMatrix

from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Square, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare

SZEKELY = "Székely and Rizzo (2013), Journal of Statistical Planning and Inference 143, proposition 1"

EXPONENT = Assumption("exponent", "0 < β < 2")
MOMENT = Assumption("moment", "𝔼 |X|ᵝ is finite under every law that is compared")

n, m = symbols("n m", integer=True, positive=True)
s, r, gamma_ = symbols("s r gamma", positive=True)
p, q, mu, a, ones = (MatrixSymbol(name, n, 1) for name in ("p", "q", "mu", "a", r"\mathbf{1}"))
F, G, cross, own, other = symbols("F G c_XY c_XX c_YY", real=True)
D, V, distance = MatrixSymbol("D", n, n), MatrixSymbol("V", n, m), MatrixSymbol(r"\mathrm{ED}", 1, 1)


def energy_distance(points: np.ndarray, p: np.ndarray, q: np.ndarray, beta: float = 1.0) -> float:
    """2 E‖X - Y‖^β - E‖X - X'‖^β - E‖Y - Y'‖^β of two laws on the same points, term by term.

    Args:
        points: (n, d).
        p: (n,) weights of P, with sum 1.
        q: (n,) weights of Q.
        beta: exponent.

    Returns:
        The energy distance of Székely and Rizzo, not its root.
    """
    D_beta = np.linalg.norm(points[:, None] - points[None], axis=2) ** beta
    return float(2 * p @ D_beta @ q - p @ D_beta @ p - q @ D_beta @ q)


def _subordination() -> tuple[Step | Lemma, ...]:
    """With 0 < γ = β/2 < 1: ∫ (1 - exp(-r s)) s^(-1-γ) ds = r^γ Γ(1 - γ) / γ."""
    whole, rest, t = Symbol("I", positive=True), Symbol("J", positive=True), Symbol("t", positive=True)
    tail = r * exp(-r * s) * s**-gamma_
    by_parts = Step(
        "by_parts",
        "d/ds (−(1 − exp(−r s)) s⁻ᵞ / γ) is the integrand less r exp(−r s) s⁻ᵞ / γ",
        diff(-(1 - exp(-r * s)) * s**-gamma_ / gamma_, s),
        (1 - exp(-r * s)) * s ** (-1 - gamma_) - tail / gamma_,
    )
    boundary = Lemma(
        "boundary",
        "(1 − exp(−r s)) s⁻ᵞ vanishes at 0 and at infinity, so I = J / γ for the two integrals over s > 0",
        "1 − exp(−r s) is at most min(1, r s), and 0 < γ = β/2 < 1",
        (EXPONENT, by_parts),
        ((whole, rest / gamma_),),
    )
    substituted = Step(
        "substituted",
        "with t = r s the integrand of J is rᵞ exp(−t) t⁻ᵞ",
        tail.subs(s, t / r) / r,
        r**gamma_ * exp(-t) * t**-gamma_,
    )
    euler = Lemma(
        "euler",
        "J = rᵞ Γ(1 − γ)",
        "`substituted`, and the integral of exp(−t) t⁻ᵞ over t > 0 is Γ(1 − γ) by definition",
        (EXPONENT, substituted),
        ((rest, r**gamma_ * gamma(1 - gamma_)),),
    )
    total = Step(
        "subordination",
        "I = rᵞ Γ(1 − γ) / γ: with r = |u|², |u|ᵝ is a mixture of the 1 − exp(−s |u|²)",
        whole,
        r**gamma_ * gamma(1 - gamma_) / gamma_,
        (boundary.equation(), euler.equation()),
    )
    return by_parts, boundary, substituted, euler, total


def _frequencies() -> tuple[Step | Lemma, ...]:
    x, y = symbols("x y", real=True)
    gaussian = Lemma(
        "gaussian_average",
        "exp(−s |u|²) = 𝔼 cos(ωᵀu) with ω ∼ N(0, 2 s I)",
        "characteristic function of the normal law",
    )
    kernel = Step(
        "kernel",
        "Re (e^(ix) − 1) conj(e^(iy) − 1) = (1 − cos x) + (1 − cos y) − (1 − cos(x − y))",
        (cos(x) - 1) * (cos(y) - 1) + sin(x) * sin(y),
        (1 - cos(x)) + (1 - cos(y)) - (1 - cos(x - y)),
    )
    features = Lemma(
        "features",
        "D = a 𝟏ᵀ + 𝟏 aᵀ − V Vᵀ with Dᵢⱼ = |xᵢ − xⱼ|ᵝ, aᵢ = |xᵢ|ᵝ, and Vᵀ μ = φ_P − φ_Q over the"
        " frequencies, weighted by a positive density",
        "`kernel` with x = ωᵀxᵢ, y = ωᵀxⱼ, integrated over ω and s; |e^(ix) − 1|² = 2 (1 − cos x) is"
        " integrable by `subordination`, so V Vᵀ exists; the constants 1 cancel as μ has mass 0",
        (EXPONENT, "subordination", gaussian, kernel, "mass"),
        ((D, a * ones.T + ones * a.T - V * V.T),),
    )
    return gaussian, kernel, features


def _squares() -> tuple[Step | Lemma, ...]:
    difference = Equation(DEFINITION, p, q + mu)
    laws_ = Lemma(
        "laws",
        "p and q have mass 1, and D is symmetric",
        "they are laws, and distances are symmetric",
        (),
        ((ones.T * q, Identity(1)), (ones.T * p, Identity(1)), (D.T, D)),
    )
    mass = Step(
        "mass",
        "μ = p − q has mass 0",
        ones.T * mu,
        ZeroMatrix(1, 1),
        (Equation(DEFINITION, mu, p - q), laws_.equation(0), laws_.equation(1)),
    )
    form = Step(
        "quadratic_form",
        "ED = 2 pᵀDq − pᵀDp − qᵀDq = −μᵀD μ",
        distance,
        -mu.T * D * mu,
        (
            Equation((MOMENT, DEFINITION), distance, 2 * p.T * D * q - p.T * D * p - q.T * D * q),
            laws_.equation(2),
            difference,
        ),
    )
    features = _frequencies()
    squares = Step(
        "squares",
        "ED ≥ 0, being |Vᵀμ|², a weighted integral of |φ_P − φ_Q|²",
        distance,
        ZeroMatrix(1, 1),
        (form.equation(), features[-1].equation(), mass.equation()),
        relation="≥",
        slack=Square(V.T * mu),
    )
    definite = Lemma(
        "definite",
        "ED = 0 only if P = Q",
        "φ_P − φ_Q is continuous and the weight positive, so it vanishes everywhere; characteristic functions"
        " determine laws (Billingsley, Probability and Measure, theorem 26.2)",
        (squares, EXPONENT),
    )
    return laws_, mass, *features, form, squares, definite


def _cramer() -> tuple[Step | Lemma, ...]:
    layers = Lemma(
        "layers",
        "for d = β = 1, 𝔼|X − Y| is the integral over t of P(X ≤ t < Y) + P(Y ≤ t < X)",
        "|x − y| is the length of the interval between x and y; Fubini",
        (MOMENT,),
        tuple(
            (symbol, one * (1 - two) + two * (1 - one))
            for symbol, one, two in ((cross, F, G), (own, F, F), (other, G, G))
        ),
    )
    cramer = Step(
        "cramer",
        "for d = β = 1 the integrand of ED is 2 (F − G)², F and G the distribution functions",
        2 * cross - own - other,
        2 * (F - G) ** 2,
        tuple(layers.equation(place) for place in range(3)),
    )
    return layers, cramer


def _score() -> Step:
    """The score ½ E‖X - X'‖ - E‖X - y‖ of the prediction P at y ~ Q, against that of the truth Q."""
    score, best = symbols("S_P S_Q", real=True)
    half = Rational(1, 2)
    return Step(
        "score_gap",
        "the expected energy score of the truth Q exceeds that of a prediction P by ED / 2",
        best - score,
        cross - half * own - half * other,
        (
            Equation((MOMENT, DEFINITION), score, half * own - cross),
            Equation((MOMENT, DEFINITION), best, half * other - other),
        ),
    )


def laws(world: World) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Five points (5, d_Z) of a world and two laws on them (5,), (5,)."""
    weights = np.exp(world.z_base[5:15, 0]).reshape(2, 5)
    p, q = weights / weights.sum(axis=1, keepdims=True)
    return world.z_base[:5], p, q


def mixture(points: np.ndarray, p: np.ndarray, q: np.ndarray, beta: float) -> tuple[float, float]:
    """ED as γ/Γ(1 - γ) ∫ Σ_ij μ_i μ_j exp(-s ‖x_i - x_j‖²) s^(-1-γ) ds by quadrature, and the bound on its error."""
    squared, mu, half = np.sum((points[:, None] - points[None]) ** 2, axis=2), p - q, beta / 2

    def integrand(v: float) -> float:
        return float(mu @ np.expm1(-np.exp(v) * squared) @ mu) * np.exp(-half * v)

    value, error = quad(integrand, -40 / (1 - half), 40 / half, limit=400, epsabs=1e-12)
    constant = half / gamma_function(1 - half)
    return constant * value, 10 * constant * error


def measure(world: World, beta: float, assumed: float | None = None) -> Measurement:
    """The energy distance of two laws against the mixture at exponent `assumed`, by default the same.

    Bound: what quadrature reports, times ten, and the rounding of n² = 25 terms; what is cut off is below exp(-40).
    """
    points, p, q = laws(world)
    value, error = mixture(points, p, q, beta if assumed is None else assumed)
    bound = error + 64 * len(p) ** 2 * EPS * (1 + np.abs(points).max()) ** beta
    return Measurement("mixture", abs(energy_distance(points, p, q, beta) - value), bound)


def measure_cramer(world: World, factor: float = 1.0) -> Measurement:
    """On the line, the distance against 2 ∫ (F - G)² summed over the intervals between points."""
    points, p, q = laws(world)
    order, line = np.argsort(points[:, 0]), points[:, :1]
    gaps, steps = np.diff(line[order, 0]), np.cumsum((p - q)[order])[:-1]
    deviation = abs(factor * energy_distance(line, p, q) - 2 * gaps @ steps**2)
    return Measurement("cramer", float(deviation), 64 * len(p) ** 2 * EPS * (1 + np.abs(line).max()))


def _check(fault: float = 0.0) -> tuple[Measurement, ...]:
    mixtures = [
        measure(world, exponent, exponent + 1e-3 * fault) for world in worlds(6) for exponent in (0.5, 1.0, 1.5)
    ]
    return (*mixtures, *(measure_cramer(world, 1 + 1e-3 * fault) for world in worlds()))


def _means_only(size: Rational) -> Model:
    """β = 2: fair coins ±1 and ±(1 + size) have E|X - Y|² = Var X + Var Y, hence energy distance 0."""
    own, other = Integer(1), (1 + size) ** 2
    x = Symbol("x", real=True)
    means = ((x - 1 + x + 1) / 2, (x - 1 - size + x + 1 + size) / 2)
    return compare(
        ("variance", other, own),
        ("energy distance at β = 2", 2 * (own + other) - 2 * own - 2 * other, Integer(0)),
        ("mean of either coin, at centre x", *means),
    )


def no_mean(size: Rational) -> Model:
    """P(X > t) = t^(-1/2), t > 1: cut at N and at (1 + size) N, X has energy distance 2 log(1 + size) from itself.

    2 ∫ (F - G)² over N < t < (1 + size) N with F = 1 and 1 - G = t^(-1/2), whatever N; so ED(P, P) has no value.
    """
    t, N = symbols("t N", positive=True)
    primitive = 2 * log(t)
    value = primitive.subs(t, (1 + size) * N) - primitive.subs(t, N)
    return compare(
        ("energy distance of X, cut at 2 N and at N, from itself", value.expand(force=True), Integer(0)),
        ("integrand 2 (F − G)² at t", diff(primitive, t), 2 * sqrt(1 / t) ** 2),
    )


_subordinated = _subordination()

CLAIM = Claim(
    name="energy",
    number="3.1",
    statement="ED(P, Q) ≥ 0, and ED(P, Q) = 0 if and only if P = Q",
    latex=r"2E\|X-Y\|^\beta - E\|X-X'\|^\beta - E\|Y-Y'\|^\beta"
    r" = c \int \frac{|\varphi_P(\omega) - \varphi_Q(\omega)|^2}{\|\omega\|^{d+\beta}} d\omega",
    assumptions=(EXPONENT, MOMENT),
    source=SZEKELY,
    proof=(*_subordinated, *_squares(), *_cramer(), _score()),
    conclusions=("squares", "definite", "cramer", "score_gap"),
    says=(
        (distance, "≥", ZeroMatrix(1, 1)),
        "ED = 0 only if P = Q",
        (2 * cross - own - other, "=", 2 * (F - G) ** 2),
        (_score().left, "=", cross - Rational(1, 2) * own - Rational(1, 2) * other),
    ),
    check=_check,
    counterexamples=(
        Counterexample(EXPONENT, "at β = 2 coins of equal mean and different spread", _means_only, "definite"),
        Counterexample(MOMENT, "a tail t^(−1/2): the distance depends on where it is cut", no_mean, "squares"),
    ),
)
