"""Affine coupling: some coordinates scale and shift the others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdae_sim.errors import InputError
from pdae_sim.simulation._fields import fits, hold
from pdae_sim.simulation.mixings._layer import Layer


@dataclass(frozen=True, eq=False)
class AffineCoupling(Layer):
    """Affine coupling (z₁, z₂) ↦ (z₁, z₂ ∘ exp s(z₁) + t(z₁)).

    With a = tanh(B z₁ + b): s = bound · tanh(S a) and t = T a.

    Args:
        weights: B (h, k); z₁ are the first k coordinates.
        offsets: b (h,).
        scale: S (m, h); z₂ are the last m coordinates.
        shift: T (m, h).
        bound: Greatest magnitude of s, so that the determinant lies within exp(± m · bound).

    References:
        Dinh, Sohl-Dickstein & Bengio (2017), Density estimation using Real NVP.

    Example:
        >>> f = AffineCoupling([[1.0]], [0.0], [[0.5]], [[1.0]])
        >>> z = np.array([[1.0, 2.0]])
        >>> bool(np.allclose(f.inverse(f.forward(z)), z))
        True
    """

    weights: np.ndarray
    offsets: np.ndarray
    scale: np.ndarray
    shift: np.ndarray
    bound: float = 1.0

    def __post_init__(self) -> None:
        hold(self, weights=2, offsets=1, scale=2, shift=2)
        h = len(self.weights)
        fits(self, "offsets", (h,))
        fits(self, "scale", (len(self.scale), h))
        fits(self, "shift", self.scale.shape)
        if 0 in (*self.weights.shape, len(self.scale)):
            raise InputError("a coupling needs at least one coordinate on either side")
        if not 0 <= self.bound < 300:
            raise InputError(f"bound must lie in [0, 300); received {self.bound}")

    def forward(self, z: np.ndarray) -> np.ndarray:
        x, k = np.array(z, dtype=np.float64), self._k
        a = self._hidden(z)
        x[:, k:] *= np.exp(self._log_scale(a))
        x[:, k:] += a @ self.shift.T
        return x

    def inverse(self, x: np.ndarray) -> np.ndarray:
        z, k = np.array(x, dtype=np.float64), self._k
        a = self._hidden(x)
        z[:, k:] -= a @ self.shift.T
        z[:, k:] *= np.exp(-self._log_scale(a))
        return z

    def push(self, z: np.ndarray, tangents: np.ndarray) -> np.ndarray:
        k, a = self._k, self._hidden(z)
        s = self._log_scale(a)
        da = (1.0 - a * a)[:, :, None] * np.matmul(self.weights, tangents[:, :k])
        ds = (self.bound * (1.0 - np.tanh(a @ self.scale.T) ** 2))[:, :, None] * np.matmul(self.scale, da)
        moved = np.exp(s)[:, :, None] * (tangents[:, k:] + z[:, k:, None] * ds) + np.matmul(self.shift, da)
        return np.concatenate([tangents[:, :k], moved], axis=1)

    def log_det(self, z: np.ndarray) -> np.ndarray:
        """The sum of s."""
        return self._log_scale(self._hidden(z)).sum(axis=1)

    def _hidden(self, z: np.ndarray) -> np.ndarray:
        a = z[:, : self._k] @ self.weights.T
        a += self.offsets
        return np.tanh(a, out=a)

    def _log_scale(self, a: np.ndarray) -> np.ndarray:
        return self.bound * np.tanh(a @ self.scale.T)

    @property
    def _k(self) -> int:
        return self.weights.shape[1]

    @property
    def dimensions(self) -> tuple[int, int]:
        """k + m, twice."""
        return (self._k + len(self.scale),) * 2
