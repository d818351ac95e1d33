"""Nyström kernel ridge: a smooth regression that returns zero where cross-validation finds no gain."""

from __future__ import annotations

import numpy as np
from scipy import linalg

from pdae_sim.analysis._kernels import Features, median_distance, nystrom_features

_LANDMARKS, _FOLDS = 300, 5
_SCALES = 2**0.5 * np.array([0.5, 1.0, 2.0, 4.0])  # bandwidths λ in units of the median distance
_RIDGES = 10.0 ** np.arange(-8.0, 2.0)  # per cell


def nystrom_ridge(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> Features:
    """A function s with s(x) ≈ y, zero where no bandwidth and ridge predicts kept-out cells better than zero.

    Ridge regression on a Gaussian kernel between the cells and at most 300 of them, which is kernel ridge regression
    itself with that many cells or fewer. Coordinates are whitened first, so that no affine map of x changes s.

    Args:
        x: (n, d).
        y: (n, p), such as the residuals of an affine map.
        rng: Generator of landmarks and folds.

    Returns:
        s, a function of (m, d) with values (m, p).

    References:
        Williams & Seeger (2001), Using the Nyström method to speed up kernel machines, NIPS 13.

    Example:
        >>> x = np.linspace(-2, 2, 200)[:, None]
        >>> bent = nystrom_ridge(x, np.cos(3 * x), np.random.default_rng(0))
        >>> bool(np.abs(bent(x) - np.cos(3 * x)).max() < 0.05)
        True
    """
    whiten = _whitening(x)
    u, folds = whiten(x), rng.permutation(np.arange(len(x)) % _FOLDS)
    landmarks = u[np.sort(rng.permutation(len(u))[:_LANDMARKS])]
    median = median_distance(landmarks)
    if not median:
        return lambda new: np.zeros((len(new), y.shape[1]))
    maps = [nystrom_features(landmarks, scale * median) for scale in _SCALES]
    errors = np.stack([_kept_out_errors(features(u), y, folds) for features in maps])
    best, ridge = np.unravel_index(np.argmin(errors), errors.shape)
    if not errors[best, ridge] < (y**2).sum():
        return lambda new: np.zeros((len(new), y.shape[1]))
    coefficients = _ridge(maps[best](u), y, _RIDGES[[ridge]] * len(u))[0]
    return lambda new: maps[best](whiten(new)) @ coefficients


def _whitening(x: np.ndarray) -> Features:
    """x ↦ its scores along the directions in which it varies, each of variance one."""
    centre = x.mean(0)
    _, s, Vh = np.linalg.svd(x - centre, full_matrices=False)
    kept = s > s[0] * len(x) * np.finfo(float).eps
    root = Vh[kept].T / s[kept] * np.sqrt(len(x))
    return lambda new: (new - centre) @ root


def _kept_out_errors(features: np.ndarray, y: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """(n_ridges,) sums of squared errors on the folds, each left out of the fit that predicts it."""
    errors = np.zeros(len(_RIDGES))
    for fold in range(_FOLDS):
        out = folds == fold
        coefficients = _ridge(features[~out], y[~out], _RIDGES * np.sum(~out))
        errors += ((features[out] @ coefficients - y[out]) ** 2).sum((1, 2))
    return errors


def _ridge(features: np.ndarray, y: np.ndarray, ridges: np.ndarray) -> np.ndarray:
    """(n_ridges, m, p) coefficients, one decomposition for all ridges."""
    values, V = linalg.eigh(features.T @ features)
    projected = V.T @ (features.T @ y)
    return V @ (projected / (np.maximum(values, 0)[:, None] + ridges[:, None, None]))
