"""Worlds with known parameters, on which claims are confirmed numerically; the same ones at every call."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import multivariate_normal

EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class World:
    """A model of the class, and labels.

    Attributes:
        W: perturbation matrix (d_Z, K).
        Sigma: covariance of the base latent (d_Z, d_Z), condition number at most 100.
        labels: training labels (M + 1, K); row 0 is the reference l_0, not zero.
        inside: a test label (K,) with l_t - l_0 in the span of the training shifts.
        outside: a test label (K,) that is not; there is one because M < K.
        alpha: the coefficients (M,) with which `inside` was made.
        Q: an orthogonal matrix (d_Z, d_Z).
        R: another one, inside the mixing.
        u: a vector (d_Z,).
        z_base: sampled base latents (n, d_Z), from N(0, I).
    """

    W: np.ndarray
    Sigma: np.ndarray
    labels: np.ndarray
    inside: np.ndarray
    outside: np.ndarray
    alpha: np.ndarray
    Q: np.ndarray
    R: np.ndarray
    u: np.ndarray
    z_base: np.ndarray

    @property
    def shifts(self) -> np.ndarray:
        """L = [l_1 - l_0 … l_M - l_0], shape (K, M)."""
        return (self.labels[1:] - self.labels[0]).T

    def mix(self, z: np.ndarray) -> np.ndarray:
        """f(z) = sinh(R z) entrywise, a diffeomorphism of the latent space; rows are samples."""
        return np.sinh(z @ self.R.T)

    def unmix(self, x: np.ndarray) -> np.ndarray:
        """The inverse of f."""
        return np.arcsinh(x) @ self.R


def worlds(n_worlds: int = 12) -> tuple[World, ...]:
    """A fixed list of worlds with d_Z from 1 to 4 and rank(W L) = d_Z."""
    return tuple(_world(seed) for seed in range(n_worlds))


def log_densities(points: np.ndarray, means: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """log N(point; mean, covariance) by scipy, for every mean (m, d_Z) and point (n, d_Z), shape (m, n)."""
    return np.stack([multivariate_normal(mean, covariance).logpdf(points).reshape(-1) for mean in means])


def log_ratios(points: np.ndarray, means: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """log N(point; mean, covariance) against the first mean, for every further one, shape (m - 1, n)."""
    logs = log_densities(points, means, covariance)
    return logs[1:] - logs[0]


def symmetric_columns(world: World) -> np.ndarray:
    """A random symmetric matrix (d_Z, d_Z) for each of the K perturbations of a world."""
    draw = np.random.default_rng(world.W.shape)
    columns = draw.normal(size=(world.W.shape[1], len(world.W), len(world.W)))
    return columns + columns.transpose(0, 2, 1)


def _world(seed: int, n_samples: int = 64) -> World:
    draw = np.random.default_rng(seed)
    d_Z = 1 + seed % 4
    M, K = d_Z + seed % 3, d_Z + seed % 3 + 1
    labels, alpha = draw.normal(size=(M + 1, K)), draw.normal(size=M)
    return World(
        W=draw.normal(size=(d_Z, K)),
        Sigma=_covariance(draw, d_Z),
        labels=labels,
        inside=labels[0] + alpha @ (labels[1:] - labels[0]),
        outside=draw.normal(size=K),
        alpha=alpha,
        Q=_orthogonal(draw, d_Z),
        R=_orthogonal(draw, d_Z),
        u=draw.normal(size=d_Z),
        z_base=draw.normal(size=(n_samples, d_Z)),
    )


@dataclass(frozen=True)
class Structure:
    """A linear latent causal model.

    Attributes:
        A: adjacency (d_Z, d_Z); A[i, j] is the effect of j on i.
        D: noise variances (d_Z,).
        S: targets of the shifts (d_Z, K).
        order: the latents (d_Z,) with causes before effects.
        u: sampled noises (n, d_Z).
        labels: one label per sample (n, K).
    """

    A: np.ndarray
    D: np.ndarray
    S: np.ndarray
    order: np.ndarray
    u: np.ndarray
    labels: np.ndarray


def structures(n_structures: int = 8) -> tuple[Structure, ...]:
    """A fixed list of latent causal models with d_Z from 2 to 5 and causes in any order."""
    return tuple(_structure(seed) for seed in range(n_structures))


def _structure(seed: int, n_samples: int = 16) -> Structure:
    draw = np.random.default_rng(seed)
    d_Z, K = 2 + seed % 4, 1 + seed % 3
    rank = draw.permutation(d_Z)
    D = draw.uniform(0.5, 2, size=d_Z)
    return Structure(
        A=np.where(rank[:, None] > rank[None, :], draw.normal(size=(d_Z, d_Z)), 0.0),
        D=D,
        S=draw.normal(size=(d_Z, K)),
        order=np.argsort(rank),
        u=draw.normal(size=(n_samples, d_Z)) * np.sqrt(D),
        labels=draw.normal(size=(n_samples, K)),
    )


def _orthogonal(draw: np.random.Generator, size: int) -> np.ndarray:
    return np.linalg.qr(draw.normal(size=(size, size)))[0]


def _covariance(draw: np.random.Generator, size: int) -> np.ndarray:
    Q = _orthogonal(draw, size)
    return (Q * 10 ** draw.uniform(-1, 1, size=size)) @ Q.T
