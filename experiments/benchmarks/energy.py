"""The energy distance of two samples against torch's `cdist` (by product and exact) and dcor.

Run: `python -m experiments.benchmarks.energy`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import dcor
import numpy as np
import torch

from experiments.benchmarks.machine import describe
from pdae_sim.energy import energy_distance

N, D, REPEATS = 6000, 10, 7


def by_cdist(mode: str) -> Callable[[torch.Tensor, torch.Tensor], float]:
    """The V-statistic from three whole distance matrices."""

    def distance(x: torch.Tensor, y: torch.Tensor) -> float:
        cross, within_x, within_y = (torch.cdist(a, b, compute_mode=mode).mean() for a, b in ((x, y), (x, x), (y, y)))
        return float(2 * cross - within_x - within_y)

    return distance


RIVALS = {
    "pdae_sim": lambda x, y: float(energy_distance(x, y)),
    "cdist by product": by_cdist("use_mm_for_euclid_dist"),
    "cdist exact": by_cdist("donot_use_mm_for_euclid_dist"),
}


def main() -> None:
    """Print the table; dcor once, on a tenth of the rows."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(N, D)), rng.normal(size=(N, D)) + 0.1
    print(
        f"n = {N}, d = {D}; median of {REPEATS}; {describe()}\n\n| rival | dtype | seconds | value |\n|---|---|---|---|"
    )
    for dtype in (torch.float32, torch.float64):
        pair = torch.tensor(x, dtype=dtype), torch.tensor(y, dtype=dtype)
        for name, rival in RIVALS.items():
            times, value = timed(rival, *pair)
            print(f"| {name} | {str(dtype).removeprefix('torch.')} | {statistics.median(times):.3f} | {value:.10f} |")
    few = N // 10
    ours, theirs = energy_distance(x[:few], y[:few]), dcor.energy_distance(x[:few], y[:few])
    print(f"\nAgainst dcor on n = {few}: {ours:.12f} and {theirs:.12f}")


def timed(rival: Callable, x: torch.Tensor, y: torch.Tensor) -> tuple[list[float], float]:
    """Wall times and the value."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        value = rival(x, y)
        times.append(time.perf_counter() - start)
    return times, value


if __name__ == "__main__":
    main()
