"""Type-I error of every test of the library in null worlds of several kinds, against exact bands.

Run: `python -m experiments.benchmarks.calibration [WORLDS] [--workers 2] [--seed 0] [--only WORD] [--out FILE]`.

For each test and each kind of world, the share of worlds with a p-value at or below 1, 5 and 10 %, beside the exact
binomial 99 % band around what the test claims. Permutation p-values are multiples of 1/200 (1/400 over four
environments), so that every level, and every level that Holm and BH divide it into, is attained exactly. A claim is
``exact`` (a band on both sides) or ``at most`` (only too many rejections count): ties of counts, and laws at the
margin of an equivalence test. One test is ``wrong``, to show that the table would tell. Worlds that the guard against
shared cells refuses are counted as not rejected, and said. Power of the equivalence test is that at equal laws. Sparse
worlds, of one positive cell, of rare binary genes, of Poisson means from 0.005 on, hold one positive entry at least.
`--out` adds the shares, with the number of worlds, to those that the file holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from experiments.benchmarks._laws import count_distance, normal_distance, student_distance
from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._worlds import band, measure_worlds
from pdae_sim.analysis._permutation import merge_ties, quadratic_forms, relabellings, upper_p_value
from pdae_sim.analysis.hypothesis_tests.additivity import additivity_test
from pdae_sim.analysis.hypothesis_tests.latent_law import common_law_test
from pdae_sim.analysis.hypothesis_tests.multiple_testing import CorrectedTests, two_sample_tests
from pdae_sim.analysis.hypothesis_tests.shared_effects import shared_effects_test
from pdae_sim.analysis.hypothesis_tests.two_sample import energy_test, equivalence_test, mmd_test
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.simulator import Simulator
from pdae_sim.simulation.worlds import world

PERMUTATIONS, PERMUTATIONS_EACH = 199, 399
LEVELS = (0.01, 0.05, 0.10)
ENVIRONMENTS = "ABCD"
EXACT, AT_MOST, POWER, CONTROL = "exact", "at most", "power", "wrong"

Rng = np.random.Generator
Pair = tuple[np.ndarray, np.ndarray]
Errors = Callable[[Rng], np.ndarray]


@dataclass(frozen=True)
class Claim:
    """A property of a test: an error of a world by level, its expectation, and on which sides it may not miss it.

    Args:
        test: The test, in words.
        kind: The kind of world, in words.
        errors: From a generator, (3,) errors at `LEVELS`: 0 or 1, or a share.
        expected: (3,) their expectation, as claimed. Shares vary no more than errors that are 0 or 1, so that the
            binomial band around it holds with probability 99 % or more.
        side: ``exact``, ``at most``, ``power``, which claims nothing, or ``wrong``, which claims exactness in vain.
    """

    test: str
    kind: str
    errors: Errors
    expected: tuple[float, ...] = LEVELS
    side: str = EXACT

    def in_world(self, seed: Sequence[int]) -> dict[str, np.ndarray]:
        """Errors in one world; NaN where the guard against shared cells refuses."""
        try:
            return {"errors": self.errors(np.random.default_rng(seed))}
        except InputError:
            return {"errors": np.full(3, np.nan)}

    def missed(self, mean: np.ndarray, bands: np.ndarray) -> np.ndarray:
        """(3,) booleans: above the band, or below it where the claim is exact."""
        above, below = mean > bands[:, 1] + 1e-12, mean < bands[:, 0] - 1e-12
        return {AT_MOST: above, POWER: np.zeros(3, bool)}.get(self.side, above | below)


def rejected(p_value: float) -> np.ndarray:
    """(3,) whether a p-value is at most each level."""
    return (p_value <= np.array(LEVELS) + 1e-12).astype(float)


def pair(draw: Callable[[Rng, int], np.ndarray], n: int = 40, m: int = 40, by: float = 0.0) -> Callable[[Rng], Pair]:
    """n and m rows of one law, the first coordinate of the latter shifted."""

    def act(rng: Rng) -> Pair:
        x, y = draw(rng, n), draw(rng, m)
        return x, y + by * np.eye(y.shape[1])[0]

    return act


def normal(d: int) -> Callable[[Rng, int], np.ndarray]:
    """Standard normal rows in d dimensions."""
    return lambda rng, n: rng.normal(size=(n, d))


PAIRS = {
    "Gaussian": pair(normal(3)),
    "heavy-tailed": pair(lambda rng, n: rng.standard_t(1.5, (n, 3))),  # a mean, no variance
    "counts with ties": pair(lambda rng, n: rng.poisson(0.7, (n, 2)).astype(float)),  # most rows are tied with another
    "unequal n": pair(lambda rng, n: rng.exponential(size=(n, 3)), 70, 10),
    "high d": pair(normal(100), 20, 20),
}
"""Two samples of one law."""


def positive_cells(k: int) -> Callable[[Rng], Pair]:
    """40 and 40 rows of two counts, of which k have a count of 1 or 2."""

    def act(rng: Rng) -> Pair:
        z = np.zeros((80, 2))
        z[rng.permutation(80)[:k], rng.integers(0, 2, k)] = rng.integers(1, 3, k)
        return z[:40], z[40:]

    return act


def positive_somewhere(draw: Callable[[Rng], Pair]) -> Callable[[Rng], Pair]:
    """Pairs drawn again until one entry is positive."""

    def act(rng: Rng) -> Pair:
        x, y = draw(rng)
        while not (x.any() or y.any()):
            x, y = draw(rng)
        return x, y

    return act


def poisson(means: Sequence[float]) -> Callable[[Rng, int], np.ndarray]:
    """Rows of Poisson counts with these means."""
    return lambda rng, n: rng.poisson(means, (n, len(means))).astype(float)


def binary(share: float) -> Callable[[Rng, int], np.ndarray]:
    """Rows of five genes that are on in this share of cells."""
    return lambda rng, n: (rng.random((n, 5)) < share).astype(float)


GENES = np.geomspace(0.005, 1.0, 20)
SPARSE = {
    "one positive cell": positive_cells(1),
    "two positive cells": positive_cells(2),
    "three positive cells": positive_cells(3),
    "binary genes, 1 %": positive_somewhere(pair(binary(0.01))),
    "binary genes, 10 %": pair(binary(0.1)),
    **{f"Poisson means {mean:g}": positive_somewhere(pair(poisson([mean] * 5))) for mean in (0.005, 0.05, 0.3)},
    "Poisson means 0.05, unequal n": positive_somewhere(pair(poisson([0.05] * 5), 70, 10)),
    "20 genes, Poisson means 0.005 to 1": pair(poisson(GENES)),
}
"""Two samples of one law with few positive entries, most rows tied with another."""


def three_samples(draw: Callable[[Rng], Pair]) -> Errors:
    """Rejections of one law in three samples: the first, and the halves of the second."""

    def errors(rng: Rng) -> np.ndarray:
        x, y = draw(rng)
        samples = {"A": x, "B": y[::2], "C": y[1::2]}
        return rejected(common_law_test(samples, n_permutations=PERMUTATIONS, rng=rng).p_value)

    return errors


def two_sample(test: Callable, draw: Callable[[Rng], Pair]) -> Errors:
    """Rejections of a permutation test of two samples of one law."""
    return lambda rng: rejected(test(*draw(rng), n_permutations=PERMUTATIONS, rng=rng).p_value)


def least_over_bandwidths(rng: Rng) -> np.ndarray:
    """A wrong test: the least p-value over bandwidths, as it is."""
    z, H = np.vstack(PAIRS["Gaussian"](rng)), relabellings(40, 40, PERMUTATIONS, rng)
    kernels = [lambda D, w=w: np.exp(-((D / w) ** 2)) for w in (0.3, 1.0, 3.0, 10.0)]
    return rejected(min(upper_p_value(values) for values in merge_ties(*quadratic_forms(z, H, kernels))))


def counts(second: float) -> Callable[[Rng], Pair]:
    """100 Poisson counts of mean 2 against as many of another mean."""
    return lambda rng: tuple(rng.poisson(mean, 100).astype(float) for mean in (2.0, second))


MARGINS: dict[str, tuple[Callable[[Rng], Pair], Callable[[Rng], Pair], float]] = {
    "Gaussian": (pair(normal(1), 100, 100, 0.5), pair(normal(1), 100, 100), normal_distance(0.5, 1)),
    "heavy-tailed": (
        pair(lambda rng, n: rng.standard_t(3, (n, 1)), 100, 100, 0.7),
        pair(lambda rng, n: rng.standard_t(3, (n, 1)), 100, 100),
        student_distance(0.7),
    ),
    "counts with ties": (counts(2.8), counts(2.0), count_distance(2, 2.8)),
    "unequal n": (pair(normal(3), 200, 40, 1.0), pair(normal(3), 200, 40), normal_distance(1.0, 3)),
    "high d": (pair(normal(50), 100, 100, 2.0), pair(normal(50), 100, 100), normal_distance(2.0, 50)),
}
"""By kind: laws at the margin, equal laws, and the margin."""
MARGINS |= {
    f"Poisson means {first:g} and {second:g}": (
        lambda rng, means=(first, second): tuple(rng.poisson(mean, 100).astype(float) for mean in means),
        lambda rng, mean=first: tuple(rng.poisson(mean, (2, 100)).astype(float)),
        count_distance(first, second),
    )
    for first, second in ((0.005, 0.1), (0.05, 0.2), (0.2, 0.5))
}


def equivalence(draw: Callable[[Rng], Pair], margin: float) -> Errors:
    """Whether two samples are called a match."""
    return lambda rng: rejected(equivalence_test(*draw(rng), margin).p_value)


def environments(rng: Rng, shifts: Sequence[float]) -> CorrectedTests:
    """Tests of four environments of 30 and 30 normal cells, some of them predicted with a shift."""
    observed = {name: rng.normal(size=(30, 2)) for name in ENVIRONMENTS}
    predicted = {name: rng.normal(size=(30, 2)) + shift for name, shift in zip(ENVIRONMENTS, shifts, strict=True)}
    return two_sample_tests(predicted, observed, n_permutations=PERMUTATIONS_EACH, rng=rng)


def any_rejected(correction: str) -> Errors:
    """Whether anything is rejected where every prediction is right."""

    def errors(rng: Rng) -> np.ndarray:
        tests = environments(rng, (0.0,) * 4)
        return np.array([float(bool(tests.rejected(a + 1e-12, correction=correction))) for a in LEVELS])

    return errors


def false_discoveries(rng: Rng) -> np.ndarray:
    """The share of BH's rejections that is false; of four environments two are predicted wrongly."""
    tests = environments(rng, (0.0, 0.0, 1.0, 1.0))
    sets = [set(tests.rejected(a + 1e-12, correction="bh")) for a in LEVELS]
    return np.array([len(names & {"A", "B"}) / max(len(names), 1) for names in sets])


