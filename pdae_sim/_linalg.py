"""Small exact and floating-point linear algebra that several rooms share."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

import numpy as np
from scipy import linalg

Rational = Sequence[Sequence[Fraction]]


def whitening_root(covariance: np.ndarray) -> np.ndarray:
    """R (d, d) with R Σ Rᵀ = I: the inverse of Σ's lower Cholesky factor."""
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
