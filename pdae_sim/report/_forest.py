"""What a study expected and what came out: a panel for each expectation, medians with intervals beside its bounds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdae_sim.report._format import MET, truncated
from pdae_sim.report._palette import INK, MUTED, new_figure, styled
from pdae_sim.study.expectation import Expectation, Judgement

_COLOURS = {True: "#12755f", False: "#8e2a63", None: MUTED}
_ALLOWED = "#e6f0ec"
_DECADES = 1.0
"""A range of more decades than these is drawn on a logarithmic axis."""


@styled
def forest(expectations: Sequence[Expectation], rows: Sequence[Mapping]) -> Figure:
    """A panel for each expectation; an arrow for what lies beyond the axis."""
    judged = [(expected, expected.judge(rows)) for expected in expectations]
    sizes = [max(1, len(judgement.estimates)) for _, judgement in judged]
    figure = new_figure(sum(0.62 + 0.2 * size for size in sizes))
    panels = figure.subplots(len(judged), 1, squeeze=False, gridspec_kw={"height_ratios": [2 + n for n in sizes]})
    for panel, (expected, judgement) in zip(panels[:, 0], judged, strict=True):
        _panel(panel, expected, judgement)
    return figure


def _panel(panel: Axes, expected: Expectation, judgement: Judgement) -> None:
    panel.set_title(fill(f"{MET[judgement.met]}: {expected.that}", 90), color=INK, fontsize=9.2, parse_math=False)
    panel.set_ylim(max(1, len(judgement.estimates)) - 0.4, -0.6)
    panel.set_xlabel(truncated(_measure(expected), 70), labelpad=1.0, parse_math=False)
    if not judgement.estimates:
        panel.set_yticks([0], [judgement.reason])
        panel.set_xticks([])
        return
    names = [truncated(expected.group_name(group), 40) for group in judgement.estimates]
    panel.set_yticks(range(len(judgement.estimates)), names, parse_math=False)
    low, high = _range(panel, expected, judgement)
    for y, (group, estimate) in enumerate(judgement.estimates.items()):
        colour = _COLOURS[judgement.verdicts[group]]
        ends = [min(max(end, low), high) for end in (*estimate.interval, estimate.value)]
        panel.plot(ends[:2], [y, y], color=colour, linewidth=1.4)
        panel.plot([ends[2]], [y], "o", color=colour, markersize=4.5)
    panel.axvspan(*(min(max(bound, low), high) for bound in expected.bounds), color=_ALLOWED, linewidth=0, zorder=0)
    panel.set_xlim(low, high)


def _measure(expected: Expectation) -> str:
    """What the axis shows, in words."""
    name = expected.metric.replace("_", " ")
    compared = expected.over or expected.minus
    if not compared:
        return name
    with_what = ", ".join(f"{value}" for column, value in compared.items())
    return f"{name} {'over' if expected.over else 'less'} that of {with_what}"


def _range(panel: Axes, expected: Expectation, judgement: Judgement) -> tuple[float, float]:
    """Ends of the axis: all medians, intervals and bounds that are finite; logarithmic where they span decades."""
    numbers = [end for e in judgement.estimates.values() for end in (e.value, *e.interval)]
    numbers = [number for number in (*numbers, *expected.bounds) if math.isfinite(number)]
    low, high = min(numbers), max(numbers)
    if low > 0 and math.log10(high / low) > _DECADES:
        panel.set_xscale("log")
        panel.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
        return low / 1.6, high * 1.6
    margin = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return low - margin, high + margin
