"""Mixings f from latents to noiseless observations, each with an exact inverse on its image.

A mixing is a stack of layers. Orthonormal layers keep angles and lengths up to a gain, elementwise layers are strictly
increasing with slopes in a known interval, so that the condition number of the Jacobian is bounded by the product of
the slope ratios, everywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy.stats import ortho_group

from pdae_sim._checks import InputError, at_least, choice, matrix, whole


class Layer(Protocol):
    """One injective map between Euclidean spaces."""

    def forward(self, z: np.ndarray) -> np.ndarray:
        """(n, d_in) to (n, d_out)."""

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """(n, d_out) to (n, d_in); a left inverse, exact on the image."""

    @property
    def slopes(self) -> tuple[float, float]:
        """Bounds on the singular values of the Jacobian."""


@dataclass(frozen=True, eq=False)
class Orthonormal:
    """z ↦ gain · Q z + bias with Q (d_out, d_in) of orthonormal columns."""

    Q: np.ndarray
    bias: np.ndarray
    gain: float = 1.0

    def __post_init__(self) -> None:
        Q = matrix("Q", self.Q)
        if not np.allclose(Q.T @ Q, np.eye(Q.shape[1]), atol=1e-10):
            raise InputError("Q must have orthonormal columns")
        object.__setattr__(self, "Q", Q)
        object.__setattr__(self, "bias", np.asarray(self.bias, dtype=np.float64))
        if self.bias.shape != (len(Q),) or self.gain <= 0:
            raise InputError(
                f"bias must have shape ({len(Q)},) and gain be positive; received {self.bias.shape}, {self.gain}"
            )

    def forward(self, z: np.ndarray) -> np.ndarray:
        return self.gain * z @ self.Q.T + self.bias

    def inverse(self, x: np.ndarray) -> np.ndarray:
        return (x - self.bias) @ self.Q / self.gain

    @property
    def slopes(self) -> tuple[float, float]:
        return self.gain, self.gain


@dataclass(frozen=True)
class LinearTanh:
    """u ↦ linear · u + tanh u, odd, with slopes in [linear, linear + 1]; inverted by Newton's method to rounding."""

    linear: float = 0.3

    def __post_init__(self) -> None:
        if not 0 < self.linear < math.inf:
            raise InputError(f"linear must be positive; received {self.linear}")

    def forward(self, z: np.ndarray) -> np.ndarray:
        return self.linear * z + np.tanh(z)

    def inverse(self, x: np.ndarray) -> np.ndarray:
        # Concave on the half line and started left of the root, Newton's iterates rise to it and never pass it.
        y = np.abs(x)
        u = y / (self.linear + 1.0)
        for _ in range(60):
            step = (y - self.linear * u - np.tanh(u)) / (self.linear + 1.0 / np.cosh(np.minimum(u, 300.0)) ** 2)
            u = u + np.maximum(step, 0.0)
            if not (step > 4 * np.finfo(float).eps * np.maximum(u, 1e-300)).any():
                break
        return np.copysign(u, x)

    @property
    def slopes(self) -> tuple[float, float]:
        return self.linear, self.linear + 1.0


@dataclass(frozen=True)
class SmoothLeaky:
    """u ↦ p u + q (√(u² + 1) − 1) with p ± q = 1, `slope`: a smooth leaky rectifier with a closed-form inverse."""

    slope: float = 0.25

    def __post_init__(self) -> None:
        if not 0 < self.slope <= 1:
            raise InputError(f"slope must lie in (0, 1]; received {self.slope}")

    @property
    def _pq(self) -> tuple[float, float]:
        return (1 + self.slope) / 2, (1 - self.slope) / 2

    def forward(self, z: np.ndarray) -> np.ndarray:
        p, q = self._pq
        return p * z + q * (np.sqrt(z * z + 1.0) - 1.0)

    def inverse(self, x: np.ndarray) -> np.ndarray:
        p, q = self._pq
        y = x + q
        return (p * y - q * np.sqrt(y * y + self.slope)) / self.slope  # p² − q² = slope

    @property
    def slopes(self) -> tuple[float, float]:
        return self.slope, 1.0


