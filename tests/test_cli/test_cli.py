"""The command line: what it writes, what it refuses, and with which status."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from pdae_sim.cli._app import run
from pdae_sim.data import PerturbationData, Simulation

SMALL = ["--set", "design.cells=120", "--set", "design.test_cells=80"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A dataset and a model that other commands left behind."""
    path = tmp_path_factory.mktemp("cli")
    assert run(["simulate", "demo", "--out", str(path / "d.h5ad"), *SMALL, "--quiet", "--json"]) == 0
    fit = [
        "fit",
        str(path / "d.h5ad"),
        "--out",
        str(path / "m"),
        "--latents",
        "2",
        "--steps",
        "20",
        "--quiet",
        "--json",
    ]
    assert run(fit) == 0
    return path


def ran(capsys, *arguments) -> tuple[int, str, str]:
    capsys.readouterr()
    status = run([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return status, out, err


def answer(capsys, *arguments) -> dict:
    status, out, _ = ran(capsys, *arguments, "--json", "--quiet")
    assert status == 0
    return json.loads(out)


def test_simulate_writes_the_design_with_its_truth(folder):
    simulation = Simulation.read(folder / "d.h5ad")
    assert simulation.data.conditions == ("ctrl", "A", "B", "A+B", "A:3+B:3", "A+C")
    assert simulation.data.counts.tolist() == [120] * 3 + [80] * 3
    assert simulation.config["design"]["cells"] == 120


def test_simulate_tells_the_truth_about_held_out_conditions(folder, capsys):
    result = answer(capsys, "simulate", "demo", "--out", folder / "again.h5ad", "--set", "design.cells=60")
    verdicts = [row["verdict"] for row in result["conditions"]]
    assert verdicts[:3] == [None] * 3
    assert verdicts[3:] == ["identified, off support", "identified, off support", "not identified"]  # 60 cells are few
    assert result["breaks"] == []
    noisy = answer(capsys, "simulate", "noisy", "--out", folder / "noisy.h5ad", "--set", "design.cells=60")
    assert noisy["breaks"] == ["noiseless"]


def test_worlds_are_listed_with_what_they_break(capsys):
    listed = {row["name"]: row for row in answer(capsys, "worlds")["worlds"]}
    assert listed["demo"]["breaks"] == []
    assert listed["folded"]["breaks"] == ["injective"]
    assert all(row["difficulty"] for row in listed.values())


def test_span_gives_the_fields_of_the_contract(folder, capsys):
    rows = answer(capsys, "span", folder / "d.h5ad")["verdicts"]
    assert [row["identified"] for row in rows] == [True, True, False]
    inside, far, outside = rows
    assert inside["coefficients"] == {"A": 1.0, "B": 1.0}
    assert (inside["supported"], far["supported"]) == (False, False)  # 120 cells a condition are worth too few
    assert inside["effective_cells"] > 20 > far["effective_cells"]
    assert inside["witness"] is None
    assert (inside["noise_gain"], inside["arithmetic"]) == (3.0, "exact")
    assert (outside["identified"], outside["supported"], outside["coefficients"]) == (False, None, {})
    assert outside["witness"] == {"C": 1.0}


def test_span_in_words(folder, capsys):
    _, out, _ = ran(capsys, "span", folder / "d.h5ad", "--test", "A+B", "--quiet")
    assert "A+B = A + B − ctrl" in out


def test_identify_gives_the_fields_of_the_contract(folder, capsys):
    result = answer(capsys, "identify", folder / "m", folder / "d.h5ad")
    assert {"affine_r2", "orthogonal_r2", "singular_values", "gram_error", "rotation"} <= set(result)
    assert result["intervals"]["affine_r2"][0] <= result["affine_r2"] <= result["intervals"]["affine_r2"][1]


def test_evaluate_gives_the_rows_of_the_contract(folder, capsys):
    rows = answer(capsys, "evaluate", folder / "m", folder / "d.h5ad", "--baselines")["rows"]
    assert {row["estimator"] for row in rows} == {
        "pdae", "pool", "pseudobulk", "control", "additive", "linear", "tilting", "ceiling",
    }  # fmt: skip
    assert {row["metric"] for row in rows} == {"energy_distance", "n_eff", "mmd", "mean_difference", "mean_r2"}
    assert {row["condition"] for row in rows} == {"A+B", "A:3+B:3", "A+C"}
    few = answer(capsys, "evaluate", folder / "m", folder / "d.h5ad")["rows"]
    assert {row["estimator"] for row in few} == {"pdae", "ceiling"}


@pytest.mark.parametrize("suffix", [".h5ad", ".csv", ".parquet"])
def test_predict_writes_cells_of_the_condition(folder, capsys, tmp_path, suffix):
    out = tmp_path / f"p{suffix}"
    answer(capsys, "predict", folder / "m", "--condition", "A:0.5+B", "--samples", 7, "--out", out)
    if suffix == ".h5ad":
        data = PerturbationData.read(out)
        assert data.conditions == ("A:0.5+B",)
        x = data.x
    else:
        frame = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
        assert set(frame.condition) == {"A:0.5+B"}
        x = frame.drop(columns="condition").to_numpy()
    assert x.shape == (7, 10)


def test_predict_refuses_what_is_not_identified_unless_told_to(folder, capsys, tmp_path):
    out = tmp_path / "p.csv"
    status, _, err = ran(capsys, "predict", folder / "m", "--condition", "A+C", "--out", out)
    assert status == 2
    assert "not identified" in err
    assert "--allow-unidentified" in err
    assert not out.exists()
    assert answer(capsys, "predict", folder / "m", "--condition", "A+C", "--out", out, "--allow-unidentified")["cells"]


def test_seeds_decide_what_is_drawn(folder, capsys, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        answer(capsys, "predict", folder / "m", "--condition", "A", "--out", tmp_path / f"{name}.csv", "--seed", seed)
    a, b, c = ((tmp_path / f"{name}.csv").read_text() for name in "abc")
    assert a == b != c


def test_convert_and_its_transform(tmp_path, capsys):
    frame = pd.DataFrame({"condition": ["ctrl", "A", "B", "A+B"] * 3, "g1": np.arange(1.0, 13.0), "g2": 1.0})
    frame.to_csv(tmp_path / "t.csv", index=False)
    answer(capsys, "convert", tmp_path / "t.csv", "--out", tmp_path / "t.h5ad", "--test", "B+A", "--transform", "log")
    data = PerturbationData.read(tmp_path / "t.h5ad")
    assert data.test.conditions == ("A+B",)
    assert data.x[:, 0].max() == pytest.approx(np.log(12), rel=1e-6)


def test_doctor_names_versions_and_devices(capsys):
    found = answer(capsys, "doctor")
    assert "cpu" in found["devices"]
    assert found["packages"]["torch"]


def test_a_model_that_saw_the_held_out_condition_is_refused(folder, tmp_path, capsys):
    seen = PerturbationData.read(folder / "d.h5ad").select([0, 1, 2, 3])
    replace(seen, held_out=np.array([False, False, True, True])).write(tmp_path / "l.h5ad")
    status, _, err = ran(capsys, "evaluate", folder / "m", tmp_path / "l.h5ad")
    assert status == 2
    assert "was fitted on held-out condition 'B'" in err


def test_brackets_in_names_are_shown_as_they_are(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("condition,g\nctrl,1\ndrug [um],2\ngene[/i],3\nNone,4\n")
    status, out, _ = ran(capsys, "convert", tmp_path / "t.csv", "--out", tmp_path / "t.h5ad", "--quiet")
    assert status == 0
    assert all(name in out for name in ("drug [um]", "gene[/i]", "None"))


BAD = {
    "no such dataset": (["fit", "nowhere.h5ad", "--out", "m"], ["nowhere.h5ad", "no such file"]),
    "not a dataset": (["span", "{d}/t.txt"], ["t.txt", ".h5ad"]),
    "unknown world": (["simulate", "dmo", "--out", "{d}/x.h5ad"], ["dmo", "did you mean 'demo'"]),
    "unknown key": (
        ["simulate", "demo", "--out", "{d}/x.h5ad", "--set", "mixing.dpth=3"],
        ["mixing.dpth", "did you mean 'depth'"],
    ),
    "wrong type": (["simulate", "demo", "--out", "{d}/x.h5ad", "--set", "design.cells=many"], ["design.cells", "many"]),
    "no folder": (["simulate", "demo", "--out", "{d}/no/x.h5ad"], ["x.h5ad", "cannot write"]),
    "wrong suffix": (["simulate", "demo", "--out", "{d}/x.csv", *SMALL], ["x.csv", ".h5ad"]),
    "would overwrite": (["simulate", "demo", "--out", "{f}/d.h5ad"], ["d.h5ad", "--force"]),
    "unknown perturbation": (["span", "{f}/d.h5ad", "--test", "A+Z"], ["d.h5ad", "--test", "'Z'", "known: A, B, C"]),
    "malformed dose": (["span", "{f}/d.h5ad", "--test", "A:much"], ["--test", "malformed dose 'much'"]),
    "too many latents": (["fit", "{f}/d.h5ad", "--out", "{d}/m", "--latents", "11"], ["d.h5ad", "n_latents", "10"]),
    "no such device": (["fit", "{f}/d.h5ad", "--out", "{d}/m", "--device", "abacus"], ["--device", "abacus"]),
    "no such model": (["predict", "{d}/m", "--condition", "A", "--out", "{d}/p.csv"], ["config.json", "fit it again"]),
    "no samples": (["predict", "{f}/m", "--condition", "A", "--out", "{d}/p.csv", "--samples", "0"], ["--samples"]),
    "missing option": (["fit", "{f}/d.h5ad"], ["--out"]),
    "no such command": (["fits"], ["fits"]),
    "index column": (["convert", "{d}/i.csv", "--out", "{d}/x.h5ad"], ["i.csv", "row index"]),
    "model folder missing": (["fit", "{f}/d.h5ad", "--out", "{d}/no/m"], ["no/m", "cannot write"]),
    "dose beyond floats": (["span", "{f}/d.h5ad", "--test", "A:1e400"], ["1e400", "range of floats"]),
    "existing model": (["fit", "{f}/d.h5ad", "--out", "{f}/m"], ["/m", "--force"]),
    "demo over a demo": (["demo", "--out", "{f}/d.h5ad"], ["d.h5ad", "folder"]),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_one_line_with_status_two_and_leaves_nothing(folder, capsys, tmp_path, case):
    (tmp_path / "t.txt").write_text("condition\nctrl\n")
    (tmp_path / "i.csv").write_text(",condition,g\n0,ctrl,1\n1,A,2\n")
    arguments, words = BAD[case]
    before = sorted(p.name for p in [*tmp_path.iterdir(), *folder.iterdir()])
    status, out, err = ran(capsys, *(a.format(d=tmp_path, f=folder) for a in arguments))
    assert status == 2
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert all(word in err for word in words), err
    assert sorted(p.name for p in [*tmp_path.iterdir(), *folder.iterdir()]) == before


def test_convert_lists_all_problems_at_once(tmp_path, capsys):
    (tmp_path / "t.csv").write_text("condition,g1,g2\nctrl,1,x\nA:b,2,\n,3,4\n")
    status, _, err = ran(capsys, "convert", tmp_path / "t.csv", "--out", tmp_path / "t.h5ad")
    assert status == 2
    assert err.count("\n") == 1
    for words in ("'condition': 1 rows empty", "malformed dose 'b'", "'g2': 1 rows not numeric", "'g2': 1 rows empty"):
        assert words in err


def test_identify_needs_simulated_data(folder, tmp_path, capsys):
    PerturbationData.read(folder / "d.h5ad").write(tmp_path / "real.h5ad")
    status, _, err = ran(capsys, "identify", folder / "m", tmp_path / "real.h5ad")
    assert status == 2
    assert "simulated files only" in err


def shell(*arguments, **options) -> subprocess.Popen:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-m", "pdae_sim", *map(str, arguments)], env=environment, **options)


def _heed_interrupts() -> None:
    """What a shell's background jobs ignore, and their children after them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_fit_leaves_no_model_and_goes_on(folder, tmp_path, how):
    out = tmp_path / "m"
    arguments = ("fit", folder / "d.h5ad", "--out", out, "--latents", "2", "--steps", "400", "--quiet", "--json")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": "."}
    patched = (
        "import pdae_sim.estimation._checkpoint as p; p.CHECKPOINT_SECONDS = 0.2; "
        "from pdae_sim.cli import main; import sys; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", patched, *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, env=environment, preexec_fn=_heed_interrupts, **streams)
    deadline = time.monotonic() + 60
    while not (tmp_path / ".m.checkpoint").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(how)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL), err
    assert not out.exists()
    assert (tmp_path / ".m.checkpoint").exists()
    again = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=True)
    assert json.loads(again.stdout)["latents"] == 2
    assert how == signal.SIGKILL or err.startswith(b"error: interrupted")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]


def test_python_m_pdae_sim_is_the_same_command():
    process = shell("doctor", "--json", stdout=subprocess.PIPE)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["pdae_sim"]


def test_a_small_demo_writes_everything_and_is_deterministic(tmp_path, capsys):
    for name in ("one", "two"):
        arguments = ("demo", "--out", tmp_path / name, "--steps", 30, "--cells", 150)
        assert set(answer(capsys, *arguments)["verdicts"].values()) >= {"not identified"}
    one, two = (pd.read_parquet(tmp_path / name / "results.parquet") for name in ("one", "two"))
    pd.testing.assert_frame_equal(one, two)
    assert {"study", "task_id", "scenario", "estimator", "seed", "condition", "verdict", "metric", "value"} <= set(one)
    page = (tmp_path / "one" / "report.html").read_text()
    assert page == (tmp_path / "two" / "report.html").read_text()
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == [
        "data.h5ad",
        "model",
        "report.html",
        "results.parquet",
    ]
    assert ran(capsys, "demo", "--out", tmp_path / "one", "--quiet")[0] == 2


@pytest.mark.slow
def test_the_demo_meets_its_figures(tmp_path, capsys):
    result = answer(capsys, "demo", "--out", tmp_path / "d")
    distance = {
        r["estimator"]: r["value"]
        for r in result["rows"]
        if (r["condition"], r["metric"]) == ("A+B", "energy_distance")
    }
    rivals = [v for name, v in distance.items() if name not in ("pdae", "tilting", "ceiling")]
    assert min(rivals) > 50 * distance["pdae"]
    assert result["identification"]["orthogonal_r2"] > 0.98
    assert list(result["verdicts"].values()) == [
        "identified and supported",
        "identified, off support",
        "not identified",
    ]
