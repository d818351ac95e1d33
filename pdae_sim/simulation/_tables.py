"""The tables of a world's configuration: the latent model, the mixing, the observation and the design."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from pdae_sim import _random
from pdae_sim._checks import choice
from pdae_sim.errors import InputError
from pdae_sim.labels import LabelSpace
from pdae_sim.simulation._mechanisms import internally_standardised
from pdae_sim.simulation._random_departures import random_departures
from pdae_sim.simulation._settings import OpenTable, Table, refuse_unknown
from pdae_sim.simulation.designs import DESIGNS, Design, cell_counts
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.laws import LAWS, Law
from pdae_sim.simulation.mixings import EMBEDDINGS, FAMILIES
from pdae_sim.simulation.observation._random_laws import RANDOM_LAWS

_BESIDE_COVARIANCE = {"covariance", "perturbation_matrix", "n_latents", "n_perturbations", "noise", "departures"}


def _kind(noise: object) -> object:
    """A law's kind alone as a table."""
    return {"kind": noise} if isinstance(noise, str) else noise


class LatentConfig(Table):
    """The latent model: drawn from its kinds, or given in part or whole.

    `adjacency`, `noise_variances` and a matrix of `targets` are A, D and S; `covariance` (with `perturbation_matrix`)
    gives Σ and W instead. `noise` is a law's kind or a table with its settings; `departures` maps kinds to strengths.
    """

    n_latents: int = Field(default=2, ge=1)
    n_perturbations: int = Field(default=3, ge=1)
    graph: str = "erdos_renyi"
    base: str = "graph"
    degree: float = Field(default=2.0, ge=0)
    layers: int | None = Field(default=None, ge=1)
    normalise: bool = False
    targets: str | list[list[float]] = "atomic"
    shift: float = 1.5
    density: float = Field(default=0.3, ge=0, le=1)
    noise: Annotated[dict[str, Any], BeforeValidator(_kind)] = Field(default_factory=lambda: {"kind": "gaussian"})
    departures: dict[str, float] = Field(default_factory=dict)
    adjacency: list[list[float]] | None = None
    noise_variances: list[float] | None = None
    covariance: list[list[float]] | None = None
    perturbation_matrix: list[list[float]] | None = None

    def check(self) -> None:
        """Refuse keys that nothing would read."""
        W = self.perturbation_matrix
        if W is not None and (not W or not W[0] or len({len(row) for row in W}) != 1):
            raise InputError("latent.perturbation_matrix must have rows of one length, one at least and not empty")
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

    @property
    def size(self) -> tuple[int, int]:
        """d_Z and K."""
        W = self.perturbation_matrix
        return (self.n_latents, self.n_perturbations) if W is None else (len(W), len(W[0]))

    def law(self) -> Law:
        """The law of the noises."""
        return LAWS.from_state(self.noise)

    def model(self, root: np.random.SeedSequence) -> LinearLatentModel:
        """The latent model: given, or drawn."""
        if self.covariance is not None:
            return self._from_covariance(self.covariance, root)
        model = LinearLatentModel.random(
            self.n_latents,
            self.n_perturbations,
            graph=self.graph,
            targets=self.targets if isinstance(self.targets, str) else np.array(self.targets, dtype=np.float64),
            noise=self.law(),
            departures=self.departures,
            rng=root,
            **self.model_dump(include={"base", "degree", "layers", "shift", "density"}),
        )
        A, D = model.adjacency, model.noise_variances
        if self.adjacency is not None:
            A, D = np.array(self.adjacency, dtype=np.float64), np.ones(self.n_latents)
        D = D if self.noise_variances is None else np.array(self.noise_variances, dtype=np.float64)
        model = replace(model, adjacency=A, noise_variances=D)
        if not self.normalise:
            return model
        A, D = internally_standardised(A, D)  # once it is known that they fit
        return replace(model, adjacency=A, noise_variances=D)

    def _from_covariance(self, covariance: list[list[float]], root: np.random.SeedSequence) -> LinearLatentModel:
        """The model of a given Σ and W, with the noise and the departures asked for."""
        unread = sorted(self.model_fields_set - _BESIDE_COVARIANCE)
        if self.perturbation_matrix is None:
            raise InputError("covariance needs perturbation_matrix, W (n_latents, n_perturbations), beside it")
        if unread:
            raise InputError(f"covariance and perturbation_matrix leave nothing to {', '.join(unread)}; remove one")
        W = np.array(self.perturbation_matrix, dtype=np.float64)
        for name, size in zip(("n_latents", "n_perturbations"), W.shape, strict=True):
            if name in self.model_fields_set and getattr(self, name) != size:
                raise InputError(
                    f"{name} = {getattr(self, name)} disagrees with perturbation_matrix {W.shape}; remove it"
                )
        model = LinearLatentModel.from_covariance(np.array(covariance, dtype=np.float64), W)
        return replace(model, noise=self.law(), departures=random_departures(self.departures, model.targets, root))

    def resolved(self) -> dict[str, Any]:
        """Every key that is read, with its value."""
        table = self.model_dump() | {"noise": LAWS.state(self.law())}
        if self.covariance is not None:
            table = {key: value for key, value in table.items() if key in _BESIDE_COVARIANCE}
            table |= dict(zip(("n_latents", "n_perturbations"), self.size, strict=True))
        return table


