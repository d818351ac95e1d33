"""`evaluate` and `identify`: fields of the contract, what they refuse."""

from __future__ import annotations

from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest

from pdae_sim.cli._app import run
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.estimation import PDAE
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.study import PREDICTION_METRICS, fresh_cells
from tests.test_cli.calls import answer, ran, refusal


def test_evaluate_gives_the_rows_of_the_contract(folder, capsys):
    rows = answer(capsys, "evaluate", folder / "m", folder / "d.h5ad", "--baselines")["rows"]
    judged = {row["estimator"] for row in rows}
    assert judged == {"pdae", "tilting", "ceiling", *BASELINES}
    assert {"pool", "pseudobulk", "control", "additive", "linear"} <= judged
    assert {row["metric"] for row in rows} == set(PREDICTION_METRICS)
    assert {row["condition"] for row in rows} == {"A+B", "A:3+B:3", "A+C"}
    few = answer(capsys, "evaluate", folder / "m", folder / "d.h5ad")["rows"]
    assert {row["estimator"] for row in few} == {"pdae", "ceiling"}


def test_metrics_that_are_chosen_are_alone_and_shown(folder, capsys):
    chosen = ["--metrics", "mse, discrimination_score_l1", "--baselines"]
    rows = answer(capsys, "evaluate", folder / "m", folder / "d.h5ad", *chosen)["rows"]
    assert {row["metric"] for row in rows} == {"mse", "discrimination_score_l1"}
    assert {row["scaled"] for row in rows if (row["estimator"], row["metric"]) == ("ceiling", "mse")} == {1.0}
    _, out, _ = ran(capsys, "evaluate", folder / "m", folder / "d.h5ad", *chosen)
    assert out.index("MSE") < out.index("discrimination L1")
    assert "100 % a replicate" in out
    _, out, _ = ran(capsys, "evaluate", folder / "m", folder / "d.h5ad")
    assert ("Pearson Δ" in out, "MSE" in out) == (True, False)


def test_an_unknown_metric_is_refused(folder, capsys):
    err = refusal(capsys, "evaluate", folder / "m", folder / "d.h5ad", "--metrics", "pearson")
    assert "--metrics: unknown metric 'pearson'; did you mean 'pearson_delta'" in err


@pytest.fixture(scope="module")
def screen(tmp_path_factory):
    """Log-normalised counts of eight genes with two held-out doubles, and a model that has hardly been fitted."""
    path, rng = tmp_path_factory.mktemp("screen"), np.random.default_rng(0)
    effects = {name: rng.normal(size=8) for name in "ABC"} | {"ctrl": np.zeros(8)}
    names = ["ctrl", "A", "B", "C", "A+B", "A+C"]
    cells = [rng.poisson(4 * np.exp(sum(effects[part] for part in name.split("+"))), (60, 8)) for name in names]
    x, held_out = np.log1p(np.vstack(cells)), np.repeat(["+" in name for name in names], 60)
    PerturbationData.from_arrays(x, np.repeat(names, 60), held_out=held_out).write(path / "d.h5ad")
    fit = ["fit", path / "d.h5ad", "--out", path / "m", "--latents", "2", "--steps", "2", "--plan", "staged"]
    assert run([str(word) for word in [*fit, "--observation", "noiseless", "--quiet", "--json"]]) == 0
    return path


def test_export_writes_what_cell_eval_reads_and_what_the_metrics_are_of(screen, tmp_path, capsys):
    options = ["--export", "cell-eval", tmp_path / "e", "--baselines"]
    rows = answer(capsys, "evaluate", screen / "m", screen / "d.h5ad", *options)["rows"]
    files = {path.stem: anndata.read_h5ad(path) for path in (tmp_path / "e").iterdir()}
    assert set(files) == {"real"} | {row["estimator"] for row in rows}
    real, control = files["real"], files["control"]
    assert list(real.var_names) == list(control.var_names)
    counts = {"non-targeting": 60, "A+B": 30, "A+C": 30}
    for adata in files.values():
        assert adata.obs["target_gene"].value_counts().to_dict() == counts
        assert (adata.X.min(), adata.X.max() < 15) == (0.0, True)
        assert np.array_equal(adata[adata.obs["target_gene"] == "non-targeting"].X, real.X[:60])
    mse = {row["condition"]: row["value"] for row in rows if (row["estimator"], row["metric"]) == ("control", "mse")}
    for condition, value in mse.items():
        means = [adata[adata.obs["target_gene"] == condition].X.mean(0) for adata in (real, control)]
        assert value == pytest.approx(((means[0] - means[1]) ** 2).mean(), rel=1e-4)
    err = refusal(capsys, "evaluate", screen / "m", screen / "d.h5ad", *options)
    assert err.startswith(f"error: {tmp_path / 'e' / 'real.h5ad'}: already exists")


