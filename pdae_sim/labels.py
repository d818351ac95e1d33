"""The label space: condition strings such as ``A:0.5+B`` to vectors of doses and back, exactly.

A label is a vector l (K,) of doses in the order of the names. Control is the zero vector and nothing else: the doses
(1, −1) sum to zero and are not control. A part without a dose has dose 1. A name that holds a separator stands in
double quotes, in which ``""`` is a quote: ``"CD3+CD28":0.5+B``. Where names tell of contexts (``A@K562``, ``@K562``) a
condition ends in one, ``A:0.5+B@K562``, and control is that of the reference context, ``ctrl@HepG2``.
"""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import SupportsFloat

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import listed, matrix, near_misses
from pdae_sim._contexts import AT, ContextNames, context_names
from pdae_sim.errors import LabelError

_DECIMALS, _DECIMAL_BELOW = 10, 10**15
"""Fractions are written as decimals of fewer places, below this size: 25 digits, within those that Decimal keeps."""

_EXPONENT = re.compile(r"[eE][+-]?[0_]*([0-9_]*)\s*$")
_SIGNS = "+|;&,~_/:- "
"""Signs that tools join the parts of combinations by."""
_UNITED = re.compile(r"([-+]?\d*\.?\d+) ?[^\W\d_][^\d_]*")
"""A number with a unit."""
_LONGEST_DOSE, _EXPONENT_DIGITS = 1000, 3
"""Letters of a dose, and digits of its exponent: more are no number of a float, and take long to be multiplied out."""


