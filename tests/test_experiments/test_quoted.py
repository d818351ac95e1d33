"""Figures that documents quote are those of the stored results."""

from __future__ import annotations

import re

import pytest

from experiments.quoted import DOCUMENTS, QUOTATIONS, RESULTS, ROOT, block, quoted_names, rewritten

README, DETAILS = (path.read_text(encoding="utf-8") for path in DOCUMENTS)

NOT_STORED = {
    "| latents | median | quartiles": "`python -m experiments.benchmarks.counts`",
    "| what | against | here | rival": "a command a row: seconds of one machine",
    "| what | worlds | found": "a command a row",
}
"""Tables of figures whose numbers are in no file yet, by how they begin, and what prints them; this list may shrink."""

ON_PAGES = "| study | question | outcome |"
"""The table of studies, whose figures are held to their pages below."""


def numbers(text: str) -> set[str]:
    return set(re.findall(r"\d(?:[\d.,]*\d)?", text))


@pytest.mark.parametrize("text", [README, DETAILS], ids=["README", "results"])
def test_what_is_quoted_is_what_is_stored(text):
    assert rewritten(text) == text, "run `make results`"


@pytest.mark.parametrize("name", QUOTATIONS)
def test_a_quotation_names_its_file_and_command_and_a_wrong_figure_is_noticed(name):
    text = block(name)
    quotation = QUOTATIONS[name]
    assert f"from {quotation.source}, {quotation.command} -->" in text.splitlines()[0]
    assert (RESULTS / quotation.source).is_file()
    figure = re.search(r"0\.\d+|(?<=\| )\d+(?= \|)", text)
    wrong = text[: figure.start()] + "0.5" + text[figure.end() :]
    assert rewritten(wrong) == text != wrong


def test_an_empty_quotation_is_filled_and_the_next_one_stays():
    opening = f"<!-- quoted: atlas, from {QUOTATIONS['atlas'].source}, {QUOTATIONS['atlas'].command} -->"
    empty = f"{opening}\n<!-- end of quotation -->\n\ntext\n\n{block('strays')}\n"
    assert rewritten(empty) == f"{block('atlas')}\n\ntext\n\n{block('strays')}\n"


def test_every_quotation_has_its_place():
    assert sorted(quoted_names(README) + quoted_names(DETAILS)) == sorted(QUOTATIONS)


@pytest.mark.parametrize("text", [README, DETAILS], ids=["README", "results"])
def test_every_table_of_figures_is_quoted_or_known_not_to_be_stored(text):
    by_hand = re.sub(r"<!-- quoted: .*?<!-- end of quotation -->", "", text, flags=re.S)
    for table in re.findall(r"(?:^\|.*\n)+", by_hand, re.M):
        decimals = re.findall(r"\d\.\d", table)
        assert len(decimals) < 10 or table.startswith((*NOT_STORED, ON_PAGES)), table.splitlines()[0]


def test_no_table_is_excused_that_is_not_there():
    assert all(any(line.startswith(start) for line in (README + DETAILS).splitlines()) for start in NOT_STORED)


STUDIES = re.findall(r"^\| \[(\w+)\]\(experiments/results/\1\.html\) \| .* \| (.*) \|$", README, re.M)


@pytest.mark.parametrize(("name", "outcome"), STUDIES, ids=[name for name, _ in STUDIES])
def test_figures_of_a_study_stand_on_its_page(name, outcome):
    """The page is written from the stored table, its verdicts with it."""
    page = (RESULTS / f"{name}.html").read_text(encoding="utf-8")
    words = re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", "", page, flags=re.S))
    assert numbers(outcome)
    assert not numbers(outcome) - numbers(words)


def test_every_stored_study_has_its_row():
    stored = {path.stem for path in RESULTS.glob("*.parquet") if "provenance" not in path.name}
    assert {name for name, _ in STUDIES} == stored


def test_make_results_is_the_command():
    assert "python -m experiments.quoted" in (ROOT / "Makefile").read_text(encoding="utf-8")
