"""Claim 3.9: how the pairs of a batch must be weighed for its perturbation loss to have the population loss as mean.

A step holds b cells of each of E environments. Averaged first within each pair of environments, over distinct cells,
and then over pairs of environments, the mean over batches is the population loss. Averaged over all distinct pairs
alike, which is right for cells drawn from all environments together, own sources count (b - 1)/(E b - 1) instead of
1/E. The loss then has a slope at the truth, (E - 1)/(2 E (E b - 1)) times the spread of the cells simulated from other
sources less that of the own, so it draws Ŵ and decoder to where other sources are simulated with less spread.

What was tried against it: a cell compared with its own reconstruction. In such batches, and where reconstruction is
exact, that changes the value and not the slope along Ŵ; in batches drawn from all environments together it is the
other way round, and own pairs tilt the loss (3.5).
"""

from itertools import product

import numpy as np
from sympy import Expr, Integer, MatrixSymbol, Rational, Symbol, diff, symbols

from theory.assumptions import OURS
from theory.energy.distance import D, laws, n
from theory.energy.gaussian import mean_absolute
from theory.engine.instances import EPS, World, worlds
from theory.engine.proof import DEFINITION, Assumption, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, compare
from theory.training.loss import DISTINCT, half, mean_gap

E, b = (Symbol(name, integer=True, positive=True) for name in ("E", "b"))
sources, law, pooled = MatrixSymbol("Phat", n, E), MatrixSymbol("p_h", n, 1), MatrixSymbol("phat_h", n, 1)
weights, crosses, spreads = MatrixSymbol("omega", E, 1), MatrixSymbol("c", E, 1), MatrixSymbol("S", E, E)
cross, spread = MatrixSymbol(r"\mathrm{cross}", 1, 1), MatrixSymbol(r"\mathrm{spread}", 1, 1)
own, other = symbols(r"k_{\mathrm{own}} k_{\mathrm{other}}", positive=True)

BY_PAIR = Assumption(
    "by_pair",
    "distances are averaged within each pair of environments first, then over pairs of environments",
    states=((cross, crosses.T * weights), (spread, weights.T * spreads * weights)),
)
PAIRS = Lemma(
    "pairs",
    "over distinct cells the mean distance within a pair of environments is that of two independent cells",
    "distinct cells are independent",
    DISTINCT,
    ((crosses.T, law.T * D * sources), (spreads, sources.T * D * sources)),
)
COUNTED = Lemma(
    "counted",
    "own sources weigh (b − 1)/(E b − 1), others b/(E b − 1)",
    "`shares`, all distinct pairs alike",
    ("shares", DISTINCT),
    ((own, (b - 1) / (E * b - 1)), (other, b / (E * b - 1))),
)


def _proof() -> tuple[Step | Lemma, ...]:
    unbiased = Step(
        "unbiased",
        "the mean of the batch loss of target h is pₕᵀD p̂ₕ − p̂ₕᵀD p̂ₕ / 2, p̂ₕ the pooled simulated law",
        cross - half * spread,
        law.T * D * pooled - half * pooled.T * D * pooled,
        (
            Equation(BY_PAIR, cross, crosses.T * weights),
            Equation(BY_PAIR, spread, weights.T * spreads * weights),
            PAIRS.equation(0),
            PAIRS.equation(1),
            Equation(DEFINITION, sources * weights, pooled),
        ),
    )
    return PAIRS, unbiased, *_alike()


def _alike() -> tuple[Step, Lemma, Step]:
    """All distinct pairs alike: of E b - 1 partners of a cell b - 1 are of its own environment."""
    shares = Step(
        "shares",
        "b (b − 1) + (E − 1) b² = b (E b − 1) distinct pairs: own sources weigh (b − 1)/(E b − 1), others b/(E b − 1)",
        b * (b - 1) + (E - 1) * b**2,
        b * (E * b - 1),
    )
    truth, s_own, s = symbols(r"m s_{\mathrm{own}} s", positive=True)
    alike = (own * (truth + s_own) + (E - 1) * other * (truth + s) - (s_own + (E - 1) * s) / E) / 2
    by_pair = ((truth + s_own) / E + (E - 1) * (truth + s) / E - (s_own + (E - 1) * s) / E) / 2
    tilt = Step(
        "tilt",
        "to first order, where 𝔼|X − Y| = (s_P + s_Q)/2 + ED/2 and ED is of second order, all pairs alike add"
        " (E − 1)(s − s_own) / (2 E (E b − 1)), s the spread of the cells simulated from other sources",
        alike - by_pair,
        (E - 1) * (s - s_own) / (2 * E * (E * b - 1)),
        (COUNTED.equation(0), COUNTED.equation(1)),
    )
    return shares, COUNTED, tilt


