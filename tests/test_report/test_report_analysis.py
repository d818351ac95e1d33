"""Figures of the analyses: they say the right numbers, fit their width, and refuse bad input in one line."""

from __future__ import annotations

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from pdae_sim.analysis.design import plan_experiments
from pdae_sim.analysis.hypothesis_tests.additivity import additivity_test
from pdae_sim.analysis.hypothesis_tests.multiple_testing import adjust_p_values, two_sample_tests
from pdae_sim.analysis.span import check_span
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.report._palette import NARROW, PREDICTED, TRUE, WIDE
from pdae_sim.report._rows import number, shortened
from pdae_sim.report.additivity import additivity_cells, additivity_summary
from pdae_sim.report.certificates import span_certificates, span_margins
from pdae_sim.report.design import cell_allocation, experiment_plan
from pdae_sim.report.two_samples import Remark, corrected_p_values, null_distributions
from pdae_sim.report.worth import worth_in_cells
from tests.test_report.test_report import HOSTILE, overlap, words

ZERO, A, B, C = [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]
TRAIN, NAMES = ["ctrl", "A", "B"], ["A", "B", "C"]
LONG = "KLF1+CEBPE:0.5+AHR"


def certificates():
    return check_span([ZERO, A, B], [[1, 1, 0], [1, 0, 1], [2, 0.5, 0]])


def measured():
    return check_span([[0, 0], [1, 1]], [[1, 1 + s * 2e-2 / 2**0.5] for s in (0.01, 0.5, 2, 100)], rtol=1e-2)


def judged():
    rng = np.random.default_rng(0)
    shifts = {"ctrl": 0.0, "A": 0.1, HOSTILE: 0.5, LONG: 2.0}
    predicted, observed = ({n: rng.normal(size=(30, 2)) + k * s for n, s in shifts.items()} for k in (1, 0))
    return two_sample_tests(predicted, observed, n_permutations=199, rng=0)


JUDGED = judged()


def square(n=90, *, extra=0.0):
    labels = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], dtype=float)
    environment = np.repeat(np.arange(4), n)
    x = (
        np.random.default_rng(0).normal(size=(4 * n, 3))
        + np.hstack([labels, extra * labels[:, :1] * labels[:, 1:]])[environment]
    )
    return PerturbationData(x, labels, environment, ("A", "B"), features=("first", HOSTILE, "third"))


DATA = square(extra=2.0)
TEST = additivity_test(DATA, "A+B", n_multipliers=99, rng=0)
TESTS = adjust_p_values(
    {"A+B": TEST.p_value, LONG: 0.6}, tests={"A+B": TEST, LONG: replace(TEST, effective_cells=12.3)}
)
TARGETS = [[1, 1, 0], [1, 0, 1], [1, 0, 0]]
PLAN = plan_experiments([ZERO, A], TARGETS, candidates=[B])
BEFORE = check_span([ZERO, A], TARGETS, counts=[1, 1])


def row(condition, estimator, value, low=None, high=None, metric="n_eff"):
    ends = {"value": value, "low": low, "high": high}
    return {"condition": condition, "estimator": estimator, "metric": metric} | ends


WORTH = [
    row("A+B", "pdae", 850.0, 400.0, 2600.0),
    row("A+B", "tilting", 1900.0, 1900.0, None),
    row("A+B", "control", 1.1, 1.0, 1.2),
    row("A+B", "linear", None),
    row("A+B", "ceiling", 1500.0, 1500.0, None),
    row("A+B", "pdae", 0.01, 0.0, 0.02, metric="energy_distance"),
    row(HOSTILE, "pdae", 45.3, 30.0, 80.0),
    row(HOSTILE, "ceiling", 700.0, 400.0, 3000.0),
]

