"""Loss terms during training, phase by phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, LogLocator, MaxNLocator, NullLocator

from pdae_sim.report._format import format_value
from pdae_sim.report._palette import MUTED, new_figure, styled, tint

_TERM_COLOURS = ("#1f5f99", "#d9661f", "#12755f", "#8e2a63", "#946a00", "#4a5a78", "#3b9a9c", "#b03a5b")
_NOT_TERMS = frozenset({"phase", "step"})
_LOG_RANGE = 20.0  # positive curves that span more than this factor are shown on a log axis
_WINDOW = 7  # records of a running median


@styled
def training_figure(history: Sequence[Mapping]) -> Figure:
    """Loss terms of a fit, a panel per phase: recorded values pale, their running median strong.

    Beside a panel stands where each term ended, the highest first. Steps at which a term was not finite are marked at
    the foot of the panel.

    Args:
        history: Rows ``{"phase": …, "step": …, term: value, …}``, for instance `PDAE.history_`; values that are not
            numbers are left out.

    Returns:
        The figure.

    Example:
        >>> rows = [{"phase": "chart", "step": s, "reconstruction": 1 / (1 + s)} for s in range(50)]
        >>> [axes.get_title(loc="left") for axes in training_figure(rows).axes]
        ['chart']
    """
    phases = list(dict.fromkeys(row.get("phase", "") for row in history))
    terms = list(dict.fromkeys(name for row in history for name in row if name not in _NOT_TERMS))
    colours = {term: _TERM_COLOURS[i % len(_TERM_COLOURS)] for i, term in enumerate(terms)}
    figure = new_figure(1.75 * max(len(phases), 1))
    panels = figure.subplots(max(len(phases), 1), 1, squeeze=False)[:, 0]
    for axes, phase in zip(panels, phases, strict=False):
        _draw_phase(axes, str(phase), [row for row in history if row.get("phase", "") == phase], colours)
    if not phases:
        panels[0].text(0.5, 0.5, "no training history", ha="center", color=MUTED)
        panels[0].set_axis_off()
    return figure


def _draw_phase(axes: Axes, phase: str, rows: Sequence[Mapping], colours: Mapping[str, str]) -> None:
    axes.set_title(phase, fontweight="bold", parse_math=False)
    axes.set_xlabel("step")
    axes.grid(True)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    curves = {term: curve for term in colours if len(curve := _curve(rows, term))}
    finite = np.concatenate([[], *(curve[np.isfinite(curve[:, 1]), 1] for curve in curves.values())])
    if finite.size and finite.min() > 0 and finite.max() > _LOG_RANGE * finite.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=6))
        axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.yaxis.set_minor_locator(NullLocator())
    ends = [_draw_term(axes, term, curve, colours[term]) for term, curve in curves.items()]
    _write_ends(axes, ends)


def _curve(rows: Sequence[Mapping], term: str) -> np.ndarray:
    """(n, 2) steps and values where the term was recorded as a number."""
    points = [
        (float(row.get("step", i)), float(row[term]))
        for i, row in enumerate(rows)
        if isinstance(row.get(term), (int, float))
    ]
    return np.array(points).reshape(-1, 2)


def _draw_term(axes: Axes, term: str, curve: np.ndarray, colour: str) -> float:
    """The curve of a term; returns where its running median ends, NaN if it is never finite."""
    steps, values = curve.T
    fine = np.isfinite(values)
    axes.plot(steps[fine], values[fine], color=tint(colour, 0.35), linewidth=0.8, zorder=2)
    smooth = _running_median(values[fine])
    end = float(smooth[-1]) if len(smooth) else np.nan
    label = f"{term.replace('_', ' ')} {format_value(end) if fine.any() else 'never finite'}"
    axes.plot(steps[fine], smooth, color=colour, linewidth=1.6, zorder=3, label=label)
    if not fine.all():
        foot = axes.get_xaxis_transform()
        axes.plot(steps[~fine], np.full((~fine).sum(), 0.02), "x", color=colour, transform=foot, markersize=4, zorder=5)
    return end


def _write_ends(axes: Axes, ends: Sequence[float]) -> None:
    handles = [line for line in axes.lines if not str(line.get_label()).startswith("_")]
    order = np.argsort([-np.nan_to_num(end, nan=-np.inf) for end in ends], kind="stable")
    legend = axes.legend(
        handles=[handles[i] for i in order], loc="center left", bbox_to_anchor=(1.0, 0.5), labelcolor="linecolor",
        handlelength=0.0, fontsize=8.4, borderpad=0.0,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def _running_median(values: np.ndarray) -> np.ndarray:
    if len(values) < 3 * _WINDOW:
        return values
    padded = np.pad(values, _WINDOW // 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, _WINDOW), axis=1)
