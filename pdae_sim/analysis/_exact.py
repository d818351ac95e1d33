"""The span of integer shifts, exactly: which columns determine the rest, and the weights that combine them.

Elimination is FLINT's, over the integers; labels are then judged many at a time by exact matrix products of numpy's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import lcm

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from pdae_sim._linalg import integer_product, minus, narrow, rank, row_echelon, solve_exactly, times

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
        """The row space of D (M, K), from its reduced row echelon form, component by component.

        Example:
            >>> space = RowSpace.of(np.array([[1, 0, 2], [0, 1, 3]]))
            >>> (space.pivots.tolist(), space.numerators.ravel().tolist(), space.denominator) == ([0, 1], [2, 3], 1)
            True
        """
        free = np.zeros(D.shape[1], dtype=bool)
        free[[k for _, k in lone_entries(D)]] = True
        pivots, parts = [np.flatnonzero(free)], []
        for rows, columns in _components(np.where(free, 0, D)):
            part = _echelon(D[np.ix_(rows, columns)])
            pivots.append(columns[part[0]])
            parts.append((columns, *part))
        chosen = np.sort(np.concatenate(pivots))
        others = np.setdiff1d(np.arange(D.shape[1]), chosen)
        common = lcm(*(denominator for *_, denominator in parts))
        numerators = np.zeros((len(chosen), len(others)), dtype=object)
        for columns, own, rows, denominator in parts:
            rest = np.setdiff1d(columns, columns[own])
            at = np.ix_(np.searchsorted(chosen, columns[own]), np.searchsorted(others, rest))
            numerators[at] = rows[:, np.isin(columns, rest)].astype(object) * (common // denominator)
        return cls(chosen, others, narrow(numerators), common)

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


def lone_entries(D: np.ndarray, *, units: bool = False) -> list[tuple[int, int]]:
    """Rows and columns (e, k) such that row e of D has no entry but k, the columns of earlier pairs aside.

    The unit vectors of such columns are in the row space: where a condition is one perturbation, or one and others
    known so, nothing needs to be eliminated. With `units` entries must be 1 or −1.

    Example:
        >>> lone_entries(np.array([[1, 1, 0], [0, 1, 0], [0, 0, 0]]))
        [(1, 1), (0, 0)]
    """
    rows, columns = np.nonzero(D)
    left, remaining = np.bincount(rows, minlength=len(D)), np.bincount(rows, weights=columns, minlength=len(D))
    order = np.argsort(columns, kind="stable")
    holders = np.split(rows[order], np.searchsorted(columns[order], np.arange(1, D.shape[1])))
    pairs, done, ready = [], set[int](), np.flatnonzero(left == 1).tolist()
    while ready:
        row = ready.pop()
        k = int(remaining[row])
        if left[row] == 1 and k not in done and not (units and abs(D[row, k]) != 1):
            pairs.append((row, k))
            done.add(k)
            held = holders[k]
            left[held] -= 1
            remaining[held] -= k
            ready.extend(held[left[held] == 1].tolist())
    return pairs


def _components(D: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows and columns of D that have entries in common, set by set."""
    rows, columns = np.nonzero(D)
    n = sum(D.shape)
    links = sparse.csr_array((np.ones(len(rows), dtype=bool), (rows, columns + len(D))), shape=(n, n))
    part = connected_components(links, directed=False)[1] if len(rows) else np.zeros(0, dtype=int)
    order = np.argsort(part, kind="stable")
    for nodes in np.split(order, np.flatnonzero(np.diff(part[order])) + 1):
        if len(nodes) > 1:
            yield nodes[nodes < len(D)], nodes[nodes >= len(D)] - len(D)


def _echelon(D: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The reduced row echelon form, which is the identity if columns are independent."""
    if len(D) >= D.shape[1] and rank(D) == D.shape[1]:
        return np.arange(D.shape[1]), np.eye(D.shape[1], dtype=np.int64), 1
    return row_echelon(D)


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
