"""A study declared as worlds × estimators × metrics × seeds, in TOML or Python; what is wrong is refused in a line."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Strict, field_validator

from pdae_sim._arguments import checked
from pdae_sim._checks import naming, near_misses, validated, whole
from pdae_sim._files import read_toml
from pdae_sim.errors import InputError
from pdae_sim.study._costs import cost
from pdae_sim.study._estimators import ALWAYS, check_estimator, settings_of
from pdae_sim.study._own_code import code_of
from pdae_sim.study._task import EVALUATION_DEFAULTS, METRICS, perform_task
from pdae_sim.study.datasets import MeasuredTable, Scenario
from pdae_sim.study.expectation import Expectation
from pdae_sim.study.identification_metrics import IDENTIFICATION_METRICS
from pdae_sim.study.spec import Study
from pdae_sim.verdicts import NO_GUARANTEE, NOT_IDENTIFIED, OFF_SUPPORT, SUPPORTED

_MOST_SEEDS = 100_000
_LEAST = {"n_samples": 4, "n_fresh": 2}
"""Draws and fresh cells that can be judged."""


class EstimatorDeclaration(BaseModel):
    """An estimator of a study: a kind, a name of its own in the rows, and settings (all further keys).

    Args:
        kind: ``pdae``, ``density_ratio`` or ``tilting``; a rival (``additive_vae``, ``adversarial``, ``conditional``);
            a baseline by name; or ``module:Class`` of one's own.
        name: Its name in the rows; the kind when absent.

    Example:
        >>> EstimatorDeclaration(kind="pdae", name="quick", steps=100).described()
        {'name': 'quick', 'kind': 'pdae', 'steps': 100}
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str
    name: str = ""

    def described(self) -> dict:
        """Name, kind and settings as plain values."""
        return {"name": self.name or self.kind, "kind": self.kind, **(self.model_extra or {})}


