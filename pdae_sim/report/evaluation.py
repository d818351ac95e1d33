"""Distances of every estimator from the true cells, condition by condition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdae_sim.report import _marks as marks
from pdae_sim.report._format import as_float
from pdae_sim.report._palette import DASHED, MUTED, PREDICTED, environment_colour, new_figure, styled, tint

_CEILING_SHARE = 0.18  # how dark the band of the noise ceiling is


@styled
def evaluation_figure(
    rows: Sequence[Mapping], *, metric: str = "energy_distance", model: str = "pdae", ceiling: str | None = "ceiling"
) -> Figure:
    """Energy distance to the true cells by condition and estimator, on a log axis; further left is better.

    The distances are unbiased and may be zero or negative: these are drawn at the left edge as hollow triangles marked
    "≤ noise". The ceiling (real cells of the very condition) is the shaded band of its condition: what lies inside it
    cannot be told from a repeated experiment.

    Args:
        rows: Mappings with condition, estimator, metric, value, low, high, as `evaluate` returns them; rows of other
            metrics are left out, missing and NaN values are marked as failed.
        metric: The metric shown.
        model: The estimator drawn in the colour of predictions.
        ceiling: The estimator that is the noise ceiling; None draws every estimator alike.

    Returns:
        The figure.

    Example:
        >>> row = {"condition": "A+B", "metric": "energy_distance"}
        >>> rows = [row | {"estimator": "pdae", "value": 0.01}, row | {"estimator": "pool", "value": 2.0}]
        >>> figure = evaluation_figure(rows)
        >>> [label.get_text() for label in figure.axes[0].get_yticklabels()]
        ['pdae', 'pool']
    """
    measured = [row for row in rows if row.get("metric") == metric]
    judged = {
        condition: [row for row in measured if str(row["condition"]) == condition and row["estimator"] != ceiling]
        for condition in dict.fromkeys(str(row["condition"]) for row in measured)
    }
    groups = [marks.Group([str(r["estimator"]).replace("_", " ") for r in own], c) for c, own in judged.items()]
    layout = marks.RowLayout.of(*groups)
    figure = new_figure(layout.depth + 0.9)
    axes = figure.add_subplot()
    marks.log_scale(axes, *_limits(measured))
    marks.dress_rows(axes, layout)
    marks.headings(figure, axes, layout)
    axes.set_xlabel(f"{metric.replace('_', ' ')}, log scale", parse_math=False)
    reach = {str(row["condition"]): _reach(row) for row in measured if row["estimator"] == ceiling}
    colours = _colours([str(row["estimator"]) for own in judged.values() for row in own], model)
    for i, (condition, own) in enumerate(judged.items()):
        _draw_ceiling(axes, reach.get(condition, np.nan), layout.span(i))
        for y, row in zip(layout.rows[i], own, strict=True):
            name = str(row["estimator"])
            _draw_row(axes, y, row, colours[name], bold=name == model)
    below = any(as_float(row.get("value")) <= 0 for own in judged.values() for row in own)
    _draw_key(figure, any(edge > 0 for edge in reach.values()), below)
    if not measured:
        axes.text(0.5, 0.5, "no results", transform=axes.transAxes, ha="center", color=MUTED)
    return figure


def _limits(rows: Sequence[Mapping]) -> tuple[float, float]:
    """Room below the smallest positive value for those that are not positive."""
    values = np.array([as_float(row.get(key)) for row in rows for key in ("value", "high")])
    positive = values[np.isfinite(values) & (values > 0)]
    if not positive.size:
        return 1e-4, 1.0
    low, high = positive.min(), positive.max()
    return float(low / 10**0.7), float(max(high, 10 * low) * 10**0.35)


def _reach(row: Mapping) -> float:
    """The upper end of the ceiling's interval, or its value where it has none."""
    ends = [as_float(row.get(key)) for key in ("high", "value")]
    return max((end for end in ends if np.isfinite(end)), default=np.nan)


def _colours(names: Sequence[str], model: str) -> dict[str, str]:
    others = [name for name in dict.fromkeys(names) if name != model]
    return {model: PREDICTED} | {name: environment_colour(i) for i, name in enumerate(others)}


def _draw_ceiling(axes: Axes, edge: float, span: tuple[float, float]) -> None:
    """A band from the left edge to what real cells reach."""
    if edge > 0:
        axes.fill_between([axes.get_xlim()[0], edge], *span, color=tint(MUTED, _CEILING_SHARE), linewidth=0, zorder=0)
        axes.plot([edge, edge], span, color=MUTED, linewidth=1.0, linestyle=DASHED, zorder=1)


def _draw_row(axes: Axes, y: float, row: Mapping, colour: str, *, bold: bool) -> None:
    value, low, high = (as_float(row.get(key)) for key in ("value", "low", "high"))
    floor = axes.get_xlim()[0]
    if not np.isfinite(value):
        marks.text(axes, floor, y, "failed", colour=MUTED, style="italic")
        return
    marks.interval(axes, low, high, y, colour, width=4.0 if bold else 3.0)
    if value > 0:
        marks.dot(axes, value, y, colour, size=7 if bold else 6)
    else:
        marks.dot(axes, floor, y, colour, marker="<", size=7, hollow=True)
        marks.text(axes, np.nanmax([floor, high]), y, "≤ noise")


def _draw_key(figure: Figure, with_ceiling: bool, with_noise: bool) -> None:
    band = marks.patch_key("noise ceiling: real cells, measured again", MUTED, _CEILING_SHARE)
    below = marks.dot_key("≤ noise: estimate at or below zero", MUTED, marker="<", hollow=True)
    marks.key(figure, [band] * with_ceiling + [below] * with_noise)