DRAWINGS = {
    "certificates": lambda w: span_certificates(certificates(), ["A+B", "A+C", LONG], TRAIN, NAMES, width=w),
    "measured": lambda w: span_certificates(measured(), list("abcd"), ["ctrl", LONG], ["A", "B"], width=w),
    "margins": lambda w: span_margins(measured(), ["a", LONG, "c", "d"], width=w),
    "nulls": lambda w: null_distributions(JUDGED.tests, width=w),
    "p-values": lambda w: corrected_p_values(JUDGED, width=w),
    "cells": lambda w: additivity_cells(TEST, DATA.features, width=w),
    "summary": lambda w: additivity_summary(TESTS, width=w),
    "plan": lambda w: experiment_plan(PLAN, ["A+B", LONG, "A"], ["B"], before=BEFORE, width=w),
    "allocation": lambda w: cell_allocation(["ctrl", LONG], [750, 0], [0, 12_400], width=w),
    "worth": lambda w: worth_in_cells(WORTH, training_cells=4000, width=w),
}


def written(figure):
    """Texts that are seen, with their boxes in pixels."""
    seen = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    hidden = {t for axes in figure.axes for t in _beyond(axes)}
    return [(t.get_text(), t.get_window_extent(figure.canvas.get_renderer())) for t in seen if t not in hidden]


def _beyond(axes):
    """Tick labels outside the limits, and those whose side of the axes is not labelled."""
    for axis, low, high in ((axes.xaxis, *sorted(axes.get_xlim())), (axes.yaxis, *sorted(axes.get_ylim()))):
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            inside = low - 1e-9 <= tick.get_loc() <= high + 1e-9
            yield from (
                label
                for label, shown in ((tick.label1, tick.label1.get_visible()), (tick.label2, False))
                if not (inside and shown)
            )


class TestEveryFigure:
    @pytest.mark.parametrize("width", [WIDE, NARROW])
    @pytest.mark.parametrize("name", DRAWINGS)
    def test_it_is_returned_and_nothing_is_cut_or_overlaps(self, name, width):
        before = dict(matplotlib.rcParams)
        figure = DRAWINGS[name](width)
        assert type(figure) is Figure
        assert figure.get_figwidth() == width
        assert dict(matplotlib.rcParams) == before
        texts = written(figure)
        assert texts
        for text, box in texts:
            assert box.x0 >= 0, text
            assert box.x1 <= figure.bbox.width, text
            assert box.y0 >= 0, text
            assert box.y1 <= figure.bbox.height + 1, text
        assert overlap([box.extents for _, box in texts]) <= 2.0  # pixels; boxes of lines of text touch

    def test_it_is_the_same_twice(self):
        first, second = (DRAWINGS["certificates"](WIDE) for _ in range(2))
        assert [t for t, _ in written(first)] == [t for t, _ in written(second)]

    def test_a_cut_text_is_noticed(self):
        """The negative control of the first test."""
        figure = DRAWINGS["worth"](NARROW)
        figure.text(0.95, 0.5, "far too long for its place")
        assert any(box.x1 > figure.bbox.width for _, box in written(figure))


def lines(figure, **look):
    """Lines of all axes that look so."""
    found = [line for axes in figure.axes for line in axes.lines]
    return [line for line in found if all(getattr(line, f"get_{k}")() == v for k, v in look.items())]


