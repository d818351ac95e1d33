"""Spread that changes with the label: base latents scaled by e^{S(l − l_e)}, S symmetric and linear in the label.

Within a training condition base latents have the covariance C_e, under the additive model I. Posterior draws lean
towards that: if the covariance of z is I + D, that of draws is I + J D J with J the information of a cell (exact for
linear Gaussian measurements), so that D is J⁻¹(C_e − I)J⁻¹. Half of the logarithm of I + D is S at that condition; it
is shrunk by what chance alone makes of it, and regressed on the labels.

References:
    Theory, claim 2.18; Stein (1956), Inadmissibility of the usual estimator, for the shrinkage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pdae_sim.estimation.pdae import PDAE

_LEAST = 0.1
"""Least variance, and the inverse of the largest, that a condition is taken to have."""


def log_scales(
    base: np.ndarray, environment: np.ndarray, labels: np.ndarray, information: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """S at the label zero (d_Z, d_Z), and its change for one unit of each perturbation (K, d_Z, d_Z).

    Args:
        base: (n, d_Z) base latents; under noise one posterior draw of each.
        environment: (n,) row of `labels` of each.
        labels: (E, K).
        information: (d_Z, d_Z) J.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(2000, 2))
        >>> z[1000:, 0] *= 2.0
        >>> level, change = log_scales(z, np.repeat([0, 1], 1000), np.array([[0.0], [1.0]]), np.eye(2))
        >>> bool(abs(change[0, 0, 0] - np.log(2)) < 0.1 and abs(change[0, 1, 1]) < 0.1)
        True
    """
    counts, d = np.bincount(environment, minlength=len(labels)), base.shape[1]
    weights, gain = np.where(counts > d, counts, 0), np.linalg.inv(information)
    covariances = np.array([_covariance(base[environment == e]) for e in range(len(labels))])
    pooled = np.tensordot(weights / weights.sum(), covariances, 1)
    level = _half_log(_behind_draws(pooled, gain))
    scales = np.array([_half_log(_behind_draws(C, gain)) for C in covariances])
    scales -= np.tensordot(weights / weights.sum(), scales, 1)
    chance = (np.trace(gain @ gain) ** 2 + np.square(gain @ gain).sum()) / 4 / np.maximum(counts, 1)
    size = np.maximum(np.square(scales).sum((1, 2)), chance)  # of chance at least, where none of it is left
    shrunk = (1 - chance / size)[:, None, None] * scales
    root, design = np.sqrt(weights)[:, None], np.column_stack([np.ones(len(labels)), labels])
    fitted = np.linalg.lstsq(root * design, root * shrunk.reshape(len(labels), -1), rcond=None)[0]
    return level + fitted[0].reshape(d, d), fitted[1:].reshape(-1, d, d)


def scaled(model: PDAE, base: np.ndarray, label: np.ndarray, environment: np.ndarray | None) -> np.ndarray:
    """Base latents (n, d_Z) with the spread of a label in place of that of their conditions.

    Args:
        model: Fitted.
        base: Base latents of training cells, or draws of N(0, I).
        label: (K,).
        environment: (n,) the training condition of each; None for draws of N(0, I).
    """
    level, change = log_scales(model.base_latents_, model._base_environment, model.train_labels_, model.information_)
    if environment is None:
        return base @ _function(np.tensordot(label, change, 1) + level, np.exp)
    found = np.empty_like(base)
    for e in np.unique(environment):
        rows = environment == e
        found[rows] = base[rows] @ _function(np.tensordot(label - model.train_labels_[e], change, 1), np.exp)
    return found


def _covariance(base: np.ndarray) -> np.ndarray:
    """Covariance (d_Z, d_Z) of base latents (n, d_Z); I where they are too few for one."""
    n, d = base.shape
    return np.cov(base.T).reshape(d, d) if n > d else np.eye(d)


def _behind_draws(covariance: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """The covariance of z where draws have this one, by the inverse of the information of a cell."""
    eye = np.eye(len(gain))
    return eye + gain @ (covariance - eye) @ gain


def _half_log(covariance: np.ndarray) -> np.ndarray:
    """Log standard deviations, of variances within a factor of ten of one."""
    return _function(covariance, lambda values: np.log(np.clip(values, _LEAST, 1 / _LEAST)) / 2)


def _function(matrix: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A function of a symmetric matrix."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return (vectors * function(values)) @ vectors.T
