"""How far each estimator is from the truth, condition by condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter

from pdae_sim.report._palette import (
    INK,
    MUTED,
    PREDICTED,
    RULE,
    WIDE,
    blank,
    environment_colour,
    in_house_style,
    is_compact,
    tint,
)

MODEL, CEILING = "pdae", "ceiling"
_FAILED = "failed"
_BAND, _DASHES = "#e8ebef", (0, (4, 2))
_ROW, _GAP = 0.18, 0.27  # inches: a line of the figure, and what a condition's name adds to it


@dataclass(frozen=True)
class _Line:
    """One estimator at one condition: where it is drawn and what was found."""

    y: float
    estimator: str
    value: float
    low: float
    high: float
    failed: bool


@in_house_style
def estimator_bars(
    rows: Sequence[Mapping],
    *,
    metric: str = "energy_distance",
    model: str = MODEL,
    ceiling: str | None = CEILING,
    width: float = WIDE,
) -> Figure:
    """Energy distance to the truth by condition and estimator, on a log axis; further left is better.

    The distances are unbiased and may be zero or negative: these are drawn at the left edge as hollow triangles marked
    "≤ noise". The ceiling (real cells of the very condition) is the shaded band of its condition: what lies inside it
    cannot be told from a repeated experiment.

    Args:
        rows: Mappings with condition, estimator, metric, value, low, high; rows of other metrics are left out, missing
            and NaN values are marked as failed.
        metric: The metric shown.
        model: The estimator drawn in the colour of predictions.
        ceiling: The estimator that is the noise ceiling; None draws every estimator alike.
        width: In inches.
    """
    rows = [row for row in rows if row.get("metric") == metric]
    conditions = list(dict.fromkeys(str(row["condition"]) for row in rows))
    shown = [row for row in rows if row["estimator"] != ceiling]
    lines, heads, depth = _arrange(shown, conditions)
    floor, top = _range(rows)
    figure = blank(width, max(depth, 1.0) + (1.1 if is_compact(width) else 0.9))
    axes = figure.add_subplot()
    axes.set(xscale="log", xlim=(floor, top), ylim=(max(depth, 1.0), 0.0))
    axes.set_xlabel(f"{metric.replace('_', ' ')}, log scale", parse_math=False)
    _dress(axes, lines)
    _draw_heads(axes, heads, conditions)
    reach = {str(row["condition"]): _reach(row) for row in rows if row["estimator"] == ceiling}
    _draw_ceilings(axes, reach, conditions, heads, depth)
    _draw_key(figure, any(edge > 0 for edge in reach.values()), any(line.value <= 0 for line in lines))
    colours = _colours(lines, model)
    for line in lines:
        _draw_line(axes, line, colours[line.estimator], floor, bold=line.estimator == model)
    if not rows:
        axes.text(0.5, 0.5, "no results", transform=axes.transAxes, ha="center", color=MUTED)
    if is_compact(width):
        axes.tick_params(axis="y", labelsize=7.5)
    return figure


def _arrange(rows: Sequence[Mapping], conditions: Sequence[str]) -> tuple[list[_Line], list[float], float]:
    """A line per row, the height of each condition's name, and the total height, all in inches from the top."""
    lines, heads, y = [], [], 0.0
    for condition in conditions:
        y += _GAP
        heads.append(y - 0.06)
        for row in rows:
            if str(row["condition"]) == condition:
                y += _ROW
                lines.append(_line(y, row))
        y += 0.1
    return lines, heads, y + 0.08


def _line(y: float, row: Mapping) -> _Line:
    value, low, high = (as_number(row.get(key)) for key in ("value", "low", "high"))
    return _Line(y, str(row["estimator"]), value, low, high, not np.isfinite(value))


def as_number(value: object) -> float:
    """A value of a row of results; NaN where it has none."""
    return float(value) if isinstance(value, (int, float, np.number)) else np.nan


def _range(rows: Sequence[Mapping]) -> tuple[float, float]:
    """Limits of the log axis: room below the smallest positive value for those that are not positive."""
    values = np.array([as_number(row.get(key)) for row in rows for key in ("value", "high")])
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        return 1e-4, 1.0
    low, high = positive.min(), positive.max()
    return float(low / 10**0.7), float(max(high, 10 * low) * 10**0.35)


