"""Combinations of least cost to the nearest float: forced weights first, then fractions or, at scale, lifting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from pdae_sim._linalg import bits, minus, narrow, times
from pdae_sim.analysis._exact import LeastNorm, lone_entries
from pdae_sim.analysis._lifting import LiftedNorm, Weights

_SMALL = 32
"""Independent columns up to which fractions are faster."""


@dataclass(frozen=True, eq=False)
class NearestNorm:
    """The w with Σ_e w_e B_e = x of least Σ_e w_e² / n_e, each weight the nearest float to its exact value.

    A row of B that alone has an entry in some column has no choice. What is left is solved as fractions if it is small,
    else lifted; both round once, so that they agree.

    Args:
        B: (M, r) integers, independent columns.
        n: (M,) positive integers; `squares` of the weights are meant for sizes of one.
    """

    B: np.ndarray
    n: np.ndarray

    def __call__(self, x: np.ndarray, ratios: np.ndarray) -> Weights:
        """The weights of rows x (T, r) of the span, over divisors (T,)."""
        q = [int(each) for each in ratios]
        forced, left = self._forced_weights(x)
        free = self._solve(left, q)
        values = np.zeros((len(x), len(self.B)))
        values[:, self._rows] = free.values
        values[:, [e for _, e in self._pairs]] = _quotients(forced, q)
        wide = forced if 2 * bits(forced) + forced.shape[1].bit_length() <= 62 else forced.astype(object)
        squares, sums = (wide * wide).sum(axis=1).tolist(), wide.sum(axis=1).tolist()
        return Weights(
            values,
            [a + Fraction(b, each**2) for a, b, each in zip(free.squares, squares, q, strict=True)],
            [a + Fraction(b, each) for a, b, each in zip(free.sums, sums, q, strict=True)],
        )

    def _forced_weights(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Integer weights of the rows without a choice, and what they leave over in the other columns."""
        left, forced = list(x.T), []
        for k, e in self._pairs:
            w = times(left[k], self.B[e, [k]])
            for j in np.flatnonzero(self.B[e]):
                left[j] = minus(left[j], times(w, self.B[e, [j]]))
            forced.append(w)
        return _table(forced, len(x)), _table([left[j] for j in self._columns], len(x))

    def _solve(self, x: np.ndarray, q: Sequence[int]) -> Weights:
        divisors = narrow(np.array(q, dtype=object))
        lifted = None if self._lifted is None else self._lifted(x, divisors)
        if lifted is not None:
            return lifted
        S = self._solved(x)
        scales = [each * self._solved.denominator for each in q]
        wide = S.astype(object)
        squares, sums = (wide * wide).sum(axis=1).tolist(), wide.sum(axis=1).tolist()
        return Weights(
            _quotients(S, scales),
            [Fraction(a, d * d) for a, d in zip(squares, scales, strict=True)],
            [Fraction(b, d) for b, d in zip(sums, scales, strict=True)],
        )

    @cached_property
    def _pairs(self) -> list[tuple[int, int]]:
        """Columns and the rows that they force, in an order in which each is settled by those before it."""
        return lone_entries(self.B.T, units=True)

    @cached_property
    def _rows(self) -> np.ndarray:
        return np.setdiff1d(np.arange(len(self.B)), [e for _, e in self._pairs])

    @cached_property
    def _columns(self) -> np.ndarray:
        return np.setdiff1d(np.arange(self.B.shape[1]), [k for k, _ in self._pairs])

    @cached_property
    def _lifted(self) -> LiftedNorm | None:
        large = len(self._columns) > _SMALL
        return LiftedNorm.of(self.B[np.ix_(self._rows, self._columns)], self.n[self._rows]) if large else None

    @cached_property
    def _solved(self) -> LeastNorm:
        return LeastNorm.of(self.B[np.ix_(self._rows, self._columns)], self.n[self._rows])


def _table(columns: Sequence[np.ndarray], n: int) -> np.ndarray:
    """Integer columns (n,) side by side."""
    return narrow(np.stack(columns, axis=1)) if columns else np.zeros((n, 0), dtype=np.int64)


def _quotients(numerators: np.ndarray, scales: Sequence[int]) -> np.ndarray:
    """The nearest floats (n, M) to integers divided row by row by positive integers."""
    if numerators.dtype != object and bits(numerators) <= 53 and max(scales, default=1).bit_length() <= 53:
        return numerators / np.array(scales, dtype=np.float64)[:, None]
    rows = zip(numerators.tolist(), scales, strict=True)
    return np.array([[ratio(value, scale) if value else 0.0 for value in row] for row, scale in rows])


def ratio(numerator: int, denominator: int) -> float:
    """The nearest float to a fraction of Python integers; infinite beyond their range."""
    try:
        return numerator / denominator
    except OverflowError:
        return math.inf if (numerator > 0) == (denominator > 0) else -math.inf
