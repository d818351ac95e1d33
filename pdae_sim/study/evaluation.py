"""Every estimator judged alike: held-out conditions, all metrics, the noise ceiling beside them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, partial

import numpy as np

from pdae_sim import _random
from pdae_sim._checks import near_misses
from pdae_sim._random import SeedLike
from pdae_sim.analysis.prediction_error import Worth, energy_estimate, mean_difference, mean_r2, mmd, worth
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation.baselines import BASELINES, Ceiling
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.tilting import Tilting
from pdae_sim.protocols import Estimator
from pdae_sim.study._rows import failed_row, measured_row
from pdae_sim.study._stopwatch import timed

_log = logging.getLogger(__name__)

PREDICTION_METRICS = ("energy_distance", "n_eff", "mmd", "mean_difference", "mean_r2")
"""Metrics of a predicted law against cells of the condition."""

_MIN_CELLS = 8  # fewer cells of a held-out condition cannot be split and judged by
_MMD_ROWS = 4000  # time and memory of MMD grow with their square
_LEAST_SAMPLES = 2000


def fitted_estimators(model: PDAE, data: PerturbationData, *, baselines: bool = True) -> dict[str, Estimator]:
    """A fitted PDAE as ``pdae`` and, beside it, tilting and every baseline fitted to the same training environments.

    Args:
        model: Fitted.
        data: What it was fitted to.
        baselines: Whether to fit the others too.

    Example:
        >>> data = PerturbationData.from_arrays([[0.0], [1.0], [2.0]], ["ctrl", "A", "A"])
        >>> list(fitted_estimators(PDAE(1), data, baselines=False))
        ['pdae']
    """
    estimators: dict[str, Estimator] = {"pdae": model}
    if baselines:
        estimators |= {name: cls().fit(data) for name, cls in BASELINES.items()}
        estimators["tilting"] = Tilting(model).fit(data)
    return estimators


def evaluate(
    estimators: Mapping[str, Estimator],
    data: PerturbationData,
    *,
    n_samples: int | None = None,
    metrics: Collection[str] = PREDICTION_METRICS,
    rng: SeedLike = None,
) -> list[dict]:
    """Judge estimators on the held-out conditions of `data`.

    The cells of each held-out condition are split in halves: one is the reference for every estimator, the other is all
    that the ``ceiling`` has to go by. Distances are unbiased (U-statistics of the predicted laws).

    Args:
        estimators: Fitted estimators by name.
        data: Data with held-out conditions.
        n_samples: Draws from each predicted law; the size of the reference half, at least 2,000, when absent.
        metrics: Which of `PREDICTION_METRICS` to measure.
        rng: Whatever `numpy.random.default_rng` takes, for the split and the draws.

    Returns:
        Rows with condition, estimator, metric, value, low, high, status, error. An estimator that fails gives a row
        with its error, never a missing row.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> data = PerturbationData.from_arrays(x, ["ctrl", "A", "B"] * 20, held_out=[False, False, True] * 20)
        >>> rows = evaluate({"pool": BASELINES["pool"]().fit(data)}, data, metrics=["mean_difference"], rng=0)
        >>> [(row["condition"], row["estimator"], row["status"]) for row in rows]
        [('B', 'pool', 'ok'), ('B', 'ceiling', 'ok')]
    """
    root, test = _random.seed_sequence(rng), data.test
    few = test.counts < _MIN_CELLS
    names = [*estimators, "ceiling"]
    rows = [_too_few(test.conditions[e], name, test.counts[e]) for e in np.flatnonzero(few) for name in names]
    if few.all():
        return rows
    reference, rest = _halves(test.select(~few), root)
    judged: dict[str, Estimator] = {**estimators, "ceiling": Ceiling().fit(rest)}
    for e, condition in enumerate(reference.conditions):
        truth = reference.samples(e)
        n = n_samples or max(len(truth), _LEAST_SAMPLES)
        for name, estimator in judged.items():
            draw = partial(estimator.sample, condition, n, rng=_random.child(root, name, condition))
            with timed("judge", name):
                rows += [{"condition": condition, "estimator": name, **row} for row in _judge(draw, truth, metrics)]
    return rows


def worth_of(
    estimator: Estimator, data: PerturbationData, condition: str, *, n_samples: int | None = None, rng: SeedLike = None
) -> Worth:
    """n_eff of an estimator at one condition, with a 95 % interval: how many measured cells would predict as well.

    Args:
        estimator: A fitted estimator: anything with `sample(label, n, rng=…)`.
        data: Holds cells of the condition that had no part in the fit; all of them are the reference.
        condition: A condition of `data`.
        n_samples: Draws from the predicted law; as many as the reference has, at least 2,000, when absent.
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: If `data` has no cells of the condition, or fewer than 4.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(300, 2))
        >>> data = PerturbationData.from_arrays(x, ["ctrl", "A", "B"] * 100, held_out=[False, False, True] * 100)
        >>> worth_of(BASELINES["pool"]().fit(data), data, "B", rng=0).interval.high > 100  # of one law
        True
    """
    canonical = data.space.condition(data.space.label(condition))
    if canonical not in data.conditions:
        raise InputError(f"data must hold cells of {condition!r}; {near_misses(canonical, data.conditions)}")
    truth = data.samples(data.conditions.index(canonical))
    n = n_samples or max(len(truth), _LEAST_SAMPLES)
    return worth(energy_estimate(estimator.sample(canonical, n, rng=rng), truth))


def _too_few(condition: str, estimator: str, n: int) -> dict:
    error = InputError(f"the condition has {n} cells; judging needs at least {_MIN_CELLS}")
    return {"condition": condition, "estimator": estimator, **failed_row("energy_distance", error)}


def _halves(data: PerturbationData, root: np.random.SeedSequence) -> tuple[PerturbationData, PerturbationData]:
    """Every environment split at random into two disjoint halves, each in random order."""
    first, second = [], []
    for condition, rows in zip(data.conditions, data.rows_by_environment, strict=True):
        shuffled = _random.stream(root, "halves", condition).permutation(rows)
        first.append(shuffled[: len(shuffled) // 2])
        second.append(shuffled[len(shuffled) // 2 :])
    return data.rows(np.concatenate(first)), data.rows(np.concatenate(second))


def _judge(draw: Callable[[], np.ndarray], truth: np.ndarray, metrics: Collection[str]) -> list[dict]:
    """One row per metric for the draws of a predicted law against a reference sample; a failure is a row too."""
    try:
        predicted = draw()
        if not np.isfinite(predicted).all():
            raise ValueError(f"the prediction holds {int((~np.isfinite(predicted)).sum())} values that are not finite")
    except Exception as error:
        _log.warning("an estimator failed: %s", error)
        return [failed_row("energy_distance", error)]
    energy = cache(lambda: energy_estimate(predicted, truth))
    measures: dict[str, Callable[[], Sequence[float | None]]] = {
        "energy_distance": lambda: (energy().value, *energy().interval),
        "n_eff": lambda: _worth_numbers(worth(energy())),
        "mmd": lambda: (_or_none(mmd(predicted[:_MMD_ROWS], truth[:_MMD_ROWS])),),
        "mean_difference": lambda: (_or_none(mean_difference(predicted, truth)),),
        "mean_r2": lambda: (_or_none(mean_r2(predicted, truth)),),
    }
    return [measured_row(metric, measures[metric]) for metric in PREDICTION_METRICS if metric in metrics]


def _worth_numbers(value: Worth) -> tuple[float, float, float | None]:
    """n_eff with its interval; no upper end where the data leave it open."""
    return value.value, value.interval.low, value.interval.high if value.bounded else None


def _or_none(number: float) -> float | None:
    return number if np.isfinite(number) else None
