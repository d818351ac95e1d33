"""The README of the witness is the records', and what the index refers to exists."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from theory import __main__ as command_line
from theory.claims import CLAIMS
from theory.identifiability import converse
from theory.symbols import NOTATION
from theory.typesetting.index import INDEX, Places
from theory.typesetting.readme import module_of, readme

ROOT = Path(__file__).parents[2]
DECLARED = re.compile(r"""^\s*"?claim"?\s*[=:]\s*"([\d., and]+)",?$""", re.MULTILINE)
NAMED = {claim.number: claim.name for claim in CLAIMS}


def missing(entries):
    """The paths that do not exist."""
    return [path for entry in entries for path in (*entry.tests, *entry.shown) if not (ROOT / path).is_file()]


def declared():
    """(number, file) for each claim that a study, a declaration or a benchmark says it bears on."""
    for path in sorted((ROOT / "experiments").glob("[sdb]*/*.*")):
        for line in DECLARED.findall(path.read_text(encoding="utf-8") if path.suffix in (".py", ".toml") else ""):
            yield from ((number, str(path.relative_to(ROOT))) for number in re.findall(r"\d+\.\d+", line))


def test_every_claim_has_an_entry_and_every_entry_a_claim():
    assert list(INDEX) == [claim.name for claim in CLAIMS]


def test_a_claim_without_an_entry_is_refused():
    with pytest.raises(KeyError):
        readme([replace(converse.CLAIM, name="new")])


def test_every_path_exists():
    assert not missing(INDEX.values())
    assert all(entry.tests for entry in INDEX.values())
    assert all(path.startswith("tests/") for entry in INDEX.values() for path in entry.tests)
    assert all(path.startswith("experiments/") for entry in INDEX.values() for path in entry.shown)
    assert all((ROOT / module_of(claim)).is_file() for claim in CLAIMS)


def test_a_path_that_does_not_exist_is_refused():
    assert missing([Places("energy analysis/no", declarations="no")]) == [
        "tests/test_analysis/test_no.py",
        "experiments/declarations/no.toml",
    ]


def test_what_an_experiment_says_it_bears_on_is_in_the_index():
    result = set(declared())
    assert ("2.6", "experiments/studies/extrapolation.py") in result
    assert ("2.10", "experiments/declarations/design.toml") in result
    assert ("2.4", "experiments/benchmarks/rivals.py") in result
    assert all(path in INDEX[NAMED[number]].shown for number, path in result)


def test_the_readme_is_up_to_date():
    """If not: `python -m theory readme`."""
    assert (ROOT / "theory/README.md").read_text(encoding="utf-8") == readme(CLAIMS)


def test_the_command_writes_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(command_line, "README", tmp_path / "README.md")
    assert command_line.main(["readme"]) == 0
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == readme(CLAIMS)
    assert capsys.readouterr().out.strip() == str(tmp_path / "README.md")


def test_the_readme_holds_every_claim_and_assumption():
    text = readme(CLAIMS)
    assert all(f"| {claim.number} | `{claim.name}` |" in text for claim in CLAIMS)
    assert all(f"| {a.name.replace('_', ' ')} |" in text for claim in CLAIMS for a in claim.assumptions)


def test_notation_comes_first():
    first, second = readme(CLAIMS).split("\n## ")[1:3]
    assert first.startswith("Notation\n")
    assert second.startswith("What is claimed\n")
    assert all(f"| {symbol} | {shape} | " in first for symbol, shape, _ in NOTATION if "|" not in symbol)


def test_every_row_of_a_table_has_as_many_cells_as_its_head():
    for table in readme(CLAIMS).split("\n## ")[1:]:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines() if line.startswith("|")}
        assert len(widths) <= 1


def test_links_of_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)]+)\)", readme(CLAIMS))
    assert len(links) > 3 * len(CLAIMS)
    assert all((ROOT / "theory" / link).is_file() for link in links)
