"""Which of the many combinations of training shifts: the shortest α, the one of least noise gain, or the sparsest."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdae_sim._linalg import bits, narrow
from pdae_sim.analysis._exact import LeastNorm, RowSpace
from pdae_sim.analysis._rationals import Shifts
from pdae_sim.analysis._sparse_combination import sparse_combination

MIN_NORM, LEAST_GAIN, DENSE = "least norm", "least noise gain", "least noise gain; no sparse combination was found"


@dataclass(frozen=True, eq=False)
class Combination:
    """One combination of training shifts.

    Args:
        coefficients: (n_train,) α, zero at the reference.
        noise_gain: Σ_e α_e² / n_e + (1 − Σ_e α_e)² / n_0.
        method: Which α it is, in words.
    """

    coefficients: np.ndarray
    noise_gain: float
    method: str


@dataclass(frozen=True, eq=False)
class Combiner:
    """Combinations for test labels known to be inside the span.

    Args:
        shifts: Integer shifts.
        space: The row space of `shifts.train`.
        reference: Row of the reference.
        counts: (n_train,) cells for α of least noise gain; None for α of least norm, the gain being for one cell each.
        sparse: Whether fewest conditions go first.
    """

    shifts: Shifts
    space: RowSpace
    reference: int
    counts: np.ndarray | None
    sparse: bool

    def __call__(self, chosen: np.ndarray) -> list[Combination]:
        """One combination per chosen test row (indices)."""
        if self.sparse:
            return [self._sparse(t) for t in chosen]
        return self._shortest(chosen) if self.counts is None else self._quietest(chosen)

    @cached_property
    def _n(self) -> np.ndarray:
        return np.ones(len(self.shifts.train), dtype=np.int64) if self.counts is None else self.counts

    @cached_property
    def _shortest_map(self) -> LeastNorm:
        return LeastNorm.of(self.shifts.train[:, self.space.pivots], np.ones(len(self.shifts.train), dtype=np.int64))

    @cached_property
    def _table(self) -> np.ndarray:
        """(n_train, r + 1): pivot columns and a column of ones, so that weights of all rows sum to one."""
        D = self.shifts.train[:, self.space.pivots]
        return np.hstack([D, np.ones((len(D), 1), dtype=np.int64)])

    @cached_property
    def _quietest_map(self) -> LeastNorm:
        return LeastNorm.of(self._table, self._n)

    def _wanted(self, chosen: np.ndarray) -> np.ndarray:
        """The rows (n, r + 1) that weights of `_table` must add up to, times the chosen ratios."""
        ratios = narrow(self.shifts.ratios[chosen])
        return np.hstack([self.shifts.test[np.ix_(chosen, self.space.pivots)], ratios[:, None]])

    def _shortest(self, chosen: np.ndarray) -> list[Combination]:
        S = self._shortest_map(self.shifts.test[np.ix_(chosen, self.space.pivots)])
        scales = [ratio * self._shortest_map.denominator for ratio in self.shifts.ratios[chosen]]
        gains = map(ratio, *_gain(S, scales))
        return [Combination(a, gain, MIN_NORM) for a, gain in zip(quotients(S, scales), gains, strict=True)]

    def _quietest(self, chosen: np.ndarray, method: str = LEAST_GAIN) -> list[Combination]:
        S = self._quietest_map(self._wanted(chosen))
        scales = [ratio * self._quietest_map.denominator for ratio in self.shifts.ratios[chosen]]
        return [self._combination(w, method) for w in quotients(S, scales)]

    def _sparse(self, t: int) -> Combination:
        weights, method = sparse_combination(self._table, self._wanted(np.array([t]))[0], 1 / self._n)
        if weights is None:
            return self._quietest(np.array([t]), DENSE)[0]
        scale = self.shifts.ratios[t]
        w = [ratio(value.numerator, value.denominator * scale) for value in weights]
        return self._combination(np.array(w), method)

    def _combination(self, w: np.ndarray, method: str) -> Combination:
        gain = float((w * w / self._n).sum())
        w[self.reference] = 0.0
        return Combination(w, gain, method)


def _gain(S: np.ndarray, scales: list[int]) -> tuple[list[int], list[int]]:
    """Σ S² + (d − Σ S)² and d² for each row of S, d: the noise gain of α = S / d as a fraction."""
    wide = S if 2 * bits(S) + S.shape[1].bit_length() <= 62 else S.astype(object)
    squares, sums = (wide * wide).sum(axis=1).tolist(), wide.sum(axis=1).tolist()
    return [a + (d - b) ** 2 for a, b, d in zip(squares, sums, scales, strict=True)], [d * d for d in scales]


def quotients(numerators: np.ndarray, scales: list[int]) -> np.ndarray:
    """The nearest floats (n, M) to integers divided row by row by positive integers."""
    if numerators.dtype != object and bits(numerators) <= 53 and max(scales).bit_length() <= 53:
        return numerators / np.array(scales, dtype=np.float64)[:, None]
    rows = zip(numerators.tolist(), scales, strict=True)
    return np.array([[ratio(value, scale) if value else 0.0 for value in row] for row, scale in rows])


def ratio(numerator: int, denominator: int) -> float:
    """The nearest float to a fraction of Python integers; infinite beyond their range."""
    try:
        return numerator / denominator
    except OverflowError:
        return math.inf if (numerator > 0) == (denominator > 0) else -math.inf
