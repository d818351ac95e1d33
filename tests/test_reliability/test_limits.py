"""What is read from a file has a limit, told in a line and at once."""

from __future__ import annotations

import time

import pytest

from pdae_sim._files import read_toml
from pdae_sim.cli._app import run
from pdae_sim.errors import InputError
from pdae_sim.labels import LabelSpace
from pdae_sim.study.declaration import Declaration
from tests.test_reliability.calls import calls

STUDY = {"name": "n", "question": "?", "claim": "none", "prediction": ".", "worlds": [{"base": "three-singles"}]}


def refused_at_once(call, match):
    start = time.process_time()
    with pytest.raises(InputError, match=match) as caught:
        call()
    assert time.process_time() - start < 1.0
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dose", ["1e10000000", "1e-10000000", "1E0099999", "0." + "1" * 999, "1e400", "1e-400"])
def test_a_dose_beyond_floats(dose):
    refused_at_once(lambda: LabelSpace(("A",)).vector(f"A:{dose}"), "range of floats")


@pytest.mark.parametrize("dose", ["0." + "1" * 998, "1e300", "1e-0300", "0.1", "1/3", "1_0e1"])
def test_a_dose_within_floats(dose):
    assert LabelSpace(("A",)).vector(f"A:{dose}").item() != 0


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = " + "9" * 10_000, "not valid TOML"),
        ("#" * 2**23, "more than 4 MiB"),
        ("[[a]]\nb = 1\n[a]", "not valid TOML"),
    ],
)
def test_toml(tmp_path, text, match):
    (tmp_path / "t.toml").write_text(text)
    refused_at_once(lambda: read_toml(tmp_path / "t.toml"), match)


def test_toml_of_as_many_bytes_as_are_read(tmp_path):
    (tmp_path / "t.toml").write_text("#" * 2**22)
    assert read_toml(tmp_path / "t.toml") == {}
    (tmp_path / "t.toml").write_text("#" * (2**22 + 1))
    refused_at_once(lambda: read_toml(tmp_path / "t.toml"), "more than 4 MiB")


REPEATED = ("n_permutations", "n_multipliers", "n_resamples", "n_draws", "n_bandwidths", "draws")


@pytest.mark.parametrize(
    ("name", "argument"),
    [(name, each) for name, call in calls().items() for each in call.arguments if each in REPEATED],
)
def test_resamples_that_would_not_end(name, argument):
    refused_at_once(lambda: calls()[name](**{argument: 2**70}), f"{argument} must be")


def test_seeds():
    refused_at_once(lambda: Declaration.parse({**STUDY, "estimators": ["pool"], "seeds": 10**9}), "seeds: 1000000000")


@pytest.mark.parametrize("kind", ["os:system", "builtins:print", "fractions:Fraction"])
def test_an_estimator_of_ones_own_is_a_class_with_fit_and_sample(kind):
    refused_at_once(Declaration.parse({**STUDY, "estimators": [kind]}).study, "no class with fit")


@pytest.mark.parametrize("kind", ["a:b:c", ":Class", "module:", "a b:C", "../a:C", "a..b:C"])
def test_a_class_that_has_no_name_to_import_is_refused_before_anything_is_imported(kind):
    refused_at_once(lambda: Declaration.parse({**STUDY, "estimators": [kind]}), "write module:Class")


CODE = """
open('imported', 'w').close()
class Own:
    def fit(self, data): ...
    def sample(self, label, n, *, rng): ...
"""


def test_plan_imports_nothing_that_a_declaration_names_unless_it_is_trusted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "code_of_a_stranger.py").write_text(CODE)
    (tmp_path / "s.toml").write_text(
        'name = "s"\nquestion = "?"\nclaim = "none"\nprediction = "."\nseeds = 2\nworlds = [{base = "three-singles"}]\n'
        'estimators = ["code_of_a_stranger:Own"]\n'
    )
    assert run(["study", "plan", "s.toml"]) == 0
    said = capsys.readouterr().out
    assert "2 tasks" in said
    assert "code_of_a_stranger:Own is code" in said
    assert "--trust" in said
    assert run(["study", "list", "."]) == 0
    assert not (tmp_path / "imported").exists()
    assert run(["study", "plan", "s.toml", "--trust"]) == 0
    assert (tmp_path / "imported").exists()
    assert "--trust" not in capsys.readouterr().out
