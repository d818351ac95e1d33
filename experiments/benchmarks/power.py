"""Power of the two-sample tests against dcor's energy test on the same samples; type-I error in the first row.

Run: `python -m experiments.benchmarks.power`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import dcor
import numpy as np
from scipy.stats import binomtest

from experiments.benchmarks.machine import describe
from pdae_sim.analysis.two_sample import energy_test, mmd_test

N, WORLDS, PERMUTATIONS, LEVEL = 40, 200, 199, 0.05

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


def rejections(draw: Draw, d: int, worlds: int) -> dict[str, np.ndarray]:
    """(worlds,) booleans by test: whether it rejects at the level in each world."""
    found = {name: np.zeros(worlds, bool) for name in TESTS}
    for seed in range(worlds):
        rng = np.random.default_rng([seed, d])
        x, y = rng.normal(size=(N, d)), draw(rng, d)
        for name, test in TESTS.items():
            found[name][seed] = test(x, y, seed) <= LEVEL + 1e-12
    return found


def row(name: str, d: int, found: dict[str, np.ndarray]) -> str:
    """Rejections by test, and of the worlds where energy and dcor differ how many each wins."""
    ours, theirs = found["energy"], found["dcor energy"]
    won, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    p = binomtest(lost, won + lost, alternative="greater").pvalue if won + lost else 1.0
    counts = " | ".join(f"{test.mean():.3f}" for test in found.values())
    return f"| {name} | {d} | {counts} | {won} : {lost} | {p:.2f} |"


def main(worlds: int = WORLDS) -> None:
    """Print the table."""
    print(
        f"Share of {worlds} worlds rejected at {LEVEL}; n = {N} per sample, {PERMUTATIONS} permutations; "
        f"{describe()}\n\n"
        f"| alternative | d | {' | '.join(TESTS)} | energy : dcor, where they differ | p that dcor is better |\n"
        f"|{'---|' * (len(TESTS) + 4)}"
    )
    for d in (2, 10):
        for name, draw in ALTERNATIVES.items():
            print(row(name, d, rejections(draw, d, worlds)), flush=True)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
