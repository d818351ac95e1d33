"""`python -m theory`: what it prints, where, and with which exit status."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from theory import __main__ as command_line
from theory import claims
from theory.claims import select
from theory.identifiability import converse

ROOT = Path(__file__).parents[2]


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "theory", *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("names", [["3.2", "energy_worth"], pytest.param([], marks=pytest.mark.slow)])
def test_check_runs_claims_from_the_repository_root(names):
    result = run("check", *names, "--json")
    assert result.returncode == 0
    assert result.stderr == ""
    rows = json.loads(result.stdout)["claims"]
    assert [row["number"] for row in rows] == [claim.number for claim in select(names)]
    assert all(
        row.keys() == {"name", "number", "source", "proof", "check", "counterexamples", "failed"} for row in rows
    )
    assert all(row["proof"] is row["check"] is row["counterexamples"] is True and row["failed"] == [] for row in rows)


def test_an_unknown_name_is_one_line_and_status_two(capsys):
    assert command_line.main(["check", "convers"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["theory check: unknown claim 'convers'; did you mean converse or contexts?"]


def test_list_is_a_table(capsys):
    assert command_line.main(["list"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["name", "number", "statement", "source"]
    assert len(rows) == len(claims.CLAIMS)
    assert all(claim.statement in row for claim, row in zip(claims.CLAIMS, rows, strict=True))


def test_list_as_json(capsys):
    assert command_line.main(["list", "2.6", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["claims"]
    assert row["name"] == "converse"


def test_check_of_one_claim_in_words(capsys):
    assert command_line.main(["check", "converse"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("2.6")
    assert "pass" in line


@pytest.fixture
def broken(monkeypatch):
    """The converse with the sign of one step altered, in the place of all claims."""
    proof = tuple(item.negated() if item.name == "test_label" else item for item in converse.CLAIM.proof)
    monkeypatch.setattr(claims, "CLAIMS", (replace(converse.CLAIM, proof=proof),))


@pytest.mark.usefixtures("broken")
def test_a_failure_is_status_one_and_names_the_steps(capsys):
    assert command_line.main(["check"]) == 1
    head, *failures = capsys.readouterr().out.splitlines()
    assert "FAIL" in head
    assert [line.split(":")[0].strip() for line in failures] == ["step test_label", "step law_moves"]
    assert "residual" in failures[0]


@pytest.mark.usefixtures("broken")
def test_a_failure_as_json(capsys):
    assert command_line.main(["check", "--json"]) == 1
    (row,) = json.loads(capsys.readouterr().out)["claims"]
    assert (row["proof"], row["check"], row["counterexamples"]) == (False, True, True)
    assert row["failed"][0].startswith("step test_label: residual")


@pytest.mark.parametrize("arguments", [[], ["chek"], ["check", "--verbose"]])
def test_bad_usage_is_one_line_and_status_two(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        command_line.main(arguments)
    assert exit_.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_name_like_none_lists_them_all(capsys):
    assert command_line.main(["check", "zzz"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(claim.name in line for claim in claims.CLAIMS)
