"""Medians over worlds by keys of the rows, and slopes against their size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pdae_sim.intervals import Estimate, Interval
from pdae_sim.study.medians import NO_INTERVAL, median

RESAMPLES = 1000


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
        return Estimate(value, NO_INTERVAL)
    return Estimate(value, Interval(*np.quantile(known, [0.025, 0.975]).tolist()))


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
