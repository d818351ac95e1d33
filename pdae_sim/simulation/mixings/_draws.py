"""What each family of mixings draws: random layers whose bending is a dial, from affine at strength 0."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pdae_sim._checks import at_least, between, choice, size, whole
from pdae_sim.errors import InputError
from pdae_sim.simulation.mixings._layer import Layer
from pdae_sim.simulation.mixings.affine import Affine, Orthonormal
from pdae_sim.simulation.mixings.coupling import AffineCoupling
from pdae_sim.simulation.mixings.embeddings import Curved
from pdae_sim.simulation.mixings.folding import Fold, Periodic
from pdae_sim.simulation.mixings.monotone import LinearTanh, SinhArcsinh, SmoothLeaky
from pdae_sim.simulation.mixings.polynomial import QuadraticShear
from pdae_sim.simulation.mixings.splines import Spline

Layers = tuple[Layer, ...]
Strengthened = Callable[[float], Layers]


@dataclass(frozen=True)
class Draw:
    """A random map whose strength is open.

    Args:
        layers: The layers at a strength; affine at 0.
        default: The family's own strength.
        largest: The greatest strength that makes sense.
    """

    layers: Strengthened
    default: float = 1.0
    largest: float = 1.0


@dataclass(frozen=True)
class Family:
    """A kind of random map.

    Args:
        draw: Called with d, the dimension to act in (d, but for the lifted stack), a generator and the settings, among
            them `bias`, the standard deviation of all offsets.
        least: Least number of latents.
        breaks: The assumptions on f that members break.
    """

    draw: Callable[..., Draw]
    least: int = 1
    breaks: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """The settings with their defaults."""
        parameters = inspect.signature(self.draw).parameters.values()
        return {parameter.name: parameter.default for parameter in parameters if parameter.kind is _SETTING}


_SETTING = inspect.Parameter.KEYWORD_ONLY


def _tanh(strength: float) -> LinearTanh:
    if strength == _TANH:
        return LinearTanh()  # to the last digit
    return LinearTanh(1.3 / (1.0 + strength), 1.3 * strength / (1.0 + strength))


_TANH = 1.0 / 0.3
SHAPES: dict[str, tuple[Callable[[float], Layer], float, float]] = {
    "tanh": (_tanh, _TANH, 100.0),
    "leaky": (lambda strength: SmoothLeaky(1.0 - strength), 0.75, 0.999),
    "sinh": (lambda strength: SinhArcsinh(float(np.exp(strength))), 0.5, 1.5),
}
"""Elementwise layers by strength, with the default strength and the greatest; strength 0 is linear."""


def _linear(d: int, width: int, rng: np.random.Generator, *, bias: float = 0.3) -> Draw:
    return Draw(lambda strength: (), largest=8.0)


def _stack(
    d: int,
    width: int,
    rng: np.random.Generator,
    *,
    depth: int = 2,
    activation: str = "tanh",
    gain: float = 1.4,
    bias: float = 0.3,
) -> Draw:
    choice("activation", activation, ("tanh", "leaky", "linear"))
    depth = 0 if activation == "linear" else size("depth", depth, at_least=0)
    maps = []
    for index in range(depth + 1):
        Q = _haar(width, d if index == 0 else width, rng)
        maps.append(Orthonormal(Q, rng.normal(0.0, bias, width), gain))
    bend, default, largest = SHAPES["tanh" if depth == 0 else activation]

    def layers(strength: float) -> Layers:
        return (maps[0], *(layer for Q in maps[1:] for layer in (bend(strength), Q)))

    return Draw(layers, default, largest)


def _monotone(
    d: int, width: int, rng: np.random.Generator, *, shape: str = "sinh", sharpness: float = 1.0, bias: float = 0.3
) -> Draw:
    bend, default, largest = SHAPES[choice("shape", shape, SHAPES)]
    sharpness = between("sharpness", sharpness, 0.0, np.inf)
    offset = Orthonormal(np.eye(d), rng.normal(0.0, bias, d), sharpness)
    return Draw(lambda strength: (offset, bend(strength)), default, largest)


def _coupling(
    d: int,
    width: int,
    rng: np.random.Generator,
    *,
    depth: int = 3,
    hidden: int = 16,
    sharpness: float = 2.0,
    bias: float = 0.3,
) -> Draw:
    k, h = d // 2, size("hidden", hidden)
    sharpness = between("sharpness", sharpness, 0.0, np.inf)
    turns, networks = _turns(d, size("depth", depth), rng, bias), []
    for _ in turns:
        weights, offsets = rng.normal(0.0, sharpness / np.sqrt(k), (h, k)), rng.normal(0.0, 1.0, h)
        networks.append((weights, offsets, *rng.normal(0.0, 1.0 / np.sqrt(h), (2, d - k, h))))

    def layer(strength: float, B: np.ndarray, b: np.ndarray, S: np.ndarray, T: np.ndarray) -> Layer:
        return AffineCoupling(B, b, S, 2.0 * strength * T, bound=float(np.tanh(strength)))

    return Draw(_between(turns, networks, layer), 0.5, 5.0)


def _henon(d: int, width: int, rng: np.random.Generator, *, depth: int = 2, bias: float = 0.3) -> Draw:
    k = d // 2
    turns = _turns(d, size("depth", depth), rng, bias)
    forms = [(_quadratic_forms(d - k, k, rng),) for _ in turns]
    return Draw(_between(turns, forms, lambda strength, C: QuadraticShear(strength * C)), 0.4, 4.0)


def _spline(
    d: int,
    width: int,
    rng: np.random.Generator,
    *,
    depth: int = 2,
    bins: int = 8,
    bound: float = 4.0,
    bias: float = 0.3,
) -> Draw:
    Spline.load()
    K, bound = size("bins", bins, at_least=2), between("bound", bound, 0.0, np.inf)
    turns = _turns(d, size("depth", depth), rng, bias)
    knots = [tuple(rng.standard_normal((d, m)) for m in (K, K, K - 1)) for _ in turns]
    return Draw(_between(turns, knots, lambda t, w, h, d: Spline(t * w, t * h, t * d, bound)), 0.25, 4.0)


def _folding(
    d: int, width: int, rng: np.random.Generator, *, folds: int = 1, roundness: float = 0.1, bias: float = 0.3
) -> Draw:
    from scipy.special import ndtri

    turn = _turn(d, folds, "folds", rng)
    return Draw(lambda share: (turn, Fold(float(ndtri(max(share, 1e-12))), roundness, folds)), 0.3, 0.5)


def _periodic(d: int, width: int, rng: np.random.Generator, *, waves: int = 1, bias: float = 0.3) -> Draw:
    turn = _turn(d, waves, "waves", rng)
    return Draw(lambda frequency: (turn, Periodic(max(frequency, 1e-6), waves)), 1.5, 4.0)


FAMILIES: dict[str, Family] = {
    "linear": Family(_linear),
    "monotone": Family(_monotone),
    "stack": Family(_stack),
    "coupling": Family(_coupling, least=2),
    "henon": Family(_henon, least=2),
    "spline": Family(_spline, breaks=("smooth",)),
    "folding": Family(_folding, breaks=("injective",)),
    "periodic": Family(_periodic, breaks=("injective",)),
}
"""Families of random mixings by name."""


def random_curve(d: int, p: int, rng: np.random.Generator, *, bias: float, curvature: float, width: int) -> Curved:
    """A curved embedding of R^d in R^p.

    Args:
        d: Dimension of the latents.
        p: Dimension of the observations, greater than d.
        rng: A generator.
        bias: Standard deviation of the offsets in R^p.
        curvature: Root mean square height over the subspace, as a multiple of that of unit latents, at most.
        width: Hidden units, and the greatest number of directions bent into.
    """
    h, curvature = size("width", width), at_least("curvature", curvature, 0.0)
    m = min(h, p - d)
    weights, offsets = rng.normal(0.0, 2.0 / np.sqrt(d), (h, d)), rng.standard_normal(h)
    heights = rng.normal(0.0, curvature * np.sqrt(d / (m * h)), (m, h))
    Q = orthonormal_columns(p, d + m, rng)
    return Curved(Q, rng.normal(0.0, bias, p), weights, offsets, heights)


def linear_of_condition(left: np.ndarray, right: np.ndarray, condition: float) -> Affine:
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


def _haar(rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    from scipy.stats import ortho_group  # loaded on first use: it costs half a second

    if rows == 1:
        return np.ones((1, 1))
    return ortho_group.rvs(rows, random_state=rng)[:, :columns]


def _turns(d: int, depth: int, rng: np.random.Generator, bias: float) -> list[Orthonormal]:
    return [Orthonormal(orthonormal_columns(d, d, rng), rng.normal(0.0, bias, d)) for _ in range(depth)]


def _between(
    turns: list[Orthonormal], parameters: Sequence[tuple[np.ndarray, ...]], layer: Callable[..., Layer]
) -> Strengthened:
    """Alternate rotations and layers, the layers at a strength."""

    def layers(strength: float) -> Layers:
        pairs = zip(turns, parameters, strict=True)
        return tuple(part for turn, arrays in pairs for part in (turn, layer(strength, *arrays)))

    return layers


def _quadratic_forms(m: int, k: int, rng: np.random.Generator) -> np.ndarray:
    """C (m, k, k), symmetric, with var(uᵀ C_i u) = 2 ‖C_i‖² = 1 for u ~ N(0, I)."""
    C = rng.standard_normal((m, k, k))
    C = C + C.swapaxes(1, 2)
    return C / np.sqrt(2.0 * (C**2).sum(axis=(1, 2), keepdims=True))


def _turn(d: int, count: int, name: str, rng: np.random.Generator) -> Orthonormal:
    """A rotation, so that what is folded or repeated is no latent of the model but a mixture of them."""
    if whole(name, count) > d:
        raise InputError(f"{name} must be at most n_latents = {d}; received {count}")
    return Orthonormal(orthonormal_columns(d, d, rng), np.zeros(d))
