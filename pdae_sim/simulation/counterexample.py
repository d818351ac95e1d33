"""The second simulator of a label that is not identified (theory, claim 2.6).

No training condition tells it from the first, the test condition does.

For a witness v, with vᵀ Δ_e = 0 for every training label and vᵀ Δ_t = 1, and any u (d_Z,),

    W' = W + u vᵀ,   f'(z) = f(z − u vᵀ l_0).

At a training label l_e = l_0 + Δ_e the latents are z' = z + u vᵀ l_0, so that f'(z') = f(z), cell by cell; at the test
label f'(z') = f(z + u). Nothing was asked of the law of z_base, of f or of the noise of x: all of them are kept.

A departure from additive shifts that does not touch S l rides along unseen: interactions, changed noise scales. One
that does (doses that saturate, a mechanism that is replaced or loosened) can break the argument; whether it does at the
labels in hand is computed, and refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import nonzero
from pdae_sim.errors import InputError
from pdae_sim.labels import Condition, nearest_to_control
from pdae_sim.simulation.mixings import Mixing, Orthonormal
from pdae_sim.simulation.simulator import Simulator

_MOVED = 1e-6
"""A training condition counts as untouched if its latents move by less than this share of u (or of their mean: what
rounding leaves of large doses)."""


@checked_numbers
def second_simulator(
    simulator: Simulator,
    move: np.ndarray,
    *,
    witness: np.ndarray,
    train: Sequence[Condition] | np.ndarray,
    test: Condition,
) -> Simulator:
    """The simulator with W' = W + u vᵀ: the same law at every training condition, moved by u at the test condition.

    It shares every stream of the first, so that the same rng gives the same cells at the training conditions, up to
    rounding, and at the test condition f(z + u) for f(z).

    Args:
        simulator: The first.
        move: u (d_Z,), in latent units.
        witness: v (K,) with vᵀ Δ_e = 0 and vᵀ Δ_t = 1, as `check_span` gives it.
        train: Training conditions or labels, the reference among them.
        test: The condition or label outside their span.

    Returns:
        A simulator like any other: its samples carry z', W' and Σ as their truth, and its state rebuilds it.

    Raises:
        InputError: If shapes disagree, u is zero, v is no witness, or a departure breaks the argument at one of these
            conditions.

    References:
        Theory, claim 2.6.

    Example:
        >>> from pdae_sim import LinearLatentModel
        >>> first = Simulator.random(LinearLatentModel.random(2, 2, rng=0), n_observed=3, rng=0)
        >>> second = second_simulator(first, [1, 0], witness=[0, 1], train=["ctrl", "A"], test="A+B")
        >>> x, y = (s.sample(["A", "A+B"], 50, rng=0).data for s in (first, second))
        >>> bool(np.allclose(x.samples(0), y.samples(0))), bool(np.allclose(x.samples(1), y.samples(1)))
        (True, False)
    """
    labels, target = simulator.labels(train), simulator.space.label(test)
    u = nonzero("move", move, simulator.latent.n_latents)
    v = nonzero("witness", witness, simulator.latent.n_perturbations)
    offset = u * (v @ nearest_to_control(labels))
    second = _displaced(simulator, u, v, offset)
    for label in labels:
        _check_move(simulator, second, label, offset, u)
    _check_move(simulator, second, target, offset + u, u)
    return second


def _displaced(simulator: Simulator, move: np.ndarray, direction: np.ndarray, offset: np.ndarray) -> Simulator:
    """The simulator with W + u vᵀ and f(z − offset), for any v whatever; S' = S + (I − A) u vᵀ.

    Args:
        simulator: The first.
        move: u (d_Z,).
        direction: v (K,).
        offset: (d_Z,).
    """
    latent, mixing = simulator.latent, simulator.mixing
    targets = latent.targets + np.outer(move - latent.adjacency @ move, direction)
    if offset.any():
        mixing = Mixing((Orthonormal(np.eye(len(offset)), -offset), *mixing.layers))
    return replace(simulator, latent=replace(latent, targets=targets), mixing=mixing)


def _check_move(first: Simulator, second: Simulator, label: np.ndarray, difference: np.ndarray, u: np.ndarray) -> None:
    """Refuse a second model whose latents under a label are not those of the first plus a difference."""
    own, other = first.latent.mechanisms(label), second.latent.mechanisms(label)
    error = np.abs(other.mean - own.mean - difference).max()
    if not own.differs_by_a_shift(other) or error > _MOVED * max(np.abs(u).max(), 1e-3 * np.abs(own.mean).max()):
        where, breaks = first.space.condition(label), ", ".join(first.latent.breaks)
        reason = f"; or a departure changes what W does (this world breaks {breaks})" if first.latent.departures else ""
        raise InputError(
            f"W + u vᵀ must leave the training conditions as they are and move the test condition by u; at {where!r} "
            f"it is off by {error:.3g}: witness must have vᵀ Δ_e = 0 and vᵀ Δ_t = 1, as check_span gives it{reason}"
        )
