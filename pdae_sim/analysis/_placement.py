"""Points whose squared distances are nearest to given ones: weighted least squares, some of them unknown."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize
from scipy.sparse.csgraph import shortest_path

_STEPS = 500


def placed(squares: np.ndarray, weights: np.ndarray, d: int, start: np.ndarray | None = None) -> np.ndarray:
    """Points (E, d) about their mean, along their principal axes, the first the longest.

    Args:
        squares: (E, E) squared distances.
        weights: (E, E) of their squared errors in the sum that is least; 0 where they are not known.
        d: Dimensions.
        start: (E, d) to begin at; else the classical solution with unknown distances along shortest paths.

    References:
        Takane, Young & de Leeuw (1977), Psychometrika 42(1): least squares of squared distances (S-stress).
    """
    E = len(squares)
    pairs = np.triu_indices(E, 1)
    known, w = squares[pairs], weights[pairs] / max(float(weights[pairs].max()), 1e-300)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        points = flat.reshape(E, d)
        between = points[pairs[0]] - points[pairs[1]]
        left = (between**2).sum(1) - known
        slope, pull = np.zeros_like(points), 4 * (w * left)[:, None] * between
        np.add.at(slope, pairs[0], pull)
        np.add.at(slope, pairs[1], -pull)
        return float(w @ left**2), slope.ravel()

    begin = classical(through_others(squares, weights > 0), d) if start is None else start
    points = minimize(objective, begin.ravel(), jac=True, method="L-BFGS-B", options={"maxiter": _STEPS}).x
    return along_axes(points.reshape(E, d))


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
