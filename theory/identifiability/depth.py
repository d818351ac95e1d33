"""Claim 2.12c: counts with totals N determine the moments of the proportions up to order N, and nothing else.

If a cell has N molecules and p = f(z) are the proportions of the genes, its counts are multinomial and their law is a
polynomial of degree N in p, averaged. So two laws of p with the same moments up to order N fit alike, whatever they are
otherwise: a law and its Gauss quadrature with n nodes for N = 2 n - 1. Depth is a resource of identification, and not
of precision only.

Tried against it. (i) Totals that vary between cells: the deepest cells decide; if totals are not bounded, all moments,
hence the law of p, are determined, as with the Poisson counts of 2.12. (ii) Many genes: they do not stand in for depth,
the moments of order N are those of all products of N proportions. (iii) That W is safe nevertheless: refuted for N = 1,
where a steeper f with smaller effects fits at every label.
"""

from math import comb, factorial

import numpy as np
from scipy import stats
from sympy import Add, Expr, Matrix, Mul, Rational, Symbol, binomial, expand, ff, integrate, sqrt, symbols

from theory.assumptions import OURS
from theory.engine.formulas import normal_cdf
from theory.engine.instances import EPS
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare

p = Symbol("p", positive=True)
moments, rival_moments = symbols("mu_1:4"), symbols("mutilde_1:4")
chances = symbols("P_0:4")
N_EXPLICIT = 3


def _averaged(polynomial: Expr, of: tuple[Symbol, ...]) -> Expr:
    """The expectation of a polynomial in p, its powers replaced by the moments."""
    expanded = expand(polynomial)
    return expanded.coeff(p, 0) + Add(*(expanded.coeff(p, j) * m for j, m in enumerate(of, 1)))


def _chances(of: tuple[Symbol, ...]) -> Matrix:
    n = N_EXPLICIT
    return Matrix([_averaged(binomial(n, j) * p**j * (1 - p) ** (n - j), of) for j in range(n + 1)])


MULTINOMIAL = Assumption(
    "multinomial",
    "given p = f(z) the counts of a cell are multinomial of p, with N molecules",
    states=tuple(zip(chances, _chances(moments), strict=True)),
)
SAME_MOMENTS = Assumption(
    "same_moments",
    "under every training label the law of p̃ has the moments of the law of p up to order N",
    states=tuple(zip(rival_moments, moments, strict=True)),
)


def _explicit() -> tuple[Step, Step]:
    n = N_EXPLICIT
    determined = Step(
        "determined",
        "N = 3, two genes: factorial moments of the count over those of N are the moments of p up to order 3",
        Matrix([Add(*(ff(j, order) * chances[j] for j in range(n + 1))) / ff(n, order) for order in (1, 2, 3)]),
        Matrix(moments),
        tuple(Equation(MULTINOMIAL, chances[j], _chances(moments)[j]) for j in range(1, n + 1)),
    )
    alike = Step(
        "alike",
        "N = 3, two genes: equal moments up to order 3 give equal chances of all counts",
        _chances(rival_moments),
        _chances(moments),
        tuple(Equation(SAME_MOMENTS, r, m) for r, m in zip(rival_moments, moments, strict=True)),
    )
    return determined, alike


LINEAR = Lemma(
    "linear",
    "for every N and any number of genes the law of the counts is a linear function of the moments of p up to order N,"
    " and determines them",
    "a multinomial probability is a monomial of degree N in p, and moments of lower order are sums of those of order N,"
    " proportions summing to 1; conversely by factorial moments; N = 3 in the steps `determined` and `alike`",
    (MULTINOMIAL, SAME_MOMENTS, "determined", "alike"),
)


def _gauss() -> tuple[Step, Step]:
    nodes = [Rational(1, 2) - sqrt(3) / 6, Rational(1, 2) + sqrt(3) / 6]
    discrete = [Add(*(node**k for node in nodes)) / 2 for k in range(1, 5)]
    uniform = [integrate(p**k, (p, 0, 1)) for k in range(1, 5)]
    letters = symbols("q_1:5")
    return (
        Step(
            "gauss",
            "p uniform, or 1/2 ± 1/√(12) with equal chances: the moments of order 1, 2, 3 are equal",
            Matrix(letters[:3]),
            Matrix(uniform[:3]),
            tuple(Equation(DEFINITION, letter, m) for letter, m in zip(letters[:3], discrete[:3], strict=True)),
        ),
        Step(
            "fourth",
            "and those of order 4 are not: 7/36 and 1/5",
            letters[3] - uniform[3],
            Rational(-1, 180),
            (Equation(DEFINITION, letters[3], discrete[3]),),
        ),
    )


c, m, shift, mean, rival_mean = symbols(r"c m \tilde{m} \mathbb{E}{p} \mathbb{E}{\tilde{p}}", positive=True)


def _one_molecule() -> tuple[Step | Lemma, ...]:
    probit = Lemma(
        "probit",
        "𝔼 Φ(c (z + m)) = Φ(c m / √(1 + c²)) for z ∼ N(0, 1)",
        "both are the probability that η ≤ c (z + m), η ∼ N(0, 1) independent of z",
        MULTINOMIAL,
        (
            (rival_mean, normal_cdf(c * shift / sqrt(1 + c**2))),
            (mean, normal_cdf(m / sqrt(2))),
        ),
    )
    steeper = Lemma(
        "steeper",
        "the rival has W̃ = W √(1 + c²) / (c √2)",
        "any W̃ is a model of the class",
        (),
        ((shift, Mul(m, sqrt(1 + c**2) / (c * sqrt(2)))),),
    )
    fits = Step(
        "one_molecule",
        "N = 1: p̃ = Φ(c z̃) with W̃ = W √(1 + c²) / (c √2) has the counts of p = Φ(z) at every label, so W is not"
        " identified",
        rival_mean,
        mean,
        (
            probit.equation(0),
            steeper.equation(),
            probit.equation(1),
        ),
    )
    return probit, steeper, fits


