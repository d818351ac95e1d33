"""Encoded latents before and after alignment, against the truth."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from pdae_sim._checks import matrix
from pdae_sim.errors import InputError
from pdae_sim.report._palette import (
    PREDICTED,
    TRUE,
    WIDE,
    blank,
    frame_only,
    in_house_style,
    is_compact,
)
from pdae_sim.report._projection import padded
from pdae_sim.report.samples import evenly

_SHOWN = 1500
_COORDINATES = 6
_WHEEL = LinearSegmentedColormap.from_list(
    "wheel", ["#1f5f99", "#3b9a9c", "#7fae4f", "#d9a520", "#d9661f", "#b03a5b", "#6a4a9c", "#1f5f99"]
)


@in_house_style
def latents(estimate: np.ndarray, aligned: np.ndarray, truth: np.ndarray, *, width: float = WIDE) -> Figure:
    """Cells in one colour throughout: in the true plane, as encoded, and aligned; then coordinate by coordinate.

    The colour is the direction of a cell from the centre of the true latents. R² is that of the truth given the
    aligned latents as they are, with no further fit. Up to six coordinates are shown.

    Args:
        estimate: (n, d_Z) encoded latents.
        aligned: (n, d_Z) the same after rotation and translation.
        truth: (n, d_Z) true latents of the same cells in the isotropic form.
        width: In inches.

    Raises:
        InputError: If shapes disagree.
    """
    estimate, aligned, truth = (
        matrix(name, z) for name, z in (("estimate", estimate), ("aligned", aligned), ("truth", truth))
    )
    if not estimate.shape == aligned.shape == truth.shape:
        shapes = f"{estimate.shape}, {aligned.shape}, {truth.shape}"
        raise InputError(f"estimate, aligned and truth must have one shape; received {shapes}")
    shown = evenly(len(truth), _SHOWN)
    d = min(truth.shape[1], _COORDINATES)
    columns = min(d, 2 if is_compact(width) else 3)
    rows = -(-d // columns)
    plane_height, row_height = width / 3 + 0.1, (1.75 if is_compact(width) else 2.6)
    figure = blank(width, plane_height + rows * row_height)
    upper, lower = figure.subfigures(2, 1, height_ratios=(plane_height, rows * row_height))
    _draw_planes(upper, (truth[shown], estimate[shown], aligned[shown]))
    grid = lower.subplots(rows, columns, squeeze=False)
    for j, axes in enumerate(grid.flat[:d]):
        _draw_coordinate(axes, j, truth, aligned, shown)
    for axes in grid.flat[d:]:
        axes.set_axis_off()
    return figure


def _draw_planes(figure, samples: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    panels = figure.subplots(1, 3)
    colours = _colours(samples[0])
    for axes, z, title in zip(panels, samples, ("true latents", "as encoded", "aligned"), strict=True):
        flat = padded(z)
        axes.scatter(*flat.T, c=colours, s=4, linewidths=0, alpha=0.85)
        reach = 1.04 * max(np.abs(flat - flat.mean(axis=0)).max(), 1e-9)
        middle = flat.mean(axis=0)
        axes.set(xlim=middle[0] + np.array([-reach, reach]), ylim=middle[1] + np.array([-reach, reach]), aspect="equal")
        axes.set_title(title)
        frame_only(axes)


def _colours(truth: np.ndarray) -> np.ndarray:
    """(n, 4) colours: hue by direction from the centre, paler towards it."""
    flat = padded(truth) - padded(truth).mean(axis=0)
    colours = _WHEEL(np.arctan2(flat[:, 1], flat[:, 0]) / (2 * np.pi) % 1.0)
    distance = np.linalg.norm(flat, axis=1)
    strength = np.clip(distance / max(np.quantile(distance, 0.75), 1e-9), 0.25, 1.0)[:, None]
    colours[:, :3] = 1 - strength * (1 - colours[:, :3])
    return colours


def _draw_coordinate(axes: Axes, j: int, truth: np.ndarray, aligned: np.ndarray, shown: np.ndarray) -> None:
    ends = np.quantile(truth[:, j], [0.001, 0.999]) + np.array([-0.3, 0.3])
    axes.plot(ends, ends, color=TRUE, linewidth=1.2, zorder=3)
    axes.scatter(truth[shown, j], aligned[shown, j], s=4, color=PREDICTED, alpha=0.3, linewidths=0, zorder=2)
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel=f"true $z_{{{j + 1}}}$", ylabel=f"aligned $z_{{{j + 1}}}$")
    axes.grid(True)
    words = f"$R^2$ = {_r2(aligned[:, j], truth[:, j])}"
    backing = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    axes.text(0.04, 0.96, words, transform=axes.transAxes, va="top", fontsize=9, bbox=backing, zorder=5)


def _r2(fitted: np.ndarray, z: np.ndarray) -> str:
    total = ((z - z.mean()) ** 2).sum()
    return f"{1 - ((fitted - z) ** 2).sum() / total:.3f}".replace("-", "−") if total else "undefined"
