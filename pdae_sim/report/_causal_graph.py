"""The latent causal graph with the perturbations that shift its mechanisms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle

from pdae_sim._checks import matrix
from pdae_sim.errors import InputError
from pdae_sim.report._format import truncated
from pdae_sim.report._palette import (
    ENVIRONMENTS,
    INK,
    MUTED,
    PAPER,
    TRUE,
    WIDTH,
    new_figure,
    settle_layout,
    styled,
    tint,
)  # fmt: skip

_RADIUS, _SQUARE, _BAR = 0.23, 0.11, 0.15  # inches: of a circle, half a square, half the bar
_DEPTH = 0.38  # inches that an arrow past one latent sinks below the row
_ROOM = WIDTH - 2.6  # inches across for the nodes
_LETTERS = 16  # of a perturbation's name
_SHIFT, _FAN = "#7b5a2e", "#c3c9d1"
_NEAR_SQUARE = 0.38  # where the number stands along a shift: two that cross do so at one half


@styled
def causal_graph(adjacency: np.ndarray, targets: np.ndarray, names: Sequence[str] | None = None) -> Figure:
    """Perturbations (squares), latents (circles, causes to the left of effects) and the observed x, in three rows.

    Args:
        adjacency: A (d_Z, d_Z) of a directed acyclic graph; A[i, j] is the effect of latent j on latent i.
        targets: S (d_Z, K); S[j, k] ≠ 0 if perturbation k shifts the mechanism of latent j.
        names: The K perturbations.

    Raises:
        InputError: If shapes disagree or the graph has a cycle.
    """
    A, S = matrix("adjacency", adjacency), matrix("targets", targets)
    if A.shape[0] != A.shape[1] or len(S) != len(A):
        raise InputError(f"adjacency must be square with one row per row of targets; received {A.shape} and {S.shape}")
    names = (
        [f"P{k}" for k in range(S.shape[1])] if names is None else [truncated(str(name), _LETTERS) for name in names]
    )
    if len(names) != S.shape[1]:
        raise InputError(f"names must name the {S.shape[1]} columns of targets; received {len(names)}")
    layout = _layout(A, S, names)
    figure = new_figure(layout.height)
    settle_layout(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, WIDTH), ylim=(0, layout.height))  # one inch is the unit
    axes.set_axis_off()
    _draw_arrows(axes, layout, A, S)
    _draw_nodes(axes, layout, names)
    return figure


@dataclass(frozen=True, eq=False)
class _Layout:
    """Places in inches from the lower left corner.

    Args:
        latents: (d_Z, 2) centres of the circles.
        squares: (K, 2) centres of the squares.
        bar: Centre of the observed bar.
        bar_half: Half its width.
        slanted: Whether perturbation names are slanted to fit.
        height: Of the figure.
    """

    latents: np.ndarray
    squares: np.ndarray
    bar: tuple[float, float]
    bar_half: float
    slanted: bool
    height: float


def _layout(A: np.ndarray, S: np.ndarray, names: Sequence[str]) -> _Layout:
    d, K = S.shape
    position = np.argsort(_causal_order(A))
    skipped = [abs(int(position[i] - position[j])) - 1 for i, j in zip(*np.nonzero(A), strict=True)]
    sunk = _DEPTH * max(skipped, default=0) + 0.12 * (max(skipped, default=0) > 0)
    row = 0.26 + _BAR + 0.65 + sunk
    longest = max(map(len, names), default=0)
    slanted = K > 1 and 0.078 * longest + 0.08 > min(1.6, _ROOM / (K - 1))
    room = min(_ROOM + 0.2, WIDTH - 0.4 - (0.13 if slanted else 0.08) * longest)
    across, spots = _spread(d, _ROOM, 1.8), _spread(K, room, 1.6)
    squares = np.empty((K, 2))
    squares[_by_target(S, position), 0], squares[:, 1] = spots, row + 1.15
    above = 0.16 + 0.055 * longest if slanted else 0.3
    return _Layout(
        latents=np.column_stack([across[position], np.full(d, row)]),
        squares=squares,
        bar=(WIDTH / 2, 0.26),
        bar_half=max(0.7, 0.3 * float(across[-1] - across[0]) + 0.3),
        slanted=slanted,
        height=row + 1.15 + _SQUARE + above,
    )


def _causal_order(A: np.ndarray) -> list[int]:
    graph = nx.DiGraph((int(j), int(i)) for i, j in zip(*np.nonzero(A), strict=True))
    graph.add_nodes_from(range(len(A)))
    if not nx.is_directed_acyclic_graph(graph):
        raise InputError("adjacency must be that of a directed acyclic graph; it has a cycle")
    return list(nx.lexicographical_topological_sort(graph))


def _spread(n: int, room: float, widest: float) -> np.ndarray:
    """n positions around the middle of the figure, evenly spaced, no further apart than `widest`."""
    step = min(widest, room / max(n - 1, 1))
    return WIDTH / 2 + (np.arange(n) - (n - 1) / 2) * step


def _by_target(S: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Perturbations ordered by the mean position of their targets, so that arrows cross little."""
    weight = np.abs(S)
    total = weight.sum(axis=0)
    centre = np.where(total > 0, position @ weight / np.where(total > 0, total, 1), len(position))
    return np.lexsort([np.arange(S.shape[1]), centre])


