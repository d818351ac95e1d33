"""A curved embedding: a graph over a linear subspace, placed in the observed space by an isometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdae_sim.errors import InputError
from pdae_sim.simulation._fields import fits, hold
from pdae_sim.simulation.mixings._layer import Layer


@dataclass(frozen=True, eq=False)
class Curved(Layer):
    """Curved embedding y ↦ Q [y; φ(y)] + bias, φ(y) = C tanh(B y + b); the first d columns of Q read y off exactly.

    Q has d + m columns only (m, the directions that the image bends into), so that nothing of size d_out² is ever
    formed: n rows cost n · (d h + h m + (d + m) d_out) multiplications, for 90,000 × 1,000 with d = 20, h = m = 32
    about as much as one product of these shapes.

    Args:
        Q: (d_out, d + m) with orthonormal columns.
        bias: (d_out,).
        weights: B (h, d).
        offsets: b (h,).
        heights: C (m, h).

    Example:
        >>> graph = Curved(np.eye(2), np.zeros(2), [[1.0]], [0.0], [[2.0]])
        >>> bool(np.allclose(graph.forward(np.array([[1.0]])), [[1.0, 2 * np.tanh(1.0)]]))
        True
    """

    Q: np.ndarray
    bias: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray
    heights: np.ndarray

    def __post_init__(self) -> None:
        hold(self, Q=2, bias=1, weights=2, offsets=1, heights=2)
        if not np.allclose(self.Q.T @ self.Q, np.eye(self.Q.shape[1]), atol=1e-10):
            raise InputError("Q must have orthonormal columns")
        h, d = self.weights.shape
        fits(self, "bias", (len(self.Q),))
        fits(self, "offsets", (h,))
        fits(self, "heights", (self.Q.shape[1] - d, h))

    def forward(self, z: np.ndarray) -> np.ndarray:
        x = np.concatenate([z, self._hidden(z) @ self.heights.T], axis=1) @ self.Q.T
        x += self.bias
        return x

    def inverse(self, x: np.ndarray) -> np.ndarray:
        return (x - self.bias) @ self.Q[:, : self.weights.shape[1]]

    def push(self, z: np.ndarray, tangents: np.ndarray) -> np.ndarray:
        bent = np.matmul(self._gradient(z), tangents)
        return np.matmul(self.Q, np.concatenate([tangents, bent], axis=1))

    def log_det(self, z: np.ndarray) -> np.ndarray:
        """½ log det(I + DφᵀDφ)."""
        return np.log1p(np.linalg.svd(self._gradient(z), compute_uv=False) ** 2).sum(axis=1) / 2

    def flat(self) -> Curved:
        """An isometric copy in R^(d + m): Q = I and no bias."""
        m = self.Q.shape[1]
        return Curved(np.eye(m), np.zeros(m), self.weights, self.offsets, self.heights)

    def scaled(self, factor: float) -> Curved:
        """A copy with φ times a factor."""
        return Curved(self.Q, self.bias, self.weights, self.offsets, factor * self.heights)

    def _hidden(self, z: np.ndarray) -> np.ndarray:
        a = z @ self.weights.T
        a += self.offsets
        return np.tanh(a, out=a)

    def _gradient(self, z: np.ndarray) -> np.ndarray:
        """Dφ, (n, m, d)."""
        return np.matmul(self.heights * (1.0 - self._hidden(z) ** 2)[:, None, :], self.weights)

    @property
    def dimensions(self) -> tuple[int, int]:
        """d and d_out."""
        return self.weights.shape[1], len(self.Q)
