"""Estimators compared over conditions: mean, median, wins and mean rank of a metric, with intervals over conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv, stdtrit
from scipy.stats import rankdata

from pdae_sim._arguments import checked
from pdae_sim.errors import InputError
from pdae_sim.intervals import Estimate, Interval
from pdae_sim.study.medians import median

LESS_IS_BETTER = ("energy_distance", "mmd", "mean_difference", "mse", "mae")
"""Metrics of predictions that are errors; more is better of the others."""

_TAIL = 0.025
_FEWEST = 3  # conditions for an interval of a mean: from two it is as wide as the tail of Cauchy
_REPLICATE = "ceiling"  # it has seen cells of the condition, and is no rival


@dataclass(frozen=True)
class EstimatorSummary:
    """A metric of one estimator over conditions, with 95 % intervals for conditions like these.

    Args:
        estimator: Its name.
        metric: The metric.
        n_measured: Conditions where it was measured; mean and median are over these.
        n_conditions: Conditions where any estimator was; ranks are over these, and an estimator that fails is last.
        mean: Interval from Student's t; none below three conditions.
        median: Interval from order statistics, exact whatever the law; none below six conditions.
        wins: Conditions where no rival is better, and the interval of Clopper and Pearson; none for the ceiling.
        mean_rank: 1 is best, ties share theirs, its interval within the ranks there are; none for the ceiling.

    Example:
        >>> summary = EstimatorSummary("pdae", "mmd", 1, 1, Estimate(0.2, Interval(0.2, 0.2)), None, None, None)
        >>> summary.to_json()["mean"]["value"]
        0.2
    """

    estimator: str
    metric: str
    n_measured: int
    n_conditions: int
    mean: Estimate | None
    median: Estimate | None
    wins: Estimate | None
    mean_rank: Estimate | None

    def to_json(self) -> dict[str, object]:
        """Plain values; an end that is open is null."""
        names = ("mean", "median", "wins", "mean_rank")
        numbers = {name: None if (value := getattr(self, name)) is None else value.to_json() for name in names}
        counts = {"conditions": self.n_measured, "of": self.n_conditions}
        return {"estimator": self.estimator, "metric": self.metric, **counts, **numbers}


@checked
def summarise(rows: Sequence[Mapping], metric: str = "energy_distance") -> list[EstimatorSummary]:
    """Summarise a metric over conditions by estimator, the best mean rank first and the ceiling last.

    Intervals are over conditions: what other conditions like these would show. They say nothing of the cells of each
    condition, which the intervals of the rows count.

    Args:
        rows: As `evaluate` returns them.
        metric: One of `PREDICTION_METRICS`.

    Returns:
        A summary for each estimator that was measured anywhere; none if the metric was not measured.

    Raises:
        InputError: If an estimator has two rows of the metric for one condition.

    References:
        Clopper & Pearson (1934), Biometrika 26; Hollander & Wolfe, Nonparametric Statistical Methods, 3.6.

    Example:
        >>> distances = {"pdae": [0.1, 0.2, 0.4], "pool": [0.3, 0.3, 0.3]}
        >>> rows = [
        ...     {"condition": c, "estimator": name, "metric": "energy_distance", "value": value}
        ...     for name, values in distances.items()
        ...     for c, value in zip("ABC", values)
        ... ]
        >>> [(each.estimator, each.wins.value, round(each.mean_rank.value, 2)) for each in summarise(rows)]
        [('pdae', 2.0, 1.33), ('pool', 1.0, 1.67)]
    """
    names, values = _table([row for row in rows if row["metric"] == metric])
    rivals = [i for i, name in enumerate(names) if name != _REPLICATE]
    if values[rivals].size == 0:
        return []
    losses = np.where(np.isnan(values), np.inf, values if metric in LESS_IS_BETTER else -values)
    judged = np.isfinite(losses[rivals]).any(0)
    ranks = np.full(losses.shape, np.nan)
    ranks[rivals] = rankdata(losses[rivals], axis=0)
    best = losses == losses[rivals].min(0)
    summaries = [
        _summary(name, metric, values[i, judged], ranks[i, judged], best[i, judged], len(rivals))
        for i, name in enumerate(names)
        if np.isfinite(values[i, judged]).any()
    ]
    return sorted(summaries, key=lambda each: np.inf if each.mean_rank is None else each.mean_rank.value)


def _table(rows: Sequence[Mapping]) -> tuple[list[str], np.ndarray]:
    """Estimators, and their values by condition; NaN where there is none."""
    names = list(dict.fromkeys(row["estimator"] for row in rows))
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    cells = {(row["estimator"], row["condition"]): row["value"] for row in rows}
    if len(cells) < len(rows):
        raise InputError("rows must hold each estimator once at a condition; pass those of one evaluation")
    values = [[cells.get((name, condition)) for condition in conditions] for name in names]
    return names, np.array(values, dtype=float).reshape(len(names), len(conditions))


def _summary(
    name: str, metric: str, values: np.ndarray, ranks: np.ndarray, best: np.ndarray, n_rivals: int
) -> EstimatorSummary:
    measured, rival = values[np.isfinite(values)], name != _REPLICATE
    return EstimatorSummary(
        name,
        metric,
        len(measured),
        len(values),
        _mean(measured),
        median(measured.tolist()),
        _count(int(best.sum()), len(best)) if rival else None,
        _within(_mean(ranks), 1.0, n_rivals) if rival else None,
    )


def _mean(values: np.ndarray) -> Estimate:
    """Mean with the interval of Student."""
    n, mean = len(values), float(values.mean())
    error = float(stdtrit(n - 1, 1 - _TAIL)) * float(values.std(ddof=1)) / n**0.5 if n >= _FEWEST else np.inf
    return Estimate(mean, Interval(mean - error, mean + error))


def _within(estimate: Estimate, least: float, most: float) -> Estimate:
    """An estimate whose interval ends where its values do; an open one stays."""
    if not np.isfinite(estimate.high):
        return estimate
    return Estimate(estimate.value, Interval(max(estimate.low, least), min(estimate.high, most)))


def _count(k: int, n: int) -> Estimate:
    """Successes in n trials, with the exact interval of their expectation."""
    low = float(betaincinv(k, n - k + 1, _TAIL)) if k else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - _TAIL)) if k < n else 1.0
    return Estimate(float(k), Interval(n * low, n * high))