@checked_numbers
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
    labels = matrix("labels", labels)
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
        LabelError: If a name is empty, repeated or equal to `control`, or the separators cannot be told apart.

    Example:
        >>> space = LabelSpace(("A", "B", "MYC:2"))
        >>> space.vector("A:0.5+B").tolist() == [0.5, 1.0, 0.0]
        True
        >>> space.condition([0.5, 1.0, 3.0]) == 'A:0.5+B+"MYC:2":3'
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

    @checked_numbers
    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(str(name) for name in self.names))
        self._check_separators()
        for name in self.names:
            self._check_name(name)
        if len(self._position) < len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise LabelError(f"perturbation names must differ; repeated: {listed(twice)}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def separators(self) -> dict[str, str]:
        """The settings beside names and control."""
        return {"separator": self.separator, "dose_separator": self.dose_separator}

    @cached_property
    def _contexts(self) -> ContextNames | None:
        return context_names(self.names, self.control)

    @cached_property
    def _within(self) -> LabelSpace:
        """The space of perturbations in a context."""
        assert self._contexts is not None
        return replace(self, names=self._contexts.perturbations, control=self._contexts.plain_control)

    @cached_property
    def _position(self) -> dict[str, int]:
        return {name: k for k, name in enumerate(self.names)}

    @classmethod
    def from_conditions(cls, conditions: Iterable[str], **grammar: str) -> LabelSpace:
        """The smallest space that reads all `conditions`, names in alphabetical order.

        Raises:
            LabelError: If a condition is malformed, or a separator would cut it inside brackets.
        """
        empty, names = cls((), **grammar), set()
        for condition in set(conditions):
            parts = empty.parts(condition)
            empty._check_brackets(condition, [name for name, _ in parts])
            names |= {name for name, dose in parts if empty._read_dose(name, dose, condition) is not None}
        return cls(tuple(sorted(names - {empty.control})), **grammar)

    def parts(self, condition: str) -> list[tuple[str, str | None]]:
        """The parts of a condition from left to right, control among them: names, and doses as they are written.

        Example:
            >>> LabelSpace(()).parts('A:1/3+ctrl+"CD3+CD28"')
            [('A', '1/3'), ('ctrl', None), ('CD3+CD28', None)]
        """
        if not isinstance(condition, str) or not condition.strip():
            raise LabelError(f"a condition must be a non-empty string; received {condition!r}")
        return [(self.control, None)] if condition.strip() == self.control else list(self._parts(condition))

    @checked_numbers
    def vector(self, condition: str) -> np.ndarray:
        """The label (K,) of a condition, as float64."""
        label, doses = np.zeros(len(self.names)), self._doses(condition)
        label[[self._position[name] for name in doses]] = [float(dose) for dose in doses.values()]
        return label

    def exact(self, condition: str) -> np.ndarray:
        """The label (K,) of a condition as an object array of Fractions: ``A:0.1`` is 1/10 exactly."""
        label, doses = np.full(len(self.names), Fraction(0), dtype=object), self._doses(condition)
        for name, dose in doses.items():
            label[self._position[name]] = dose
        return label

    def _doses(self, condition: str) -> dict[str, Fraction]:
        """The doses of the parts of a condition; a known name needs no quotes where its pieces are unknown."""
        if self._contexts is not None:
            body, context = self._contexts.split(condition)
            return self._contexts.expanded(self._within._doses(body), context, Fraction(1))
        doses: dict[str, Fraction] = {}
        for name, dose in [(condition.strip(), None)] if self._is_name(condition) else self.parts(condition):
            if name == self.control:
                continue
            if name not in self._position:
                hint = self._other_joint(name) or near_misses(name, self.names)
                raise LabelError(f"unknown perturbation {name!r} in condition {condition!r}; {hint}")
            if name in doses:
                raise LabelError(
                    f"perturbation {name!r} appears twice in condition {condition!r}; give it once, with a dose"
                )
            doses[name] = self._read_dose(name, dose, condition)
        return doses

    def _other_joint(self, text: str) -> str:
        """How a combination is written here, if a text joins known names by another sign; empty if it does not."""
        for sign in _SIGNS:
            names = [part.strip() for part in text.split(sign)]
            if len(names) > 1 and all(name in self._position for name in names):
                return f"parts are joined by {self.separator!r} here, {self.separator.join(names)!r}"
        return ""

    def _is_name(self, condition: str) -> bool:
        if not isinstance(condition, str) or condition.strip() not in self._position:
            return False
        try:
            return not all(name in self._position or name == self.control for name, _ in self.parts(condition))
        except LabelError:
            return True

    @checked_numbers
    def condition(self, label: Sequence | np.ndarray) -> str:
        """The canonical condition string of a label: names in order, dose 1 unwritten, zero label = control."""
        label = self._checked(label)
        if self._contexts is not None:
            read = self._contexts.collapsed({self.names[k]: label[k] for k in np.flatnonzero(label)})
            if read is not None:
                doses, context = read
                return self._within.condition([doses.get(name, 0) for name in self._within.names]) + AT + context
        parts = [self._part(self.names[k], label[k]) for k in np.flatnonzero(label)]
        return self.separator.join(parts) or self.control

    @checked_numbers
    def label(self, condition_or_label: str | Sequence | np.ndarray) -> np.ndarray:
        """A label (K,) as float64, from a condition string or from a vector."""
        if isinstance(condition_or_label, str):
            return self.vector(condition_or_label)
        return np.array([float(dose) for dose in self._checked(condition_or_label)], dtype=np.float64)

    def _check_separators(self) -> None:
        one, other = self.separator, self.dose_separator
        if not one or not other or one in other or other in one or '"' in one + other:
            raise LabelError(
                f"separator={one!r} and dose_separator={other!r} must be given, differ, and hold neither each other "
                "nor a double quote"
            )

    def _check_name(self, name: str) -> None:
        if not name or name != name.strip() or name == self.control or not name.isprintable():
            raise LabelError(
                f"a perturbation name must be printable, unpadded, given and not {self.control!r}; received {name!r}"
            )

    def _check_brackets(self, condition: str, names: Sequence[str]) -> None:
        """Raise a LabelError if a condition is cut inside brackets."""
        torn = [name for name in names if any(name.count(a) != name.count(b) for a, b in ("()", "[]", "{}"))]
        if torn and names != [condition.strip()]:
            advice = self._otherwise("separator" if len(names) > 1 else "dose_separator", condition)
            cut = " and ".join(map(repr, names))
            raise LabelError(f"condition {condition!r} is cut inside brackets, into {cut}; {advice}")

    def _otherwise(self, separator: str, name: str) -> str:
        """What to do where a separator belongs to a name."""
        text = self.separators[separator]
        return f"if {text!r} belongs to the name, give another {separator}= or write it as {_quoted(name.strip())}"

    def _parts(self, condition: str) -> Iterator[tuple[str, str | None]]:
        """Names and written doses from left to right, control among them."""
        rest, more = condition, True
        while more:
            name, rest = self._read_name(rest.strip(), condition)
            tail, joined, rest = rest.partition(self.separator)
            more, (before, dosed, dose) = bool(joined), tail.partition(self.dose_separator)
            if before.strip():
                raise LabelError(f"condition {condition!r} goes on with {before.strip()!r} after a closing quote")
            if not name and not dosed:
                advice = self._otherwise("separator", condition)
                raise LabelError(f"condition {condition!r} has an empty part around {self.separator!r}; {advice}")
            if dosed and name in ("", self.control):
                part = f"{name}{tail.strip()}"
                raise LabelError(f"part {part!r} of condition {condition!r} has a dose but no perturbation")
            yield name, dose.strip() if dosed else None

    def _read_name(self, text: str, condition: str) -> tuple[str, str]:
        """The name at the beginning of a text, and the text after it."""
        if text.startswith('"'):
            quoted = re.match(r'"((?:[^"]|"")*)"(?!")', text)
            if not quoted:
                raise LabelError(f"condition {condition!r} opens a double quote that nothing closes; write it twice")
            return quoted[1].replace('""', '"'), text[quoted.end() :]
        if self.control and text.startswith(self.control) and self._ends.match(text, len(self.control)):
            return self.control, text[len(self.control) :]
        end = self._cuts.search(text)
        return (text, "") if end is None else (text[: end.start()].strip(), text[end.start() :])

    @cached_property
    def _cuts(self) -> re.Pattern[str]:
        return re.compile(f"{re.escape(self.separator)}|{re.escape(self.dose_separator)}")

    @cached_property
    def _ends(self) -> re.Pattern[str]:
        return re.compile(rf"\s*({self._cuts.pattern}|$)")

    def _read_dose(self, name: str, dose: str | None, condition: str) -> Fraction:
        if dose is None:
            return Fraction(1)
        part = f"{name}{self.dose_separator}{dose}"
        try:
            return read_dose(dose, where=f"{part!r} of condition {condition!r}")
        except LabelError as error:
            raise LabelError(f"{error}; {self._otherwise('dose_separator', part)}") from None

    def _checked(self, label: Sequence | np.ndarray) -> np.ndarray:
        values = np.asarray(label, dtype=object).ravel()
        if len(values) != len(self.names) or np.ndim(label) != 1:
            shape = np.shape(label)
            raise LabelError(f"a label must have shape ({len(self.names)},) for {listed(self.names)}; received {shape}")
        if np.ndarray is type(label) and label.dtype.kind in "fiu" and np.isfinite(label).all():
            return values
        for name, dose in zip(self.names, values, strict=True):
            if not _representable(dose):
                raise LabelError(f"the dose of {name!r} must be a finite number; received {dose!r}")
        return values

    def _part(self, name: str, dose: SupportsFloat) -> str:
        text = _write_dose(dose)
        if isinstance(dose, Fraction) and (self.separator in text or self.dose_separator in text):
            text = str(dose)
        if self.separator in text or self.dose_separator in text:
            raise LabelError(f"dose {text} of {name!r} holds a separator of the label space; choose other separators")
        bare = (
            self._contexts is None and name[0] != '"' and self.separator not in name and self.dose_separator not in name
        )
        name = name if bare else _quoted(name)
        return name if dose == 1 else f"{name}{self.dose_separator}{text}"


@checked_numbers
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
    exponent = _EXPONENT.search(text)
    if len(text) > _LONGEST_DOSE or (exponent and len(exponent[1]) > _EXPONENT_DIGITS):  # before its digits are written
        raise LabelError(f"dose {text[:40]!r} in {where} is beyond the range of floats; change its unit")
    try:
        dose = Fraction(text)
    except (ValueError, ZeroDivisionError):
        united = _UNITED.fullmatch(text)
        fix = "a finite number such as 0.5" if united is None else f"{united[1]} and all doses in one unit, unwritten"
        raise LabelError(f"malformed dose {text!r} in {where}; write {fix}") from None
    if not _representable(dose):
        raise LabelError(f"dose {text!r} in {where} is beyond the range of floats; change its unit")
    return dose


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


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
    """A short text that reads back as exactly this dose: decimal where that is finite, else a ratio."""
    if isinstance(dose, Fraction):
        tens = next((10**k for k in range(_DECIMALS) if 10**k % dose.denominator == 0), 0)
        return f"{Decimal(int(dose * tens)) / tens:f}" if tens and abs(dose) < _DECIMAL_BELOW else str(dose)
    if isinstance(dose, numbers.Integral):
        return str(dose)
    text = str(dose) if isinstance(dose, Decimal) else repr(float(dose))
    return text.removesuffix(".0").replace("E", "e").replace("e+", "e")