def test_rows_are_written_as_csv_and_summed_up(screen, tmp_path, capsys):
    chosen = ["--metrics", "energy_distance", "--csv", tmp_path / "rows.csv"]
    result = answer(capsys, "evaluate", screen / "m", screen / "d.h5ad", *chosen)
    table = pd.read_csv(tmp_path / "rows.csv")
    assert list(table["value"]) == pytest.approx([row["value"] for row in result["rows"]])
    pdae, ceiling = result["summary"]
    assert (pdae["estimator"], pdae["conditions"], pdae["of"]) == ("pdae", 2, 2)
    assert pdae["mean"]["value"] == pytest.approx(table[table["estimator"] == "pdae"]["value"].mean())
    assert (pdae["wins"]["value"], ceiling["wins"]) == (2.0, None)
    err = refusal(capsys, "evaluate", screen / "m", screen / "d.h5ad", *chosen)
    assert "rows.csv: already exists" in err
    assert "--csv must end in .csv" in refusal(capsys, "evaluate", screen / "m", screen / "d.h5ad", "--csv", "rows.txt")


def test_goodness_without_fresh_cells_leaves_the_evaluation(screen, capsys):
    chosen = ["--metrics", "energy_distance", "--goodness"]
    result = answer(capsys, "evaluate", screen / "m", screen / "d.h5ad", *chosen)
    assert (result["goodness"], len(result["rows"])) == (None, 4)
    assert "--cells FILE" in result["goodness_missing"]
    _, out, _ = ran(capsys, "evaluate", screen / "m", screen / "d.h5ad", *chosen)
    assert "Goodness of fit: not judged" in out


def test_cells_kept_from_the_fit_judge_it(screen, tmp_path, capsys):
    fit = ["fit", screen / "d.h5ad", "--out", tmp_path / "m", "--latents", 2, "--steps", 2, "--hold-out"]
    answer(capsys, *fit, 0.5, "--observation", "noiseless", "--plan", "staged", "--no-select")
    assert PDAE.load(tmp_path / "m").train_counts_.tolist() == [30] * 4
    result = answer(capsys, "evaluate", tmp_path / "m", screen / "d.h5ad", "--metrics", "energy_distance", "--goodness")
    assert result["goodness"]["rows"]
    assert result["goodness_missing"] is None
    assert "between 0 and 1" in refusal(capsys, *fit[:3], tmp_path / "n", *fit[4:], 1.5, "--quiet")


def test_cells_kept_from_the_fit_are_known_in_any_order_and_not_looked_for_in_other_tables(screen, tmp_path, capsys):
    data = PerturbationData.read(screen / "d.h5ad")
    order = np.random.default_rng(0).permutation(len(data.environment))
    data.rows(order).write(tmp_path / "mixed.h5ad")
    replace(data, x=np.roll(data.x, 1, axis=1)).write(tmp_path / "other.h5ad")
    fit = ["fit", screen / "d.h5ad", "--out", tmp_path / "m", "--latents", 2, "--steps", 2, "--hold-out", 0.5]
    answer(capsys, *fit, "--observation", "noiseless", "--plan", "staged", "--no-select")
    found = {}
    for file in (screen / "d.h5ad", tmp_path / "mixed.h5ad", tmp_path / "other.h5ad"):
        chosen = ["--metrics", "energy_distance", "--goodness"]
        found[file.stem] = answer(capsys, "evaluate", tmp_path / "m", file, *chosen)
    seen, mixed = (
        {row["condition"]: row["n_eff"] for row in found[name]["goodness"]["rows"] if row["part"] == "transport"}
        for name in ("d", "mixed")
    )
    assert mixed == pytest.approx(seen)  # of the very same fresh cells
    assert found["other"]["goodness"] is None
    assert "--cells FILE" in found["other"]["goodness_missing"]


@pytest.mark.parametrize("asked", [["--baselines"], ["--effects", "A+B"]])
def test_what_takes_training_cells_is_refused_by_name_where_a_file_has_none(folder, tmp_path, capsys, asked):
    PerturbationData.read(folder / "d.h5ad").test.write(tmp_path / "test.h5ad")
    err = refusal(capsys, "evaluate", folder / "m", tmp_path / "test.h5ad", *asked)
    assert f"test.h5ad: holds no training cells, which {asked[0]} take; give the file that was fitted" in err


def test_export_of_what_cell_eval_cannot_read_is_refused(folder, screen, tmp_path, capsys):
    err = refusal(capsys, "evaluate", folder / "m", folder / "d.h5ad", "--export", "cell-eval", tmp_path, "--quiet")
    assert "cell-eval needs counts, or their log1p in [0, 15)" in err
    err = refusal(capsys, "evaluate", screen / "m", screen / "d.h5ad", "--export", "scib", tmp_path)
    assert "--export must be one of cell-eval" in err


