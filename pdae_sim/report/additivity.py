"""Tests of additivity: where one product formula fails, or which of many combinations do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from pdae_sim._checks import between, whole
from pdae_sim.analysis.hypothesis_tests.additivity import MIN_OVERLAP_CELLS, AdditivityTest
from pdae_sim.analysis.hypothesis_tests.multiple_testing import CorrectedTests
from pdae_sim.errors import InputError
from pdae_sim.report import _marks as marks
from pdae_sim.report._format import format_value, truncated
from pdae_sim.report._palette import DASHED, DOTTED, INK, MUTED, PREDICTED, TRUE, new_figure, styled, tint

_ACROSS = 4  # panels side by side


@styled
def additivity_figure(
    result: CorrectedTests, features: Sequence[str] | None = None, *, level: float = 0.05, n_slopes: int = 10
) -> Figure:
    """Evidence for or against additive effects: the cells behind one test, or the p-values of many.

    One test. Above, a panel per condition: cells in each bin of the column where the product formula fails most, beside
    those expected under it ± twice the square root of their number as a guide to the eye. Below, the columns with the
    largest slope of the log ratio in units of its standard error, with ± two errors.

    Several tests. The p-value of every combination with Holm's and BH's corrections, the smallest first; rejected are
    those whose Holm-corrected value is in the shaded part. Hollow are those with too few effective cells to tell,
    whatever p says; no p-value can be smaller than the dotted line.

    Args:
        result: Tests of additivity with their corrections, as `additivity_tests` returns them.
        features: The d_X names of the columns; numbers if None.
        level: Level of rejection after correction.
        n_slopes: Columns shown for one test.

    Returns:
        The figure.

    Raises:
        InputError: If a hypothesis has no test of additivity behind it, or names and columns disagree in number.

    References:
        Holm (1979); Benjamini & Hochberg (1995).

    Example:
        >>> from pdae_sim import PerturbationData
        >>> from pdae_sim.analysis.hypothesis_tests.additivity import additivity_tests
        >>> x = np.random.default_rng(0).normal(size=(120, 2))
        >>> data = PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "B", "A+B"], 30))
        >>> figure = additivity_figure(additivity_tests(data, n_multipliers=19, rng=0))
        >>> [axes.get_title(loc="left") for axes in figure.axes[:4]]
        ['ctrl', 'A', 'B', 'A+B']
    """
    between("level", level, 0.0, 1.0)
    tests = {name: test for name, test in result.tests.items() if isinstance(test, AdditivityTest)}
    if missing := [name for name in result.p_values if name not in tests]:
        raise InputError(f"result must hold a test of additivity of {missing[0]!r}; run additivity_tests")
    if not tests:
        raise InputError("result must hold one test of additivity or more; it holds none")
    if len(tests) == 1:
        (test,) = tests.values()
        return _draw_evidence(test, features, whole("n_slopes", n_slopes))
    return _draw_summary(result, tests, level)


def _draw_evidence(test: AdditivityTest, features: Sequence[str] | None, n_slopes: int) -> Figure:
    d = len(test.slopes)
    names = [f"column {j}" for j in range(d)] if features is None else [str(name) for name in features]
    if len(names) != d:
        raise InputError(f"features must name the {d} columns of the test; received {len(names)}")
    shown, columns = min(n_slopes, d), min(_ACROSS, len(test.conditions))
    rows = -(-len(test.conditions) // columns)
    heights = [1.5] * rows + [0.19 * shown + 0.35]
    figure = new_figure(sum(heights) + 1.1, side=0.1)
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=heights)
    for e, condition in enumerate(test.conditions):
        axes = figure.add_subplot(grid[divmod(e, columns)])
        colour = PREDICTED if condition == test.target else TRUE
        _draw_bins(axes, test.observed_counts[:, e], test.expected_counts[:, e], colour)
        axes.set_title(truncated(condition, 20), fontsize=9, parse_math=False)
    _draw_slopes(figure.add_subplot(grid[rows, :]), test, names, shown)
    enough = test.effective_cells >= MIN_OVERLAP_CELLS
    title = f"{test.target}: p = {test.p_value:.3g}; {_overlap(test)}{'' if enough else '; too little overlap to tell'}"
    observed = marks.dot_key(f"cells by {truncated(test.feature, 18)}", TRUE)
    marks.key(figure, [observed, marks.patch_key("expected if effects add, ± 2√n", MUTED, 0.25)], title=title)
    return figure


def _overlap(test: AdditivityTest) -> str:
    return f"{test.effective_cells:,.0f} effective of {int(test.counts.sum()):,} cells"


def _draw_bins(axes: Axes, observed: np.ndarray, expected: np.ndarray, colour: str) -> None:
    bins, half = np.arange(len(observed)), 2 * np.sqrt(expected)
    axes.bar(bins, 2 * half, bottom=expected - half, width=0.8, color=tint(MUTED, 0.25), linewidth=0, zorder=2)
    axes.hlines(expected, bins - 0.4, bins + 0.4, color=MUTED, linewidth=1.2, zorder=3)
    axes.plot(bins, observed, "o", color=colour, markersize=4.5, markeredgecolor="white", zorder=4)
    axes.set_xticks([bins[0], bins[-1]], ["low", "high"])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))


def _draw_slopes(axes: Axes, test: AdditivityTest, names: Sequence[str], shown: int) -> None:
    ratio = np.abs(test.slopes / test.slope_errors)
    chosen = np.argsort(-ratio, kind="stable")[:shown]
    colours = [PREDICTED if ratio[j] > 2 else TRUE for j in chosen]
    for y, j in enumerate(chosen):
        low, high = test.slopes[j] + np.array([-2, 2]) * test.slope_errors[j]
        axes.plot([low, high], [y, y], color=colours[y], linewidth=1.4)
    axes.scatter(test.slopes[chosen], np.arange(shown), c=colours, s=22, zorder=4)
    axes.axvline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    axes.set_yticks(range(shown), [truncated(names[j], 32) for j in chosen], parse_math=False)
    axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=8.2)
    axes.set_ylim(shown - 0.4, -0.6)
    axes.grid(True, axis="x")
    more = f" ({shown} of {len(names)} columns)" if shown < len(names) else ""
    axes.set_xlabel(f"log ratio per standard deviation ± 2 errors{more}")


def _draw_summary(result: CorrectedTests, tests: Mapping[str, AdditivityTest], level: float) -> Figure:
    order = sorted(tests, key=lambda name: result.p_values[name])
    layout = marks.RowLayout.of(marks.Group(order))
    figure = new_figure(layout.depth + 0.95, side=0.1)
    axes = figure.add_subplot()
    least = 1 / (max(test.n_multipliers for test in tests.values()) + 1)
    left = min([level, least, *(p for p in result.p_values.values() if p > 0)]) / 1.8
    marks.log_scale(axes, left, 1.5)
    marks.dress_rows(axes, layout)
    axes.axvspan(left, level, color=tint(PREDICTED, 0.1), linewidth=0, zorder=0)
    axes.axvline(level, color=PREDICTED, linewidth=0.9, linestyle=DASHED, zorder=2)
    axes.axvline(least, color=MUTED, linewidth=0.8, linestyle=DOTTED, zorder=1)
    axes.set_xlabel("p-value, log scale")
    for y, name in zip(layout.rows[0], order, strict=True):
        enough = tests[name].effective_cells >= MIN_OVERLAP_CELLS
        _draw_p_values(axes, y, result.p_values[name], result.bh[name], result.holm[name], level, hollow=not enough)
        marks.text_beside(
            axes, y, _overlap(tests[name]), colour=INK if result.holm[name] <= level and enough else MUTED
        )
    hollow = [marks.dot_key("too little overlap to tell", TRUE, hollow=True)]
    handles = [
        marks.dot_key("as tested", MUTED, marker="d"),
        marks.dot_key("BH", TRUE, marker="D", hollow=True, size=4.5),
        marks.dot_key("Holm", TRUE),
        marks.patch_key(f"rejected at {format_value(100 * level, 1)} %", PREDICTED, 0.25),
        *(hollow if any(test.effective_cells < MIN_OVERLAP_CELLS for test in tests.values()) else []),
    ]
    marks.key(figure, handles, columns=len(handles))
    return figure


def _draw_p_values(axes: Axes, y: float, p: float, bh: float, holm: float, level: float, *, hollow: bool) -> None:
    """A line from the p-value as tested to Holm's, with BH's between; values below the axis stand at its end."""
    left, colour = axes.get_xlim()[0], PREDICTED if holm <= level else TRUE
    marks.interval(axes, max(p, left), holm, y, colour, width=1.4)
    marks.dot(axes, max(p, left), y, MUTED, marker="d")
    marks.dot(axes, max(bh, left), y, colour, marker="D", size=4.5, hollow=True)
    marks.dot(axes, max(holm, left), y, colour, hollow=hollow)
