"""A world and a design of experiments as a TOML file: validated, unknown keys refused, resolved in full."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pdae_sim import _random
from pdae_sim._checks import InputError, near_misses
from pdae_sim.data import Simulation
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.observation import observation_from_state
from pdae_sim.simulation.simulator import Simulator, default_names


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LatentConfig(_Table):
    """The latent model: drawn from its kinds, or given by `adjacency` and a matrix of `targets`."""

    n_latents: int = Field(2, ge=1)
    n_perturbations: int = Field(3, ge=1)
    graph: Literal["erdos_renyi", "chain", "complete", "empty"] = "erdos_renyi"
    degree: float = Field(2.0, ge=0)
    targets: Literal["atomic", "multi"] | list[list[float]] = "atomic"
    shift: float = 1.5
    adjacency: list[list[float]] | None = None
    noise_variances: list[float] | None = None


class MixingConfig(_Table):
    """Arguments of `random_mixing`."""

    n_observed: int = Field(10, ge=1)
    depth: int = Field(2, ge=0)
    activation: Literal["tanh", "leaky", "linear"] = "tanh"
    gain: float = Field(1.4, gt=0)
    bias: float = Field(0.3, ge=0)
    condition: float | None = Field(None, gt=1)


class ObservationConfig(_Table):
    """The observation law; `scale` is the standard deviation of Gaussian noise."""

    kind: Literal["none", "gaussian"] = "none"
    scale: float | None = Field(None, ge=0)


class DesignConfig(_Table):
    """Which conditions are measured, in how many cells, and which of them are held out."""

    names: list[str] | None = None
    train: list[str] = ["ctrl"]
    test: list[str] = []
    cells: int = Field(4096, ge=1)
    test_cells: int | None = Field(None, ge=1)


class WorldConfig(_Table):
    """A simulator and what is sampled from it."""

    seed: int = Field(0, ge=0)
    latent: LatentConfig = LatentConfig()
    mixing: MixingConfig = MixingConfig()
    observation: ObservationConfig = ObservationConfig()
    design: DesignConfig = DesignConfig()

    @classmethod
    def read(cls, path: Path, overrides: Sequence[str] = ()) -> WorldConfig:
        """A configuration from a TOML file, with ``key=value`` overrides such as ``design.cells=100``.

        Raises:
            InputError: One line with the key and the fix.
        """
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"not valid TOML: {error}") from None
        return cls.parse(table, overrides)

    @classmethod
    def parse(cls, table: dict, overrides: Sequence[str] = ()) -> WorldConfig:
        """A configuration from a nested dictionary; see `read`."""
        for override in overrides:
            table = _overridden(table, override)
        try:
            return cls.model_validate(table)
        except ValidationError as error:
            raise InputError("; ".join(_problems(error))) from None

    def simulator(self) -> Simulator:
        """The simulator of this world."""
        latent = self.latent_model()
        observation = observation_from_state(self.observation.model_dump(exclude_none=True))
        names = tuple(self.design.names or default_names(latent.n_perturbations))
        fields = self.mixing.model_dump()
        return Simulator.random(latent, rng=self._root("simulator"), names=names, observation=observation, **fields)

    def latent_model(self) -> LinearLatentModel:
        """The latent model: given, or drawn under the world's seed."""
        given, d = self.latent, self.latent.n_latents
        drawn = LinearLatentModel.random(
            d,
            given.n_perturbations,
            graph=given.graph,
            degree=given.degree,
            targets=given.targets if isinstance(given.targets, str) else "atomic",
            shift=given.shift,
            rng=self._root("latent"),
        )
        A = drawn.adjacency if given.adjacency is None else given.adjacency
        D = drawn.noise_variances if given.noise_variances is None else given.noise_variances
        S = drawn.targets if isinstance(given.targets, str) else np.asarray(given.targets)
        if S.shape != drawn.targets.shape:
            shape = f"({d}, {given.n_perturbations})"
            raise InputError(
                f"latent.targets must have shape (n_latents, n_perturbations) = {shape}; received {S.shape}"
            )
        return LinearLatentModel(A, D, S)

    def simulate(self) -> Simulation:
        """Samples of every condition of the design, with the truth and this configuration."""
        simulator, design = self.simulator(), self.design
        counts = [design.cells] * len(design.train) + [design.test_cells or design.cells] * len(design.test)
        held_out = [False] * len(design.train) + [True] * len(design.test)
        drawn = simulator.sample([*design.train, *design.test], counts, held_out=held_out, rng=self._root("cells"))
        return Simulation(drawn.data, drawn.truth, drawn.simulator, self.model_dump(), str(self.seed))

    def _root(self, name: str) -> np.random.SeedSequence:
        return _random.child(np.random.SeedSequence(self.seed), name)


def _overridden(table: dict, override: str) -> dict:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise InputError(f"--set {override!r}: expected key=value, for example design.cells=100")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    return _placed(table, key.strip().split("."), value, override)


def _placed(table: dict, path: list[str], value: object, override: str) -> dict:
    head, rest = path[0], path[1:]
    if rest and not isinstance(table.get(head, {}), dict):
        raise InputError(f"--set {override!r}: {head!r} is not a table")
    return {**table, head: _placed(table.get(head, {}), rest, value, override) if rest else value}


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        place = [str(part) for part in problem["loc"]]
        if problem["type"] == "extra_forbidden":
            yield f"unknown key {'.'.join(place)!r}; {near_misses(place[-1], _keys(place[:-1]))}"
        else:
            yield f"{'.'.join(place)}: {problem['msg'].lower()}; received {problem['input']!r}"


def _keys(place: list[str]) -> list[str]:
    model: type[BaseModel] = WorldConfig
    for part in place:
        model = model.model_fields[part].annotation
    return list(model.model_fields)
