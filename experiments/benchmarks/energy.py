"""The energy distance of two samples against torch's `cdist` (by product and exact) and dcor.

Run: `python -m experiments.benchmarks.energy`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import dcor
import numpy as np
import torch

from experiments.benchmarks._table import machine, print_table
from experiments.benchmarks._timing import alternate
from pdae_sim.energy import energy_distance

N, D, ROUNDS = 6000, 10, 7


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

    def rows():
        for dtype in (torch.float32, torch.float64):
            pair = torch.tensor(x, dtype=dtype), torch.tensor(y, dtype=dtype)
            times = alternate({name: partial(rival, *pair) for name, rival in RIVALS.items()}, rounds=ROUNDS)
            for name in RIVALS:
                yield name, str(dtype)[6:], times[name], times.ratio(name, "pdae_sim"), times.values[name]

    columns = {"rival": "", "dtype": "", "seconds": ".3f", "times pdae_sim": ".2f", "value": ".10f"}
    print_table(columns, rows(), title=f"n = {N}, d = {D}; medians of {ROUNDS} (quartiles); {machine()}")
    few = N // 10
    ours, theirs = energy_distance(x[:few], y[:few]), dcor.energy_distance(x[:few], y[:few])
    print(f"Against dcor on n = {few}: {ours:.12f} and {theirs:.12f}")


if __name__ == "__main__":
    main()
