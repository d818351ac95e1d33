"""Exit statuses, and bad input in one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.test_cli.calls import ran, refusal

BAD = {
    "a file for a model": (
        ["predict", "{f}/d.h5ad", "--condition", "A", "--out", "{d}/p.h5ad"],
        ["d.h5ad: a file, where a model directory is expected"],
    ),
    "no such dataset": (["fit", "nowhere.h5ad", "--out", "m"], ["nowhere.h5ad", "no such file"]),
    "not a dataset": (["span", "{d}/t.txt"], ["t.txt", ".h5ad"]),
    "unknown world": (["simulate", "dmo", "--out", "{d}/x.h5ad"], ["dmo", "did you mean 'demo'"]),
    "unknown key": (
        ["simulate", "demo", "--out", "{d}/x.h5ad", "--set", "mixing.dpth=3"],
        ["mixing.dpth", "did you mean 'depth'"],
    ),
    "wrong type": (["simulate", "demo", "--out", "{d}/x.h5ad", "--set", "design.cells=many"], ["design.cells", "many"]),
    "no folder": (["simulate", "demo", "--out", "{d}/no/x.h5ad"], ["x.h5ad", "cannot write"]),
    "wrong suffix": (["simulate", "demo", "--out", "{d}/x.csv"], ["x.csv", ".h5ad"]),
    "would overwrite": (["simulate", "demo", "--out", "{f}/d.h5ad"], ["d.h5ad", "--force"]),
    "unknown perturbation": (["span", "{f}/d.h5ad", "--test", "A+Z"], ["d.h5ad", "--test", "'Z'", "known: A, B, C"]),
    "malformed dose": (["span", "{f}/d.h5ad", "--test", "A:much"], ["--test", "malformed dose 'much'"]),
    "dose beyond floats": (["span", "{f}/d.h5ad", "--test", "A:1e400"], ["1e400", "range of floats"]),
    "too many latents": (["fit", "{f}/d.h5ad", "--out", "{d}/m", "--latents", "11"], ["d.h5ad", "n_latents", "10"]),
    "no such device": (["fit", "{f}/d.h5ad", "--out", "{d}/m", "--device", "abacus"], ["--device", "abacus"]),
    "no such plan": (["fit", "{f}/d.h5ad", "--out", "{d}/m", "--plan", "represent"], ["--plan", "staged"]),
    "no such precision": (["fit", "{f}/d.h5ad", "--out", "{d}/m", "--precision", "f8"], ["--precision", "bfloat16"]),
    "no such model": (["predict", "{d}/m", "--condition", "A", "--out", "{d}/p.csv"], ["no such dir", "fit it again"]),
    "no samples": (["predict", "{f}/m", "--condition", "A", "--out", "{d}/p.csv", "--samples", "0"], ["--samples"]),
    "cells in text": (["predict", "{f}/m", "--condition", "A", "--out", "{d}/p.txt"], ["p.txt", ".parquet"]),
    "missing option": (["fit", "{f}/d.h5ad"], ["--out"]),
    "no such command": (["fits"], ["fits"]),
    "no control": (["convert", "{d}/i.csv", "--out", "{d}/x.h5ad"], ["i.csv", "--control 'DMSO'", "--no-control"]),
    "no such column": (["span", "{f}/d.h5ad", "--condition-key", "drug"], ["d.h5ad", "name it with --condition-key"]),
    "two controls": (["span", "{f}/d.h5ad", "--no-control", "--control", "A"], ["--control and --no-control"]),
    "no such layer": (["fit", "{f}/d.h5ad", "--layer", "raw", "--out", "{d}/m"], ["no layer 'raw'", "with --layer"]),
    "model folder missing": (["fit", "{f}/d.h5ad", "--out", "{d}/no/m"], ["no/m", "cannot write"]),
    "existing model": (["fit", "{f}/d.h5ad", "--out", "{f}/m"], ["/m", "--force"]),
    "demo over a demo": (["demo", "--out", "{f}/d.h5ad"], ["d.h5ad", "folder"]),
}  # fmt: skip


@pytest.mark.parametrize("case", list(BAD))
def test_bad_input_is_one_line_with_status_two_and_leaves_nothing(folder, capsys, tmp_path, case):
    (tmp_path / "t.txt").write_text("condition\nctrl\n")
    (tmp_path / "i.csv").write_text(",condition,g\n0,DMSO,1\n1,A,2\n")
    arguments, words = BAD[case]
    before = sorted(p.name for p in [*tmp_path.iterdir(), *folder.iterdir()])
    err = refusal(capsys, *(a.format(d=tmp_path, f=folder) for a in arguments))
    assert all(word in err for word in words), err
    assert sorted(p.name for p in [*tmp_path.iterdir(), *folder.iterdir()]) == before


def test_help_names_every_command_on_a_line_of_its_own(capsys):
    status, out, _ = ran(capsys, "--help")
    lines = out.split("Commands:\n")[1].splitlines()
    assert status == 0
    assert len(lines) >= 14
    assert not [line for line in lines if line.rstrip().endswith("...")]


def test_an_interrupt_has_a_status_of_its_own(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("pdae_sim.cli._commands.doctor._installed", interrupted)
    status, _, err = ran(capsys, "doctor")
    assert status == 130
    assert err.startswith("error: interrupted")


def test_python_m_pdae_sim_is_the_same_command():
    command = [sys.executable, "-m", "pdae_sim", "worlds", "--json"]
    done = subprocess.run(command, env=os.environ, capture_output=True, check=True)
    assert json.loads(done.stdout)["worlds"]
