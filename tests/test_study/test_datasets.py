"""Measured tables in a declaration: known by their content, judged like worlds, refused in a line."""

from __future__ import annotations

import json
import os

import numpy as np
import pandas as pd
import pytest

from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.study._estimators import FitJob, latents
from pdae_sim.study.datasets import MeasuredTable
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.planning import plan_study
from pdae_sim.study.running import run_study
from pdae_sim.study.store import _COLUMNS as COLUMNS
from pdae_sim.study.store import Store

TOML = """
name = "proteins"
question = "Does it run on a table?"
claim = "2.4"
prediction = "It does."
seeds = 2
estimators = ["additive", {kind = "density_ratio", steps = 3, cells = 8}]
metrics = ["mean_difference", "energy_distance"]
evaluation = {n_samples = 60}

[[worlds]]
columns = {day = 3}
table = {path = "data/cells.csv", test = ["B+A", "A+C"]}
"""

LABELS = {"ctrl": (0, 0), "A": (2, 0), "B": (0, 2), "A+B": (2, 2), "A+C": (2, 1)}


def frame(seed: int = 0, n: int = 30) -> pd.DataFrame:
    """Cells with additive shifts in the plane, seen in three coordinates."""
    rng = np.random.default_rng(seed)
    parts = []
    for condition, mean in LABELS.items():
        z = rng.normal(size=(n, 2)) + mean
        parts.append(pd.DataFrame({"condition": condition, "p": z[:, 0], "q": z[:, 1], "r": z.sum(1)}))
    return pd.concat(parts, ignore_index=True)


@pytest.fixture
def folder(tmp_path):
    """A declaration and its table."""
    (tmp_path / "data").mkdir()
    frame().to_csv(tmp_path / "data" / "cells.csv", index=False)
    (tmp_path / "study.toml").write_text(TOML)
    return tmp_path


def read(folder, old: str = "", new: str = "") -> Declaration:
    (folder / "study.toml").write_text(TOML.replace(old, new, 1))
    return Declaration.read(folder / "study.toml")


def performed(study) -> list[dict]:
    return [row for task in study.tasks for row in study.perform(dict(task))]


class TestTasks:
    def test_say_how_the_table_is_read_and_what_is_in_it(self, folder):
        (task, other) = read(folder).study().tasks
        assert (task["scenario"], task["columns"], task["seed"], other["seed"]) == ("cells", {"day": 3}, 0, 1)
        assert task["table"]["path"] == "data/cells.csv"
        assert task["table"]["test"] == ["B+A", "A+C"]
        assert len(task["table"]["digest"]) == 64
        assert json.loads(json.dumps(task)) == task

    def test_are_others_when_the_content_changes_and_not_when_it_moves(self, folder, tmp_path_factory):
        before = read(folder).study()
        elsewhere = tmp_path_factory.mktemp("elsewhere")
        os.rename(folder / "data", elsewhere / "data")
        moved = read(elsewhere).study()
        assert moved.ids == before.ids
        assert [row["value"] for row in performed(moved)]
        frame(seed=1).to_csv(elsewhere / "data" / "cells.csv", index=False)
        assert not set(read(elsewhere).study().ids) & set(before.ids)

    def test_of_a_file_that_has_changed_since_fail_in_one_line(self, folder):
        study = read(folder).study()
        frame(seed=1).to_csv(folder / "data" / "cells.csv", index=False)
        for row in performed(study):
            assert (row["status"], row["scenario"], row["day"]) == ("failed", "cells", 3)
            assert "cells.csv: its content has changed since the study was declared" in row["error"]
            assert "\n" not in row["error"]

    def test_of_a_file_that_is_gone_fail_in_one_line(self, folder):
        study = read(folder).study()
        (folder / "data" / "cells.csv").unlink()
        (one, two) = performed(study)
        assert [one["seed"], two["seed"]] == [0, 1]
        assert "cells.csv: no such file; put the table there" in one["error"]
        assert "\n" not in one["error"]

    def test_hold_blocks_with_the_same_rows(self, folder):
        assert performed(read(folder, "seeds = 2", "seeds = 2\nreplicates = 2").study()) == performed(
            read(folder).study()
        )

    def test_are_planned_by_the_cost_model(self, folder):
        found = plan_study(read(folder).study(), workers=2)
        assert (found.tasks, found.how) == (2, "by the cost model")
        assert 0 < found.seconds < 60
        longer = read(folder, "steps = 3, cells = 8", "steps = 3000").study()
        assert plan_study(longer).seconds > 3 * plan_study(read(folder).study()).seconds

    def test_begin_where_the_declaration_says(self, folder):
        changed = TOML.replace("data/cells.csv", "cells.csv").replace("seeds = 2", 'seeds = 2\nfolder = "data"')
        (folder / "other.toml").write_text(changed)
        assert performed(Declaration.read(folder / "other.toml").study())