def square(x: Callable[[np.ndarray, Rng], np.ndarray], sizes: Sequence[int]) -> Callable[[Rng], PerturbationData]:
    """Control, A, B and A+B of these sizes, with the cells that x draws from their labels."""
    labels = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=float)
    environment = np.repeat(np.arange(4), sizes)
    return lambda rng: PerturbationData(x(labels[environment], rng), labels, environment, ("A", "B"))


def beside(labels: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Cells with a coordinate each that A and B shift: where coordinates are independent the formula holds exactly."""
    x[:, :2] += labels
    return x


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
"""Worlds whose effects add."""


def sparse_square(shift: float, others: Sequence[float]) -> Callable[[Rng], PerturbationData]:
    """Counts whose first two means A and B move from the first of the other genes' means, 150 cells each."""
    return square(
        lambda labels, rng: rng.poisson(
            np.hstack([others[0] + shift * labels, np.tile(others, (len(labels), 1))])
        ).astype(float),
        [150] * 4,
    )


SPARSE_SQUARES = {
    "Poisson means 0.005, 0.02 where moved": sparse_square(0.015, [0.005] * 3),
    "Poisson means 0.05, 0.2 where moved": sparse_square(0.15, [0.05] * 3),
    "22 genes, Poisson means 0.005 to 1": sparse_square(0.015, GENES),
}
"""Sparse counts whose effects add."""


def additivity(draw: Callable[[Rng], PerturbationData]) -> Errors:
    """Rejections of the product formula where it holds."""
    return lambda rng: rejected(additivity_test(draw(rng), "A+B", n_multipliers=PERMUTATIONS, rng=rng).p_value)


def in_two_contexts(n: int) -> Errors:
    """Two contexts of n cells a condition that differ in nothing: a random world, control and two singles."""

    def errors(rng: Rng) -> np.ndarray:
        latent = LinearLatentModel.random(n_latents=2, n_perturbations=3, rng=rng)
        simulator = Simulator.random(latent, n_observed=5, rng=rng)
        data = {name: simulator.sample(["ctrl", "A", "B"], n, rng=rng).data for name in ("one", "two")}
        return rejected(shared_effects_test(data, n_multipliers=PERMUTATIONS, rng=rng).p_value)

    return errors


def claims() -> Iterator[Claim]:
    """Every test at every kind of world."""
    for name, test in (("energy", energy_test), ("MMD", mmd_test)):
        for kind, draw in PAIRS.items():
            yield Claim(name, kind, two_sample(test, draw), side=AT_MOST if kind == "counts with ties" else EXACT)
        for kind, draw in SPARSE.items():
            yield Claim(name, kind, two_sample(test, draw), side=AT_MOST)
    for kind, draw in SPARSE.items():
        yield Claim("common law of three samples", kind, three_samples(draw), side=AT_MOST)
    yield Claim("MMD, least p over bandwidths", "Gaussian", least_over_bandwidths, side=CONTROL)
    for kind, (at_margin, equal, margin) in MARGINS.items():
        yield Claim("equivalence", f"{kind}, at the margin", equivalence(at_margin, margin), side=AT_MOST)
        yield Claim("equivalence", f"{kind}, equal laws", equivalence(equal, margin), side=POWER)
    family = tuple(1 - (1 - a / len(ENVIRONMENTS)) ** len(ENVIRONMENTS) for a in LEVELS)
    yield Claim("environments, Holm", "all null: any rejected", any_rejected("holm"), family)
    yield Claim("environments, BH", "all null: any rejected", any_rejected("bh"))
    yield Claim("environments, BH", "half null: share false", false_discoveries, tuple(a / 2 for a in LEVELS))
    for kind, draw in SQUARES.items():
        yield Claim("additivity", kind, additivity(draw))
    for kind, draw in SPARSE_SQUARES.items():
        yield Claim("additivity", kind, additivity(draw), side=AT_MOST)
    for n in (50, 100, 200, 400):
        yield Claim("shared effects", f"two contexts of {n} cells a condition", in_two_contexts(n), side=AT_MOST)


def row(claim: Claim, errors: np.ndarray) -> tuple:
    """One row of the table; its last value tells on how many levels the claim is missed, None where it has none."""
    refused, mean = int(np.isnan(errors[:, 0]).sum()), np.nan_to_num(errors).mean(0)
    bands = band(claim.expected, len(errors))
    missed = claim.missed(mean, bands)
    levels = [f"{100 * a:g} %" for a, miss in zip(LEVELS, missed, strict=True) if miss]
    held = {EXACT: "inside", AT_MOST: "not above", POWER: None, CONTROL: "NOT SEEN"}[claim.side]
    kind = f"{claim.kind}, {refused} refused" if refused else claim.kind
    shares = (f"{100 * m:.1f}{_in_words(claim.side, *(100 * b))}" for m, b in zip(mean, bands, strict=True))
    return claim.test, kind, *shares, claim.side, f"outside at {', '.join(levels)}" if levels else held


def keep(path: Path, claim: Claim, errors: np.ndarray) -> None:
    """Add the shares of errors of one claim to a file, in place of those it holds of it."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    mean, bands = np.nan_to_num(errors).mean(0), band(claim.expected, len(errors))
    kept[f"{claim.test}: {claim.kind}"] = {
        "claim": claim.side,
        "worlds": len(errors),
        "refused": int(np.isnan(errors[:, 0]).sum()),
        "levels": LEVELS,
        "errors": mean.round(6).tolist(),
        "missed": claim.missed(mean, bands).tolist(),
    }
    path.write_text(json.dumps(kept, indent=1) + "\n")


def _in_words(side: str, low: float, high: float) -> str:
    return {POWER: "", AT_MOST: f" (≤ {high:.1f})"}.get(side, f" ({low:.1f}–{high:.1f})")


def main() -> None:
    """Print the table, and keep its shares with `--out`."""
    arguments = options(__doc__, worlds=1000, workers=2, seed=0, only="", out=None)
    worlds, seed, misses = arguments.worlds, arguments.seed, []

    def rows() -> Iterator[tuple]:
        for claim in claims():
            if arguments.only in f"{claim.test}: {claim.kind}":
                measure = lambda number, claim=claim: claim.in_world([seed, number])  # noqa: E731
                errors = measure_worlds(measure, worlds, workers=arguments.workers)["errors"]
                if claim.side in (EXACT, AT_MOST):
                    misses.extend(claim.missed(np.nan_to_num(errors).mean(0), band(claim.expected, worlds)))
                if arguments.out:
                    keep(arguments.out, claim, errors)
                yield row(claim, errors)

    levels = (f"{100 * a:g} % level: errors, % (band)" for a in LEVELS)
    print_table(
        dict.fromkeys(("test", "worlds", *levels, "claim", ""), ""),
        rows(),
        title=f"{worlds} worlds each, seeds ({seed}, 0 … {worlds - 1}), {PERMUTATIONS} relabellings "
        f"({PERMUTATIONS_EACH} per environment); {machine()}",
    )
    print(f"{sum(misses)} of {len(misses)} shares outside their 99 % band")


if __name__ == "__main__":
    main()
