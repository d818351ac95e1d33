"""One task of a declared study: simulate a world, fit every estimator to it, judge them all alike."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from pdae_sim import _random
from pdae_sim.data import Simulation
from pdae_sim.estimation.baselines import Estimator
from pdae_sim.simulation.config import WorldConfig
from pdae_sim.study.estimators import Fit, fit_estimator, kind_of, representation_of
from pdae_sim.study.evaluation import METRICS as PREDICTION
from pdae_sim.study.evaluation import evaluate
from pdae_sim.study.identification import METRICS as IDENTIFICATION
from pdae_sim.study.identification import identification_rows, oracle_rows
from pdae_sim.study.spec import Cost, seeds_of, task_root

log = logging.getLogger(__name__)

METRICS = (*PREDICTION, *IDENTIFICATION)
"""What a declared study can measure."""

EVALUATION = {"n_samples": None, "n_fresh": 2000}
"""Draws from each predicted law (see `evaluate`) and fresh cells per training condition for identification."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A simulated world under one seed, and what is asked of it."""

    task: Mapping
    seed: int
    config: WorldConfig
    simulation: Simulation

    @classmethod
    def of(cls, task: Mapping, seed: int) -> Scene:
        """Simulate the world of a task."""
        config = WorldConfig.parse({**task["world"], "seed": seed})
        return cls(task, seed, config, config.simulate())

    @property
    def root(self) -> np.random.SeedSequence:
        """The root of fits and judgements: of the world and the seed, not of what else the study declares."""
        return task_root({"world": self.task["world"], "seed": self.seed})

    @property
    def wanted(self) -> set[str]:
        """Metrics asked for."""
        return set(self.task["metrics"])


def perform_world(task: Mapping) -> list[dict]:
    """Rows of every estimator and metric under every seed of the task; what fails is a row, and the rest goes on."""
    return [row for seed in seeds_of(task) for row in _replicate(task, seed)]


def _replicate(task: Mapping, seed: int) -> list[dict]:
    try:
        scene = Scene.of(task, seed)
        common = {"scenario": task["scenario"], "seed": seed, **task["columns"], "diversity": _diversity(scene)}
        about = _about(scene)
    except Exception as error:
        return [{**_failure(error), "scenario": task["scenario"], "seed": seed, **task["columns"]}]
    estimators, failures = _fitted(scene)
    rows = [*failures, *_predictions(scene, estimators), *_identifications(scene, estimators)]
    return [{**common, **about.get(row.get("condition"), {}), **row} for row in rows]


def _fitted(scene: Scene) -> tuple[dict[str, Estimator], list[dict]]:
    """Fitted estimators by name, and a failure row for each that could not be fitted."""
    fitted: dict[str, Estimator] = {}
    failures: list[dict] = []
    seed = _random.torch_seed(scene.root, "fit") >> 1
    d_Z = scene.simulation.truth.z.shape[1]
    for declared in scene.task["estimators"]:
        settings = {key: value for key, value in declared.items() if key not in ("name", "kind")}
        try:
            job = Fit(scene.simulation.data, d_Z, seed, settings, fitted)
            fitted[declared["name"]] = fit_estimator(declared["kind"], job)
        except Exception as error:
            log.warning("%s cannot be fitted: %s", declared["name"], error)
            failures.append({**_failure(error), "estimator": declared["name"]})
    return fitted, failures


def _predictions(scene: Scene, estimators: Mapping[str, Estimator]) -> list[dict]:
    metrics = scene.wanted & set(PREDICTION)
    if not metrics or not scene.simulation.data.held_out.any():
        return []
    n_samples = _evaluation(scene)["n_samples"]
    rng = _random.child(scene.root, "evaluation")
    return evaluate(estimators, scene.simulation.data, n_samples=n_samples, metrics=metrics, rng=rng)


