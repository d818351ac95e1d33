"""Claim 3.3: a sample of n cells is at expected energy distance E‖X - X'‖^β / n from its law.

Hence a prediction at energy distance ED is worth n_eff = E‖X - X'‖^β / ED cells. What was tried against it: cells that
depend on each other, and cells from another law; either moves the expectation, so both assumptions stay.
"""

from itertools import product

import numpy as np
from sympy import Integer, Rational, Symbol, symbols

from theory.energy.distance import energy_distance, laws, n
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare

cross, within, apart, itself = symbols(
    r"\mathbb{E}\lvert{X_{i}-Y}\rvert V \mathbb{E}\lvert{X_{i}-X_{j}}\rvert \mathbb{E}\lvert{X_{i}-X_{i}}\rvert",
    real=True,
)
other, spread, spread_other, wrong, cross_other = symbols(
    r"V' m m_Q \mathrm{ED} \mathbb{E}_{Q}\lvert{X_{i}-Y}\rvert", real=True
)
within_wrong, apart_wrong = symbols(r"V_Q \mathbb{E}_{Q}\lvert{X_{i}-X_{j}}\rvert", real=True)
k = Symbol("k", integer=True, positive=True)

IDENTICAL = Assumption(
    "identical", "every cell of the sample has the law P, and 𝔼|X − X′|ᵝ is finite", states=((cross, spread),)
)
INDEPENDENT = Assumption("independent", "the cells are independent of each other", states=((apart, spread),))


def _within(name: str, statement: str, own: Symbol, n: Symbol, two: Symbol, m: Symbol) -> Step:
    """The mean distance of the pairs within a sample of n cells, two of which are m apart."""
    of_law = Equation((INDEPENDENT, IDENTICAL), two, m, ((apart, two), (spread, m)))
    mean = Equation(DEFINITION, own, (n * itself + n * (n - 1) * two) / n**2)
    return Step(name, statement, own, m - m / n, (mean, Equation(DEFINITION, itself, Integer(0)), of_law))


def _worth() -> tuple[Step, ...]:
    told = "of the n² pairs within the sample n are a cell with itself: their mean distance is (1 − 1/n) m"
    pairs = _within("within_sample", told, within, n, apart, spread)
    pairs_other = _within("within_other", "the same of k cells", other, k, apart, spread)
    pairs_wrong = _within("within_wrong", "the same of n cells of Q", within_wrong, n, apart_wrong, spread_other)
    same = Equation(IDENTICAL, cross, spread)
    worth = Step(
        "worth",
        "𝔼 ED(Pₙ, P) = 2 m − (1 − 1/n) m − m = m / n",
        2 * cross - within - spread,
        spread / n,
        (pairs.equation(), same),
    )
    two = Step(
        "two_samples",
        "𝔼 ED(Pₙ, P′ₖ) = m (1/n + 1/k) for two samples of P",
        2 * cross - within - other,
        spread / n + spread / k,
        (pairs.equation(), pairs_other.equation(), same),
    )
    off = Step(
        "wrong_law",
        "n cells of another law Q are at 𝔼 ED(Qₙ, P) = ED(Q, P) + m_Q / n",
        2 * cross_other - within_wrong - spread,
        wrong + spread_other / n,
        (
            pairs_wrong.equation(),
            Equation(DEFINITION, cross_other, (wrong + spread_other + spread) / 2),
        ),
    )
    return pairs, worth, pairs_other, two, pairs_wrong, off


def measure_worth(world: World, n_cells: int, claimed: float | None = None, factor: float = 1.0) -> Measurement:
    """E ED(P_n, P) by enumerating all samples of n cells from a law on three points, against `claimed` or m / n."""
    points, p, _ = laws(world)
    points, p = points[:3], p[:3] / p[:3].sum()
    expected = sum(
        np.prod(p[list(chosen)]) * energy_distance(points, np.bincount(chosen, minlength=3) / n_cells, p)
        for chosen in product(range(3), repeat=n_cells)
    )
    spread = p @ np.linalg.norm(points[:, None] - points[None], axis=2) @ p
    claimed = factor * spread / n_cells if claimed is None else claimed
    return Measurement("worth", abs(expected - claimed), 64 * 3 ** (n_cells + 2) * EPS * (1 + np.abs(points).max()))


def _clones(size: Rational) -> Model:
    """Two cells that are copies of each other with probability `size`: E|X_1 - X_2| = (1 - size) m."""
    mean, own = Symbol("m", positive=True), Integer(1)
    within = (1 - size) * own / 2
    return compare(
        ("𝔼 ED of two cells", 2 * own - within - own, own / 2),
        ("mean distance of a cell from another of P", size * mean + (1 - size) * mean, mean),
    )


def _drift(size: Rational) -> Model:
    """P is a point mass at 0, the cells are at `size`: ED = 2 size where m / n = 0."""
    x, y = symbols("x y", real=True)
    return compare(("𝔼 ED", 2 * size, Integer(0)), ("distances among the cells", (x + size) - (y + size), x - y))


CLAIM = Claim(
    name="energy_worth",
    number="3.3",
    statement="n independent cells of P are at expected energy distance 𝔼|X − X′|ᵝ / n from P",
    latex=r"E\,\mathrm{ED}(\hat P_n, P) = \frac{E\|X - X'\|^\beta}{n},\qquad"
    r" n_{\mathrm{eff}} = \frac{E\|X - X'\|^\beta}{\mathrm{ED}}",
    assumptions=(IDENTICAL, INDEPENDENT),
    source="the gap between V and U statistic; the score that corrects for it is fair, Ferro (2014), Q. J. R. Meteorol."
    " Soc. 140",
    proof=_worth(),
    conclusions=("worth", "two_samples", "wrong_law"),
    says=(
        (2 * cross - within - spread, "=", spread / n),
        (2 * cross - within - other, "=", spread / n + spread / k),
        (2 * cross_other - within_wrong - spread, "=", wrong + spread_other / n),
    ),
    check=lambda fault=0.0: tuple(
        measure_worth(world, n_cells, factor=1 + 1e-3 * fault) for world in worlds(4) for n_cells in (1, 2, 3)
    ),
    counterexamples=(
        Counterexample(IDENTICAL, "cells from a law beside P keep their distance at any n", _drift, "worth"),
        Counterexample(INDEPENDENT, "two copies of a cell are worth one", _clones, "worth"),
    ),
)
