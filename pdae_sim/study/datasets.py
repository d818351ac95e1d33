"""Data sets of a declared study: simulated worlds on a grid of settings, or measured tables; and their data by seed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pdae_sim._checks import naming, validated
from pdae_sim.analysis.verdict import judge
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.errors import InputError
from pdae_sim.io import convert_file
from pdae_sim.simulation.config import WorldConfig
from pdae_sim.simulation.worlds import world
from pdae_sim.study._digests import digest_of, refuse_changed
from pdae_sim.study._stopwatch import timed
from pdae_sim.study.spec import task_root
from pdae_sim.study.store import _COLUMNS

_TAKEN = {*_COLUMNS, "diversity", "distance"}
"""Columns that the rows of a study have anyway."""
_LATER = ("reference", "covariate", "batch", "shared")
"""Settings of tables that tasks tell of only where they are given, so that those without keep their seeds."""

_FileState = tuple[str, int, int]
"""Path, size and time of the last change."""


class MeasuredTable(BaseModel):
    """A table of cells and how to read it.

    Args:
        path: A file that `pdae_sim.io.convert_file` reads, relative to the folder of the declaration.
        test: Conditions to hold out, as the table writes them, beside those that `split` marks.
        transform: ``none``, ``log1p`` or ``log``.
        condition, split, dose, control, no_control, reference, separator, dose_separator, train_words, test_words: As
            in `pdae_sim.io.ReadOptions`.
        layer, features, leave_out, covariate, batch, shared: As there.

    Example:
        >>> MeasuredTable(path="cells.csv", test=["A+B"]).split
        'split'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(min_length=1)
    test: list[str] = []
    transform: str = "none"
    condition: str = "condition"
    split: str = "split"
    dose: str = "dose"
    control: str | None = None
    no_control: bool = False
    separator: str | None = None
    dose_separator: str | None = None
    train_words: list[str] = ["train"]
    test_words: list[str] = ["test"]
    layer: str | None = None
    features: list[str] = []
    leave_out: list[str] = []
    reference: str | None = None
    covariate: list[str] = []
    batch: list[str] = []
    shared: bool = False

    def described(self, folder: str | Path) -> dict:
        """What a task says of the table: how it is read, and the digest of what is in it."""
        settings = {key: value for key, value in self.model_dump().items() if value or key not in _LATER}
        return {**settings, "digest": _digest(_file_state(Path(folder) / self.path))}

    def read(self, folder: str | Path) -> PerturbationData:
        """The cells, held-out conditions marked.

        Raises:
            InputError: One line with the file, the field and the fix.
        """
        return _read(self.model_dump_json(), _file_state(Path(folder) / self.path))

    @classmethod
    def read_described(cls, described: Mapping, folder: str | Path) -> PerturbationData:
        """The cells of a table as a task describes it.

        Raises:
            InputError: If there is no such file, or its content is not what it was when the task was declared.
        """
        table = cls(**{key: value for key, value in described.items() if key != "digest"})
        path = Path(folder) / table.path
        refuse_changed(f"{path}: its content", _digest(_file_state(path)), described["digest"])
        return table.read(folder)


