"""Maps that are not injective, for studies of what happens when f cannot be undone."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pdae_sim._checks import whole
from pdae_sim.errors import InputError
from pdae_sim.simulation.mixings._layer import Elementwise


class _FirstAxes(Elementwise):
    """A smooth function of each of the first `count` coordinates, the identity on the others."""

    injective = False
    count: int

    @abstractmethod
    def _value(self, u: np.ndarray) -> np.ndarray:
        """The function, entry by entry."""

    @abstractmethod
    def _slope(self, u: np.ndarray) -> np.ndarray:
        """Its derivative; zero on a crease."""

    @abstractmethod
    def _other(self, u: np.ndarray) -> np.ndarray:
        """Another argument with the value of u."""

    def forward(self, z: np.ndarray) -> np.ndarray:
        return self._on_first(self._value, z, z)

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """Refused: several latents share an observation; `twin` shows two."""
        raise InputError(f"the layer {type(self).__name__} is not injective, so that a mixing with it has no inverse")

    def derivative(self, z: np.ndarray) -> np.ndarray:
        return self._on_first(self._slope, z, np.ones_like(z))

    def twin(self, z: np.ndarray) -> np.ndarray:
        """Other latents (n, d) with the same image."""
        return self._on_first(self._other, z, z)

    def _on_first(self, function: Callable[[np.ndarray], np.ndarray], z: np.ndarray, others: np.ndarray) -> np.ndarray:
        result = np.array(others, dtype=np.float64)
        result[:, : self.count] = function(z[:, : self.count])
        return result


@dataclass(frozen=True)
class Fold(_FirstAxes):
    """Fold u ↦ offset + √((u − offset)² + width²) of the first `count` coordinates: the left comes to lie on the right.

    Args:
        offset: Where the crease is.
        width: How round it is; the map is smooth for every width > 0.
        count: Number of coordinates folded.

    Example:
        >>> f, z = Fold(), np.array([[0.7]])
        >>> bool(np.allclose(f.forward(f.twin(z)), f.forward(z))), f.twin(z).tolist()
        (True, [[-0.7]])
    """

    offset: float = 0.0
    width: float = 0.1
    count: int = 1

    def __post_init__(self) -> None:
        whole("count", self.count)
        if not math.isfinite(self.offset) or not 0 < self.width < math.inf:
            raise InputError(f"offset must be finite and width positive; received {self.offset}, {self.width}")

    def _value(self, u: np.ndarray) -> np.ndarray:
        return self.offset + np.hypot(u - self.offset, self.width)

    def _slope(self, u: np.ndarray) -> np.ndarray:
        return (u - self.offset) / np.hypot(u - self.offset, self.width)

    def _other(self, u: np.ndarray) -> np.ndarray:
        return 2 * self.offset - u


@dataclass(frozen=True)
class Periodic(_FirstAxes):
    """Sine u ↦ sin(ω u) / ω of the first `count` coordinates, close to the identity where ω u is small.

    Args:
        frequency: ω > 0.
        count: Number of coordinates.

    Example:
        >>> f, z = Periodic(2.0), np.array([[0.7]])
        >>> bool(np.allclose(f.forward(f.twin(z)), f.forward(z)))
        True
    """

    frequency: float = 1.5
    count: int = 1

    def __post_init__(self) -> None:
        whole("count", self.count)
        if not 0 < self.frequency < math.inf:
            raise InputError(f"frequency must be positive; received {self.frequency}")

    def _value(self, u: np.ndarray) -> np.ndarray:
        return np.sin(self.frequency * u) / self.frequency

    def _slope(self, u: np.ndarray) -> np.ndarray:
        return np.cos(self.frequency * u)

    def _other(self, u: np.ndarray) -> np.ndarray:
        return u + 2 * math.pi / self.frequency
