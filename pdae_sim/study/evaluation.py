"""Every estimator judged alike: held-out conditions, all metrics, the noise ceiling beside them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping

import numpy as np

from pdae_sim import _random
from pdae_sim._checks import near_misses
from pdae_sim.analysis.prediction_error import Worth, energy_estimate, mean_difference, mean_r2, mmd, worth
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation.baselines import BASELINES, Ceiling
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.tilting import Tilting
from pdae_sim.protocols import Estimator
from pdae_sim.study._stopwatch import timed

log = logging.getLogger(__name__)

MIN_CELLS = 8
"""Fewer cells of a held-out condition than this cannot be split and judged by."""

PREDICTION_METRICS = ("energy_distance", "n_eff", "mmd", "mean_difference", "mean_r2")
"""What a prediction is judged by."""

_MMD_ROWS = 4000
_LEAST_SAMPLES = 2000


def fitted_estimators(model: PDAE, data: PerturbationData, *, baselines: bool = True) -> dict[str, Estimator]:
    """The fitted model by its name and, beside it, every baseline fitted to the same training environments."""
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
    rng: object = 0,
) -> list[dict]:
    """Judge estimators on the held-out conditions of `data`.

    The cells of each held-out condition are split in halves: one is the reference for every estimator, the other is all
    that the ``ceiling`` has to go by. Distances are unbiased (U-statistics of the predicted laws).

    Args:
        estimators: Fitted estimators by name.
        data: Data with held-out conditions.
        n_samples: Draws from each predicted law; the size of the reference half, at least 2,000, when absent.
        metrics: Which of `PREDICTION_METRICS` to measure.
        rng: Seed or generator.

    Returns:
        Rows with condition, estimator, metric, value, low, high, status, error. An estimator that fails gives a row
        with its error, never a missing row.
    """
    root, test = _random.seed_sequence(rng), data.test
    few = test.counts < MIN_CELLS
    names = [*estimators, "ceiling"]
    rows = [_too_few(test.conditions[e], name, test.counts[e]) for e in np.flatnonzero(few) for name in names]
    if few.all():
        return rows
    reference, given = halves(test.select(~few), root)
    judged = {**estimators, "ceiling": Ceiling().fit(given)}
    for e, condition in enumerate(reference.conditions):
        truth = reference.samples(e)
        for name, estimator in judged.items():
            draw = _drawer(
                estimator, condition, n_samples or max(len(truth), _LEAST_SAMPLES), _random.child(root, name, condition)
            )
            with timed("judge", name):
                rows += [{"condition": condition, "estimator": name, **row} for row in measure(draw, truth, metrics)]
    return rows


def worth_of(
    estimator: Estimator, data: PerturbationData, condition: str, *, n_samples: int | None = None, rng: object = 0
) -> Worth:
    """n_eff of an estimator at one condition, with a 95 % interval: how many measured cells would predict as well.

    Args:
        estimator: A fitted estimator: anything with `sample(label, n, rng=…)`.
        data: Holds cells of the condition that had no part in the fit; all of them are the reference.
        condition: A condition of `data`.
        n_samples: Draws from the predicted law; as many as the reference has, at least 2,000, when absent.
        rng: Seed or generator.

    Raises:
        InputError: If `data` has no cells of the condition, or fewer than 4.
    """
    wanted = data.space.condition(data.space.label(condition))
    if wanted not in data.conditions:
        raise InputError(f"data must hold cells of {condition!r}; {near_misses(wanted, data.conditions)}")
    truth = data.samples(data.conditions.index(wanted))
    n = n_samples or max(len(truth), _LEAST_SAMPLES)
    return worth(energy_estimate(estimator.sample(wanted, n, rng=rng), truth))


def halves(data: PerturbationData, root: np.random.SeedSequence) -> tuple[PerturbationData, PerturbationData]:
    """Every environment split at random into two disjoint halves, each in random order."""
    first, second = [], []
    for condition, rows in zip(data.conditions, data.rows_by_environment, strict=True):
        shuffled = _random.stream(root, "halves", condition).permutation(rows)
        first.append(shuffled[: len(shuffled) // 2])
        second.append(shuffled[len(shuffled) // 2 :])
    return data.rows(np.concatenate(first)), data.rows(np.concatenate(second))


def measure(
    draw: Callable[[], np.ndarray], truth: np.ndarray, metrics: Collection[str] = PREDICTION_METRICS
) -> list[dict]:
    """One row per metric for the draws of a predicted law against a reference sample; a failure is a row too."""
    try:
        predicted = draw()
        if not np.isfinite(predicted).all():
            raise ValueError(f"the prediction holds {int((~np.isfinite(predicted)).sum())} values that are not finite")
    except Exception as error:
        log.warning("an estimator failed: %s", error)
        return [_row("energy_distance", error=error)]
    energy = _energy(predicted, truth) if {"energy_distance", "n_eff"} & set(metrics) else []
    return [row for row in energy if row["metric"] in metrics] + [
        _measured(name, metric, predicted[:rows], truth[:rows])
        for name, (metric, rows) in _PLAIN.items()
        if name in metrics
    ]


_PLAIN = {"mmd": (mmd, _MMD_ROWS), "mean_difference": (mean_difference, None), "mean_r2": (mean_r2, None)}


def _energy(predicted: np.ndarray, truth: np.ndarray) -> list[dict]:
    try:
        estimate = energy_estimate(predicted, truth)
        value = worth(estimate)
    except Exception as error:
        return [_row("energy_distance", error=error), _row("n_eff", error=error)]
    high = value.interval.high if value.bounded else None
    return [
        _row("energy_distance", estimate.value, *estimate.interval),
        _row("n_eff", value.value, value.interval.low, high),
    ]


def _measured(name: str, metric: Callable, predicted: np.ndarray, truth: np.ndarray) -> dict:
    try:
        return _row(name, _or_none(metric(predicted, truth)))
    except Exception as error:
        return _row(name, error=error)


def _row(metric: str, value=None, low=None, high=None, *, error: Exception | None = None) -> dict:
    status = {"status": "ok", "error": None}
    if error is not None:
        status = {"status": "failed", "error": f"{type(error).__name__}: {error}"}
    return {"metric": metric, "value": value, "low": low, "high": high, **status}


def _too_few(condition: str, estimator: str, n: int) -> dict:
    error = InputError(f"the condition has {n} cells; judging needs at least {MIN_CELLS}")
    return {"condition": condition, "estimator": estimator, **_row("energy_distance", error=error)}


def _drawer(estimator: Estimator, condition: str, n: int, rng: object) -> Callable[[], np.ndarray]:
    return lambda: estimator.sample(condition, n, rng=rng)


def _or_none(number: float) -> float | None:
    return number if np.isfinite(number) else None
