"""What estimators are fitted to under one seed: a simulated world with its truth, or a measured table without."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from pdae_sim.analysis.verdict import judge
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.simulation.config import WorldConfig
from pdae_sim.study._measured_table import identity, read_described
from pdae_sim.study._stopwatch import part
from pdae_sim.study.spec import task_root


class Scene(Protocol):
    """What a replicate of a task works on."""

    @property
    def data(self) -> PerturbationData:
        """Training environments and held-out ones."""

    @property
    def simulation(self) -> Simulation | None:
        """Data and truth; None where there is no truth."""

    @property
    def n_latents(self) -> int | None:
        """d_Z; None where nobody knows it."""

    @property
    def diversity(self) -> int | None:
        """rank(W L) of the training shifts; None where W is not known."""

    @property
    def root(self) -> np.random.SeedSequence:
        """The root of fits and judgements: of the scene and the seed, not of what else the study declares."""

    def about(self) -> dict[str, dict]:
        """By held-out condition its verdict and its distance from training support."""


def scene_of(task: Mapping, seed: int, folder: str) -> Scene:
    """The scene of a task under one of its seeds; `folder` is where paths of tables begin."""
    if "table" in task:
        with part("read", task["scenario"]):
            return Measured(task["table"], seed, read_described(task["table"], folder))
    with part("simulate", task["scenario"]):
        return Simulated.of(task["world"], seed)


@dataclass(frozen=True, eq=False)
class Simulated:
    """A simulated world; `world` is its configuration without a seed."""

    world: Mapping
    seed: int
    config: WorldConfig
    simulation: Simulation

    @classmethod
    def of(cls, world: Mapping, seed: int) -> Simulated:
        """Simulate it."""
        config = WorldConfig.parse({**world, "seed": seed})
        return cls(world, seed, config, config.simulate())

    @property
    def data(self) -> PerturbationData:
        """The data, without the truth."""
        return self.simulation.data

    @property
    def n_latents(self) -> int:
        """d_Z of the world."""
        return self.simulation.truth.z.shape[1]

    @property
    def diversity(self) -> int:
        """rank(W L) of the training shifts."""
        train, W = self.data.train, self.simulation.truth.perturbation_matrix
        return int(np.linalg.matrix_rank((train.labels - train.labels[train.reference]) @ W.T))

    @property
    def root(self) -> np.random.SeedSequence:
        """Of the world and the seed."""
        return task_root({"world": self.world, "seed": self.seed})

    def about(self) -> dict[str, dict]:
        """The true verdicts, and distances in latent standard deviations from the nearest training condition."""
        data, truth = self.data, self.simulation.truth.isotropic()
        if not data.held_out.any():
            return {}
        train, test = data.train, data.test
        names = {condition: verdict.name for condition, verdict in self.config.verdicts().items()}
        shifts = ((label - train.labels) @ truth.perturbation_matrix.T for label in test.labels)
        nearest = (float(np.linalg.norm(moves, axis=1).min()) for moves in shifts)
        return {c: {"verdict": names.get(c), "distance": d} for c, d in zip(test.conditions, nearest, strict=True)}


@dataclass(frozen=True, eq=False)
class Measured:
    """A measured table; `table` is its description in the task. Its seed is of fits and splits alone."""

    table: Mapping
    seed: int
    data: PerturbationData
    simulation: ClassVar[None] = None
    n_latents: ClassVar[None] = None
    diversity: ClassVar[None] = None

    @property
    def root(self) -> np.random.SeedSequence:
        """Of the table, wherever it lies, and the seed."""
        return task_root({"table": identity(self.table), "seed": self.seed})

    def about(self) -> dict[str, dict]:
        """Verdicts from the labels alone: support is not known without W, nor is distance."""
        if not self.data.held_out.any():
            return {}
        train, test = self.data.train, self.data.test
        judged = judge(train.labels, test.labels)
        return {c: {"verdict": v.name, "distance": None} for c, v in zip(test.conditions, judged, strict=True)}
