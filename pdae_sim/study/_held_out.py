"""Held-out conditions split in halves, and draws of predictions for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdae_sim import _random
from pdae_sim._random import SeedLike
from pdae_sim.data import PerturbationData
from pdae_sim.protocols import Estimator

MIN_CELLS = 8  # fewer cells of a held-out condition cannot be split and judged by


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Held-out conditions with cells enough to judge by, in two random halves.

    Args:
        reference: The half that every prediction is compared with.
        replicate: The other half, a repeated experiment.
        root: Seed of halves and draws.
    """

    reference: PerturbationData
    replicate: PerturbationData
    root: np.random.SeedSequence

    @classmethod
    def of(cls, data: PerturbationData, rng: SeedLike) -> HeldOut:
        """The held-out conditions of some data with at least `MIN_CELLS` cells, of which there must be one."""
        test, root = data.test, _random.seed_sequence(rng)
        return cls(*halves(test.select(test.counts >= MIN_CELLS), root), root)

    def draw(self, name: str, estimator: Estimator, condition: str, n: int) -> np.ndarray:
        """Cells (n, d_X) of a condition as an estimator predicts it, from a stream of the names of both."""
        predicted = estimator.sample(condition, n, rng=_random.child(self.root, name, condition))
        if not np.isfinite(predicted).all():
            raise ValueError(f"the prediction holds {int((~np.isfinite(predicted)).sum())} values that are not finite")
        return predicted


def halves(data: PerturbationData, root: np.random.SeedSequence) -> tuple[PerturbationData, PerturbationData]:
    """Every environment split at random into two disjoint halves, each in random order."""
    first, second = [], []
    for condition, rows in zip(data.conditions, data.rows_by_environment, strict=True):
        shuffled = _random.stream(root, "halves", condition).permutation(rows)
        first.append(shuffled[: len(shuffled) // 2])
        second.append(shuffled[len(shuffled) // 2 :])
    return data.rows(np.concatenate(first)), data.rows(np.concatenate(second))
