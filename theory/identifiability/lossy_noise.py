"""Claims 2.11d and 2.11e: noise that grows with the signal, and entries that are lost.

Noise x = y + v(y) ε, y = f(z), whose variance v(y)² = s² (1 + a² y²) is a known quadratic function is not independent
of y, so 2.11 does not apply. But the moments of x are a triangular system in those of y, with positive diagonal: the
moments of f(z) are determined, and its law wherever moments determine a law, as for f of at most linear growth.

An entry that reads zero with probability π, otherwise y, is a linear map of laws with an inverse: off zero the law of
an entry is (1 - π(y)) times that of y. So π must be known, as a function of the signal if it depends on it, and below
1. Where it does not depend on the signal its rate need not be known: cells without a zero have the law of f(z).

Tried against it. Growth beyond linear: the cube of a Gaussian variable is not determined by its moments (Berg 1988), so
2.11d has nothing to say of it. A loss that depends on the signal in no known way: refuted, `_tilted`.
"""

from math import comb

import numpy as np
from scipy import stats
from sympy import (
    Add,
    Expr,
    Integer,
    Matrix,
    MatrixSymbol,
    Rational,
    Symbol,
    ZeroMatrix,
    binomial,
    expand,
    integrate,
    pi,
    sin,
    symbols,
)
from sympy.matrices.expressions import Identity

from theory.assumptions import EQUIVALENT, OURS
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.identifiability import rivals

QUADRATIC = Assumption(
    "quadratic_noise", "x = y + v(y) ε with y = f(z), ε ∼ N(0, 1) independent of z, v(y)² = s² (1 + a² y²) and known"
)
DETERMINATE = Assumption(
    "determinate", "the moments of f(z) exist and determine its law, as for f of at most linear growth"
)
n = Symbol("n", integer=True, positive=True)
R, P, V, V_rival, Z = (MatrixSymbol(name, n, n) for name in ("R", "P", "V", "Vtilde", "Z"))
law_x, law_y, rival_x, rival_y = (MatrixSymbol(name, n, 1) for name in ("x", "y", "xtilde", "ytilde"))

LOST = Assumption(
    "lost_entries",
    "an entry of x is zero with probability π < 1, independently of the others given z, else that of f(z)",
    states=((law_x, law_y - P * law_y + Z * P * law_y), (V * P, V - Identity(n))),
)
KNOWN_LOSS = Assumption(
    "known_loss",
    "π, a function of the entry of f(z), is known, so it is the same in every model",
    states=((V_rival, V),),
)

s, a, y = symbols("s a y", real=True)
ORDERS = (1, 2, 3, 4)
law, rival_law = symbols("P Ptilde")
own, rival, seen, rival_seen = (symbols(f"{name}_1:5") for name in ("m", "mtilde", "M", "Mtilde"))


