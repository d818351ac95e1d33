"""The figure of `evaluate`: what is not positive, what failed, and the ceiling of each condition."""

from __future__ import annotations

import pytest

from pdae_sim.report import evaluation_figure, figure_png
from tests.test_report.examples import RESULTS, result
from tests.test_report.looks import lines, words


def test_distances_that_are_not_positive_are_marked_at_the_floor(example):
    figure = example("evaluation")
    assert words(figure).count("≤ noise") == 1
    assert words(figure).count("failed") == 2
    (axes,) = figure.axes
    (marker,) = lines(figure, marker="<")
    assert marker.get_xdata()[0] == axes.get_xlim()[0] > 0


def test_a_ceiling_is_a_band_of_its_condition_or_a_row_like_any_other(example):
    (axes,) = example("evaluation").axes
    (band,) = axes.collections
    assert band.get_paths()[0].vertices[:, 0].max() == 0.001
    labels = [t.get_text() for t in evaluation_figure(RESULTS, ceiling=None).axes[0].get_yticklabels()]
    assert "ceiling" in labels
    assert "ceiling" not in [t.get_text() for t in axes.get_yticklabels()]


@pytest.mark.parametrize("rows", [[], [result("A", "pdae", -1.0, 0.0, None)], [result("A", "pdae", float("nan"))]])
def test_without_a_positive_value_it_is_drawn(rows):
    assert figure_png(evaluation_figure(rows), dpi=40)
