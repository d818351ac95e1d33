"""One task of a declared study: make its data sets, fit every estimator to them, judge them all alike."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from pdae_sim import _random
from pdae_sim.errors import InputError
from pdae_sim.protocols import Estimator
from pdae_sim.study._estimators import FitJob, fit_all, representation_of, settings_of
from pdae_sim.study._own_code import check_code
from pdae_sim.study._rows import error_text, traceback_text
from pdae_sim.study._stopwatch import timed
from pdae_sim.study.datasets import Dataset
from pdae_sim.study.evaluation import PREDICTION_METRICS, evaluate
from pdae_sim.study.identification_metrics import IDENTIFICATION_METRICS, identification_rows, oracle_rows
from pdae_sim.study.spec import seeds_of

_log = logging.getLogger(__name__)

METRICS = (*PREDICTION_METRICS, *IDENTIFICATION_METRICS)
"""What a declared study can measure."""

EVALUATION_DEFAULTS = {"n_samples": None, "n_fresh": 2000}
"""Draws from each predicted law (see `evaluate`) and fresh cells per training condition for identification."""


@dataclass(frozen=True, eq=False)
class Replicate:
    """One seed of a task: its data set, the estimators fitted to it, and failures.

    Args:
        task: The task.
        seed: The seed.
        dataset: What estimators are fitted to.
        columns: What all rows of the replicate say.
        fitted: Estimators by name, as they come.
        failures: A row for each that could not be fitted.
    """

    task: Mapping
    seed: int
    dataset: Dataset
    columns: Mapping
    fitted: dict[str, Estimator] = field(default_factory=dict)
    failures: list[dict] = field(default_factory=list)

    @classmethod
    def of(cls, task: Mapping, seed: int, folder: str) -> Replicate:
        """Simulate or read the data set."""
        dataset = Dataset.of(task, seed, folder)
        return cls(task, seed, dataset, _columns(task, seed) | {"diversity": dataset.diversity})

    def job(self, settings: Mapping) -> FitJob:
        """What a kind is given to fit to this replicate; every kind has the same seed."""
        seed = _random.torch_seed(self.dataset.root, "fit") >> 1
        return FitJob(self.dataset.data, self.dataset.n_latents, seed, settings, self.fitted)

    def take(self, name: str, result: Estimator | Exception) -> None:
        """Keep a fitted estimator, or a row that says why there is none."""
        if isinstance(result, Exception):
            _log.warning("%s cannot be fitted: %s", name, result)
            self.failures.append({**_failure(result), "estimator": name})
        else:
            self.fitted[name] = result


def perform_task(task: Mapping, folder: str = ".") -> list[dict]:
    """Rows of every estimator and metric under every seed of the task; what fails is a row, and the rest goes on.

    All data sets of a block are made first, then each estimator is fitted to all of them, at once where its kind can.

    Args:
        task: As a `Declaration` describes it.
        folder: Where paths of tables begin.
    """
    replicates_or_rows = [_replicate_or_failure(task, seed, folder) for seed in seeds_of(task)]
    replicates = [replicate for replicate in replicates_or_rows if isinstance(replicate, Replicate)]
    for declared in task["estimators"]:
        _fit(declared, replicates)
    return [row for replicate in replicates_or_rows for row in _judged(replicate)]


def _replicate_or_failure(task: Mapping, seed: int, folder: str) -> Replicate | dict:
    """A replicate, or the failure row if its data set cannot be made."""
    try:
        check_code(task.get("code", {}))
        return Replicate.of(task, seed, folder)
    except InputError as error:
        return {
            **_failure(error),
            "error": error_text(error),
            **_columns(task, seed),
        }
    except Exception as error:
        return {**_failure(error), **_columns(task, seed)}


def _fit(declared: Mapping, replicates: list[Replicate]) -> None:
    name, settings = declared["name"], settings_of(declared)
    with timed("fit", name):
        results = fit_all(declared["kind"], [replicate.job(settings) for replicate in replicates])
    for replicate, result in zip(replicates, results, strict=True):
        replicate.take(name, result)


def _judged(replicate: Replicate | dict) -> list[dict]:
    if isinstance(replicate, dict):
        return [replicate]
    try:
        rows = [*replicate.failures, *_predictions(replicate), *_identifications(replicate)]
    except Exception as error:
        rows = [*replicate.failures, _failure(error)]
    of_condition = replicate.dataset.conditions
    return [{**replicate.columns, **of_condition.get(row.get("condition") or "", {}), **row} for row in rows]


def _predictions(replicate: Replicate) -> list[dict]:
    metrics, dataset = set(replicate.task["metrics"]) & set(PREDICTION_METRICS), replicate.dataset
    if not metrics or not dataset.data.held_out.any():
        return []
    n_samples = _evaluation(replicate.task)["n_samples"]
    rng = _random.child(dataset.root, "evaluation")
    return evaluate(replicate.fitted, dataset.data, n_samples=n_samples, metrics=metrics, rng=rng)


def _identifications(replicate: Replicate) -> list[dict]:
    metrics, dataset = set(replicate.task["metrics"]) & set(IDENTIFICATION_METRICS), replicate.dataset
    if not metrics or dataset.simulation is None:
        return []
    with timed("judge", "oracle"):
        rows = oracle_rows(dataset.simulation, metrics, rng=_random.child(dataset.root, "oracle"))
    n, rng = _evaluation(replicate.task)["n_fresh"], _random.child(dataset.root, "identification")
    for name, estimator in replicate.fitted.items():
        model = representation_of(estimator)
        if model is not None:
            with timed("judge", name):
                own = identification_rows(model, dataset.simulation, metrics, n=n, rng=rng)
            rows += [{"estimator": name, **row} for row in own]
    return rows


def _columns(task: Mapping, seed: int) -> dict:
    return {"scenario": task["scenario"], "seed": seed, **task["columns"]}


def _evaluation(task: Mapping) -> dict:
    return {**EVALUATION_DEFAULTS, **task.get("evaluation", {})}


def _failure(error: Exception) -> dict:
    return {"metric": None, "value": None, "status": "failed", "error": traceback_text(error)}
