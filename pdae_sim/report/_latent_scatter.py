"""Encoded latents before and after alignment, against the truth."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure

from pdae_sim._checks import matrix
from pdae_sim.errors import InputError
from pdae_sim.report._density import evenly
from pdae_sim.report._palette import PREDICTED, RULE, TRUE, WIDTH, new_figure, styled
from pdae_sim.report._projection import first_two

_SHOWN = 1500  # cells
_COORDINATES = 6
_WHEEL = LinearSegmentedColormap.from_list(
    "wheel", ["#1f5f99", "#3b9a9c", "#7fae4f", "#d9a520", "#d9661f", "#b03a5b", "#6a4a9c", "#1f5f99"]
)


@styled
def latent_scatter(estimate: np.ndarray, aligned: np.ndarray, truth: np.ndarray) -> Figure:
    """Cells in one colour throughout: in the true plane, as encoded, and aligned; then coordinate by coordinate.

    The colour is the direction of a cell from the centre of the true latents. R² is that of the truth given the
    aligned latents as they are, with no further fit. Up to six coordinates are shown.

    Args:
        estimate: (n, d_Z) encoded latents.
        aligned: (n, d_Z) the same after rotation and translation.
        truth: (n, d_Z) true latents of the same cells in the isotropic form.

    Raises:
        InputError: If shapes disagree.
    """
    estimate, aligned, truth = matrix("estimate", estimate), matrix("aligned", aligned), matrix("truth", truth)
    if not estimate.shape == aligned.shape == truth.shape:
        shapes = f"{estimate.shape}, {aligned.shape}, {truth.shape}"
        raise InputError(f"estimate, aligned and truth must have one shape; received {shapes}")
    shown = evenly(len(truth), _SHOWN)
    d = min(truth.shape[1], _COORDINATES)
    columns = min(d, 3)
    rows = -(-d // columns)
    heights = (WIDTH / 3 + 0.1, 2.6 * rows)
    figure = new_figure(sum(heights))
    halves = figure.add_gridspec(2, 1, height_ratios=heights)
    upper, lower = (figure.add_subfigure(halves[row, 0]) for row in (0, 1))
    _draw_planes(upper, {"true latents": truth[shown], "as encoded": estimate[shown], "aligned": aligned[shown]})
    grid = lower.subplots(rows, columns, squeeze=False)
    for j, axes in enumerate(grid.flat[:d]):
        _draw_coordinate(axes, j, truth[:, j], aligned[:, j], shown)
    for axes in grid.flat[d:]:
        axes.set_axis_off()
    return figure


def _draw_planes(part: SubFigure, samples: dict[str, np.ndarray]) -> None:
    colours = _colours(samples["true latents"])
    for axes, (title, z) in zip(part.subplots(1, 3), samples.items(), strict=True):
        flat = first_two(z)
        middle = flat.mean(axis=0)
        reach = 1.04 * max(np.abs(flat - middle).max(), 1e-9)
        axes.scatter(*flat.T, c=colours, s=4, linewidths=0, alpha=0.85)
        axes.set(xlim=middle[0] + np.array([-reach, reach]), ylim=middle[1] + np.array([-reach, reach]))
        axes.set(aspect="equal", xticks=[], yticks=[], title=title)
        for spine in axes.spines.values():
            spine.set(visible=True, color=RULE)


def _colours(truth: np.ndarray) -> np.ndarray:
    """(n, 4) colours: hue by direction from the centre, paler towards it."""
    flat = first_two(truth) - first_two(truth).mean(axis=0)
    colours = np.asarray(_WHEEL(np.arctan2(flat[:, 1], flat[:, 0]) / (2 * np.pi) % 1.0))
    distance = np.linalg.norm(flat, axis=1)
    strength = np.clip(distance / max(float(np.quantile(distance, 0.75)), 1e-9), 0.25, 1.0)[:, None]
    colours[:, :3] = 1 - strength * (1 - colours[:, :3])
    return colours


def _draw_coordinate(axes: Axes, j: int, truth: np.ndarray, aligned: np.ndarray, shown: np.ndarray) -> None:
    low, high = np.quantile(truth, [0.001, 0.999]).tolist()
    ends = (low - 0.3, high + 0.3)
    axes.plot(ends, ends, color=TRUE, linewidth=1.2, zorder=3)
    axes.scatter(truth[shown], aligned[shown], s=4, color=PREDICTED, alpha=0.3, linewidths=0, zorder=2)
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel=f"true $z_{{{j + 1}}}$", ylabel=f"aligned $z_{{{j + 1}}}$")
    axes.grid(True)
    backing = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    text = f"$R^2$ = {_r2(aligned, truth)}"
    axes.text(0.04, 0.96, text, transform=axes.transAxes, va="top", fontsize=9, bbox=backing, zorder=5)


def _r2(estimate: np.ndarray, truth: np.ndarray) -> str:
    total = ((truth - truth.mean()) ** 2).sum()
    return f"{1 - ((estimate - truth) ** 2).sum() / total:.3f}".replace("-", "−") if total else "undefined"
