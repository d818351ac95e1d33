"""The latent causal graph with the perturbations that shift its mechanisms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path

from pdae_sim._checks import matrix
from pdae_sim.errors import InputError
from pdae_sim.report._palette import (
    ENVIRONMENTS,
    INK,
    MUTED,
    PAPER,
    TRUE,
    WIDE,
    bare,
    blank,
    in_house_style,
    is_compact,
    settle,
    tint,
)

_SQUARE, _BAR = 0.11, 0.15  # half side and half height, in inches
_LONGEST = 16  # letters of a perturbation name
_EDGE, _SHIFT, _FAN = INK, "#7b5a2e", "#c3c9d1"


@in_house_style
def causal_graph(
    adjacency: np.ndarray, targets: np.ndarray, names: Sequence[str] | None = None, *, width: float = WIDE
) -> Figure:
    """Perturbations (squares), latents (circles, causes to the left of effects) and the observed x, in three rows.

    Args:
        adjacency: A (d_Z, d_Z) of a directed acyclic graph; A[i, j] is the effect of latent j on latent i.
        targets: S (d_Z, K); S[j, k] ≠ 0 if perturbation k shifts the mechanism of latent j.
        names: The K perturbations.
        width: In inches.

    Raises:
        InputError: If shapes disagree or the graph has a cycle.
    """
    A, S = matrix("adjacency", adjacency), matrix("targets", targets)
    if A.shape[0] != A.shape[1] or len(S) != len(A):
        raise InputError(f"adjacency must be square with one row per row of targets; received {A.shape} and {S.shape}")
    names = [f"P{k}" for k in range(S.shape[1])] if names is None else [_shortened(str(name)) for name in names]
    if len(names) != S.shape[1]:
        raise InputError(f"names must name the {S.shape[1]} columns of targets; received {len(names)}")
    plan = _plan(A, S, names, width)
    figure = blank(width, plan.height)
    axes = _canvas(figure, width, plan.height)
    _draw_fan(axes, plan)
    _draw_shifts(axes, plan, S)
    _draw_edges(axes, plan, A)
    _draw_nodes(axes, plan, names)
    return figure


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


@dataclass(frozen=True, eq=False)
class _Plan:
    """Where everything goes, in inches from the lower left corner.

    Args:
        latents: (d_Z, 2) centres of the circles.
        squares: (K, 2) centres of the squares.
        bar: (3,) centre x, centre y and half the width of the observed bar.
        radius: Of the circles.
        depth: How far an edge that skips one latent sinks below the row.
        slanted: Whether perturbation names are slanted to fit.
        height: Of the figure.
        size: Of the numbers, in points.
        compact: Whether the figure is meant for a phone.
    """

    latents: np.ndarray
    squares: np.ndarray
    bar: np.ndarray
    radius: float
    depth: float
    slanted: bool
    height: float
    size: float
    compact: bool


def _plan(A: np.ndarray, S: np.ndarray, names: Sequence[str], width: float) -> _Plan:
    d, K = S.shape
    compact = is_compact(width)
    order = _causal_order(A)
    position = np.argsort(order)
    centre, room = width / 2, width - (0.7 if compact else 2.6)
    across = _spread(d, room, 1.8) + centre
    steps = [abs(position[i] - position[j]) for i, j in zip(*np.nonzero(A), strict=True)]
    depth = 0.34 if compact else 0.38
    sunk = depth * max((s - 1 for s in steps if s > 1), default=0) + (0.12 if max(steps, default=0) > 1 else 0)
    bar_y = 0.26
    row = bar_y + _BAR + 0.65 + sunk
    above = row + (1.05 if compact else 1.15)
    longest = max(map(len, names), default=0)
    slanted = _is_crowded(longest, _spread(K, room + 0.2, 1.6))
    spots = _spread(K, min(room + 0.2, width - 0.4 - (0.13 if slanted else 0.08) * longest), 1.6) + centre
    squares = np.empty((K, 2))
    squares[_by_target(S, position), 0], squares[:, 1] = spots, above
    height = above + _SQUARE + (0.3 if not slanted else 0.16 + 0.055 * longest)
    bar = np.array([centre, bar_y, max(0.7, 0.3 * (across[-1] - across[0]) + 0.3)])
    return _Plan(
        latents=np.column_stack([across[position], np.full(d, row)]),
        squares=squares, bar=bar, radius=0.19 if compact and d > 4 else 0.23, depth=depth, slanted=slanted,
        height=height, size=7.0 if compact else 8.0, compact=compact,
    )  # fmt: skip


def _causal_order(A: np.ndarray) -> list[int]:
    graph = nx.DiGraph((int(j), int(i)) for i, j in zip(*np.nonzero(A), strict=True))
    graph.add_nodes_from(range(len(A)))
    if not nx.is_directed_acyclic_graph(graph):
        raise InputError("adjacency must be that of a directed acyclic graph; it has a cycle")
    return list(nx.lexicographical_topological_sort(graph))


def _spread(n: int, room: float, widest: float) -> np.ndarray:
    """n positions around zero, evenly spaced, no further apart than `widest`."""
    step = min(widest, room / max(n - 1, 1))
    return (np.arange(n) - (n - 1) / 2) * step


def _by_target(S: np.ndarray, position: np.ndarray) -> np.ndarray:
    """Perturbations ordered by the mean position of their targets, so that arrows cross little."""
    weight = np.abs(S)
    total = weight.sum(axis=0)
    centre = np.where(total > 0, position @ weight / np.where(total > 0, total, 1), len(position))
    return np.lexsort([np.arange(S.shape[1]), centre])


def _is_crowded(longest: int, spots: np.ndarray) -> bool:
    step = spots[1] - spots[0] if len(spots) > 1 else 2.0
    return longest * 0.078 + 0.08 > step


def _canvas(figure: Figure, width: float, height: float) -> Axes:
    """Axes that fill the figure, with one inch as the unit."""
    settle(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height))
    bare(axes)
    return axes


def _draw_fan(axes: Axes, plan: _Plan) -> None:
    x, y, half = plan.bar
    middle = plan.latents[:, 0].mean()
    reach = max(np.abs(plan.latents[:, 0] - middle).max(), 1e-9)
    for latent in plan.latents:
        end = np.array([x + (latent[0] - middle) / reach * (half - 0.22), y + _BAR + 0.03])
        start = latent + (plan.radius + 0.03) * _unit(end - latent)
        _arrow(axes, Path([start, end]), _FAN, 1.0)


def _draw_shifts(axes: Axes, plan: _Plan, S: np.ndarray) -> None:
    shifts = sorted(zip(*np.nonzero(S), strict=True), key=lambda jk: jk[::-1])
    segments = [_shift_segment(plan, j, k) for j, k in shifts]
    written: list[np.ndarray] = []
    for i, (j, k) in enumerate(shifts):
        _arrow(axes, Path(segments[i]), _SHIFT, _line_width(S[j, k], S))
        written.append(_free_spot(segments[i], segments[:i] + segments[i + 1 :], written))
        _number(axes, written[-1], S[j, k], _SHIFT, plan)


def _shift_segment(plan: _Plan, j: int, k: int) -> np.ndarray:
    start, latent = plan.squares[k] - [0, _SQUARE + 0.02], plan.latents[j]
    return np.array([start, latent - (plan.radius + 0.03) * _unit(latent - start)])


def _free_spot(segment: np.ndarray, others: list[np.ndarray], written: list[np.ndarray]) -> np.ndarray:
    """The place along an arrow, near its middle, where its number covers neither a number nor another arrow."""
    shares = np.array([0.5, 0.42, 0.58, 0.35, 0.65, 0.28, 0.72, 0.22])
    spots = segment[0] + shares[:, None] * (segment[1] - segment[0])
    lines = np.vstack([*(_along(other) for other in others), np.full((1, 2), np.inf)])
    numbers = np.vstack([*written, np.full((1, 2), np.inf)])
    to_lines = _box_distance(spots, lines, (1.0, 1.4)).min(axis=1)
    to_numbers = _box_distance(spots, numbers, (0.55, 1.0)).min(axis=1)
    room = np.minimum(np.minimum(to_lines, 0.17), np.minimum(to_numbers, 0.2))
    return spots[np.argmax(room - 0.08 * np.abs(shares - 0.5))]


def _along(segment: np.ndarray) -> np.ndarray:
    return segment[0] + np.linspace(0, 1, 40)[:, None] * (segment[1] - segment[0])


def _box_distance(spots: np.ndarray, points: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    return np.abs((spots[:, None] - points) * scale).max(axis=2)


def _draw_edges(axes: Axes, plan: _Plan, A: np.ndarray) -> None:
    column = np.argsort(np.argsort(plan.latents[:, 0]))
    for i, j in zip(*np.nonzero(A), strict=True):
        skipped = column[i] - column[j] - 1
        path, spot = _edge(plan, plan.latents[j], plan.latents[i], skipped)
        _arrow(axes, path, _EDGE, _line_width(A[i, j], A))
        _number(axes, spot, A[i, j], _EDGE, plan)


def _edge(plan: _Plan, cause: np.ndarray, effect: np.ndarray, skipped: int) -> tuple[Path, np.ndarray]:
    """A straight line between neighbours, else an arc below the row; and where its number goes."""
    r = plan.radius + 0.03
    if not skipped:
        lift = 0.13 if effect[0] - cause[0] - 2 * r > 0.4 else plan.radius
        gap = np.array([r, 0.0])
        return Path([cause + gap, effect - gap]), (cause + effect) / 2 + np.array([0.0, lift])
    lean = np.deg2rad(48)
    start = cause + r * np.array([np.cos(lean), -np.sin(lean)])
    end = effect - r * np.array([np.cos(lean), np.sin(lean)])
    sag = plan.depth * skipped + 0.06
    along, down = np.array([0.22 * (end[0] - start[0]), 0.0]), np.array([0.0, sag])
    curve = Path([start, start + along - down * 4 / 3, end - along - down * 4 / 3, end], [1, 4, 4, 4])
    return curve, (start + end) / 2 - down


def _draw_nodes(axes: Axes, plan: _Plan, names: Sequence[str]) -> None:
    for j, centre in enumerate(plan.latents):
        axes.add_patch(Circle(centre, plan.radius, facecolor=tint(TRUE, 0.12), edgecolor=TRUE, linewidth=1.3, zorder=6))
        axes.text(*centre, f"$z_{{{j + 1}}}$", ha="center", va="center_baseline", fontsize=11, zorder=7)
    for name, centre in zip(names, plan.squares, strict=True):
        _draw_square(axes, plan, name, centre)
    _draw_bar(axes, plan)
    if not plan.compact:
        _draw_row_names(axes, plan)


def _draw_square(axes: Axes, plan: _Plan, name: str, centre: np.ndarray) -> None:
    corner, side = centre - _SQUARE, 2 * _SQUARE
    axes.add_patch(
        Rectangle(corner, side, side, facecolor=tint(ENVIRONMENTS[2], 0.35), edgecolor=_SHIFT, linewidth=1.2, zorder=6)
    )
    slant = {"rotation": 38, "ha": "left", "rotation_mode": "anchor"} if plan.slanted else {"ha": "center"}
    nudge = -0.04 if plan.slanted else 0.0
    axes.text(
        centre[0] + nudge, centre[1] + _SQUARE + 0.06, name, va="bottom", fontsize=8.5, parse_math=False, zorder=7,
        **slant,
    )  # fmt: skip


def _draw_bar(axes: Axes, plan: _Plan) -> None:
    x, y, half = plan.bar
    axes.add_patch(
        FancyBboxPatch(
            (x - half, y - _BAR), 2 * half, 2 * _BAR, boxstyle="round,pad=0,rounding_size=0.1",
            facecolor="#f1f3f5", edgecolor=MUTED, linewidth=1.0, zorder=6,
        )
    )  # fmt: skip
    axes.text(x, y, "$x = f(z)$", ha="center", va="center_baseline", fontsize=10, zorder=7)


def _draw_row_names(axes: Axes, plan: _Plan) -> None:
    rows = {"perturbations": plan.squares[:1, 1], "latents": plan.latents[:1, 1], "observed": plan.bar[1:2]}
    for word, height in rows.items():
        for y in height:
            axes.text(0.06, y, word, ha="left", va="center", fontsize=8, color=MUTED)


def _arrow(axes: Axes, path: Path, colour: str, line_width: float) -> None:
    axes.add_patch(
        FancyArrowPatch(
            path=path, arrowstyle="-|>,head_length=4.5,head_width=2.4", mutation_scale=1.0, color=colour,
            linewidth=line_width, fill=None, capstyle="butt", joinstyle="miter", zorder=3,
        )
    )  # fmt: skip


def _number(axes: Axes, spot: np.ndarray, value: float, colour: str, plan: _Plan) -> None:
    text = f"{value:.2g}".replace("-", "−")
    box = {"boxstyle": "round,pad=0.12", "facecolor": PAPER, "edgecolor": "none"}
    axes.text(*spot, text, ha="center", va="center", fontsize=plan.size, color=colour, bbox=box, zorder=5)


def _line_width(value: float, values: np.ndarray) -> float:
    return 0.8 + 1.0 * float(abs(value) / np.abs(values).max())


def _unit(direction: np.ndarray) -> np.ndarray:
    return direction / max(np.linalg.norm(direction), 1e-9)