def test_a_model_that_saw_the_held_out_condition_is_refused(folder, tmp_path, capsys):
    seen = PerturbationData.read(folder / "d.h5ad").select([0, 1, 2, 3])
    replace(seen, held_out=np.array([False, False, True, True])).write(tmp_path / "l.h5ad")
    err = refusal(capsys, "evaluate", folder / "m", tmp_path / "l.h5ad")
    assert "was fitted on held-out condition 'B'" in err


def test_identify_gives_the_fields_of_the_contract(folder, capsys):
    result = answer(capsys, "identify", folder / "m", folder / "d.h5ad")
    assert {"affine_r2", "orthogonal_r2", "singular_values", "gram_error", "rotation"} <= set(result)
    assert result["intervals"]["affine_r2"][0] <= result["affine_r2"] <= result["intervals"]["affine_r2"][1]


def test_identify_needs_simulated_data(folder, tmp_path, capsys):
    PerturbationData.read(folder / "d.h5ad").write(tmp_path / "real.h5ad")
    assert "simulated files only" in refusal(capsys, "identify", folder / "m", tmp_path / "real.h5ad")


def test_changes_of_features_are_shown_at_any_measured_condition(folder, capsys, tmp_path, monkeypatch):
    told = answer(capsys, "evaluate", folder / "m", folder / "d.h5ad", "--effects", "A+B")["effects"]
    assert list(told) == ["A+B"]
    assert {"feature", "measured", "low", "high", "predicted", "apart"} <= told["A+B"][0].keys()
    PerturbationData.read(folder / "d.h5ad").train.write(tmp_path / "train.h5ad")  # nothing is held out
    size = ["--set", "design.cells=80", "--set", "design.test_cells=80", "--seed", "9"]
    ran(capsys, "simulate", "demo", "--out", tmp_path / "fresh.h5ad", *size)
    asked = ["--goodness", "--cells", tmp_path / "fresh.h5ad", "--effects", "A"]
    _, out, _ = ran(capsys, "evaluate", folder / "m", tmp_path / "train.h5ad", *asked)
    assert "Changes from control at A:" in out
    monkeypatch.setattr("pdae_sim.study.evaluate", None)  # refused before anything is computed
    assert "data must hold cells of 'A:7'" in refusal(
        capsys, "evaluate", folder / "m", folder / "d.h5ad", "--effects", "A:7"
    )


class TestTablesThatChangedSinceTheyWereSimulated:
    """Fresh cells come in the features of the file; in other units there are none."""

    @pytest.fixture
    def reversed_file(self, folder, tmp_path):
        path = tmp_path / "reversed.h5ad"
        anndata.read_h5ad(folder / "d.h5ad")[:, ::-1].copy().write_h5ad(path)
        return path

    def test_columns_in_another_order_are_known_by_name(self, folder, reversed_file):
        plain, turned = (Simulation.read(file) for file in (folder / "d.h5ad", reversed_file))
        cells = [fresh_cells(simulation, 20, rng=0).data for simulation in (plain, turned)]
        assert cells[1].features == cells[0].features[::-1]
        assert np.array_equal(cells[1].x, cells[0].x[:, ::-1])

    def test_goodness_is_judged_in_the_features_of_the_model(self, folder, reversed_file, capsys):
        chosen = ["--metrics", "energy_distance", "--goodness"]
        files = folder / "d.h5ad", reversed_file
        rows = [answer(capsys, "evaluate", folder / "m", file, *chosen)["goodness"]["rows"] for file in files]
        assert [row["n_eff"] for row in rows[1]] == pytest.approx([row["n_eff"] for row in rows[0]])

    @pytest.mark.parametrize("asked", [["identify"], ["evaluate", "--goodness"]])
    def test_other_units_are_refused(self, folder, tmp_path, capsys, asked):
        cells = anndata.read_h5ad(folder / "d.h5ad")
        cells.X = 3 * cells.X + 1
        cells.write_h5ad(tmp_path / "scaled.h5ad")
        err = refusal(capsys, asked[0], folder / "m", tmp_path / "scaled.h5ad", *asked[1:], "--quiet")
        assert "scaled.h5ad: feature 'x" in err
        assert "is not as it was simulated" in err

    def test_a_model_of_other_cells_is_told(self, folder, tmp_path, capsys):
        assert answer(capsys, "identify", folder / "m", folder / "d.h5ad")["notes"] == []
        size = ["--set", "design.cells=80", "--set", "design.test_cells=80", "--seed", "9"]
        ran(capsys, "simulate", "demo", "--out", tmp_path / "other.h5ad", *size)
        (note,) = answer(capsys, "identify", folder / "m", tmp_path / "other.h5ad")["notes"]
        assert "was fitted to other cells than those of" in note
