"""Goodness of fit: p-values by part with their threshold, worths in cells, and residuals of the worst features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from scipy import stats

from pdae_sim._checks import between
from pdae_sim.analysis.hypothesis_tests.goodness import GoodnessOfFit, ModelPart, PartGoodness
from pdae_sim.analysis.hypothesis_tests.predictive_checks import FeatureTest, ObservationFit
from pdae_sim.analysis.prediction_error import Worth
from pdae_sim.report import _marks as marks
from pdae_sim.report._format import truncated
from pdae_sim.report._palette import DASHED, INK, MUTED, PREDICTED, RULE, TRUE, new_figure, styled, tint

_ACROSS, _PANEL = 4, 1.75  # panels of features side by side, inches of their row
_TITLES = {
    ModelPart.TRANSPORT: "transport: cells of other conditions, moved",
    ModelPart.SHIFTS: "shifts: base latents have one law",
    ModelPart.BASE: "base: that law is N(0, I)",
    ModelPart.DECODER: "decoder: cells encoded and decoded",
}


@styled
def goodness_figure(result: GoodnessOfFit, observation: ObservationFit | None = None, *, level: float = 0.05) -> Figure:
    """p-values of a goodness of fit by part and condition, and the worth of the model in cells beside them.

    The threshold of a part is where Holm's method stops there, over its conditions and over the parts. A worth without
    an upper end is an arrow from its lower one.

    Below, for a model of noisy cells, histograms of the randomised quantile residuals of the features with the smallest
    p-values. They are flat under the model, within a band that a bin leaves with probability 1 %; high ends say that
    cells are over-dispersed, a hump that they are under-dispersed, a slope that their mean is another.

    Args:
        result: The goodness of fit.
        observation: That of the observation model.
        level: Level of the family of all tests.

    Returns:
        The figure: p-values at the left, worths at the right, residuals below.

    Raises:
        InputError: If the level is not strictly between 0 and 1.

    Example:
        >>> from pdae_sim.analysis.hypothesis_tests.goodness import FitSamples, goodness_of_fit
        >>> draw = lambda k: np.random.default_rng(k).normal(size=(40, 2))
        >>> pair = lambda k: {"ctrl": draw(k), "A": draw(k + 1)}
        >>> samples = FitSamples(pair(0), pair(2), pair(4), {"ctrl": draw(6)}, pair(7), pair(9))
        >>> figure = goodness_figure(goodness_of_fit(samples, n_resamples=19, rng=0))
        >>> [axes.get_xlabel() for axes in figure.axes]
        ['p-value, log scale', 'worth in cells, log scale']
    """
    between("level", level, 0.0, 1.0)
    faults, parts = result.faults(level), list(result.parts.values())
    conditions = [tuple(dict.fromkeys([*part.tests.p_values, *part.worth])) for part in parts]
    layout = marks.RowLayout.of(
        *(
            marks.Group(names, _TITLES[ModelPart(part.name)], PREDICTED if part.name in faults else INK)
            for part, names in zip(parts, conditions, strict=True)
        )
    )
    figure = new_figure(layout.depth + 0.95 + _PANEL * (observation is not None))
    upper: Figure | SubFigure = figure
    if observation is not None:
        grid = figure.add_gridspec(2, 1, height_ratios=[layout.depth + 0.95, _PANEL])
        upper = figure.add_subfigure(grid[0])
        _draw_residuals(figure.add_subfigure(grid[1]), observation, level)
    left, right = upper.subplots(1, 2)
    thresholds = [result.threshold(part.name, level) for part in parts]
    _scale_p_values(left, result, thresholds)
    _scale_worths(right, result)
    marks.dress_rows(left, layout)
    marks.headings(upper, left, layout)
    marks.dress_rows(right, layout, named=False)
    right.axvline(result.cells, color=MUTED, linestyle=DASHED, linewidth=1.0, zorder=1)
    _draw_parts(left, right, layout, [*zip(parts, thresholds, conditions, strict=True)], faults)
    _draw_key(upper, result.cells, level)
    return figure


def _draw_parts(
    left: Axes,
    right: Axes,
    layout: marks.RowLayout,
    rows: Sequence[tuple[PartGoodness, float, Sequence[str]]],
    faults: Sequence[ModelPart],
) -> None:
    """p-values of each part with its threshold at the left, worths at the right."""
    for i, (part, threshold, names) in enumerate(rows):
        left.plot([threshold] * 2, layout.span(i), color=MUTED, linestyle=DASHED, linewidth=1.0)
        for y, name in zip(layout.rows[i], names, strict=True):
            if name in part.tests.p_values:
                p = part.tests.p_values[name]
                _draw_p_value(left, p, y, rejected=part.name in faults and p <= threshold)
            if name in part.worth:
                _draw_worth(right, part.worth[name], y)


def _draw_residuals(figure: SubFigure, fit: ObservationFit, level: float) -> None:
    """Histograms of the residuals of the features with the smallest p-values, each with its gravest fault."""
    faulty = {test.feature: test for test in reversed(fit.faults(level))}
    ordered = sorted(fit.tests.tests.values(), key=lambda test: test.p_value)
    worst = list(dict.fromkeys(test.feature for test in ordered))[:_ACROSS]
    shown = [fit.histograms[fit.features.index(name)] for name in worst]
    edges = np.linspace(0, 1, len(shown[0]) + 1)
    band = stats.binom.interval(0.99, fit.cells, edges[1])
    panels = figure.subplots(1, _ACROSS)
    for axes, name, counts in zip(panels, worst, shown, strict=False):
        colour = PREDICTED if name in faulty else TRUE
        axes.axhspan(*band, color=RULE, linewidth=0, zorder=0)
        axes.stairs(counts, edges, color=tint(colour, 0.35), fill=True, zorder=1)
        axes.stairs(counts, edges, color=colour, linewidth=1.2, zorder=2)
        axes.axhspan(*band, color=RULE, linewidth=0, alpha=0.5, zorder=3)
        axes.set(ylim=(0, 1.1 * max(band[1], *map(max, shown))), xlim=(0, 1), xticks=[0, 1], yticks=[])
        axes.spines["left"].set_visible(False)
        axes.set_title(_caption(name, faulty.get(name)), fontsize=8.2, color=colour, parse_math=False)
    for axes in panels[len(worst) :]:
        axes.set_axis_off()
    title = "observation: ranks of cells among the model's, worst features; flat, in the grey band, if it is right"
    figure.suptitle(title, x=0.012, ha="left", fontsize=9.0, fontweight="bold", color=PREDICTED if faulty else INK)


def _caption(feature: str, fault: FeatureTest | None) -> str:
    name = truncated(feature, 22)
    return name if fault is None else f"{name}:\n{fault.fault}"


def _scale_p_values(axes: Axes, result: GoodnessOfFit, thresholds: list[float]) -> None:
    p_values = [p for part in result.parts.values() for p in part.tests.p_values.values()]
    marks.log_scale(axes, 0.5 * min(*p_values, *thresholds), 1.4)
    axes.set_xlabel("p-value, log scale")


def _scale_worths(axes: Axes, result: GoodnessOfFit) -> None:
    worths = [worth for part in result.parts.values() for worth in part.worth.values()]
    ends = [result.cells, *(v for w in worths for v in (w.value, *w.interval) if np.isfinite(v))]
    marks.log_scale(axes, min(ends) / 1.8, max(ends) * 3)
    axes.set_xlabel("worth in cells, log scale")


def _draw_p_value(axes: Axes, p: float, y: float, *, rejected: bool) -> None:
    if rejected:
        marks.dot(axes, p, y, PREDICTED, marker="X", size=7.0)
    else:
        marks.dot(axes, p, y, TRUE, size=5.5)


def _draw_worth(axes: Axes, worth: Worth, y: float) -> None:
    if worth.bounded:
        marks.interval(axes, *worth.interval, y, TRUE)
        marks.dot(axes, worth.value, y, TRUE, size=5.5)
    else:
        marks.open_interval(axes, worth.interval.low, y, TRUE)


def _draw_key(figure: Figure | SubFigure, cells: float, level: float) -> None:
    handles = [
        marks.dot_key("not told apart", TRUE),
        marks.dot_key("told apart from the truth", PREDICTED, marker="X", size=7.5),
        marks.line_key(f"Holm's threshold at {level:g}; {cells:g} cells", MUTED),
    ]
    marks.key(figure, handles)
