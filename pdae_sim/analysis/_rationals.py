"""Labels read as the exact numbers that were meant, and as integers: where 0.1 becomes 1/10."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np

from pdae_sim._linalg import minus, narrow, times
from pdae_sim.errors import InputError

_DECIMAL_DIGITS = 12  # a float whose shortest text has at most this many significant digits is read as that decimal
_COMMON_BITS = 40  # a common denominator above this is taken row by row


@dataclass(frozen=True, eq=False)
class Shifts:
    """Shifts from the reference as integers, perturbations in units that make them small.

    Row e of `train` is s (Δ_e / units), with one s for all; row t of `test` is s_t (Δ_t / units).

    Args:
        train: (n_train, K) integers.
        test: (n_test, K) integers.
        ratios: (n_test,) Python integers s_t / s, so that Δ_t = Σ α_e Δ_e if and only if test = ratio Σ α_e train.
        scales: (n_test,) Python integers s_t.
        units: (K,) Python integers.
    """

    train: np.ndarray
    test: np.ndarray
    ratios: np.ndarray
    scales: np.ndarray
    units: np.ndarray


def table(name: str, labels: Sequence | np.ndarray) -> np.ndarray:
    """Labels (n, K) as an array of integers, of floats or, where they hold anything else, of objects.

    Raises:
        InputError: If rows differ in length or a value is not a finite number.
    """
    labels = labels.toarray() if hasattr(labels, "toarray") else labels
    n = len(labels)
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iufb":
        rows = labels.reshape(n, -1) if n else labels.reshape(0, 0)
    else:
        rows = _objects(name, labels, n)
    if name == "train_labels" and not n:
        raise InputError("train_labels must have at least one row")
    if rows.dtype.kind == "f" and not np.isfinite(rows).all():
        raise _not_finite(name, rows, np.argwhere(~np.isfinite(rows))[0].tolist())
    return rows


def _objects(name: str, labels: Sequence | np.ndarray, n: int) -> np.ndarray:
    try:
        rows = np.asarray(labels, dtype=object).reshape(n, -1) if n else np.empty((0, 0), dtype=object)
    except ValueError:
        raise InputError(f"{name} must have rows of one length") from None
    if rows.shape[1:] == (1,) and any(isinstance(value, (list, tuple, np.ndarray)) for value in rows.ravel()):
        raise InputError(f"{name} must have rows of one length")
    kinds = {kind: issubclass(kind, (numbers.Real, Decimal, np.bool_)) for kind in set(map(type, rows.flat))}
    values = {id(value): value for value in rows.flat}  # zeros of a label are one object, as a rule
    bad = {at for at, v in values.items() if not kinds[type(v)] or (type(v) is not int and not math.isfinite(v))}
    if bad:
        index = next(index for index, value in enumerate(rows.flat) if id(value) in bad)
        raise _not_finite(name, rows, divmod(index, rows.shape[1]))
    return rows


def _not_finite(name: str, rows: np.ndarray, where: Sequence[int]) -> InputError:
    i, k = where
    return InputError(f"{name} must hold finite numbers; row {i}, column {k} is {rows[i, k]!r}")


def rational(value: Any) -> Fraction | None:
    """The exact value meant; None for a float that is not a short decimal."""
    if isinstance(value, (Fraction, Decimal)):
        return Fraction(value)
    if isinstance(value, (numbers.Integral, np.bool_)):
        return Fraction(int(value))
    text = str(value) if isinstance(value, np.floating) else repr(float(value))
    digits = text.split("e")[0].replace(".", "").lstrip("-").strip("0")
    return Fraction(text) if len(digits) <= _DECIMAL_DIGITS else None


def shifts(train: np.ndarray, test: np.ndarray, reference: int) -> Shifts | None:
    """The shifts of tables from a training row as integers; None if a value is a float that is no short decimal."""
    known, asked = _Fractions.of(train), _Fractions.of(test)
    if known is None or asked is None:
        return None
    common = known.common_denominator(1)
    scales = asked.denominators(common)
    origin = known.times(np.array([common], dtype=object))
    moved = minus(origin, origin[reference])
    aimed = minus(asked.times(scales), times(origin[reference][None], narrow(scales[:, None] // common)))
    return _in_small_units(moved, aimed, scales, common)


def _in_small_units(moved: np.ndarray, aimed: np.ndarray, scales: np.ndarray, common: int) -> Shifts:
    units = np.gcd.reduce(moved, axis=0).astype(object) if moved.size else np.zeros(moved.shape[1], dtype=object)
    units[units == 0] = 1
    moved = narrow(moved // narrow(units))
    if not (aimed % narrow(units)).any():
        return Shifts(moved, narrow(aimed // narrow(units)), scales // common, scales, units)
    least = math.lcm(*units)
    return Shifts(moved, times(aimed, narrow(least // units)), scales // common * least, scales * least, units)


@dataclass(frozen=True, eq=False)
class _Fractions:
    """A table as its distinct values, each once, and where they stand."""

    values: list[Fraction]
    where: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray) -> _Fractions | None:
        distinct, where = _distinct(labels)
        values: list[Fraction] = []
        for value in distinct:
            exact = rational(value)
            if exact is None:
                return None
            values.append(exact)
        return cls(values, where)

    def common_denominator(self, least: int) -> int:
        return math.lcm(least, *(value.denominator for value in self.values))

    def denominators(self, least: int) -> np.ndarray:
        """One per row: a multiple of `least` that clears its denominators; the same for all rows where it is small."""
        common, n = self.common_denominator(least), len(self.where)
        if common.bit_length() <= _COMMON_BITS + least.bit_length():
            return np.array([common] * n, dtype=object)
        own = [math.lcm(least, *{self.values[i].denominator for i in row}) for row in self.where]
        return np.array(own, dtype=object)

    def times(self, scales: np.ndarray) -> np.ndarray:
        """Row i of the table times scales[i] (or scales[0]), integers."""
        if len(set(scales.tolist())) <= 1:
            scale = scales[0] if len(scales) else 1
            whole = np.array([v.numerator * (scale // v.denominator) for v in self.values] or [0], dtype=object)
            return narrow(whole)[self.where]
        rows = [
            [self.values[i].numerator * (scale // self.values[i].denominator) for i in row]
            for scale, row in zip(scales, self.where, strict=True)
        ]
        return narrow(np.array(rows, dtype=object))


def _distinct(labels: np.ndarray) -> tuple[list, np.ndarray]:
    if labels.dtype.kind != "O":
        if labels.dtype == np.float64 and (labels == np.rint(labels)).all() and np.abs(labels).max(initial=0) < 2**53:
            labels = labels.astype(np.int64)
        if labels.dtype.kind in "iub" and labels.size and int(labels.max()) - int(labels.min()) < 2**16:
            low = int(labels.min())
            return list(range(low, int(labels.max()) + 1)), (labels.astype(np.int64) - low)
        values, where = np.unique(labels, return_inverse=True)
        return list(values), where.reshape(labels.shape)
    objects = {id(value): value for value in labels.flat}
    index: dict[tuple, int] = {}
    number = {at: index.setdefault((type(value), value), len(index)) for at, value in objects.items()}
    numbered = np.fromiter((number[id(value)] for value in labels.flat), dtype=int, count=labels.size)
    return [value for _, value in index], numbered.reshape(labels.shape)
