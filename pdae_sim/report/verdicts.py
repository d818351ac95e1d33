"""Verdicts on unseen conditions: what training cells are worth there, and how well the shift is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdae_sim._checks import choice
from pdae_sim.errors import InputError
from pdae_sim.intervals import Interval
from pdae_sim.report import _marks as marks
from pdae_sim.report._format import as_float
from pdae_sim.report._palette import DASHED, INK, MUTED, RULE, TRUE, VERDICT_LOOKS, new_figure, styled
from pdae_sim.verdicts import MIN_EFFECTIVE_CELLS, NOT_IDENTIFIED

_LEAST = 0.1
"""Effective cells at the left edge; fewer are drawn there as an arrow."""


@styled
def verdict_figure(rows: Sequence[Mapping], *, threshold: float = MIN_EFFECTIVE_CELLS) -> Figure:
    """Effective cells and standard error of the shift at unseen conditions, in the colours of their verdicts.

    On the left the effective cells with their interval on a log axis, the threshold of support dashed, the truth as a
    hollow ring where it is known; fewer than a tenth of a cell are drawn as an arrow at the edge. On the right the
    standard error of the shift.

    Args:
        rows: Mappings with condition, verdict, effective_cells, effective_cells_interval, standard_error, and truth (a
            mapping with effective_cells) or None, as `pdae-sim span --json` prints them.
        threshold: Effective cells from which a condition is supported.

    Returns:
        The figure.

    Raises:
        InputError: If a verdict is unknown or there is no row.

    Example:
        >>> row = {"condition": "A+C", "verdict": "not identified", "effective_cells": None, "standard_error": None}
        >>> [text.get_text() for text in verdict_figure([row]).axes[0].texts if text.get_text()]
        ['not identified']
    """
    if not rows:
        raise InputError("rows must hold at least one verdict")
    for row in rows:
        choice("verdict", row["verdict"], VERDICT_LOOKS)
    layout = marks.RowLayout.of(marks.Group([str(row["condition"]) for row in rows]))
    figure = new_figure(layout.depth + 1.0)
    cells, errors = figure.subplots(1, 2, width_ratios=(3, 2))
    marks.log_scale(cells, 0.8 * _LEAST, 4 * _most(rows, threshold))
    _limit_errors(errors, rows)
    for axes, named in ((cells, True), (errors, False)):
        marks.dress_rows(axes, layout, named=named)
    cells.axvline(threshold, color=MUTED, linewidth=1.0, linestyle=DASHED, zorder=1)
    for y, row in zip(layout.rows[0], rows, strict=True):
        _draw_cells(cells, y, row)
        _draw_error(errors, y, row)
    _draw_key(figure, rows)
    return figure


def _most(rows: Sequence[Mapping], threshold: float) -> float:
    values = [v for row in rows for v in (as_float(row["effective_cells"]), _interval(row).high, _true_cells(row))]
    return max([threshold, *(v for v in values if np.isfinite(v))])


def _limit_errors(axes: Axes, rows: Sequence[Mapping]) -> None:
    known = [v for row in rows if np.isfinite(v := as_float(row["standard_error"]))]
    axes.set_xlim(0, 1.15 * max(known, default=0.0) or 1.0)
    axes.set_xlabel("standard error of the shift, latent sd", loc="right")


def _draw_cells(axes: Axes, y: float, row: Mapping) -> None:
    axes.set_xlabel("effective cells")
    look, value, truth = VERDICT_LOOKS[row["verdict"]], as_float(row["effective_cells"]), _true_cells(row)
    if not np.isfinite(value):
        reason = NOT_IDENTIFIED if row["verdict"] == NOT_IDENTIFIED else "support unknown"
        marks.text(axes, axes.get_xlim()[0], y, reason, colour=look.colour, style="italic")
        return
    marks.interval(axes, *_interval(row), y, look.colour, width=5.0)
    if np.isfinite(truth):
        marks.dot(axes, max(truth, _LEAST), y, TRUE, size=11, hollow=True)
    marks.dot(axes, max(value, _LEAST), y, look.colour, marker=look.marker if value > _LEAST else "<", size=6.5)


def _draw_error(axes: Axes, y: float, row: Mapping) -> None:
    value, colour = as_float(row["standard_error"]), VERDICT_LOOKS[row["verdict"]].colour
    if np.isfinite(value):
        axes.plot([0, value], [y, y], color=RULE, linewidth=1.2, zorder=1)
        marks.dot(axes, value, y, colour)
    else:
        marks.text(axes, 0, y, "none" if row["verdict"] == NOT_IDENTIFIED else "unknown", colour=colour, style="italic")


def _draw_key(figure: Figure, rows: Sequence[Mapping]) -> None:
    verdicts = {row["verdict"] for row in rows} - {NOT_IDENTIFIED}
    handles = [
        marks.dot_key(name, look.colour, marker=look.marker) for name, look in VERDICT_LOOKS.items() if name in verdicts
    ]
    handles.append(marks.line_key("threshold of support", MUTED))
    if any(as_float(row["effective_cells"]) <= _LEAST for row in rows):
        handles.append(marks.dot_key(f"fewer than {_LEAST:g}", INK, marker="<"))
    if any(np.isfinite(_true_cells(row)) for row in rows):
        handles.append(marks.dot_key("truth", TRUE, hollow=True, size=10))
    marks.key(figure, handles)


def _interval(row: Mapping) -> Interval:
    low, high = row.get("effective_cells_interval") or (None, None)
    return Interval(as_float(low), as_float(high))


def _true_cells(row: Mapping) -> float:
    truth = row.get("truth")
    return np.nan if truth is None or row["verdict"] == NOT_IDENTIFIED else as_float(truth.get("effective_cells"))
