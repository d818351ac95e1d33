"""Affine layers: scaled isometries, and matrices of full column rank."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim.errors import InputError
from pdae_sim.simulation._fields import fits, hold
from pdae_sim.simulation.mixings._layer import Layer


@dataclass(frozen=True, eq=False)
class Orthonormal(Layer):
    """Scaled isometry z ↦ gain · Q z + bias with Q (d_out, d_in) of orthonormal columns.

    Example:
        >>> lift = Orthonormal([[1.0], [0.0]], [0.0, 3.0], gain=2.0)
        >>> lift.forward(np.array([[1.0]])).tolist(), lift.inverse(np.array([[2.0, 3.0]])).tolist()
        ([[2.0, 3.0]], [[1.0]])
    """

    Q: np.ndarray
    bias: np.ndarray
    gain: float = 1.0

    @checked_numbers
    def __post_init__(self) -> None:
        hold(self, Q=2, bias=1)
        if not np.allclose(self.Q.T @ self.Q, np.eye(self.Q.shape[1]), atol=1e-10):
            raise InputError("Q must have orthonormal columns")
        if self.bias.shape != (len(self.Q),) or not 0 < self.gain < math.inf:
            raise InputError(
                f"bias must have shape ({len(self.Q)},) and gain be positive; received {self.bias.shape}, {self.gain}"
            )

    def forward(self, z: np.ndarray) -> np.ndarray:
        x = (self.gain * z if self.gain != 1.0 else z) @ self.Q.T
        x += self.bias
        return x

    def inverse(self, x: np.ndarray) -> np.ndarray:
        return (x - self.bias) @ self.Q / self.gain

    def push(self, z: np.ndarray, tangents: np.ndarray) -> np.ndarray:
        return np.matmul(self.gain * self.Q, tangents)

    def log_det(self, z: np.ndarray) -> np.ndarray:
        """d_in log gain everywhere."""
        return np.full(len(z), self.Q.shape[1] * math.log(self.gain))

    @property
    def dimensions(self) -> tuple[int, int]:
        """Columns and rows of Q."""
        return self.Q.shape[1], self.Q.shape[0]


@dataclass(frozen=True, eq=False)
class Affine(Layer):
    """Affine map z ↦ M z + bias, M (d_out, d_in) of full column rank; inverted by the pseudo-inverse.

    Example:
        >>> bool(np.isclose(Affine([[2.0, 1.0], [0.0, 2.0]], [0.0, 0.0]).log_det(np.zeros((1, 2)))[0], np.log(4)))
        True
    """

    matrix: np.ndarray
    bias: np.ndarray

    @checked_numbers
    def __post_init__(self) -> None:
        hold(self, matrix=2, bias=1)
        fits(self, "bias", self.matrix.shape[:1])
        s, (rows, columns) = self._singular_values, self.matrix.shape
        if rows < columns or s[-1] <= s[0] * columns * np.finfo(float).eps:  # numerically rank-deficient
            raise InputError(
                f"matrix must have full column rank; received shape {self.matrix.shape}, singular values {s[0]:.3g} to "
                f"{s[-1]:.3g}"
            )

    @cached_property
    def _singular_values(self) -> np.ndarray:
        return np.linalg.svd(self.matrix, compute_uv=False)

    @cached_property
    def _left_inverse(self) -> np.ndarray:
        return np.linalg.pinv(self.matrix, rcond=0.0)

    def forward(self, z: np.ndarray) -> np.ndarray:
        x = z @ self.matrix.T
        x += self.bias
        return x

    def inverse(self, x: np.ndarray) -> np.ndarray:
        return (x - self.bias) @ self._left_inverse.T

    def push(self, z: np.ndarray, tangents: np.ndarray) -> np.ndarray:
        return np.matmul(self.matrix, tangents)

    def log_det(self, z: np.ndarray) -> np.ndarray:
        """The sum of the logarithms of the singular values, everywhere."""
        return np.full(len(z), np.log(self._singular_values).sum())

    @property
    def dimensions(self) -> tuple[int, int]:
        """Columns and rows of M."""
        return self.matrix.shape[1], self.matrix.shape[0]
