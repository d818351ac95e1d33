"""Sheets of rows: lines under a heading, block after block, with heights in inches so that nothing is squeezed."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import blended_transform_factory

from pdae_sim.report._palette import INK, MUTED, PAPER, RULE, blank, is_compact

_LINE, _HEADING, _NOTE, _GAP = 0.19, 0.17, 0.145, 0.1  # inches
_LETTERS = 11.8  # bold letters to an inch
_LETTERS_OF_NOTES = 15.5
_SIDE = 0.1  # inches: letters are a little wider at some resolutions than at the one the layout is settled at


@dataclass(frozen=True)
class Block:
    """Lines under a heading.

    Args:
        heading: In bold; empty for none.
        notes: Under it, in grey.
        lines: What stands at the left of each line.
    """

    heading: str
    notes: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Sheet:
    """A figure with one axis across and its lines placed from the top.

    Args:
        figure: Not yet settled.
        axes: y in inches from the top.
        heights: For each block the y of its lines.
        depth: Inches in all.
    """

    figure: Figure
    axes: Axes
    heights: tuple[tuple[float, ...], ...]
    depth: float


def ruled(blocks: Sequence[Block], width: float, *, below: float = 0.55) -> Sheet:
    """An empty sheet with its headings, notes and the names of its lines written.

    Args:
        blocks: From the top.
        width: In inches.
        below: Inches for the axis, its label and what stands above the sheet.
    """
    figure, words, heights, y = None, [], [], 0.0
    for block in blocks:
        y += _GAP
        for text, step, heading in _wrapped(block, width):
            y += step
            words.append((y, text, heading))
        y += 0.04 if block.heading else 0.0
        heights.append(tuple(y + _LINE * (k + 0.5) for k in range(len(block.lines))))
        y += _LINE * len(block.lines)
    depth = max(y + _GAP, 0.6)
    figure = blank(width, depth + below)
    figure.get_layout_engine().set(w_pad=_SIDE)
    axes = figure.add_subplot()
    axes.set(ylim=(depth, 0.0))
    _write(axes, words)
    _name(axes, [name for block in blocks for name in block.lines], [h for each in heights for h in each], width)
    return Sheet(figure, axes, tuple(heights), depth)


def _wrapped(block: Block, width: float) -> list[tuple[str, float, bool]]:
    """(text, inches, whether bold) for each line of a heading and of the notes under it."""
    heading = textwrap.wrap(block.heading, int(_LETTERS * width)) if block.heading else []
    notes = [part for note in block.notes for part in textwrap.wrap(note, int(_LETTERS_OF_NOTES * width))]
    return [(text, _HEADING, True) for text in heading] + [(text, _NOTE, False) for text in notes]


def _write(axes: Axes, words: Sequence[tuple[float, str, bool]]) -> None:
    """From the left edge of the figure, over whatever stands there."""
    place = blended_transform_factory(axes.figure.transFigure, axes.transData)
    for y, text, heading in words:
        style = {"fontweight": "bold", "fontsize": 9.0, "color": INK} if heading else {"fontsize": 8.0, "color": MUTED}
        written = axes.text(
            0.012, y - 0.03, text, transform=place, va="baseline", zorder=6, parse_math=False,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 0.6}, **style,
        )  # fmt: skip
        written.set_in_layout(False)


def _name(axes: Axes, names: Sequence[str], heights: Sequence[float], width: float) -> None:
    most = 16 if is_compact(width) else 32
    axes.set_yticks(heights, [shortened(name, most) for name in names], parse_math=False)
    axes.tick_params(axis="y", length=0, pad=6, labelcolor=INK, labelsize=7.8 if is_compact(width) else 8.6)
    axes.spines["left"].set_visible(False)
    axes.grid(True, axis="x")


def shortened(text: str, most: int) -> str:
    """`text`, or its beginning and an ellipsis where it is longer than `most` letters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def guide(axes: Axes, y: float) -> None:
    """A dotted line across, from a name to its marks."""
    axes.axhline(y, color=RULE, linewidth=0.6, linestyle=(0, (1, 3)), zorder=1)


def key(figure: Figure, handles: Sequence[Line2D], *, columns: int) -> None:
    """A legend above the axes, at the left edge."""
    if handles:
        figure.legend(handles=list(handles), loc="outside upper left", ncols=columns, labelcolor=INK)


def number(value: float) -> str:
    """Three significant digits, with a proper minus and infinity."""
    if not np.isfinite(value):
        return "–" if np.isnan(value) else ("∞" if value > 0 else "−∞")
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−")
