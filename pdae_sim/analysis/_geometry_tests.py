"""Tests of a matrix of squared distances against draws of its error: rank, Euclidean or not, the same at every order.

Eigenvalues are compared to first order: of N'B̂N, with B the doubly centred matrix and N the eigenvectors beyond a rank,
against those of N'ΔN for draws Δ of the error of B̂.
"""

from __future__ import annotations

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
    B, noise = centred_gram(squares), centred_gram(draws)
    ordered = _eigenvectors(B)
    return np.array([_tail(B, noise, ordered[:, r:]) for r in range(len(B) - 1)])


def euclidean_p_value(squares: np.ndarray, draws: np.ndarray, rank: int) -> float:
    """p-value of a positive semidefinite Gram matrix, by the least eigenvalue beyond its rank; 1 where none is left."""
    B = centred_gram(squares)
    beyond = _eigenvectors(B)[:, rank:]
    if not beyond.shape[1]:
        return 1.0
    return _tail(-B, -centred_gram(draws), beyond)


def greatest_p_value(values: np.ndarray, draws: np.ndarray) -> float:
    """p-value of all means being zero, by the greatest standardised value.

    Args:
        values: (m,) estimates of zero.
        draws: (R, m) draws of their error.
    """
    spread = np.maximum(draws.std(0), np.finfo(float).tiny)
    return _share(abs(values / spread).max(initial=0.0), abs(draws / spread).max(1, initial=0.0))


def _eigenvectors(B: np.ndarray) -> np.ndarray:
    """(E, E − 1) eigenvectors of a centred matrix, eigenvalues decreasing; the constant vector is left out."""
    E = len(B)
    free = np.linalg.qr(np.hstack([np.ones((E, 1)), np.eye(E)[:, 1:]]))[0][:, 1:]
    return free @ np.linalg.eigh(free.T @ B @ free)[1][:, ::-1]


def _tail(B: np.ndarray, noise: np.ndarray, N: np.ndarray) -> float:
    top = lambda M: np.linalg.eigvalsh(N.T @ M @ N)[..., -1]  # noqa: E731
    return _share(float(top(B)), top(noise))


def _share(value: float, draws: np.ndarray) -> float:
    return float((1 + (draws >= value).sum()) / (1 + len(draws)))
