"""Figures that documents quote are those of the stored results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from experiments.printed import keep, kept
from experiments.quoted import DOCUMENTS, QUOTATIONS, RESULTS, ROOT, block, quoted_names, rewritten

README, DETAILS = (path.read_text(encoding="utf-8") for path in DOCUMENTS)

BY_COMMAND = ("| what | against | here | rival", "| what | worlds | found", "| energy distance at | known")
"""Tables in words, a command a row, by how they begin."""

_RUN = "python -m experiments.benchmarks."
NOT_KEPT = {_RUN + "calibration"}
"""Commands of such rows whose prints are not kept yet; this set may shrink."""
IN_JSON = {
    False: _RUN + 'calibration 500 --only "MMD: Poisson" --out FILE, and so on',
    True: _RUN + 'calibration 250 --only "shared effects" --out FILE',
}
"""Commands of rows that tell of calibration.json, by whether effects are shared there."""

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
    figure = re.search(r"\d\.\d+|(?<=\| )\d+(?= \|)", text)
    wrong = text[: figure.start()] + "0.5" + text[figure.end() :]
    assert rewritten(wrong) == text != wrong


def test_an_empty_quotation_is_filled_and_the_next_one_stays():
    opening = f"<!-- quoted: atlas, from {QUOTATIONS['atlas'].source}, {QUOTATIONS['atlas'].command} -->"
    empty = f"{opening}\n<!-- end of quotation -->\n\ntext\n\n{block('strays')}\n"
    assert rewritten(empty) == f"{block('atlas')}\n\ntext\n\n{block('strays')}\n"


def test_every_quotation_has_its_place():
    assert sorted(quoted_names(README) + quoted_names(DETAILS)) == sorted(QUOTATIONS)


@pytest.mark.parametrize("text", [README, DETAILS], ids=["README", "results"])
def test_every_table_of_figures_is_quoted_or_has_a_page_or_commands(text):
    by_hand = re.sub(r"<!-- quoted: .*?<!-- end of quotation -->", "", text, flags=re.S)
    for table in re.findall(r"(?:^\|.*\n)+", by_hand, re.M):
        decimals = re.findall(r"\d\.\d", table)
        assert len(decimals) < 10 or table.startswith((*BY_COMMAND, ON_PAGES)), table.splitlines()[0]


def rows_by_command() -> Iterator[tuple[str, str]]:
    """The command of each row of these tables, and the figures that it is said to print."""
    for start in BY_COMMAND:
        (table,) = re.findall(rf"^{re.escape(start)}.*\n\|---.*\n((?:^\|.*\n)+)", DETAILS, re.M)
        said = ""
        for row in table.splitlines():
            *cells, last = row.strip("| ").split(" | ")
            said = said if last == "the same" else re.sub("`", "", last)
            yield said, " ".join(cells[2:])


ROWS = list(rows_by_command())


def unprinted(figures: str, printed: str) -> set[str]:
    """Figures that no printed number rounds to."""
    plain = [float(number.replace(",", "")) for number in numbers(printed) if re.fullmatch(r"[\d,]+(\.\d+)?", number)]
    rounded = lambda figure: {f"{value:,.{len(figure.partition('.')[2])}f}" for value in plain}  # noqa: E731
    return {figure for figure in numbers(figures) if figure not in rounded(figure)}


@pytest.mark.parametrize(("said", "figures"), [row for row in ROWS if row[0] in kept()])
def test_figures_of_a_row_are_printed_by_its_command(said, figures):
    assert numbers(figures)
    assert not unprinted(figures, kept()[said])


def test_a_figure_that_was_not_printed_is_noticed():
    assert not unprinted("0.57 of 1,200 (2.5 %)", "| 0.574 | 1200 | 2.46 |")
    assert unprinted("0.58 of 1,201 (2.46 %)", "| 0.574 | 1200 | 2.46 |") == {"0.58", "1,201"}


@pytest.mark.parametrize("shared", IN_JSON)
def test_shares_of_worlds_are_those_stored(shared):
    stored = json.loads((RESULTS / "calibration.json").read_text(encoding="utf-8"))
    kinds = [v for k, v in stored.items() if v["claim"] != "power" and k.startswith("shared") == shared]
    missed = [each for kind in kinds for each in kind["missed"]]
    (figures,) = [figures for said, figures in ROWS if said == IN_JSON[shared]]
    assert figures.startswith(f"{len(missed) - sum(missed)} of {len(missed)} shares")
    if shared:
        at_5 = numbers(figures.partition(":")[2].partition(" at ")[0])
        assert at_5 == {f"{100 * kind['errors'][1]:.1f}" for kind in kinds}


def test_nothing_that_is_kept_goes_unheld():
    assert {said for said, _ in ROWS} == NOT_KEPT | set(IN_JSON.values()) | set(kept())


class TestKeeping:
    """`experiments.printed`, without the work."""

    def test_what_is_printed_is_kept_by_its_command(self, tmp_path, capfd):
        assert keep("span", ["--help"], tmp_path) == 0
        printed = capfd.readouterr().out
        assert kept(tmp_path) == {"python -m experiments.benchmarks.span --help": printed}

    def test_a_run_that_fails_keeps_nothing(self, tmp_path):
        assert keep("absent", [], tmp_path) != 0
        assert not kept(tmp_path)


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
