"""The figure of `additivity`: the numbers of the test, in one view for one test and another for many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pdae_sim.analysis.hypothesis_tests.multiple_testing import adjust_p_values
from pdae_sim.errors import InputError
from pdae_sim.report import PREDICTED, additivity_figure
from pdae_sim.report._format import truncated
from tests.test_report.examples import DATA, LONG, ONE_TEST, TEST, TESTS
from tests.test_report.looks import lines, words


def test_cells_stand_beside_what_is_expected(example):
    panels = example("additivity of one").axes[:4]
    for e, axes in enumerate(panels):
        (dots,) = [line for line in axes.lines if line.get_marker() == "o"]
        assert dots.get_ydata().tolist() == TEST.observed_counts[:, e].tolist()
        bars = [patch.get_y() + patch.get_height() / 2 for patch in axes.patches]
        assert bars == pytest.approx(TEST.expected_counts[:, e])
    assert [axes.get_title(loc="left") for axes in panels] == ["ctrl", "A", "B", "A+B"]


def test_slopes_are_ordered_by_evidence_and_named():
    axes = additivity_figure(ONE_TEST, DATA.features, n_slopes=2).axes[-1]
    order = np.argsort(-np.abs(TEST.slopes / TEST.slope_errors))[:2]
    (dots,) = axes.collections[-1:]
    assert np.asarray(dots.get_offsets())[:, 0] == pytest.approx(TEST.slopes[order])
    assert [label.get_text() for label in axes.get_yticklabels()] == [truncated(DATA.features[j], 32) for j in order]
    assert "(2 of 3 columns)" in axes.get_xlabel()


def test_the_heading_says_p_and_effective_cells(example):
    heading = f"A+B: p = {TEST.p_value:.3g}; {TEST.effective_cells:.0f} effective of 360 cells"
    assert heading in words(example("additivity of one"))
    poor = replace(ONE_TEST, tests={"A+B": replace(TEST, effective_cells=12.3)})
    assert any(
        "12 effective of 360 cells; too little overlap to tell" in text for text in words(additivity_figure(poor))
    )


def test_corrections_stand_where_they_are_the_smallest_first(example):
    figure = example("additivity of many")
    order = sorted(TESTS.p_values, key=TESTS.p_values.get)
    for marker, values in (("d", TESTS.p_values), ("D", TESTS.bh), ("o", TESTS.holm)):
        assert [line.get_xdata()[0] for line in lines(figure, marker=marker)] == [values[name] for name in order]
    faces = [line.get_markerfacecolor() for line in lines(figure, marker="o")]
    assert faces == [PREDICTED, "#ffffff"]  # too few effective cells to tell
    assert {"12 effective of 360 cells", "too little overlap to tell"} <= set(words(figure))


@pytest.mark.parametrize(
    ("tests", "options", "message"),
    [
        (ONE_TEST, {"features": ["one"]}, "features must name the 3 columns of the test; received 1"),
        (ONE_TEST, {"n_slopes": 0}, "n_slopes must be a whole number ≥ 1"),
        (ONE_TEST, {"level": 2}, "level must lie strictly"),
        (adjust_p_values({LONG: 0.5}), {}, f"a test of additivity of '{LONG[:4]}"),
        (adjust_p_values({}), {}, "holds none"),
    ],
)
def test_bad_input_is_refused(tests, options, message):
    with pytest.raises(InputError, match=message):
        additivity_figure(tests, **options)
