"""`additivity`: answers, figures, exit statuses, one line for bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pdae_sim.analysis.hypothesis_tests.additivity import additivity_test, additivity_tests
from pdae_sim.data import PerturbationData
from tests.test_cli.calls import PNG, answer, ran, refusal, write_table

TABLE = Path(__file__).parents[3] / "shared" / "data" / "sachs2005_flow_cytometry.csv"


@pytest.fixture(scope="module")
def additive(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("additive") / "additive.h5ad", 0.0, n=120)


@pytest.fixture(scope="module")
def epistatic(tmp_path_factory):
    return write_table(tmp_path_factory.mktemp("epistatic") / "epistatic.h5ad", 1.5, n=120)


def test_what_adds_passes_with_status_zero(additive, capsys):
    found = answer(capsys, "additivity", additive, "--multipliers", "99")
    (row,) = found["tests"]
    assert (found["rejected"], found["figure"]) == ([], None)
    assert row["weights"] == {"ctrl": 1.0, "A": -1.0, "B": -1.0, "A+B": 1.0}
    assert row["enough_overlap"]
    assert not row["rejected"]


def test_what_can_be_tested_is_listed(additive, singles, capsys):
    (row,) = answer(capsys, "additivity", additive, "--list")["combinations"]
    assert row == {"condition": "A+B", "coefficients": {"A": 1.0, "B": 1.0}, "cells": 120}
    assert "1 · A + 1 · B" in ran(capsys, "additivity", additive, "--list")[1]
    assert answer(capsys, "additivity", singles, "--list") == {"combinations": []}
    assert "measure a combination" in ran(capsys, "additivity", singles, "--list")[1]


def test_what_does_not_add_is_rejected_with_status_one(epistatic, capsys):
    found = answer(capsys, "additivity", epistatic, "--multipliers", "99", status=1)
    (row,) = found["tests"]
    assert found["rejected"] == ["A+B"]
    assert row["p_value"] == row["holm"] == row["bh"] == 0.01
    assert row["feature"] == "x0"
    assert abs(row["slope"]) > 3 * row["slope_error"]


def test_the_numbers_are_those_of_the_library(epistatic, capsys):
    data = PerturbationData.read(epistatic)
    (row,) = answer(capsys, "additivity", epistatic, "--multipliers", "99", "--seed", "5", status=1)["tests"]
    alone = additivity_tests(data, rng=5, n_multipliers=99).tests["A+B"]
    assert (row["p_value"], row["effective_cells"]) == (alone.p_value, alone.effective_cells)


def test_a_target_by_itself_is_tested_as_among_all(epistatic, capsys):
    everything = answer(capsys, "additivity", epistatic, "--multipliers", "99", status=1)["tests"]
    wanted = answer(capsys, "additivity", epistatic, "--multipliers", "99", "--target", "B + A", status=1)["tests"]
    assert wanted == everything


def test_several_targets_are_corrected_together(epistatic, capsys):
    options = ("--multipliers", "99", "--target", "A+B", "--target", "A", "--target", "A+B")
    found = answer(capsys, "additivity", epistatic, *options, status=1)
    assert [row["condition"] for row in found["tests"]] == ["A+B", "A"]
    assert found["tests"][0]["holm"] == 2 * found["tests"][0]["p_value"]


def test_too_little_overlap_rejects_nothing(tmp_path, capsys):
    path = write_table(tmp_path / "apart.h5ad", 60.0, n=30)
    assert additivity_test(PerturbationData.read(path), "A+B", n_multipliers=99, rng=0).effective_cells < 100
    found = answer(capsys, "additivity", path, "--multipliers", "99", status=3)
    assert (found["rejected"], found["tests"][0]["enough_overlap"]) == ([], False)


def test_in_words(epistatic, additive, capsys):
    status, out, _ = ran(capsys, "additivity", epistatic, "--multipliers", "99", "--quiet")
    assert status == 1
    assert "A+B against A · B / ctrl: p = 0.01" in out
    assert "the product formula fails, most along x0" in out
    assert "no departure from" in ran(capsys, "additivity", additive, "--multipliers", "99", "--quiet")[1]


@pytest.mark.parametrize("targets", [["--target", "A+B"], ["--target", "A+B", "--target", "A"]])
def test_a_picture_is_written_and_not_over_another(epistatic, tmp_path, capsys, targets):
    place = tmp_path / "p.png"
    arguments = ("additivity", epistatic, "--multipliers", "99", *targets, "--figure", place)
    assert answer(capsys, *arguments, status=1)["figure"] == str(place)
    assert place.read_bytes().startswith(PNG)
    assert "p.png: already exists" in refusal(capsys, *arguments)
    answer(capsys, *arguments, "--force", status=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{s}"], ["singles.h5ad", "measure a combination and its parts"]),
        (["{e}", "--target", "A+Z"], ["epistatic.h5ad: --target: unknown perturbation 'Z'"]),
        (["{e}", "--target", "A:2"], ["epistatic.h5ad: --target: condition 'A:2' must be measured; known: ctrl"]),
        (["{e}", "--target", "ctrl"], ["epistatic.h5ad: --target: target must be a combination"]),
        (["{s}", "--target", "A"], ["singles.h5ad: --target: target 'A' must be a combination"]),
        (["{e}", "--multipliers", "3"], ["--multipliers"]),
        (["{e}", "--figure", "p.pdf"], ["p.pdf: --figure must end in .png"]),
        (["{e}", "--figure", "{e}.d/p.png"], ["cannot write in folder"]),
        (["{e}.no"], [".no"]),
    ],
)
def test_bad_input_is_one_line_with_status_two(epistatic, singles, capsys, arguments, words):
    err = refusal(capsys, "additivity", *(a.format(e=epistatic, s=singles) for a in arguments))
    assert all(word in err for word in words)


@pytest.mark.statistical
@pytest.mark.skipif(not TABLE.is_file(), reason=f"{TABLE.name} is not beside the repository")
def test_proteins_of_two_inhibitors_do_not_add_and_of_the_third_too_few_cells_tell(tmp_path, capsys):
    """Three doubles whose singles were measured, in log scale; one of them overlaps with nothing."""
    data, place = tmp_path / "s.h5ad", tmp_path / "p.png"
    answer(capsys, "convert", TABLE, "--out", data, "--transform", "log")
    found = answer(capsys, "additivity", data, "--figure", place, status=1)
    rows = {row["condition"]: row for row in found["tests"]}
    assert set(rows) == {"AKTinh+ICAM2", "ICAM2+U0126", "G0076+ICAM2"}
    assert set(found["rejected"]) == {"AKTinh+ICAM2", "ICAM2+U0126"}
    assert not rows["G0076+ICAM2"]["enough_overlap"]
    assert place.read_bytes().startswith(PNG)


def test_many_combinations_of_too_few_cells_are_one_line(tmp_path, capsys):
    names = ["ctrl", *(f"g{i}" for i in range(8)), *(f"g{i}+g{j}" for i in range(8) for j in range(i))]
    x = np.random.default_rng(0).normal(size=(len(names), 2))
    PerturbationData.from_arrays(x, names).write(tmp_path / "bulk.h5ad")
    status, out, _ = ran(capsys, "additivity", tmp_path / "bulk.h5ad")
    assert status == 3
    assert out.startswith("28 combinations have too few cells and are in --json, the first g0+g1: 'ctrl' must have")
    assert len(out.splitlines()) < 5