def _identifications(scene: Scene, estimators: Mapping[str, Estimator]) -> list[dict]:
    metrics = scene.wanted & set(IDENTIFICATION)
    if not metrics:
        return []
    rows = oracle_rows(scene.simulation, metrics, rng=_random.child(scene.root, "oracle"))
    n, rng = _evaluation(scene)["n_fresh"], _random.child(scene.root, "identification")
    for name, estimator in estimators.items():
        model = representation_of(estimator)
        if model is not None:
            found = identification_rows(model, scene.simulation, metrics, n=n, rng=rng)
            rows += [{"estimator": name, **row} for row in found]
    return rows


def _about(scene: Scene) -> dict[str, dict]:
    """Verdict and distance from training support of every held-out condition."""
    data, truth = scene.simulation.data, scene.simulation.truth.isotropic()
    if not data.held_out.any():
        return {}
    train, test = data.train, data.test
    names = {condition: verdict.name for condition, verdict in scene.config.verdicts().items()}
    shifts = ((label - train.labels) @ truth.perturbation_matrix.T for label in test.labels)
    nearest = (float(np.linalg.norm(moves, axis=1).min()) for moves in shifts)
    return {c: {"verdict": names.get(c), "distance": d} for c, d in zip(test.conditions, nearest, strict=True)}


def _diversity(scene: Scene) -> int:
    """rank(W L) of the training shifts."""
    train, W = scene.simulation.data.train, scene.simulation.truth.perturbation_matrix
    return int(np.linalg.matrix_rank((train.labels - train.labels[train.reference]) @ W.T))


def _evaluation(scene: Scene) -> dict:
    return {**EVALUATION, **scene.task.get("evaluation", {})}


def _failure(error: Exception) -> dict:
    return {"metric": None, "value": None, "status": "failed", "error": "".join(traceback.format_exception(error))}


_BASE_MIB, _BASE_SECONDS = 330.0, 0.3
_STEP_SECONDS, _STEP_SECONDS_PER_CELL = 1.5e-3, 7e-6
_JUDGED_SECONDS, _PAIR_SECONDS, _MMD_SECONDS, _BYTES_PER_VALUE = 0.2, 3e-9, 0.9, 64


def cost(task: Mapping) -> Cost:
    """What a task takes on one thread: gradient steps, pairs of cells compared, arrays held; constants as measured."""
    n_train, n_test, E, d_X = _sizes(json.dumps(task["world"], sort_keys=True))
    training = sum(_training_seconds(declared, E) for declared in task["estimators"])
    judging = _judging_seconds(task, n_test)
    bytes_held = (n_train + sum(n_test)) * d_X * _BYTES_PER_VALUE
    return Cost(
        len(seeds_of(task)) * (_BASE_SECONDS + training + judging),
        _BASE_MIB + bytes_held / 2**20,
    )


def _judging_seconds(task: Mapping, n_test: list[int]) -> float:
    metrics = set(task["metrics"]) & set(PREDICTION)
    if not metrics:
        return 0.0
    each = [_JUDGED_SECONDS + _PAIR_SECONDS * (max(n / 2, 2000) + n / 2) ** 2 for n in n_test]
    return (len(task["estimators"]) + 1) * (sum(each) + _MMD_SECONDS * ("mmd" in metrics) * len(n_test))


def _training_seconds(declared: Mapping, n_environments: int) -> float:
    settings = {key: value for key, value in declared.items() if key not in ("name", "kind")}
    if settings.get("on"):
        return 0.0
    return sum(
        phase.steps * (_STEP_SECONDS + _STEP_SECONDS_PER_CELL * cells * (1 + _decodes(phase.weights) * environments))
        for phase in kind_of(declared["kind"]).phases(settings)
        for environments in [min(n_environments, phase.environments)]
        for cells in [phase.cells * environments]
    )


def _decodes(weights: Iterable[str]) -> bool:
    return "perturbation" in weights


@lru_cache(maxsize=4096)
def _sizes(world: str) -> tuple[int, list[int], int, int]:
    """Training cells, cells of each held-out condition, training environments, d_X."""
    config = WorldConfig.parse({**json.loads(world), "seed": 0})
    design, counts = config.experiments()
    E = len(design.train)
    return int(counts[:E].sum()), counts[E:].tolist(), E, config.mixing.n_observed
