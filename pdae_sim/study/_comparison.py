"""Numbers that an expectation is judged by: what rows measured, or how that compares with others, by group and seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pdae_sim.study.expectation import Expectation

Range = tuple[float, float, float]
"""A number between the least and the greatest that it may be: ∞ where cells only bound a worth from below."""

_KNOWN_LATER = ("estimator", "condition", "verdict", "distance", "diversity")
"""Columns that rows of a fit or of a world lack if it failed as a whole."""
_OF_PREDICTIONS = ("estimator", "condition")
"""Columns that tell predictions in one world apart; a change of any other is a change of world."""


def ranges(expected: Expectation, rows: Sequence[Mapping]) -> dict[tuple, dict[Any, list[Range]]]:
    """Numbers by group and seed, several where a seed has several conditions or worlds in a group."""
    found: dict[tuple, dict[Any, list[Range]]] = {}
    own = [row for row in _where(rows, expected.metric, expected.of) if not _is_other(expected, row)]
    for group, seed, number in _measured(expected, own, rows):
        found.setdefault(group, {}).setdefault(seed, []).append(number)
    for group, seed in _failed(expected, list(_cells(own, expected.each)), rows):
        found.setdefault(group, {}).setdefault(seed, []).append((expected.missed,) * 3)
    return found


def _has(row: Mapping, of: Mapping, *, absent: Iterable[str] = ()) -> bool:
    """Whether columns of a row have these values, or one of those in a list; those of `absent` may have none."""
    return all(
        row.get(column) in (value if isinstance(value, list) else [value])
        or (column in absent and row.get(column) is None)
        for column, value in of.items()
    )


def _measured(
    expected: Expectation, own: Sequence[Mapping], rows: Sequence[Mapping]
) -> Iterator[tuple[tuple, Any, Range]]:
    """Group, seed and number of every cell: a condition of a world, or a world where worlds are compared."""
    settings = sorted({column for row in rows for column in row if "." in column})
    changed, each = expected.changed, expected.each
    one_world = changed.keys() <= {*_OF_PREDICTIONS}
    one_scenario = changed.keys() <= {*_OF_PREDICTIONS, *settings}
    cell = [*each, "scenario", *settings, "seed", *(["condition"] if one_world else [])]
    together = {column for column in settings for other in changed if "." in other and _follows(column, other, rows)}
    free = {*changed, *together, *([] if one_scenario else {"scenario", *settings} - {*each})}
    shared = [column for column in cell if column not in free]
    others = _cells(_where(rows, expected.other_metric, {**expected.of, **changed}), shared)
    for measured in _cells(own, cell).values():
        group, seed = tuple(measured[0].get(column) for column in each), measured[0]["seed"]
        twins = others.get(tuple(measured[0].get(column) for column in shared))
        if not expected.compares:
            yield group, seed, _median(measured, expected.missed)
        elif twins is not None:
            yield group, seed, _compared(expected, measured, twins)


def _follows(column: str, other: str, rows: Sequence[Mapping]) -> bool:
    """Whether a setting is one value for each of another, as those that are varied together are."""
    pairs = {(str(row[other]), str(row[column])) for row in rows if other in row and column in row}
    return len(pairs) == len({first for first, _ in pairs})


def _failed(expected: Expectation, measured: Sequence[tuple], rows: Sequence[Mapping]) -> Iterator[tuple[tuple, Any]]:
    """Group and seed of fits and worlds that failed as a whole: their rows have no metric, and few columns."""
    changed = expected.changed
    sides = [(expected.of, {}), ({**expected.of, **changed}, changed)][: 1 + expected.compares]
    for row in _where(rows, None, {}):
        groups: dict[tuple, None] = {}
        for of, hidden in sides:
            known = {c: row[c] for c in expected.each if row.get(c) is not None and c not in hidden}
            if _has(row, of, absent=_KNOWN_LATER):
                groups |= dict.fromkeys(_groups(expected, known, measured))
        for group in groups:
            if not _is_other(expected, dict(zip(expected.each, group, strict=True))):
                yield group, row["seed"]


def _groups(expected: Expectation, known: Mapping, measured: Sequence[tuple]) -> list[tuple]:
    """Measured groups that agree with what is known; where there is none, what `of` asks for by name."""
    agreeing = [
        group
        for group in measured
        if all(known.get(column, value) == value for column, value in zip(expected.each, group, strict=True))
    ]
    choices = []
    for i, column in enumerate(expected.each):
        asked = expected.of.get(column, list(dict.fromkeys(group[i] for group in measured)))
        asked = [known[column]] if column in known else asked
        choices.append(asked if isinstance(asked, list) else [asked])
    return agreeing or list(product(*choices))


def _is_other(expected: Expectation, row: Mapping) -> bool:
    """Whether a row is of those to compare with, and of no group."""
    return bool(expected.changed) and _has({**expected.of, **row}, expected.changed)


def _where(rows: Sequence[Mapping], metric: str | None, of: Mapping) -> list[Mapping]:
    return [row for row in rows if row["metric"] == metric and _has(row, of)]


def _cells(rows: Sequence[Mapping], columns: Sequence[str]) -> dict[tuple, list[Mapping]]:
    """Rows by the values of some columns."""
    cells: dict[tuple, list[Mapping]] = {}
    for row in rows:
        cells.setdefault(tuple(row.get(column) for column in columns), []).append(row)
    return cells


def _median(rows: Sequence[Mapping], missed: float) -> Range:
    """Median of what rows measured; what no bound admits if one of them failed."""
    if any(row["status"] != "ok" or row["value"] is None for row in rows):
        return missed, missed, missed
    value = float(np.median([row["value"] for row in rows]))
    bounded = [row["metric"] == "n_eff" and "high" in row and row["high"] is None for row in rows]
    most = float(np.median([math.inf if b else row["value"] for b, row in zip(bounded, rows, strict=True)]))
    return value, value, most


def _compared(expected: Expectation, rows: Sequence[Mapping], others: Sequence[Mapping]) -> Range:
    """Ratio or difference of two medians; NaN where there is no ratio."""
    (low, value, high), (least, other, most) = _median(rows, math.nan), _median(others, math.nan)
    if math.isnan(value) or math.isnan(other):
        return expected.missed, expected.missed, expected.missed
    if expected.minus:
        return low - most, value - other, high - least
    return (low / most, value / other, high / least) if least > 0 else (math.nan, math.nan, math.nan)
