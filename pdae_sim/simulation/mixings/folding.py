"""Maps that are not injective, for studies of what happens when f cannot be undone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pdae_sim._checks import whole
from pdae_sim.errors import InputError
from pdae_sim.simulation.mixings.layer import Layer


class _FirstAxes(Layer):
    """A smooth function of each of the first `count` coordinates, the identity on the others."""

    injective = False

    def forward(self, z: np.ndarray) -> np.ndarray:
        """See `Layer.forward`."""
        x = np.array(z, dtype=np.float64)
        x[:, : self.count] = self._value(z[:, : self.count])
        return x

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """Refused: several latents share an observation; `twin` shows two."""
        raise InputError(f"the layer {type(self).__name__} is not injective, so that a mixing with it has no inverse")

    def push(self, z: np.ndarray, tangents: np.ndarray) -> np.ndarray:
        """See `Layer.push`."""
        pushed = np.array(tangents, dtype=np.float64)
        pushed[:, : self.count] *= self._slope(z[:, : self.count])[:, :, None]
        return pushed

    def log_det(self, z: np.ndarray) -> np.ndarray:
        """Σ log |slope|; −inf on the crease, where the slope is zero."""
        with np.errstate(divide="ignore"):
            return np.log(np.abs(self._slope(z[:, : self.count]))).sum(axis=1)

    def twin(self, z: np.ndarray) -> np.ndarray:
        """Other latents (n, d) with the same image."""
        other = np.array(z, dtype=np.float64)
        other[:, : self.count] = self._other(z[:, : self.count])
        return other

    @property
    def slopes(self) -> tuple[float, float]:
        """Zero on the crease, at most one."""
        return 0.0, 1.0


@dataclass(frozen=True)
class Fold(_FirstAxes):
    """u ↦ offset + √((u − offset)² + width²) on the first `count` coordinates: what lies left is folded to the right.

    Args:
        offset: Where the crease is.
        width: How round it is; the map is smooth for every width > 0.
        count: Number of coordinates folded.
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
    """u ↦ sin(ω u) / ω on the first `count` coordinates, close to the identity where ω u is small.

    Args:
        frequency: ω > 0.
        count: Number of coordinates.
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
