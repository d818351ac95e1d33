"""Coverage of the intervals of the energy distance and of n_eff, where both are known; the jackknife's beside them.

Run: `python -m experiments.benchmarks.worth [WORLDS] [--workers 2]`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import integrate, stats
from scipy.spatial.distance import cdist

from experiments.benchmarks._laws import normal_difference, normal_distance, student_distance
from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._worlds import band_in_words, measure_worlds
from pdae_sim.analysis.hypothesis_tests.latent_law import energy_to_normal
from pdae_sim.analysis.prediction_error import energy_estimate, worth

SIZES, ATOMS = (20, 100, 300), 100
_BLOCKS = 20


@dataclass(frozen=True)
class Case:
    """A prediction and a reference whose energy distance is known.

    Args:
        draw: From a generator and n to n rows of either law, and the energy distance between them.
        spread: E‖X − X'‖ of the reference.
    """

    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, np.ndarray, float]]
    spread: float


def shifted(shift: float, d: int) -> Case:
    """Normal laws apart by a shift of one coordinate."""
    distance, move = normal_distance(shift, d), shift * np.eye(d)[0]
    return Case(
        lambda rng, n: (rng.normal(size=(n, d)) + move, rng.normal(size=(n, d)), distance), normal_difference(0.0, d)
    )


def scaled(by: float) -> Case:
    """Normal laws of one mean and different standard deviations, in one dimension."""
    half = math.sqrt(2 / math.pi)
    distance = half * (2 * math.sqrt(1 + by**2) - math.sqrt(2) * (1 + by))
    return Case(
        lambda rng, n: (by * rng.normal(size=(n, 1)), rng.normal(size=(n, 1)), distance), 2 / math.sqrt(math.pi)
    )


def heavy(shift: float) -> Case:
    """Student's laws of three degrees of freedom apart by a shift, in one dimension."""
    law, distance = stats.t(3), student_distance(shift)
    spread = 4 * integrate.quad(lambda u: law.cdf(u) * law.sf(u), 0, np.inf)[0]

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, float]:
        return rng.standard_t(3, size=(n, 1)) + shift, rng.standard_t(3, size=(n, 1)), distance

    return Case(draw, spread)


def empirical(d: int) -> Case:
    """A prediction that is itself an empirical law of 100 cells, against N(0, I): its own distance in closed form.

    Over the atoms it is E‖X − X'‖ / 100 in expectation; an interval is of the distance of the atoms there are.
    """

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, float]:
        atoms = rng.normal(size=(ATOMS, d))
        return atoms[rng.integers(ATOMS, size=n)], rng.normal(size=(n, d)), energy_to_normal(atoms)

    return Case(draw, normal_difference(0.0, d))


CASES = {
    **{f"normal, shift {shift}": shifted(shift, 1) for shift in (0.0, 0.2, 0.5, 1.0, 4.0)},
    **{f"normal, d = 10, shift {shift}": shifted(shift, 10) for shift in (0.0, 0.3, 1.0)},
    **{f"normal, scale {by}": scaled(by) for by in (1.3, 2.0)},
    **{f"Student 3, shift {shift}": heavy(shift) for shift in (0.3, 1.0)},
    f"{ATOMS} atoms": empirical(1),
    f"{ATOMS} atoms, d = 10": empirical(10),
}


def jackknife(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """U ± 1.96 standard errors of a delete-one-block jackknife, as was reported before."""
    B = min(_BLOCKS, len(x) // 2)
    split = [np.array_split(np.arange(len(v)), B) for v in (x, y)]
    r, c = ([rows[0] for rows in blocks] for blocks in split)
    n, m = (np.array([len(rows) for rows in blocks]) for blocks in split)
    sums = [_block_sums(cdist(u, v), i, j) for u, v, i, j in ((x, y, r, c), (x, x, r, r), (y, y, c, c))]
    left = [_u_statistic(sums, n, m, np.arange(B) != b) for b in range(B)]
    value = _u_statistic(sums, n, m, np.ones(B, bool))
    margin = 1.96 * math.sqrt((B - 1) * np.var(left))
    return max(value - margin, 0.0), max(value, 0.0) + margin


def _block_sums(D: np.ndarray, rows: list[int], columns: list[int]) -> np.ndarray:
    return np.add.reduceat(np.add.reduceat(D, rows, 0), columns, 1)


def _u_statistic(sums: list[np.ndarray], n: np.ndarray, m: np.ndarray, kept: np.ndarray) -> float:
    cross, own_x, own_y = (S[np.ix_(kept, kept)].sum() for S in sums)
    n, m = n[kept].sum(), m[kept].sum()
    return 2 * cross / (n * m) - own_x / (n * (n - 1)) - own_y / (m * (m - 1))


def cover(case: Case, n: int, seed: int) -> dict[str, float]:
    """Whether each interval of a world holds the truth, and the widths of two."""
    x, y, distance = case.draw(np.random.default_rng([seed, n]), n)
    estimate, plain = energy_estimate(x, y), jackknife(x, y)
    value, true = worth(estimate), case.spread / distance if distance > 0 else math.inf
    low, high = estimate.interval
    return {
        "ED, jackknife": plain[0] <= distance <= plain[1],
        "ED": low <= distance <= high,
        "n_eff": true in value.interval,
        "width, jackknife": plain[1] - plain[0],
        "width": high - low,
    }


def rows(worlds: int, workers: int) -> Iterator[tuple]:
    """Coverage and median widths for every pair of laws and every size."""
    for name, case in CASES.items():
        for n in SIZES:
            values = measure_worlds(partial(cover, case, n), worlds, workers=workers)
            widths = [f"{np.median(values.pop(key)):.3g}" for key in ("width, jackknife", "width")]
            yield name, n, *(share.mean() for share in values.values()), *widths


def main() -> None:
    """Print the table."""
    arguments = options(__doc__, worlds=500, workers=2)
    shares = {"ED, jackknife": ".3f", "ED": ".3f", "n_eff": ".3f"}
    title = f"Coverage of nominal 95 % intervals, n rows of either sample; {band_in_words(0.95, arguments.worlds)}"
    columns = {"laws": "", "n": "", **shares, "median width, jackknife": "", "median width": ""}
    print_table(columns, rows(arguments.worlds, arguments.workers), title=f"{title}; seeds [world, n]; {machine()}")


if __name__ == "__main__":
    main()
