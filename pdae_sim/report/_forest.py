"""What a study expected and what came out: a panel for each expectation, medians with intervals beside its bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdae_sim.report._format import MET, truncated
from pdae_sim.report._palette import INK, MUTED, new_figure, plain_decades, styled
from pdae_sim.study.expectation import Expectation, Judgement

_COLOURS = {True: "#12755f", False: "#8e2a63", None: MUTED}
_ALLOWED = "#e6f0ec"
_DECADES = 1.0
"""A range of more decades than these is drawn on a logarithmic axis."""
_MOST = 30
"""Groups of a panel."""


@styled
def forest(expectations: Sequence[Expectation], rows: Sequence[Mapping]) -> Figure:
    """A panel for each expectation; arrows where a number or an end of an interval lies beyond the axis."""
    judged = [(expected, expected.judge(rows)) for expected in expectations]
    sizes = [max(1, len(_shown(judgement))) for _, judgement in judged]
    figure = new_figure(sum(0.78 + 0.24 * size for size in sizes))
    panels = figure.subplots(len(judged), 1, squeeze=False, gridspec_kw={"height_ratios": [2 + n for n in sizes]})
    for panel, (expected, judgement) in zip(panels[:, 0], judged, strict=True):
        _panel(panel, expected, judgement)
    return figure


def _shown(judgement: Judgement) -> list[tuple]:
    """Groups in order; where they are too many, those that miss or are open before the others."""
    groups = list(judgement.estimates)
    if len(groups) > _MOST:
        groups.sort(key=lambda group: judgement.verdicts[group] is True)
    return groups[:_MOST]


def _panel(panel: Axes, expected: Expectation, judgement: Judgement) -> None:
    groups = _shown(judgement)
    names = [truncated(expected.group_name(group), 40) for group in groups] or [judgement.reason]
    left_out = len(judgement.estimates) - len(groups)
    title = f"{MET[judgement.met]}: {expected.that}" + (f" ({left_out} more groups)" if left_out else "")
    panel.set_title(fill(title, 92 - max(map(len, names))), color=INK, fontsize=9.2, parse_math=False)
    panel.set_ylim(len(names) - 0.4, -0.6)
    panel.set_xlabel(truncated(_measure(expected), 60), labelpad=1.0, parse_math=False)
    panel.set_yticks(range(len(names)), names, parse_math=False)
    if not groups:
        panel.set_xticks([])
        return
    low, high = _range(panel, expected, judgement)
    panel.axvspan(*(min(max(bound, low), high) for bound in expected.bounds), color=_ALLOWED, linewidth=0, zorder=0)
    panel.set_xlim(low, high)
    for y, group in enumerate(groups):
        estimate, colour = judgement.estimates[group], _COLOURS[judgement.verdicts[group]]
        at = [min(max(number, low), high) for number in (*estimate.interval, estimate.value)]
        panel.plot(at[:2], [y, y], color=colour, linewidth=1.4)
        marks = [_beyond(estimate.low, low, high, ""), _beyond(estimate.high, low, high, "")]
        for x, mark in zip(at, [*marks, _beyond(estimate.value, low, high, "o")], strict=True):
            panel.plot([x], [y], marker=mark, color=colour, markersize=4.5, clip_on=False)


def _beyond(number: float, low: float, high: float, within: str) -> str:
    """The marker of a number: an arrow where it lies beyond the axis."""
    return "<" if number < low else ">" if number > high else within


def _measure(expected: Expectation) -> str:
    """What the axis shows, in words."""
    name, other = (metric.replace("_", " ") for metric in (expected.metric, expected.other_metric))
    if not expected.compares:
        return name
    where = ", ".join(f"{c} {value}" if "." in c else str(value) for c, value in expected.changed.items())
    compared = "that" if where and other == name else other
    return f"{name} {'over' if expected.over else 'less'} {compared}{f' of {where}' if where else ''}"


def _range(panel: Axes, expected: Expectation, judgement: Judgement) -> tuple[float, float]:
    """Ends of the axis: all medians, intervals and bounds that are finite; logarithmic where they span decades."""
    numbers = [number for e in judgement.estimates.values() for number in (e.value, *e.interval)]
    numbers = [number for number in (*numbers, *expected.bounds) if math.isfinite(number)]
    low, high = min(numbers), max(numbers)
    if low > 0 and math.log10(high / low) > _DECADES:
        panel.set_xscale("log")
        plain_decades(panel.xaxis, low, high)
        return low / 1.6, high * 1.6
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin
