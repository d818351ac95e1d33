"""Type-I error of every test of the library in null worlds of several kinds, against exact bands.

Run: `python -m experiments.benchmarks.calibration [--worlds 1000] [--workers 2] [--seed 0] [--only WORD] [--out PNG]`.

For each test and each kind of world, the share of worlds with a p-value at or below 1, 5 and 10 %, beside the exact
binomial 99 % band around what the test claims. Permutation p-values are multiples of 1/200 (1/400 over four
environments), so that every level, and every level that Holm and BH divide it into, is attained exactly. A claim is
``exact`` (a band on both sides) or ``at most`` (only too many rejections count): ties of counts, and laws at the
margin of an equivalence test. One test is ``wrong``, to show that the table would tell. Worlds that the guard against
shared cells refuses are counted as not rejected, and said. Power of the equivalence test is that at equal laws.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from scipy import integrate, special, stats

from experiments.benchmarks.machine import describe
from pdae_sim.analysis._permutation import quadratic_forms, relabellings, upper_p_value
from pdae_sim.analysis.hypothesis_tests.additivity import additivity_test
from pdae_sim.analysis.hypothesis_tests.multiple_testing import CorrectedTests, judge_environments
from pdae_sim.analysis.hypothesis_tests.two_sample import energy_test, equivalence_test, mmd_test
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.simulation.worlds import world

WORLDS, PERMUTATIONS, COVERAGE = 1000, 199, 0.99
LEVELS = (0.01, 0.05, 0.10)
ENVIRONMENTS, PERMUTATIONS_EACH = "ABCD", 399
EXACT, AT_MOST, POWER, CONTROL = "exact", "at most", "power", "wrong"

Rng = np.random.Generator
Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Claim:
    """What is checked: an error of a world by level, its expectation, and on which sides it may not miss it.

    Args:
        test: The test, in words.
        kind: The kind of world, in words.
        errors: From a generator, (3,) errors at `LEVELS`: 0 or 1, or a share; NaN where the test refuses.
        expected: (3,) their expectation, as claimed.
        side: ``exact``, ``at most``, ``power``, which claims nothing, or ``wrong``, which claims exactness in vain.
    """

    test: str
    kind: str
    errors: Callable[[Rng], np.ndarray]
    expected: tuple[float, ...] = LEVELS
    side: str = EXACT


@dataclass(frozen=True, eq=False)
class Found:
    """Errors of many worlds beside the band of a claim.

    Args:
        claim: What was checked.
        mean: (3,) mean error by level.
        band: (3, 2) where it lies with probability 99 % if the claim is exactly true; more for errors that are shares,
            which vary no more than those that are 0 or 1.
        refused: Worlds that the guard refused.
        worlds: In all.
    """

    claim: Claim
    mean: np.ndarray
    band: np.ndarray
    refused: int
    worlds: int

    @property
    def missed(self) -> np.ndarray:
        """(3,) booleans: above the band, or below it where the claim is exact."""
        above, below = self.mean > self.band[:, 1] + 1e-12, self.mean < self.band[:, 0] - 1e-12
        nothing = np.zeros(3, bool)
        return {EXACT: above | below, AT_MOST: above, POWER: nothing, CONTROL: above | below}[self.claim.side]


def rejected(p_value: float) -> np.ndarray:
    """(3,) whether a p-value is at most each level."""
    return (p_value <= np.array(LEVELS) + 1e-12).astype(float)


# Two samples of one law


def gaussian(rng: Rng) -> Pair:
    """40 and 40 standard normal cells in three dimensions."""
    return rng.normal(size=(40, 3)), rng.normal(size=(40, 3))


def heavy_tailed(rng: Rng) -> Pair:
    """Student's t with 1.5 degrees of freedom: a mean, no variance."""
    return rng.standard_t(1.5, (40, 3)), rng.standard_t(1.5, (40, 3))


def counts(rng: Rng) -> Pair:
    """Poisson counts with mean 0.7: most rows are tied with another."""
    return tuple(rng.poisson(0.7, (40, 2)).astype(float) for _ in range(2))


def unequal(rng: Rng) -> Pair:
    """70 cells against 10, exponential."""
    return rng.exponential(size=(70, 3)), rng.exponential(size=(10, 3))


def many_columns(rng: Rng) -> Pair:
    """20 and 20 cells in a hundred dimensions."""
    return rng.normal(size=(20, 100)), rng.normal(size=(20, 100))


