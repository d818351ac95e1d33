"""Labels beside points, placed so that they cover neither each other nor what is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.text import Annotation

from pdae_sim.report._palette import INK, PAPER, settle

_ANGLES = np.deg2rad([0, 90, 270, 180, 45, 135, 315, 225, 22, 158, 202, 338, 68, 112, 248, 292])
_DISTANCES = (6.5, 10.0, 15.0, 23.0, 33.0, 45.0, 60.0, 80.0)  # points between the mark and the nearest side of the text
_LEADER = 12.0  # beyond this distance a line leads from the mark to its label
_LINE = "#a3abb6"
_COLLISION, _OUTSIDE = 50.0, 30.0


def place_labels(
    axes: Axes,
    points: np.ndarray,
    texts: Sequence[str],
    *,
    colours: Sequence[str] | str = INK,
    obstacles: np.ndarray | None = None,
    clearance: float = 4.5,
    size: float = 8.8,
    bold: Sequence[bool] | bool = False,
) -> None:
    """Write each text beside its point, the nearest free place first; a thin line leads to those further away.

    The layout of the figure is settled first, because places are chosen in points.

    Args:
        axes: With final limits.
        points: (n, 2) data coordinates.
        texts: n labels.
        colours: One colour, or one per label.
        obstacles: (m, 2) further data coordinates to keep clear of.
        clearance: Half the side, in points, of the square kept clear around every point and obstacle.
        size: Font size in points.
        bold: Whether the labels are bold; one, or one per label. Bold labels choose their places first.
    """
    settle(axes.figure)
    n = len(texts)
    colours = [colours] * n if isinstance(colours, str) else list(colours)
    bold = [bold] * n if isinstance(bold, bool) else list(bold)
    further = np.empty((0, 2)) if obstacles is None else obstacles
    marks = _in_points(axes, np.vstack([np.reshape(points, (-1, 2)), further]))
    taken = [np.concatenate([mark - clearance, mark + clearance]) for mark in marks]
    room = _room(axes)
    for i in sorted(range(n), key=lambda i: not bold[i]):
        written = _write(axes, points[i], texts[i], colours[i], size, bold[i])
        offset, distance, box = _best_place(marks[i], _extent(axes, written), taken, room)
        taken.append(box)
        written.set_position(offset)
        if distance > _LEADER:
            _lead(axes, points[i], offset)


def _in_points(axes: Axes, points: np.ndarray) -> np.ndarray:
    return axes.transData.transform(points) * 72 / axes.figure.dpi


def _room(axes: Axes) -> np.ndarray:
    """The box of the axes (left, bottom, right, top) in points."""
    return axes.get_window_extent().extents * 72 / axes.figure.dpi


def _write(axes: Axes, point: np.ndarray, text: str, colour: str, size: float, bold: bool):
    written = axes.annotate(
        text, point, xytext=(0, 0), textcoords="offset points", ha="center", va="center", fontsize=size, color=colour,
        fontweight="bold" if bold else "normal", annotation_clip=False, zorder=9, parse_math=False,
    )  # fmt: skip
    written.set_in_layout(False)
    written.set_path_effects([patheffects.withStroke(linewidth=2.2, foreground=PAPER)])
    return written


def _extent(axes: Axes, written) -> np.ndarray:
    box = written.get_window_extent(axes.figure.canvas.get_renderer())
    return np.array([box.width, box.height]) * 72 / axes.figure.dpi


def _best_place(mark, extent, taken: list, room: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """Offset of the text's centre from the mark, its distance, and the box it will take."""
    others, half = np.array(taken), extent / 2
    best = None
    for distance in _DISTANCES:
        for rank, angle in enumerate(_ANGLES):
            offset = _offset(angle, distance, half)
            box = np.concatenate([mark + offset - half, mark + offset + half])
            cost = _COLLISION * _overlap(box, others) + _OUTSIDE * _outside(box, room) + distance + 0.1 * rank
            if best is None or cost < best[0]:
                best = (cost, offset, distance, box)
    return best[1:]


def _offset(angle: float, distance: float, half: np.ndarray) -> np.ndarray:
    """The centre of a text whose nearest side is about `distance` away in the direction of `angle`."""
    direction = np.array([np.cos(angle), np.sin(angle)])
    return direction * distance + np.sign(np.round(direction, 6)) * half * np.minimum(1.0, np.abs(direction) * 1.5)


def _overlap(box: np.ndarray, others: np.ndarray) -> float:
    """Total overlap with other boxes, as the root of the area, so that any collision counts."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return float(np.sqrt(np.clip(sides, 0, None).prod(axis=1)).sum())


def _outside(box: np.ndarray, room: np.ndarray) -> float:
    return float(np.clip([room[:2] - box[:2], box[2:] - room[2:]], 0, None).sum())


def _lead(axes: Axes, point: np.ndarray, offset: np.ndarray) -> None:
    line = axes.annotate(
        "", point, xytext=offset, textcoords="offset points", annotation_clip=False, zorder=5,
        arrowprops={"arrowstyle": "-", "color": _LINE, "lw": 0.7, "shrinkA": 6, "shrinkB": 3},
    )  # fmt: skip
    line.set_in_layout(False)


def write_end_labels(
    axes: Axes, ends: Sequence[float], texts: Sequence[str], colours: Sequence[str]
) -> list[Annotation]:
    """Write each text to the right of the axes, at the height where its curve ends; at the foot if it has no end."""
    return [
        axes.annotate(
            text, (1.0, end if np.isfinite(end) else axes.get_ylim()[0]), xycoords=("axes fraction", "data"),
            xytext=(5, 0), textcoords="offset points", ha="left", va="center", fontsize=8.6, color=colour,
            annotation_clip=False, parse_math=False,
        )
        for text, end, colour in zip(texts, ends, colours, strict=True)
    ]  # fmt: skip


def part_labels(axes: Axes, labels: Sequence[Annotation], *, line: float = 11.5) -> None:
    """Move labels apart vertically, in order, until `line` points lie between them. The layout must be settled."""
    heights = np.array([_in_points(axes, np.array([[axes.get_xlim()[1], label.xy[1]]]))[0, 1] for label in labels])
    room = _room(axes)
    for i, height in zip(np.argsort(heights), _parted(np.sort(heights), line, room[1], room[3]), strict=True):
        labels[i].set_position((5, height - heights[i]))


def _parted(heights: np.ndarray, line: float, low: float, high: float) -> np.ndarray:
    """Ascending heights at least `line` apart, inside [low, high] where they fit, else centred on it."""
    slack = line * np.arange(len(heights))
    room = max(high - low, line * (len(heights) - 1))
    low = (low + high - room) / 2
    rising = np.maximum.accumulate(np.maximum(heights, low) - slack) + slack
    ceiling = low + room - line * np.arange(len(heights))[::-1]
    return np.minimum(rising, ceiling)
