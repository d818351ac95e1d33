"""True and predicted cells side by side, in the plane where the true ones vary most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from pdae_sim.errors import InputError
from pdae_sim.report._palette import INK, MUTED, PREDICTED, TRUE, WIDE, blank, in_house_style, is_compact
from pdae_sim.report._projection import principal_axes

_SHOWN = 900  # dots per sample
_BINS = 80
_LETTERS = 24  # of the feature names beside an axis
_MASSES = (0.9, 0.5)  # contours enclose these shares of the cells


@in_house_style
def compare_samples(
    true: np.ndarray,
    predicted: np.ndarray,
    *,
    title: str | None = None,
    features: Sequence[str] | None = None,
    width: float = WIDE,
) -> Figure:
    """True and predicted cells as dots, contours around 50 % and 90 % of them, and marginal densities at the sides.

    The plane is that of the first two principal components of the true sample. All cells enter the contours; at most
    900 of each sample, evenly spaced in row order, are drawn as dots. Rows that are not finite are left
    out and counted.

    Args:
        true: (n, d_X) measured cells.
        predicted: (m, d_X) cells of the predicted law.
        title: Of the figure, for instance the condition.
        features: d_X names of the observed coordinates; those with the largest weights are named at the axes
            of a wide figure.
        width: In inches.

    Raises:
        InputError: If the samples have no finite row or differ in d_X.
    """
    true, lost = _finite_rows("true", true)
    predicted, missed = _finite_rows("predicted", predicted)
    if true.shape[1] != predicted.shape[1]:
        raise InputError(f"true and predicted must have the same columns; received {true.shape} and {predicted.shape}")
    view = _View.of(true, None if is_compact(width) else features)
    flat = view.project(true), view.project(predicted)
    limits = _limits(*flat)
    figure = blank(width, 0.95 * width if is_compact(width) else 0.64 * width)
    panels = _panels(figure)
    panels.joint.set(xlim=limits[0], ylim=limits[1], xlabel=view.names[0], ylabel=view.names[1])
    panels.joint.grid(True)
    for points, colour in zip(flat, (TRUE, PREDICTED), strict=True):
        _draw_cells(panels, points, colour, limits)
    _draw_key(figure, title, len(true), len(predicted), is_compact(width))
    _note_absent(panels.joint, flat, limits, lost + missed)
    return figure


@dataclass(frozen=True, eq=False)
class _View:
    """The plane of the first two principal components: centre (d_X,), axes (2, d_X), names of the axes."""

    centre: np.ndarray
    axes: np.ndarray
    names: tuple[str, str]

    @classmethod
    def of(cls, true: np.ndarray, features: Sequence[str] | None) -> _View:
        axes, share = principal_axes(true)
        return cls(true.mean(axis=0), axes, tuple(_axis_name(i, axes[i], share[i], features) for i in range(2)))

    def project(self, x: np.ndarray) -> np.ndarray:
        return (x - self.centre) @ self.axes.T


def _axis_name(i: int, axis: np.ndarray, share: float, features: Sequence[str] | None) -> str:
    name = f"{('1st', '2nd')[i]} component ({share:.0%})"
    if features is None or not np.any(axis):
        return name
    largest = np.argsort(-np.abs(axis), kind="stable")[:3]
    shown = [f"{'−' if axis[j] < 0 else ''}{features[j]}".replace("$", r"\$") for j in largest if axis[j]]
    while len(shown) > 1 and len(", ".join(shown)) > _LETTERS:
        shown.pop()
    return f"{name}: {', '.join(shown)[:_LETTERS]}{', …' if len(axis) > len(shown) else ''}"


@dataclass(frozen=True, eq=False)
class _Panels:
    joint: Axes
    top: Axes
    side: Axes


def _panels(figure: Figure) -> _Panels:
    grid = figure.add_gridspec(2, 2, width_ratios=(6, 1), height_ratios=(1, 5))
    joint = figure.add_subplot(grid[1, 0])
    top = figure.add_subplot(grid[0, 0], sharex=joint)
    side = figure.add_subplot(grid[1, 1], sharey=joint)
    for axes in (top, side):
        axes.set_axis_off()
    return _Panels(joint, top, side)


def _finite_rows(name: str, x: np.ndarray) -> tuple[np.ndarray, int]:
    x = np.asarray(x, dtype=np.float64)
    x = x[:, None] if x.ndim == 1 else x
    keep = np.isfinite(x).all(axis=1)
    if x.ndim != 2 or not keep.any():
        raise InputError(f"{name} must be (n, d_X) with at least one finite row; received shape {x.shape}")
    return x[keep], int((~keep).sum())


def _limits(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """(2, 2) limits that hold 99.8 % of either sample along either axis, no wider than thrice the true range."""
    low, high = np.quantile(true, [0.001, 0.999], axis=0)
    other_low, other_high = np.quantile(predicted, [0.001, 0.999], axis=0)
    span = np.maximum(high - low, 1e-9)
    lowest = np.minimum(low, np.maximum(other_low, low - span))
    highest = np.maximum(high, np.minimum(other_high, high + span))
    margin = 0.06 * np.maximum(highest - lowest, 1e-9)
    return np.column_stack([lowest - margin, highest + margin])


def _draw_cells(panels: _Panels, points: np.ndarray, colour: str, limits: np.ndarray) -> None:
    shown = points[evenly(len(points), _SHOWN)]
    panels.joint.scatter(*shown.T, s=5, color=colour, alpha=0.28, linewidths=0, zorder=2)
    counts, levels, centres = density(points, limits)
    if len(levels):
        weights = (1.0, 1.7)[-len(levels) :]
        panels.joint.contour(*centres, counts.T, levels=levels, colors=colour, linewidths=weights, zorder=4)
    for axes, axis in ((panels.top, 0), (panels.side, 1)):
        _draw_marginal(axes, points[:, axis], colour, limits[axis], upright_=axis == 1)


def evenly(n: int, most: int) -> np.ndarray:
    """At most `most` of n row numbers, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def _bandwidth(n: int, d: int) -> float:
    """Scott's rule in bins, for a sample that spans about six standard deviations of `_BINS` bins."""
    return max(_BINS / 6 * n ** (-1 / (d + 4)), 1.0)


