"""Power of the two-sample tests against dcor's energy test on the same samples; type-I error in the first row.

Run: `python -m experiments.benchmarks.power [--worlds 200] [--workers 1] [--out PNG]`. Every test sees the same two
samples of every world and draws the same number of relabellings. The last column asks of the worlds where our energy
test and dcor's differ whether dcor's rejects more often (an exact binomial test): a small p would say that ours is
worse. The figure shows power by the size of a shift and of a scale.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import dcor
import numpy as np
from joblib import Parallel, delayed
from scipy.stats import binom, binomtest

from experiments.benchmarks.machine import describe
from pdae_sim.analysis.hypothesis_tests.two_sample import energy_test, mmd_test

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


SHIFTS, SCALES = (0.3, 0.5, 0.7, 1.0), (1.3, 1.6, 2.0)
DIMENSIONS = (2, 10)

ALTERNATIVES: dict[str, Draw] = {
    "none": shifted(0.0),
    **{f"shift {by}": shifted(by) for by in SHIFTS},
    **{f"scale {by}": scaled(by) for by in SCALES},
    "wave 1": wavy(1.0),
}

TESTS = {
    "energy": lambda x, y, rng: energy_test(x, y, n_permutations=PERMUTATIONS, rng=rng).p_value,
    "mmd": lambda x, y, rng: mmd_test(x, y, n_permutations=PERMUTATIONS, rng=rng).p_value,
    "dcor energy": lambda x, y, rng: (
        dcor.homogeneity.energy_test(x, y, num_resamples=PERMUTATIONS, random_state=rng).pvalue
    ),
}


LOOKS = {"energy": ("#d9661f", "-"), "mmd": ("#12755f", "-"), "dcor energy": ("#1f5f99", "--")}
"""Colour and line of a test."""


def rejections(draw: Draw, d: int, worlds: int, workers: int = 1) -> dict[str, np.ndarray]:
    """(worlds,) booleans by test: whether it rejects at the level in each world."""
    found = Parallel(n_jobs=workers)(delayed(_rejected)(draw, d, seed) for seed in range(worlds))
    return dict(zip(TESTS, np.array(found).T, strict=True))


def _rejected(draw: Draw, d: int, seed: int) -> list[bool]:
    rng = np.random.default_rng([seed, d])
    x, y = rng.normal(size=(N, d)), draw(rng, d)
    return [test(x, y, seed) <= LEVEL + 1e-12 for test in TESTS.values()]


def row(name: str, d: int, found: dict[str, np.ndarray]) -> str:
    """Rejections by test, and of the worlds where energy and dcor differ how many each wins."""
    ours, theirs = found["energy"], found["dcor energy"]
    won, lost = int((ours & ~theirs).sum()), int((theirs & ~ours).sum())
    p = binomtest(lost, won + lost, alternative="greater").pvalue if won + lost else 1.0
    counts = " | ".join(f"{test.mean():.3f}" for test in found.values())
    return f"| {name} | {d} | {counts} | {won} : {lost} | {p:.2f} |"


def figure(found: dict[tuple[str, int], dict[str, np.ndarray]], worlds: int) -> object:
    """Power curves: a panel per dimension and kind of alternative, a line per test with its binomial 95 % interval."""
    from pdae_sim.report._palette import WIDE, blank, house_style, settle

    with house_style():
        drawn = blank(WIDE, 4.6)
        drawn.get_layout_engine().set(w_pad=0.12)
        panels = drawn.subplots(len(DIMENSIONS), 2, sharey=True)
        for row_of_panels, d in zip(panels, DIMENSIONS, strict=True):
            _draw_curves(row_of_panels[0], {0.0: "none"} | {by: f"shift {by}" for by in SHIFTS}, d, found, worlds)
            _draw_curves(row_of_panels[1], {1.0: "none"} | {by: f"scale {by}" for by in SCALES}, d, found, worlds)
            row_of_panels[0].set_ylabel("share rejected")
        drawn.legend(handles=panels[0, 0].lines[: len(TESTS)], loc="outside upper left", ncols=len(TESTS))
        settle(drawn)
    return drawn


def _draw_curves(axes: object, names: dict[float, str], d: int, found: dict, worlds: int) -> None:
    """One line per test over the sizes of an alternative."""
    sizes = list(names)
    for test, (colour, style) in LOOKS.items():
        share = np.array([found[name, d][test].mean() for name in names.values()])
        axes.fill_between(
            sizes, *(np.array(binom.interval(0.95, worlds, share)) / worlds), color=colour, alpha=0.1, lw=0
        )
        axes.plot(sizes, share, style, color=colour, marker="o", markersize=3.5, label=test)
    axes.axhline(LEVEL, color="#667080", linewidth=0.8, linestyle=(0, (1, 2)))
    axes.set(ylim=(0, 1.03), xlabel=f"{names[sizes[1]].split()[0]}, d = {d}")


def main(arguments: list[str] | None = None) -> None:
    """Print the table, and draw it where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, help="where to save the figure")
    given = parser.parse_args(arguments)
    print(
        f"Share of {given.worlds} worlds rejected at {LEVEL}; n = {N} per sample, {PERMUTATIONS} permutations; "
        f"{describe()}\n\n"
        f"| alternative | d | {' | '.join(TESTS)} | energy : dcor, where they differ | p that dcor is better |\n"
        f"|{'---|' * (len(TESTS) + 4)}"
    )
    found = {}
    for d in DIMENSIONS:
        for name, draw in ALTERNATIVES.items():
            found[name, d] = rejections(draw, d, given.worlds, given.workers)
            print(row(name, d, found[name, d]), flush=True)
    if given.out is not None:
        figure(found, given.worlds).savefig(given.out, dpi=192)


if __name__ == "__main__":
    main()
