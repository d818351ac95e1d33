"""Small exact and floating-point linear algebra that several rooms share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import isqrt, lcm

import numpy as np

Rational = Sequence[Sequence[Fraction]]


def whitening_root(covariance: np.ndarray) -> np.ndarray:
    """R (d, d) with R Σ Rᵀ = I: the inverse of Σ's lower Cholesky factor."""
    from scipy import linalg  # loaded on first use: records, worlds and labels need numpy alone

    factor = linalg.cholesky(covariance, lower=True)
    return linalg.solve_triangular(factor, np.eye(len(factor)), lower=True)


def integer_rows(rows: Rational) -> list[list[int]]:
    """Each row times its common denominator; spans of *columns* are kept only under `echelon`'s row operations."""
    scaled = []
    for row in rows:
        scale = lcm(*(value.denominator for value in row)) if row else 1
        scaled.append([value.numerator * (scale // value.denominator) for value in row])
    return scaled


def echelon(rows: Rational, n_pivot_columns: int) -> tuple[list[list[Fraction]], list[int]]:
    """Reduced row echelon form over the rationals, with pivots sought in the first columns only.

    Fraction-free (Bareiss) elimination on integers: every division below is exact.

    Args:
        rows: An (m, n) table of Fractions.
        n_pivot_columns: Pivots are sought in columns 0 … n_pivot_columns − 1.

    Returns:
        The reduced rows (pivot entries are 1) and the list of pivot columns.
    """
    table, pivots, previous = integer_rows(rows), [], 1
    for column in range(n_pivot_columns):
        top = len(pivots)
        found = next((i for i in range(top, len(table)) if table[i][column]), None)
        if found is None:
            continue
        table[top], table[found] = table[found], table[top]
        _eliminate(table, top, column, previous)
        previous = table[top][column]
        pivots.append(column)
    leading = [Fraction(1, table[i][column]) for i, column in enumerate(pivots)]
    reduced = [[value * scale for value in row] for row, scale in zip(table, leading, strict=False)]
    return reduced + [[Fraction(v) for v in row] for row in table[len(pivots) :]], pivots


def _eliminate(table: list[list[int]], top: int, column: int, previous: int) -> None:
    pivot_row, pivot = table[top], table[top][column]
    for i, row in enumerate(table):
        if i != top:
            factor = row[column]
            table[i] = [(pivot * a - factor * b) // previous for a, b in zip(row, pivot_row, strict=True)]


_EXACT = 53
"""Bits of an integer that a float64 holds exactly: a matrix product below 2⁵³ is exact on the floating-point unit."""

_WIDE = 62
"""Bits of an integer that an int64 holds, its sign and one addition besides."""

_LARGEST_PRIME = 2**22
"""Products of two residues sum up exactly over 2⁹ terms; longer sums are split by `integer_product`."""


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


def primes() -> Iterator[int]:
    """Primes downwards from 2²²."""
    for n in range(_LARGEST_PRIME - 1, 2, -2):
        if all(n % k for k in range(3, int(n**0.5) + 1, 2)):
            yield n


def residues(table: np.ndarray, p: int) -> np.ndarray:
    """An integer table modulo p, as int64."""
    return (table % p).astype(np.int64)


def pivots_modulo(table: np.ndarray, p: int) -> np.ndarray:
    """The leftmost independent columns of an integer table (m, n) modulo a prime: no more than over the rationals."""
    T, pivots = residues(table, p), []
    for column in range(T.shape[1]):
        top = len(pivots)
        found = top + np.flatnonzero(T[top:, column])
        if not found.size:
            continue
        T[[top, found[0]]] = T[[found[0], top]]
        T[top, column:] = T[top, column:] * pow(int(T[top, column]), -1, p) % p
        below = found[1:] if found[0] == top else found[found > found[0]]
        T[below, column:] = (T[below, column:] - T[below, column, None] * T[top, column:]) % p
        pivots.append(column)
    return np.array(pivots, dtype=int)


def inverse_modulo(table: np.ndarray, p: int) -> np.ndarray | None:
    """The inverse of a square integer table modulo a prime, None where it is singular there."""
    n = len(table)
    T = np.hstack([residues(table, p), np.eye(n, dtype=np.int64)])
    for column in range(n):
        found = column + np.flatnonzero(T[column:, column])
        if not found.size:
            return None
        T[[column, found[0]]] = T[[found[0], column]]
        T[column, column:] = T[column, column:] * pow(int(T[column, column]), -1, p) % p
        others = np.flatnonzero(T[:, column])
        others = others[others != column]
        T[others, column:] = (T[others, column:] - T[others, column, None] * T[column, column:]) % p
    return T[:, n:]


def solve_rational(square: np.ndarray, wanted: np.ndarray, p: int) -> tuple[np.ndarray, int] | None:
    """Integers N (r, c) and d > 0 with A N = d B: the exact solution of A X = B, X = N / d.

    One inverse modulo p, then one p-adic digit of X per step; N and d are read off as soon as they can be, and
    A N = d B is checked by exact multiplication before they are returned.

    Args:
        square: A (r, r) integers.
        wanted: B (r, c) integers.
        p: A prime.

    Returns:
        N and d, or None where A is singular modulo p.

    References:
        Dixon (1982), Exact solution of linear equations using p-adic expansions, Numer. Math. 40; Wang (1981), A p-adic
        algorithm for univariate partial fractions, SYMSAC.

    Example:
        >>> N, d = solve_rational(np.array([[2, 1], [1, 3]]), np.array([[1], [0]]), 101)
        >>> (N.ravel().tolist(), d) == ([3, -1], 5)
        True
    """
    inverse = inverse_modulo(square, p)
    if inverse is None:
        return None
    digits, residual, enough = [], wanted, 2.0
    while True:
        digits.append(residues(integer_product(inverse, residues(residual, p)), p))
        residual = minus(residual, integer_product(square, digits[-1])) // p
        if len(digits) < enough:
            continue
        enough *= 1.5
        found = _common_fraction(digits, p)
        if found and not minus(integer_product(square, found[0]), times(wanted, np.array(found[1]))).any():
            return found


def _common_fraction(digits: list[np.ndarray], p: int) -> tuple[np.ndarray, int] | None:
    """N and d with N = d Σ_i digit_i p^i modulo p^len(digits), all of at most half its bits; None where there are none.

    A few entries are tried before all of them.
    """
    modulus = p ** len(digits)
    limit, few = isqrt(modulus // 2), (slice(None, None, max(digits[0].size // 64, 1)),)
    d = _denominator(_joined([digit.ravel()[few] for digit in digits], p), modulus, limit, 1)
    x = None if d is None else _joined(digits, p)
    d = None if x is None else _denominator(x.ravel(), modulus, limit, d)
    return None if d is None else (narrow(_centred(x * d, modulus)), d)


def _joined(digits: list[np.ndarray], base: int) -> np.ndarray:
    """Σ_i digit_i base^i, neighbours first."""
    while len(digits) > 1:
        pairs = zip(digits[::2], [*digits[1::2], np.zeros_like(digits[0])], strict=False)
        digits, base = [low + times(high, np.array(base)) for low, high in pairs], base * base
        digits = [narrow(digit) for digit in digits] if base.bit_length() > _WIDE else digits
    return digits[0].astype(object)


def _denominator(x: np.ndarray, modulus: int, limit: int, d: int) -> int | None:
    while True:
        beyond = np.flatnonzero(np.abs(_centred(x * d, modulus)) > limit)
        if not beyond.size:
            return d
        d *= _least_denominator(int(x[beyond[0]]) * d % modulus, modulus, limit)
        if d > limit:
            return None


def _least_denominator(value: int, modulus: int, limit: int) -> int:
    """The denominator of the fraction that `value` is modulo `modulus`, by Euclid's algorithm stopped half-way."""
    r, s, u, v = modulus, value, 0, 1
    while s > limit:
        q = r // s
        r, s, u, v = s, r - q * s, v, u - q * v
    return abs(v)


def _centred(x: np.ndarray, modulus: int) -> np.ndarray:
    return (x + modulus // 2) % modulus - modulus // 2