def quadrature(n_nodes: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1] that integrate polynomials up to degree 2 n_nodes - 1 exactly.

    Example:
        >>> nodes, weights = quadrature(2)
        >>> bool(np.isclose(weights @ nodes**3, 1 / 4)), bool(np.isclose(weights @ nodes**4, 1 / 5))
        (True, False)
    """
    nodes, weights = np.polynomial.legendre.leggauss(n_nodes)
    return (nodes + 1) / 2, weights / 2


def counts_of_nodes(n_nodes: int, total: int) -> np.ndarray:
    """P(x = k), k = 0 … total, for p one of the nodes."""
    nodes, weights = quadrature(n_nodes)
    return stats.binom.pmf(np.arange(total + 1)[:, None], total, nodes) @ weights


def counts_of_uniform(total: int) -> np.ndarray:
    """P(x = k), k = 0 … total, for p uniform on [0, 1]: beta-binomial."""
    return stats.betabinom.pmf(np.arange(total + 1), total, 1, 1)


def measure(n_nodes: int, extra: int = 0) -> tuple[Measurement, ...]:
    """Counts of a uniform law of p and of its Gauss quadrature: equal for N = 2 n - 1, and different for N = 2 n.

    The difference in the chance of N equal molecules at N = 2 n is the error of the quadrature for p^(2n), which is
    (n!)⁴/((2n + 1) ((2n)!)²). Rounding: sums of n terms, each of a binomial probability good to a few hundred eps.
    """
    deepest = 2 * n_nodes - 1 + extra
    same = np.abs(counts_of_nodes(n_nodes, deepest) - counts_of_uniform(deepest)).max()
    next_total = counts_of_uniform(2 * n_nodes) - counts_of_nodes(n_nodes, 2 * n_nodes)
    remainder = factorial(n_nodes) ** 4 / (
        (2 * n_nodes + 1) * comb(2 * n_nodes, n_nodes) ** 2 * factorial(n_nodes) ** 4
    )
    remainder *= 1 + extra
    bound = 500 * EPS
    return Measurement("alike", float(same), bound), Measurement("next", float(abs(next_total[-1] - remainder)), bound)


def _deeper(size: Rational) -> Model:
    """p uniform, or 1/2 ± 1/√(12): totals of 3 + size. The gap is that of the chance of molecules of gene 1 only."""
    nodes = [Rational(1, 2) - sqrt(3) / 6, Rational(1, 2) + sqrt(3) / 6]
    total, x = 3 + size, Symbol("x", positive=True)
    return compare(
        ("chance of molecules of gene 1 only", expand(Add(*(node**total for node in nodes)) / 2), 1 / (total + 1)),
        (
            "generating function of the counts at N = 3",
            expand(Add(*((1 - node + node * x) ** 3 for node in nodes)) / 2),
            integrate((1 - p + p * x) ** 3, (p, 0, 1)),
        ),
    )


def _tilted(size: Rational) -> Model:
    """p uniform, or 1/2 ± 1/√(12) with chances (1 ± size)/2: another mean, which one molecule shows."""
    nodes, t = [Rational(1, 2) - sqrt(3) / 6, Rational(1, 2) + sqrt(3) / 6], Symbol("t", real=True)
    tilted = Add(*(node * (1 + sign * size) / 2 for node, sign in zip(nodes, (-1, 1), strict=True)))
    masses = Add(*((1 + sign * size) / 2 for sign in (-1, 1)))
    return compare(("mean of p", tilted, Rational(1, 2)), ("total mass, times t", masses * t, t))


CLAIM = Claim(
    name="depth",
    number="2.12c",
    statement="counts with totals N determine the moments of the proportions p = f(z) up to order N, and nothing else",
    latex=r"x \sim \operatorname{Mult}(N, p):\quad P(x) = \binom{N}{x} E\, p^{x}"
    r"\ \text{depends on the moments of}\ p\ \text{up to order}\ N\ \text{alone}",
    assumptions=(MULTINOMIAL, SAME_MOMENTS),
    source=f"{OURS}; for mixtures of binomial laws Teicher (1963), Annals of Mathematical Statistics 34",
    proof=(*_explicit(), LINEAR, *_gauss(), *_one_molecule()),
    conclusions=("linear", "one_molecule"),
    confirmations=("gauss", "fourth"),
    says=(LINEAR.statement, (rival_mean, "=", mean)),
    check=lambda fault=0.0: tuple(m for n_nodes in range(1, 8) for m in measure(n_nodes, int(fault))),
    counterexamples=(
        Counterexample(MULTINOMIAL, "with four molecules in place of three the laws are told apart", _deeper, "linear"),
        Counterexample(SAME_MOMENTS, "a law of p with another mean is told apart", _tilted, "linear"),
    ),
    remark="Totals that vary without bound, as Poisson totals do, determine all moments. With totals of hundreds "
    "little is left open: polynomials of degree N in p come as near to a function with two derivatives as 1/N².",
)
