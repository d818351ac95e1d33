"""Points of any dimension in two coordinates, and frames of equal scale around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdae_sim.report._palette import is_compact

_ORDINALS = ("1st", "2nd")


@dataclass(frozen=True, eq=False)
class Frame:
    """Limits (2, 2) of equal scale, a row per axis, and the height in inches that shows them at the width asked for."""

    limits: np.ndarray
    height: float

    @classmethod
    def around(cls, points: np.ndarray, margin: float, width: float, *, above: float = 0.5) -> Frame:
        """The frame that holds `points` (n, 2) with `margin` data units on every side and `above` inches for a key."""
        low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(2), np.zeros(2))
        middle, half = (low + high) / 2, np.maximum((high - low) / 2 + margin, 1e-9)
        tallest = 1.1 if is_compact(width) else 0.72
        half = np.maximum(half, [half[1] / tallest, half[0] * 0.45])
        return cls(np.column_stack([middle - half, middle + half]), half[1] / half[0] * (width - 0.7) + 0.5 + above)


def plane(points: np.ndarray, *, of: str) -> tuple[np.ndarray, tuple[str, str]]:
    """(n, d) points in two coordinates, and what to call these: their own, or their first two principal axes."""
    d = points.shape[1]
    if d <= 2:
        return padded(points), ("first latent", "second latent" if d == 2 else "")
    axes, share = principal_axes(points)
    flat = (points - points.mean(axis=0)) @ axes.T
    return flat, tuple(f"{word} principal axis of the {of} ({p:.0%})" for word, p in zip(_ORDINALS, share, strict=True))


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


def padded(points: np.ndarray) -> np.ndarray:
    """The first two coordinates (n, 2), with zeros where there is only one."""
    return np.column_stack([points, np.zeros((len(points), max(2 - points.shape[1], 0)))])[:, :2]
