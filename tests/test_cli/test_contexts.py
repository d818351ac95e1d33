"""Contexts on the command line: verdicts, the test of shared effects, and what a model remembers."""

import json
import re

import anndata
import numpy as np
import pandas as pd
import pytest

from pdae_sim.data import PerturbationData
from tests.test_cli.calls import answer, ran, refusal

W = np.array([[1.2, 0.0, 0.7], [0.0, 1.2, 0.7]])
LABELS = {"ctrl": (0, 0, 0), "A": (1, 0, 0), "B": (0, 1, 0), "C": (0, 0, 1)}


def write(path, other, *, n=120):
    """Two cell lines apart by a shift, W in one and `other` in the second; C is measured in the second alone."""
    rng = np.random.default_rng(0)
    Q, rows, cells = np.linalg.qr(rng.normal(size=(4, 2)))[0], [], []
    for line, offset, effects in (("HepG2", [0.0, 0.0], W), ("K562", [0.8, -0.5], other)):
        for name in LABELS if line == "K562" else ("ctrl", "A", "B"):
            z = rng.normal(size=(n, 2)) + offset + effects @ LABELS[name]
            rows.append(np.sinh(0.7 * z @ Q.T))
            cells += [(name, line)] * n
    obs = pd.DataFrame(cells, columns=["condition", "cell_line"], index=[str(i) for i in range(len(cells))])
    anndata.AnnData(np.vstack(rows).astype(np.float32), obs=obs).write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def same(tmp_path_factory):
    return write(tmp_path_factory.mktemp("contexts") / "same.h5ad", W)


def test_a_perturbation_of_one_context_is_not_identified_in_another(same, capsys):
    told = answer(capsys, "span", same, "--covariate", "cell_line", "--test", "C@HepG2", "--test", "A+B@K562")
    alone, own = told["verdicts"]
    assert (alone["identified"], alone["identified_if_shared"]) == (False, True)
    assert alone["witness"] == {"C@HepG2": 1.0}
    assert (own["identified"], own["identified_if_own"]) == (True, True)
    assert "shared_effects" not in told
    out = ran(capsys, "span", same, "--covariate", "cell_line", "--test", "C@HepG2")[1]
    assert "were effects the same in all contexts (--shared)" in out


def test_a_single_perturbation_in_a_context_is_no_combination():
    from pathlib import Path

    from pdae_sim.cli._additivity import related_additivity

    labels = [[0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 1, 0, 1], [0, 0, 0, 1, 1]]
    names, x = ("A@H", "B@H", "A@K", "B@K", "@K"), np.random.default_rng(0).normal(size=(60, 2))
    data = PerturbationData(x, np.array(labels, float), np.repeat(np.arange(6), 10), names, control="ctrl@H")
    told = related_additivity(Path("d.h5ad"), data, {}, ["A@K", data.space.condition([0, 0, 1, 1, 1])], 0, quick=True)
    assert [bool(row["in_words"]) for row in told] == [False, True]


def test_shared_effects_are_identified_and_tested(same, capsys):
    options = ("--covariate", "cell_line", "--shared", "--test", "C@HepG2")
    told = answer(capsys, "span", same, *options)
    assert told["verdicts"][0]["identified"]
    assert told["verdicts"][0]["identified_if_own"] is False
    (test,) = told["shared_effects"]
    assert (test["contexts"], test["rejected"]) == (["HepG2", "K562"], False)
    out = " ".join(ran(capsys, "span", same, *options)[1].split())
    assert "rests on effects being the same in several contexts" in out
    assert "Gram matrices of shared effects (3 distances, HepG2, K562): no difference found" in out


def test_effects_that_differ_are_refuted(capsys, tmp_path):
    other = write(tmp_path / "other.h5ad", W * [[0.2, 1.0, 1.0]], n=250)
    told = answer(capsys, "span", other, "--covariate", "cell_line", "--shared", "--test", "C@HepG2")
    assert told["shared_effects"][0]["rejected"]


def test_what_cannot_be_tested_says_why(capsys, tmp_path):
    few = write(tmp_path / "few.h5ad", W, n=12)
    (test,) = answer(capsys, "span", few, "--batch", "cell_line", "--test", "C@HepG2")["shared_effects"]
    assert test["p_value"] is None
    assert "fewer than 30 cells" in test["reason"]


def test_a_model_remembers_its_contexts(same, capsys, tmp_path):
    model = tmp_path / "model"
    options = ("--covariate", "cell_line", "--shared", "--latents", 2, "--steps", 2)
    assert answer(capsys, "fit", same, "--out", model, *options)["shared_effects"][0]["rejected"] is False
    out = tmp_path / "predicted.h5ad"
    assert answer(capsys, "predict", model, "--condition", "C@HepG2", "--samples", 9, "--out", out)["identified"]
    assert PerturbationData.read(out).conditions == ("C@HepG2",)
    (verdict,) = answer(capsys, "span", same, "--model", model, "--test", "A+C@HepG2")["verdicts"]
    assert verdict["identified"]
    assert verdict["effective_cells"] is not None
    assert "must end in its context; write C@HepG2 or C@K562" in refusal(
        capsys, "predict", model, "--condition", "C", "--out", tmp_path / "no.h5ad"
    )


