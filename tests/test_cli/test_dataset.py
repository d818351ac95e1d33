"""`simulate`, `worlds`, `convert` and `doctor`."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pdae_sim.data import PerturbationData, Simulation
from tests.test_cli.calls import answer, ran, refusal


def test_simulate_writes_the_design_with_its_truth(folder):
    simulation = Simulation.read(folder / "d.h5ad")
    assert simulation.data.conditions == ("ctrl", "A", "B", "A+B", "A:3+B:3", "A+C")
    assert simulation.data.counts.tolist() == [400] * 3 + [80] * 3
    assert simulation.config["design"]["cells"] == 400


def test_simulate_tells_the_truth_about_held_out_conditions(tmp_path, capsys):
    few = ("--set", "design.cells=60", "--set", "design.test_cells=60")
    result = answer(capsys, "simulate", "demo", "--out", tmp_path / "again.h5ad", *few)
    verdicts = [row["verdict"] for row in result["conditions"]]
    assert verdicts[:3] == [None] * 3
    assert verdicts[3:] == ["identified, off support", "identified, off support", "not identified"]  # 60 cells are few
    assert result["breaks"] == []
    assert answer(capsys, "simulate", "noisy", "--out", tmp_path / "noisy.h5ad", *few)["breaks"] == ["noiseless"]
    assert answer(capsys, "simulate", "one-short", "--out", tmp_path / "short.h5ad", *few)["breaks"] == ["diverse"]


def test_simulate_says_where_float32_loses_the_latents(tmp_path, capsys):
    few = ("--set", "design.cells=60", "--set", "design.test_cells=60", "--set", "mixing.kind=coupling")
    few += ("--set", "mixing.nonlinearity=0.2")
    for condition, told in (("4", False), ("1e7", True)):
        out = tmp_path / f"{condition}.h5ad"
        status, _, err = ran(
            capsys, "simulate", "two-latents", "--out", out, *few, "--set", f"mixing.condition={condition}"
        )
        assert status == 0
        assert ("in float32, cells tell latents to" in err) == told


def test_worlds_are_listed_with_what_they_break(capsys):
    listed = {row["name"]: row for row in answer(capsys, "worlds")["worlds"]}
    assert listed["demo"]["breaks"] == []
    assert listed["folded"]["breaks"] == ["injective"]
    assert all(row["difficulty"] for row in listed.values())


def test_convert_and_its_transform(tmp_path, capsys):
    frame = pd.DataFrame({"condition": ["ctrl", "A", "B", "A+B"] * 3, "g1": np.arange(1.0, 13.0), "g2": 1.0})
    frame.to_csv(tmp_path / "t.csv", index=False)
    arguments = ("convert", tmp_path / "t.csv", "--out", tmp_path / "t.h5ad", "--test", "B+A", "--transform", "log")
    answer(capsys, *arguments)
    data = PerturbationData.read(tmp_path / "t.h5ad")
    assert data.test.conditions == ("A+B",)
    assert data.x[:, 0].max() == pytest.approx(np.log(12), rel=1e-6)
    assert "already exists" in refusal(capsys, *arguments)


def test_convert_lists_all_problems_at_once(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("condition,g1,g2\nctrl,1,x\nA:b,2,\n,3,4\n")
    err = refusal(capsys, "convert", tmp_path / "t.csv", "--out", tmp_path / "t.h5ad")
    for words in ("'condition': 1 row empty", "malformed dose 'b'", "'g2': 1 row not numeric", "'g2': 1 row empty"):
        assert words in err
    assert not (tmp_path / "t.h5ad").exists()


def test_brackets_in_names_are_shown_as_they_are(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("condition,g\nctrl,1\ndrug [um],2\ngene[/i],3\nNone,4\n")
    status, out, _ = ran(capsys, "convert", tmp_path / "t.csv", "--out", tmp_path / "t.h5ad", "--quiet")
    assert status == 0
    assert all(name in out for name in ("drug [um]", "gene[/i]", "None"))


def test_doctor_names_versions_and_devices(capsys):
    found = answer(capsys, "doctor")
    assert "cpu" in found["devices"]
    assert found["packages"]["torch"]


def test_doses_on_a_scale(capsys, tmp_path):
    table = tmp_path / "doses.csv"
    table.write_text("condition,g1\n" + "".join(f"{c},{i}\n" for i, c in enumerate(["ctrl", "A", "A:3"])))
    payload = answer(capsys, "convert", table, "--out", tmp_path / "d.h5ad", "--dose-scale", "A=log:1")
    assert [row["condition"] for row in payload["conditions"]] == ["ctrl", "A", "A:2"]


@pytest.mark.parametrize("text", ["A", "A=log", "A=learn:3", "A=square:2", "A=log:x", "A=log:-1", "B=log:1"])
def test_a_scale_that_cannot_be_is_refused_in_a_line(capsys, tmp_path, text):
    table = tmp_path / "doses.csv"
    table.write_text("condition,g1\nctrl,0.5\nA,1.5\nA:3,2.5\n")
    status, out, err = ran(capsys, "convert", table, "--out", tmp_path / "d.h5ad", "--dose-scale", text)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("error: --dose-scale: ")


def test_one_perturbation_has_one_scale(capsys, tmp_path):
    table = tmp_path / "doses.csv"
    table.write_text("condition,g1\nctrl,0.5\nA,1.5\nA:3,2.5\n")
    twice = ("--dose-scale", "A=log:1", "--dose-scale", "A=hill:1")
    status, out, err = ran(capsys, "convert", table, "--out", tmp_path / "d.h5ad", *twice)
    assert (status, out) == (2, "")
    assert err.endswith("error: --dose-scale: 'A' is given two scales; give one\n")


def test_doses_on_a_scale_can_be_typed(capsys, tmp_path):
    table = tmp_path / "doses.csv"
    table.write_text("condition,g1\nctrl,0.5\nA:0.7,1.5\nA:3,2.5\n")
    payload = answer(capsys, "convert", table, "--out", tmp_path / "d.h5ad", "--dose-scale", "A=hill:0.9")
    assert [row["condition"] for row in payload["conditions"]] == ["ctrl", "A:0.8312", "A:1.462"]  # four digits


def test_of_many_conditions_those_of_test_and_of_most_cells_are_listed(capsys, tmp_path):
    table = tmp_path / "many.csv"
    names = ["ctrl", *(f"g{i}" for i in range(80)), "g79", "g3+g4"]
    table.write_text("condition,x\n" + "".join(f"{name},{i}.5\n" for i, name in enumerate(names)))
    _, out, _ = ran(capsys, "convert", table, "--out", tmp_path / "d.h5ad", "--test", "g3+g4")
    listed = [line.split() for line in out.splitlines() if line.endswith(("train", "test "))]
    assert (len(listed), listed[0][0], listed[1][:2]) == (60, "g3+g4", ["g79", "2"])
    assert "and 22 more; --json lists all" in out
