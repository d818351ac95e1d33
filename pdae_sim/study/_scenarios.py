"""The scenarios of a declaration: a simulated world, a grid of them, or a measured table."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from pdae_sim._checks import naming, problems
from pdae_sim.errors import InputError
from pdae_sim.simulation.config import WorldConfig
from pdae_sim.simulation.worlds import world
from pdae_sim.study._measured_table import MeasuredTable

Model = TypeVar("Model", bound=BaseModel)


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
            _check_grid(self.vary, self.together)

    def points(self, folder: str | Path = ".") -> Iterator[tuple[dict, dict]]:
        """Every point of the grid: its columns, and its world in full without a seed, or its table.

        Args:
            folder: Where paths of tables begin.
        """
        if self.table is not None:
            with naming(f"world {self.title!r}"):
                yield {**self.columns}, {"table": self.table.described(folder)}
            return
        for varied in _grid(self.vary, self.together):
            overrides = tuple(f"{key}={_toml(value)}" for key, value in {**self.set, **varied}.items())
            with naming(f"world {self.title!r}"):
                table = _config(self.base, overrides).resolved()
            yield {**self.columns, **varied}, {"world": {key: value for key, value in table.items() if key != "seed"}}


def validated(model: type[Model], table: Mapping) -> Model:
    """The model of a table.

    Raises:
        InputError: One line with every problem.
    """
    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        raise InputError("; ".join(problems(error, model))) from None


def _check_grid(vary: Mapping[str, list], together: Mapping[str, list]) -> None:
    for key, values in {**vary, **together}.items():
        if not values:
            raise InputError(f"{key!r} takes no value; give at least one, or leave the key out")
    for key in vary.keys() & together.keys():
        raise InputError(f"{key!r} is in vary and in together; keep one of them")
    lengths = {key: len(values) for key, values in together.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key!r} has {n}" for key, n in lengths.items())
        raise InputError(f"together needs as many values of each key ({told})")


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