class Scenario(BaseModel):
    """A world, a grid of them, or a table.

    Args:
        name: Of the scenario in the rows; the base's name, or the table's, when absent.
        base: A named world, or a table as `WorldConfig` reads it.
        table: A measured table in place of a world: its path and how to read it.
        set: Keys of the world to change, for example ``{"design.cells": 1000}``.
        vary: Keys and the values each takes; every combination is a world, and the keys become columns of the rows.
        together: Keys whose values change together: the first of each is one world, the second of each another. With
            `vary`, each of these at every combination of those.
        columns: Further columns of the rows, the same for all of this scenario.

    Example:
        >>> scenario = Scenario.parse({"base": "demo", "vary": {"design.cells": [40, 80]}})
        >>> [columns for columns, _ in scenario.points()]
        [{'design.cells': 40}, {'design.cells': 80}]
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = ""
    base: str | dict | None = None
    table: MeasuredTable | None = None
    set: dict[str, object] = {}
    vary: dict[str, list] = {}
    together: dict[str, list] = {}
    columns: dict[str, str | float | int | bool] = {}

    @classmethod
    def parse(cls, table: object) -> Scenario:
        """A scenario from a nested mapping."""
        if not isinstance(table, Mapping):
            raise InputError(f"expected a table with base or table; received {table!r}")
        measured = table.get("table")
        if isinstance(measured, Mapping):
            with naming("table"):
                table = {**table, "table": validated(MeasuredTable, measured)}
        return validated(cls, table)

    @property
    def title(self) -> str:
        """The scenario in the rows."""
        if self.table is not None:
            return self.name or Path(self.table.path).stem
        return self.name or (self.base if isinstance(self.base, str) else "world")

    def check(self) -> None:
        """Refuse what says too little, too much, or two different things."""
        with naming(f"world {self.title!r}"):
            if (self.base is None) == (self.table is None):
                raise InputError("give base (a simulated world) or table (a measured one), one of the two")
            if self.table is not None and (self.set or self.vary or self.together):
                raise InputError("set, vary and together change simulated worlds; a table is taken as it is")
            if "seed" in {**self.set, **self.vary, **self.together}:
                raise InputError("the seed of a world is that of its task; give seeds of the study, and leave seed out")
            for column in self.columns:
                if column in _TAKEN or "." in column:
                    raise InputError(f"columns cannot hold {column!r}, which rows have already or a world is set by")
            _check_grid(self.vary, self.together)

    def told_apart(self) -> list[str]:
        """What the rows of each of its worlds, or of its table, say of it."""
        points = ({**self.columns, **varied} for varied in _grid(self.vary, self.together))
        return [" ".join([self.title, *(f"{key}={_toml(value)}" for key, value in point.items())]) for point in points]

    def columns_taken(self) -> dict[str, list]:
        """Columns that its rows have beside those of every study, and the values they take."""
        return {**{key: [value] for key, value in self.columns.items()}, **self.vary, **self.together}

    def points(self, folder: str | Path = ".") -> Iterator[tuple[dict, dict]]:
        """Every point of the grid: its columns, and its world in full without a seed, or its table.

        Args:
            folder: Where paths of tables begin.
        """
        if self.table is not None:
            with naming(f"world {self.title!r}"):
                yield {**self.columns}, {"table": self.table.described(folder)}
            return
        assert self.base is not None  # check() has refused a scenario without base and table
        for varied in _grid(self.vary, self.together):
            overrides = tuple(f"{key}={_toml(value)}" for key, value in {**self.set, **varied}.items())
            with naming(f"world {self.title!r}"):
                table = _config(self.base, overrides).resolved()
            yield {**self.columns, **varied}, {"world": {key: value for key, value in table.items() if key != "seed"}}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Data set of one task and seed, to which every estimator is fitted.

    Args:
        data: Training environments and held-out ones.
        root: Root seed of fits and judgements, derived from data set and seed, whatever else the study declares.
        conditions: By held-out condition its verdict and its distance from training support, as columns of its rows.
        simulation: Data and truth; None for a measured table.
        diversity: rank(W L) of the training shifts; None where W is not known.

    Example:
        >>> ((_, described),) = Scenario(base="three-singles", set={"design.cells": 20}).points()
        >>> dataset = Dataset.of({"scenario": "three-singles", **described}, seed=0)
        >>> dataset.n_latents == dataset.diversity == 2
        True
    """

    data: PerturbationData
    root: np.random.SeedSequence
    conditions: Mapping[str, Mapping]
    simulation: Simulation | None = None
    diversity: int | None = None

    @classmethod
    def of(cls, task: Mapping, seed: int, folder: str | Path = ".") -> Dataset:
        """The data set of a task under one of its seeds; `folder` is where paths of tables begin."""
        if "table" in task:
            with timed("read", task["scenario"]):
                return cls._measured(task["table"], seed, MeasuredTable.read_described(task["table"], folder))
        with timed("simulate", task["scenario"]):
            return cls._simulated(task["world"], seed)

    @property
    def n_latents(self) -> int | None:
        """d_Z; None where nobody knows it."""
        return None if self.simulation is None else self.simulation.truth.z.shape[1]

    @classmethod
    def _measured(cls, table: Mapping, seed: int, data: PerturbationData) -> Dataset:
        """A table: wherever it lies, its seed is of fits and splits, and its verdicts come from the labels alone."""
        judged = judge(data.train.labels, data.test.labels) if data.held_out.any() else []
        names = data.test.conditions if judged else ()
        conditions = {c: {"verdict": v.name, "distance": None} for c, v in zip(names, judged, strict=True)}
        content = {key: value for key, value in table.items() if key != "path"}
        return cls(data, task_root({"table": content, "seed": seed}), conditions)

    @classmethod
    def _simulated(cls, settings: Mapping, seed: int) -> Dataset:
        """A world, with true verdicts and distances in latent standard deviations."""
        config = WorldConfig.parse({**settings, "seed": seed})
        simulation = config.simulate()
        train, W = simulation.data.train, simulation.truth.perturbation_matrix
        diversity = int(np.linalg.matrix_rank((train.labels - train.labels[train.reference]) @ W.T))
        root = task_root({"world": settings, "seed": seed})
        return cls(simulation.data, root, _true_columns(config, simulation), simulation, diversity)


