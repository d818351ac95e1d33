"""Mixings: compositions of layers, with inverse, Jacobian, volume, and a state that rebuilds them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdae_sim.errors import InputError
from pdae_sim.simulation._registry import Registry
from pdae_sim.simulation.mixings._layer import Layer
from pdae_sim.simulation.mixings.affine import Affine, Orthonormal
from pdae_sim.simulation.mixings.coupling import AffineCoupling
from pdae_sim.simulation.mixings.embeddings import Curved
from pdae_sim.simulation.mixings.folding import Fold, Periodic
from pdae_sim.simulation.mixings.monotone import LinearTanh, SinhArcsinh, SmoothLeaky
from pdae_sim.simulation.mixings.polynomial import QuadraticShear
from pdae_sim.simulation.mixings.splines import Spline

LAYERS: Registry[Layer] = Registry(
    "layer",
    {
        "orthonormal": Orthonormal,
        "affine": Affine,
        "linear_tanh": LinearTanh,
        "smooth_leaky": SmoothLeaky,
        "sinh_arcsinh": SinhArcsinh,
        "coupling": AffineCoupling,
        "quadratic_shear": QuadraticShear,
        "spline": Spline,
        "curved": Curved,
        "fold": Fold,
        "periodic": Periodic,
    },
)
"""Kinds of layer by the name that files use."""

_BLOCK = 2_000_000  # numbers in a block of Jacobians


@dataclass(frozen=True, eq=False)
class Mixing:
    """A composition of layers, f = layer_last ∘ … ∘ layer_first.

    Args:
        layers: The first acts first.

    Example:
        >>> f = Mixing((LinearTanh(0.5), Orthonormal(np.eye(3)[:, :2], np.zeros(3))))
        >>> z = np.array([[1.0, -2.0]])
        >>> f(z).shape, f.jacobian(z).shape, bool(np.allclose(f.inverse(f(z)), z))
        ((1, 3), (1, 3, 2), True)
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        width = None
        for position, layer in enumerate(self.layers):
            d_in, d_out = layer.dimensions
            if None not in (width, d_in) and width != d_in:
                raise InputError(
                    f"layer {position} ({type(layer).__name__}) takes {d_in} coordinates and is given {width}"
                )
            width = d_out or width

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """x = f(z): (n, d_Z) to (n, d_X)."""
        z = self._rows("z", z, self.n_latents)
        for layer in self.layers:
            z = layer.forward(z)
        return z

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """z with f(z) = x for x (n, d_X) in the image of f; a left inverse elsewhere.

        Raises:
            InputError: If a layer is not injective.
        """
        x = self._rows("x", x, self.n_observed)
        for layer in reversed(self.layers):
            x = layer.inverse(x)
        return x

    def jacobian(self, z: np.ndarray) -> np.ndarray:
        """The Jacobians ∂f/∂z at z (n, d_Z): (n, d_X, d_Z)."""
        z = self._rows("z", z, self.n_latents)
        tangents = np.tile(np.eye(z.shape[1]), (len(z), 1, 1))
        for layer in self.layers:
            z, tangents = layer.forward(z), layer.push(z, tangents)
        return tangents

    def jacobian_blocks(self, z: np.ndarray) -> Iterator[np.ndarray]:
        """The Jacobians at the rows of z, block after block, each block of moderate size."""
        widest = max([z.shape[1], *(layer.dimensions[1] or 0 for layer in self.layers)])
        rows = max(1, _BLOCK // (widest * z.shape[1]))
        for start in range(0, len(z), rows):
            yield self.jacobian(z[start : start + rows])

    def log_volume(self, z: np.ndarray) -> np.ndarray:
        """½ log det JᵀJ at z (n, d_Z), (n,): with it log p_X(f(z)) = log p_Z(z) − log_volume(z) on the image.

        The sum over the layers where all are square; a lift that is not the last layer needs the Jacobian of what
        follows it.
        """
        z = self._rows("z", z, self.n_latents)
        total = np.zeros(len(z))
        for position, layer in enumerate(self.layers):
            if len(set(layer.dimensions)) == 2 and position + 1 < len(self.layers):
                return total + _log_volume(Mixing(self.layers[position:]), z)
            total += layer.log_det(z)
            z = layer.forward(z)
        return total

    @property
    def n_latents(self) -> int | None:
        """d_Z, None where any dimension will do."""
        return next((d for d, _ in (layer.dimensions for layer in self.layers) if d), None)

    @property
    def n_observed(self) -> int | None:
        """d_X, None where any dimension will do."""
        return next((d for _, d in (layer.dimensions for layer in reversed(self.layers)) if d), None)

    @property
    def injective(self) -> bool:
        """Whether every layer is injective."""
        return all(layer.injective for layer in self.layers)

    @property
    def smooth(self) -> bool:
        """Whether every layer is C²."""
        return all(layer.smooth for layer in self.layers)

    @property
    def breaks(self) -> tuple[str, ...]:
        """The assumptions on f that do not hold, among ``injective`` and ``smooth``."""
        return tuple(name for name in ("injective", "smooth") if not getattr(self, name))

    def state(self) -> list[dict[str, Any]]:
        """The layers, first to last, as kinds with their fields; arrays stay arrays."""
        return [LAYERS.state(layer) for layer in self.layers]

    @classmethod
    def from_state(cls, state: Sequence[Mapping[str, Any]]) -> Mixing:
        """The mixing that `state` described, with arrays or nested lists of numbers."""
        return cls(tuple(LAYERS.from_state(entry) for entry in state))

    @staticmethod
    def _rows(name: str, values: np.ndarray, width: int | None) -> np.ndarray:
        values = np.asarray(values, dtype=np.float64)
        if values.ndim != 2 or width not in (None, values.shape[1]):
            raise InputError(f"{name} must have shape (n, {width or 'd'}); received {values.shape}")
        return values


def _log_volume(mixing: Mixing, z: np.ndarray) -> np.ndarray:
    """By the triangular factor of J, which does not square its condition number."""
    factors = (np.linalg.qr(J, mode="r") for J in mixing.jacobian_blocks(z))
    diagonals = [np.abs(np.diagonal(R, axis1=1, axis2=2)) for R in factors]
    with np.errstate(divide="ignore"):
        return np.log(np.concatenate([*diagonals, np.ones((0, z.shape[1]))])).sum(axis=1)
