"""Small exact and floating-point linear algebra that several rooms share; elimination over the integers is FLINT's."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from fractions import Fraction
from math import lcm

import numpy as np
from flint import fmpq_mat, fmpz_mat


def whitening_root(covariance: np.ndarray) -> np.ndarray:
    """R (d, d) with R Σ Rᵀ = I: the inverse of Σ's lower Cholesky factor."""
    from scipy import linalg  # loaded on first use: records, worlds and labels need numpy alone

    factor = linalg.cholesky(covariance, lower=True)
    return linalg.solve_triangular(factor, np.eye(len(factor)), lower=True)


def on_one_thread() -> AbstractContextManager[None]:
    """Matrix products take one thread in a block, so that their rounding does not depend on the number of threads."""
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[None] = threadpool_limits(1, user_api="blas")
    return limits


def in_row_span(rows: Sequence[Sequence[Fraction]], targets: Sequence[Sequence[Fraction]]) -> list[bool]:
    """Whether each target is a rational combination of the rows: whether every null vector of theirs annihilates it.

    Example:
        >>> half = Fraction(1, 2)
        >>> in_row_span([[half, 0, 1], [0, 1, 1]], [[1, 1, 3], [1, 1, 1]])
        [True, False]
    """
    if not targets:
        return []
    basis, nullity = _matrix(
        np.array(_integer_rows(rows), dtype=object).reshape(len(rows), len(targets[0]))
    ).nullspace()
    products = _table(_matrix(np.array(_integer_rows(targets), dtype=object)) * basis)
    return (~(products[:, :nullity] != 0).any(axis=1)).tolist()


def _integer_rows(rows: Sequence[Sequence[Fraction]]) -> list[list[int]]:
    """Each row times its common denominator, which keeps the span of the rows."""
    exact = [[Fraction(value) for value in row] for row in rows]
    scales = [lcm(*(value.denominator for value in row)) for row in exact]
    return [[int(value * scale) for value in row] for row, scale in zip(exact, scales, strict=True)]


def row_echelon(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The reduced row echelon form of an integer table (m, n) over the rationals, exactly.

    Returns:
        The pivot columns (r,), the r rows that are not zero times d, as integers, and d > 0, as small as it can be.

    Example:
        >>> pivots, rows, d = row_echelon(np.array([[2, 0, 4], [2, 2, 10]]))
        >>> (pivots.tolist(), rows.tolist(), d)
        ([0, 1], [[1, 0, 2], [0, 1, 3]], 1)
    """
    reduced, denominator, r = _matrix(table).rref()
    rows = _table(reduced)[:r]
    rows, d = _lowest_terms(rows, int(denominator))
    return (rows != 0).argmax(axis=1) if r else np.zeros(0, dtype=int), rows, d


def solve_exactly(square: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, int]:
    """Integers N (r, c) and d > 0 with A N = d B: the exact solution of A X = B, X = N / d.

    Args:
        square: A (r, r) integers, not singular.
        right: B (r, c) integers.

    Example:
        >>> N, d = solve_exactly(np.array([[2, 1], [1, 3]]), np.array([[1], [0]]))
        >>> (N.ravel().tolist(), d) == ([3, -1], 5)
        True
    """
    numerators, denominator = fmpq_mat(_matrix(square)).solve(fmpq_mat(_matrix(right))).numer_denom()
    return _lowest_terms(_table(numerators), int(denominator))


def rank(table: np.ndarray) -> int:
    """The rank of an integer table (m, n) over the rationals, exactly."""
    return _matrix(table).rank()


def _matrix(table: np.ndarray) -> fmpz_mat:
    return fmpz_mat(table.shape[0], table.shape[1], table.ravel().tolist())


def _table(matrix: fmpz_mat) -> np.ndarray:
    values = np.array([int(value) for value in matrix.entries()], dtype=object)
    return values.reshape(matrix.nrows(), matrix.ncols())


def _lowest_terms(numerators: np.ndarray, denominator: int) -> tuple[np.ndarray, int]:
    """Numerators and their common denominator without common divisors, the denominator positive."""
    divisor = int(np.gcd.reduce(numerators.ravel(), initial=denominator))
    divisor = -divisor if denominator < 0 else divisor
    return narrow(numerators // divisor), denominator // divisor


_EXACT = 53
"""Bits of an integer that a float64 holds exactly: a matrix product below 2⁵³ is exact on the floating-point unit."""

_WIDE = 62
"""Bits of an integer that an int64 holds, its sign and one addition besides."""


def bits(table: np.ndarray) -> int:
    """Bits of the largest magnitude in an integer table (int64 or object)."""
    return max(abs(int(table.max())), abs(int(table.min()))).bit_length() if table.size else 0


def narrow(table: np.ndarray) -> np.ndarray:
    """An integer table as int64 where every entry fits with room for one addition, else as Python integers."""
    return table.astype(np.int64 if bits(table) <= _WIDE else object)


def times(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The elementwise product of integer tables, broadcast, exact whatever its size."""
    if bits(left) + bits(right) <= _WIDE:
        return left.astype(np.int64) * right.astype(np.int64)
    return narrow(left.astype(object) * right.astype(object))


def minus(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The difference of integer tables that `narrow` made, exact whatever its size."""
    if object in (left.dtype, right.dtype) or max(bits(left), bits(right)) > _WIDE:
        left, right = left.astype(object), right.astype(object)
    return narrow(left - right)


def integer_product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left @ right for integer matrices of any size, exactly, by float64 products of limbs that cannot round.

    Args:
        left: (m, n) int64 or object.
        right: (n, c) int64 or object.

    Returns:
        (m, c), int64 where it fits, else Python integers.

    References:
        Dumas, Giorgi, Pernet (2008), Dense linear algebra over word-size prime fields, ACM TOMS 35(3).

    Example:
        >>> big = np.array([[10**30, 1]], dtype=object)
        >>> int(integer_product(big, big.T)[0, 0]) == 10**60 + 1
        True
    """
    room = _EXACT - left.shape[1].bit_length()
    widths = _limb_widths(bits(left), bits(right), room)
    wide = bits(left) + bits(right) + left.shape[1].bit_length() > _WIDE
    total = np.zeros((left.shape[0], right.shape[1]), dtype=object if wide else np.int64)
    rights = _limbs(right, widths[1])
    for i, a in enumerate(_limbs(left, widths[0])):
        for j, b in enumerate(rights):
            part = (a @ b).astype(np.int64)
            shift = widths[0] * i + widths[1] * j
            total += (part.astype(object) if wide else part) << shift if shift else part
    return narrow(total) if wide else total


def _limb_widths(a: int, b: int, room: int) -> tuple[int, int]:
    """Bits per limb of each factor: one limb for a factor that leaves the other at least half of the room."""
    a, b = max(a, 1), max(b, 1)
    if min(a, b) > room // 2:
        return room // 2, room // 2
    return (min(a, room - b), b) if b <= a else (a, min(b, room - a))


def _limbs(table: np.ndarray, width: int) -> list[np.ndarray]:
    """Float tables with table = Σ_i limb_i 2^{width·i}; all but the last are non-negative."""
    n_limbs, mask = -(-max(bits(table), 1) // width), (1 << width) - 1
    low = [(table >> (width * i) & mask).astype(np.float64) for i in range(n_limbs - 1)]
    return [*low, (table >> (width * (n_limbs - 1))).astype(np.float64)]


def residues(table: np.ndarray, p: int) -> np.ndarray:
    """An integer table modulo p, as int64."""
    return (table % p).astype(np.int64)