@dataclass(frozen=True, eq=False)
class Mixing:
    """A composition of layers, f = layer_last ∘ … ∘ layer_first."""

    layers: tuple[Layer, ...]

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """x = f(z): (n, d_Z) to (n, d_X)."""
        for layer in self.layers:
            z = layer.forward(z)
        return z

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """z with f(z) = x for x (n, d_X) in the image of f; a left inverse elsewhere."""
        for layer in reversed(self.layers):
            x = layer.inverse(x)
        return x

    @property
    def condition_number(self) -> float:
        """A bound, over all z, on the condition number of the Jacobian of f."""
        return math.prod(high / low for low, high in (layer.slopes for layer in self.layers))


ACTIVATIONS = {"tanh": LinearTanh, "leaky": SmoothLeaky, "linear": None}


def random_mixing(
    n_latents: int,
    n_observed: int,
    *,
    rng: np.random.Generator,
    depth: int = 2,
    activation: str = "tanh",
    gain: float = 1.4,
    bias: float = 0.3,
    condition: float | None = None,
) -> Mixing:
    """Orthonormal maps with increasing elementwise functions between them.

    The first map lifts d_Z to d_X where d_X > d_Z (an injective, curved embedding); with d_X = d_Z f is a
    diffeomorphism of Euclidean space.

    Args:
        n_latents: d_Z.
        n_observed: d_X ≥ d_Z.
        rng: A generator.
        depth: Number of elementwise layers; 0 is an affine mixing.
        activation: ``tanh``, ``leaky`` or ``linear`` (no elementwise layer).
        gain: Factor of every orthonormal map.
        bias: Standard deviation of the biases.
        condition: A bound on the condition number of the Jacobian, met exactly by the slopes; None keeps the
            activation's own slopes.

    Returns:
        A mixing with an exact inverse on its image.
    """
    d, p = whole("n_latents", n_latents), whole("n_observed", n_observed)
    if p < d:
        raise InputError(f"n_observed must be at least n_latents = {d} for an injective mixing; received {p}")
    choice("activation", activation, ACTIVATIONS)
    depth = 0 if activation == "linear" else whole("depth", depth, at_least=0)
    at_least("bias", bias, 0.0)
    bend = _activation(activation, depth, condition) if depth else None
    layers: list[Layer] = []
    for index in range(depth + 1):
        Q = _orthonormal(p, d if index == 0 else p, rng)
        layers.append(Orthonormal(Q, rng.normal(0.0, bias, p), gain))
        layers += [bend] if index < depth else []
    return Mixing(tuple(layers))


def mixing_state(mixing: Mixing) -> list[dict]:
    """The layers as plain JSON values, exact."""
    return [{"layer": type(layer).__name__} | {k: _plain(v) for k, v in vars(layer).items()} for layer in mixing.layers]


def mixing_from_state(state: list[dict]) -> Mixing:
    """The mixing that `mixing_state` described."""
    kinds = {cls.__name__: cls for cls in (Orthonormal, LinearTanh, SmoothLeaky)}
    return Mixing(tuple(kinds[entry["layer"]](**{k: v for k, v in entry.items() if k != "layer"}) for entry in state))


def _activation(kind: str, depth: int, condition: float | None) -> Layer:
    if condition is None:
        return ACTIVATIONS[kind]()
    if not 1 < condition < math.inf:
        raise InputError(f"condition must be greater than 1; received {condition}")
    ratio = condition ** (1 / depth)
    return LinearTanh(1 / (ratio - 1)) if kind == "tanh" else SmoothLeaky(1 / ratio)


def _orthonormal(rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    if rows == 1:
        return np.ones((1, 1))
    return ortho_group.rvs(rows, random_state=rng)[:, :columns]


def _plain(value: object) -> object:
    return value.tolist() if isinstance(value, np.ndarray) else value
