"""Tables of the command line: they fit, and break no number and no heading."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from pdae_sim.cli._evaluation_tables import evaluation_tables
from pdae_sim.cli._tables import Table, number, with_interval
from pdae_sim.intervals import Interval
from pdae_sim.study import PREDICTION_METRICS
from tests.test_cli.calls import ran

ROWS = [
    {"condition": "A+B", "estimator": name, "metric": metric, "value": value, "low": low, "high": high}
    for name, energy in (("pseudobulk", 0.00123), ("pdae", 16.19), ("ceiling", -0.0019))
    for metric, value, low, high in (
        ("energy_distance", energy, energy - 0.0004 if energy > 0 else 0.0, energy + 0.0005),
        ("n_eff", 1.5 / abs(energy), 1.4 / abs(energy), None if energy < 0 else 1.7 / abs(energy)),
        ("mmd", -0.00129, None, None),
        ("mean_difference", 10.64, None, None),
        ("mean_r2", -0.5064, None, None),
    )
]


def lines(*parts, width=80) -> list[str]:
    """What a terminal of `width` letters shows."""
    console = Console(width=width, highlight=False)
    with console.capture() as capture:
        for part in parts:
            console.print(*part.fitted(width), sep="\n")
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize("width", [40, 80, 100])
def test_an_evaluation_fits_and_keeps_every_word_and_number_whole(width):
    shown = lines(*evaluation_tables(ROWS, shown=PREDICTION_METRICS), width=width)
    text = "\n".join(shown)
    assert max(map(len, shown)) <= width
    for whole in ("energy distance", "worth in cells", "MMD", "Δ mean", "R² mean", "pseudobulk", "−0.506", "10.6"):
        assert whole in text
    for whole in ("0.0012 [0.0008, 0.0017]", "16.1900 [16.1896, 16.1905]", "≤ −0.0014", "≥ 737"):
        assert whole in text


def _screen(n: int) -> list[dict]:
    """Rows of two estimators and the ceiling at `n` doubles, where the model is worst at the last."""
    return [
        {"condition": f"G{k}+H{k}", "estimator": name, "metric": "energy_distance", "value": value} | more
        for k in range(n)
        for name, value, more in (
            ("pdae", 0.1 + k / n, {"low": None, "high": None}),
            ("linear", 0.6, {"low": 0.5, "high": 0.7}),
            (
                "ceiling",
                0.02,
                {"low": 0.01, "high": 0.03, "cells": 50, "limit": 0.0, "limit_low": 0.0, "limit_high": 0.01},
            ),
        )
    ]


def test_a_screen_is_told_in_a_page_its_summary_first():
    shown = evaluation_tables(_screen(131), top=20)
    tables = [part for part in shown if isinstance(part, Table)]
    assert [len(table.rows) for table in tables] == [4, 20]
    assert "over 131 conditions" in tables[0].title
    assert {row[0] for row in tables[0].rows} == {"pdae", "linear", "ceiling, n/2 cells", "ceiling, limit"}
    assert tables[1].columns == ["condition", "pdae", "best other", "its value", "ceiling"]
    assert [row[0] for row in tables[1].rows[:2]] == ["G130+H130", "G129+H129"]
    assert any("111 more conditions: --top 131" in part for part in shown if isinstance(part, str))
    assert len(lines(*tables)) < 45


def test_a_condition_that_nothing_can_judge_is_a_sentence():
    why = {"error": "InputError: the condition has 1 cell; judging needs at least 8", "low": None, "high": None}
    common = {"condition": "A+B", "metric": "energy_distance", "value": None, **why}
    told = evaluation_tables([{"estimator": name, **common} for name in ("pdae", "pool")])
    assert told == ["A+B: not judged, the condition has 1 cell; judging needs at least 8"]


def test_few_conditions_have_tables_of_their_own_in_their_order():
    tables = [part for part in evaluation_tables(_screen(3), top=20) if isinstance(part, Table)]
    assert [table.title for table in tables[1:]] == ["G0+H0", "G1+H1", "G2+H2"]
    assert [row[0] for row in tables[1].rows] == ["ceiling, 50 cells", "pdae", "linear", "ceiling, limit"]
    assert tables[1].rows[-1][1] == "≤ 0.01"


@pytest.mark.parametrize(
    ("arguments", "headings"),
    [
        (["worlds"], ["name", "breaks", "difficulty"]),
        (["doctor"], ["part", "version"]),
        (["evaluate", "{f}/m", "{f}/d.h5ad", "--baselines"], ["estimator", "energy distance", "worth in cells"]),
        (["identify", "{f}/m", "{f}/d.h5ad"], ["random encoder", "permuted", "value"]),
        (["additivity", "{f}/d.h5ad", "--multipliers", "19"], ["condition", "effective cells"]),
        (["design", "{f}/d.h5ad", "--target", "A+C", "--standard-error", "0.1"], ["order", "then identified"]),
    ],
)
def test_every_command_fits_the_terminal(folder, capsys, monkeypatch, arguments, headings):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = ran(capsys, *(word.format(f=folder) for word in arguments), "--quiet")
    shown = out.splitlines()
    ruled = [k for k, line in enumerate(shown) if set(line.strip()) == {"─"}]
    tables = [line for k in ruled for line in shown[k - 1 : k + 3]]
    assert ruled
    assert max(map(len, tables)) <= 80
    for heading in headings:
        assert any(heading in shown[k - 1] for k in ruled), out


@given(st.lists(st.floats(allow_nan=True), min_size=1, max_size=5), st.integers(30, 120))
def test_whatever_the_numbers_they_stay_whole(values, width):
    shown = lines(Table("t", ["row", *(f"column {j}" for j in range(len(values)))], [["first", *values]]), width=width)
    assert max(map(len, shown)) <= width
    assert all(number(value) in " ".join(shown) for value in values)


def test_sentences_are_wrapped_between_words():
    text = "a column of sentences that needs more than one line " * 3
    shown = lines(Table("t", ["name", "why"], [["first", text.strip()]], prose=["why"]), width=40)
    assert " ".join(" ".join(shown[3:]).split()).removeprefix("first ") == text.strip()


@pytest.mark.parametrize(
    ("value", "interval", "text"),
    [
        (0.07489, Interval(0.042, 0.117), "0.07 [0.04, 0.12]"),
        (0.97, Interval(0.9678, 0.9716), "0.970 [0.968, 0.972]"),
        (255.1, Interval(114.2, 2519.0), "255 [114, 2,519]"),
        (0.31, Interval(-3.2, 3.8), "0.3 [−3.2, 3.8]"),
        (-1.231, Interval(-1.316, -1.143), "−1.23 [−1.32, −1.14]"),
        (1.0, Interval(1.0, 1.0), "1.000 [1.000, 1.000]"),
        (130.2, Interval(129.6, math.inf), "≥ 130"),
        (None, None, "–"),
        (0.5, None, "0.5"),
    ],
)
def test_a_value_has_as_many_decimals_as_its_interval_is_worth(value, interval, text):
    assert with_interval(value, interval) == text
