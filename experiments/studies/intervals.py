"""Medians over worlds with intervals that assume nothing about how worlds scatter."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats

from pdae_sim.intervals import Estimate, Interval
from pdae_sim.report import format_value

RESAMPLES = 1000


UNKNOWN = Interval(-math.inf, math.inf)
"""What too few worlds leave open."""


def median(values: Sequence[float], *, level: float = 0.95) -> Estimate:
    """The median with its interval between order statistics, exact for every continuous law.

    The k-th smallest and the k-th greatest of n values enclose the median with probability 1 − 2 P(Bin(n, ½) < k).
    Fewer than six values have no 95 % interval. Infinite values are values like any other.

    Args:
        values: One per world.
        level: Least probability.
    """
    x = np.sort(np.asarray(values, dtype=np.float64))
    middle = float(x[(len(x) - 1) // 2]) if np.isinf(x).any() else float(np.median(x))
    k = int(stats.binom.ppf((1 - level) / 2, len(x), 0.5))
    return Estimate(middle, Interval(float(x[k - 1]), float(x[-k])) if k else UNKNOWN)


def slope(x: Sequence[float], worlds: np.ndarray, *, seed: int = 0) -> Estimate:
    """The slope of log median against log x, with a percentile interval over resampled worlds.

    Args:
        x: (n,) positive sizes.
        worlds: (worlds, n) values of each world at each size.
        seed: Seed of the resampling.
    """
    picks = np.random.default_rng(seed).integers(len(worlds), size=(RESAMPLES, len(worlds)))
    slopes = [_log_slope(x, worlds[rows]) for rows in picks]
    value, known = _log_slope(x, worlds), [s for s in slopes if math.isfinite(s)]
    if len(worlds) < 2 or len(known) < RESAMPLES / 2:
        return Estimate(value, UNKNOWN)
    return Estimate(value, Interval(*np.quantile(known, [0.025, 0.975]).tolist()))


def in_words(estimate: Estimate) -> str:
    """The value, with its interval in brackets where there is one."""
    value, *ends = (format_value(number, 2) for number in (estimate.value, *estimate.interval))
    return value if estimate.interval == UNKNOWN else f"{value} ({' to '.join(ends)})"


def grouped(rows: Sequence[Mapping], metric: str, *keys: str) -> dict[tuple, list[float]]:
    """The values of a metric that were measured, by the values of `keys`, in the order of the rows."""
    groups: dict[tuple, list[float]] = {}
    for row in rows:
        if row["metric"] == metric and row["status"] == "ok" and row["value"] is not None:
            groups.setdefault(tuple(row[key] for key in keys), []).append(row["value"])
    return groups


def medians(rows: Sequence[Mapping], metric: str, *keys: str) -> dict[tuple, Estimate]:
    """The median over worlds of a metric, by the values of `keys`."""
    return {key: median(values) for key, values in grouped(rows, metric, *keys).items()}


def curve(points: Mapping[tuple, Estimate], **fixed: object) -> dict[float, Estimate]:
    """Estimates whose other keys are `fixed`, by their last key in increasing order."""
    others = tuple(fixed.values())
    return dict(sorted((key[-1], estimate) for key, estimate in points.items() if key[:-1] == others))


def _log_slope(x: Sequence[float], worlds: np.ndarray) -> float:
    middle = np.median(worlds, axis=0)
    if not (np.isfinite(middle) & (middle > 0)).all() or len(x) < 2:
        return math.nan
    return float(np.polyfit(np.log(x), np.log(middle), 1)[0])
