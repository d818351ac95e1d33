"""The declarations that come with the repository: each is read and planned, and one small task of each is performed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.__main__ import DECLARATIONS, REGISTRY
from pdae_sim._files import read_toml
from pdae_sim.errors import InputError
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.planning import plan_study
from tests.test_study.test_cli import stage  # noqa: F401

FILES = REGISTRY.declarations()
LARGE = ("norman_like",)
"""Planned, and not run."""
MEASURED = Path(__file__).parents[3] / "shared" / "data" / "sachs2005_flow_cytometry.csv"


def small(table: dict) -> dict:
    """A declaration with few cells, steps and draws, whatever it declares."""
    measured = {"metrics": ["mean_difference"]} if any("table" in world for world in table["worlds"]) else {}
    return {
        **table,
        **measured,
        "seeds": 1,
        "estimators": [_short(estimator) for estimator in table["estimators"]],
        "worlds": [_few(world) for world in table["worlds"]],
        "evaluation": {"n_samples": 40, "n_fresh": 20},
    }


def _short(estimator: object) -> object:
    if isinstance(estimator, str) or "on" in estimator:
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


@pytest.mark.parametrize("name", [name for name in FILES if name not in LARGE])
def test_a_small_task_of_it_has_rows_of_everything_declared(name):
    table = small(read_toml(here(name)))
    declaration = Declaration.parse({**table, "folder": str(DECLARATIONS)})
    study = declaration.study()
    rows = study.perform(dict(study.tasks[0]))
    assert {row["status"] for row in rows} == {"ok"}
    assert {row["metric"] for row in rows} == set(declaration.metrics)
    assert {row["estimator"] for row in rows} >= {estimator["name"] for estimator in declaration.fitted}
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


class TestCommandLine:
    def test_lists_them_after_the_studies_with_pages(self, stage):  # noqa: F811
        status, out, _ = stage("list")
        assert status == 0
        names = [line.partition(":")[0] for line in out.splitlines()]
        assert names == ["extrapolation", "diversity", "sample_size", *sorted(FILES)]
        assert all(line.endswith("?") for line in out.splitlines())

    def test_plans_them_by_name(self, stage):  # noqa: F811
        status, out, _ = stage("plan", "noise", "--workers", 1)
        assert (status, out.startswith("80 tasks, 0 finished, 80 to run\n")) == (0, True)

    def test_runs_them_by_name(self, stage, tmp_path, monkeypatch):  # noqa: F811
        text = (
            'name = "tiny"\nquestion = "Does it run?"\nclaim = "2.4"\nprediction = "It does."\nseeds = 1\n'
            'estimators = ["additive"]\nmetrics = ["mean_difference"]\nevaluation = {n_samples = 40}\n'
            '[[worlds]]\nbase = "two-latents"\nset = {"design.cells" = 40, "design.test_cells" = 40}\n'
        )
        (tmp_path / "tiny.toml").write_text(text)
        monkeypatch.setattr("experiments.__main__.REGISTRY", replace(REGISTRY, folder=tmp_path))
        status, out, _ = stage("run", "tiny", "--out", tmp_path / "run", "--workers", 1)
        assert (status, out.splitlines()[-1]) == (0, "1 of 1 tasks finished, 0 with failures")
        html = (tmp_path / "run" / "report.html").read_text()
        assert "run tiny --out DIR" in html
        assert "--smoke" not in html
        status, _, err = stage("run", "tiny", "--out", tmp_path / "other", "--smoke")
        assert (status, err.count("\n")) == (2, 1)
        assert "--set and --smoke are for studies with a page; change " in err

    def test_suggests_them(self, stage):  # noqa: F811
        status, _, err = stage("plan", "nosie")
        assert status == 2
        assert "did you mean 'noise'" in err
