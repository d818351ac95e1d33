"""The three verdicts drawn: what training cells are worth at unseen conditions, and predictions against what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

from pdae_sim._checks import choice
from pdae_sim.errors import InputError
from pdae_sim.report._palette import (
    INK,
    MUTED,
    PAPER,
    PREDICTED,
    RULE,
    TRUE,
    VERDICTS,
    WIDE,
    blank,
    in_house_style,
    is_compact,
    tint,
)
from pdae_sim.report.outcomes import as_number
from pdae_sim.verdicts import MIN_EFFECTIVE_CELLS, NOT_IDENTIFIED

_ROW = 0.3  # inches a condition
_LEAST = 0.1
"""Effective cells at the left edge; fewer are drawn there as an arrow."""


@in_house_style
def verdict_chart(rows: Sequence[Mapping], *, threshold: float = MIN_EFFECTIVE_CELLS, width: float = WIDE) -> Figure:
    """What training cells are worth at each unseen condition, and how well its shift is known.

    On the left the effective cells with their interval on a log axis, the threshold of support dashed, the truth as a
    hollow ring where it is known; fewer than a tenth of a cell are drawn as an arrow at the edge. On the right the
    standard error of the shift.

    Args:
        rows: Mappings with condition, verdict, effective_cells, effective_cells_interval, standard_error, and truth (a
            mapping with effective_cells) or None, as `pdae-sim span --json` gives them.
        threshold: Effective cells from which a condition is supported.
        width: In inches.

    Raises:
        InputError: If a verdict is unknown or there is no row.
    """
    if not rows:
        raise InputError("rows must hold at least one verdict")
    for row in rows:
        choice("verdict", row["verdict"], VERDICTS)
    compact = is_compact(width)
    figure = blank(width, (2 if compact else 1) * (len(rows) * _ROW + 0.65) + (1.1 if compact else 0.7))
    shape = {"nrows": 2} if compact else {"ncols": 2, "width_ratios": (3, 2), "sharey": True}
    cells, errors = figure.subplots(**shape)
    _draw_cells(cells, rows, threshold)
    _draw_errors(errors, rows)
    for axes in (cells, errors) if compact else (cells,):
        axes.set_yticks(range(len(rows)), [str(row["condition"]) for row in rows], parse_math=False)
    for axes in (cells, errors):
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.spines["left"].set_visible(False)
        axes.grid(True, axis="x")
    _draw_key(figure, rows, compact)
    return figure


def _draw_cells(axes: Axes, rows: Sequence[Mapping], threshold: float) -> None:
    values = [as_number(v) for row in rows for v in (row["effective_cells"], *_interval(row), _true_cells(row))]
    top = max([threshold, *(v for v in values if np.isfinite(v))])
    axes.set(xscale="log", xlim=(_LEAST * 0.8, 4 * top), xlabel="effective cells")
    axes.xaxis.set_major_locator(LogLocator(numticks=7))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.axvline(threshold, color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)), zorder=1)
    for y, row in enumerate(rows):
        _draw_worth(axes, y, row)


def _draw_worth(axes: Axes, y: float, row: Mapping) -> None:
    look, value = VERDICTS[row["verdict"]], as_number(row["effective_cells"])
    if not np.isfinite(value):
        said = NOT_IDENTIFIED if row["verdict"] == NOT_IDENTIFIED else "support unknown"
        axes.text(_LEAST, y, said, va="center", fontsize=8.2, color=look.colour, style="italic")
        return
    low, high = _interval(row)
    if high > _LEAST:
        axes.plot([max(low, _LEAST), high], [y, y], color=tint(look.colour, 0.4), linewidth=5.0, zorder=2)
    true = _true_cells(row)
    if np.isfinite(true):
        axes.plot(max(true, _LEAST), y, "o", markersize=11, markerfacecolor="none", markeredgecolor=TRUE, zorder=3)
    marker = look.marker if value > _LEAST else "<"
    axes.plot(max(value, _LEAST), y, marker, markersize=6.5, color=look.colour, markeredgecolor=PAPER, zorder=4)


def _draw_errors(axes: Axes, rows: Sequence[Mapping]) -> None:
    values = np.array([as_number(row["standard_error"]) for row in rows])
    known = values[np.isfinite(values)]
    axes.set(xlim=(0, 1.15 * known.max() if known.size and known.max() > 0 else 1.0))
    axes.set_xlabel("standard error of the shift" if is_compact(axes.figure.get_figwidth()) else
                    "standard error of the shift, latent sd")  # fmt: skip
    for y, (row, value) in enumerate(zip(rows, values, strict=True)):
        colour = VERDICTS[row["verdict"]].colour
        if np.isfinite(value):
            axes.plot([0, value], [y, y], color=RULE, linewidth=1.2, zorder=1)
            axes.plot(value, y, "o", markersize=6, color=colour, markeredgecolor=PAPER, zorder=3)
        else:
            axes.text(0, y, " none" if row["verdict"] == NOT_IDENTIFIED else " unknown", va="center", fontsize=8.2,
                      color=colour, style="italic")  # fmt: skip


def _draw_key(figure: Figure, rows: Sequence[Mapping], compact: bool) -> None:
    handles = [
        Line2D([], [], linestyle="none", marker=look.marker, markersize=7, color=look.colour, label=name)
        for name, look in VERDICTS.items()
        if name in {row["verdict"] for row in rows} and name != NOT_IDENTIFIED
    ]
    handles.append(
        Line2D(
            [],
            [],
            color=MUTED,
            linewidth=1.0,
            linestyle=(0, (4, 2)),
            label="threshold" if compact else "threshold of support",
        )
    )
    if any(as_number(row["effective_cells"]) <= _LEAST for row in rows):
        handles.append(Line2D([], [], linestyle="none", marker="<", color=INK, label=f"fewer than {_LEAST:g}"))
    if any(np.isfinite(_true_cells(row)) for row in rows):
        handles.append(Line2D([], [], linestyle="none", marker="o", markersize=10, markerfacecolor="none",
                              markeredgecolor=TRUE, label="truth"))  # fmt: skip
    figure.legend(handles=handles, loc="outside upper left", ncols=2 if compact else 3, labelcolor=INK)


@dataclass(frozen=True, eq=False)
class Calibration:
    """One quantity predicted and realised, many times.

    Args:
        name: What it is, with its unit.
        predicted: (n,) positive.
        realised: (n,) positive.
        low, high: (n,) ends of the interval of each prediction; None where it has none.
    """

    name: str
    predicted: np.ndarray
    realised: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


@in_house_style
def calibration(panels: Sequence[Calibration], *, width: float = WIDE) -> Figure:
    """Predicted against realised on log axes of one scale, a panel per quantity: on the line the prediction came true.

    Args:
        panels: What was predicted and what came.
        width: In inches; a narrow figure has its panels one below the other.

    Raises:
        InputError: If there is no panel, or lengths disagree.
    """
    if not panels or any(len(p.predicted) != len(p.realised) or not len(p.predicted) for p in panels):
        raise InputError("panels must be at least one, each with as many realised as predicted values, and some")
    columns = 1 if is_compact(width) else min(len(panels), 2 if len(panels) in (2, 4) else 3)
    n_rows = -(-len(panels) // columns)
    figure = blank(width, n_rows * (width / columns + 0.1))
    grid = np.atleast_1d(figure.subplots(n_rows, columns)).ravel()
    for axes, panel in zip(grid, panels, strict=False):
        _draw_panel(axes, panel)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    return figure


def _draw_panel(axes: Axes, panel: Calibration) -> None:
    x, y = (np.asarray(v, dtype=np.float64) for v in (panel.predicted, panel.realised))
    both = np.concatenate([x, y])
    both = both[both > 0]
    limits = (both.min() / 1.5, both.max() * 1.5) if both.size else (0.1, 1.0)
    axes.set(xscale="log", yscale="log", xlim=limits, ylim=limits, aspect="equal", xlabel="predicted")
    axes.set(ylabel="realised", title=panel.name)
    axes.grid(True)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 3), numticks=9))
        axis.set_major_formatter(FormatStrFormatter("%g"))
        axis.set_minor_formatter(NullFormatter())
    if panel.low is not None:
        axes.hlines(y, np.maximum(panel.low, limits[0]), np.maximum(panel.high, limits[0]), linewidth=0.8,
                    color=tint(PREDICTED, 0.35), zorder=2)  # fmt: skip
    axes.plot(limits, limits, color=TRUE, linewidth=1.2, zorder=3)
    size = 4.0 if len(x) <= 200 else 2.2
    axes.plot(x, y, "o", markersize=size, color=PREDICTED, markeredgewidth=0, alpha=0.7, zorder=4)


def _interval(row: Mapping) -> tuple[float, float]:
    interval = row.get("effective_cells_interval")
    return (np.nan, np.nan) if interval is None else (as_number(interval[0]), as_number(interval[1]))


def _true_cells(row: Mapping) -> float:
    truth = row.get("truth")
    return np.nan if truth is None or row["verdict"] == NOT_IDENTIFIED else as_number(truth.get("effective_cells"))