class TestCertificates:
    def test_sentence_weights_and_noise_gain(self):
        figure = span_certificates(certificates()[:1], ["A+B"], TRAIN, NAMES)
        said = words(figure)
        assert "A+B = A + B − ctrl" in said
        assert "noise gain 3, least norm; exact arithmetic" in said
        assert [text for text in said if text in {"1", "−1"}].count("−1") >= 1
        bars = [line.get_xdata() for line in lines(figure, linewidth=5.5)]
        assert sorted(float(x[1]) for x in bars) == [-1.0, 1.0, 1.0]

    def test_a_witness_is_told_apart_and_scaled(self):
        certificate = check_span([ZERO, A, B], [[1, 0, 1e-6]])[0]
        figure = span_certificates([certificate], ["x"], TRAIN, NAMES)
        assert "no training environment moves 1e+06 C away from ctrl; x does" in words(figure)
        assert [line.get_xdata()[1] for line in lines(figure, linewidth=5.5)] == [1.0]
        assert "1,000,000" in words(figure)

    def test_measured_doses_carry_their_margin_and_the_borderline(self):
        said = " ".join(words(span_certificates(measured(), list("abcd"), ["ctrl", "A"], ["A", "B"])))
        assert said.count("BORDERLINE") == 2
        assert "2.2 decades inside the tolerance 1e-02" in said
        assert "1.6 decades outside the tolerance 1e-02" in said

    def test_many_weights_are_counted_not_hidden(self):
        train = np.vstack([np.zeros(12, int), np.eye(12, dtype=int)])
        figure = span_certificates(
            check_span(train, [np.arange(1, 13)]), ["all"], [f"c{i}" for i in range(13)], [f"g{i}" for i in range(12)]
        )
        assert "all combines 13 conditions" in words(figure)
        assert "and 5 more of at most 5" in words(figure)
        assert figure.axes[0].get_xscale() == "symlog"  # −77 beside 12

    def test_margins_are_where_they_are(self):
        dots = lines(span_margins(measured(), list("abcd")), marker="o")
        assert [float(dot.get_xdata()[0]) for dot in dots] == pytest.approx([c.margin for c in measured()])

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: span_certificates(certificates(), ["A+B"], TRAIN, NAMES), "tests must name the certificates"),
            (lambda: span_certificates([], [], TRAIN, NAMES), "one or more; received 0, 0"),
            (lambda: span_certificates(certificates()[:1], ["x"], TRAIN[:2], NAMES), "train must name 3 entries"),
            (lambda: span_certificates(certificates()[1:2], ["x"], TRAIN, NAMES[:2]), "names must name 3 entries"),
            (lambda: span_margins(certificates()[:1], ["A+B"]), "'A\\+B' is exact and has no margin"),
            (lambda: span_margins(measured(), ["a"]), "tests must name the certificates"),
        ],
    )
    def test_bad_input(self, call, message):
        refused(call, message)


def refused(call, message):
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


class TestTwoSamples:
    def test_the_statistic_stands_at_its_ratio_in_the_colour_of_its_p_value(self):
        dots = lines(null_distributions(JUDGED.tests), marker="o")
        for dot, test in zip(dots, JUDGED.tests.values(), strict=True):
            assert dot.get_xdata()[0] == pytest.approx(test.statistic / test.null_quantiles[0.95])
            assert dot.get_color() == (PREDICTED if test.p_value <= 0.05 else TRUE)

    def test_the_bands_end_at_the_quantiles(self):
        test = JUDGED.tests["A"]
        ends = [float(line.get_xdata()[1]) for line in lines(null_distributions({"A": test}), linewidth=8)]
        assert ends == pytest.approx(
            [test.null_quantiles[q] / test.null_quantiles[0.95] for q in (0.5, 0.9, 0.95, 0.99)]
        )

    def test_a_rank_statistic_is_shown_as_it_is(self):
        test = replace(JUDGED.tests["A"], kind="mmd", statistic=0.7)
        (dot,) = lines(null_distributions({"A": test}), marker="o")
        assert dot.get_xdata()[0] == 0.7

    def test_corrections_stand_where_they_are_the_smallest_first(self):
        figure = corrected_p_values(JUDGED)
        order = sorted(JUDGED.p_values, key=JUDGED.p_values.get)
        for marker, values in (("|", JUDGED.p_values), ("D", JUDGED.bh), ("o", JUDGED.holm)):
            assert [line.get_xdata()[0] for line in lines(figure, marker=marker)] == [values[n] for n in order]
        assert words(figure).count("rejected") == len(JUDGED.rejected())
        assert "least: 0.005" in words(figure)

    def test_p_values_without_tests_have_no_least(self):
        figure = corrected_p_values(adjust_p_values({"A": 0.0, "B": 0.03}), remarks={"A": Remark("mine", silent=True)})
        assert not any("least" in text for text in words(figure))
        assert "mine" in words(figure)
        assert "too little overlap to tell" in words(figure)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: null_distributions({}), "tests must be of one kind, one test or more; received none"),
            (
                lambda: null_distributions({"A": JUDGED.tests["A"], "B": replace(JUDGED.tests["A"], kind="mmd")}),
                "one kind, one test or more; received energy, mmd",
            ),
            (lambda: null_distributions(JUDGED.tests, level=2), "level must lie strictly"),
            (lambda: corrected_p_values(adjust_p_values({"A": 0.5}), remarks={"Z": Remark("")}), "'Z' is none of them"),
            (lambda: corrected_p_values(replace(JUDGED, p_values={})), "found must hold one p-value or more"),
        ],
    )
    def test_bad_input(self, call, message):
        refused(call, message)


