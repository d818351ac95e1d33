"""Coverage of the intervals of the energy distance and of n_eff, where both are known; the jackknife's beside them.

Run: `python -m experiments.benchmarks.worth [worlds]`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import integrate, special, stats
from scipy.spatial.distance import cdist

from experiments.benchmarks.machine import describe
from pdae_sim.analysis.hypothesis_tests.latent_law import normal_energy
from pdae_sim.analysis.prediction_error import energy_estimate, worth

WORLDS, SIZES, ATOMS = 500, (20, 100, 300), 100
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


def distance_of_normals(shift: float, d: int) -> float:
    """E‖X − Y‖ for X ~ N(0, I_d), Y ~ N(shift e_1, I_d)."""
    factor = 2 * math.exp(special.gammaln((d + 1) / 2) - special.gammaln(d / 2))
    return factor * float(special.hyp1f1(-0.5, d / 2, -(shift**2) / 4))


def shifted(shift: float, d: int) -> Case:
    """Normal laws apart by a shift of one coordinate."""
    spread = distance_of_normals(0.0, d)
    distance = 2 * (distance_of_normals(shift, d) - spread)
    move = shift * np.eye(d)[0]
    return Case(lambda rng, n: (rng.normal(size=(n, d)) + move, rng.normal(size=(n, d)), distance), spread)


def scaled(by: float) -> Case:
    """Normal laws of one mean and different standard deviations, in one dimension."""
    half = math.sqrt(2 / math.pi)
    distance = half * (2 * math.sqrt(1 + by**2) - math.sqrt(2) * (1 + by))
    return Case(
        lambda rng, n: (by * rng.normal(size=(n, 1)), rng.normal(size=(n, 1)), distance), 2 / math.sqrt(math.pi)
    )


def heavy(shift: float) -> Case:
    """Student's laws of three degrees of freedom apart by a shift, in one dimension: ED = 2 ∫ (F − G)²."""
    cdf = stats.t(3).cdf
    distance = 2 * integrate.quad(lambda x: (cdf(x) - cdf(x - shift)) ** 2, -np.inf, np.inf)[0]
    spread = 4 * integrate.quad(lambda x: cdf(x) * (1 - cdf(x)), 0, np.inf)[0]
    move = lambda rng, n: rng.standard_t(3, size=(n, 1))  # noqa: E731
    return Case(lambda rng, n: (move(rng, n) + shift, move(rng, n), distance), spread)


def empirical(d: int) -> Case:
    """A prediction that is itself an empirical law of 100 cells, against N(0, I): its own distance in closed form.

    Over the atoms it is E‖X − X'‖ / 100 in expectation; an interval is of the distance of the atoms there are.
    """

    def draw(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray, float]:
        atoms = rng.normal(size=(ATOMS, d))
        return atoms[rng.integers(ATOMS, size=n)], rng.normal(size=(n, d)), normal_energy(atoms)

    return Case(draw, distance_of_normals(0.0, d))


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


def covered(case: Case, n: int, worlds: int) -> np.ndarray:
    """(worlds, 5): whether each interval holds the truth (jackknife's, ours, that of n_eff), and the widths of two."""
    found = []
    for seed in range(worlds):
        x, y, distance = case.draw(np.random.default_rng([seed, n]), n)
        estimate = energy_estimate(x, y)
        intervals = (jackknife(x, y), estimate.interval)
        value, true = worth(estimate), case.spread / distance if distance > 0 else math.inf
        hits = [low <= distance <= high for low, high in intervals]
        found.append([*hits, value.low <= true <= value.high, *(high - low for low, high in intervals)])
    return np.array(found, dtype=float)


def main(worlds: int = WORLDS) -> None:
    """Print the table."""
    error = 1.96 * math.sqrt(0.95 * 0.05 / worlds)
    print(
        f"Coverage of nominal 95 % intervals in {worlds} worlds (± {error:.3f}), n rows of either sample; seeds "
        f"[world, n]; {describe()}\n\n"
        f"| laws | n | ED, jackknife | ED | n_eff | median width, jackknife | median width |\n|{'---|' * 7}"
    )
    for name, case in CASES.items():
        for n in SIZES:
            found = covered(case, n, worlds)
            shares, widths = found[:, :3].mean(0), np.median(found[:, 3:], axis=0)
            print(f"| {name} | {n} | {' | '.join(f'{s:.3f}' for s in shares)} | "
                  f"{' | '.join(f'{w:.3g}' for w in widths)} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
