"""Declarations: worlds × estimators × metrics × seeds, refused in one line where they are wrong; what a task means."""

from __future__ import annotations

import json
import sys

import numpy as np
import pandas as pd
import pytest

from pdae_sim.errors import InputError
from pdae_sim.study import spec
from pdae_sim.study._task import perform_task
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.running import run_study
from pdae_sim.study.spec import Study, task_root
from pdae_sim.study.store import _COLUMNS as COLUMNS
from pdae_sim.study.store import Store
from tests.test_study import toys

TABLE = {
    "name": "small",
    "question": "Does it run?",
    "claim": "2.4",
    "prediction": "It does.",
    "seeds": 2,
    "estimators": [
        "additive",
        {"kind": "density_ratio", "name": "quick", "steps": 5},
        {"kind": "tilting", "on": "quick"},
    ],
    "metrics": ["mean_difference", "gram_error"],
    "evaluation": {"n_samples": 60, "n_fresh": 50},
    "worlds": [
        {
            "base": "three-singles",
            "set": {"design.test_cells": 60},
            "vary": {"design.cells": [40, 80]},
        }
    ],
}

TOML = """
name = "small"
question = "Does it run?"
claim = "2.4"
prediction = "It does."
seeds = 2
estimators = ["additive", {kind = "density_ratio", name = "quick", steps = 5}, {kind = "tilting", on = "quick"}]
metrics = ["mean_difference", "gram_error"]
evaluation = {n_samples = 60, n_fresh = 50}

[[worlds]]
base = "three-singles"
set = {"design.test_cells" = 60}
vary = {"design.cells" = [40, 80]}
"""


def declared(**changes) -> Declaration:
    return Declaration.parse({**TABLE, **changes})


class TestTasks:
    def test_toml_and_python_declare_the_same(self, tmp_path):
        (tmp_path / "s.toml").write_text(TOML)
        assert Declaration.read(tmp_path / "s.toml").study().ids == declared().study().ids

    def test_are_worlds_times_seeds_in_the_order_of_the_declaration(self):
        tasks = declared().study().tasks
        assert [(t["columns"]["design.cells"], t["seed"]) for t in tasks] == [(40, 0), (40, 1), (80, 0), (80, 1)]
        assert tasks[0]["world"]["design"]["test_cells"] == 60
        assert json.loads(json.dumps(tasks)) == tasks

    def test_change_keys_one_by_one_and_together(self):
        together = {"latent.n_latents": [2, 3], "mixing.n_observed": [10, 20]}
        world = {"base": {"latent": {}}, "vary": {"design.cells": [40, 80]}, "together": together}
        tasks = declared(worlds=[world], seeds=1).study().tasks
        columns = [tuple(task["columns"].values()) for task in tasks]
        assert list(tasks[0]["columns"]) == [*together, "design.cells"]
        assert columns == [(2, 10, 40), (2, 10, 80), (3, 20, 40), (3, 20, 80)]
        assert [task["world"]["mixing"]["n_observed"] for task in tasks] == [10, 10, 20, 20]

    def test_hold_blocks_of_replicates(self):
        tasks = declared(seeds=[3, 5, 8], replicates=2).study().tasks
        assert [t.get("seeds") or [t["seed"]] for t in tasks[:2]] == [[3, 5], [8]]

    def test_of_a_block_have_the_rows_of_its_seeds_one_by_one(self):
        quick = {"estimators": ["additive"], "metrics": ["mean_difference"]}
        single = declared(**quick).study().tasks[:2]
        (block,) = declared(**quick, replicates=2).study().tasks[:1]
        assert perform_task(block) == [row for task in single for row in perform_task(task)]

    def test_id_is_the_meaning_and_the_schema(self, monkeypatch):
        assert spec._task_id("s", {"a": 1, "b": 2}) == spec._task_id("s", {"b": 2, "a": 1})
        ids = {spec._task_id("s", {"a": 1}), spec._task_id("s", {"a": 2}), spec._task_id("t", {"a": 1})}
        monkeypatch.setattr(spec, "_SCHEMA_VERSION", spec._SCHEMA_VERSION + 1)
        assert len(ids | {spec._task_id("s", {"a": 1})}) == 4

    def test_streams_are_of_the_description(self):
        def draw(task, *names):
            return np.random.default_rng(task_root(task, *names)).random()

        assert draw({"a": 1, "b": 2}) == draw({"b": 2, "a": 1})
        assert len({draw({"a": 1}), draw({"a": 2}), draw({"a": 1}, "x")}) == 3

    def test_declared_twice_or_without_a_seed_are_refused(self):
        with pytest.raises(InputError, match="same task twice"):
            Study("s", "", "", "", [{"seed": 0}, {"seed": 0}], toys.perform)
        with pytest.raises(InputError, match="needs 'seed'"):
            Study("s", "", "", "", [{"cells": 0}], toys.perform)
        with pytest.raises(InputError, match="finite JSON"):
            Study("s", "", "", "", [{"seed": float("nan")}], toys.perform)


