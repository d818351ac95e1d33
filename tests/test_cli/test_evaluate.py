"""`evaluate` and `identify`: fields of the contract, what they refuse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pdae_sim.data import PerturbationData
from tests.test_cli.calls import answer, refusal


def test_evaluate_gives_the_rows_of_the_contract(folder, capsys):
    rows = answer(capsys, "evaluate", folder / "m", folder / "d.h5ad", "--baselines")["rows"]
    assert {row["estimator"] for row in rows} == {
        "pdae", "pool", "pseudobulk", "control", "additive", "linear", "tilting", "ceiling",
    }  # fmt: skip
    assert {row["metric"] for row in rows} == {"energy_distance", "n_eff", "mmd", "mean_difference", "mean_r2"}
    assert {row["condition"] for row in rows} == {"A+B", "A:3+B:3", "A+C"}
    few = answer(capsys, "evaluate", folder / "m", folder / "d.h5ad")["rows"]
    assert {row["estimator"] for row in few} == {"pdae", "ceiling"}


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