def _noisy_moment(order: int) -> Expr:
    """E (y + v(y) ε)^order given y, a polynomial in y."""
    variance, even = s**2 * (1 + a**2 * y**2), (1, 1, 3)
    return expand(
        Add(*(binomial(order, 2 * j) * y ** (order - 2 * j) * variance**j * even[j] for j in range(order // 2 + 1)))
    )


def _averaged(polynomial: Expr, moments: tuple[Symbol, ...]) -> Expr:
    expanded = expand(polynomial)
    return expanded.coeff(y, 0) + Add(*(expanded.coeff(y, k) * m for k, m in enumerate(moments, 1)))


def _moments() -> tuple[Step | Lemma, ...]:
    explicit = Step(
        "explicit_moments",
        "given y the moments of x of order k = 1 to 4 have the coefficients 1, 1 + s² a², 1 + 3 s² a² and 1 + 6 s² a²"
        " + 3 s⁴ a⁴ before the highest power of y",
        Matrix([_noisy_moment(order).coeff(y, order) for order in ORDERS]),
        Matrix([1, 1 + (s * a) ** 2, 1 + 3 * (s * a) ** 2, 1 + 6 * (s * a) ** 2 + 3 * (s * a) ** 4]),
    )
    triangular = Lemma(
        "triangular",
        "the moment of x of any order k is a positive multiple of that of y, plus moments of y of lower order, with"
        " known coefficients",
        "expand (y + v(y) ε)ᵏ: odd powers of ε vanish and v² is quadratic, so the coefficient of yᵏ is 𝔼 (1 + s a ε)ᵏ"
        " ≥ 1, by even terms alone; up to order 4 in `explicit_moments`, for vectors by products",
        (QUADRATIC, explicit),
        (
            (rival[0], rival_seen[0]),
            (own[0], seen[0]),
            (rival[1], (rival_seen[1] - s**2) / (1 + s**2 * a**2)),
            (own[1], (seen[1] - s**2) / (1 + s**2 * a**2)),
        ),
    )
    observed = Lemma(
        "seen",
        "x has one law in both models, so the same moments",
        "under a training label",
        EQUIVALENT,
        tuple(zip(rival_seen[:2], seen[:2], strict=True)),
    )
    equal = Step(
        "equal_moments",
        "so equal moments of x are equal moments of f(z), order by order",
        Matrix(rival[:2]),
        Matrix(own[:2]),
        (
            *(triangular.equation(place) for place in range(4)),
            *(observed.equation(place) for place in range(2)),
        ),
    )
    same = Lemma(
        "determined", "equal moments are equal laws of f(z)", "by assumption", (DETERMINATE, equal), ((rival_law, law),)
    )
    conclusion = Step(
        "same_law",
        "f̃(z̃) has the law of f(z) under every training label",
        rival_law,
        law,
        (same.equation(),),
    )
    return explicit, triangular, observed, equal, same, conclusion


def mixing(z: np.ndarray) -> np.ndarray:
    """f(z) = z + sin z, of linear growth."""
    return z + np.sin(z)


def noisy_moments(mean: float, level: float, slope: float) -> np.ndarray:
    """Moments of x of order 1 to 4 for z ~ N(mean, 1), by Gauss-Hermite quadrature over z and ε."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    signal = mixing(nodes + mean)
    x = signal[:, None] + level * np.hypot(1, slope * signal)[:, None] * nodes
    return np.array([weights @ x**order @ weights for order in ORDERS])


def signal_moments(mean: float) -> np.ndarray:
    """Moments of f(z) of order 1 to 4 for z ~ N(mean, 1), by the trapezoidal rule."""
    z = np.linspace(-10, 10, 801)
    return mixing(z + mean) ** np.array(ORDERS)[:, None] @ (stats.norm.pdf(z) * (z[1] - z[0]))


def solved_moments(seen: np.ndarray, level: float, slope: float) -> np.ndarray:
    """Moments of f(z) from those of x, by forward substitution."""
    system, constant = np.zeros((4, 4)), np.zeros(4)
    even = (1.0, 1.0, 3.0)
    for row, order in enumerate(ORDERS):
        for j in range(order // 2 + 1):
            for i in range(j + 1):
                power, size = order - 2 * j + 2 * i, comb(order, 2 * j) * comb(j, i) * even[j] * level ** (2 * j)
                if power:
                    system[row, power - 1] += size * slope ** (2 * i)
                else:
                    constant[row] += size
    return np.linalg.solve(system, seen - constant)


def _means(world: World) -> np.ndarray:
    """Latent means, the first coordinates of W lₑ brought to [-1, 1]."""
    means = (world.labels @ world.W.T)[:, 0]
    return means / (1 + np.abs(means).max())


def measure(world: World, slope: float = 0.7, claimed: float = 0.7) -> Measurement:
    """Moments of f(z) solved for from those of x, against their integrals. Rounding: 801 terms of size up to 10⁴."""
    worst = max(
        float(np.abs(solved_moments(noisy_moments(m, 0.5, slope), 0.5, claimed) - signal_moments(m)).max())
        for m in _means(world)
    )
    return Measurement("equal_moments", worst, 801e4 * EPS)


def _steeper(size: Rational) -> Model:
    """y = z ~ N(0, 1) and noise of variance 1 + (1 + size) y², where the rival takes 1 + y² for known.

    The second moment of x is 3 + size, from which the rival has the second moment (2 + size)/2 of y and not 1.
    """
    mean = Symbol("m", real=True)
    return compare(
        ("second moment of y as solved for, and as it is", (3 + size - 1) / Integer(2), Integer(1)),
        ("first moment of y", mean + 0 * size, mean),
    )


def _waved(size: Rational) -> Model:
    """y log-normal, log y ~ N(0, 1), against that density times 1 + size sin(2π log y): equal moments (Heyde 1963).

    The moment of order k differs by the integral of sin(2π (t + k)) against N(0, 1), and the sine is odd and has the
    period 1. The gap is that of the ratio of the densities at log y = 1/4.
    """
    t = Symbol("t", real=True)
    wave = size * sin(2 * pi * t)
    same = ((f"wave moved by {k}, as the moment of order {k} does", wave.subs(t, t + k), wave) for k in (1, 2, 3))
    return compare(
        ("ratio of the densities at log y = 1/4", 1 + wave.subs(t, Rational(1, 4)), Integer(1)),
        ("the wave is odd", wave.subs(t, -t), -wave),
        *same,
    )


GROWING = Claim(
    name="growing_noise",
    number="2.11d",
    statement="noise whose variance is a known quadratic function of f(z) leaves the moments of f(z) determined",
    latex=r"x = y + v(y)\,\varepsilon,\ v(y)^2 = s^2 (1 + a^2 y^2):\quad"
    r" E\,x^k = E(1 + s a \varepsilon)^k \cdot E\,y^k + \text{lower moments of } y",
    assumptions=(QUADRATIC, DETERMINATE, EQUIVALENT),
    source=OURS,
    proof=_moments(),
    conclusions=("equal_moments", "same_law"),
    says=((Matrix(rival[:2]), "=", Matrix(own[:2])), (rival_law, "=", law)),
    check=lambda fault=0.0: tuple(measure(world, claimed=0.7 + 1e-3 * fault) for world in worlds(6)),
    counterexamples=(
        Counterexample(
            QUADRATIC, "where the growth of the noise is not known the spread of f(z) is not", _steeper, "same_law"
        ),
        Counterexample(DETERMINATE, "a log-normal law is not determined by its moments", _waved, "same_law"),
        *rivals.counterexamples("same_law", EQUIVALENT),
    ),
    remark="f of at most linear growth has the tails of a Gaussian, which moments determine (Carleman).",
)

OFF_ZERO = Lemma(
    "selection",
    "R selects the values off zero and Z the value zero: R Z = 0 and R P = P R",
    "both are diagonal, and P is",
    (),
    ((R * Z, ZeroMatrix(n, n)), (R * P, P * R)),
)
SAME = Lemma("seen", "x has one law in both models", "under a training label", EQUIVALENT, ((rival_x, law_x),))


def _weights() -> tuple[Step | Lemma, ...]:
    off_zero = Step(
        "off_zero",
        "off zero the law of an entry of x is 1 − π times that of y: R x = (I − P) R y, P = diag(π), R off zero",
        R * law_x,
        R * law_y - P * R * law_y,
        (
            Equation(LOST, law_x, law_y - P * law_y + Z * P * law_y),
            OFF_ZERO.equation(0),
            OFF_ZERO.equation(1),
        ),
        generic=(law_x, law_y),
    )
    weighted = Step(
        "weighted",
        "with V = (I − P)⁻¹ the law of y off zero is V R x",
        V * R * law_x,
        R * law_y,
        (off_zero.equation(), Equation(LOST, V * P, V - Identity(n))),
        generic=(law_x, law_y, V),
    )
    same = Step(
        "same_off_zero",
        "off zero an entry of f̃(z̃) has the law of that of f(z) under every training label",
        R * rival_y,
        R * law_y,
        (
            weighted.equation({law_x: rival_x, law_y: rival_y, V: V_rival}).reversed(),
            Equation(KNOWN_LOSS, V_rival, V),
            SAME.equation(),
            weighted.equation(),
        ),
    )
    whole = Lemma(
        "same_law",
        "f̃(z̃) has the law of f(z) under every training label",
        "the mass at zero is what is left to 1; entries one by one, each loss being independent of the others given z",
        (LOST, same),
        ((rival_y, law_y),),
    )
    return OFF_ZERO, SAME, off_zero, weighted, same, whole


def loss(values: np.ndarray) -> np.ndarray:
    """π(y) = 1/(1 + exp(1 + y)), a loss of weak signals."""
    return 1 / (1 + np.exp(1 + values))


def observed_law(values: np.ndarray, law: np.ndarray) -> np.ndarray:
    """The law of x on the values, the first of which is 0, by moving what is lost there, value by value."""
    moved = np.zeros(len(values))
    for value, mass, share in zip(range(len(values)), law, loss(values), strict=True):
        moved[value] += mass * (1 - share)
        moved[0] += mass * share
    return moved


def recovered_law(values: np.ndarray, law: np.ndarray, factor: float = 1.0) -> np.ndarray:
    """The law of y from that of x, weighted by 1/(1 - π) off zero; π is taken times `factor`."""
    weighted = np.where(np.arange(len(values)) > 0, law / (1 - factor * loss(values)), 0.0)
    return weighted + np.where(np.arange(len(values)) > 0, 0.0, 1 - weighted.sum())


def measure_loss(world: World, factor: float = 1.0) -> Measurement:
    """A law on 0 and the entries of f(z), found again from that of x. Rounding: sums of 65 masses."""
    values = np.append(0.0, np.sort(mixing(world.z_base[:, 0])))
    law = (2 + np.cos(np.arange(len(values)))) / (2 + np.cos(np.arange(len(values)))).sum()
    result = recovered_law(values, observed_law(values, law), factor)
    return Measurement("same_off_zero", float(np.abs(result - law).max()), 65 * EPS)


def _scaled(size: Rational) -> Model:
    """Entries that are kept are 1 + size times those of f(z): their mean, and not the law of f(z), is seen."""
    rate = Symbol("pi", positive=True)
    return compare(("mean of the kept entries over that of f(z)", 1 + size, Integer(1)), ("share lost", rate, rate * 1))


def _tilted(size: Rational) -> Model:
    """y uniform on [1, 2], lost with probability size (y - 1)/2, against a rival lost with probability size/4.

    The rival has the density (1 - size (y - 1)/2)/(1 - size/4). The gap is that of the means.
    """
    share, rate = size * (y - 1) / 2, size / 4
    density = (1 - share) / (1 - rate)
    return compare(
        ("mean of f(z)", integrate(y * density, (y, 1, 2)), Rational(3, 2)),
        ("density of what is seen", (1 - rate) * density, 1 - share),
        ("mass", integrate(density, (y, 1, 2)), Integer(1)),
    )


LOSSES = Claim(
    name="entry_loss",
    number="2.11e",
    statement="entries lost with a known probability, of the signal or not, leave the law of f(z) determined",
    latex=r"P(x_g = 0 \mid y) = \pi(y_g) < 1:\quad P(y_g \in dy) = \frac{P(x_g \in dy)}{1 - \pi(y)}\ \text{off zero}",
    assumptions=(LOST, KNOWN_LOSS, EQUIVALENT),
    source=f"{OURS}; the weights are those of Horvitz and Thompson (1952)",
    proof=_weights(),
    conclusions=("same_off_zero", "same_law"),
    says=((R * rival_y, "=", R * law_y), (rival_y, "=", law_y)),
    check=lambda fault=0.0: tuple(measure_loss(world, 1 + 1e-3 * fault) for world in worlds(6)),
    counterexamples=(
        Counterexample(LOST, "where what is kept is altered as well, its law is not that of f(z)", _scaled, "same_law"),
        Counterexample(
            KNOWN_LOSS, "a loss of the signal may be taken for another law of the signal", _tilted, "same_law"
        ),
        *rivals.counterexamples("same_law", EQUIVALENT),
    ),
    remark="Where π does not depend on the signal its rate need not be known, as long as no entry of f(z) is zero: "
    "cells without a zero have the law of f(z).",
)

CLAIMS = (GROWING, LOSSES)