A = {"design.cells": [10, 20]}


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"replicate": 2}, "unknown key 'replicate'; did you mean 'replicates'?"),
            ({"seeds": 0}, "seeds must be a whole number ≥ 1"),
            ({"seeds": [1, 1]}, "seeds: 1 is declared twice"),
            ({"metrics": ["gram_eror"]}, "unknown metric 'gram_eror'; did you mean 'gram_error'"),
            ({"estimators": ["pdea"]}, "unknown estimator 'pdea'; did you mean 'pdae'"),
            ({"estimators": [{"kind": "pdae", "stps": 3}]}, "unknown setting 'stps' of 'pdae'; did you mean 'steps'"),
            ({"estimators": [{"kind": "pdae", "steps": -3}]}, "steps must be a whole number ≥ 0"),
            ({"estimators": [{"kind": "pdae", "decode": {"cell": 3}}]}, "unknown setting 'cell' of phase 'decode'"),
            ({"estimators": [{"kind": "pdae", "architecture": {"widht": 3}}]}, "unexpected keyword argument 'widht'"),
            ({"estimators": ["pdae", "pdae"]}, "estimators: 'pdae' is declared twice"),
            ({"estimators": ["no_such_module:Class"]}, "'no_such_module:Class' cannot be imported"),
            ({"worlds": [{"base": "three-singels"}]}, "unknown world 'three-singels'; did you mean 'three-singles'"),
            ({"worlds": [{"base": "demo", "set": {"design.cell": 3}}]}, "unknown key 'design.cell'; did you mean"),
            ({"worlds": [{"base": "demo", "varies": {}}]}, "worlds.0: unknown key 'varies'; did you mean 'vary'"),
            ({"worlds": ["demo"]}, "worlds.0: expected a table with base or table; received 'demo'"),
            ({"worlds": [{"name": "a"}]}, "world 'a': give base (a simulated world) or table (a measured one)"),
            ({"worlds": [{"base": "demo", "vary": {"seed": [1, 2]}}]}, "the seed of a world is that of its task"),
            ({"worlds": [{"base": "demo", "set": {"seed": 5}}]}, "the seed of a world is that of its task"),
            (
                {"worlds": [{"base": "demo", "vary": {"design.cells": []}}]},
                "world 'demo': 'design.cells' takes no value",
            ),
            ({"worlds": [{"base": "demo", "vary": A, "together": A}]}, "'design.cells' is in vary and in together"),
            (
                {"worlds": [{"base": "demo", "together": {**A, "latent.n_latents": [2]}}]},
                "together needs as many values of each key ('design.cells' has 2, 'latent.n_latents' has 1)",
            ),
            ({"worlds": "demo"}, "worlds: input should be a valid list; received 'demo'"),
            ({"worlds": []}, "worlds: list should have at least 1 item"),
            ({"timeout": -1.0}, "timeout: input should be greater than 0"),
            ({"evaluation": {"n_sample": 3}}, "unknown key 'n_sample'; did you mean 'n_samples'"),
            ({"name": "a/b"}, "name: string should match"),
            ({"evaluation": {"n_samples": 0}}, "evaluation: n_samples must be a whole number ≥ 4; received 0"),
            ({"evaluation": {"n_fresh": 1}}, "evaluation: n_fresh must be a whole number ≥ 2; received 1"),
            ({"seeds": True}, "seeds"),
            ({"seeds": "3"}, "seeds"),
            (
                {"worlds": [{"base": "demo", "set": {"design.cells": n}} for n in (20, 40)]},
                "worlds: 'demo' is declared twice; give each a name of its own",
            ),
            (
                {"worlds": [{"base": "demo", "vary": A}, {"base": "demo", "vary": {"design.cells": [20]}}]},
                "worlds: 'demo design.cells=20' is declared twice",
            ),
            ({"worlds": [{"base": "demo", "columns": {"seed": 5}}]}, "world 'demo': columns cannot hold 'seed'"),
            ({"worlds": [{"base": "demo", "columns": {"design.cells": 7}}]}, "columns cannot hold 'design.cells'"),
        ],
    )
    def test_are_one_line_with_the_near_miss(self, changes, message):
        with pytest.raises(InputError) as refused:
            declared(**changes).study()
        assert message in str(refused.value)
        assert "\n" not in str(refused.value)

    def test_name_the_file(self, tmp_path):
        for text in ("name = ", TOML.replace("seeds", "sedes")):
            (tmp_path / "s.toml").write_text(text)
            with pytest.raises(InputError, match=r"s\.toml: "):
                Declaration.read(tmp_path / "s.toml")


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    folder = tmp_path_factory.mktemp("store")
    done = run_study(declared().study(), Store(folder))
    assert (done.finished, done.failed) == (4, 0)
    return pd.read_parquet(folder / "results.parquet")


