"""Squared latent distance of two environments from their cells alone, by the affinity of their laws.

With η = log p_f/p_e, −4 log(E_e e^{η/2} · E_f e^{−η/2}) = −8 log ∫√(p_e p_f) = ‖W(l_e − l_f)‖² for any injective
mixing. A constant in η̂ does not matter, the error of η̂ enters in second order, as −Var_q(η̂ − η) with q ∝ √(p_e p_f),
and two fits on disjoint cells tell the part of it that is variance: a quarter of Var_q(η̂₁ − η̂₂), for their mean.

References:
    Theory, claim 2.1; Bhattacharyya (1943), On a measure of divergence between two statistical populations.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.special import expit, logsumexp

from pdae_sim.analysis._kernels import Features, median_distance, nystrom_features

_PENALTIES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
_LANDMARKS, _NEWTON_STEPS, _FOLDS = 100, 30, 3
_COMPONENTS = 50
_UNSURE = 2.0
"""Standard deviation of what fits do to d², beside what their variance takes; chosen in worlds thrown away."""


@dataclass(frozen=True, eq=False)
class Affinity:
    """d² of two environments and how each cell moved it.

    Args:
        square: Estimate of ‖W(l_e − l_f)‖²; it may be negative.
        first, second: (n_e,) and (n_f,) influence of the cells, each of mean zero: the error is the sum of their means.
        lost: What the variance of η̂ had taken from `square`, given back.
    """

    square: float
    first: np.ndarray
    second: np.ndarray
    lost: float = 0.0

    @property
    def unsure(self) -> float:
        """How far `square` is off by the fits alone: by their variance, and by how badly that is known."""
        return _UNSURE * self.lost

    @property
    def standard_error(self) -> float:
        """Standard error of `square`, of the two means and of the fits."""
        means = self.first.var() / len(self.first) + self.second.var() / len(self.second)
        return float(np.sqrt(means + self.unsure**2))


def affinity(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> Affinity:
    """Estimate d² from cells (n_e, d) and (n_f, d); each is judged by fits that have not seen it.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> near = affinity(rng.normal(size=(400, 2)), rng.normal(size=(400, 2)) + [1.0, 0.0], rng)
        >>> bool(abs(near.square - 1) < 4 * near.standard_error)
        True
    """
    x, truth = np.vstack([first, second]), np.repeat([0.0, 1.0], [len(first), len(second)])
    z, fold = components(x), thirds(truth, rng)
    basis = _basis(z, rng)(z)
    eta, gap = judged_twice(basis, fold, lambda seen, judge: _fitted(basis, truth, seen, judge))
    return _read(eta, gap, truth == 1)


def thirds(environment: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n,) fold numbers, each environment shared out evenly over three."""
    fold = np.empty(len(environment), int)
    for e in np.unique(environment):
        rows = np.flatnonzero(environment == e)
        fold[rng.permutation(rows)] = np.arange(len(rows)) % _FOLDS
    return fold


def judged_twice(
    basis: np.ndarray, fold: np.ndarray, fit: Callable[[np.ndarray, np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and difference (n, …) of the logits of two fits that share no cell, at cells that neither has seen.

    Args:
        basis: (n, p) features.
        fold: (n,) thirds.
        fit: Intercepts and slopes (1 + p, …) from masks of the cells to fit to and of those to choose a penalty by.
    """
    pairs = []
    for out in range(_FOLDS):
        one, two = ((fold == (out + k) % _FOLDS) for k in (1, 2))
        pairs.append([basis[fold == out] @ t[1:] + t[0] for t in (fit(one, two), fit(two, one))])
    eta, gap = (np.empty((len(basis), *pairs[0][0].shape[1:])) for _ in range(2))
    for out, (first, second) in enumerate(pairs):
        eta[fold == out], gap[fold == out] = (first + second) / 2, first - second
    return eta, gap


def _read(eta: np.ndarray, gap: np.ndarray, second: np.ndarray) -> Affinity:
    halves = eta[~second] / 2, -eta[second] / 2
    logs = [float(logsumexp(h) - np.log(len(h))) for h in halves]
    weights = [np.exp(h - log) for h, log in zip(halves, logs, strict=True)]  # of mean one: q over p_e and over p_f
    q = np.concatenate(weights) / len(gap)
    spread = np.concatenate([gap[~second], gap[second]])
    q = q / q.sum()
    lost = float(q @ (spread - q @ spread) ** 2) / 4
    first, last = (-4 * (w - 1) for w in weights)
    return Affinity(-4 * sum(logs) + lost, first, last, lost)


def components(x: np.ndarray) -> np.ndarray:
    """Standardised columns, or their leading principal components where there are many, in one scale."""
    spread = x.std(0)
    z = (x - x.mean(0)) / np.where(spread > 0, spread, 1.0)
    if z.shape[1] <= _COMPONENTS:
        return z
    return z @ linalg.eigh(z.T @ z, subset_by_index=(z.shape[1] - _COMPONENTS, z.shape[1] - 1))[1]


def _basis(z: np.ndarray, rng: np.random.Generator) -> Features:
    landmarks = z[rng.permutation(len(z))[:_LANDMARKS]]
    features = nystrom_features(landmarks, 2**0.5 * median_distance(landmarks) or 1.0, cut=1e-6)
    centre = features(landmarks).mean(0)
    return lambda v: np.hstack([v, features(v) - centre])


def _fitted(basis: np.ndarray, truth: np.ndarray, seen: np.ndarray, judge: np.ndarray) -> np.ndarray:
    """Coefficients fitted to some cells, at the penalty that is best on others."""
    t, best = np.zeros(basis.shape[1] + 1), (np.inf, np.zeros(basis.shape[1] + 1))
    for penalty in _PENALTIES:
        t = _logistic(basis[seen], truth[seen], penalty, t)
        loss = _loss(basis[judge] @ t[1:] + t[0], truth[judge])
        if loss > best[0]:
            break
        best = loss, t
    return best[1]


def _loss(eta: np.ndarray, truth: np.ndarray) -> float:
    return float((np.logaddexp(0, eta) - truth * eta).mean())


def _logistic(B: np.ndarray, truth: np.ndarray, penalty: float, t: np.ndarray) -> np.ndarray:
    """Ridge logistic regression by damped Newton steps; the intercept is free."""
    columns = np.hstack([np.ones((len(B), 1)), B])
    ridge = np.r_[0.0, np.full(B.shape[1], penalty)]
    value = _loss(columns @ t, truth) + ridge @ t**2 / 2
    for _ in range(_NEWTON_STEPS):
        p = expit(columns @ t)
        gradient = columns.T @ (p - truth) / len(B) + ridge * t
        hessian = (columns.T * (p * (1 - p) / len(B))) @ columns + np.diag(ridge + 1e-10)
        step, size = linalg.solve(hessian, gradient, assume_a="pos"), 1.0
        while (new := _loss(columns @ (t - size * step), truth) + ridge @ (t - size * step) ** 2 / 2) > value:
            size /= 2
            if size < 1e-3:
                return t
        t = t - size * step
        if value - new < 1e-8:
            return t
        value = new
    return t
