"""Points whose squared distances are nearest to given ones: weighted least squares, some of them unknown."""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import shortest_path

_STEPS, _SETTLED = 300, 1e-9
"""Steps at most, and the gain of one relative to the sum of squares at which they end."""
_DAMPING = (1e-10, 1e-3, 1e10)
"""Least, first and largest damping of a step, relative to the mean curvature at each point."""


def placed(squares: np.ndarray, weights: np.ndarray, d: int, start: np.ndarray | None = None) -> np.ndarray:
    """Points (E, d) about their mean, along their principal axes, the first the longest.

    Args:
        squares: (E, E) squared distances.
        weights: (E, E) of their squared errors in the sum that is least; 0 where they are not known.
        d: Dimensions.
        start: (E, d) to begin at; else the classical solution with unknown distances along shortest paths.

    References:
        Takane, Young & de Leeuw (1977), Psychometrika 42(1): least squares of squared distances (S-stress).
        Marquardt (1963), SIAM Journal 11(2): steps whose damping is relative, so that weights may differ widely.
    """
    w = weights / max(float(weights.max(initial=0.0)), np.finfo(float).tiny)
    points = classical(through_others(squares, weights > 0), d) if start is None else start
    value, damping = _stress(points, squares, w), _DAMPING[1]
    for _ in range(_STEPS):
        slope, curvature = _gauss_newton(points, squares, w)
        sizes = np.repeat(np.diag(curvature).reshape(points.shape).mean(1), points.shape[1])  # alike in all directions
        damped = curvature + np.diag(damping * sizes + np.finfo(float).tiny)
        new = points - np.linalg.solve(damped, slope).reshape(points.shape)
        gain = value - (found := _stress(new, squares, w))
        if gain > 0:
            points, value, damping = new, found, max(damping / 10, _DAMPING[0])
        else:
            damping *= 10
        if damping > _DAMPING[2] or 0 < gain <= _SETTLED * value:
            break
    return along_axes(points)


def _stress(points: np.ndarray, squares: np.ndarray, w: np.ndarray) -> float:
    """Weighted sum of squared errors of squared distances."""
    between = points[:, None] - points
    return float((w * ((between**2).sum(2) - squares) ** 2).sum())


def _gauss_newton(points: np.ndarray, squares: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Half the gradient (E d,) of the stress, and the Gauss–Newton matrix (E d, E d) that goes with it."""
    E, d = points.shape
    between = points[:, None] - points
    slope = 4 * np.einsum("ef,efi->ei", w * ((between**2).sum(2) - squares), between)
    pairs = 8 * np.einsum("ef,efi,efj->eifj", w, between, between)
    curvature = -pairs
    curvature[np.arange(E), :, np.arange(E)] += pairs.sum(2)
    return slope.ravel(), curvature.reshape(E * d, E * d)


def through_others(squares: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Squared distances (E, E) with unknown ones as long as the shortest path of known ones, where there is a path."""
    lengths = np.where(known, np.sqrt(np.maximum(squares, 1e-12)), np.inf)
    paths = shortest_path(lengths, directed=False) ** 2
    return np.where(known | ~np.isfinite(paths), squares, paths)


def classical(squares: np.ndarray, d: int) -> np.ndarray:
    """Points (E, d) of Torgerson's scaling: exact where the distances are those of points in d dimensions."""
    centring = np.eye(len(squares)) - 1 / len(squares)
    values, vectors = np.linalg.eigh(-0.5 * centring @ squares @ centring)
    leading = np.sqrt(np.maximum(values[::-1][:d], 1e-6 * max(float(values[-1]), 1e-12)))
    return vectors[:, ::-1][:, :d] * leading


def along_axes(points: np.ndarray) -> np.ndarray:
    """Points about their mean along principal axes; of each axis the largest entry is positive."""
    centred = points - points.mean(0)
    turned = centred @ np.linalg.svd(centred, full_matrices=False)[2].T
    turned = np.pad(turned, ((0, 0), (0, points.shape[1] - turned.shape[1])))
    largest = turned[np.abs(turned).argmax(0), np.arange(turned.shape[1])]
    return turned * np.where(largest < 0, -1.0, 1.0)


def brought_to(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Points (E, d) moved and turned on the target (orthogonal Procrustes)."""
    centred, goal = points - points.mean(0), target - target.mean(0)
    left, _, right = np.linalg.svd(centred.T @ goal)
    return centred @ left @ right + target.mean(0)