def density(points: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, list[float], list[np.ndarray]]:
    """A smoothed histogram (B, B), the levels whose contours enclose `_MASSES`, and the centres of its bins."""
    counts, *edges = np.histogram2d(*points.T, bins=_BINS, range=limits)
    counts = gaussian_filter(counts, _bandwidth(len(points), 2), mode="constant")
    ordered = np.sort(counts.ravel())[::-1]
    mass = np.cumsum(ordered) / max(ordered.sum(), 1e-300)
    levels = sorted({float(ordered[min(np.searchsorted(mass, m), len(mass) - 1)]) for m in _MASSES})
    return counts, [v for v in levels if 0 < v < ordered[0]], [(e[1:] + e[:-1]) / 2 for e in edges]


def _draw_marginal(axes: Axes, values: np.ndarray, colour: str, limits: np.ndarray, *, upright_: bool) -> None:
    counts, edges = np.histogram(values, bins=_BINS, range=tuple(limits), density=False)
    height = gaussian_filter1d(counts / len(values), _bandwidth(len(values), 1) * 0.8, mode="constant")
    centre = (edges[1:] + edges[:-1]) / 2
    if upright_:
        axes.fill_betweenx(centre, height, color=colour, alpha=0.11, linewidth=0)
        axes.plot(height, centre, color=colour, linewidth=1.3)
        axes.set_xlim(left=0)
    else:
        axes.fill_between(centre, height, color=colour, alpha=0.11, linewidth=0)
        axes.plot(centre, height, color=colour, linewidth=1.3)
        axes.set_ylim(bottom=0)


def _draw_key(figure: Figure, title: str | None, n_true: int, n_predicted: int, compact: bool) -> None:
    handles = [
        Line2D([], [], color=TRUE, linewidth=1.8, label=f"true, {n_true:,} cells"),
        Line2D([], [], color=PREDICTED, linewidth=1.8, label=f"predicted, {n_predicted:,} cells"),
    ]
    key = figure.legend(
        handles=handles, loc="outside upper left", ncols=2, labelcolor=INK, columnspacing=1.0 if compact else 2.0,
        title=title, alignment="left", title_fontproperties={"weight": "bold", "size": 10.5},
    )  # fmt: skip
    key.get_title().set(parse_math=False)


def _note_absent(axes: Axes, samples: Sequence[np.ndarray], limits: np.ndarray, lost: int) -> None:
    """Say how many cells the frame does not show; silence would hide them."""
    beyond = sum(int(((p < limits[:, 0]) | (p > limits[:, 1])).any(axis=1).sum()) for p in samples)
    words = [f"{beyond:,} outside the frame"] if beyond else []
    words += [f"{lost:,} not finite"] if lost else []
    if words:
        place = {"transform": axes.transAxes, "ha": "right", "va": "top"}
        axes.text(0.99, 0.985, "\n".join(words), fontsize=7, color=MUTED, zorder=8, **place)
