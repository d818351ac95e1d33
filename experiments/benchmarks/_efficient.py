"""Errors of the best estimator that has to learn f, drawn: of W and of f together, by scores in simulated latents.

A field v along the latents changes f to f∘(id + v), and the law N(W l, I) of latents at a label l by the score
v·(z − W l) − div v; a change δW of the effects has the score (δW l)·(z − W l). The inverse of the covariance of all
these scores is the least covariance of a regular estimator of both in large samples (theory, claim 2.10f).
"""

from __future__ import annotations

from itertools import combinations_with_replacement

import numpy as np

_SIMULATED = 50_000
"""Latents of each condition."""
_RANK = 1e-9
"""Share of the largest eigenvalue of the information below which nothing is known: of rotations."""


class EfficientErrors:
    """Draws of the joint error of W and f, polynomials of a degree standing for all changes of f.

    Args:
        labels: (E, K) of training conditions, of a reference at 0 too.
        W: (d_Z, K) in the isotropic form.
        cells: Of each condition.
        degree: Of the polynomials.
        rng: Generator.
    """

    def __init__(self, labels: np.ndarray, W: np.ndarray, cells: int, degree: int, rng: np.random.Generator) -> None:
        d = len(W)
        terms = [c for k in range(degree + 1) for c in combinations_with_replacement(range(d), k)]
        self._W, self._powers = W, np.array([np.bincount(c, minlength=d) for c in terms])
        given = np.repeat(labels, _SIMULATED, axis=0)
        z = rng.normal(size=(len(given), d)) + given @ W.T
        s = self._scores(z, given)
        information = s.T @ s * (cells / _SIMULATED)
        scale = 1 / np.sqrt(np.diag(information))
        values, vectors = np.linalg.eigh(information * scale[:, None] * scale)
        known = values > _RANK * values[-1]
        self._root = scale[:, None] * vectors[:, known] / np.sqrt(values[known])

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """An error of W (d_Z, K), and the coefficients (d_Z, B) of the field that f is off by."""
        drawn = self._root @ rng.normal(size=self._root.shape[1])
        return drawn[: self._W.size].reshape(self._W.shape), drawn[self._W.size :].reshape(len(self._W), -1)

    def moved(self, z: np.ndarray, field: np.ndarray) -> np.ndarray:
        """Latents (n, d_Z) after a field."""
        return z + self._monomials(z) @ field.T

    def _scores(self, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """(n, d_Z K + d_Z B): of entries of W, then of the monomials along each latent."""
        residual, monomials = z - labels @ self._W.T, self._monomials(z)
        of_W = (residual[:, :, None] * labels[:, None, :]).reshape(len(z), -1)
        of_fields = [monomials * residual[:, [j]] - self._derivatives(z, j) for j in range(z.shape[1])]
        return np.hstack([of_W, *of_fields])

    def _monomials(self, z: np.ndarray) -> np.ndarray:
        return np.prod(z[:, None, :] ** self._powers, axis=2)

    def _derivatives(self, z: np.ndarray, along: int) -> np.ndarray:
        lower = self._powers.copy()
        lower[:, along] = np.maximum(lower[:, along] - 1, 0)
        return self._powers[:, along] * np.prod(z[:, None, :] ** lower, axis=2)
