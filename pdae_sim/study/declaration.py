"""A study declared as worlds × estimators × metrics × seeds, in TOML or Python; what is wrong is refused in a line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pdae_sim._checks import InputError, naming, near_misses
from pdae_sim.simulation.config import WorldConfig
from pdae_sim.simulation.settings import read_toml
from pdae_sim.simulation.worlds import world
from pdae_sim.study import work
from pdae_sim.study.estimators import ALWAYS, check_estimator
from pdae_sim.study.spec import Study

_STRICT = ConfigDict(extra="forbid", frozen=True)


class Estimand(BaseModel):
    """An estimator of a study: a kind, a name of its own in the rows, and settings (all further keys)."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str
    name: str = ""

    def described(self) -> dict:
        """Name, kind and settings as plain values."""
        return {"name": self.name or self.kind, "kind": self.kind, **(self.model_extra or {})}


class Scenario(BaseModel):
    """A world, or a grid of them.

    Args:
        name: Of the scenario in the rows; the base's name when absent.
        base: A named world, or a table as `WorldConfig` reads it.
        set: Keys to change, for example ``{"design.cells": 1000}``.
        vary: Keys and the values each takes; every combination is a world, and the keys become columns of the rows.
        columns: Further columns of the rows, the same for all of this scenario.
    """

    model_config = _STRICT

    name: str = ""
    base: str | dict
    set: dict[str, object] = {}
    vary: dict[str, list] = {}
    columns: dict[str, str | float | int | bool] = {}

    @property
    def title(self) -> str:
        """The scenario in the rows."""
        return self.name or (self.base if isinstance(self.base, str) else "world")

    def points(self) -> Iterator[tuple[dict, dict]]:
        """Every point of the grid: its columns, and its world in full without a seed."""
        for values in product(*self.vary.values()):
            varied = dict(zip(self.vary, values, strict=True))
            overrides = tuple(f"{key}={_toml(value)}" for key, value in {**self.set, **varied}.items())
            with naming(f"world {self.title!r}"):
                table = _config(self.base, overrides).resolved()
            yield {**self.columns, **varied}, {key: value for key, value in table.items() if key != "seed"}


class Declaration(BaseModel):
    """A study as a declaration.

    One task is one world with `replicates` seeds and all estimators, which share its data.

    Args:
        name, question, claim, prediction: As in `Study`.
        worlds: Scenarios.
        estimators: Names of kinds, or tables with `kind`, `name` and settings.
        metrics: Which metrics the rows hold.
        seeds: How many worlds of each scenario, or which seeds.
        replicates: Seeds held by one task.
        timeout: Seconds a task may take.
        evaluation: Draws from each predicted law (`n_samples`) and fresh cells for identification (`n_fresh`).
    """

    model_config = _STRICT

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    question: str
    claim: str
    prediction: str
    worlds: list[Scenario] = Field(min_length=1)
    estimators: list[Estimand] = Field(min_length=1)
    metrics: list[str] = Field(["energy_distance"], min_length=1)
    seeds: int | list[int] = 10
    replicates: int = Field(1, ge=1)
    timeout: float | None = Field(None, gt=0)
    evaluation: dict[str, int] = {}

    @field_validator("estimators", mode="before")
    @classmethod
    def _named_kinds(cls, given: object) -> object:
        return [{"kind": e} if isinstance(e, str) else e for e in given] if isinstance(given, (list, tuple)) else given

    @classmethod
    def read(cls, path: str | Path) -> Declaration:
        """A declaration from a TOML file.

        Raises:
            InputError: One line with the file, the key and the fix.
        """
        with naming(path):
            return cls.parse(read_toml(Path(path)))

    @classmethod
    def parse(cls, table: Mapping) -> Declaration:
        """A declaration from a nested mapping."""
        try:
            declared = cls.model_validate(dict(table))
        except ValidationError as error:
            raise InputError("; ".join(_problems(error))) from None
        declared.check()
        return declared

    def check(self) -> None:
        """Refuse unknown names of estimators, settings, metrics and worlds, and what is declared twice."""
        for metric in self.metrics:
            if metric not in work.METRICS:
                raise InputError(f"metrics: unknown metric {metric!r}; {near_misses(metric, work.METRICS)}")
        for estimator in self.fitted:
            settings = {k: v for k, v in estimator.items() if k not in ("name", "kind")}
            check_estimator(estimator["name"], estimator["kind"], settings)
        for key in self.evaluation:
            if key not in work.EVALUATION:
                raise InputError(f"evaluation: unknown key {key!r}; {near_misses(key, work.EVALUATION)}")
        _once("estimators", [e["name"] for e in self.fitted])
        _once("metrics", self.metrics)
        _once("seeds", self.all_seeds)
        if min(self.all_seeds, default=-1) < 0:
            raise InputError("seeds must be a whole number ≥ 1, or a list of whole numbers ≥ 0")

    @property
    def all_seeds(self) -> list[int]:
        """The seeds, written out."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @property
    def fitted(self) -> list[dict]:
        """The estimators to fit; ceiling and oracle are always there and need no fit."""
        return [e.described() for e in self.estimators if e.kind not in ALWAYS]

    def study(self) -> Study:
        """The study with all of its tasks."""
        self.check()
        return Study(
            self.name,
            self.question,
            self.claim,
            self.prediction,
            [task for scenario in self.worlds for task in self._tasks(scenario)],
            work.perform_world,
            cost=work.cost,
            timeout=self.timeout,
        )

    def _tasks(self, scenario: Scenario) -> Iterator[dict]:
        common = {"estimators": self.fitted, "metrics": self.metrics}
        if self.evaluation:
            common["evaluation"] = self.evaluation
        for columns, table in scenario.points():
            for seeds in self._blocks():
                yield {"scenario": scenario.title, "columns": columns, "world": table, **common, **seeds}

    def _blocks(self) -> Iterator[dict]:
        seeds, size = self.all_seeds, self.replicates
        for start in range(0, len(seeds), size):
            block = seeds[start : start + size]
            yield {"seed": block[0]} if size == 1 else {"seeds": block}


def _config(base: str | dict, overrides: tuple[str, ...]) -> WorldConfig:
    return world(base, overrides) if isinstance(base, str) else WorldConfig.parse(base, overrides)


def _toml(value: object) -> str:
    """A value as TOML writes it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(_toml(inner) for inner in value) + "]"
    return json.dumps(value)


def _once(field: str, values: list) -> None:
    twice = [value for i, value in enumerate(values) if value in values[:i]]
    if twice:
        raise InputError(f"{field}: {twice[0]!r} is declared twice; give each a name of its own")


def _problems(error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        place = [str(part) for part in problem["loc"]]
        if problem["type"] == "extra_forbidden":
            known = (Scenario if place[0] == "worlds" else Declaration).model_fields
            yield f"unknown key {'.'.join(place)!r}; {near_misses(place[-1], known)}"
        else:
            yield f"{'.'.join(place)}: {problem['msg'].lower()}; received {problem['input']!r}"
