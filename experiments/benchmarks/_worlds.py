"""The skeleton of every calibration: a measurement in many worlds, and shares of worlds beside exact bands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from joblib import Parallel, delayed
from scipy import stats

COVERAGE = 0.99
"""Probability of a band."""

Measurement = Callable[[int], Mapping[str, object]]


def measure_worlds(measure: Measurement, worlds: int, *, workers: int = 1) -> dict[str, np.ndarray]:
    """Measurements of many worlds, by name: (worlds,) or (worlds, …).

    Args:
        measure: Values by name from the number of a world, which is its seed.
        worlds: How many, numbered from 0.
        workers: Processes; results do not depend on their number.
    """
    results = Parallel(n_jobs=workers)(delayed(measure)(seed) for seed in range(worlds))
    return {name: np.array([result[name] for result in results]) for name in results[0]}


def band(claimed: float | Sequence[float], worlds: int) -> np.ndarray:
    """(…, 2) shares between which that of `worlds` worlds lies with probability 99 % or more if the claim is true."""
    return np.stack(stats.binom.interval(COVERAGE, worlds, np.asarray(claimed)), axis=-1) / worlds


def band_in_words(claimed: float, worlds: int) -> str:
    """The band of a claimed share, for the head of a table."""
    low, high = band(claimed, worlds)
    return f"99 % band of a true {claimed:.0%} in {worlds} worlds: {low:.3f} to {high:.3f}"
