"""The label space: condition strings such as ``A:0.5+B`` to vectors of doses and back, exactly.

A label is a vector l (K,) of doses in the order of the names. Control is the zero vector and nothing else: the doses
(1, −1) sum to zero and are not control. A part without a dose has dose 1.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import SupportsFloat

import numpy as np

from pdae_sim._checks import near_misses
from pdae_sim.errors import LabelError


def nearest_to_control(labels: np.ndarray) -> np.ndarray:
    """The label nearest to no perturbation: control itself, where there is one.

    Args:
        labels: (E, K) doses.

    Returns:
        The row (K,) of least sum of absolute doses.

    Example:
        >>> nearest_to_control(np.array([[1, 1], [0, 0.5]])).tolist() == [0, 0.5]
        True
    """
    return labels[np.abs(labels).sum(axis=1).argmin()]


Condition = str | Sequence | np.ndarray
"""A condition string such as ``A:0.5+B``, or a label (K,)."""


@dataclass(frozen=True)
class LabelSpace:
    """Elementary perturbation names and the grammar that combines them.

    Args:
        names: The K elementary perturbations, in the order of the label vector.
        control: The name of the zero label.
        separator: Joins the parts of a combination.
        dose_separator: Joins a part and its dose.

    Raises:
        LabelError: If a name is empty, repeated, equal to `control`, or contains a separator.

    Example:
        >>> space = LabelSpace(("A", "B"))
        >>> space.vector("A:0.5+B").tolist() == [0.5, 1.0]
        True
        >>> space.condition([0.5, 1.0]) == "A:0.5+B"
        True
    """

    names: tuple[str, ...]
    control: str = "ctrl"
    separator: str = "+"
    dose_separator: str = ":"

    @classmethod
    def lettered(cls, n_perturbations: int) -> LabelSpace:
        """The space of A, B, C, … for up to 26 perturbations, else of P0, P1, …"""
        letters = n_perturbations <= 26
        return cls(tuple(chr(ord("A") + k) if letters else f"P{k}" for k in range(n_perturbations)))

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        for name in self.names:
            self._check_name(name)
        if len(set(self.names)) < len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise LabelError(f"perturbation names must differ; repeated: {', '.join(twice)}")

    def __len__(self) -> int:
        return len(self.names)

    @classmethod
    def from_conditions(cls, conditions: Iterable[str], **grammar: str) -> LabelSpace:
        """The smallest space that reads all `conditions`, names in alphabetical order."""
        empty = cls((), **grammar)
        parts = (part for condition in set(conditions) for part in empty._split(condition))
        return cls(tuple(sorted({name for name, _ in parts})), **grammar)

    def vector(self, condition: str) -> np.ndarray:
        """The label (K,) of a condition, as float64."""
        label, doses = np.zeros(len(self.names)), self._doses(condition)
        label[[self.names.index(name) for name in doses]] = [float(dose) for dose in doses.values()]
        return label

    def exact(self, condition: str) -> np.ndarray:
        """The label (K,) of a condition as an object array of Fractions: ``A:0.1`` is 1/10 exactly."""
        doses = self._doses(condition)
        return np.array([doses.get(name, Fraction(0)) for name in self.names] or [], dtype=object)

    def _doses(self, condition: str) -> dict[str, Fraction]:
        """The doses of the parts of a condition."""
        doses: dict[str, Fraction] = {}
        for name, dose in self._split(condition):
            if name not in self.names:
                hint = near_misses(name, self.names)
                raise LabelError(f"unknown perturbation {name!r} in condition {condition!r}; {hint}")
            if name in doses:
                raise LabelError(
                    f"perturbation {name!r} appears twice in condition {condition!r}; give it once, with a dose"
                )
            doses[name] = dose
        return doses

    def condition(self, label: Sequence | np.ndarray) -> str:
        """The canonical condition string of a label: names in order, dose 1 unwritten, zero label = control."""
        label = self._checked(label)
        parts = [self._part(self.names[k], label[k]) for k in np.flatnonzero(label)]
        return self.separator.join(parts) or self.control

    def label(self, condition_or_label: str | Sequence | np.ndarray) -> np.ndarray:
        """A label (K,) as float64, from a condition string or from a vector."""
        if isinstance(condition_or_label, str):
            return self.vector(condition_or_label)
        return np.array([float(dose) for dose in self._checked(condition_or_label)], dtype=np.float64)

    def _check_name(self, name: str) -> None:
        if not name or name != name.strip() or name == self.control or not name.isprintable():
            raise LabelError(
                f"a perturbation name must be printable, unpadded, given and not {self.control!r}; received {name!r}"
            )
        if self.separator in name or self.dose_separator in name:
            hint = f"must not contain {self.separator!r} or {self.dose_separator!r}; rename it or change the separators"
            raise LabelError(f"perturbation name {name!r} {hint}")

    def _split(self, condition: str) -> list[tuple[str, Fraction]]:
        if not isinstance(condition, str) or not condition.strip():
            raise LabelError(f"a condition must be a non-empty string; received {condition!r}")
        parts = [part.strip() for part in condition.split(self.separator)]
        if not all(parts):
            raise LabelError(f"condition {condition!r} has an empty part around {self.separator!r}")
        return [self._read_part(part, condition) for part in parts if part != self.control]

    def _read_part(self, part: str, condition: str) -> tuple[str, Fraction]:
        name, colon, dose = part.partition(self.dose_separator)
        name = name.strip()
        if name == self.control or not name:
            raise LabelError(f"part {part!r} of condition {condition!r} has a dose but no perturbation")
        return name, read_dose(dose, where=f"{part!r} of condition {condition!r}") if colon else Fraction(1)

    def _checked(self, label: Sequence | np.ndarray) -> np.ndarray:
        values = np.asarray(label, dtype=object).ravel()
        if len(values) != len(self.names) or np.ndim(label) != 1:
            shape = np.shape(label)
            raise LabelError(
                f"a label must have shape ({len(self.names)},) for {', '.join(self.names)}; received {shape}"
            )
        if np.ndarray is type(label) and label.dtype.kind in "fiu" and np.isfinite(label).all():
            return values
        for name, dose in zip(self.names, values, strict=True):
            if not _representable(dose):
                raise LabelError(f"the dose of {name!r} must be a finite number; received {dose!r}")
        return values

    def _part(self, name: str, dose: SupportsFloat) -> str:
        text = _write_dose(dose)
        if self.separator in text or self.dose_separator in text:
            raise LabelError(f"dose {text} of {name!r} holds a separator of the label space; choose other separators")
        return name if dose == 1 else f"{name}{self.dose_separator}{text}"


def read_dose(text: str, *, where: str) -> Fraction:
    """A dose from text, exactly.

    Args:
        text: Decimal, scientific or a ratio: ``0.5``, ``1e-3``, ``1/3``.
        where: What the text is part of, for the message.

    Raises:
        LabelError: If the text is no finite number that a float can hold.

    Example:
        >>> read_dose("0.1", where="the table") == Fraction(1, 10)
        True
    """
    text = text.strip()
    try:
        dose = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise LabelError(f"malformed dose {text!r} in {where}; write a finite number such as 0.5") from None
    if not _representable(dose):
        raise LabelError(f"dose {text!r} in {where} is beyond the range of floats; change its unit")
    return dose


def _representable(dose: object) -> bool:
    """Whether a dose is a finite number that a float holds without overflow or underflow to zero."""
    if not isinstance(dose, (numbers.Real, Decimal)):
        return False
    try:
        value = float(dose)
    except (OverflowError, ValueError):
        return False
    return math.isfinite(value) and (value != 0 or dose == 0)


def _write_dose(dose: SupportsFloat) -> str:
    """The shortest text that reads back as exactly this dose."""
    if isinstance(dose, (Fraction, numbers.Integral)):
        return str(dose)
    text = str(dose) if isinstance(dose, Decimal) else repr(float(dose))
    return text.removesuffix(".0").replace("E", "e").replace("e+", "e")
