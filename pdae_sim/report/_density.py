"""Samples of cells in a plane: dots, and contours around the densest half and nine tenths of them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from pdae_sim.report._palette import Dashes

BINS = 80
_MASSES = (0.9, 0.5)  # contours enclose these shares of the cells


def evenly(n: int, most: int) -> np.ndarray:
    """At most `most` of n row numbers, evenly spaced."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(int))


def draw_cells(
    axes: Axes,
    points: np.ndarray,
    limits: np.ndarray,
    colour: str,
    *,
    shown: int,
    size: float = 5.0,
    dashes: Dashes | None = None,
) -> None:
    """Dots for at most `shown` cells, evenly spaced in their order, and contours of all.

    Args:
        axes: With the limits below.
        points: (n, 2) cells in the plane.
        limits: (2, 2) a row per axis.
        colour: Of dots and lines.
        shown: Most dots.
        size: Of a dot.
        dashes: Of the contours; solid if None.
    """
    x, y = points[evenly(len(points), shown)].T
    axes.scatter(x, y, s=size, color=colour, alpha=0.28, linewidths=0, zorder=2)
    counts, levels, centres = _density(points, limits)
    if levels:
        widths = [1.0, 1.7][-len(levels) :]
        axes.contour(
            *centres, counts.T, levels=levels, colors=colour, linewidths=widths, linestyles=[dashes or "-"], zorder=4
        )


def marginal(values: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centres of bins along one axis and a smoothed density in them."""
    counts, edges = np.histogram(values, bins=BINS, range=(limits[0], limits[1]))
    height = gaussian_filter1d(counts / len(values), 0.8 * _bandwidth(len(values), 1), mode="constant")
    return (edges[1:] + edges[:-1]) / 2, height


def _density(points: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, list[float], list[np.ndarray]]:
    """A smoothed histogram (B, B), the levels whose contours enclose `_MASSES`, and the centres of its bins."""
    counts, *edges = np.histogram2d(points[:, 0], points[:, 1], bins=BINS, range=limits.tolist())
    counts = gaussian_filter(counts, _bandwidth(len(points), 2), mode="constant")
    descending = np.sort(counts.ravel())[::-1]
    mass = np.cumsum(descending) / max(descending.sum(), 1e-300)
    levels = sorted({float(descending[min(int(np.searchsorted(mass, m)), len(mass) - 1)]) for m in _MASSES})
    return counts, [v for v in levels if 0 < v < descending[0]], [(e[1:] + e[:-1]) / 2 for e in edges]


def _bandwidth(n: int, d: int) -> float:
    """Scott's rule in bins, for a sample that spans about six standard deviations of `BINS` bins."""
    return max(BINS / 6 * n ** (-1 / (d + 4)), 1.0)
