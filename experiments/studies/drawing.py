"""The marks that all studies draw with: a median over worlds as a line, its interval as a band."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdae_sim.intervals import Estimate
from pdae_sim.report import new_figure
from pdae_sim.report._palette import plain_decades
from pdae_sim.study.medians import NO_INTERVAL


def panels(n: int, *, height: float, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """A figure with n panels side by side; `height` is that of one panel."""
    figure = new_figure(height + 0.35)
    grid = figure.subplots(1, n, squeeze=False, sharey=sharey)
    return figure, list(grid.flat)


def line(
    axes: Axes, points: Mapping[float, Estimate], label: str, colour: object, *, floor: float | None = None, **style
) -> None:
    """Medians joined by a line, the interval of each as a band; values below `floor` are drawn at it."""
    if not points:
        return
    lift = (lambda y: y) if floor is None else (lambda y: max(y, floor))
    x = list(points)
    look = {"linewidth": 1.3, "marker": "o", "markersize": 3.2} | style
    axes.plot(x, [lift(p.value) for p in points.values()], color=colour, label=label, **look)
    bounded = {at: p.interval for at, p in points.items() if p.interval != NO_INTERVAL}
    if bounded:
        low, high = zip(*((lift(low), lift(high)) for low, high in bounded.values()), strict=True)
        axes.fill_between(list(bounded), low, high, color=colour, alpha=0.16, linewidth=0)


def logarithmic(axes: Axes) -> None:
    """A logarithmic y-axis with plain numbers."""
    axes.set_yscale("log")
    plain_decades(axes.yaxis, *axes.get_ylim())


def legend_below(figure: Figure, axes: list[Axes]) -> None:
    """One legend for all panels, under them, each label once."""
    handles = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4)
