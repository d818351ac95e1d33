"""The kinds of number that a dose may be."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

from pdae_sim._checks import choice

_SHORT_UNITS = (1, 2, 4, 5, 10, 100)  # denominators whose quotients are short decimals
UNITS = {"int": (1,), "fraction": (1, 2, 3, 7, 10), "decimal": _SHORT_UNITS, "float": _SHORT_UNITS}
_QUOTIENT: dict[str, Callable[[int, int], Any]] = {
    "int": lambda n, unit: n // unit,
    "fraction": Fraction,
    "decimal": lambda n, unit: Decimal(n) / unit,
    "float": lambda n, unit: n / unit,
}
NUMBER_KINDS = tuple(UNITS)
"""The kinds of number a dose may be: ``int``, ``fraction``, ``decimal`` and ``float`` (short decimals such as 0.1)."""


def quotient(kind: str) -> Callable[[int, int], Any]:
    """n, unit ↦ n / unit as a number of one kind."""
    return _QUOTIENT[choice("kind", kind, NUMBER_KINDS)]
