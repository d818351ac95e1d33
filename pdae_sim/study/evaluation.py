"""Every estimator judged alike: held-out conditions, all metrics, the noise ceiling beside them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import numpy as np

from pdae_sim import _random
from pdae_sim._checks import InputError
from pdae_sim.analysis.discrepancy import mean_difference, mean_r2, mmd
from pdae_sim.analysis.worth import energy_estimate, worth
from pdae_sim.data import PerturbationData
from pdae_sim.estimation.baselines import BASELINES, Ceiling, Estimator
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.tilting import Tilting

log = logging.getLogger(__name__)

_MMD_ROWS = 4000
_MAX_BLOCKS = 20


def fitted_estimators(model: PDAE, data: PerturbationData, *, baselines: bool = True) -> dict[str, Estimator]:
    """The fitted model by its name and, beside it, every baseline fitted to the same training environments."""
    estimators: dict[str, Estimator] = {"pdae": model}
    if baselines:
        estimators |= {name: cls().fit(data) for name, cls in BASELINES.items()}
        estimators["tilting"] = Tilting(model).fit(data)
    return estimators


def evaluate(
    estimators: Mapping[str, Estimator], data: PerturbationData, *, n_samples: int | None = None, rng: object = 0
) -> list[dict]:
    """Judge estimators on the held-out conditions of `data`.

    The cells of each held-out condition are split in halves: one is the reference for every estimator, the other is all
    that the ``ceiling`` has to go by. Distances are unbiased (U-statistics of the predicted laws).

    Args:
        estimators: Fitted estimators by name.
        data: Data with held-out conditions.
        n_samples: Draws from each predicted law; the size of the reference half, at least 2,000, when absent.
        rng: Seed or generator.

    Returns:
        Rows with condition, estimator, metric, value, low, high, status, error. An estimator that fails gives a row
        with its error, never a missing row.
    """
    root = _random.seed_sequence(rng)
    reference, given = halves(data.test, root)
    judged = {**estimators, "ceiling": Ceiling().fit(given)}
    rows = []
    for e, condition in enumerate(reference.conditions):
        truth = reference.samples(e)
        for name, estimator in judged.items():
            draw = _drawer(
                estimator, condition, n_samples or max(len(truth), 2000), _random.child(root, name, condition)
            )
            rows += [{"condition": condition, "estimator": name, **row} for row in measure(draw, truth)]
    return rows


def halves(data: PerturbationData, root: np.random.SeedSequence) -> tuple[PerturbationData, PerturbationData]:
    """Every environment split at random into two disjoint halves."""
    first = np.zeros(len(data.x), bool)
    for e, condition in enumerate(data.conditions):
        rows = np.flatnonzero(data.environment == e)
        if len(rows) < 8:
            raise InputError(
                f"held-out condition {condition!r} has {len(rows)} cells; at least 8 are needed to judge by"
            )
        first[_random.stream(root, "halves", condition).permutation(rows)[: len(rows) // 2]] = True
    return data.rows(first), data.rows(~first)


def measure(draw: Callable[[], np.ndarray], truth: np.ndarray) -> list[dict]:
    """One row per metric for the draws of a predicted law against a reference sample, or one row with the error."""
    try:
        predicted = draw()
        if not np.isfinite(predicted).all():
            raise ValueError(f"the prediction holds {int((~np.isfinite(predicted)).sum())} values that are not finite")
        return [{**row, "status": "ok", "error": None} for row in _metrics(predicted, truth)]
    except Exception as error:
        log.warning("an estimator failed: %s", error)
        failed = {"metric": "energy_distance", "value": None, "low": None, "high": None}
        return [{**failed, "status": "failed", "error": f"{type(error).__name__}: {error}"}]


def _metrics(predicted: np.ndarray, truth: np.ndarray) -> list[dict]:
    estimate = energy_estimate(predicted, truth, n_blocks=min(_MAX_BLOCKS, len(truth) // 2))
    value = worth(estimate)
    low, high = estimate.interval
    plain = {
        "mmd": mmd(predicted[:_MMD_ROWS], truth[:_MMD_ROWS]),
        "mean_difference": mean_difference(predicted, truth),
        "mean_r2": mean_r2(predicted, truth),
    }
    return [
        {"metric": "energy_distance", "value": estimate.value, "low": low, "high": high},
        {"metric": "n_eff", "value": value.value, "low": value.low, "high": value.high if value.bounded else None},
        *({"metric": name, "value": _or_none(number), "low": None, "high": None} for name, number in plain.items()),
    ]


def _drawer(estimator: Estimator, condition: str, n: int, rng: object) -> Callable[[], np.ndarray]:
    return lambda: estimator.sample(condition, n, rng=rng)


def _or_none(number: float) -> float | None:
    return number if np.isfinite(number) else None
