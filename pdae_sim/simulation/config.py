"""A world and a design of experiments as a TOML file: validated, unknown keys refused, resolved in full."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BeforeValidator, Field, ValidationError

from pdae_sim import _random
from pdae_sim._checks import choice, naming
from pdae_sim.data import Simulation
from pdae_sim.errors import InputError
from pdae_sim.labels import LabelSpace
from pdae_sim.simulation._settings import (
    OpenTable,
    Table,
    building,
    given_defaults,
    overridden,
    problems,
    read_toml,
    refuse_unknown,
)
from pdae_sim.simulation._state import from_state
from pdae_sim.simulation.assumptions import Assumptions
from pdae_sim.simulation.designs import DESIGNS, Design, cell_counts, design_settings, make_design
from pdae_sim.simulation.latent import LinearLatentModel, random_departures
from pdae_sim.simulation.laws import LAWS, Law, law_state
from pdae_sim.simulation.mechanisms import internally_standardised
from pdae_sim.simulation.mixings import EMBEDDINGS, FAMILIES
from pdae_sim.simulation.observation import Observation, observation_settings, random_observation
from pdae_sim.simulation.oracles import TrueVerdict
from pdae_sim.simulation.simulator import Simulator, default_names

REFERENCE_CELLS = 4096
"""Cells of the reference environment from which signal-to-noise ratios and gene baselines are taken."""

_BESIDE_COVARIANCE = {"covariance", "perturbation_matrix", "n_latents", "n_perturbations", "noise", "departures"}


def _kind(noise: object) -> object:
    """A law's kind alone as a table."""
    return {"kind": noise} if isinstance(noise, str) else noise


def _steps(observation: object) -> object:
    """One step alone as a list of steps."""
    return observation if isinstance(observation, list) else [observation]


class LatentConfig(Table):
    """The latent model: drawn from its kinds, or given in part or whole.

    `adjacency`, `noise_variances` and a matrix of `targets` are A, D and S; `covariance` (with `perturbation_matrix`)
    gives Σ and W instead. `noise` is a law's kind or a table with its settings; `departures` maps kinds to strengths.
    """

    n_latents: int = Field(2, ge=1)
    n_perturbations: int = Field(3, ge=1)
    graph: str = "erdos_renyi"
    base: str = "graph"
    degree: float = Field(2.0, ge=0)
    layers: int | None = Field(None, ge=1)
    normalise: bool = False
    targets: str | list[list[float]] = "atomic"
    shift: float = 1.5
    density: float = Field(0.3, ge=0, le=1)
    noise: Annotated[dict, BeforeValidator(_kind)] = Field(default_factory=lambda: {"kind": "gaussian"})
    departures: dict[str, float] = Field(default_factory=dict)
    adjacency: list[list[float]] | None = None
    noise_variances: list[float] | None = None
    covariance: list[list[float]] | None = None
    perturbation_matrix: list[list[float]] | None = None

    def check(self) -> None:
        """Refuse keys that nothing would read."""
        if self.covariance is None:
            self.refuse("latent", "without covariance", "perturbation_matrix")
        if self.adjacency is not None:
            self.refuse("latent", "beside adjacency", "graph", "base", "degree", "layers")
        elif self.base != "graph":
            self.refuse("latent", f"with base = {self.base!r}", "graph", "degree", "layers")
        if self.graph not in ("erdos_renyi", "scale_free", "layered"):
            self.refuse("latent", f"with graph = {self.graph!r}", "degree")
        if self.graph != "layered":
            self.refuse("latent", f"with graph = {self.graph!r}", "layers")
        if not isinstance(self.targets, str):
            self.refuse("latent", "beside a matrix of targets", "shift")
        if self.targets != "sparse":
            self.refuse("latent", "without targets = 'sparse'", "density")


class MixingConfig(OpenTable):
    """Arguments of `random_mixing`; further keys are the settings of the family and of the embedding."""

    n_observed: int = Field(10, ge=1)
    kind: str = "stack"
    embedding: Literal["linear", "curved"] = "linear"
    condition: float | None = Field(None, ge=1)
    nonlinearity: float | None = Field(None, ge=0, lt=1)

    def all_settings(self) -> dict:
        """The settings of the family and of the embedding, with their defaults."""
        choice("mixing.kind", self.kind, FAMILIES)
        return {**FAMILIES[self.kind].settings, **EMBEDDINGS[self.embedding]}


class ObservationConfig(OpenTable):
    """One step of the observation; further keys are the settings of its kind, as in `random_observation`."""

    kind: str = "none"


