"""Which of the many combinations of training shifts: of least norm, of least variance, or of fewest conditions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
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


Rule = Callable[[np.ndarray], list[Combination]]
"""One combination per test row (indices), all of them known to be inside the span."""


def rule(shifts: Shifts, space: RowSpace, reference: int, counts: np.ndarray | None, sparse: bool) -> Rule:
    """The rule that the arguments of `check_span` ask for.

    Args:
        shifts: Integer shifts.
        space: The row space of `shifts.train`.
        reference: Row of the reference.
        counts: (n_train,) cells; None for one each.
        sparse: Whether fewest conditions go first.
    """
    if not sparse and counts is None:
        return MinNorm(shifts, space)
    sizes = np.ones(len(shifts.train), dtype=np.int64) if counts is None else counts
    least = MinVariance(shifts, space, reference, sizes)
    return Sparse(least) if sparse else least


@dataclass(frozen=True, eq=False)
class MinNorm:
    """α of least norm, the noise gain being that of one cell in every environment."""

    shifts: Shifts
    space: RowSpace

    def __call__(self, chosen: np.ndarray) -> list[Combination]:
        """One combination per chosen test row."""
        S = self._map(self.shifts.test[np.ix_(chosen, self.space.pivots)])
        scales = [ratio * self._map.denominator for ratio in self.shifts.ratios[chosen]]
        gains = map(ratio, *_gain(S, scales))
        return [Combination(a, gain, MIN_NORM) for a, gain in zip(quotients(S, scales), gains, strict=True)]

    @cached_property
    def _map(self) -> LeastNorm:
        D = self.shifts.train[:, self.space.pivots]
        return LeastNorm.of(D, np.ones(len(D), dtype=np.int64))


@dataclass(frozen=True, eq=False)
class MinVariance:
    """α of least noise gain at the cells of each environment (generalised least squares)."""

    shifts: Shifts
    space: RowSpace
    reference: int
    sizes: np.ndarray

    def __call__(self, chosen: np.ndarray, method: str = LEAST_GAIN) -> list[Combination]:
        """One combination per chosen test row."""
        S = self._map(self.targets(chosen))
        scales = [ratio * self._map.denominator for ratio in self.shifts.ratios[chosen]]
        return [self.combination(w, method) for w in quotients(S, scales)]

    @cached_property
    def rows(self) -> np.ndarray:
        """(n_train, r + 1): pivot columns and a column of ones, so that weights of all rows sum to one."""
        D = self.shifts.train[:, self.space.pivots]
        return np.hstack([D, np.ones((len(D), 1), dtype=np.int64)])

    def targets(self, chosen: np.ndarray) -> np.ndarray:
        """The rows (n, r + 1) that weights of `rows` must add up to, times the chosen ratios."""
        ratios = narrow(self.shifts.ratios[chosen])
        return np.hstack([self.shifts.test[np.ix_(chosen, self.space.pivots)], ratios[:, None]])

    def combination(self, w: np.ndarray, method: str) -> Combination:
        """The combination with weights w (n_train,), the reference's own among them."""
        gain = float((w * w / self.sizes).sum())
        w[self.reference] = 0.0
        return Combination(w, gain, method)

    @cached_property
    def _map(self) -> LeastNorm:
        return LeastNorm.of(self.rows, self.sizes)


@dataclass(frozen=True, eq=False)
class Sparse:
    """α of fewest conditions, and of these the one of least noise gain."""

    least: MinVariance

    def __call__(self, chosen: np.ndarray) -> list[Combination]:
        """One combination per chosen test row."""
        return [self._one(t) for t in chosen.tolist()]

    def _one(self, t: int) -> Combination:
        shifts, row = self.least.shifts, np.array([t])
        weights, method = sparse_combination(self.least.rows, self.least.targets(row)[0], 1 / self.least.sizes)
        if weights is None:
            return self.least(row, DENSE)[0]
        scale = shifts.ratios[t]
        w = [ratio(value.numerator, value.denominator * scale) for value in weights]
        return self.least.combination(np.array(w), method)


def _gain(S: np.ndarray, scales: Sequence[int]) -> tuple[list[int], list[int]]:
    """Σ S² + (d − Σ S)² and d² for each row of S, d: the noise gain of α = S / d as a fraction."""
    wide = S if 2 * bits(S) + S.shape[1].bit_length() <= 62 else S.astype(object)
    squares, sums = (wide * wide).sum(axis=1).tolist(), wide.sum(axis=1).tolist()
    return [a + (d - b) ** 2 for a, b, d in zip(squares, sums, scales, strict=True)], [d * d for d in scales]


def quotients(numerators: np.ndarray, scales: Sequence[int]) -> np.ndarray:
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
