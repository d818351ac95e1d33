"""The figure of `design`: who needs what, what it costs, and how many cells."""

from __future__ import annotations

import pytest

from pdae_sim.analysis.design import plan_experiments
from pdae_sim.errors import InputError
from pdae_sim.report import design_figure
from tests.test_report.examples import BEFORE, PLAN, ZERO, A
from tests.test_report.looks import words


def test_who_needs_what_and_what_it_costs():
    figure = design_figure(PLAN, ["A+B", "A+C", "A"], ["B"], before=BEFORE)
    table, gains = figure.axes
    (needed,) = [line for line in table.lines if line.get_marker() == "o" and line.get_markersize() == 6]
    heights = table.get_yticks()
    assert (needed.get_xdata()[0], needed.get_ydata()[0]) == (0, heights[0])
    assert [t.get_text() for t in table.get_xticklabels()] == ["1. B"]
    assert {"3.00", "1.00", "∞"} <= {t.get_text() for t in gains.texts}
    crossed = [line for line in gains.lines if line.get_marker() == "X"]
    # A+B and A+C before the plan, A+C with it
    assert [line.get_ydata()[0] for line in crossed] == [heights[0], heights[1], heights[1]]
    assert min(line.get_xdata()[0] for line in crossed) > 3


def test_nothing_to_measure_is_said():
    assert "nothing to measure" in words(design_figure(plan_experiments([ZERO, A], [A]), ["A"], []))


def test_cells_are_stacked_and_written(example):
    figure = example("design")
    assert {"750", "0 + 12,400"} <= set(words(figure))
    assert [patch.get_width() for patch in figure.axes[2].patches] == [750, 0, 0, 12_400]


@pytest.mark.parametrize(
    ("targets", "experiments", "options", "message"),
    [
        (["A+B"], ["B"], {}, "targets must name the plan's 3 targets; received 1"),
        (list("abc"), [], {}, "experiments must name the plan's 1 experiments"),
        (list("abc"), ["B"], {"before": []}, "a certificate per target, 3; received 0"),
        (list("abc"), ["B"], {"cells": {"A": (-1, 0)}}, "numbers of cells ≥ 0"),
    ],
)
def test_bad_input_is_refused(targets, experiments, options, message):
    with pytest.raises(InputError, match=message):
        design_figure(PLAN, targets, experiments, **options)
