"""What a task of a declared study is expected to take: gradient steps, pairs of cells compared, arrays held."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from pdae_sim.data import PerturbationData
from pdae_sim.estimation.phases import Phase
from pdae_sim.simulation.config import WorldConfig
from pdae_sim.study._estimators import kind_of, settings_of
from pdae_sim.study.datasets import MeasuredTable
from pdae_sim.study.evaluation import PREDICTION_METRICS
from pdae_sim.study.spec import Cost, seeds_of

_BASE_MIB, _BASE_SECONDS = 330.0, 0.3
_STEP_SECONDS, _STEP_SECONDS_PER_CELL = 1.5e-3, 7e-6
_JUDGED_SECONDS, _PAIR_SECONDS, _MMD_SECONDS, _BYTES_PER_VALUE = 0.2, 3e-9, 0.9, 64


@dataclass(frozen=True)
class Sizes:
    """Cells and coordinates of a scene.

    Args:
        n_train: Training cells.
        n_test: Cells of each held-out condition.
        n_environments: Training environments.
        n_observed: d_X.
        n_latents: d_Z, or as many as could be identified where nobody knows it.
    """

    n_train: int
    n_test: tuple[int, ...]
    n_environments: int
    n_observed: int
    n_latents: int

    @property
    def mib(self) -> float:
        """What is held of its cells."""
        return (self.n_train + sum(self.n_test)) * self.n_observed * _BYTES_PER_VALUE / 2**20


def cost(task: Mapping, folder: str = ".") -> Cost:
    """What a task takes on one thread; constants as measured. A block holds all of its worlds at once."""
    sizes, seeds = _sizes(task, folder), len(seeds_of(task))
    training = sum(_training_seconds(declared, sizes) for declared in task["estimators"])
    seconds = _BASE_SECONDS + training + _judging_seconds(task, sizes.n_test)
    return Cost(seeds * seconds, _BASE_MIB + sizes.mib * (1 if "table" in task else seeds))


def _judging_seconds(task: Mapping, n_test: Iterable[int]) -> float:
    metrics, n_test = set(task["metrics"]) & set(PREDICTION_METRICS), list(n_test)
    if not metrics:
        return 0.0
    each = [_JUDGED_SECONDS + _PAIR_SECONDS * (max(n / 2, 2000) + n / 2) ** 2 for n in n_test]
    return (len(task["estimators"]) + 1) * (sum(each) + _MMD_SECONDS * ("mmd" in metrics) * len(n_test))


def _training_seconds(declared: Mapping, sizes: Sizes) -> float:
    settings = settings_of(declared)
    n_latents = settings.get("n_latents", sizes.n_latents) + settings.get("extra_latents", 0)
    phases = kind_of(declared["kind"]).phases(settings)
    return sum(_phase_seconds(phase, sizes.n_environments, n_latents) for phase in phases)


def _phase_seconds(phase: Phase, n_environments: int, n_latents: int) -> float:
    alone = phase.sampling == "cells"
    targets = phase.cells if alone else min(n_environments, phase.environments)
    cells = phase.cells * (1 if alone else targets)
    tangents = 1 + n_latents / 2 if "likelihood" in phase.weights else 0
    passes = 1 + targets * ("perturbation" in phase.weights) + tangents
    return phase.steps * (_STEP_SECONDS + _STEP_SECONDS_PER_CELL * cells * passes)


def _sizes(task: Mapping, folder: str) -> Sizes:
    if "table" in task:
        return _sizes_of(MeasuredTable.read_described(task["table"], folder))
    return _sizes_of_world(json.dumps(task["world"], sort_keys=True))


def _sizes_of(data: PerturbationData) -> Sizes:
    train, held_out = data.counts[~data.held_out], data.counts[data.held_out]
    return Sizes(
        int(train.sum()),
        tuple(held_out.tolist()),
        len(train),
        data.stored.shape[1],
        min(len(train) - 1, data.stored.shape[1]),
    )


@lru_cache(maxsize=4096)
def _sizes_of_world(world: str) -> Sizes:
    config = WorldConfig.parse({**json.loads(world), "seed": 0})
    design, counts = config.experiments()
    E = len(design.train)
    return Sizes(
        int(counts[:E].sum()), tuple(counts[E:].tolist()), E, config.mixing.n_observed, config.latent.n_latents
    )
