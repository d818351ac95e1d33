"""The span of integer shifts, exactly: which columns determine the rest, and the weights that combine them.

Elimination is FLINT's, over the integers; labels are then judged many at a time by exact matrix products of numpy's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdae_sim._linalg import integer_product, minus, row_echelon, solve_exactly, times

_ROWS = 1024  # test labels judged at once


@dataclass(frozen=True, eq=False)
class RowSpace:
    """The row space of D (M, K), integers: x is in it if and only if x[others] = x[pivots] N / d.

    Args:
        pivots: (r,) columns whose values determine a row of the space; r is the rank.
        others: (K − r,) the other columns.
        numerators: N (r, K − r) integers.
        denominator: d > 0.
    """

    pivots: np.ndarray
    others: np.ndarray
    numerators: np.ndarray
    denominator: int

    @classmethod
    def of(cls, D: np.ndarray) -> RowSpace:
        """The row space of D (M, K), from its reduced row echelon form.

        Example:
            >>> space = RowSpace.of(np.array([[1, 0, 2], [0, 1, 3]]))
            >>> (space.pivots.tolist(), space.numerators.ravel().tolist(), space.denominator) == ([0, 1], [2, 3], 1)
            True
        """
        pivots, rows, denominator = row_echelon(D)
        others = np.setdiff1d(np.arange(D.shape[1]), pivots)
        return cls(pivots, others, rows[:, others], denominator)

    def residuals(self, rows: np.ndarray) -> np.ndarray:
        """d x[others] − x[pivots] N for each row x (n, K): integers (n, K − r), all zero inside the space."""
        scaled = times(rows[:, self.others], np.array(self.denominator))
        return minus(scaled, integer_product(rows[:, self.pivots], self.numerators))

    def blind(self, q: int) -> tuple[np.ndarray, np.ndarray]:
        """Columns and integers v there, with v · x = residual q of x for every row x."""
        used = np.flatnonzero(self.numerators[:, q])
        columns = np.append(self.pivots[used], self.others[q])
        return columns, np.append(-self.numerators[used, q].astype(object), self.denominator)

    def breadth(self) -> np.ndarray:
        """(K − r,) how many columns each residual speaks of."""
        return (self.numerators != 0).sum(axis=0) + 1


@dataclass(frozen=True, eq=False)
class LeastNorm:
    """The map from a row x of the span of B (M, r), independent columns, to the w with Σ_e w_e B_e = x of least cost.

    The cost is Σ_e w_e² / n_e, and w = n B (Bᵀ n B)⁻¹ x, all of it rational.

    Args:
        numerators: (r, M) integers.
        denominator: d > 0, so that w = x numerators / d.
    """

    numerators: np.ndarray
    denominator: int

    @classmethod
    def of(cls, B: np.ndarray, n: np.ndarray) -> LeastNorm:
        """The map of B (M, r) for positive integer sizes n (M,)."""
        weighted = times(B, n[:, None])
        return cls(*solve_exactly(integer_product(B.T, weighted), weighted.T))

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Integers (n, M): d w for each row x (n, r)."""
        return integer_product(rows, self.numerators)


def blocks(n: int) -> list[slice]:
    """Slices of rows of a size that fits in memory."""
    return [slice(start, min(start + _ROWS, n)) for start in range(0, n, _ROWS)]
