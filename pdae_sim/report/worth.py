"""What predictions are worth in cells: n_eff of every estimator with its interval, on a log axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from pdae_sim._checks import whole
from pdae_sim.errors import InputError
from pdae_sim.report._palette import (
    INK,
    MUTED,
    PREDICTED,
    TRUE,
    WIDE,
    environment_colour,
    in_house_style,
    is_compact,
    tint,
)
from pdae_sim.report._rows import Block, guide, key, number, ruled
from pdae_sim.report.outcomes import as_number

METRIC, MODEL, CEILING = "n_eff", "pdae", "ceiling"
_DASHES = (0, (4, 2))


@dataclass(frozen=True)
class _Ends:
    """n_eff with its interval; `high` infinite where the distance could not be told from zero, NaN where it failed."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, row: Mapping) -> _Ends:
        value, low, high = (as_number(row.get(k)) for k in ("value", "low", "high"))
        return cls(value, low, np.inf if np.isnan(high) and np.isfinite(value) else high)


@in_house_style
def worth_in_cells(
    rows: Sequence[Mapping],
    *,
    training_cells: int | None = None,
    model: str = MODEL,
    ceiling: str | None = CEILING,
    width: float = WIDE,
) -> Figure:
    """n_eff by condition and estimator: a prediction is as good as an experiment with so many cells; right is better.

    A dot is an estimate with its 95 % interval. Where the energy distance cannot be told from zero only a lower bound
    is known: a bar from there to the right, with an arrow and "≥". The ceiling (real cells of the very condition) is
    the dashed line of its condition; where it too is only bounded, what lies beyond it cannot be told from more real
    cells.

    Args:
        rows: Mappings with condition, estimator, metric, value, low, high, as `evaluate` gives them: high is None where
            there is no upper end. Rows of other metrics are left out, missing and NaN values marked as failed.
        training_cells: All cells the estimators were fitted to: the dotted line.
        model: The estimator drawn in the colour of predictions.
        ceiling: The estimator that is the ceiling; None draws every estimator alike.
        width: In inches.

    Raises:
        InputError: If no row measures n_eff, a row lacks its condition or estimator, or a value is not positive.

    References:
        The effective sample size of a prediction, E‖X − X'‖ / ED.
    """
    shown = _checked(rows)
    blocks, ends, roofs = _arranged(shown, ceiling)
    compact = is_compact(width)
    sheet = ruled(blocks, width, below=1.2 if compact else 0.95)
    limits = _limits([e for each in ends for e in each], roofs, training_cells)
    _axis(sheet.axes, limits)
    colours = _colours([name for block in blocks for name in block.lines], model)
    for block, heights, found, roof in zip(blocks, sheet.heights, ends, roofs, strict=True):
        for name, y, e in zip(block.lines, heights, found, strict=True):
            _draw(sheet.axes, y, e, colours[name], bold=name == model)
        _draw_roof(sheet.axes, heights, roof)
    if training_cells is not None:
        sheet.axes.axvline(whole("training_cells", training_cells), color=MUTED, lw=1.2, ls=(0, (1, 1.5)), zorder=1)
    _key(sheet.figure, roofs, training_cells, any(np.isinf(e.high) for each in ends for e in each), compact)
    return sheet.figure


def _checked(rows: Sequence[Mapping]) -> list[Mapping]:
    shown = [row for row in rows if row.get("metric") == METRIC]
    if not shown:
        raise InputError(f"rows must hold the metric {METRIC}; evaluate gives it beside energy_distance")
    for row in shown:
        if missing := [field for field in ("condition", "estimator") if row.get(field) is None]:
            raise InputError(f"rows must name the {missing[0]} of every {METRIC}; one does not")
        if as_number(row.get("value")) <= 0:
            raise InputError(f"{METRIC} must be positive; received {row['value']!r} for {row['estimator']!r}")
    return shown


def _arranged(
    rows: Sequence[Mapping], ceiling: str | None
) -> tuple[list[Block], list[list[_Ends]], list[_Ends | None]]:
    """Per condition its block of estimators, best first, their intervals, and the ceiling."""
    blocks, ends, roofs = [], [], []
    for condition in dict.fromkeys(row["condition"] for row in rows):
        own = {str(row["estimator"]): _Ends.of(row) for row in rows if row["condition"] == condition}
        roof = own.pop(ceiling, None)
        order = sorted(own, key=lambda name: -np.nan_to_num(own[name].value, nan=-np.inf))
        blocks.append(Block(str(condition), (), tuple(order)))
        ends.append([own[name] for name in order])
        roofs.append(roof)
    return blocks, ends, roofs


