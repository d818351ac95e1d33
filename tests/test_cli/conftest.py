"""One dataset and one fitted model for all commands; judgements of few cells."""

import pytest

from pdae_sim.cli._app import run
from tests.test_cli.calls import write_table


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A simulated dataset ``d.h5ad`` with its truth, and a model ``m`` that has hardly been fitted."""
    path = tmp_path_factory.mktemp("cli")
    size = ["--set", "design.cells=400", "--set", "design.test_cells=80"]
    assert run(["simulate", "demo", "--out", str(path / "d.h5ad"), *size, "--quiet", "--json"]) == 0
    fit = ["fit", str(path / "d.h5ad"), "--out", str(path / "m"), "--latents", "2", "--steps", "5"]
    assert run([*fit, "--quiet", "--json"]) == 0
    return path


@pytest.fixture(scope="session")
def singles(tmp_path_factory):
    """Control and one single, without truth."""
    return write_table(tmp_path_factory.mktemp("singles") / "singles.h5ad", 0.0, labels=((0, 0), (1, 0)))


@pytest.fixture(autouse=True)
def _few_cells(monkeypatch):
    """Commands draw a fraction of the cells that a judgement deserves: none of these tests looks at its size."""
    monkeypatch.setattr("pdae_sim.study.evaluation._LEAST_SAMPLES", 200)
    monkeypatch.setattr("pdae_sim.cli._commands.evaluate._FRESH", 100)
    monkeypatch.setattr("pdae_sim.estimation._composing._CELLS", 100)