class Declaration(BaseModel):
    """A study as a declaration.

    Reading one imports nothing that it names; `study` does, unless it is told not to.

    One task is one world or table with `replicates` seeds and all estimators, which share its data. Seeds are of
    worlds, fits and splits of held-out cells; of a table there is one, so that its seeds are of the other two.

    Args:
        name: Short name.
        question: The question in a sentence.
        claim: Number of the claim it tests.
        prediction: What the claim predicts, written before the study is run.
        worlds: Scenarios.
        estimators: Names of kinds, or tables with `kind`, `name` and settings.
        metrics: Which metrics the rows hold.
        seeds: How many worlds of each scenario, or which seeds.
        replicates: Seeds held by one task.
        timeout: Seconds a task may take.
        expect: The parts of the prediction that the rows decide.
        evaluation: Draws from each predicted law (`n_samples`) and fresh cells for identification (`n_fresh`).
        folder: Where paths of tables begin: in a file, relative to the file's own.

    Example:
        >>> said = {"name": "small", "question": "Does it run?", "claim": "2.4", "prediction": "It does."}
        >>> worlds = [{"base": "three-singles", "vary": {"design.cells": [40, 80]}}]
        >>> declaration = Declaration.parse({**said, "worlds": worlds, "estimators": ["additive"], "seeds": 5})
        >>> len(declaration.study().tasks)
        10
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, pattern=r"^[\w.-]+$")
    question: str
    claim: str
    prediction: str
    worlds: list[Scenario] = Field(min_length=1)
    estimators: list[EstimatorDeclaration] = Field(min_length=1)
    metrics: list[str] = Field(["energy_distance"], min_length=1)
    seeds: Annotated[int, Strict()] | list[Annotated[int, Strict()]] = 10
    replicates: int = Field(1, ge=1)
    timeout: float | None = Field(None, gt=0)
    evaluation: dict[str, int] = {}
    expect: tuple[Expectation, ...] = ()
    folder: str = "."

    @field_validator("estimators", mode="before")
    @classmethod
    def _named_kinds(cls, value: object) -> object:
        return [{"kind": e} if isinstance(e, str) else e for e in value] if isinstance(value, (list, tuple)) else value

    @classmethod
    def read(cls, path: str | Path) -> Declaration:
        """A declaration from a TOML file.

        Raises:
            InputError: One line with the file, the key and the fix.
        """
        with naming(path):
            table = read_toml(Path(path))
            folder = os.path.join(Path(path).parent, str(table.get("folder", ".")))
            return cls.parse({**table, "folder": folder})

    @classmethod
    @checked
    def parse(cls, table: Mapping) -> Declaration:
        """A declaration from a nested mapping."""
        table, worlds = dict(table), table.get("worlds")
        if isinstance(worlds, list):
            table["worlds"] = [_scenario(i, world) for i, world in enumerate(worlds)]
        if "expect" in table:
            table["expect"] = Expectation.parse_all(table["expect"])
        declared = validated(cls, table)
        declared.check()
        return declared

    def check(self, *, trust: bool = False) -> None:
        """Refuse unknown names of estimators, settings, metrics, worlds and conditions, and what is declared twice.

        Args:
            trust: Import classes of one's own (``module:Class``) and check them too.
        """
        for metric in self.metrics:
            if metric not in METRICS:
                raise InputError(f"metrics: unknown metric {metric!r}; {near_misses(metric, METRICS)}")
        for estimator in self.to_fit:
            check_estimator(estimator["name"], estimator["kind"], settings_of(estimator), trust=trust)
        for key in self.evaluation:
            if key not in EVALUATION_DEFAULTS:
                raise InputError(f"evaluation: unknown key {key!r}; {near_misses(key, EVALUATION_DEFAULTS)}")
            whole(f"evaluation: {key}", self.evaluation[key], at_least=_LEAST[key])
        _once("estimators", [e["name"] for e in self.to_fit])
        _once("metrics", self.metrics)
        if isinstance(self.seeds, int) and self.seeds > _MOST_SEEDS:
            raise InputError(f"seeds: {self.seeds} are more than {_MOST_SEEDS:,}; declare fewer, or several studies")
        _once("seeds", self.all_seeds)
        if min(self.all_seeds, default=-1) < 0:
            raise InputError("seeds must be a whole number ≥ 1, or a list of whole numbers ≥ 0")
        columns = self._columns()
        for expected in self.expect:
            expected.check(self.metrics, columns)
        for scenario in self.worlds:
            scenario.check()
        _once("worlds", [told for scenario in self.worlds for told in scenario.told_apart()])
        for scenario in self.worlds:
            if scenario.table is not None:
                with naming(f"world {scenario.title!r}"):
                    self._check_table(scenario.table)

    @property
    def all_seeds(self) -> list[int]:
        """The seeds, written out."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else list(self.seeds)

    @property
    def to_fit(self) -> list[dict]:
        """The estimators to fit; ceiling and oracle are always there and need no fit."""
        return [e.described() for e in self.estimators if e.kind not in ALWAYS]

    def study(self, *, trust: bool = True) -> Study:
        """The study with all of its tasks.

        Args:
            trust: Import classes of one's own and check them, before any task does.
        """
        self.check(trust=trust)
        folder = os.path.abspath(self.folder)
        return Study(
            self.name,
            self.question,
            self.claim,
            self.prediction,
            [task for scenario in self.worlds for task in self._tasks(scenario)],
            partial(perform_task, folder=folder),
            cost=partial(cost, folder=folder),
            timeout=self.timeout,
            expect=self.expect,
        )

    def _columns(self) -> dict[str, list]:
        """Columns of the rows with the values they take; none where the world or its seed says them."""
        known: dict[str, list] = {column: [] for column in ("condition", "distance", "diversity")}
        known["verdict"] = [SUPPORTED, OFF_SUPPORT, NOT_IDENTIFIED, NO_GUARANTEE, "identified"]
        known["seed"] = self.all_seeds
        known["scenario"] = [scenario.title for scenario in self.worlds]
        known["estimator"] = [*(estimator["name"] for estimator in self.to_fit), *ALWAYS]
        for scenario in self.worlds:
            for column, values in scenario.columns_taken().items():
                known.setdefault(column, []).extend(values)
        return known

    def _check_table(self, table: MeasuredTable) -> None:
        """Refuse a table that cannot be read, and what needs a truth that it does not have."""
        for metric in self.metrics:
            if metric in IDENTIFICATION_METRICS:
                raise InputError(f"metrics: {metric!r} needs a truth, which a table has not; remove it, or the table")
        for estimator in self.to_fit:
            if "extra_latents" in estimator and "n_latents" not in estimator:
                raise InputError(
                    f"estimator {estimator['name']!r}: extra_latents needs n_latents, for a table has none"
                )
        data = table.read(self.folder)
        if not data.held_out.any() or data.held_out.all():
            which = "every" if data.held_out.any() else "no"
            raise InputError(f"table: {which} condition is held out; name in test those to predict and leave some")

    def _tasks(self, scenario: Scenario) -> Iterator[dict]:
        common = {"estimators": self.to_fit, "metrics": self.metrics}
        if self.evaluation:
            common["evaluation"] = self.evaluation
        if code := code_of(estimator["kind"] for estimator in self.to_fit):
            common["code"] = code
        for columns, scene in scenario.points(self.folder):
            for seeds in self._blocks():
                yield {"scenario": scenario.title, "columns": columns, **scene, **common, **seeds}

    def _blocks(self) -> Iterator[dict]:
        seeds, size = self.all_seeds, self.replicates
        for start in range(0, len(seeds), size):
            block = seeds[start : start + size]
            yield {"seed": block[0]} if size == 1 else {"seeds": block}


def _scenario(position: int, world: object) -> Scenario:
    if isinstance(world, Scenario):
        return world
    with naming(f"worlds.{position}"):
        return Scenario.parse(world)


def _once(field: str, values: list) -> None:
    twice = [value for value, count in Counter(values).items() if count > 1]
    if twice:
        raise InputError(f"{field}: {twice[0]!r} is declared twice; give each a name of its own")
