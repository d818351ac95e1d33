"""Which of the many combinations of training shifts: of least norm, of least variance, or of fewest conditions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from pdae_sim._linalg import narrow
from pdae_sim.analysis._exact import RowSpace
from pdae_sim.analysis._nearest import NearestNorm, ratio
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
        targets = self.shifts.test[np.ix_(chosen, self.space.pivots)]
        weights = self._map(targets, self.shifts.ratios[chosen])
        gains = [_float(a + (1 - b) ** 2) for a, b in zip(weights.squares, weights.sums, strict=True)]
        return [Combination(a, gain, MIN_NORM) for a, gain in zip(weights.values, gains, strict=True)]

    @cached_property
    def _map(self) -> NearestNorm:
        D = self.shifts.train[:, self.space.pivots]
        return NearestNorm(D, np.ones(len(D), dtype=np.int64))


@dataclass(frozen=True, eq=False)
class MinVariance:
    """α of least noise gain at the cells of each environment (generalised least squares)."""

    shifts: Shifts
    space: RowSpace
    reference: int
    sizes: np.ndarray

    def __call__(self, chosen: np.ndarray, method: str = LEAST_GAIN) -> list[Combination]:
        """One combination per chosen test row."""
        weights = self._map(self.targets(chosen), self.shifts.ratios[chosen])
        return [self.combination(w, method) for w in weights.values]

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
    def _map(self) -> NearestNorm:
        return NearestNorm(self.rows, self.sizes)


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


def _float(value: Fraction) -> float:
    return ratio(value.numerator, value.denominator)