PAIRS = {
    "Gaussian": gaussian, "heavy-tailed": heavy_tailed, "counts with ties": counts, "unequal n": unequal,
    "high d": many_columns,
}  # fmt: skip


def two_sample(test: Callable, draw: Callable[[Rng], Pair]) -> Callable[[Rng], np.ndarray]:
    """Rejections of a permutation test of two samples of one law."""
    return lambda rng: rejected(test(*draw(rng), n_permutations=PERMUTATIONS, rng=rng).p_value)


def least_over_bandwidths(rng: Rng) -> np.ndarray:
    """A wrong test: the least p-value over bandwidths, as it is."""
    z, H = np.vstack(gaussian(rng)), relabellings(40, 40, PERMUTATIONS, rng)
    kernels = [lambda D, w=w: np.exp(-((D / w) ** 2)) for w in (0.3, 1.0, 3.0, 10.0)]
    return rejected(min(upper_p_value(values) for values in quadratic_forms(z, H, kernels)))


# Two laws at the margin


def gaussian_margin(d: int, shift: float) -> float:
    """ED between N(0, I) and the same shifted: 2 E‖Z + δ‖ − 2 E‖Z‖ with Z ~ N(0, 2 I)."""
    mean = math.sqrt(2) * math.exp(special.gammaln((d + 1) / 2) - special.gammaln(d / 2))
    return 2 * math.sqrt(2) * mean * (special.hyp1f1(-0.5, d / 2, -(shift**2) / 4) - 1)


def heavy_margin(shift: float) -> float:
    """ED between t(3) and the same shifted, 2 ∫ (F − G)²."""
    law = stats.t(3)
    return 2 * integrate.quad(lambda u: (law.cdf(u) - law.cdf(u - shift)) ** 2, -np.inf, np.inf)[0]


def count_margin(first: float, second: float) -> float:
    """ED between two Poisson laws, 2 Σ (F − G)²."""
    k = np.arange(200)
    return float(2 * ((stats.poisson.cdf(k, first) - stats.poisson.cdf(k, second)) ** 2).sum())


def normal_pair(n: int, m: int, d: int, shift: float) -> Callable[[Rng], Pair]:
    """Normal cells, the second sample's first coordinate shifted."""
    return lambda rng: (rng.normal(size=(n, d)), rng.normal(size=(m, d)) + shift * np.eye(d)[0])


def heavy_pair(shift: float) -> Callable[[Rng], Pair]:
    """100 cells of t(3) against as many, shifted."""
    return lambda rng: (rng.standard_t(3, 100), rng.standard_t(3, 100) + shift)


def count_pair(first: float, second: float) -> Callable[[Rng], Pair]:
    """100 Poisson counts against as many of another mean."""
    return lambda rng: tuple(rng.poisson(mean, 100).astype(float) for mean in (first, second))


MARGINS: dict[str, tuple[Callable[[Rng], Pair], Callable[[Rng], Pair], float]] = {
    "Gaussian": (normal_pair(100, 100, 1, 0.5), normal_pair(100, 100, 1, 0.0), gaussian_margin(1, 0.5)),
    "heavy-tailed": (heavy_pair(0.7), heavy_pair(0.0), heavy_margin(0.7)),
    "counts with ties": (count_pair(2, 2.8), count_pair(2, 2), count_margin(2, 2.8)),
    "unequal n": (normal_pair(200, 40, 3, 1.0), normal_pair(200, 40, 3, 0.0), gaussian_margin(3, 1.0)),
    "high d": (normal_pair(100, 100, 50, 2.0), normal_pair(100, 100, 50, 0.0), gaussian_margin(50, 2.0)),
}
"""By kind: laws at the margin, equal laws, and the margin."""


def equivalence(draw: Callable[[Rng], Pair], margin: float) -> Callable[[Rng], np.ndarray]:
    """Whether two samples are called a match."""
    return lambda rng: rejected(equivalence_test(*draw(rng), margin).p_value)


# Several environments


def environments(rng: Rng, shifts: Sequence[float]) -> CorrectedTests:
    """Tests of four environments of 30 and 30 normal cells, some of them predicted with a shift."""
    observed = {name: rng.normal(size=(30, 2)) for name in ENVIRONMENTS}
    predicted = {name: rng.normal(size=(30, 2)) + shift for name, shift in zip(ENVIRONMENTS, shifts, strict=True)}
    return judge_environments(predicted, observed, n_permutations=PERMUTATIONS_EACH, rng=rng)


