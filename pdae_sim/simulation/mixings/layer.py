"""One map between Euclidean spaces, with its inverse, its Jacobian and its volume."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from pdae_sim._checks import finite
from pdae_sim.errors import InputError


class Layer(ABC):
    """A differentiable map R^d_in → R^d_out, applied to rows.

    An injective layer has an exact left inverse. `n_inputs` and `n_outputs` are None where any dimension will do.
    """

    injective: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    """Whether the map is C²."""

    @property
    def n_inputs(self) -> int | None:
        """d_in, None where any."""
        return None

    @property
    def n_outputs(self) -> int | None:
        """d_out, None where equal to d_in."""
        return None

    @property
    @abstractmethod
    def slopes(self) -> tuple[float, float]:
        """Bounds, over all z, on the singular values of the Jacobian; 0 and inf where there are none."""

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
        """See `Layer.push`."""
        return self.derivative(z)[:, :, None] * tangents

    def log_det(self, z: np.ndarray) -> np.ndarray:
        """See `Layer.log_det`; −inf where a slope is zero."""
        with np.errstate(divide="ignore"):
            return np.log(np.abs(self.derivative(z))).sum(axis=1)


def hold(layer: Layer, **dimensions: int) -> None:
    """Replace fields of a frozen layer by finite, read-only float64 copies of the given number of dimensions."""
    for name, ndim in dimensions.items():
        try:
            array = np.array(getattr(layer, name), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} must be an array of numbers ({error})") from None
        finite(name, array)
        if array.ndim != ndim:
            raise InputError(f"{name} must have {ndim} dimensions; received shape {array.shape}")
        array.setflags(write=False)
        object.__setattr__(layer, name, array)


def fits(layer: Layer, name: str, shape: tuple[int, ...]) -> None:
    """Refuse a field whose shape is not the given one."""
    if getattr(layer, name).shape != shape:
        raise InputError(f"{name} must have shape {shape}; received {getattr(layer, name).shape}")
