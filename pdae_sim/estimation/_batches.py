"""Batches of training cells for a bank of replicates: each a pure function of the step and of its own replicate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim.errors import InputError
from pdae_sim.estimation._cell_numbers import by_cells, sits_out
from pdae_sim.estimation._rows import Rows

if TYPE_CHECKING:
    from pdae_sim.estimation.phases import Phase

_HELD_OUT, _HELD_OUT_VALUES = 4096, 2**23
"""Largest total number of held-out cells, and of their values where cells are long: the cost of evaluating them."""
_TELLING = 64
"""Cells kept out in all, at least: fewer cannot tell parameters apart."""
_KEPT_ROOT = _random.seed_sequence(0)


@dataclass(frozen=True, eq=False)
class Cells:
    """Standardised training cells of R replicates on their device, and batches of them.

    Args:
        x: (N, d_X) the cells of all replicates, indexed by rows; replicates of the same data share them.
        labels: (R, E, K).
        rows: For each replicate and environment the rows of x that belong to it.
        roots: Root of the random streams of each replicate.
    """

    x: Rows
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
        return self.x[picked], self._labels(np.stack([environments for _, environments in samples]))

    def weighty(self) -> Cells:
        """Those of environments that gradient steps see; these very cells where that is all of them.

        Raises:
            InputError: If replicates differ in how many those are.
        """
        out = [sits_out(np.array([len(rows) for rows in each])) for each in self.rows]
        if not any(mask.any() for mask in out):
            return self
        if len({int(mask.sum()) for mask in out}) > 1:
            raise InputError("replicates must have as many conditions of few cells; fit them one by one")
        chosen = [np.flatnonzero(~mask) for mask in out]
        rows = tuple(tuple(each[e] for e in kept) for each, kept in zip(self.rows, chosen, strict=True))
        return replace(self, labels=self._labels(np.stack(chosen)), rows=rows, _epochs={})

    def split_held_out(self, share: float) -> tuple[Cells, tuple[torch.Tensor, torch.Tensor] | None]:
        """These cells without a share of them, and the cells (R, E, b, d_X) and labels (R, E, K) of that share.

        Environments that have enough give as many each (`kept_out`); none is given, and all cells stay, where these are
        too few to tell anything. Where cells weigh alike, b is 1 and they are drawn from all. The same data give the
        same cells at any seed, so that fits of several seeds can be compared on them.

        Raises:
            InputError: If replicates differ in how many they would give.
        """
        counts = [np.array([len(rows) for rows in each]) for each in self.rows]
        gives = [kept_out(share, each, self.x.shape[1]) for each in counts]
        numbers = {(1 if by_cells(each) else int(n.max()), int(n.sum())) for each, n in zip(counts, gives, strict=True)}
        if len(numbers) > 1:
            raise InputError(
                f"replicates must keep out as many cells of each environment; received {sorted(numbers)}; "
                "set held_out=0 or fit them one by one"
            )
        ((b, total),) = numbers
        if not total:
            return self, None
        kept, rest = zip(*(_apart(each, n) for each, n in zip(self.rows, gives, strict=True)), strict=True)
        x = self.x[torch.from_numpy(np.stack(kept).reshape(len(kept), -1, b)).to(self.x.device)]
        giving = np.stack([np.repeat(np.arange(len(n)), n)[::b] for n in gives])
        everywhere = b > 1 and giving.shape[1] == self.labels.shape[1]
        return replace(self, rows=rest, _epochs={}), (x, self.labels if everywhere else self._labels(giving))

    def parts(self, r: int, size: int) -> Iterator[tuple[torch.Tensor, np.ndarray]]:
        """Rows (E', b) of all cells of a replicate in order, about `size` at a time, and their environments (E',)."""
        each = self.rows[r]
        if by_cells(np.array([len(rows) for rows in each])):
            rows, environment = by_environment(each)
            for part, of in zip(_split(rows[:, None], size), _split(environment, size), strict=True):
                yield torch.from_numpy(part).to(self.x.device), of
            return
        for e, rows in enumerate(each):
            for part in _split(rows, size):
                yield torch.from_numpy(part[None]).to(self.x.device), np.array([e])

    def _labels(self, chosen: np.ndarray) -> torch.Tensor:
        """Labels (R, E', K) of the chosen environments (R, E')."""
        index = torch.from_numpy(chosen).to(self.labels.device)[..., None]
        return self.labels.gather(1, index.expand(-1, -1, self.labels.shape[2]))

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


def kept_out(share: float, counts: np.ndarray, d_X: int) -> np.ndarray:
    """(E,) cells that environments of so many cells give up: a share of the smallest that gives, few in all, or none.

    As many give as can give enough together; those with fewer cells keep all of theirs. Where cells weigh alike a
    share of all is given, one by one.
    """
    most = min(_HELD_OUT, max(_HELD_OUT_VALUES // d_X, 8 * _TELLING))
    if by_cells(counts):
        total = min(int(share * counts.sum()), most)
        spread = np.diff(np.floor(np.concatenate([[0], np.cumsum(counts)]) * (total / counts.sum())))
        return spread.astype(int) if total >= _TELLING else np.zeros(len(counts), int)
    for n in range(len(counts), 1, -1):
        fewest = np.sort(counts)[-n]
        b = min(int(share * fewest), max(most // n, 2))
        if b >= 2 and b * n >= _TELLING:
            return np.where(counts >= fewest, b, 0)
    return np.zeros(len(counts), int)


def _apart(rows: Sequence[np.ndarray], n: np.ndarray) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The rows that environments give up, n (E,) of each, and those that they keep."""
    orders = [
        each[_random.stream(_KEPT_ROOT, "held out", e).permutation(len(each))] if n[e] else each
        for e, each in enumerate(rows)
    ]
    kept = np.concatenate([each[:k] for each, k in zip(orders, n, strict=True)])
    return kept, tuple(np.sort(each[k:]) for each, k in zip(orders, n, strict=True))


def _split(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """The rows in parts of `size`."""
    return [rows[start : start + size] for start in range(0, max(len(rows), 1), size)]
