"""`fit` and `predict`: models made, interrupted, gone on with, and used."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from pdae_sim.cli._commands.model import _OBSERVATIONS, _PLANS, _PRECISIONS, _diverged, _raw_values
from pdae_sim.data import PerturbationData
from pdae_sim.estimation import OBSERVATION_MODELS, PRESETS
from pdae_sim.estimation._networks import PRECISIONS
from tests.test_cli.calls import answer, ran, refusal


def test_the_plans_of_the_help_are_those_that_train_a_decoder():
    trained = {name for name, preset in PRESETS.items() if any("decoder" in phase.learns for phase in preset.phases)}
    assert set(_PLANS) == {"auto", *trained}
    assert _PRECISIONS == PRECISIONS


def test_the_observation_models_of_the_help_are_those_there_are():
    assert set(_OBSERVATIONS) == {"auto", *OBSERVATION_MODELS}


@pytest.mark.parametrize("law", ["noiseless", "gaussian_growing"])
def test_fit_takes_an_observation_model_and_says_which(folder, capsys, tmp_path, law):
    fit = ("fit", folder / "d.h5ad", "--out", tmp_path / "m", "--latents", 2, "--steps", 2, "--observation", law)
    told = answer(capsys, *fit)["observation"]
    assert (told["name"], told["sure"], told["reason"]) == (law, True, "given")
    assert f"observation {law}, " in ran(capsys, *fit, "--force", "--quiet")[1]
    answer(capsys, "predict", tmp_path / "m", "--condition", "A", "--samples", 7, "--out", tmp_path / "p.csv")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--observation", "poison"), "--observation must be one of"),
        (("--observation", "poisson"), "needs counts"),
        (("--observation", "gaussian", "--plan", "staged"), "give phases with marginal_likelihood"),
    ],
)
def test_fit_refuses_an_observation_model_that_cannot_be(folder, capsys, tmp_path, arguments, words):
    assert words in refusal(
        capsys, "fit", folder / "d.h5ad", "--out", tmp_path / "m", "--latents", 2, "--quiet", *arguments
    )
    assert not list(tmp_path.iterdir())


def test_a_loss_that_explodes_is_told():
    rows = lambda *values: [{"phase": "marginal", "step": k, "held_out": v} for k, v in enumerate(values)]  # noqa: E731
    (told,) = _diverged([{"phase": "chart", "step": 0}, *rows(6.0, 5.5, 140.0)])
    assert "marginal: the loss on cells kept out rose from 6 to 140" in told
    assert _diverged(rows(6.0, 2.0, 2.5)) == _diverged(rows(0.69, 0.68, 0.9)) == _diverged(rows()) == []


@pytest.mark.parametrize(
    ("name", "values", "told"),
    [
        ("gaussian", [0.0, 900.0], True),
        ("gaussian", [0.0, 9.0], False),
        ("gaussian", [-1.0, 900.0], False),
        ("log_normal", [1.0, 900.0], False),
        ("noiseless", [0.0, 1234.5], True),
    ],
)
def test_values_that_look_raw_are_told_of(name, values, told):
    data = PerturbationData.from_arrays(np.array(values)[:, None], ["ctrl", "A"])
    model = SimpleNamespace(observation_=SimpleNamespace(name=name))
    said = _raw_values(model, data)
    assert bool(said) == told
    assert all("give their logarithms" in line for line in said)


@pytest.mark.parametrize("suffix", [".h5ad", ".csv", ".parquet"])
def test_predict_writes_cells_of_the_condition(folder, capsys, tmp_path, suffix):
    out = tmp_path / f"p{suffix}"
    answer(capsys, "predict", folder / "m", "--condition", "A:0.5+B", "--samples", 7, "--out", out)
    _, text, _ = ran(capsys, "predict", folder / "m", "--condition", "A:0.5+B", "--samples", 7, "--out", out, "--force")
    assert "dose 0.5 of A was not measured (measured: 1); effects are taken as straight in dose" in text
    if suffix == ".h5ad":
        data = PerturbationData.read(out)
        assert data.conditions == ("A:0.5+B",)
        assert data.held_out.all()
        x = data.x
    else:
        frame = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
        assert set(frame.condition) == {"A:0.5+B"}
        assert set(frame.split) == {"predicted"}
        x = frame.drop(columns=["condition", "split"]).to_numpy()
    assert x.shape == (7, 10)


def test_predict_refuses_what_is_not_identified_unless_told_to(folder, capsys, tmp_path):
    out = tmp_path / "p.csv"
    arguments = ("predict", folder / "m", "--condition", "A+C", "--out", out)
    err = refusal(capsys, *arguments)
    assert "not identified" in err
    assert "--allow-unidentified" in err
    assert not out.exists()
    assert answer(capsys, *arguments, "--allow-unidentified")["cells"]


def test_seeds_decide_what_is_drawn(folder, capsys, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        answer(capsys, "predict", folder / "m", "--condition", "A", "--out", tmp_path / f"{name}.csv", "--seed", seed)
    a, b, c = ((tmp_path / f"{name}.csv").read_text() for name in "abc")
    assert a == b != c


def test_an_interrupted_fit_leaves_no_model_and_goes_on(folder, tmp_path, capsys, monkeypatch):
    """Ctrl-C at the first step after a checkpoint."""
    monkeypatch.setattr("pdae_sim.estimation._checkpoint.CHECKPOINT_SECONDS", 0.0)
    checkpoint = tmp_path / ".m.checkpoint"

    def step(_):
        if checkpoint.exists():
            raise KeyboardInterrupt

    fit = ("fit", folder / "d.h5ad", "--out", tmp_path / "m", "--latents", "2", "--steps", "5", "--quiet", "--json")
    with monkeypatch.context() as patch:
        patch.setattr("pdae_sim.cli._output.Output.fitting", _calls(step))
        status, _, err = ran(capsys, *fit)
    assert status == 130
    assert err.startswith("error: interrupted")
    assert [path.name for path in tmp_path.iterdir()] == [".m.checkpoint"]
    assert answer(capsys, *fit)["latents"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def _calls(step):
    from contextlib import nullcontext

    return lambda self, phases: nullcontext(step)


def test_a_killed_fit_leaves_no_model_and_goes_on(folder, tmp_path, capsys):
    """The process waits at the first step after its checkpoint, to be killed there."""
    checkpoint = tmp_path / ".m.checkpoint"
    fit = ("fit", folder / "d.h5ad", "--out", tmp_path / "m", "--latents", "2", "--steps", "5", "--quiet", "--json")
    line = f"""
import contextlib, pathlib, time
import pdae_sim.cli._output as output, pdae_sim.estimation._checkpoint as checkpoints
from pdae_sim.cli import main
def step(_):
    if pathlib.Path({str(checkpoint)!r}).exists():
        time.sleep(60)
checkpoints.CHECKPOINT_SECONDS = 0.0
output.Output.fitting = lambda self, phases: contextlib.nullcontext(step)
main({[str(word) for word in fit]!r})
"""
    with subprocess.Popen([sys.executable, "-c", line], env={**os.environ, "OMP_NUM_THREADS": "1"}) as process:
        while not checkpoint.exists() and process.poll() is None:
            time.sleep(0.02)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "m").exists()
    assert answer(capsys, *fit)["latents"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["m"]