def _draw_arrows(axes: Axes, layout: _Layout, A: np.ndarray, S: np.ndarray) -> None:
    """From latents to x, from perturbations to latents, and between latents, with their numbers."""
    x, y = layout.bar
    middle = layout.latents[:, 0].mean()
    reach = max(float(np.abs(layout.latents[:, 0] - middle).max()), 1e-9)
    for latent in layout.latents:
        end = np.array([x + (latent[0] - middle) / reach * (layout.bar_half - 0.22), y + _BAR])
        _draw_arrow(axes, latent, end, _FAN, 1.0, start_gap=_RADIUS, end_gap=0.0)
    for j, k in zip(*np.nonzero(S), strict=True):
        start, end = layout.squares[k] - [0.0, _SQUARE], layout.latents[j]
        _draw_arrow(axes, start, end, _SHIFT, _line_width(S[j, k], S), start_gap=0.0, end_gap=_RADIUS)
        _write_number(axes, start + _NEAR_SQUARE * (end - start), S[j, k], _SHIFT)
    columns = np.argsort(np.argsort(layout.latents[:, 0]))
    for i, j in zip(*np.nonzero(A), strict=True):
        cause, effect, skipped = layout.latents[j], layout.latents[i], int(columns[i] - columns[j] - 1)
        sag = (_DEPTH * skipped + 0.2) * bool(skipped)
        bend = 2 * sag / (effect[0] - cause[0])  # the middle of the curve lies half as deep as its control point
        _draw_arrow(axes, cause, effect, INK, _line_width(A[i, j], A), start_gap=_RADIUS, end_gap=_RADIUS, bend=bend)
        _write_number(axes, (cause + effect) / 2 + [0.0, -sag if skipped else 0.13], A[i, j], INK)


def _draw_arrow(
    axes: Axes,
    start: np.ndarray,
    end: np.ndarray,
    colour: str,
    line_width: float,
    *,
    start_gap: float,
    end_gap: float,
    bend: float = 0.0,
) -> None:
    """An arrow between two nodes, with gaps in inches at its ends; a positive bend goes below the line."""
    (x0, y0), (x1, y1) = start.tolist(), end.tolist()
    axes.add_patch(
        FancyArrowPatch(
            (x0, y0), (x1, y1), arrowstyle="-|>,head_length=4.5,head_width=2.4", mutation_scale=1.0, color=colour,
            connectionstyle=f"arc3,rad={bend}", shrinkA=72 * start_gap + 2, shrinkB=72 * end_gap + 2,
            linewidth=line_width, capstyle="butt", joinstyle="miter", zorder=3,
        )
    )  # fmt: skip


def _write_number(axes: Axes, spot: np.ndarray, value: float, colour: str) -> None:
    box = {"boxstyle": "round,pad=0.12", "facecolor": PAPER, "edgecolor": "none"}
    text = f"{value:.2g}".replace("-", "−")
    axes.text(spot[0], spot[1], text, ha="center", va="center", fontsize=8.0, color=colour, bbox=box, zorder=5)


def _line_width(value: float, values: np.ndarray) -> float:
    return 0.8 + float(abs(value) / np.abs(values).max())


def _draw_nodes(axes: Axes, layout: _Layout, names: Sequence[str]) -> None:
    for j, (x, y) in enumerate(layout.latents.tolist()):
        axes.add_patch(Circle((x, y), _RADIUS, facecolor=tint(TRUE, 0.12), edgecolor=TRUE, linewidth=1.3, zorder=6))
        axes.text(x, y, f"$z_{{{j + 1}}}$", ha="center", va="center_baseline", fontsize=11, zorder=7)
    for name, (x, y) in zip(names, layout.squares.tolist(), strict=True):
        corner, side = (x - _SQUARE, y - _SQUARE), 2 * _SQUARE
        face = tint(ENVIRONMENTS[2], 0.35)
        axes.add_patch(Rectangle(corner, side, side, facecolor=face, edgecolor=_SHIFT, linewidth=1.2, zorder=6))
        axes.text(
            x - 0.04 * layout.slanted, y + _SQUARE + 0.06, name, va="bottom", ha="left" if layout.slanted else "center",
            rotation=38 if layout.slanted else 0, rotation_mode="anchor", fontsize=8.5, parse_math=False, zorder=7,
        )  # fmt: skip
    x, y = layout.bar
    axes.add_patch(
        FancyBboxPatch(
            (x - layout.bar_half, y - _BAR), 2 * layout.bar_half, 2 * _BAR, boxstyle="round,pad=0,rounding_size=0.1",
            facecolor="#f1f3f5", edgecolor=MUTED, linewidth=1.0, zorder=6,
        )
    )  # fmt: skip
    axes.text(x, y, "$x = f(z)$", ha="center", va="center_baseline", fontsize=10, zorder=7)
    heights = {"latents": layout.latents[0, 1], "observed": y}
    heights |= {"perturbations": layout.squares[0, 1]} if len(layout.squares) else {}
    for word, height in heights.items():
        axes.text(0.06, height, word, ha="left", va="center", fontsize=8, color=MUTED)
