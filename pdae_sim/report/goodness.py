"""p-values of a goodness of fit by part and condition, and what the model is worth beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from pdae_sim._checks import between
from pdae_sim.analysis.hypothesis_tests.goodness import GoodnessOfFit, ModelPart, PartGoodness
from pdae_sim.report._palette import INK, MUTED, PREDICTED, RULE, TRUE, WIDE, blank, in_house_style, is_compact

TITLES = {
    ModelPart.TRANSPORT: "transport: cells of other conditions, moved",
    ModelPart.SHIFTS: "shifts: base latents have one law",
    ModelPart.BASE: "base: that law is N(0, I)",
    ModelPart.DECODER: "decoder: cells encoded and decoded",
}
_DASHES = (0, (4, 2))
_ROW, _GAP = 0.19, 0.32  # inches: a line of the figure, and what the title of a part adds to it


@in_house_style
def goodness_figure(found: GoodnessOfFit, *, level: float = 0.05, width: float = WIDE) -> Figure:
    """Left: p-values by part and condition with the threshold below which one is rejected. Right: the worth in cells.

    The threshold of a part is where Holm's method stops there, over its conditions and over the parts. A worth without
    an upper end is an arrow from its lower one. In a figure as wide as a phone the worth stands below.

    Args:
        found: The goodness of fit.
        level: Of the family of all tests.
        width: In inches.
    """
    between("level", level, 0.0, 1.0)
    lines, heads, depth = _arrange(list(found.parts.values()))
    compact = is_compact(width)
    figure = blank(width, (2 if compact else 1) * depth + 0.85 * (2 if compact else 1) + 0.25)
    left, right = figure.subplots(2, 1) if compact else figure.subplots(1, 2, sharey=True, width_ratios=(1, 1))
    for axes in (left, right):
        _dress(axes, lines, depth)
    if not compact:
        right.tick_params(labelleft=False)
    _draw_p_values(left, found, lines, heads, level)
    _draw_worth(right, found, lines)
    for axes in (left, right) if compact else (left,):
        _draw_titles(axes, heads, found.faults(level), compact)
    _draw_key(figure, found.cells, level, compact)
    return figure


def _arrange(parts: Sequence[PartGoodness]) -> tuple[list[tuple[float, PartGoodness, str]], dict[str, float], float]:
    """A line per comparison, the height of each part's title, and the total height, in inches from the top."""
    lines, heads, y = [], {}, 0.0
    for part in parts:
        y += _GAP
        heads[part.name] = y - 0.08
        for condition in dict.fromkeys([*part.tests.p_values, *part.worth]):
            y += _ROW
            lines.append((y, part, condition))
    return lines, heads, y + 0.15


def _dress(axes: Axes, lines: Sequence[tuple[float, PartGoodness, str]], depth: float) -> None:
    axes.set(xscale="log", ylim=(depth, 0.0))
    axes.set_yticks([y for y, _, _ in lines], [name for _, _, name in lines], parse_math=False)
    axes.tick_params(axis="y", length=0, pad=6, labelcolor=INK)
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.spines["left"].set_visible(False)
    axes.grid(True, axis="x")


def _draw_titles(axes: Axes, heads: dict[str, float], faults: Sequence[str], compact: bool) -> None:
    for part, y in heads.items():
        axes.text(
            0.0, y, part if compact else TITLES[part], transform=axes.get_yaxis_transform(), va="center",
            fontweight="bold", fontsize=8.6, color=PREDICTED if part in faults else INK, zorder=6,
        )  # fmt: skip


def _draw_p_values(axes: Axes, found: GoodnessOfFit, lines, heads: dict[str, float], level: float) -> None:
    shown = [part.tests.p_values[name] for _, part, name in lines if name in part.tests.p_values]
    thresholds = {name: found.threshold(name, level) for name in found.parts}
    axes.set(xlim=(0.5 * min(*shown, *thresholds.values()), 1.4), xlabel="p-value, log scale")
    for name, threshold in thresholds.items():
        bottom = max(y for y, part, _ in lines if part.name == name)
        axes.plot([threshold] * 2, [heads[name] + 0.12, bottom + 0.09], color=MUTED, linestyle=_DASHES, linewidth=1.0)
    for y, part, condition in lines:
        if condition in part.tests.p_values:
            p = part.tests.p_values[condition]
            _draw_point(axes, p, y, p <= thresholds[part.name] and part.name in found.faults(level))


def _draw_point(axes: Axes, x: float, y: float, rejected: bool) -> None:
    colour, marker = (PREDICTED, "X") if rejected else (TRUE, "o")
    axes.plot(x, y, marker, markersize=7 if rejected else 5.5, color=colour, markeredgecolor="white", zorder=4)


def _draw_worth(axes: Axes, found: GoodnessOfFit, lines) -> None:
    known = [(y, part.worth[name]) for y, part, name in lines if name in part.worth]
    ends = [end for _, w in known for end in (w.value, *w.interval) if np.isfinite(end)]
    low, high = min([*ends, found.cells]) / 1.8, max([*ends, found.cells]) * 3
    axes.set(xlim=(low, high), xlabel="worth in cells, log scale")
    axes.axvline(found.cells, color=MUTED, linestyle=_DASHES, linewidth=1.0, zorder=1)
    for y, w in known:
        end = w.interval.high if w.bounded else high
        axes.plot([low, high], [y, y], color=RULE, linewidth=0.6, linestyle=(0, (1, 3)), zorder=1)
        axes.plot([w.interval.low, end], [y, y], color=TRUE, linewidth=3, alpha=0.45, zorder=3)
        if w.bounded:
            axes.plot(w.value, y, "o", markersize=5.5, color=TRUE, markeredgecolor="white", zorder=4)
        else:
            axes.plot(end, y, ">", markersize=6, color=TRUE, clip_on=False, zorder=4)


def _draw_key(figure: Figure, cells: float, level: float, compact: bool) -> None:
    point = {"linestyle": "none", "markeredgecolor": "white"}
    handles = [
        Line2D([], [], marker="o", markersize=6, color=TRUE, label="not told apart", **point),
        Line2D([], [], marker="X", markersize=7.5, color=PREDICTED, label="told apart from the truth", **point),
        Line2D([], [], color=MUTED, linestyle=_DASHES, label=f"Holm's threshold at {level:g}; {cells:g} cells"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=1 if compact else 3, labelcolor=INK)
