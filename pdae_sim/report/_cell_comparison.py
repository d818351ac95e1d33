"""True and predicted cells over each other, in the plane where the true ones vary most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdae_sim.errors import InputError
from pdae_sim.report import _marks as marks
from pdae_sim.report._density import draw_cells, marginal
from pdae_sim.report._palette import MUTED, PREDICTED, TRUE, WIDTH, new_figure, styled
from pdae_sim.report._projection import principal_axes

_SHOWN = 900  # dots per sample
_LETTERS = 24  # of the feature names beside an axis


@styled
def cell_comparison(
    true: np.ndarray, predicted: np.ndarray, *, title: str | None = None, features: Sequence[str] | None = None
) -> Figure:
    """True and predicted cells as dots, contours around 50 % and 90 % of them, and marginal densities at the sides.

    The plane is that of the first two principal components of the true sample. All cells enter the contours; at most
    900 of each sample are drawn as dots. Rows that are not finite are left out and counted.

    Args:
        true: (n, d_X) measured cells.
        predicted: (m, d_X) cells of the predicted law.
        title: Of the figure, for instance the condition.
        features: d_X names of the observed coordinates; those with the largest weights are named at the axes.

    Raises:
        InputError: If the samples have no finite row or differ in d_X.
    """
    (true, n_lost), (predicted, n_missed) = _finite_rows("true", true), _finite_rows("predicted", predicted)
    if true.shape[1] != predicted.shape[1]:
        raise InputError(f"true and predicted must have the same columns; received {true.shape} and {predicted.shape}")
    directions, share = principal_axes(true)
    samples = [(x - true.mean(axis=0)) @ directions.T for x in (true, predicted)]
    limits = _limits(*samples)
    figure = new_figure(0.64 * WIDTH)
    grid = figure.add_gridspec(2, 2, width_ratios=(6, 1), height_ratios=(1, 5))
    joint = figure.add_subplot(grid[1, 0])
    top, side = figure.add_subplot(grid[0, 0], sharex=joint), figure.add_subplot(grid[1, 1], sharey=joint)
    (left, right), (bottom, upper) = limits.tolist()
    joint.set(xlim=(left, right), ylim=(bottom, upper))
    joint.set_xlabel(_component_name("1st", directions[0], share[0], features))
    joint.set_ylabel(_component_name("2nd", directions[1], share[1], features))
    joint.grid(True)
    for points, colour in zip(samples, (TRUE, PREDICTED), strict=True):
        draw_cells(joint, points, limits, colour, shown=_SHOWN)
        _draw_marginals(top, side, points, limits, colour)
    handles = [
        marks.line_key(f"true, {len(true):,} cells", TRUE, width=1.8, dashes=None),
        marks.line_key(f"predicted, {len(predicted):,} cells", PREDICTED, width=1.8, dashes=None),
    ]
    marks.key(figure, handles, title=title)
    _note_absent(joint, samples, limits, n_lost + n_missed)
    return figure


def _finite_rows(name: str, x: np.ndarray) -> tuple[np.ndarray, int]:
    """The finite rows, and how many others there are."""
    x = np.asarray(x, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    keep = np.isfinite(x).all(axis=1)
    if x.ndim != 2 or not keep.any():
        raise InputError(f"{name} must be (n, d_X) with at least one finite row; received shape {x.shape}")
    return x[keep], int((~keep).sum())


def _component_name(ordinal: str, direction: np.ndarray, share: float, features: Sequence[str] | None) -> str:
    name = f"{ordinal} component ({share:.0%})"
    if features is None or not np.any(direction):
        return name
    largest = np.argsort(-np.abs(direction), kind="stable")[:3]
    shown = [f"{'−' if direction[j] < 0 else ''}{features[j]}".replace("$", r"\$") for j in largest if direction[j]]
    while len(shown) > 1 and len(", ".join(shown)) > _LETTERS:
        shown.pop()
    return f"{name}: {', '.join(shown)[:_LETTERS]}{', …' if len(direction) > len(shown) else ''}"


def _limits(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(2, 2) limits that hold 99.8 % of either sample along either axis, no wider than thrice the true range."""
    low, high = np.quantile(true, [0.001, 0.999], axis=0)
    other_low, other_high = np.quantile(predicted, [0.001, 0.999], axis=0)
    span = np.maximum(high - low, 1e-9)
    lowest = np.minimum(low, np.maximum(other_low, low - span))
    highest = np.maximum(high, np.minimum(other_high, high + span))
    margin = 0.06 * np.maximum(highest - lowest, 1e-9)
    return np.column_stack([lowest - margin, highest + margin])


def _draw_marginals(top: Axes, side: Axes, points: np.ndarray, limits: np.ndarray, colour: str) -> None:
    centres, height = marginal(points[:, 0], limits[0])
    top.fill_between(centres, height, color=colour, alpha=0.11, linewidth=0)
    top.plot(centres, height, color=colour, linewidth=1.3)
    top.set_ylim(bottom=0)
    centres, height = marginal(points[:, 1], limits[1])
    side.fill_betweenx(centres, height, color=colour, alpha=0.11, linewidth=0)
    side.plot(height, centres, color=colour, linewidth=1.3)
    side.set_xlim(left=0)
    for axes in (top, side):
        axes.set_axis_off()


def _note_absent(axes: Axes, samples: Sequence[np.ndarray], limits: np.ndarray, n_lost: int) -> None:
    """Say how many cells the frame does not show; silence would hide them."""
    n_outside = sum(int(((p < limits[:, 0]) | (p > limits[:, 1])).any(axis=1).sum()) for p in samples)
    notes = [f"{n_outside:,} outside the frame"] if n_outside else []
    notes += [f"{n_lost:,} not finite"] if n_lost else []
    axes.text(
        0.99, 0.985, "\n".join(notes), transform=axes.transAxes, ha="right", va="top", fontsize=7, color=MUTED, zorder=8
    )
