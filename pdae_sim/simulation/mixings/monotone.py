"""Strictly increasing elementwise layers, each with an inverse in closed form or to rounding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pdae_sim.errors import InputError
from pdae_sim.simulation.mixings._layer import Elementwise


@dataclass(frozen=True)
class LinearTanh(Elementwise):
    """Linear plus tanh, u ↦ linear · u + bend · tanh u: odd, slopes in [linear, linear + bend], Newton's inverse.

    Linear 1 and bend 0 are the identity.

    Example:
        >>> f = LinearTanh(0.3)
        >>> bool(np.allclose(f.inverse(f.forward(np.array([-2.0, 5.0]))), [-2.0, 5.0]))
        True
    """

    linear: float = 0.3
    bend: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.linear < math.inf:
            raise InputError(f"linear must be positive; received {self.linear}")
        if not 0 <= self.bend < math.inf:
            raise InputError(f"bend must be a finite number ≥ 0; received {self.bend}")

    def forward(self, z: np.ndarray) -> np.ndarray:
        x = np.asarray(np.tanh(z))
        if self.bend != 1.0:
            x *= self.bend
        x += self.linear * z
        return x

    def inverse(self, x: np.ndarray) -> np.ndarray:
        # Concave on the half line and started left of the root, Newton's iterates rise to it and never pass it.
        y = np.abs(x)
        u = y / (self.linear + self.bend)
        for _ in range(60):
            gap = y - self.linear * u - self.bend * np.tanh(u)
            step = gap / self.derivative(u)
            u = u + np.maximum(step, 0.0)
            if not (step > 4 * np.finfo(float).eps * np.maximum(u, 1e-300)).any():
                break
        return np.copysign(u, x)

    def derivative(self, z: np.ndarray) -> np.ndarray:
        """linear + bend sech² u."""
        return self.linear + self.bend / np.cosh(np.clip(z, -300.0, 300.0)) ** 2


@dataclass(frozen=True)
class SmoothLeaky(Elementwise):
    """Smooth leaky rectifier u ↦ p u + q (√(u² + 1) − 1), p ± q = 1, `slope`, with a closed-form inverse.

    Slope 1 is the identity.

    Example:
        >>> SmoothLeaky(0.25).derivative(np.array([-1e9, 0.0, 1e9])).tolist()
        [0.25, 0.625, 1.0]
    """

    slope: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.slope <= 1:
            raise InputError(f"slope must lie in (0, 1]; received {self.slope}")

    @property
    def _pq(self) -> tuple[float, float]:
        return (1 + self.slope) / 2, (1 - self.slope) / 2

    def forward(self, z: np.ndarray) -> np.ndarray:
        p, q = self._pq
        x = np.asarray(z * z)
        x += 1.0
        np.sqrt(x, out=x)
        x -= 1.0
        x *= q
        x += p * z
        return x

    def inverse(self, x: np.ndarray) -> np.ndarray:
        p, q = self._pq
        y = x + q
        return (p * y - q * np.sqrt(y * y + self.slope)) / self.slope  # p² − q² = slope

    def derivative(self, z: np.ndarray) -> np.ndarray:
        """p + q u / √(u² + 1)."""
        p, q = self._pq
        return p + q * z / np.sqrt(z * z + 1.0)


@dataclass(frozen=True)
class SinhArcsinh(Elementwise):
    """Sinh-arcsinh transform u ↦ sinh(tail · arcsinh u + skew): tails like u^tail; tail 1 and skew 0 the identity.

    References:
        Jones & Pewsey (2009), Sinh-arcsinh distributions, Biometrika 96(4).

    Example:
        >>> bool(np.isclose(SinhArcsinh(tail=2.0).forward(np.array(1.0)), 2 * np.sqrt(2)))  # 2 u √(1 + u²)
        True
    """

    tail: float = 1.5
    skew: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.tail < math.inf:
            raise InputError(f"tail must be positive; received {self.tail}")
        if not math.isfinite(self.skew):
            raise InputError(f"skew must be finite; received {self.skew}")

    def forward(self, z: np.ndarray) -> np.ndarray:
        x = self._angle(z)
        return np.sinh(x, out=x)

    def inverse(self, x: np.ndarray) -> np.ndarray:
        return np.sinh((np.arcsinh(x) - self.skew) / self.tail)

    def derivative(self, z: np.ndarray) -> np.ndarray:
        """tail cosh(tail arcsinh u + skew) / √(1 + u²)."""
        return self.tail * np.cosh(self._angle(z)) / np.sqrt(1.0 + z * z)

    def _angle(self, z: np.ndarray) -> np.ndarray:
        angle = np.asarray(np.arcsinh(z))
        angle *= self.tail
        angle += self.skew
        return angle
