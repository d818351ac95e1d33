"""The figure of a training history: what histories hold is drawn, ends are said in order."""

from __future__ import annotations

import numpy as np
import pytest

from pdae_sim.report import figure_png, training_figure
from tests.test_report.examples import HISTORY
from tests.test_report.looks import words


@pytest.mark.parametrize(
    "history", [[], [{"phase": "a", "step": 0}], [{"phase": "a", "step": 0, "loss": float("nan")}]]
)
def test_whatever_a_history_holds_is_drawn(history):
    assert figure_png(training_figure(history), dpi=40)


def test_a_term_that_is_never_finite_is_said():
    assert any("never finite" in text for text in words(training_figure([{"step": 0, "loss": np.nan}])))


def test_positive_terms_of_a_wide_range_have_a_log_axis(example):
    assert [axes.get_yscale() for axes in example("training").axes] == ["log", "linear"]


def test_ends_stand_in_the_order_of_their_values():
    rows = [{"phase": "a", "step": s, **{f"term{k}": 1.0 + k for k in range(6)}} for s in range(3)]
    texts = [text.get_text() for text in training_figure(rows).axes[0].get_legend().get_texts()]
    assert texts == [f"term{k} {1 + k}.00" for k in reversed(range(6))]


def test_steps_that_were_not_finite_are_marked(example):
    axes = example("training").axes[0]
    (cross,) = [line for line in axes.lines if line.get_marker() == "x"]
    assert cross.get_xdata().tolist() == [40.0]
    assert len(HISTORY) == 60
