"""Random mixings by family, with a difficulty that is met where it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import at_least, choice, near_misses, size
from pdae_sim._random import SeedLike
from pdae_sim.errors import InputError
from pdae_sim.simulation.mixings._calibration import Dials, Targets
from pdae_sim.simulation.mixings._draws import FAMILIES, Draw, linear_of_condition, orthonormal_columns, random_curve
from pdae_sim.simulation.mixings._layer import Layer
from pdae_sim.simulation.mixings.affine import Orthonormal
from pdae_sim.simulation.mixings.composition import Mixing
from pdae_sim.simulation.mixings.embeddings import Curved

EMBEDDINGS: dict[str, dict[str, Any]] = {"linear": {}, "curved": {"curvature": 1.0, "width": 32}}
"""Embeddings by name, with their settings."""


@checked_numbers
def random_mixing(
    n_latents: int,
    n_observed: int,
    *,
    rng: SeedLike = None,
    kind: str = "stack",
    embedding: str = "linear",
    condition: float | None = None,
    nonlinearity: float | None = None,
    covariance: np.ndarray | None = None,
    **settings: Any,
) -> Mixing:
    """A random mixing of a family, whose difficulty is the family's own or, where it is asked for, met.

    All kinds but the stack act on the d_Z latents; then comes (where `condition` is asked for) a linear map whose
    condition number is solved for, and last the embedding. The stack is lifted first, a curved embedding of its own,
    unless the embedding is curved too, and the linear map comes before the lift.

    Args:
        n_latents: d_Z.
        n_observed: d_X ≥ d_Z.
        rng: Seed or generator.
        kind: One of `FAMILIES`.
        embedding: ``linear``, an isometry into R^d_X, or ``curved`` (d_X > d_Z), a graph over a linear subspace, with
            the settings `curvature` (its height as a multiple of unit latents) and `width` (hidden units).
        condition: The median condition number of the Jacobian over z ~ N(0, Σ), met to 1 % on the calibration's own
            256 to 4,096 latents; other latents differ by sampling error, a few per cent where f bends sharply.
        nonlinearity: 1 − R² of the best affine map over z ~ N(0, Σ), met to 0.003 on the calibration's latents; others
            differ by up to some 0.02 where f has heavy tails.
        covariance: Σ (d_Z, d_Z), to which these refer; the identity when None.
        settings: The settings of the family, `FAMILIES[kind].settings`, and of the embedding.

    Returns:
        A mixing with an exact inverse on its image, unless the family breaks ``injective``.

    Raises:
        InputError: If a setting is unknown, or the difficulty out of reach, with the range that is within reach.

    Example:
        >>> from pdae_sim.simulation.mixings import condition_numbers, reference_latents
        >>> f = random_mixing(2, 5, kind="coupling", condition=10.0, rng=0)
        >>> bool(abs(np.median(condition_numbers(f, reference_latents(2))) / 10 - 1) < 0.02)
        True
    """
    d, p, rng = size("n_latents", n_latents), size("n_observed", n_observed), np.random.default_rng(rng)
    choice("kind", kind, FAMILIES)
    choice("embedding", embedding, EMBEDDINGS)
    own, curve = _settings(kind, embedding, settings)
    at_least("bias", own["bias"], 0.0)
    _check_dimensions(kind, embedding, d, p)
    targets = Targets(condition, nonlinearity, covariance)
    lifted = kind == "stack" and embedding == "linear"
    draw = FAMILIES[kind].draw(d, p if lifted else d, rng, **own)
    end = None if lifted else _random_end(d, p, rng, own["bias"], curve)
    turn = None if condition is None else (orthonormal_columns(d, d, rng), orthonormal_columns(d, d, rng))
    recipe = _Recipe(draw, end, turn, lifted)
    if targets.free:
        return recipe.mixing(draw.default)
    strength, linear = Dials(recipe.unplaced, (d, p if lifted else d), draw.default, draw.largest).solve(targets)
    return recipe.mixing(strength, linear)


@dataclass(frozen=True, eq=False)
class _Recipe:
    """The random parts of a mixing, with strength and linear condition open.

    Args:
        draw: The bent part.
        end: The embedding at full height, None for a stack that is lifted already.
        turn: U and V of the linear layer, None without one.
        stretch_first: Whether the linear layer comes first.
    """

    draw: Draw
    end: Curved | Orthonormal | None
    turn: tuple[np.ndarray, np.ndarray] | None
    stretch_first: bool

    def mixing(self, strength: float, linear: float = 1.0) -> Mixing:
        """The mixing at two dials."""
        inner, end = self._inner(strength, linear), self.end
        if isinstance(end, Curved):
            end = end.scaled(strength / self.draw.default)
        return Mixing(inner if end is None else (*inner, end))

    def unplaced(self, strength: float, linear: float = 1.0) -> Mixing:
        """The mixing up to an isometry of the observed space, which changes no difficulty but costs time."""
        *inner, end = self.mixing(strength, linear).layers
        if isinstance(end, Curved):
            return Mixing((*inner, end.flat()))
        return Mixing(tuple(inner) if self.end is not None else (*inner, end))

    def _inner(self, strength: float, linear: float) -> tuple[Layer, ...]:
        bent = self.draw.layers(strength)
        stretch = () if self.turn is None else (linear_of_condition(*self.turn, linear),)
        return stretch + bent if self.stretch_first else bent + stretch


def _settings(kind: str, embedding: str, settings: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The settings of the family and of the embedding, defaults filled in."""
    own, curve = FAMILIES[kind].settings, EMBEDDINGS[embedding]
    for name in settings:
        if name not in own | curve:
            beside = "" if embedding == "linear" else f" with a {embedding} embedding"
            raise InputError(
                f"unknown setting {name!r} of the mixing {kind!r}{beside}; {near_misses(name, own | curve)}"
            )
    own, curve = ({name: settings.get(name, default) for name, default in part.items()} for part in (own, curve))
    return own, curve


def _check_dimensions(kind: str, embedding: str, d: int, p: int) -> None:
    least = FAMILIES[kind].least
    if d < least:
        raise InputError(f"n_latents must be at least {least} for the mixing {kind!r}; received {d}")
    if p < d:
        raise InputError(f"n_observed must be at least n_latents = {d} for an injective mixing; received {p}")
    if embedding == "curved" and p == d:
        raise InputError(
            f"n_observed must exceed n_latents = {d} for a curved embedding, which needs room; received {p}"
        )


def _random_end(d: int, p: int, rng: np.random.Generator, bias: float, curve: dict[str, Any]) -> Curved | Orthonormal:
    if curve:
        return random_curve(d, p, rng, bias=bias, **curve)
    return Orthonormal(orthonormal_columns(p, d, rng), rng.normal(0.0, bias, p))
