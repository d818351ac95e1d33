"""Tests of a matrix of squared distances against draws of its error: rank, Euclidean or not, the same at every order.

Eigenvalues of the doubly centred matrix B̂ beyond a rank are compared with those of B̂_r + Δ, where B̂_r has the leading
eigenvalues alone and Δ are draws of the error of B̂. To first order these are the eigenvalues of Δ beyond the leading
eigenvectors; to second the leading ones push them down: where cells are few, far enough for the least to look negative.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def centred_gram(squares: np.ndarray) -> np.ndarray:
    """−½ J D J (…, E, E) of squared distances D: the Gram matrix about the mean point.

    Example:
        >>> y = np.array([[0.0], [1.0], [2.0]])
        >>> np.allclose(centred_gram((y - y.T) ** 2), (y - 1) @ (y - 1).T)
        True
    """
    J = np.eye(squares.shape[-1]) - 1 / squares.shape[-1]
    return -0.5 * J @ squares @ J


def rank_p_values(squares: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """(E − 1,) p-values of rank ≤ 0, 1, …, E − 2, by the greatest eigenvalue beyond it.

    Args:
        squares: (E, E) estimates.
        draws: (R, E, E) draws of their error.
    """
    values, shaken = _spectra(squares, draws)
    return np.array([_share(values[r], shaken(r)[:, r]) for r in range(len(values))])


def euclidean_p_value(squares: np.ndarray, draws: np.ndarray, rank: int) -> float:
    """p-value of a positive semidefinite Gram matrix, by the least eigenvalue beyond its rank; 1 where none is left."""
    if rank >= len(squares) - 1:
        return 1.0
    values, shaken = _spectra(squares, draws)
    return _share(-values[-1], -shaken(rank)[:, -1])


def greatest_p_value(values: np.ndarray, draws: np.ndarray) -> float:
    """p-value of all means being zero, by the greatest standardised value.

    Args:
        values: (m,) estimates of zero.
        draws: (R, m) draws of their error.
    """
    spread = np.maximum(draws.std(0), np.finfo(float).tiny)
    return _share(abs(values / spread).max(initial=0.0), abs(draws / spread).max(1, initial=0.0))


def _inside(squares: np.ndarray) -> np.ndarray:
    """(…, E − 1, E − 1) Gram matrices about the mean point, in coordinates of what is orthogonal to the constant."""
    E = squares.shape[-1]
    free = np.linalg.qr(np.hstack([np.ones((E, 1)), np.eye(E)[:, 1:]]))[0][:, 1:]
    return free.T @ centred_gram(squares) @ free


def _spectra(squares: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, Callable[[int], np.ndarray]]:
    """Eigenvalues (E − 1,), greatest first; from a rank to those (R, E − 1) of the leading part with errors."""
    values, vectors = (part[..., ::-1] for part in np.linalg.eigh(_inside(squares)))
    noise = _inside(draws)

    def shaken(rank: int) -> np.ndarray:
        leading = vectors[:, :rank]
        return np.linalg.eigvalsh(leading * values[:rank] @ leading.T + noise)[:, ::-1]

    return values, shaken


def _share(value: float, draws: np.ndarray) -> float:
    return float((1 + (draws >= value).sum()) / (1 + len(draws)))