class TestRows:
    @pytest.fixture(scope="class")
    @staticmethod
    def rows(tmp_path_factory):
        folder = tmp_path_factory.mktemp("table")
        (folder / "data").mkdir()
        frame().to_csv(folder / "data" / "cells.csv", index=False)
        store = Store(folder / "store")
        assert run_study(read(folder).study(), store).failed == 0
        return pd.read_parquet(store.results)

    def test_have_the_columns_of_worlds(self, rows):
        assert {*COLUMNS, "day", "diversity", "distance"} <= set(rows.columns)
        assert set(rows.estimator) == {"additive", "density_ratio", "ceiling"}
        assert set(rows.metric) == {"mean_difference", "energy_distance"}
        assert rows.distance.isna().all()
        assert rows.diversity.isna().all()

    def test_have_verdicts_from_the_labels_alone(self, rows):
        verdicts = dict(zip(rows.condition, rows.verdict, strict=True))
        assert verdicts == {"A+B": "identified", "A+C": "not identified"}

    def test_differ_from_seed_to_seed_in_fit_and_split(self, rows):
        for name in ("additive", "density_ratio", "ceiling"):
            values = rows[rows.estimator == name].pivot(index=["condition", "metric"], columns="seed", values="value")
            assert (values[0] != values[1]).all()

    def test_of_an_additive_world_are_near_the_ceiling(self, rows):
        """The table is one whose shifts add up: the mean of A+B is that of A and B to within its error."""
        found = rows[(rows.condition == "A+B") & (rows.metric == "mean_difference") & (rows.estimator == "additive")]
        assert (found.value < 1.5).all()


class TestReading:
    @pytest.mark.parametrize("suffix", [".csv", ".parquet", ".h5ad"])
    def test_every_kind_of_file_holds_the_same_cells(self, suffix, tmp_path):
        cells = frame()
        if suffix == ".h5ad":
            x = cells[["p", "q", "r"]].to_numpy(np.float32)
            PerturbationData.from_arrays(x, cells.condition.to_numpy(str)).write(tmp_path / "t.h5ad")
        else:
            write = {".csv": lambda path: cells.to_csv(path, index=False), ".parquet": cells.to_parquet}[suffix]
            write(tmp_path / f"t{suffix}")
        data = MeasuredTable(path=f"t{suffix}", test=["B+A", "A+C"]).read(tmp_path)
        assert data.test.conditions == ("A+B", "A+C")
        assert np.allclose(data.x, cells[["p", "q", "r"]], atol=1e-5)

    def test_columns_names_and_a_transform_are_given(self, tmp_path):
        cells = frame().rename(columns={"condition": "drug"})
        cells.drug = cells.drug.replace({"ctrl": "DMSO"}).str.replace("+", "_")
        cells[["p", "q", "r"]] = np.exp(cells[["p", "q", "r"]])
        cells["fold"] = np.where(cells.drug == "B", "test", "train")
        cells.to_parquet(tmp_path / "t.parquet")
        grammar = {"condition": "drug", "control": "DMSO", "separator": "_", "split": "fold"}
        data = MeasuredTable(path="t.parquet", test=["A_B"], transform="log", **grammar).read(tmp_path)
        assert set(data.test.conditions) == {"A_B", "B"}
        assert data.conditions[0] == "DMSO"
        assert np.allclose(data.x, frame()[["p", "q", "r"]], atol=1e-4)

    def test_a_file_that_changes_is_read_anew(self, tmp_path):
        table, values = MeasuredTable(path="t.csv"), []
        for seed in (0, 1):
            frame(seed).to_csv(tmp_path / "t.csv", index=False)
            values.append(table.read(tmp_path).x[0, 0])
        assert values[0] != values[1]


