"""Rows of dots and intervals under headings, and keys: the drawing that most figures share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from matplotlib.transforms import blended_transform_factory

from pdae_sim.report._format import truncated
from pdae_sim.report._palette import DASHED, INK, MUTED, PAPER, RULE, Dashes, tint

_ROW, _HEADING, _GAP = 0.19, 0.18, 0.1  # inches
_LETTERS = 32  # of a row's name


@dataclass(frozen=True)
class Group:
    """Rows under a heading.

    Args:
        names: Text at the left of each row.
        heading: In bold; empty for none.
        colour: Of the heading.
    """

    names: Sequence[str]
    heading: str = ""
    colour: str = INK


@dataclass(frozen=True)
class RowLayout:
    """Heights of groups of rows, in inches from the top of their axes.

    Args:
        groups: From the top.
        headings: One height per group.
        rows: The heights of the rows of each group.
        depth: Of all axes.
    """

    groups: tuple[Group, ...]
    headings: tuple[float, ...]
    rows: tuple[tuple[float, ...], ...]
    depth: float

    @classmethod
    def of(cls, *groups: Group) -> RowLayout:
        """The layout of these groups, one below the other."""
        headings, rows, y = [], [], 0.0
        for group in groups:
            y += _GAP + _HEADING * bool(group.heading)
            headings.append(y - 0.03)
            rows.append(tuple(y + _ROW * (k + 0.5) for k in range(len(group.names))))
            y += _ROW * len(group.names)
        return cls(groups, tuple(headings), tuple(rows), max(y + _GAP, 0.6))

    def span(self, position: int) -> tuple[float, float]:
        """Upper and lower end of the rows of a group."""
        return self.headings[position] + 0.05, (self.rows[position] or self.headings)[-1] + _ROW / 2


def dress_rows(axes: Axes, layout: RowLayout, *, named: bool = True) -> None:
    """Give axes the height of the layout, its guides and, where `named`, the names of its rows."""
    heights = [y for rows in layout.rows for y in rows]
    axes.set_ylim(layout.depth, 0.0)
    if named:
        names = [truncated(str(name), _LETTERS) for group in layout.groups for name in group.names]
        axes.set_yticks(heights, names, parse_math=False)
    axes.tick_params(axis="y", length=0, pad=6, labelcolor=INK, labelleft=named)
    axes.spines["left"].set_visible(False)
    axes.grid(True, axis="x")
    for y in heights:
        axes.axhline(y, color=RULE, linewidth=0.6, linestyle=(0, (1, 3)), zorder=1)


def headings(figure: Figure | SubFigure, axes: Axes, layout: RowLayout) -> None:
    """The headings of all groups, from the left edge of the figure, over whatever stands there."""
    place = blended_transform_factory(figure.transFigure, axes.transData)
    for group, y in zip(layout.groups, layout.headings, strict=True):
        axes.text(
            0.012, y, group.heading, transform=place, va="baseline", fontweight="bold", fontsize=9.0,
            color=group.colour, zorder=6, parse_math=False, bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6},
        ).set_in_layout(False)  # fmt: skip


def log_scale(axes: Axes, low: float, high: float) -> None:
    """A logarithmic axis across, labelled at whole powers of ten in plain numbers."""
    axes.set(xscale="log", xlim=(low, high))
    axes.xaxis.set_major_locator(LogLocator(numticks=7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def dot(
    axes: Axes, x: float, y: float, colour: str, *, marker: str = "o", size: float = 6.0, hollow: bool = False
) -> None:
    """A mark with a white rim, or a hollow one; it is never cut by the edge of the axes."""
    face, edge = (PAPER, colour) if hollow else (colour, PAPER)
    axes.plot(
        x, y, marker, color=colour, markersize=size, markerfacecolor=face, markeredgecolor=edge,
        markeredgewidth=1.4 if hollow else 1.0, zorder=5 - hollow, clip_on=False,
    )  # fmt: skip


def interval(axes: Axes, low: float, high: float, y: float, colour: str, *, width: float = 3.0) -> None:
    """A pale bar from one end to the other; an end beyond the axes is cut there, nothing is drawn where one is NaN."""
    left, right = axes.get_xlim()
    if np.isnan(low) or np.isnan(high) or high < left:
        return
    axes.plot([max(low, left), min(high, right)], [y, y], color=tint(colour, 0.5), linewidth=width, zorder=3)


def open_interval(axes: Axes, low: float, y: float, colour: str) -> None:
    """A bar without an upper end: to the right edge of the axes, with an arrow."""
    right = axes.get_xlim()[1]
    interval(axes, low, right, y, colour)
    dot(axes, right, y, colour, marker=">")


def text(axes: Axes, x: float, y: float, text: str, *, colour: str = INK, style: str = "normal") -> None:
    """Small text to the right of a point."""
    axes.annotate(
        text, (x, y), xytext=(7, 0), textcoords="offset points", va="center", fontsize=7.8, color=colour,
        fontstyle=style, parse_math=False, annotation_clip=False, zorder=6,
    )  # fmt: skip


def text_beside(axes: Axes, y: float, text: str, *, colour: str = MUTED) -> None:
    """Small text beside the axes, at the right, where nothing can cover it."""
    axes.annotate(
        text, (1.0, y), xycoords=("axes fraction", "data"), xytext=(9, 0), textcoords="offset points", va="center",
        fontsize=7.8, color=colour, parse_math=False, annotation_clip=False,
    )  # fmt: skip


def dot_key(label: str, colour: str, *, marker: str = "o", hollow: bool = False, size: float = 6.0) -> Line2D:
    """A mark for the key, filled or hollow."""
    face, edge = (PAPER, colour) if hollow else (colour, PAPER)
    return Line2D(
        [], [], linestyle="none", marker=marker, markersize=size, markerfacecolor=face, markeredgecolor=edge,
        markeredgewidth=1.4 if hollow else 1.0, label=label,
    )  # fmt: skip


def line_key(label: str, colour: str, *, width: float = 1.2, dashes: Dashes | None = DASHED) -> Line2D:
    """A line for the key, dashed unless `dashes` is None."""
    return Line2D([], [], color=colour, linewidth=width, linestyle=dashes or "-", label=label)


def patch_key(label: str, colour: str, share: float = 1.0) -> Patch:
    """A patch of a tinted colour for the key."""
    return Patch(facecolor=tint(colour, share), edgecolor="none", label=label)


def key(figure: Figure | SubFigure, handles: Iterable[Artist], *, columns: int = 3, title: str | None = None) -> None:
    """A legend above the axes, at the left edge, under an optional title; nothing where there is nothing to say."""
    shown = list(handles)
    if not shown and not title:
        return
    legend = figure.legend(
        handles=shown, loc="outside upper left", ncols=columns, labelcolor=INK, title=title, alignment="left",
        title_fontproperties={"weight": "bold", "size": 10.5}, columnspacing=1.6,
    )  # fmt: skip
    for text in (legend.get_title(), *legend.get_texts()):
        text.set_parse_math(False)
