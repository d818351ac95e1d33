"""A world and a design of experiments as a TOML file: validated, unknown keys refused, resolved in full."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, Field

from pdae_sim import _random
from pdae_sim._checks import naming, validated
from pdae_sim._files import read_toml
from pdae_sim.data import Simulation
from pdae_sim.errors import InputError
from pdae_sim.labels import LabelSpace
from pdae_sim.simulation._oracles import TrueVerdict
from pdae_sim.simulation._settings import Table, building, with_override
from pdae_sim.simulation._tables import DesignConfig, LatentConfig, MixingConfig, ObservationConfig
from pdae_sim.simulation.assumptions import Assumptions
from pdae_sim.simulation.designs import Design
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.mixings import FAMILIES
from pdae_sim.simulation.observation import Observation, random_observation
from pdae_sim.simulation.simulator import Simulator

_REFERENCE_CELLS = 4096
"""Cells of the reference environment from which signal-to-noise ratios and gene baselines are taken."""


def _steps(observation: object) -> object:
    """One step alone as a list of steps."""
    return observation if isinstance(observation, list) else [observation]


class WorldConfig(Table):
    """A simulator and what is sampled from it.

    Args:
        seed: The seed of everything drawn.
        latent: The latent model.
        mixing: f.
        observation: The steps from f(z) to x.
        design: Conditions and cells.

    Example:
        >>> config = WorldConfig.parse({"latent": {"n_latents": 2}}, ["design.train=['ctrl', 'A']", "design.cells=50"])
        >>> config.simulate().data.x.shape == (100, 10)
        True
    """

    seed: int = Field(default=0, ge=0)
    latent: LatentConfig = Field(default_factory=LatentConfig)
    mixing: MixingConfig = Field(default_factory=MixingConfig)
    observation: Annotated[list[ObservationConfig], BeforeValidator(_steps)] = Field(
        default_factory=lambda: [ObservationConfig()], min_length=1
    )
    design: DesignConfig = Field(default_factory=DesignConfig)

    @classmethod
    def read(cls, path: Path, overrides: Sequence[str] = ()) -> WorldConfig:
        """A configuration from a TOML file, with ``key=value`` overrides such as ``design.cells=100``.

        Raises:
            InputError: One line with the key and the fix.
        """
        return cls.parse(read_toml(path), overrides)

    @classmethod
    def parse(cls, table: dict[str, Any], overrides: Sequence[str] = ()) -> WorldConfig:
        """A configuration from a nested dictionary; see `read`."""
        for override in overrides:
            table = with_override(table, override)
        config = validated(cls, table)
        for step in config.observation:
            step.check()
        config.mixing.check()
        config.latent.check()
        config.design.check()
        return config

    def resolved(self) -> dict[str, Any]:
        """Every key with its value, those that were left to their defaults included."""
        return {
            "seed": self.seed,
            "latent": self.latent.resolved(),
            "mixing": self.mixing.resolved(),
            "observation": [step.resolved() for step in self.observation],
            "design": self.design.resolved(),
        }

    def simulator(self) -> Simulator:
        """The simulator of this world."""
        names = self.space.names
        latent, root = self.latent_model(), self._root("simulator")
        with building("mixing"):
            simulator = Simulator.random(latent, rng=root, names=names, **self.mixing.model_dump())
        with building("observation"):
            reference, rng = np.zeros(latent.n_perturbations), _random.stream(root, "reference")
            clean = simulator.decode(latent.draw(_REFERENCE_CELLS, reference, rng=rng)[1])
            return Simulator(latent, simulator.mixing, self._observation(clean), names)

    def latent_model(self) -> LinearLatentModel:
        """The latent model: given, or drawn under the world's seed."""
        with building("latent"):
            return self.latent.model(self._root("latent"))

    def experiments(self) -> tuple[Design, np.ndarray]:
        """The labels of the design and (E + T,) cells of each."""
        with building("design"):
            design = self.design.design(self.space, self._root("design"))
            return design, self.design.counts(len(design.train), len(design.test), self._root("counts"))

    def simulate(self) -> Simulation:
        """Samples of every condition of the design, with the truth and this configuration."""
        simulator, (design, counts) = self.simulator(), self.experiments()
        with building("cells"):
            sample = simulator.sample(design.labels, counts, held_out=design.held_out, rng=self._root("cells"))
        return Simulation(sample.data, sample.truth, sample.simulator, self.resolved(), str(self.seed))

    @property
    def space(self) -> LabelSpace:
        """The label space of the world's perturbations."""
        _, K = self.latent.size
        names = self.design.names
        if names is not None and len(names) != K:
            raise InputError(f"design.names must name all {K} perturbations; received {len(names)}")
        with naming("design.names"):
            return LabelSpace.lettered(K) if names is None else LabelSpace(tuple(names))

    @property
    def breaks(self) -> tuple[str, ...]:
        """Names of the assumptions that this world breaks under its training design."""
        return self.assumptions().broken

    def assumptions(self) -> Assumptions:
        """Which assumptions of the theory hold in this world under its training design.

        No mixing is drawn and calibrated for it: a family tells what its members break, and what a law of x breaks
        does not depend on the f(z) that its features were drawn to suit, so that a few numbers stand in for f(z).
        """
        latent = self.latent_model()
        with building("observation"):
            observation = self._observation(np.random.default_rng(0).random((8, self.mixing.n_observed)))
        return Assumptions.of_world(
            latent.breaks,
            FAMILIES[self.mixing.kind].breaks,
            observation,
            n_latents=len(latent.adjacency),
            n_observed=self.mixing.n_observed,
            diverse=latent.diverse(self.experiments()[0].train),
        )

    def verdicts(self) -> dict[str, TrueVerdict]:
        """The truth about each held-out condition."""
        simulator, (design, counts) = self.simulator(), self.experiments()
        names = [simulator.space.condition(label) for label in design.test]
        judged = simulator.verdicts(design.test, design.train, counts[: len(design.train)])
        return dict(zip(names, judged, strict=True))

    def _observation(self, clean: np.ndarray) -> Observation:
        """The law drawn to suit a sample of f(z)."""
        rng = _random.child(self._root("simulator"), "observation")
        steps = [step.model_dump() for step in self.observation]
        if len(steps) == 1:
            return random_observation(clean=clean, rng=rng, **steps[0])
        return random_observation("chain", clean=clean, rng=rng, steps=steps)

    def _root(self, name: str) -> np.random.SeedSequence:
        return _random.child(np.random.SeedSequence(self.seed), name)