def _true_columns(config: WorldConfig, simulation: Simulation) -> dict[str, dict]:
    """True verdict and distance to the nearest training condition of each held-out condition."""
    data, W = simulation.data, simulation.truth.isotropic().perturbation_matrix
    if not data.held_out.any():
        return {}
    names = {condition: verdict.name for condition, verdict in config.verdicts().items()}
    shifts = ((label - data.train.labels) @ W.T for label in data.test.labels)
    nearest = (float(np.linalg.norm(moves, axis=1).min()) for moves in shifts)
    return {c: {"verdict": names.get(c), "distance": d} for c, d in zip(data.test.conditions, nearest, strict=True)}


def _check_grid(vary: Mapping[str, list], together: Mapping[str, list]) -> None:
    for key, values in {**vary, **together}.items():
        if not values:
            raise InputError(f"{key!r} takes no value; give at least one, or leave the key out")
    for key in vary.keys() & together.keys():
        raise InputError(f"{key!r} is in vary and in together; keep one of them")
    lengths = {key: len(values) for key, values in together.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{key!r} has {n}" for key, n in lengths.items())
        raise InputError(f"together needs as many values of each key ({counts})")


def _grid(vary: Mapping[str, list], together: Mapping[str, list]) -> Iterator[dict]:
    """Every combination of `vary` at every position of `together`."""
    steps = [dict(zip(together, values, strict=True)) for values in zip(*together.values(), strict=True)] or [{}]
    for step in steps:
        for values in product(*vary.values()):
            yield {**step, **dict(zip(vary, values, strict=True))}


def _config(base: str | dict, overrides: tuple[str, ...]) -> WorldConfig:
    return world(base, overrides) if isinstance(base, str) else WorldConfig.parse(base, overrides)


def _toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    return json.dumps(value)


@lru_cache(maxsize=64)
def _digest(state: _FileState) -> str:
    """SHA-256 of the content of a file."""
    return digest_of(state[0])


def _file_state(path: Path) -> _FileState:
    """A file as it is now; raises an InputError where there is none."""
    if not path.is_file():
        raise InputError(f"table.path: {os.path.normpath(path)}: no such file; put the table there or change the path")
    about = path.stat()
    return os.path.abspath(path), about.st_size, about.st_mtime_ns


@lru_cache(maxsize=2)
def _read(settings: str, state: _FileState) -> PerturbationData:
    table, path = MeasuredTable.model_validate_json(settings), Path(state[0])
    with naming("table"):
        return convert_file(path, **table.model_dump(exclude={"path"})).data
