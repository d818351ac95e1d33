"""Affine layers: scaled isometries, and full matrices of a condition number met exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdae_sim._checks import at_least
from pdae_sim.errors import InputError
from pdae_sim.simulation.mixings.layer import Layer, fits, hold


@dataclass(frozen=True, eq=False)
class Orthonormal(Layer):
    """z ↦ gain · Q z + bias with Q (d_out, d_in) of orthonormal columns."""

    Q: np.ndarray
    bias: np.ndarray
    gain: float = 1.0

    def __post_init__(self) -> None:
        hold(self, Q=2, bias=1)
        if not np.allclose(self.Q.T @ self.Q, np.eye(self.Q.shape[1]), atol=1e-10):
            raise InputError("Q must have orthonormal columns")
        if self.bias.shape != (len(self.Q),) or not 0 < self.gain < math.inf:
            raise InputError(
                f"bias must have shape ({len(self.Q)},) and gain be positive; received {self.bias.shape}, {self.gain}"
            )

    def forward(self, z: np.ndarray) -> np.ndarray:
        """See `Layer.forward`."""
        x = (self.gain * z if self.gain != 1.0 else z) @ self.Q.T
        x += self.bias
        return x

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """See `Layer.inverse`."""
        return (x - self.bias) @ self.Q / self.gain

    def push(self, z: np.ndarray, tangents: np.ndarray) -> np.ndarray:
        """See `Layer.push`."""
        return np.matmul(self.gain * self.Q, tangents)

    def log_det(self, z: np.ndarray) -> np.ndarray:
        """d_in log gain everywhere."""
        return np.full(len(z), self.n_inputs * math.log(self.gain))

    @property
    def n_inputs(self) -> int:
        """Columns of Q."""
        return self.Q.shape[1]

    @property
    def n_outputs(self) -> int:
        """Rows of Q."""
        return self.Q.shape[0]

    @property
    def slopes(self) -> tuple[float, float]:
        """The gain, twice."""
        return self.gain, self.gain


@dataclass(frozen=True, eq=False)
class Affine(Layer):
    """z ↦ M z + bias with M (d_out, d_in) of full column rank, d_out ≥ d_in; inverted by the pseudo-inverse."""

    matrix: np.ndarray
    bias: np.ndarray

    def __post_init__(self) -> None:
        hold(self, matrix=2, bias=1)
        fits(self, "bias", self.matrix.shape[:1])
        s = self._singular_values
        if self.n_outputs < self.n_inputs or s[-1] <= s[0] * self.n_inputs * np.finfo(float).eps:
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
        """See `Layer.forward`."""
        x = z @ self.matrix.T
        x += self.bias
        return x

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """See `Layer.inverse`."""
        return (x - self.bias) @ self._left_inverse.T

    def push(self, z: np.ndarray, tangents: np.ndarray) -> np.ndarray:
        """See `Layer.push`."""
        return np.matmul(self.matrix, tangents)

    def log_det(self, z: np.ndarray) -> np.ndarray:
        """The sum of the logarithms of the singular values, everywhere."""
        return np.full(len(z), np.log(self._singular_values).sum())

    @property
    def n_inputs(self) -> int:
        """Columns of M."""
        return self.matrix.shape[1]

    @property
    def n_outputs(self) -> int:
        """Rows of M."""
        return self.matrix.shape[0]

    @property
    def slopes(self) -> tuple[float, float]:
        """The least and the greatest singular value of M."""
        return float(self._singular_values[-1]), float(self._singular_values[0])


def stretched(left: np.ndarray, right: np.ndarray, condition: float) -> Affine:
    """The map U diag(s) Vᵀ with s geometric from √c to 1/√c: its condition number is c (1 in one dimension).

    Args:
        left: U (d_out, d_in) with orthonormal columns.
        right: V (d_in, d_in), orthogonal.
        condition: c ≥ 1.
    """
    d = right.shape[1]
    powers = np.linspace(0.5, -0.5, d) if d > 1 else np.zeros(1)
    return Affine(left * at_least("condition", condition, 1.0) ** powers @ right.T, np.zeros(len(left)))


def orthonormal_columns(rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Columns (rows, columns) drawn uniformly among the orthonormal ones, at a cost of rows · columns².

    The orthogonal factor of a Gaussian matrix, with signs that make the triangular factor's diagonal positive.
    """
    Q, R = np.linalg.qr(rng.standard_normal((rows, columns)))
    return Q * np.copysign(1.0, np.diag(R))
