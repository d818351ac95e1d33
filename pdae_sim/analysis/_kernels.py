"""The Gaussian kernel exp(−‖x − y‖² / λ²): its bandwidths λ, and Nyström features that approximate it.

References:
    Williams & Seeger (2001), Using the Nyström method to speed up kernel machines, NIPS 13.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import linalg
from scipy.spatial.distance import cdist, pdist

from pdae_sim.analysis._permutation import centred, distances_between
from pdae_sim.errors import InputError

_BANDWIDTH_ROWS = 1000  # rows whose distances set the bandwidths

Features = Callable[[np.ndarray], np.ndarray]


def gaussian(distances: np.ndarray, bandwidth: float) -> np.ndarray:
    """exp(−D² / λ²) of distances D of any shape."""
    return np.exp(-((distances / bandwidth) ** 2))


def bandwidths(rows: np.ndarray, n: int) -> list[float]:
    """n values of λ, equally spaced in logarithm from half the 5 % to twice the 95 % quantile of positive distances.

    Args:
        rows: (N, d) in random order: the first 1,000 are looked at.
        n: How many.

    Raises:
        InputError: If all rows are equal.
    """
    rows = centred(rows[:_BANDWIDTH_ROWS])
    distances = distances_between(rows, rows)[np.triu_indices(len(rows), 1)]
    distances = distances[distances > 0]
    if not distances.size:
        raise InputError("samples must vary for a kernel bandwidth; all of their rows are equal")
    low, high = np.quantile(distances, [0.05, 0.95])
    return np.geomspace(low / 2, 2 * high, n).tolist()


def median_distance(rows: np.ndarray) -> float:
    """The median positive distance between rows; 0 where all rows are equal."""
    distances = pdist(rows) if rows.shape[1] else np.zeros(0)
    distances = distances[distances > 0]
    return float(np.median(distances)) if distances.size else 0.0


def nystrom_features(landmarks: np.ndarray, bandwidth: float, *, cut: float = 1e-10) -> Features:
    """x (n, d) ↦ features (n, m) whose inner products are the kernel's, exactly so on the landmarks.

    Args:
        landmarks: (M, d) rows.
        bandwidth: λ > 0.
        cut: Share of the greatest eigenvalue of the kernel matrix below which directions are left out: beneath it they
            are rounding, and the roots of their eigenvalues would amplify it.

    Example:
        >>> x = np.array([[0.0], [1.0], [3.0]])
        >>> features = nystrom_features(x, 2.0)(x)
        >>> bool(np.allclose(features @ features.T, np.exp(-((x - x.T) ** 2) / 4)))
        True
    """
    values, vectors = linalg.eigh(gaussian(cdist(landmarks, landmarks), bandwidth))
    kept = values > cut * values[-1]
    root = vectors[:, kept] / np.sqrt(values[kept])
    return lambda x: gaussian(cdist(x, landmarks), bandwidth) @ root
