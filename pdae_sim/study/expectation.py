"""Parts of a prediction as comparisons that the rows of a study decide: met, not met, or open."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pdae_sim._arguments import checked
from pdae_sim._checks import naming, near_misses, validated
from pdae_sim.errors import InputError
from pdae_sim.intervals import Estimate
from pdae_sim.study.medians import median


@dataclass(frozen=True)
class Judgement:
    """What rows say of an expectation.

    Args:
        estimates: Median over worlds by group, the values of `Expectation.each`; empty where there is no verdict.
        verdicts: By group, True if its interval lies within the bounds, False if outside, None where it holds a bound.
        worlds: Worlds of the group that has fewest.
        reason: Why there is no estimate.

    Example:
        >>> Judgement(reason="it was not measured").met is None
        True
    """

    estimates: Mapping[tuple, Estimate] = field(default_factory=dict)
    verdicts: Mapping[tuple, bool | None] = field(default_factory=dict)
    worlds: int = 0
    reason: str = ""

    @property
    def met(self) -> bool | None:
        """True if every group is as expected, False if one is not, None where that is open."""
        verdicts = self.verdicts.values()
        if False in verdicts:
            return False
        return True if verdicts and None not in verdicts else None


class Expectation(BaseModel):
    """A part of a prediction: the median over worlds of a metric, or of a ratio or a difference, lies within bounds.

    Each seed gives one number, the median over its rows where it has several (conditions, or worlds that `each` does
    not tell apart). The median over seeds has a 95 % interval between order statistics: the expectation is met where
    that lies within the bounds, not met where it lies outside, and open where it holds a bound or where seeds are fewer
    than six. A world or a fit that failed counts as one that misses.

    Args:
        that: What is expected, a clause.
        metric: Which rows of the long table.
        of: Columns of these rows and the value each must have, or a list of values.
        each: Columns by whose values rows are grouped; the expectation is of every group.
        over: Columns (or ``metric``) to change for the rows to divide by, world by world: a ratio, of positive values.
        minus: Columns to change for the rows to subtract, world by world and condition by condition.
        at_least: Lower bound.
        at_most: Upper bound.

    Example:
        >>> said = {"that": "it is worth 100 cells", "metric": "n_eff", "of": {"estimator": "pdae"}, "at_least": 100}
        >>> rows = [
        ...     {"metric": "n_eff", "estimator": "pdae", "seed": s, "value": 200.0 + s, "status": "ok"}
        ...     for s in range(9)
        ... ]
        >>> Expectation(**said).judge(rows).met
        True
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    that: str = Field(min_length=1)
    metric: str
    of: dict[str, Any]
    each: list[str] = []
    over: dict[str, Any] = {}
    minus: dict[str, Any] = {}
    at_least: float | None = Field(None, strict=True)
    at_most: float | None = Field(None, strict=True)

    @classmethod
    def parse(cls, table: object) -> Expectation:
        """An expectation from a mapping.

        Raises:
            InputError: In one line.
        """
        if not isinstance(table, Mapping):
            raise InputError(f"expected a table with that, metric, of and a bound; received {table!r}")
        return validated(cls, table)

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound, infinite where there is none."""
        return -math.inf if self.at_least is None else self.at_least, math.inf if self.at_most is None else self.at_most

    def group_name(self, group: tuple) -> str:
        """A group of a judgement in words: values, those of settings beside their names."""
        values = (f"{value:g}" if isinstance(value, float) else str(value) for value in group)
        named = zip(self.each, values, strict=True)
        return ", ".join(f"{column} {value}" if "." in column else value for column, value in named)

    def check(self, metrics: Collection[str], columns: Mapping[str, Collection]) -> None:
        """Refuse what no row of a study can answer.

        Args:
            metrics: Those that it measures.
            columns: The values that each column of its rows takes; empty where they are not known beforehand.

        Raises:
            InputError: In one line.
        """
        with naming(f"expect {self.that!r}"):
            low, high = self.bounds
            if low == -math.inf and high == math.inf:
                raise InputError("give at_least, at_most or both")
            if low > high:
                raise InputError(f"at_least {low:g} is above at_most {high:g}; change them round")
            if self.over and self.minus:
                raise InputError("give over (a ratio) or minus (a difference), one of the two")
            for metric in (self.metric, self._changed_metric):
                if metric not in metrics:
                    raise InputError(f"the study does not measure {metric!r}; {near_misses(metric, metrics)}")
            for column in (*self.each, *self.of, *self._changed):
                if column not in columns:
                    raise InputError(f"rows have no column {column!r}; {near_misses(column, columns)}")
            for column, value in self.of.items():
                _check_values(column, value if isinstance(value, list) else [value], columns[column])
            for column, value in self._changed.items():
                _check_values(column, [value], columns[column])

    @checked
    def judge(self, rows: Sequence[Mapping]) -> Judgement:
        """The verdict of the rows of a study, finished or not.

        Args:
            rows: Its long table: each row has metric, value, status, seed and, where it knows them, the columns named.
        """
        worlds = self._worlds(rows)
        worlds |= {key: [self._missed] for key in self._failed(rows, {group for group, _ in worlds})}
        groups: dict[tuple, list[float]] = {}
        for (group, _), numbers in worlds.items():
            if numbers:
                groups.setdefault(group, []).append(float(np.median(numbers)))
        if not groups:
            return Judgement(reason="it was not measured")
        if any(math.isnan(number) for numbers in groups.values() for number in numbers):
            return Judgement(reason="what it is divided by is not positive in every world")
        estimates = {group: median(numbers) for group, numbers in groups.items()}
        verdicts = {group: self._verdict(estimate) for group, estimate in estimates.items()}
        return Judgement(estimates, verdicts, min(map(len, groups.values())))

    def _worlds(self, rows: Sequence[Mapping]) -> dict[tuple, list[float]]:
        """By group and seed a number for each condition, the value or how it compares; none without its other."""
        worlds: dict[tuple, list[float]] = {}
        twins: dict[tuple, list[float]] = {}
        for row in _where(rows, self._changed_metric, {**self.of, **self._changed}) if self._compares else ():
            twins.setdefault(self._shared(row), []).append(self._number(row))
        for row in _where(rows, self.metric, self.of):
            if self._changed and _has(row, self._changed):
                continue  # what others are compared with
            number, group = self._number(row), tuple(row.get(column) for column in self.each)
            numbers = [self._compared(number, twin) for twin in twins.get(self._shared(row), ())]
            worlds.setdefault((group, row["seed"]), []).extend(numbers if self._compares else [number])
        return worlds

    def _failed(self, rows: Sequence[Mapping], groups: Iterable[tuple]) -> Iterator[tuple]:
        """Group and seed of what failed as a whole: its rows have no metric, and of the columns only what was known."""
        for row in _where(rows, None, {}):
            own = tuple(row.get(column) for column in self.each)
            for group in {*groups, *([own] if None not in own else [])}:
                here = {**self.of, **dict(zip(self.each, group, strict=True))}
                there = {**here, **self._changed}
                compared_with = bool(self._changed) and here == there
                if not compared_with and any(_has(row, of, absent=True) for of in (here, there)):
                    yield group, row["seed"]

    def _shared(self, row: Mapping) -> tuple:
        return tuple(row.get(column) for column in (*self.each, "seed", "condition") if column not in self._changed)

    def _number(self, row: Mapping) -> float:
        """The value of a row; of one that failed, what no bound admits."""
        return self._missed if row["status"] != "ok" or row["value"] is None else float(row["value"])

    def _compared(self, number: float, twin: float) -> float:
        """Difference or ratio; NaN where there is no ratio."""
        if math.isinf(number) or math.isinf(twin):
            return self._missed
        if self.minus:
            return number - twin
        return number / twin if twin > 0 else math.nan

    @property
    def _missed(self) -> float:
        """What no bound admits, for a row that failed."""
        return math.inf if self.at_least is None else -math.inf

    @property
    def _compares(self) -> bool:
        return bool(self.over or self.minus)

    @property
    def _changed(self) -> dict[str, Any]:
        """Columns that tell the rows to compare with from those that are judged."""
        return {column: value for column, value in (self.over or self.minus).items() if column != "metric"}

    @property
    def _changed_metric(self) -> str:
        return str((self.over or self.minus).get("metric", self.metric))

    def _verdict(self, estimate: Estimate) -> bool | None:
        low, high = self.bounds
        if low <= estimate.low and estimate.high <= high:
            return True
        return False if estimate.high < low or high < estimate.low else None


def _where(rows: Sequence[Mapping], metric: str | None, of: Mapping) -> list[Mapping]:
    return [row for row in rows if row["metric"] == metric and _has(row, of)]


def _has(row: Mapping, of: Mapping, *, absent: bool = False) -> bool:
    """Whether columns of a row have these values, or one of those in a list; or, with `absent`, none at all."""
    return all(
        (absent and row.get(column) is None) or row.get(column) in (value if isinstance(value, list) else [value])
        for column, value in of.items()
    )


def _check_values(column: str, values: Sequence, taken: Collection) -> None:
    """Refuse values that are none, and those that no row of the column has, where it is known which it has."""
    if not values or not all(isinstance(value, (bool, int, float, str)) for value in values):
        raise InputError(f"{column} must be a text or a number, or in `of` a list of them; received {values!r}")
    for value in values:
        if taken and value not in taken:
            raise InputError(f"no row has {column} {value!r}; {near_misses(str(value), map(str, taken))}")