def any_rejected(correction: str) -> Callable[[Rng], np.ndarray]:
    """Whether anything is rejected where every prediction is right."""

    def errors(rng: Rng) -> np.ndarray:
        found = environments(rng, (0.0,) * 4)
        return np.array([float(bool(found.rejected(a + 1e-12, correction=correction))) for a in LEVELS])

    return errors


def false_discoveries(rng: Rng) -> np.ndarray:
    """The share of BH's rejections that is false; of four environments two are predicted wrongly."""
    found = environments(rng, (0.0, 0.0, 1.0, 1.0))
    sets = [set(found.rejected(a + 1e-12, correction="bh")) for a in LEVELS]
    return np.array([len(names & {"A", "B"}) / max(len(names), 1) for names in sets])


# Effects that add


def square(x: Callable[[np.ndarray, Rng], np.ndarray], sizes: Sequence[int]) -> Callable[[Rng], PerturbationData]:
    """Control, A, B and A+B of these sizes, with the cells that x draws from their labels."""
    labels = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=float)
    environment = np.repeat(np.arange(4), sizes)
    return lambda rng: PerturbationData(x(labels[environment], rng), labels, environment, ("A", "B"))


def beside(labels: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """A and B shift a coordinate each, whatever the law of independent coordinates: the formula holds exactly."""
    draws[:, :2] += labels
    return draws


def mixed(rng: Rng) -> PerturbationData:
    """A world of two latents under a nonlinear mixing, with 150 cells each."""
    seed = int(rng.integers(2**31))
    return world("three-singles", seed=seed).simulator().sample(("ctrl", "A", "B", "A+B"), 150, rng=rng).data


SQUARES: dict[str, Callable[[Rng], PerturbationData]] = {
    "Gaussian, mixed": mixed,
    "heavy-tailed": square(lambda labels, rng: beside(labels, rng.standard_t(3, (len(labels), 3))), [150] * 4),
    "counts with ties": square(lambda labels, rng: rng.poisson(2 + 2 * labels).astype(float), [150] * 4),
    "unequal n": square(lambda labels, rng: beside(labels, rng.normal(size=(len(labels), 3))), (300, 120, 100, 60)),
    "high d": square(lambda labels, rng: beside(labels, rng.normal(size=(len(labels), 30))), [150] * 4),
}


def additivity(draw: Callable[[Rng], PerturbationData]) -> Callable[[Rng], np.ndarray]:
    """Rejections of the product formula where it holds."""
    return lambda rng: rejected(additivity_test(draw(rng), "A+B", n_multipliers=PERMUTATIONS, rng=rng).p_value)


def claims() -> list[Claim]:
    """Every test at every kind of world."""
    made = [
        Claim(name, kind, two_sample(test, draw), side=AT_MOST if draw is counts else EXACT)
        for name, test in (("energy", energy_test), ("MMD", mmd_test))
        for kind, draw in PAIRS.items()
    ]
    made.append(Claim("MMD, least p over bandwidths", "Gaussian", least_over_bandwidths, side=CONTROL))
    for kind, (at_margin, equal, margin) in MARGINS.items():
        made += [
            Claim("equivalence", f"{kind}, at the margin", equivalence(at_margin, margin), side=AT_MOST),
            Claim("equivalence", f"{kind}, equal laws", equivalence(equal, margin), side=POWER),
        ]
    family = tuple(1 - (1 - a / len(ENVIRONMENTS)) ** len(ENVIRONMENTS) for a in LEVELS)
    made += [
        Claim("environments, Holm", "all null: any rejected", any_rejected("holm"), family),
        Claim("environments, BH", "all null: any rejected", any_rejected("bh")),
        Claim("environments, BH", "half null: share false", false_discoveries, tuple(a / 2 for a in LEVELS)),
    ]
    return made + [Claim("additivity", kind, additivity(draw)) for kind, draw in SQUARES.items()]


def judged(claim: Claim, worlds: int, workers: int, seed: int) -> Found:
    """A claim in so many worlds, the same whatever the number of workers."""
    parts = np.array_split(np.arange(worlds), min(8 * workers, worlds))
    errors = np.concatenate(Parallel(n_jobs=workers)(delayed(_errors)(claim, seed, part) for part in parts))
    refused = np.isnan(errors[:, 0])
    errors[refused] = 0.0
    band = np.column_stack(stats.binom.interval(COVERAGE, worlds, np.array(claim.expected))) / worlds
    return Found(claim, errors.mean(0), band, int(refused.sum()), worlds)


def _errors(claim: Claim, seed: int, numbers: np.ndarray) -> np.ndarray:
    return np.array([_one(claim, np.random.default_rng([seed, number])) for number in numbers])


def _one(claim: Claim, rng: Rng) -> np.ndarray:
    try:
        return claim.errors(rng)
    except InputError:
        return np.full(3, np.nan)


def line(found: Found) -> str:
    """One row of the table."""
    cells = [
        f"{100 * mean:.1f}" + _band(found.claim.side, *(100 * band))
        for mean, band in zip(found.mean, found.band, strict=True)
    ]
    misses = [f"{100 * a:g} %" for a, missed in zip(LEVELS, found.missed, strict=True) if missed]
    held = {EXACT: "inside", AT_MOST: "not above", POWER: "–", CONTROL: "NOT SEEN"}[found.claim.side]
    verdict = f"outside at {', '.join(misses)}" if misses else held
    refused = f", {found.refused} refused" if found.refused else ""
    return (
        f"| {found.claim.test} | {found.claim.kind}{refused} | {' | '.join(cells)} | {found.claim.side} | {verdict} |"
    )


def _band(side: str, low: float, high: float) -> str:
    return {POWER: "", AT_MOST: f" (≤ {high:.1f})"}.get(side, f" ({low:.1f}–{high:.1f})")


def figure(found: Sequence[Found]) -> object:
    """A dot per test and kind of world beside its band, one panel per level."""
    from pdae_sim.report._palette import INK, MUTED, PREDICTED, TRUE, WIDE, blank, house_style, settle

    shown = [f for f in found if f.claim.side != POWER]
    with house_style():
        drawn = blank(WIDE + 2, 0.21 * len(shown) + 1.0)
        drawn.get_layout_engine().set(w_pad=0.12)
        panels = drawn.subplots(1, 3, sharey=True)
        for j, (axes, level) in enumerate(zip(panels, LEVELS, strict=True)):
            for y, each in enumerate(shown):
                low = each.band[j, 0] if each.claim.side == EXACT else 0.0
                axes.plot(
                    100 * np.array([max(low, 0), each.band[j, 1]]),
                    [y, y],
                    color="#d3d9e1",
                    linewidth=7,
                    solid_capstyle="butt",
                    zorder=1,
                )
                colour = PREDICTED if each.missed[j] else TRUE
                axes.plot(100 * each.mean[j], y, "o", markersize=4.5, color=colour, clip_on=False, zorder=3)
            axes.axvline(100 * level, color=MUTED, linewidth=0.8, linestyle=(0, (4, 2)), zorder=2)
            axes.set_title(f"level {100 * level:g} %")
            axes.set_xlim(left=0)
        panels[0].set_yticks(range(len(shown)), [f"{f.claim.test}: {f.claim.kind}" for f in shown], color=INK)
        panels[0].set_ylim(len(shown) - 0.4, -0.6)
        panels[1].set_xlabel(f"errors per hundred of {shown[0].worlds:,} worlds; grey: 99 % band of the claim")
        settle(drawn)
    return drawn


def main() -> None:
    """Print the table, and draw it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="a word that the test's name must hold")
    parser.add_argument("--out", type=Path, help="where to save the figure")
    given = parser.parse_args()
    start = time.perf_counter()
    head = " | ".join(f"{100 * a:g} % level: errors, % (band)" for a in LEVELS)
    print(
        f"{given.worlds} worlds each, seeds ({given.seed}, 0 … {given.worlds - 1}), {PERMUTATIONS} relabellings "
        f"({PERMUTATIONS_EACH} per environment); {describe()}\n\n| test | worlds | {head} | claim | |\n|{'---|' * 7}"
    )
    found = []
    for claim in claims():
        if given.only in claim.test:
            found.append(judged(claim, given.worlds, given.workers, given.seed))
            print(line(found[-1]), flush=True)
    held_to = [f for f in found if f.claim.side in (EXACT, AT_MOST)]
    missed, sides = sum(int(f.missed.sum()) for f in held_to), len(LEVELS) * len(held_to)
    print(f"\n{missed} of {sides} shares outside their 99 % band; {(time.perf_counter() - start) / 60:.1f} minutes")
    if given.out is not None:
        figure(found).savefig(given.out, dpi=192)


if __name__ == "__main__":
    main()
