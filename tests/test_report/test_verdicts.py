"""The figure of `span`: a line for every condition, intervals and thresholds where they are."""

from __future__ import annotations

import numpy as np
import pytest

from pdae_sim.errors import InputError
from pdae_sim.report import verdict_figure
from tests.test_report.examples import VERDICT_ROWS
from tests.test_report.looks import lines, words


def test_every_condition_has_its_line(example):
    cells, errors = example("verdicts").axes
    assert [label.get_text()[:15] for label in cells.get_yticklabels()] == [r["condition"][:15] for r in VERDICT_ROWS]
    assert [text.get_text() for text in cells.texts] == ["not identified", "support unknown"]
    assert [text.get_text() for text in errors.texts] == ["none"]


def test_interval_threshold_and_truth_are_drawn_where_they_are():
    figure = verdict_figure(VERDICT_ROWS[:1], threshold=70.0)
    spans = [tuple(map(float, line.get_xdata())) for line in figure.axes[0].lines]
    assert (300.0, 800.0) in spans
    assert any(set(span) == {70.0} for span in spans)
    assert (600.0,) in spans
    assert "truth" in words(figure)


def test_less_than_a_tenth_of_a_cell_is_an_arrow_at_the_edge(example):
    (arrow,) = lines(example("verdicts"), marker="<")
    assert np.asarray(arrow.get_xdata()).tolist() == [0.1]


@pytest.mark.parametrize(
    ("rows", "message"),
    [([], "at least one verdict"), ([{**VERDICT_ROWS[0], "verdict": "maybe"}], "verdict must be one of")],
)
def test_bad_rows_are_refused(rows, message):
    with pytest.raises(InputError, match=message):
        verdict_figure(rows)
