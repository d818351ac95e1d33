"""Cells of two models that agree on all data: over each other in training, apart at the unseen condition."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from pdae_sim._checks import matrix
from pdae_sim.errors import InputError
from pdae_sim.report import _marks as marks
from pdae_sim.report._density import draw_cells, evenly
from pdae_sim.report._palette import INK, MUTED, PAPER, RULE, TRUE, VERDICT_LOOKS, Dashes, new_figure, styled
from pdae_sim.report._projection import principal_axes
from pdae_sim.verdicts import NOT_IDENTIFIED

_FIRST, _SECOND = TRUE, VERDICT_LOOKS[NOT_IDENTIFIED].colour  # the second model is what that verdict means
_DASHES: Dashes = (0.0, (3.2, 2.2))
_PANELS = 9  # training conditions shown
_SHOWN = 500  # dots of each model in a panel

_Pair = tuple[np.ndarray, np.ndarray]


@styled
def counterexample_figure(cells: Mapping[str, _Pair], p_values: Mapping[str, float] | None = None) -> Figure:
    """Cells of two models, condition by condition: one law in training, two at the test condition.

    All panels show one plane, each at a scale of its own: across, the direction in which the mean cells differ at the
    test condition; upwards, the direction at right angles to it in which cells vary most. All cells enter the contours,
    around 50 % and 90 % of them, and 500 of each model, evenly spaced, are drawn as dots. The arrow leads from one mean
    cell to the other. Of many training conditions nine are shown, evenly spaced in their order.

    From common random numbers the cells of both models lie on each other in training; from independent draws they
    differ as samples of one law do.

    Args:
        cells: Cells (n, d_X) of the first and (m, d_X) of the second model by condition, the test condition last.
        p_values: Of a test that tells the models apart, by condition; those passed are written in their panels.

    Returns:
        The figure: training conditions at the left, the test condition at the right.

    Raises:
        InputError: If there is no training condition, or samples differ in d_X.

    References:
        Theory, claim 2.6.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 3))
        >>> figure = counterexample_figure({"ctrl": (x, x), "A+C": (x, x + 2.0)}, {"A+C": 0.001})
        >>> [text.get_text() for text in figure.axes[-1].texts][:2]
        ['A+C', 'p = 0.001']
    """
    if len(cells) < 2:
        raise InputError(f"cells must have a training condition and the test condition; received {len(cells)}")
    *train, test = cells
    shown = [train[i] for i in evenly(len(train), _PANELS)]
    points = _projected({name: cells[name] for name in (*shown, test)}, test)
    figure = new_figure(4.1)
    halves = figure.add_gridspec(1, 2, width_ratios=(1.0, 1.05))
    left, right = (figure.add_subfigure(halves[0, column]) for column in (0, 1))
    panels = [*_grid(left, len(shown)), right.add_subplot()]
    for axes, name in zip(panels, points, strict=True):
        _draw(axes, points[name], large=name == test)
        _write(axes, name, (p_values or {}).get(name), large=name == test)
    _draw_arrow(panels[-1], points[test])
    which = f"{len(shown)} of {len(train)} training conditions" if len(shown) < len(train) else "Training conditions"
    which = which if len(train) > 1 else "Training condition"
    left.suptitle(f"{which}: one law", x=0.02, ha="left", fontsize=10, color=MUTED)
    right.suptitle("Unseen: two answers", x=0.02, ha="left", fontsize=10, color=MUTED)
    solid = marks.line_key("first model", _FIRST, width=1.8, dashes=None)
    dashed = marks.line_key("second model", _SECOND, width=1.8, dashes=_DASHES)
    marks.key(figure, [solid, dashed], title="Both fit the data alike, and predict different things")
    return figure


def _projected(cells: Mapping[str, _Pair], test: str) -> dict[str, _Pair]:
    """The cells in the plane of the figure, (n, 2) each."""
    pairs = {name: (matrix(name, first), matrix(name, second)) for name, (first, second) in cells.items()}
    widths = {x.shape[1] for pair in pairs.values() for x in pair}
    if len(widths) > 1:
        raise InputError(f"cells must have the same columns throughout; received {sorted(widths)}")
    centre = np.mean([x.mean(axis=0) for x, _ in pairs.values()], axis=0)
    across = pairs[test][1].mean(axis=0) - pairs[test][0].mean(axis=0)
    across = across / max(float(np.linalg.norm(across)), 1e-300)
    centred = np.vstack([x - centre for pair in pairs.values() for x in pair])
    beside = principal_axes(centred - np.outer(centred @ across, across))[0][0]
    axes = np.array([across, beside])
    return {name: ((x - centre) @ axes.T, (y - centre) @ axes.T) for name, (x, y) in pairs.items()}


def _grid(part: SubFigure, n: int) -> list[Axes]:
    columns = min(n, 3 if n > 4 else 2)
    grid = part.subplots(-(-n // columns), columns, squeeze=False)
    for axes in grid.flat[n:]:
        axes.set_axis_off()
    return list(grid.flat[:n])


def _draw(axes: Axes, pair: _Pair, *, large: bool) -> None:
    """Both samples inside limits that hold 99 % of all cells along either axis."""
    low, high = np.quantile(np.vstack(pair), [0.005, 0.995], axis=0)
    margin = 0.1 * np.maximum(high - low, 1e-9)
    limits = np.column_stack([low - margin, high + margin])
    (left, right), (bottom, top) = limits.tolist()
    axes.set(xlim=(left, right), ylim=(bottom, top), xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=RULE)
    size = 5.0 if large else 2.5
    draw_cells(axes, pair[0], limits, _FIRST, shown=_SHOWN, size=size)
    draw_cells(axes, pair[1], limits, _SECOND, shown=_SHOWN, size=size, dashes=_DASHES)


def _write(axes: Axes, name: str, p_value: float | None, *, large: bool) -> None:
    """The condition at the top, and the p-value at the foot."""
    halo = [patheffects.withStroke(linewidth=2.2, foreground=PAPER)]
    size, place = 10.5 if large else 8.6, axes.transAxes
    axes.text(
        0.03, 0.97, name, va="top", fontsize=size, fontweight="bold", color=INK, transform=place, zorder=8,
        parse_math=False, path_effects=halo,
    )  # fmt: skip
    if p_value is not None:
        axes.text(
            0.97, 0.03, f"p = {p_value:.2g}", ha="right", fontsize=size - 2, color=MUTED, transform=place, zorder=8,
            path_effects=halo,
        )  # fmt: skip


def _draw_arrow(axes: Axes, pair: _Pair) -> None:
    """An arrow from the mean cell of the first to that of the second, with a white rim."""
    (x0, y0), (x1, y1) = (points.mean(axis=0).tolist() for points in pair)
    for width, colour in ((4.0, PAPER), (1.6, INK)):
        look = {"arrowstyle": "-|>", "color": colour, "lw": width, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 13}
        axes.annotate("", (x1, y1), xytext=(x0, y0), arrowprops=look, zorder=7)
