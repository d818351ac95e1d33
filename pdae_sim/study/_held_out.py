"""Held-out conditions split in halves, and draws of predictions for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked
from pdae_sim._coding import row_keys
from pdae_sim._random import SeedLike
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
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


@checked
def keep_fresh(data: PerturbationData, share: float, rng: SeedLike) -> tuple[PerturbationData, PerturbationData]:
    """Keep a share of the cells of every training condition out of fits, to judge them by.

    Args:
        data: Any.
        share: In (0, 1), rounded to whole cells of each condition, of which one is always left.
        rng: Whatever `numpy.random.default_rng` takes; the same seed and cells give the same parts, in any order.

    Returns:
        `data` without the fresh cells, and these.

    Raises:
        InputError: If the share is not in (0, 1), or keeps no cell.

    Example:
        >>> data = PerturbationData.from_arrays(np.eye(30), ["ctrl", "A", "B"] * 10, held_out=[False, False, True] * 10)
        >>> [part.counts.tolist() for part in keep_fresh(data, 0.2, 0)]
        [[8, 8, 10], [2, 2]]
    """
    chosen = choose_fresh(data, share, rng)
    some = np.isin(np.arange(len(data.labels)), data.environment[chosen])
    return data.rows(np.flatnonzero(~chosen)), data.select(some).rows(np.flatnonzero(chosen[some[data.environment]]))


@checked
def choose_fresh(data: PerturbationData, share: float, rng: SeedLike) -> np.ndarray:
    """Choose the cells that `keep_fresh` keeps out of fits.

    Args:
        data, share, rng: As there.

    Returns:
        (n,) whether a cell is one of them.

    Raises:
        InputError: As there.

    Example:
        >>> data = PerturbationData.from_arrays(np.eye(10), ["ctrl", "A"] * 5)
        >>> int(choose_fresh(data, 0.2, 0).sum())
        2
    """
    if not 0 < share < 1:
        raise InputError(f"the share of fresh cells must lie between 0 and 1; received {share}")
    root, chosen = _random.seed_sequence(rng), np.zeros(len(data.environment), bool)
    keys = list(row_keys(data.stored, np.float32))  # a cell is known by its values, as files keep them
    for e in np.flatnonzero(~data.held_out):
        rows = sorted(data.rows_by_environment[e].tolist(), key=keys.__getitem__)
        n = min(round(share * len(rows)), len(rows) - 1)
        chosen[_random.stream(root, "fresh", data.conditions[e]).permutation(rows)[:n]] = True
    if not chosen.any():
        raise InputError(f"a share of {share} keeps no cell of any condition; give a larger one")
    return chosen
