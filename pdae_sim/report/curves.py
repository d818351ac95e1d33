"""How the loss terms fell, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import MaxNLocator

from pdae_sim.report._labelling import part_labels, write_end_labels
from pdae_sim.report._palette import MUTED, WIDE, blank, in_house_style, is_compact, settle, tint

_TERM_COLOURS = ("#1f5f99", "#d9661f", "#12755f", "#8e2a63", "#946a00", "#4a5a78", "#3b9a9c", "#b03a5b")
_NOT_TERMS = frozenset({"phase", "step"})
_LOG_RANGE = 20.0  # positive curves that span more than this factor are shown on a log axis
_WINDOW = 7


@in_house_style
def training_curves(history: Sequence[Mapping], *, width: float = WIDE) -> Figure:
    """One panel per phase, one line per loss term: recorded values pale, their running median strong.

    Steps at which a term was not finite are marked at the foot of its panel.

    Args:
        history: Rows ``{"phase": …, "step": …, term: value, …}``; values that are not numbers are left out.
        width: In inches.
    """
    phases = list(dict.fromkeys(row.get("phase", "") for row in history))
    terms = list(dict.fromkeys(name for row in history for name in row if name not in _NOT_TERMS))
    colours = {term: _TERM_COLOURS[i % len(_TERM_COLOURS)] for i, term in enumerate(terms)}
    columns = 1 if is_compact(width) else min(max(len(phases), 1), 2)
    rows = -(-max(len(phases), 1) // columns)
    figure = blank(width, rows * (2.3 if columns > 1 else 2.5))
    grid = figure.subplots(rows, columns, squeeze=False)
    labels = [
        _draw_phase(axes, str(phase), [row for row in history if row.get("phase", "") == phase], colours)
        for axes, phase in zip(grid.flat, phases, strict=False)
    ]
    for axes in grid.flat[len(phases) :]:
        axes.set_axis_off()
    if not phases:
        _say_empty(grid.flat[0])
    settle(figure)
    for axes, written in zip(grid.flat, labels, strict=False):
        part_labels(axes, written)
    return figure


def _say_empty(axes: Axes) -> None:
    axes.text(0.5, 0.5, "no training history", transform=axes.transAxes, ha="center", color=MUTED)


def _draw_phase(axes: Axes, phase: str, rows: Sequence[Mapping], colours: Mapping[str, str]) -> list[Annotation]:
    axes.set_title(phase, fontweight="bold", parse_math=False)
    axes.set_xlabel("step")
    axes.grid(True)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    steps = np.array([float(row.get("step", i)) for i, row in enumerate(rows)])
    curves = {term: _values(rows, term) for term in colours}
    curves = {term: values for term, values in curves.items() if values is not None}
    if _wants_log(curves.values()):
        axes.set_yscale("log")
    for term, values in curves.items():
        _draw_term(axes, steps, values, colours[term])
    return write_end_labels(axes, *_ends(curves), [colours[term] for term in curves])


def _values(rows: Sequence[Mapping], term: str) -> np.ndarray | None:
    """The term along the rows, NaN where it is absent or not a number; None if it never occurs."""
    values = np.array([_number(row.get(term)) for row in rows])
    return values if any(isinstance(row.get(term), (int, float)) for row in rows) else None


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else np.nan


def _wants_log(curves) -> bool:
    finite = np.concatenate([[], *(values[np.isfinite(values)] for values in curves)])
    return bool(finite.size and finite.min() > 0 and finite.max() > _LOG_RANGE * finite.min())


def _draw_term(axes: Axes, steps: np.ndarray, values: np.ndarray, colour: str) -> None:
    fine = np.isfinite(values)
    axes.plot(steps[fine], values[fine], color=tint(colour, 0.35), linewidth=0.8, zorder=2)
    smooth = _running_median(values[fine])
    axes.plot(steps[fine], smooth, color=colour, linewidth=1.6, zorder=3)
    if not fine.all():
        foot = axes.get_xaxis_transform()
        axes.plot(steps[~fine], np.full((~fine).sum(), 0.02), "x", color=colour, transform=foot, markersize=4, zorder=5)


def _running_median(values: np.ndarray) -> np.ndarray:
    if len(values) < 3 * _WINDOW:
        return values
    padded = np.pad(values, _WINDOW // 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW), axis=1)


def _ends(curves: Mapping[str, np.ndarray]) -> tuple[list[float], list[str]]:
    """The last finite value of every curve, and what to write beside it."""
    lasts = [_last(values) for values in curves.values()]
    words = [f"{last:.3g}".replace("-", "−") if np.isfinite(last) else "never finite" for last in lasts]
    return lasts, [f"{term.replace('_', ' ')} {word}" for term, word in zip(curves, words, strict=True)]


def _last(values: np.ndarray) -> float:
    fine = values[np.isfinite(values)]
    return float(_running_median(fine)[-1]) if len(fine) else np.nan
