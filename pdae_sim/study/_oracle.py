"""What an oracle that sees the latents achieves on a simulated world, and fresh cells to judge by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdae_sim import _random
from pdae_sim.data import Simulation
from pdae_sim.intervals import Interval
from pdae_sim.simulation.simulator import Simulator

REDRAWS = 200


def fresh_cells(simulation: Simulation, n: int, root: np.random.SeedSequence) -> Simulation:
    """n cells of each training condition that no fit has seen."""
    labels, rng = simulation.data.train.labels, _random.child(root, "fresh")
    return Simulator.from_state(simulation.simulator).sample(labels, n, rng=rng)


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
