"""Batches of training cells for a bank of replicates: each a pure function of the step and of its own replicate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pdae_sim.estimation.phases import Phase

_HELD_OUT = 4096
"""Largest total number of held-out cells; bounds the cost of evaluating them."""
_TELLING = 64
"""Cells kept out in all, at least: fewer cannot tell parameters apart."""
_KEPT_ROOT = _random.seed_sequence(0)


@dataclass(frozen=True, eq=False)
class Cells:
    """Standardised training cells of R replicates on their device, and batches of them.

    Args:
        x: (N, d_X) the cells of all replicates; replicates of the same data share them.
        labels: (R, E, K).
        rows: For each replicate and environment the rows of x that belong to it.
        roots: Root of the random streams of each replicate.
    """

    x: torch.Tensor
    labels: torch.Tensor
    rows: tuple[tuple[np.ndarray, ...], ...]
    roots: tuple[np.random.SeedSequence, ...]
    _epochs: dict = field(default_factory=dict)

    def batch(self, phase: Phase, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cells (R, E', b, d_X) and labels (R, E', K) of one step.

        Each environment gives the next stretch of its endless sequence of shuffled epochs; beyond
        `phase.environments` environments a random subset takes part. With ``cells`` as sampling the cells of all
        environments form one such sequence, and every cell is an environment of its own.
        """
        samples = [self._cells(phase, r, step) for r in range(len(self.rows))]
        picked = torch.from_numpy(np.stack([rows for rows, _ in samples])).to(self.x.device)
        chosen = torch.from_numpy(np.stack([environments for _, environments in samples])).to(self.labels.device)
        return self.x[picked], self.labels.gather(1, chosen[..., None].expand(-1, -1, self.labels.shape[2]))

    def split_held_out(self, share: float) -> tuple[Cells, tuple[torch.Tensor, torch.Tensor] | None]:
        """These cells without a share of them, and the cells (R, E, b, d_X) and labels (R, E, K) of that share.

        Every environment gives as many, at most a share of the smallest and some thousands in all; none is given, and
        all cells stay, where these are too few to tell anything. The same data give the same cells at any seed, so
        that fits of several seeds can be compared on them.

        Raises:
            InputError: If replicates differ in how many they would give.
        """
        numbers = {kept_out(share, min(len(rows) for rows in each), len(each)) for each in self.rows}
        if len(numbers) > 1:
            raise InputError(
                f"replicates must keep out as many cells of each environment; received {sorted(numbers)}; "
                "set held_out=0 or fit them one by one"
            )
        (b,) = numbers
        if not b:
            return self, None
        orders = [
            [rows[_random.stream(_KEPT_ROOT, "held out", e).permutation(len(rows))] for e, rows in enumerate(each)]
            for each in self.rows
        ]
        kept = torch.from_numpy(np.stack([[rows[:b] for rows in each] for each in orders])).to(self.x.device)
        rest = tuple(tuple(np.sort(rows[b:]) for rows in each) for each in orders)
        return replace(self, rows=rest, _epochs={}), (self.x[kept], self.labels)

    def _cells(self, phase: Phase, r: int, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows (E', b) and environments (E',) of one replicate."""
        if phase.sampling == "cells":
            picked = self._stretch(phase, r, None, step)
            return self._pool(r)[0][picked][:, None], self._pool(r)[1][picked]
        chosen = self._environments(phase, r, step)
        return np.stack([self.rows[r][e][self._stretch(phase, r, e, step)] for e in chosen]), chosen

    def _environments(self, phase: Phase, r: int, step: int) -> np.ndarray:
        E = len(self.rows[r])
        if phase.environments >= E:
            return np.arange(E)
        rng = _random.stream(self.roots[r], "environments", phase.name, step)
        return np.sort(rng.permutation(E)[: phase.environments])

    def _stretch(self, phase: Phase, r: int, e: int | None, step: int) -> np.ndarray:
        """Positions of the cells of a step among those of environment e, or of all environments."""
        n, start = len(self._pool(r)[0] if e is None else self.rows[r][e]), step * phase.cells
        first, last = start // n, (start + phase.cells - 1) // n
        order = [self._epoch(phase.name, r, e, n, epoch) for epoch in range(first, last + 1)]
        whole = order[0] if len(order) == 1 else np.concatenate(order)
        return whole[start - first * n :][: phase.cells]

    def _epoch(self, phase: str, r: int, e: int | None, n: int, epoch: int) -> np.ndarray:
        """The order of one epoch; the last one of each environment is remembered."""
        key = (phase, e, epoch)
        if self._epochs.get((r, e), (None,))[0] != key:
            self._epochs[r, e] = (key, _random.stream(self.roots[r], "epoch", *key).permutation(n))
        return self._epochs[r, e][1]

    def _pool(self, r: int) -> tuple[np.ndarray, np.ndarray]:
        """Rows and environments of all cells of a replicate."""
        if ("pool", r) not in self._epochs:
            self._epochs["pool", r] = by_environment(self.rows[r])
        return self._epochs["pool", r]


def by_environment(rows: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The rows of all cells, environment by environment, and the environment of each."""
    return np.concatenate(rows), np.repeat(np.arange(len(rows)), [len(r) for r in rows])


def kept_out(share: float, fewest: int, n_environments: int) -> int:
    """Cells that each environment gives up where the smallest has `fewest`: a share of those, few in all, or none."""
    b = min(int(share * fewest), max(_HELD_OUT // n_environments, 2))
    return b if b >= 2 and b * n_environments >= _TELLING else 0
