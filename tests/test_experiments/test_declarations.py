"""The declarations that come with the repository: each is read and planned, and one small task of each is performed."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.__main__ import DECLARATIONS, REGISTRY
from pdae_sim._files import read_toml
from pdae_sim.errors import InputError
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.planning import plan_study

FILES = REGISTRY.declarations()
LARGE = ("norman_like",)
"""Planned, and not run."""
MEASURED = Path(__file__).parents[3] / "shared" / "data" / "sachs2005_flow_cytometry.csv"


def small(table: dict) -> dict:
    """A declaration with few cells, steps and draws, whatever it declares."""
    return {
        **table,
        "seeds": 1,
        "estimators": [_short(estimator) for estimator in table["estimators"]],
        "worlds": [_few(world) for world in table["worlds"]],
        "evaluation": {"n_samples": 40, "n_fresh": 20},
    }


def _short(estimator: str | dict) -> dict:
    estimator = {"kind": estimator} if isinstance(estimator, str) else estimator
    if estimator["kind"] in BASELINES or "on" in estimator:
        return estimator
    return {key: value for key, value in estimator.items() if key != "cells"} | {"steps": 2}


def _few(world: dict) -> dict:
    if "table" in world:
        return {**world, "table": {**world["table"], "test": world["table"]["test"][:1]}}
    given = world.get("set", {})
    total = "design" in given and "total" in given["design"]
    cells = {"design.total": 1000} if total else {"design.cells": 40}
    return {**world, "set": {**given, **cells, "design.test_cells": 40}}


def here(name: str) -> Path:
    if name == "real_table" and not MEASURED.is_file():
        pytest.skip(f"{MEASURED.name} is not beside the repository")
    return FILES[name]


@pytest.mark.parametrize("name", FILES)
def test_states_question_claim_and_prediction_and_can_be_planned(name):
    declaration = Declaration.read(here(name))
    assert declaration.name == name
    assert declaration.question.endswith("?")
    assert declaration.claim.startswith("2.")
    assert len(declaration.prediction) > 200
    assert "\n" not in declaration.prediction
    found = plan_study(declaration.study(), workers=2)
    assert found.tasks == len(declaration.study().tasks) > 0
    assert found.seconds > 0


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n == "real_table")) for n in FILES if n not in LARGE]
)
def test_a_small_task_of_it_has_rows_of_everything_declared(name):
    table = small(read_toml(here(name)))
    declaration = Declaration.parse({**table, "folder": str(DECLARATIONS)})
    study = declaration.study()
    rows = study.perform(dict(study.tasks[0]))
    assert {row["status"] for row in rows} == {"ok"}
    assert {row["metric"] for row in rows} == set(declaration.metrics)
    assert {row["estimator"] for row in rows} >= {estimator["name"] for estimator in declaration.to_fit}
    assert set(study.tasks[0]["columns"]) <= set(rows[0])


def test_every_broken_world_of_the_zoo_is_among_the_violations():
    from pdae_sim.simulation.worlds import WORLDS, world

    named = {scenario["base"] for scenario in read_toml(FILES["violations"])["worlds"]}
    broken = {name for name in WORLDS if name != "norman-like" and set(world(name).breaks) - {"diverse"}}
    assert named == broken | {"two-latents"}


def test_a_table_that_is_absent_is_told_in_one_line(tmp_path):
    path = tmp_path / "real_table.toml"
    path.write_text(FILES["real_table"].read_text())
    with pytest.raises(InputError) as refused:
        Declaration.read(path)
    assert str(refused.value).startswith(f"{path}: world 'proteins': table.path: ")
    assert "sachs2005_flow_cytometry.csv: no such file; put the table there or change the path" in str(refused.value)
    assert "\n" not in str(refused.value)
