"""Points of any dimension in two coordinates, and limits of equal scale around them."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from pdae_sim.report._palette import WIDTH

_TALLEST, _FLATTEST = 0.72, 0.45  # height over width


def principal_axes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first two principal axes (2, d), zero where there is none, and their shares (2,) of the variance.

    Signs are fixed (the largest entry of an axis is positive), so that a figure does not flip by chance.
    """
    _, s, rows = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    axes, share = np.zeros((2, points.shape[1])), np.zeros(2)
    m = min(2, len(s))
    largest = rows[np.arange(m), np.abs(rows[:m]).argmax(axis=1)]
    axes[:m] = rows[:m] * np.where(largest < 0, -1.0, 1.0)[:, None]
    share[:m] = s[:m] ** 2 / max((s**2).sum(), 1e-300)
    return axes, share


def first_two(points: np.ndarray) -> np.ndarray:
    """The first two coordinates (n, 2), with zeros where there is only one."""
    return np.column_stack([points, np.zeros((len(points), max(2 - points.shape[1], 0)))])[:, :2]


def equal_limits(points: np.ndarray, margin: float) -> tuple[np.ndarray, float]:
    """Limits of equal scale around points, and the height that shows them at the width of the page.

    Args:
        points: (n, 2), one or more.
        margin: Data units on every side.

    Returns:
        Limits (2, 2), a row per axis, and a height in inches.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, np.maximum((high - low) / 2 + margin, 1e-9)
    half = np.maximum(half, [half[1] / _TALLEST, half[0] * _FLATTEST])
    return np.column_stack([middle - half, middle + half]), float(half[1] / half[0] * (WIDTH - 0.7) + 0.95)


def set_plane(axes: Axes, limits: np.ndarray, names: tuple[str, str]) -> None:
    """Limits, equal scale, names and a grid for a plane."""
    (left, right), (bottom, top) = limits.tolist()
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", xlabel=names[0], ylabel=names[1])
    axes.grid(True)