class TestRows:
    def test_have_the_columns_of_the_contract_and_the_varied_keys(self, rows):
        assert {*COLUMNS, "design.cells", "diversity", "distance"} <= set(rows.columns)
        assert set(rows["design.cells"]) == {40, 80}
        assert set(rows.diversity) == {2}

    def test_of_predictions_have_a_condition_and_its_true_verdict(self, rows):
        found = rows[rows.metric == "mean_difference"]
        assert set(found.estimator) == {"additive", "quick", "tilting", "ceiling"}
        assert set(found.condition) == {"A+B", "A+B+C"}
        assert found.verdict.str.startswith("identified").all()

    def test_of_identification_stand_beside_the_oracle(self, rows):
        found = rows[rows.metric == "gram_error"]
        assert set(found.estimator) == {"quick", "tilting", "oracle"}
        assert found.condition.isna().all()
        oracle = found[found.estimator == "oracle"]
        assert (oracle.value < 1).all()

    def test_of_a_world_without_held_out_conditions_are_of_identification_alone(self):
        bare = [{"base": "three-singles", "set": {"design.test": [], "design.cells": 40}}]
        found = perform_task(declared(worlds=bare).study().tasks[0])
        assert {(row["metric"], row["status"]) for row in found} == {("gram_error", "ok")}

    def test_an_estimator_that_fails_is_one_and_the_others_go_on(self):
        (task, *_) = (
            declared(
                estimators=[
                    "additive",
                    {"kind": "density_ratio", "n_latents": 99},
                    {"kind": "tilting", "on": "density_ratio"},
                ]
            )
            .study()
            .tasks
        )
        rows = perform_task(task)
        failed = {r["estimator"]: r["error"] for r in rows if r["status"] != "ok"}
        assert "must not exceed the observed dimension" in failed["density_ratio"]
        assert "put it first" in failed["tilting"]
        assert "Traceback" in failed["tilting"]
        assert {"additive", "ceiling", "oracle"} <= {r["estimator"] for r in rows if r["status"] == "ok"}

    def test_a_world_that_cannot_be_simulated_is_one(self):
        task = {**declared().study().tasks[0]}
        task["world"] = {**task["world"], "latent": {"n_latents": 3, "targets": [[1.0]]}}
        (row,) = perform_task(task)
        assert (row["status"], row["scenario"], row["design.cells"]) == ("failed", "three-singles", 40)

    def test_an_estimators_rows_do_not_depend_on_the_others_declared(self):
        both, alone = (declared(estimators=e).study().tasks[0] for e in (["additive", "linear"], ["linear"]))
        kept = [row for row in perform_task(both) if row["estimator"] == "linear"]
        assert kept == [row for row in perform_task(alone) if row["estimator"] == "linear"]

    def test_a_wrong_latent_dimension_and_estimators_of_ones_own_need_no_new_code(self):
        given = [
            {"kind": "density_ratio", "name": "over", "extra_latents": 1, "steps": 5},
            {"kind": "pdae_sim.estimation.baselines:Pool", "name": "mine"},
        ]
        (task, *_) = declared(estimators=given, metrics=["mean_difference", "affine_r2"]).study().tasks
        rows = perform_task(task)
        assert all(row["status"] == "ok" for row in rows)
        assert {"over", "mine"} <= {row["estimator"] for row in rows}


class TestOwnCode:
    """Estimators of a user's own: another file makes other tasks."""

    CODE = "class Mean:\n    def fit(self, data):\n        self.x = data.train.x\n        return self\n\n" + (
        "    def sample(self, condition, n, *, rng=None):\n        return self.x[:n] + SHIFT\n\n\nSHIFT = 0.0\n"
    )

    def test_a_changed_file_makes_new_tasks_and_refuses_old_ones(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr("sys.path", [str(tmp_path), *sys.path])
        path = tmp_path / "my_own_means.py"
        path.write_text(self.CODE)
        said = {"estimators": [{"kind": "my_own_means:Mean"}], "metrics": ["energy_distance"], "seeds": 1}
        first = declared(**said).study()
        assert first.ids == declared(**said).study().ids
        path.write_text(self.CODE.replace("0.0", "5.0"))
        assert not set(first.ids) & set(declared(**said).study().ids)
        rows = first.perform(first.tasks[0])
        assert {row["status"] for row in rows} == {"failed"}
        assert "the code of my_own_means:Mean has changed since the study was declared" in rows[0]["error"]