class TestLatents:
    def test_are_the_rank_where_nobody_knows_them(self):
        assert latents(FitJob(None, None, 0)) is None
        assert latents(FitJob(None, None, 0, {"n_latents": 3, "extra_latents": 2})) == 5
        assert latents(FitJob(None, 2, 0, {"extra_latents": 1})) == 3
        with pytest.raises(InputError, match="extra_latents needs n_latents"):
            latents(FitJob(None, None, 0, {"extra_latents": 1}))


class TestRefusals:
    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("cells.csv", "cell.csv", "world 'cell': table.path: "),
            ("cells.csv", "cell.csv", "cell.csv: no such file; put the table there or change the path"),
            ('"B+A"', '"D"', "cells.csv: test='D': unknown perturbation 'D'"),
            ('"B+A"', '"B+C"', "cells.csv: test='B+C' has no row; did you mean"),
            ('["B+A", "A+C"]', "[]", "table: no condition is held out; name in test"),
            ('["B+A", "A+C"]', '["ctrl", "A", "B", "A+B", "A+C"]', "table: every condition is held out"),
            ('"mean_difference"', '"gram_error"', "metrics: 'gram_error' needs a truth, which a table has not"),
            ("steps = 3", "extra_latents = 1", "estimator 'density_ratio': extra_latents needs n_latents"),
            ("{path", "{tset = 1, path", "worlds.0: table: unknown key 'tset'; did you mean 'test'?"),
            ('path = "data/cells.csv", ', "", "worlds.0: table: path is missing; give it"),
            ("{path", '{transform = "lgo", path', "transform must be one of none, log1p, log; received 'lgo'"),
            ("{path", '{transform = "log", path', "outside the domain of log"),
            ("{path", '{condition = "drug", path', "cells.csv: no column 'drug'"),
            ("{path", '{dose = "amount", path', "cells.csv: the table has no column 'amount'"),
            ("data/cells.csv", "study.toml", "study.toml: expected a file that ends in .h5ad, .h5mu, .zarr, .csv"),
            ("columns = ", 'base = "demo"\ncolumns = ', "world 'cells': give base (a simulated world) or table"),
            ("columns = {day = 3}", "vary = {day = [1]}", "set, vary and together change simulated worlds"),
        ],
    )
    def test_name_file_field_and_fix_in_one_line(self, old, new, message, folder):
        with pytest.raises(InputError) as refused:
            read(folder, old, new)
        assert str(refused.value).startswith(f"{folder / 'study.toml'}: ")
        assert message in str(refused.value)
        assert "\n" not in str(refused.value)

    def test_an_h5ad_file_is_transformed_too(self, tmp_path):
        PerturbationData.from_arrays(np.ones((2, 1)), ["ctrl", "A"]).write(tmp_path / "t.h5ad")
        assert np.allclose(MeasuredTable(path="t.h5ad", transform="log1p").read(tmp_path).x, np.log(2))
        PerturbationData.from_arrays(-np.ones((2, 1)), ["ctrl", "A"]).write(tmp_path / "n.h5ad")
        with pytest.raises(InputError, match=r"n\.h5ad: X holds 2 values ≤ -1, outside the domain of log1p"):
            MeasuredTable(path="n.h5ad", transform="log1p").read(tmp_path)

    def test_a_table_without_a_control_says_so(self, tmp_path):
        frame().replace({"ctrl": "NT"}).to_csv(tmp_path / "t.csv", index=False)
        with pytest.raises(InputError, match="likely control='NT'"):
            MeasuredTable(path="t.csv").read(tmp_path)
        assert MeasuredTable(path="t.csv", control="NT").read(tmp_path).conditions[0] == "NT"
