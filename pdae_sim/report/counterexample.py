"""Two models over each other where there are data, and apart where there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D

from pdae_sim._checks import matrix
from pdae_sim.errors import InputError
from pdae_sim.report._palette import (
    INK,
    MUTED,
    PAPER,
    TRUE,
    VERDICTS,
    WIDE,
    blank,
    frame_only,
    in_house_style,
    is_compact,
)
from pdae_sim.report._projection import principal_axes
from pdae_sim.report.samples import density, evenly
from pdae_sim.verdicts import NOT_IDENTIFIED

FIRST, SECOND = TRUE, VERDICTS[NOT_IDENTIFIED].colour
"""The second model has the colour of what is not identified: it is what that verdict means."""

_PANELS = 9  # training conditions shown
_SHOWN = 500  # dots of each model in a panel
_DASHES = (0, (3.2, 2.2))
_LOOKS = ((FIRST, "solid", 1.0), (SECOND, _DASHES, 1.15))

Cells = tuple[np.ndarray, np.ndarray]


@in_house_style
def twins(cells: Mapping[str, Cells], p_values: Mapping[str, float] | None = None, *, width: float = WIDE) -> Figure:
    """Cells of two models, condition by condition: one law in training, two at the test condition.

    All panels show one plane, each at a scale of its own: across, the direction in which the mean cells differ at the
    test condition; upwards, the direction at right angles to it in which cells vary most. All cells enter the contours,
    around 50 % and 90 % of them, and 500 of each model, evenly spaced, are drawn as dots. The arrow leads from one mean
    cell to the other. Of many training conditions nine are shown, evenly spaced in their order.

    From the same draws of everything random (`Draws.first` and `Draws.second`) the cells of twins lie on each other in
    training; from independent draws they differ as samples of one law do.

    Args:
        cells: Cells (n, d_X) of the first and (m, d_X) of the second model by condition, the test condition last.
        p_values: Of a test that tells the models apart, by condition; those given are written in their panels.
        width: In inches.

    Raises:
        InputError: If there is no training condition, or samples differ in d_X.
    """
    if len(cells) < 2:
        raise InputError(f"cells must have a training condition and the test condition; received {len(cells)}")
    *train, test = cells
    shown = [train[i] for i in evenly(len(train), _PANELS)]
    points = _projected({name: cells[name] for name in (*shown, test)}, test)
    figure, parts = _parts(width, len(shown))
    panels = [*_grid(parts[0], len(shown), compact=is_compact(width)), parts[1].subplots()]
    for axes, name in zip(panels, points, strict=True):
        _draw(axes, points[name], large=name == test)
        _write(axes, name, (p_values or {}).get(name), large=name == test)
    _lead(panels[-1], points[test])
    _caption(parts, len(shown), len(train))
    _key(figure, width)
    return figure


def _projected(cells: Mapping[str, Cells], test: str) -> dict[str, Cells]:
    """The cells in the plane of the figure, (n, 2) each."""
    pairs = {name: tuple(matrix(name, x) for x in pair) for name, pair in cells.items()}
    widths = {x.shape[1] for pair in pairs.values() for x in pair}
    if len(widths) > 1:
        raise InputError(f"cells must have the same columns throughout; received {sorted(widths)}")
    centre = np.mean([x.mean(axis=0) for x, _ in pairs.values()], axis=0)
    across = pairs[test][1].mean(axis=0) - pairs[test][0].mean(axis=0)
    across = across / max(np.linalg.norm(across), 1e-300)
    beside = np.vstack(
        [(x - centre) - np.outer((x - centre) @ across, across) for pair in pairs.values() for x in pair]
    )
    axes = np.array([across, principal_axes(beside)[0][0]])
    return {name: tuple((x - centre) @ axes.T for x in pair) for name, pair in pairs.items()}


def _limits(points: np.ndarray) -> np.ndarray:
    """(2, 2) limits that hold 99 % of all cells along either axis, and the contours."""
    low, high = np.quantile(points, [0.005, 0.995], axis=0)
    margin = 0.1 * np.maximum(high - low, 1e-9)
    return np.column_stack([low - margin, high + margin])


def _parts(width: float, n: int) -> tuple[Figure, tuple[SubFigure, SubFigure]]:
    """A part for the n training conditions, and for the test condition one beside it, or below in a narrow figure."""
    if not is_compact(width):
        figure = blank(width, 4.1)
        return figure, figure.subfigures(1, 2, width_ratios=(1.0, 1.05))
    heights = (0.3 + -(-n // 2) * width / 2.6, 0.3 + width / 1.25)
    figure = blank(width, sum(heights) + 0.6)
    return figure, figure.subfigures(2, 1, height_ratios=heights)


def _grid(part: SubFigure, n: int, *, compact: bool) -> list[Axes]:
    columns = min(n, 3 if n > 4 and not compact else 2)
    grid = part.subplots(-(-n // columns), columns, squeeze=False)
    for axes in grid.flat[n:]:
        axes.set_axis_off()
    return list(grid.flat[:n])


def _draw(axes: Axes, pair: Cells, *, large: bool) -> None:
    limits = _limits(np.vstack(pair))
    axes.set(xlim=limits[0], ylim=limits[1])
    frame_only(axes)
    for points, (colour, line, weight) in zip(pair, _LOOKS, strict=True):
        shown = points[evenly(len(points), _SHOWN)]
        axes.scatter(*shown.T, s=5 if large else 2.5, color=colour, alpha=0.25, linewidths=0, zorder=2)
        counts, levels, centres = density(points, limits)
        if len(levels):
            look = {"linewidths": [weight * w for w in (1.0, 1.6)[-len(levels) :]], "linestyles": [line], "zorder": 4}
            axes.contour(*centres, counts.T, levels=levels, colors=colour, **look)


def _write(axes: Axes, name: str, p_value: float | None, *, large: bool) -> None:
    """The condition at the top, and what the test said at the foot."""
    halo = [patheffects.withStroke(linewidth=2.2, foreground=PAPER)]
    place = {"transform": axes.transAxes, "zorder": 8, "parse_math": False, "path_effects": halo}
    size = 10.5 if large else 8.6
    axes.text(0.03, 0.97, name, va="top", fontsize=size, color=INK, fontweight="bold", **place)
    if p_value is not None:
        axes.text(0.97, 0.03, f"p = {p_value:.2g}", ha="right", fontsize=size - 2, color=MUTED, **place)


def _lead(axes: Axes, pair: Cells) -> None:
    """An arrow from the mean cell of the first to that of the second."""
    start, end = (points.mean(axis=0) for points in pair)
    for width, colour in ((4.0, PAPER), (1.6, INK)):
        look = {"arrowstyle": "-|>", "color": colour, "lw": width, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 13}
        axes.annotate("", end, xytext=start, arrowprops=look, zorder=7)


def _caption(parts: Sequence[SubFigure], shown: int, n: int) -> None:
    which = f"{shown} of {n} training conditions" if shown < n else f"Training condition{'s' if n > 1 else ''}"
    for part, text in zip(parts, (f"{which}: one law", "Unseen: two answers"), strict=True):
        part.suptitle(text, x=0.02, ha="left", fontsize=10, color=MUTED)


def _key(figure: Figure, width: float) -> None:
    handles: Sequence[Line2D] = [
        Line2D([], [], color=FIRST, linewidth=1.8, label="first model"),
        Line2D([], [], color=SECOND, linewidth=1.8, linestyle=_DASHES, label="second model"),
    ]
    title = "Both fit the data alike" if is_compact(width) else "Both fit the data alike, and predict different things"
    key = figure.legend(
        handles=list(handles), loc="outside upper left", ncols=2, labelcolor=INK, columnspacing=1.6, handlelength=2.6,
        title=title, alignment="left", title_fontproperties={"weight": "bold", "size": 10.5},
    )  # fmt: skip
    key.get_title().set(parse_math=False)