class MixingConfig(OpenTable):
    """Arguments of `random_mixing`; further keys are the settings of the family and of the embedding."""

    n_observed: int = Field(default=10, ge=1)
    kind: str = "stack"
    embedding: Literal["linear", "curved"] = "linear"
    condition: float | None = Field(default=None, ge=1)
    nonlinearity: float | None = Field(default=None, ge=0, lt=1)

    def defaults(self) -> dict[str, Any]:
        """The settings of the family and of the embedding, with their defaults."""
        choice("mixing.kind", self.kind, FAMILIES)
        return {**FAMILIES[self.kind].settings, **EMBEDDINGS[self.embedding]}

    def check(self) -> None:
        """Refuse settings that neither the family nor the embedding knows."""
        refuse_unknown("mixing", self.settings, self.defaults(), type(self))

    def resolved(self) -> dict[str, Any]:
        """Every key with its value."""
        return self.defaults() | self.model_dump()


class ObservationConfig(OpenTable):
    """One step of the observation; further keys are the settings of its kind, as in `random_observation`."""

    kind: str = "none"

    def check(self) -> None:
        """Refuse settings that the kind does not know."""
        refuse_unknown("observation", self.settings, RANDOM_LAWS.settings(self.kind), type(self))

    def resolved(self) -> dict[str, Any]:
        """Every key with its value."""
        return RANDOM_LAWS.defaults(self.kind) | self.model_dump()


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
    cells: int = Field(default=4096, ge=1)
    test_cells: int | None = Field(default=None, ge=1)
    total: int | None = Field(default=None, ge=1)
    control_excess: float = Field(default=1.0, gt=0)
    spread: float = Field(default=0.0, ge=0)

    def check(self) -> None:
        """Refuse keys that nothing would read."""
        kind = choice("design.kind", self.kind, ("given", *DESIGNS))
        refuse_unknown("design", self.settings, {} if kind == "given" else DESIGNS.settings(kind), type(self))
        if self.total is None:
            self.refuse("design", "without total", "control_excess", "spread")
        else:
            self.refuse("design", "beside total", "cells")
        if kind != "given":
            self.refuse("design", f"with kind = {kind!r}, which makes its own training labels", "train")
        if self.train == []:
            raise InputError("design.train must name at least one condition, the reference")

    def design(self, space: LabelSpace, root: np.random.SeedSequence) -> Design:
        """The labels to train on and those held out."""
        further = np.array([space.vector(condition) for condition in self.test]).reshape(-1, len(space))
        if self.kind == "given":
            return Design(np.array([space.vector(condition) for condition in self.train or [space.control]]), further)
        design = DESIGNS.make(self.kind, self.settings, n_perturbations=len(space), taken=further, rng=root)
        return Design(design.train, np.vstack([design.test, further])) if len(further) else design

    def counts(self, n_train: int, n_test: int, rng: _random.SeedLike) -> np.ndarray:
        """(n_train + n_test,) cells of each condition."""
        if self.total is None:
            return np.repeat([self.cells, self.test_cells or self.cells], [n_train, n_test])
        shared = n_train if self.test_cells else n_train + n_test
        counts = cell_counts(shared, total=self.total, control_excess=self.control_excess, spread=self.spread, rng=rng)
        return np.concatenate([counts, np.full(n_train + n_test - shared, self.test_cells or 0)]).astype(int)

    def resolved(self) -> dict[str, Any]:
        """Every key with its value."""
        return ({} if self.kind == "given" else DESIGNS.defaults(self.kind)) | self.model_dump()
