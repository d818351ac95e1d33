"""One map between Euclidean spaces, with its inverse, its Jacobian and its volume."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from pdae_sim._matrices import Locked


class Layer(ABC, Locked):
    """A differentiable map R^d_in → R^d_out, applied to rows.

    An injective layer has an exact left inverse.

    Example:
        >>> from pdae_sim.simulation.mixings import LAYERS
        >>> [kind for kind, layer in LAYERS.items() if not layer.injective]
        ['fold', 'periodic']
    """

    injective: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    """Whether the map is C²."""

    @property
    def dimensions(self) -> tuple[int | None, int | None]:
        """(d_in, d_out), None where any dimension will do."""
        return None, None

    @abstractmethod
    def forward(self, z: np.ndarray) -> np.ndarray:
        """(n, d_in) to (n, d_out), a new array."""

    @abstractmethod
    def inverse(self, x: np.ndarray) -> np.ndarray:
        """(n, d_out) to (n, d_in); a left inverse, exact on the image."""

    @abstractmethod
    def push(self, z: np.ndarray, tangents: np.ndarray) -> np.ndarray:
        """The Jacobian at z (n, d_in) times tangents (n, d_in, m): (n, d_out, m)."""

    @abstractmethod
    def log_det(self, z: np.ndarray) -> np.ndarray:
        """½ log det JᵀJ at z, (n,)."""


class Elementwise(Layer):
    """A layer that maps every coordinate on its own, strictly increasing where it is injective."""

    @abstractmethod
    def derivative(self, z: np.ndarray) -> np.ndarray:
        """The slope at every element of z."""

    def push(self, z: np.ndarray, tangents: np.ndarray) -> np.ndarray:
        return self.derivative(z)[:, :, None] * tangents

    def log_det(self, z: np.ndarray) -> np.ndarray:
        """See `Layer.log_det`; −inf where a slope is zero."""
        with np.errstate(divide="ignore"):
            return np.log(np.abs(self.derivative(z))).sum(axis=1)
