"""Power of the two-sample tests against dcor's energy test on the same samples; type-I error in the first row.

Run: `python -m experiments.benchmarks.power [WORLDS] [--workers 2]`. Every test sees the same two samples of a world
and draws the same number of relabellings. The last column asks of the worlds where our energy test and dcor's differ
whether dcor's rejects more often (an exact binomial test): a small p would say that ours is worse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import dcor
import numpy as np
from scipy.stats import binomtest

from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._worlds import measure_worlds
from pdae_sim.analysis.hypothesis_tests.two_sample import energy_test, mmd_test

N, PERMUTATIONS, LEVEL = 40, 199, 0.05

Draw = Callable[[np.random.Generator, int], np.ndarray]


def shifted(by: float) -> Draw:
    """Standard normal cells, the first coordinate shifted."""
    return lambda rng, d: rng.normal(size=(N, d)) + by * np.eye(d)[0]


def scaled(by: float) -> Draw:
    """Normal cells with another standard deviation."""
    return lambda rng, d: by * rng.normal(size=(N, d))


def wavy(depth: float) -> Draw:
    """Normal cells, the first coordinate redrawn where a wave says so: the same mean, nearly the same variance."""

    def draw(rng: np.random.Generator, d: int) -> np.ndarray:
        x = rng.normal(size=(8 * N, d))
        return x[rng.random(8 * N) < (1 + depth * np.cos(3 * x[:, 0])) / 2][:N]

    return draw


DIMENSIONS = (2, 10)

ALTERNATIVES: dict[str, Draw] = {
    "none": shifted(0.0),
    **{f"shift {by}": shifted(by) for by in (0.3, 0.5, 0.7, 1.0)},
    **{f"scale {by}": scaled(by) for by in (1.3, 1.6, 2.0)},
    "wave 1": wavy(1.0),
}

TESTS = {
    "energy": lambda x, y, rng: energy_test(x, y, n_permutations=PERMUTATIONS, rng=rng).p_value,
    "mmd": lambda x, y, rng: mmd_test(x, y, n_permutations=PERMUTATIONS, rng=rng).p_value,
    "dcor energy": lambda x, y, rng: (
        dcor.homogeneity.energy_test(x, y, num_resamples=PERMUTATIONS, random_state=rng).pvalue
    ),
}


def reject(draw: Draw, d: int, seed: int) -> dict[str, bool]:
    """Whether each test rejects in a world."""
    rng = np.random.default_rng([seed, d])
    x, y = rng.normal(size=(N, d)), draw(rng, d)
    return {name: test(x, y, seed) <= LEVEL + 1e-12 for name, test in TESTS.items()}


def row(name: str, d: int, rejected: dict[str, np.ndarray]) -> tuple:
    """Rejections by test, and of the worlds where energy and dcor differ how many each wins."""
    ours, theirs = rejected["energy"], rejected["dcor energy"]
    won, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    p = binomtest(lost, won + lost, alternative="greater").pvalue if won + lost else 1.0
    return name, d, *(test.mean() for test in rejected.values()), f"{won} : {lost}", p


def main() -> None:
    """Print the table."""
    arguments = options(__doc__, worlds=200, workers=2)

    def rows() -> Iterator[tuple]:
        for d in DIMENSIONS:
            for name, draw in ALTERNATIVES.items():
                yield row(
                    name, d, measure_worlds(partial(reject, draw, d), arguments.worlds, workers=arguments.workers)
                )

    shares = dict.fromkeys(TESTS, ".3f")
    columns = {
        "alternative": "",
        "d": "",
        **shares,
        "energy : dcor, where they differ": "",
        "p that dcor is better": ".2f",
    }
    setting = f"rejected at {LEVEL}; n = {N} per sample, {PERMUTATIONS} permutations"
    print_table(columns, rows(), title=f"Share of {arguments.worlds} worlds {setting}; {machine()}")


if __name__ == "__main__":
    main()