class DesignConfig(OpenTable):
    """Which conditions are measured, in how many cells, and which of them are held out.

    Kind ``given`` lists conditions in `train` and `test`; any other kind of `DESIGNS` makes labels by its settings,
    and `test` then holds out further conditions. Cells are `cells` (and `test_cells`) in each condition, or `total` in
    all of them, shared out by `control_excess` and `spread`.
    """

    kind: str = "given"
    names: list[str] | None = None
    train: list[str] | None = None
    test: list[str] = Field(default_factory=list)
    cells: int = Field(4096, ge=1)
    test_cells: int | None = Field(None, ge=1)
    total: int | None = Field(None, ge=1)
    control_excess: float = Field(1.0, gt=0)
    spread: float = Field(0.0, ge=0)

    def check(self) -> None:
        """Refuse keys that nothing would read."""
        if self.total is None:
            self.refuse("design", "without total", "control_excess", "spread")
        else:
            self.refuse("design", "beside total", "cells")
        if self.kind != "given":
            self.refuse("design", f"with kind = {self.kind!r}, which makes its own training labels", "train")
        if self.train == []:
            raise InputError("design.train must name at least one condition, the reference")


class WorldConfig(Table):
    """A simulator and what is sampled from it."""

    seed: int = Field(0, ge=0)
    latent: LatentConfig = LatentConfig()
    mixing: MixingConfig = MixingConfig()
    observation: Annotated[list[ObservationConfig], BeforeValidator(_steps)] = Field(
        default_factory=lambda: [ObservationConfig()], min_length=1
    )
    design: DesignConfig = DesignConfig()

    @classmethod
    def read(cls, path: Path, overrides: Sequence[str] = ()) -> WorldConfig:
        """A configuration from a TOML file, with ``key=value`` overrides such as ``design.cells=100``.

        Raises:
            InputError: One line with the key and the fix.
        """
        return cls.parse(read_toml(path), overrides)

    @classmethod
    def parse(cls, table: dict, overrides: Sequence[str] = ()) -> WorldConfig:
        """A configuration from a nested dictionary; see `read`."""
        for override in overrides:
            table = overridden(table, override)
        try:
            config = cls.model_validate(table)
        except ValidationError as error:
            raise InputError("; ".join(problems(error, cls))) from None
        config._check_settings()
        return config

    def resolved(self) -> dict:
        """Every key with its value, those that were left to their defaults included."""
        table = self.model_dump()
        table["mixing"] = self.mixing.all_settings() | table["mixing"]
        table["observation"] = [
            given_defaults(observation_settings(step.kind)) | step.model_dump() for step in self.observation
        ]
        if self.design.kind != "given":
            table["design"] = given_defaults(design_settings(self.design.kind)) | table["design"]
        law = _law(self.latent.noise)
        table["latent"]["noise"] = law_state(law)
        if self.latent.covariance is not None:
            table["latent"] = {k: v for k, v in table["latent"].items() if k in _BESIDE_COVARIANCE}
            W = self.latent.perturbation_matrix
            table["latent"] |= {"n_latents": len(W), "n_perturbations": len(W[0])}
        return table

    def simulator(self) -> Simulator:
        """The simulator of this world."""
        names = self._names()
        with building("latent"):
            latent = self.latent_model()
        with building("mixing"):
            simulator = Simulator.random(latent, rng=self._root("simulator"), names=names, **self.mixing.model_dump())
        with building("observation"):
            return Simulator(latent, simulator.mixing, self._observation(simulator), names)

    def latent_model(self) -> LinearLatentModel:
        """The latent model: given, or drawn under the world's seed."""
        given = self.latent
        if given.covariance is not None:
            return self._from_covariance()
        drawn = LinearLatentModel.random(
            given.n_latents,
            given.n_perturbations,
            graph=given.graph,
            targets=given.targets if isinstance(given.targets, str) else np.array(given.targets, dtype=np.float64),
            noise=_law(given.noise),
            departures=given.departures,
            rng=self._root("latent"),
            **given.model_dump(include={"base", "degree", "layers", "shift", "density"}),
        )
        A, D = drawn.adjacency, drawn.noise_variances
        if given.adjacency is not None:
            A, D = np.array(given.adjacency, dtype=np.float64), np.ones(given.n_latents)
        D = D if given.noise_variances is None else np.array(given.noise_variances, dtype=np.float64)
        model = LinearLatentModel(A, D, drawn.targets, drawn.noise, drawn.departures)
        if not given.normalise:
            return model
        A, D = internally_standardised(model.adjacency, model.noise_variances)
        return LinearLatentModel(A, D, model.targets, model.noise, model.departures)

    def experiments(self) -> tuple[Design, np.ndarray]:
        """The labels of the design and (E + T,) cells of each."""
        with building("design"):
            design = self._design()
            return design, self._cells(len(design.train), len(design.test))

    def simulate(self) -> Simulation:
        """Samples of every condition of the design, with the truth and this configuration."""
        simulator, (design, counts) = self.simulator(), self.experiments()
        with building("cells"):
            drawn = simulator.sample(design.labels, counts, held_out=design.held_out, rng=self._root("cells"))
        return Simulation(drawn.data, drawn.truth, drawn.simulator, self.resolved(), str(self.seed))

    @property
    def breaks(self) -> tuple[str, ...]:
        """Names of the assumptions that this world breaks under its training design."""
        return self.assumptions().broken

    def assumptions(self) -> Assumptions:
        """Which assumptions of the theory hold in this world under its training design."""
        return self.simulator().assumptions(self.experiments()[0].train)

    def verdicts(self) -> dict[str, TrueVerdict]:
        """The truth about each held-out condition."""
        simulator, (design, counts) = self.simulator(), self.experiments()
        names = [simulator.space.condition(label) for label in design.test]
        judged = simulator.verdicts(design.test, design.train, counts[: len(design.train)])
        return dict(zip(names, judged, strict=True))

    def _from_covariance(self) -> LinearLatentModel:
        """The model of a given Σ and W, with the noise and the departures asked for."""
        given = self.latent
        unread = sorted(given.model_fields_set - _BESIDE_COVARIANCE)
        if given.perturbation_matrix is None:
            raise InputError("covariance needs perturbation_matrix, W (n_latents, n_perturbations), beside it")
        if unread:
            raise InputError(f"covariance and perturbation_matrix leave nothing to {', '.join(unread)}; remove one")
        Sigma, W = (np.array(m, dtype=np.float64) for m in (given.covariance, given.perturbation_matrix))
        for name, wanted, found in (
            ("n_latents", given.n_latents, len(W)),
            ("n_perturbations", given.n_perturbations, W.shape[1]),
        ):
            if name in given.model_fields_set and wanted != found:
                raise InputError(f"{name} = {wanted} disagrees with perturbation_matrix {W.shape}; remove it")
        plain = LinearLatentModel.from_covariance(Sigma, W)
        drawn = random_departures(given.departures, plain.targets, self._root("latent"))
        return LinearLatentModel(plain.adjacency, plain.noise_variances, plain.targets, _law(given.noise), drawn)

    def _observation(self, simulator: Simulator) -> Observation:
        """The law drawn to suit f(z) in the reference environment."""
        reference = np.zeros(simulator.latent.n_perturbations)
        rng = _random.stream(self._root("simulator"), "reference")
        clean = simulator.decode(simulator.latent.draw(REFERENCE_CELLS, reference, rng=rng)[1])
        rng = _random.child(self._root("simulator"), "observation")
        steps = [step.model_dump() for step in self.observation]
        if len(steps) == 1:
            return random_observation(clean=clean, rng=rng, **steps[0])
        return random_observation("chain", clean=clean, rng=rng, steps=steps)

    def _names(self) -> tuple[str, ...]:
        W, names = self.latent.perturbation_matrix, self.design.names
        K = self.latent.n_perturbations if W is None else len(W[0])
        if names is not None and len(names) != K:
            raise InputError(f"design.names must name all {K} perturbations; received {len(names)}")
        with naming("design.names"):
            return LabelSpace(default_names(K) if names is None else tuple(names)).names

    def _design(self) -> Design:
        given, space = self.design, LabelSpace(self._names())
        further = [space.vector(condition) for condition in given.test]
        if given.kind == "given":
            return Design([space.vector(condition) for condition in given.train or [space.control]], further)
        design = make_design(given.kind, len(space), rng=self._root("design"), **given.settings)
        return Design(design.train, np.vstack([design.test, *further])) if further else design

    def _cells(self, n_train: int, n_test: int) -> np.ndarray:
        given = self.design
        if given.total is None:
            return np.repeat([given.cells, given.test_cells or given.cells], [n_train, n_test])
        shared = n_train if given.test_cells else n_train + n_test
        counts = cell_counts(
            shared,
            total=given.total,
            control_excess=given.control_excess,
            spread=given.spread,
            rng=self._root("counts"),
        )
        return np.concatenate([counts, np.full(n_train + n_test - shared, given.test_cells or 0)]).astype(int)

    def _check_settings(self) -> None:
        refuse_unknown("mixing", self.mixing.settings, self.mixing.all_settings(), MixingConfig)
        for step in self.observation:
            refuse_unknown("observation", step.settings, observation_settings(step.kind), ObservationConfig)
        kind = choice("design.kind", self.design.kind, ("given", *DESIGNS))
        known = {} if kind == "given" else design_settings(kind)
        refuse_unknown("design", self.design.settings, known, DesignConfig)
        self.latent.check()
        self.design.check()

    def _root(self, name: str) -> np.random.SeedSequence:
        return _random.child(np.random.SeedSequence(self.seed), name)


def _law(noise: Mapping) -> Law:
    with naming("noise"):
        return from_state(noise, LAWS)
