"""Polynomial diffeomorphisms with polynomial inverses, of the kind of Hénon's map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdae_sim.errors import InputError
from pdae_sim.simulation._fields import fits, hold
from pdae_sim.simulation.mixings._layer import Layer


@dataclass(frozen=True, eq=False)
class QuadraticShear(Layer):
    """Quadratic shear (z₁, z₂) ↦ (z₁, z₂ + q(z₁)), q_i(z₁) = z₁ᵀ C_i z₁: determinant one, the inverse subtracts q.

    Between rotations these generate polynomial diffeomorphisms of degree 2^depth; with d = 2 and swaps, Hénon's maps.

    Args:
        coefficients: C (m, k, k), symmetric in the last two; z₁ are the first k coordinates, z₂ the last m.

    References:
        Hénon (1976), A two-dimensional mapping with a strange attractor; Friedland & Milnor (1989), Dynamical
        properties of plane polynomial automorphisms.

    Example:
        >>> QuadraticShear([[[1.0]]]).forward(np.array([[3.0, 1.0]])).tolist()
        [[3.0, 10.0]]
    """

    coefficients: np.ndarray

    def __post_init__(self) -> None:
        hold(self, coefficients=3)
        C = self.coefficients
        if C.size == 0:
            raise InputError("a quadratic shear needs at least one coordinate on either side")
        fits(self, "coefficients", (C.shape[0], C.shape[1], C.shape[1]))
        if not np.array_equal(C, C.swapaxes(1, 2)):
            raise InputError("coefficients must be symmetric in their last two axes")

    def forward(self, z: np.ndarray) -> np.ndarray:
        x = np.array(z, dtype=np.float64)
        x[:, self._k :] += self._quadratic(z)
        return x

    def inverse(self, x: np.ndarray) -> np.ndarray:
        z = np.array(x, dtype=np.float64)
        z[:, self._k :] -= self._quadratic(x)
        return z

    def push(self, z: np.ndarray, tangents: np.ndarray) -> np.ndarray:
        k = self._k
        gradient = 2.0 * self._rows(z)
        return np.concatenate([tangents[:, :k], tangents[:, k:] + np.matmul(gradient, tangents[:, :k])], axis=1)

    def log_det(self, z: np.ndarray) -> np.ndarray:
        """Zero everywhere."""
        return np.zeros(len(z))

    def _rows(self, z: np.ndarray) -> np.ndarray:
        """C_i z₁ for every i: (n, m, k)."""
        C, k = self.coefficients, self._k
        return (z[:, :k] @ C.reshape(-1, k).T).reshape(len(z), len(C), k)

    def _quadratic(self, z: np.ndarray) -> np.ndarray:
        return np.einsum("nik,nk->ni", self._rows(z), z[:, : self._k])

    @property
    def _k(self) -> int:
        return self.coefficients.shape[1]

    @property
    def dimensions(self) -> tuple[int, int]:
        """k + m, twice."""
        return (self._k + len(self.coefficients),) * 2
