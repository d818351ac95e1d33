"""How a file writes its conditions: as text that separators cut, as lists of names, or as a matrix of doses."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import TypeGuard

import numpy as np

from pdae_sim.errors import LabelError
from pdae_sim.io._options import ReadOptions
from pdae_sim.labels import LabelSpace

_log = logging.getLogger(__name__)

_LARGEST = 1e6  # a greater number after the dose separator is a position or an identifier, unless one says otherwise
_FREE = {"separator": "|;&,~_/ ", "dose_separator": "@=~#|"}
"""Separators to propose."""

_WITH_UNIT = re.compile(r"(.*?\w)[\s_@~-]*?(\d+(?:\.\d+)?) ?(?:[munpµμ]?(?:M|mol|g|g/m[lL])|IU|Gy|%)")
"""A name that ends in a dose."""

_SHOWN = 2
"""Combinations of names that occur elsewhere too, for each that may be one name, which show what a sign means."""

_Parts = Mapping[str, list[tuple[str, str | None]]]


def space_of(conditions: Iterable[str], options: ReadOptions, uns: Mapping[str, object]) -> LabelSpace:
    """The label space of a file that does not say its perturbations.

    Where nobody named the separators, a cut that may go through a name is refused, unless twice as many combinations
    show that the sign separates names; doses that are read are told in one line. What is not refused is told.

    Raises:
        LabelError: If a condition is malformed, or may be one name.
    """
    texts = [str(text) for text in dict.fromkeys(conditions)]
    space = LabelSpace.from_conditions(texts, **options.grammar(uns))
    for text in texts:
        if text[0] == "[" and text[-1] == "]":
            raise LabelError(f"condition {text!r} is a list written as text; join its names with {space.separator!r}")
    if options.separator is None and "separator" not in uns:
        _refuse_other_joins(texts, space)
    parts = {text: space.parts(text) for text in texts if '"' not in text}
    for option, doubtful in (("separator", _joined(parts, space)), ("dose_separator", _misread(parts))):
        if not doubtful:
            continue
        sign, more = getattr(space, option), f" and {len(doubtful) - 1} more" if doubtful[1:] else ""
        what = "holds names that occur only together" if option == "separator" else "has a number that is no usual dose"
        free = next((mark for mark in _FREE[option] if not any(mark in text for text in texts)), "")
        advice = f"if {sign!r} belongs to the name, give {option}={free!r}; if not, {option}={sign!r}"
        known = getattr(options, option) is not None or option in uns
        if not known and not (option == "separator" and _shown(parts, doubtful) >= _SHOWN * len(doubtful)):
            raise LabelError(f"condition {doubtful[0]!r}{more} {what}; {advice}")
        if option == "separator":
            _log.warning("condition %r%s %s; it is read as a combination", doubtful[0], more, what)
    dosed = [text for text, pieces in parts.items() if any(dose is not None for _, dose in pieces)]
    if dosed and options.dose_separator is None and "dose_separator" not in uns:
        sign = space.dose_separator
        told = "%d condition%s doses after %r, such as %r; if it belongs to names, choose another dose separator"
        _log.warning(told, len(dosed), " has" if len(dosed) == 1 else "s have", sign, dosed[0])
    _tell_doses_in_names(space)
    return space


def _tell_doses_in_names(space: LabelSpace) -> None:
    """Say in a line where names differ by a number with a unit, as doses of one perturbation do: A_1uM, A_10uM."""
    stems: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for name in space.names:
        if found := _WITH_UNIT.fullmatch(name):
            stems[found[1]].append((name, found[2]))
    for stem, ((first, dose), (second, _), *_) in [each for each in stems.items() if len(each[1]) > 1][:1]:
        _log.warning(
            "%r and %r look like doses of one perturbation and are read as two; for doses write %r",
            first,
            second,
            f"{stem}{space.dose_separator}{dose}",
        )


def _refuse_other_joins(texts: list[str], space: LabelSpace) -> None:
    """Raise a LabelError if a condition is made of other conditions with another sign between them."""
    known = {space.control, *texts}
    for sign in _FREE["separator"] + "-":
        joined = [
            text for text in texts if sign in text and all(part.strip() in known - {text} for part in text.split(sign))
        ]
        if joined:
            more = f" and {len(joined) - 1:,} more" if joined[1:] else ""
            raise LabelError(
                f"condition {joined[0]!r}{more} joins other conditions by {sign!r}; give separator={sign!r} if it is a"
                f" combination, separator={space.separator!r} if it is one name"
            )


def _joined(parts: _Parts, space: LabelSpace) -> list[str]:
    """Conditions with neighbouring names that never occur but beside each other: they may be one name."""
    after: dict[str, set] = defaultdict(set)
    before: dict[str, set] = defaultdict(set)
    for pieces in parts.values():
        names = [None, *(None if name == space.control else name for name, _ in pieces), None]
        doses = [None, *(dose for _, dose in pieces), None]
        for (left, right), dose in zip(pairwise(names), doses, strict=False):
            if left is not None:
                after[left].add(right if dose is None else None)
            if right is not None:
                before[right].add(left if dose is None else None)
    return [
        text
        for text, pieces in parts.items()
        if any(after[a] == {b} and before[b] == {a} for (a, _), (b, _) in pairwise(pieces))
    ]


def _shown(parts: _Parts, doubtful: list[str]) -> int:
    """Combinations beside the doubtful ones."""
    return sum(len(pieces) > 1 for pieces in parts.values()) - len(doubtful)


def _misread(parts: _Parts) -> list[str]:
    """Conditions with a number that is not written or sized as doses are: ``chr8:128746315``, ``A*02:01``."""

    def unusual(dose: str | None) -> bool:
        return dose is not None and ((dose[:1] == "0" and dose[1:].isdigit()) or abs(float(_value(dose))) > _LARGEST)

    return [text for text, pieces in parts.items() if any(unusual(dose) for _, dose in pieces)]


def _value(dose: str) -> float:
    top, bar, bottom = dose.partition("/")
    return float(top) / float(bottom) if bar else float(top)


def is_list(value: object) -> TypeGuard[Iterable[object]]:
    """Whether a value of a column is a list of names."""
    return isinstance(value, (list, tuple, set, frozenset, np.ndarray))


def written(names: Iterable[object], grammar: Mapping[str, str]) -> str:
    """The condition of a list of names, each in quotes, so that no separator cuts it; control where there is none."""
    listed = sorted(map(str, names)) if isinstance(names, (set, frozenset)) else list(map(str, names))
    quoted = ('"' + name.replace('"', '""') + '"' for name in listed if name != grammar["control"])
    return grammar["separator"].join(quoted) or grammar["control"]
