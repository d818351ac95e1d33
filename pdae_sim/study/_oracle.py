"""What an oracle that sees the latents achieves on a simulated world, and fresh cells to judge by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked
from pdae_sim._random import SeedLike
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.errors import InputError
from pdae_sim.intervals import Interval
from pdae_sim.simulation.simulator import Simulator

REDRAWS = 200
_CHANCE = 1e-9
"""Chance that cells of the very world are taken for others."""


@checked
def fresh_cells(simulation: Simulation, n: int, *, rng: SeedLike = None) -> Simulation:
    """Cells of the training conditions that no fit has seen, from the simulated world in the features of its data.

    Args:
        simulation: Simulated data with the state of its simulator.
        n: Cells of each condition.
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: If the data have features that the world has not, or in other units.

    Example:
        >>> from pdae_sim import LinearLatentModel, Simulator
        >>> world = Simulator.random(LinearLatentModel.random(2, 2, rng=0), n_observed=3, rng=0)
        >>> fresh_cells(world.sample(["ctrl", "A", "B"], 50, rng=0), 8, rng=0).data.counts.tolist()
        [8, 8, 8]
    """
    train, root = simulation.data.train, _random.child(_random.seed_sequence(rng), "fresh")
    fresh = Simulator.from_state(simulation.simulator).sample(train.labels, n, rng=root)
    place = {name: j for j, name in enumerate(fresh.data.features)}
    if absent := [name for name in train.features if name not in place]:
        raise InputError(
            f"feature {absent[0]!r} is not one of the simulated world, which has {len(place)}, up to "
            f"{fresh.data.features[-1]!r}; use the file as it was simulated"
        )
    if train.features != fresh.data.features:
        columns = [place[name] for name in train.features]
        fresh = replace(fresh, data=replace(fresh.data, x=fresh.data.x[:, columns], features=train.features))
    _check_law(train, fresh.data)
    return fresh


def _check_law(train: PerturbationData, fresh: PerturbationData) -> None:
    """Raise an InputError if a feature of the control is of another law: of other units, or changed since."""
    cells, drawn = (data.samples(data.reference) for data in (train, fresh))
    n, m = len(cells), len(drawn)
    for name, x, y in zip(train.features, np.sort(cells, 0).T, np.sort(drawn, 0).T, strict=True):
        at = np.concatenate([x, y])
        apart = np.abs(x.searchsorted(at, "right") / n - y.searchsorted(at, "right") / m).max()
        if 2 * len(train.features) * np.exp(-2 * apart**2 * n * m / (n + m)) < _CHANCE:
            raise InputError(
                f"feature {name!r} is not as it was simulated (median of the control {np.median(x):.4g},"
                f" of cells drawn anew {np.median(y):.4g}); use the file as it was simulated"
            )


def oracle_gram_error(
    W: np.ndarray, shifts: np.ndarray, counts: np.ndarray, reference: int, rng: np.random.Generator
) -> Interval:
    """The range of Gram errors when W Δ_e is estimated by differences of sample means of true latents."""
    d, true_moves = len(W), shifts @ W.T
    G = true_moves @ true_moves.T
    n = np.delete(counts, reference)
    errors = []
    for _ in range(REDRAWS):
        noise = rng.standard_normal((len(n), d)) / np.sqrt(n)[:, None]
        moves = true_moves + noise - rng.standard_normal(d) / np.sqrt(counts[reference])
        errors.append(float(np.linalg.norm(moves @ moves.T - G) / np.linalg.norm(G)))
    return central_range(errors)


def central_range(values: Sequence[float]) -> Interval:
    """The central 95 %."""
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high))