def batch_loss(x: np.ndarray, simulated: np.ndarray, own: int, *, own_weight: float | None = None) -> float:
    """The loss of one target and one batch, for scalar cells.

    Args:
        x: (b,) cells of the target.
        simulated: (E, b) cells simulated from each source; row `own` from x itself, cell by cell.
        own: the target's own row.
        own_weight: weight of the pairs within an environment; None for 1/E, the others share the rest alike.
    """
    size, count = len(x), len(simulated)
    off = 1 - np.eye(size)
    gaps = np.abs(x[:, None] - simulated[:, None, :])
    within = np.abs(simulated[:, :, None, None] - simulated[None, None])
    crosses = np.array([gap[off > 0].mean() if e == own else gap.mean() for e, gap in enumerate(gaps)])
    spreads = np.array(
        [
            [within[e, :, k][off > 0].mean() if e == k else within[e, :, k].mean() for k in range(count)]
            for e in range(count)
        ]
    )
    inside = 1 / count if own_weight is None else own_weight
    outside = (1 - inside) / (count - 1)
    K = np.where(np.eye(count) > 0, inside, outside)
    return float(K[own] @ crosses - (K * spreads).sum() / count / 2)


def measure(world: World, own_weight: float | None = None) -> Measurement:
    """The mean over all batches of two environments and two cells, enumerated, against the population loss.

    Cells are on three points of a line; the other source is simulated by a permutation of the points.
    """
    points, p, q = laws(world)
    points, p, q = points[:3, 0], p[:3] / p[:3].sum(), q[:3] / q[:3].sum()
    moved = np.roll(points, 1)
    mean = sum(
        np.prod(p[list(first)])
        * np.prod(q[list(second)])
        * batch_loss(
            points[list(first)], np.stack([points[list(first)], moved[list(second)]]), 0, own_weight=own_weight
        )
        for first in product(range(3), repeat=2)
        for second in product(range(3), repeat=2)
    )
    pooled = (p + np.roll(q, -1)) / 2
    gaps = np.abs(points[:, None] - points)
    population = p @ gaps @ pooled - pooled @ gaps @ pooled / 2
    return Measurement("unbiased", abs(mean - population), 64 * 81 * EPS * (1 + np.abs(points).max()))


def _equal_pairs(size: Rational) -> Model:
    """E = b = 2, f = exp, W = 1, labels 0 and 1: own weight 1/2 - size/6 gives a slope along Ŵ = 1 + t at the truth."""
    t = Symbol("t", real=True)
    own, other = half - size / 6, half + size / 6
    here = {1: (Integer(1), 1 + t), 0: (Integer(0), -t)}

    def slope(own: Expr, other: Expr) -> Expr:
        total = Integer(0)
        for label, (mean, moved) in here.items():
            crosses = own * mean_gap([Integer(label)], [mean]) + other * mean_gap([Integer(label)], [moved])
            inside = mean_gap([mean], [mean]) + mean_gap([moved], [moved])
            total += crosses - (own * inside + 2 * other * mean_gap([mean], [moved])) / 4
        return diff(total, t).subs(t, 0)

    x = Symbol("x", real=True)
    return compare(
        ("slope of the loss along Ŵ at the truth", slope(own, other), Integer(0)),
        ("slope with the weights by pair, beside x", slope(half, half) + x, x),
        ("total weight", own + other, Integer(1)),
    )


def _own_reconstruction(size: Rational) -> Model:
    """A share size/2 of the pairs within the own environment is a cell and its exact reconstruction, at distance 0."""
    within = mean_absolute(Integer(0), Integer(2))
    x = Symbol("x", real=True)
    return compare(
        ("mean of the batch loss less the population loss", -size / 2 * within / 2, Integer(0)),
        ("reconstruction of a cell", x + size * 0, x),
    )


CLAIM = Claim(
    name="loss_batches",
    number="3.9",
    statement="averaged by pair of environments over distinct cells, the batch loss has the population loss as mean",
    latex=r"E\Big[\frac1E\sum_e \bar d(x_h, x_{e\to h}) - \frac1{2E^2}\sum_{e,e'} \bar d(x_{e\to h}, x'_{e'\to h})\Big]"
    r" = E\|x_h - \hat x_h\| - \tfrac12 E\|\hat x_h - \hat x_h'\|",
    assumptions=(BY_PAIR, DISTINCT),
    source=OURS,
    proof=_proof(),
    conclusions=("unbiased", "tilt"),
    says=(
        (cross - half * spread, "=", law.T * D * pooled - half * pooled.T * D * pooled),
        (_alike()[-1].left, "=", _alike()[-1].right),
    ),
    check=lambda fault=0.0: tuple(measure(world, 0.5 - 0.1 * fault) for world in worlds(6)),
    counterexamples=(
        Counterexample(BY_PAIR, "all distinct pairs alike: a slope at the truth", _equal_pairs, "unbiased"),
        Counterexample(
            DISTINCT, "pairs of a cell and its reconstruction lower the value", _own_reconstruction, "unbiased"
        ),
    ),
    remark="Averaged over all distinct pairs alike, a batch with as many cells of each environment gives own sources"
    " too little weight, and the loss a slope at the truth.",
)
