"""Exact arithmetic: numbers as the fractions they stand for.

A float counts as the binary fraction that it is, so 0.1 is not 1/10; give `Fraction`, `Decimal` or integers where the
difference matters.
"""

import numbers
from collections.abc import Sequence
from decimal import Decimal
from typing import TypeAlias

import numpy as np
from sympy import Expr, ImmutableMatrix, Rational
from sympy.matrices import MatrixBase

Number: TypeAlias = int | float | Decimal | numbers.Real | Rational
Row: TypeAlias = Sequence[Number] | np.ndarray
Table: TypeAlias = Sequence[Sequence[Number | Expr]] | np.ndarray | MatrixBase


def rational(value: Number) -> Rational:
    """A real number as the exact fraction it stands for.

    Raises:
        ValueError: if it is not a finite real number.
    """
    if isinstance(value, Rational):
        return value
    if isinstance(value, numbers.Rational):
        return Rational(value.numerator, value.denominator)
    if not isinstance(value, Decimal | numbers.Real):
        raise ValueError(f"expected a real number, received {value!r}")
    try:
        return Rational(*(value if isinstance(value, Decimal) else float(value)).as_integer_ratio())
    except (OverflowError, ValueError):
        raise ValueError(f"expected a finite number, received {value!r}") from None


def exact(rows: Table) -> ImmutableMatrix:
    """A matrix with exact entries: numbers become rationals, symbolic expressions stay."""
    listed = rows.tolist() if hasattr(rows, "tolist") else rows
    return ImmutableMatrix([[entry if isinstance(entry, Expr) else rational(entry) for entry in row] for row in listed])
