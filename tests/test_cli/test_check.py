"""`check`: laws held and broken, exit statuses, a module in the working folder."""

from __future__ import annotations

import json

import pytest

from tests.test_cli.calls import ran, refusal

OWN = """
from pdae_sim.estimation import Linear

class Mine(Linear):
    def sample(self, label, n, *, rng=None):
        return super().sample(label, n, rng=0)

class Raises:
    def __init__(self):
        raise RuntimeError("not made")
"""


@pytest.fixture
def _own_module(tmp_path, monkeypatch):
    (tmp_path / "an_estimator_of_mine.py").write_text(OWN)
    (tmp_path / "not_python_at_all.py").write_text("def f(:")
    (tmp_path / "raises_at_import.py").write_text("raise RuntimeError('not today')")
    monkeypatch.chdir(tmp_path)


def test_an_estimator_that_keeps_the_laws_has_status_zero(capsys):
    status, out, _ = ran(capsys, "check", "pdae_sim.estimation:Linear", "--world", "linear", "--json")
    told = json.loads(out)
    assert status == 0
    assert told["broken"] == []
    assert {each["law"]: each["status"] for each in told["laws"]}["refit"] == "held"


@pytest.mark.usefixtures("_own_module")
def test_a_broken_law_has_status_one_and_is_said_in_words(capsys):
    command = ("check", "an_estimator_of_mine:Mine", "--law", "rng", "--law", "shape")
    status, out, _ = ran(capsys, *command)
    assert status == 1
    assert "two calls with one generator give the same cells" in " ".join(out.split())
    assert "rng is broken: The same seed gives the same cells" in out
    status, out, _ = ran(capsys, *command, "--except", "rng", "--json")
    assert status == 0
    assert [each["status"] for each in json.loads(out)["laws"]] == ["held", "excepted"]


@pytest.mark.usefixtures("_own_module")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere:Mine"], ["'nowhere:Mine' cannot be imported", "module:name"]),
        (["not_python_at_all:Mine"], ["cannot be imported"]),
        (["an_estimator_of_mine:Yours"], ["cannot be imported"]),
        (["an_estimator_of_mine"], ["cannot be imported"]),
        (["an_estimator_of_mine:OWN"], ["cannot be imported"]),
        (["raises_at_import:Mine"], ["cannot be imported (the module raised RuntimeError: not today)"]),
        (["an_estimator_of_mine:Raises"], ["estimator cannot be made: it raised RuntimeError: not made"]),
        (["pdae_sim.labels:Condition"], ["estimator must have fit(data) and sample"]),
        (["pdae_sim.estimation:Linear", "--world", "flat"], ["--world", "linear, curved"]),
        (["pdae_sim.estimation:Linear", "--law", "shap"], ["--law", "shape"]),
    ],
)
def test_what_cannot_be_tried_is_bad_input(capsys, arguments, words):
    err = refusal(capsys, "check", *arguments)
    assert all(word in err for word in words), err
