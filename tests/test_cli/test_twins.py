"""`twins`: two models of one data set, drawn and judged, as a command."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pdae_sim.cli._app import run
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.estimation.pdae import PDAE
from tests.counterexamples import TEST, TRAIN, a_world


def ran(capsys, *arguments):
    capsys.readouterr()
    status = run([str(a) for a in arguments])
    return status, *capsys.readouterr()


class TestCommand:
    def test_a_simulated_file_is_answered_with_two_of_its_kind(self, file, tmp_path, capsys):
        out = tmp_path / "o"
        how = ["--effect", "1.5", "--cells", "300", "--margin", "0.1", "--seed", "1", "--json"]
        arguments = ("twins", file, "--test", TEST, "--out", out, *how)
        status, said, log = ran(capsys, *arguments)
        payload = json.loads(said)
        assert (status, payload["holds"], payload["witness"]) == (0, True, {"C": 1.0})
        assert set(payload["files"]) == {"first", "second", "twins"}
        assert "comparing 300 cells" in log
        first, second = (Simulation.read(out / f"{name}.h5ad") for name in ("first", "second"))
        assert first.data.conditions == (*TRAIN, TEST)
        assert first.data.held_out.tolist() == [False] * 3 + [True]
        assert np.allclose(first.data.train.x, second.data.train.x)
        W, W_second = (s.truth.perturbation_matrix for s in (first, second))
        assert np.allclose(W_second - W, np.outer(payload["move"], [0, 0, 1]))
        assert (out / "twins.png").read_bytes()[:4] == b"\x89PNG"
        status, _, error = ran(capsys, *arguments)
        assert status == 2
        assert "already exists" in error

    def test_a_fitted_model_is_answered_with_a_second_one(self, file, tmp_path, capsys):
        model, out = tmp_path / "m", tmp_path / "o"
        fit = ("fit", file, "--out", model, "--latents", "2", "--steps", "10", "--quiet", "--json")
        assert ran(capsys, *fit)[0] == 0
        arguments = ("twins", file, "--model", model, "--test", TEST, "--cells", "60", "--out", out, "--json")
        status, said, _ = ran(capsys, *arguments, "--quiet")
        payload = json.loads(said)
        assert status == (0 if payload["holds"] else 1)
        first, second = PDAE.load(model), PDAE.load(payload["files"]["model"])
        moved = second.perturbation_matrix_ - first.perturbation_matrix_
        assert np.allclose(moved, np.outer(payload["move"], [0, 0, 1]))
        samples = [PerturbationData.read(out / f"{name}.h5ad") for name in ("first", "second")]
        assert np.allclose(*(s.train.x for s in samples), atol=1e-3)
        assert not np.allclose(*(s.test.x for s in samples), atol=1e-2)

    def test_a_check_that_fails_has_status_one(self, file, capsys):
        status, said, _ = ran(capsys, "twins", file, "--test", TEST, "--effect", "0.001", "--cells", "50", "--quiet")
        assert status == 1
        assert "ask for a larger effect" in said

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--test", "A+B"), "'A+B' is identified, A+B = A + B − ctrl"),
            (("--test", "A+Q"), "unknown perturbation 'Q'"),
            (("--test", TEST, "--effect", "-1"), "effect must lie strictly between"),
        ],
    )
    def test_what_has_no_twin_is_refused_in_one_line(self, file, tmp_path, arguments, message, capsys):
        status, said, error = ran(capsys, "twins", file, *arguments, "--out", tmp_path / "o")
        assert (status, said) == (2, "")
        assert message in error
        assert error.count("\n") == 1
        assert not (tmp_path / "o").exists()

    def test_without_truth_a_model_is_asked_for(self, file, tmp_path, capsys):
        PerturbationData.read(file).write(tmp_path / "d.h5ad")
        status, _, error = ran(capsys, "twins", tmp_path / "d.h5ad", "--test", TEST)
        assert status == 2
        assert "--model" in error


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A simulated file with A+B and A+C held out."""
    path = tmp_path_factory.mktemp("twins") / "d.h5ad"
    held_out = [False] * 3 + [True] * 2
    a_world().sample([*TRAIN, "A+B", TEST], 80, rng=0, held_out=held_out).write(path)
    return path