def _limits(ends: Sequence[_Ends], roofs: Sequence[_Ends | None], training_cells: int | None) -> tuple[float, float]:
    """A log axis that holds every finite number, with room at the right for what has no upper end."""
    every = [number for e in (*ends, *(r for r in roofs if r)) for number in (e.value, e.low, e.high)]
    finite = [v for v in (*every, training_cells or np.nan) if np.isfinite(v) and v > 0] or [1.0]
    return min(finite) / 1.8, max(*finite, 10 * min(finite)) * 3.0


def _axis(axes: Axes, limits: tuple[float, float]) -> None:
    axes.set(xscale="log", xlim=limits, xlabel="n_eff: cells of an experiment as good, log scale")
    axes.xaxis.set_major_locator(LogLocator(numticks=7))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())


def _colours(names: Sequence[str], model: str) -> dict[str, str]:
    others = [name for name in dict.fromkeys(names) if name != model]
    return {model: PREDICTED} | {name: environment_colour(i) for i, name in enumerate(others)}


def _draw(axes: Axes, y: float, ends: _Ends, colour: str, *, bold: bool) -> None:
    guide(axes, y)
    left, right = axes.get_xlim()
    if np.isnan(ends.value):
        axes.text(left, y, "  failed", va="center", fontsize=7.5, color=MUTED, style="italic", zorder=5)
        return
    line, low = 4.0 if bold else 3.0, max(ends.low, left) if np.isfinite(ends.low) else ends.value
    if np.isinf(ends.high):
        axes.plot([low, right], [y, y], color=tint(colour, 0.55), linewidth=line, zorder=3, solid_capstyle="butt")
        axes.plot(right, y, ">", color=tint(colour, 0.8), markersize=6, clip_on=False, zorder=4)
        axes.plot(low, y, "|", color=colour, markersize=9, markeredgewidth=2.2, zorder=4)
    else:
        axes.plot([low, ends.high], [y, y], color=tint(colour, 0.55), linewidth=line, zorder=3)
        axes.plot(ends.value, y, "o", markersize=7 if bold else 6, color=colour, markeredgecolor="white", zorder=4)
    _write(axes, y, ends)


def _write(axes: Axes, y: float, ends: _Ends) -> None:
    """The number beside the axes, where nothing can cover it."""
    bounded = np.isfinite(ends.high)
    axes.annotate(
        number(round(ends.value)) if bounded and ends.value >= 10 else f"{'' if bounded else '≥ '}{number(ends.value)}",
        (1.0, y), xycoords=("axes fraction", "data"), xytext=(9, 0), textcoords="offset points", va="center",
        fontsize=7.8, color=INK, annotation_clip=False,
    )  # fmt: skip


def _draw_roof(axes: Axes, heights: Sequence[float], roof: _Ends | None) -> None:
    if roof is None or not np.isfinite(roof.value) or not heights:
        return
    span = [heights[0] - 0.1, heights[-1] + 0.1]
    axes.plot([roof.value] * 2, span, color=TRUE, linewidth=1.4, linestyle=_DASHES, zorder=2)
    if np.isinf(roof.high):
        axes.plot(roof.value, span[0], ">", color=TRUE, markersize=4.5, zorder=3)


def _key(
    figure: Figure, roofs: Sequence[_Ends | None], training_cells: int | None, unbounded: bool, compact: bool
) -> None:
    handles = []
    if any(r is not None and np.isfinite(r.value) for r in roofs):
        handles.append(Line2D([], [], color=TRUE, linestyle=_DASHES, label="ceiling: real cells (▸ at least)"))
    if training_cells is not None:
        words = f"{training_cells:,} training cells"
        handles.append(Line2D([], [], color=MUTED, linestyle=(0, (1, 1.5)), label=words))
    if unbounded:
        look = {"color": tint(MUTED, 0.7), "linewidth": 3, "marker": "|", "markersize": 8}
        handles.append(Line2D([], [], label="at least: no upper end", **look))
    key(figure, handles, columns=1 if compact else 3)