def test_a_converted_table_keeps_its_contexts(same, capsys, tmp_path):
    data = anndata.read_h5ad(same)
    frame = data.obs.assign(**{f"gene{j}": data.X[:, j] for j in range(4)})
    frame.to_csv(tmp_path / "table.csv", index=False)
    file = tmp_path / "data.h5ad"
    answer(capsys, "convert", tmp_path / "table.csv", "--out", file, "--covariate", "cell_line", "--test", "B@K562")
    own, shared = (answer(capsys, "span", file, *more)["verdicts"][0] for more in ((), ("--shared",)))
    assert (own["condition"], own["identified"], shared["identified"]) == ("B@K562", False, True)


def test_a_design_is_of_conditions_in_contexts(same, capsys):
    """C@HepG2 is what A+C@HepG2 lacks; shared, nothing is missing."""
    design = ("design", same, "--covariate", "cell_line", "--target", "A+C@HepG2")
    assert [each["condition"] for each in answer(capsys, *design)["experiments"]] == ["C@HepG2"]
    assert answer(capsys, *design, "--shared")["experiments"] == []


def test_a_covariate_of_measurements_is_refused(same, capsys, tmp_path):
    data = anndata.read_h5ad(same)
    frame = data.obs.assign(g1=data.X[:, 0], g2=data.X[:, 1])
    frame.to_csv(tmp_path / "table.csv", index=False)
    converting = ("convert", tmp_path / "table.csv", "--out", tmp_path / "no.h5ad", "--covariate")
    assert "covariates must have few levels; 840 cells have" in refusal(capsys, *converting, "g1")
    assert "name it with --covariate" in refusal(capsys, *converting, "line")


def test_every_command_knows_contexts(same, capsys, tmp_path):
    """Values from their definitions: what is held out, against what it is tested, what a second model differs at."""
    data = anndata.read_h5ad(same)
    data.obs["batch"] = np.where(np.arange(len(data)) % 2, "r1", "r2")
    data.obs["split"] = np.where((data.obs.condition == "B") & (data.obs.cell_line == "K562"), "test", "train")
    file, model = tmp_path / "d.h5ad", tmp_path / "m"
    data.write_h5ad(file)
    options = ("--covariate", "cell_line", "--batch", "batch")
    listed = answer(capsys, "additivity", file, *options, "--list")["combinations"]
    assert listed[0] == {
        "condition": "A@HepG2,r2",
        "coefficients": {"A@HepG2,r1": 1.0, "ctrl@HepG2,r2": 1.0},
        "cells": 60,
    }
    table = ran(capsys, "geometry", file, "--covariate", "cell_line", "--multipliers", 99)[1]
    assert len(re.findall(r"^ctrl@HepG2 – A@HepG2 +\S+ +\[\S+, \S+\] ", table, re.MULTILINE)) == 1
    fit = answer(capsys, "fit", file, *options, "--out", model, "--latents", 2, "--steps", 2, "--no-select")
    assert [each["contexts"] for each in fit["shared_effects"]] == [["HepG2,r1", "HepG2,r2"], ["K562,r1", "K562,r2"]]
    told = answer(capsys, "evaluate", model, file, "--baselines", "--metrics", "mean_difference,pearson_delta")
    assert {row["condition"] for row in told["rows"]} == {"B@K562,r1", "B@K562,r2"}
    control = next(row for row in told["rows"] if row["estimator"] == "control" and row["metric"] == "mean_difference")
    x, obs = data.X.astype(float), data.obs
    mine = obs.batch == control["condition"][-2:]
    line = obs.cell_line == "K562"
    b, none = (x[mine & line & (obs.condition == name)] for name in ("B", "ctrl"))
    expected = np.linalg.norm(none.mean(0) - b.mean(0))
    assert control["value"] == pytest.approx(expected, abs=0.5 * expected)  # of the control of its own line and batch
    assert "not identified" in refusal(
        capsys, "predict", model, "--condition", "B@K562,r1", "--out", tmp_path / "no.h5ad"
    )
    twins = ran(capsys, "twins", file, "--test", "B@K562,r1", "--model", model, "--cells", 60, "--json")[1]
    assert json.loads(twins)["witness"] == {"B@K562": 1.0}


def test_a_condition_is_held_out_in_every_context_that_it_names(same, capsys, tmp_path):
    for text, held_out in {"A": {"A@HepG2", "A@K562"}, "A@K562": {"A@K562"}}.items():
        found = answer(
            capsys, "convert", same, "--out", tmp_path / f"{text}.h5ad", "--covariate", "cell_line", "--test", text
        )
        assert {row["condition"] for row in found["conditions"] if row["split"] == "test"} == held_out
        judged = answer(capsys, "span", tmp_path / f"{text}.h5ad", "--test", text)["verdicts"]
        assert {row["condition"] for row in judged} == held_out