def _dress(axes: Axes, lines: Sequence[_Line]) -> None:
    axes.set_yticks([line.y for line in lines], [line.estimator.replace("_", " ") for line in lines], parse_math=False)
    axes.tick_params(axis="y", length=0, pad=8, labelcolor=INK)
    axes.xaxis.set_major_locator(LogLocator(numticks=7))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.spines["left"].set_visible(False)
    axes.grid(True, axis="x")


def _draw_heads(axes: Axes, heads: Sequence[float], conditions: Sequence[str]) -> None:
    for y, condition in zip(heads, conditions, strict=True):
        axes.text(
            0.0, y, f" {condition}", transform=axes.get_yaxis_transform(), ha="left", va="center",
            fontweight="bold", fontsize=9, parse_math=False, zorder=6,
        )  # fmt: skip


def _draw_ceilings(axes: Axes, reach: Mapping[str, float], conditions, heads, depth: float) -> None:
    """Per condition a band from the left edge to the upper end of the ceiling's interval."""
    bottoms = [*(head - _GAP + 0.1 for head in heads[1:]), depth][: len(heads)]
    for condition, head, bottom in zip(conditions, heads, bottoms, strict=True):
        edge = reach.get(condition, np.nan)
        if edge > 0:
            span = [head + 0.11, bottom - 0.03]
            axes.fill_between([axes.get_xlim()[0], edge], *span, color=_BAND, linewidth=0, zorder=0)
            axes.plot([edge, edge], span, color=MUTED, linewidth=1.0, linestyle=_DASHES, zorder=1)


def _draw_key(figure: Figure, with_ceiling: bool, with_noise: bool) -> None:
    band = Patch(facecolor=tint(MUTED, 0.28), edgecolor="none", label="noise ceiling: real cells, measured again")
    below = Line2D(
        [], [], linestyle="none", marker="<", markerfacecolor="white", markeredgecolor=MUTED,
        label="≤ noise: estimate at or below zero",
    )  # fmt: skip
    handles = [band] * with_ceiling + [below] * with_noise
    if handles:
        columns = 1 if is_compact(figure.get_figwidth()) else 2
        figure.legend(handles=handles, loc="outside upper left", ncols=columns, labelcolor=INK)


def _reach(row: Mapping) -> float:
    ends = [as_number(row.get(key)) for key in ("high", "value")]
    return max((end for end in ends if np.isfinite(end)), default=np.nan)


def _colours(lines: Sequence[_Line], model: str) -> dict[str, str]:
    names = [name for name in dict.fromkeys(line.estimator for line in lines) if name != model]
    return {model: PREDICTED} | {name: environment_colour(i) for i, name in enumerate(names)}


def _draw_line(axes: Axes, line: _Line, colour: str, floor: float, *, bold: bool) -> None:
    if line.failed:
        axes.text(floor, line.y, f"  {_FAILED}", va="center", fontsize=7.5, color=MUTED, style="italic", zorder=5)
        return
    axes.plot([floor, axes.get_xlim()[1]], [line.y, line.y], color=RULE, linewidth=0.6, linestyle=(0, (1, 3)), zorder=1)
    ends = np.clip([line.low, line.high], floor, None)
    if np.isfinite(ends).all():
        axes.plot(ends, [line.y, line.y], color=colour, linewidth=4.0 if bold else 3.0, alpha=0.45, zorder=3)
    if line.value > 0:
        axes.plot(line.value, line.y, "o", markersize=7 if bold else 6, color=colour, markeredgecolor="white", zorder=4)
    else:
        _mark_below(axes, line, colour, floor)


def _mark_below(axes: Axes, line: _Line, colour: str, floor: float) -> None:
    axes.plot(
        floor, line.y, "<", markersize=7, markerfacecolor="white", markeredgecolor=colour, markeredgewidth=1.3,
        clip_on=False, zorder=5,
    )  # fmt: skip
    start = max(line.high, floor) if np.isfinite(line.high) else floor
    words = axes.annotate(
        "≤ noise", (start, line.y), xytext=(7, 0), textcoords="offset points", va="center", fontsize=7.5, zorder=5
    )
    words.set_path_effects([patheffects.withStroke(linewidth=2.5, foreground="white")])