class TestAdditivity:
    def test_cells_stand_beside_what_is_expected(self):
        figure = additivity_cells(TEST, DATA.features)
        for e, axes in enumerate(figure.axes[:4]):
            (dots,) = [line for line in axes.lines if line.get_marker() == "o"]
            assert dots.get_ydata().tolist() == TEST.observed_counts[:, e].tolist()
            bars = [patch.get_y() + patch.get_height() / 2 for patch in axes.patches]
            assert bars == pytest.approx(TEST.expected_counts[:, e])
        assert [axes.get_title(loc="left") for axes in figure.axes[:4]] == ["ctrl", "A", "B", "A+B"]

    def test_slopes_are_ordered_by_evidence_and_named(self):
        axes = additivity_cells(TEST, DATA.features, n_slopes=2).axes[-1]
        order = np.argsort(-np.abs(TEST.slopes / TEST.slope_errors))[:2]
        (dots,) = axes.collections[-1:]
        assert np.asarray(dots.get_offsets())[:, 0] == pytest.approx(TEST.slopes[order])
        named = [label.get_text() for label in axes.get_yticklabels()]
        assert named == [shortened(DATA.features[j], 32) for j in order]
        assert "(2 of 3 columns)" in axes.get_xlabel()

    def test_the_heading_says_p_and_effective_cells(self):
        title = words(additivity_cells(TEST))
        assert f"A+B: p = {TEST.p_value:.3g}; {TEST.effective_cells:.0f} effective of 360 cells" in title
        little = words(additivity_cells(replace(TEST, effective_cells=12.3)))
        assert any("12 effective of 360 cells; too little overlap to tell" in text for text in little)

    def test_a_summary_hollows_what_cannot_tell(self):
        figure = additivity_summary(TESTS)
        faces = [line.get_markerfacecolor() for line in lines(figure, marker="o")]
        assert faces == [PREDICTED, "white"]
        assert "12 effective of 360 cells" in words(figure)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: additivity_cells(TEST, ["one"]), "features must name the 3 columns of the test; received 1"),
            (lambda: additivity_cells(TEST, n_slopes=0), "n_slopes must be a whole number ≥ 1"),
            (lambda: additivity_summary(JUDGED), "a test of additivity of 'ctrl'; run additivity_tests"),
        ],
    )
    def test_bad_input(self, call, message):
        refused(call, message)


class TestDesign:
    def test_who_needs_what_and_what_it_costs(self):
        figure = experiment_plan(PLAN, ["A+B", "A+C", "A"], ["B"], before=BEFORE)
        table, gains = figure.axes
        needed = [
            (int(line.get_xdata()[0]), int(line.get_ydata()[0])) for line in table.lines if line.get_markersize() == 6
        ]
        assert needed == [(0, 0)]
        assert [t.get_text() for t in table.get_xticklabels()] == ["1. B"]
        assert {"3", "1", "∞"} <= {t.get_text() for t in gains.texts}
        crossed = [line for line in gains.lines if line.get_marker() == "X"]
        assert [int(line.get_ydata()[0]) for line in crossed] == [0, 1, 1]  # A+B and A+C before, A+C with the plan
        assert min(line.get_xdata()[0] for line in crossed) > 3

    def test_nothing_to_measure_is_said(self):
        plan = plan_experiments([ZERO, A], [A])
        assert "nothing to measure" in words(experiment_plan(plan, ["A"], []))

    def test_cells_are_stacked_and_written(self):
        figure = cell_allocation(["ctrl", "A"], [750, 0], [0, 400])
        assert {"750", "0 + 400"} <= set(words(figure))
        assert [patch.get_width() for patch in figure.axes[0].patches] == [750, 0, 0, 400]

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: experiment_plan(PLAN, ["A+B"], ["B"]), "targets must name the plan's 3 targets; received 1"),
            (lambda: experiment_plan(PLAN, list("abc"), []), "experiments must name the plan's 1 experiments"),
            (lambda: experiment_plan(PLAN, list("abc"), ["B"], before=[]), "a certificate per target, 3; received 0"),
            (lambda: cell_allocation(["A"], [1, 2], [0]), "must agree in length"),
            (lambda: cell_allocation(["A"], [-1], [0]), "must be numbers of cells ≥ 0"),
        ],
    )
    def test_bad_input(self, call, message):
        refused(call, message)


class TestWorth:
    def test_bounded_and_unbounded_ends(self):
        figure = worth_in_cells(WORTH, training_cells=4000)
        said = words(figure)
        assert {"850", "≥ 1,900", "1.1", "45", "failed"} <= set(said)
        arrows = [line for line in lines(figure, marker=">") if line.get_markersize() == 6]
        assert len(arrows) == 1
        assert arrows[0].get_xdata()[0] == figure.axes[0].get_xlim()[1]
        assert sorted(line.get_xdata()[0] for line in lines(figure, marker="o")) == [1.1, 45.3, 850.0]

    def test_ceilings_belong_to_their_conditions_and_training_cells_to_all(self):
        figure = worth_in_cells(WORTH, training_cells=4000)
        roofs = {
            float(line.get_xdata()[0]): np.ptp(line.get_ydata()) for line in lines(figure, color=TRUE, linewidth=1.4)
        }
        assert list(roofs) == [1500.0, 700.0]
        assert roofs[1500.0] > roofs[700.0] > 0
        assert [line.get_xdata()[0] for line in lines(figure, linewidth=1.2)] == [4000]
        assert "4,000 training cells" in words(figure)

    def test_the_best_stands_first_and_other_metrics_are_left_out(self):
        labels = [t.get_text() for t in worth_in_cells(WORTH).axes[0].get_yticklabels()]
        assert labels == ["tilting", "pdae", "control", "linear", "pdae"]

    def test_the_ceiling_can_be_a_row_like_any_other(self):
        labels = [t.get_text() for t in worth_in_cells(WORTH, ceiling=None).axes[0].get_yticklabels()]
        assert "ceiling" in labels

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: worth_in_cells([]), "rows must hold the metric n_eff"),
            (lambda: worth_in_cells([row("A", "pdae", -1.0)]), "n_eff must be positive; received -1.0 for 'pdae'"),
            (lambda: worth_in_cells([row(None, "pdae", 1.0)]), "rows must name the condition of every n_eff"),
            (lambda: worth_in_cells(WORTH, training_cells=0), "training_cells must be a whole number"),
        ],
    )
    def test_bad_input(self, call, message):
        refused(call, message)


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234.6, "1,235"), (-0.5, "−0.5"), (np.inf, "∞"), (-np.inf, "−∞"), (np.nan, "–"), (0.0123456, "0.0123")],
)
def test_numbers_read_as_they_should(value, text):
    assert number(value) == text
