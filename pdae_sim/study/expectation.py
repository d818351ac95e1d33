"""Parts of a prediction as comparisons that the rows of a study decide: met, not met, or open."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from pdae_sim._arguments import checked
from pdae_sim._checks import naming, near_misses, validated
from pdae_sim.errors import InputError
from pdae_sim.intervals import Estimate, Interval
from pdae_sim.study._comparison import ranges
from pdae_sim.study.medians import median

_SIGNED = {"energy_distance", "mmd"}
"""Metrics whose unbiased estimates may be zero or below."""


@dataclass(frozen=True)
class Judgement:
    """What rows say of an expectation.

    Args:
        estimates: Median over seeds by group, the values of `Expectation.each`; none of a group without a number.
        verdicts: By group, True if its interval lies within the bounds, False if outside, None where it holds a bound.
        seeds: Seeds of the group that has fewest.
        failed: Numbers that stand for a world or a fit that failed, and count as misses.
        reason: Why something has no estimate.

    Example:
        >>> Judgement(reason="it was not measured").met is None
        True
    """

    estimates: Mapping[tuple, Estimate] = field(default_factory=dict)
    verdicts: Mapping[tuple, bool | None] = field(default_factory=dict)
    seeds: int = 0
    failed: int = 0
    reason: str = ""

    @property
    def met(self) -> bool | None:
        """True if every group is as expected, False if one is not, None where that is open."""
        verdicts = self.verdicts.values()
        if False in verdicts:
            return False
        return True if verdicts and None not in verdicts and not self.reason else None


class Expectation(BaseModel):
    """A part of a prediction: the median over worlds of a metric, or of a ratio or a difference, lies within bounds.

    Each seed gives one number, the median over its rows where it has several (conditions, or worlds that `each` does
    not tell apart). The median over seeds has a 95 % interval between order statistics: the expectation is met where
    that lies within the bounds, not met where it lies outside, and open where it holds a bound or where seeds are fewer
    than six. A world or a fit that failed counts as one that misses; a worth that cells only bound from below may be
    anything above.

    Args:
        that: What is expected, a clause.
        metric: Which rows of the long table.
        of: Columns of these rows and the value each must have, or a list of values.
        each: Columns by whose values rows are grouped; the expectation is of every group.
        over: Columns (or ``metric``) to change for the rows to divide by: a ratio, of positive values. It is taken in
            each world at each condition; where the change is one of world, of medians over the conditions of the two
            worlds of a seed.
        minus: Columns to change for the rows to subtract, likewise.
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
        if isinstance(table, Expectation):
            return table
        if not isinstance(table, Mapping):
            raise InputError(f"expected a table with that, metric, of and a bound; received {table!r}")
        return validated(cls, table)

    @classmethod
    def parse_all(cls, tables: object) -> tuple[Expectation, ...]:
        """The expectations of a study, no two of one name.

        Raises:
            InputError: In one line, with the place in the list.
        """
        if not isinstance(tables, (list, tuple)):
            raise InputError(f"expect must be a list of tables; received {tables!r}")
        parsed: list[Expectation] = []
        for i, table in enumerate(tables):
            with naming(f"expect.{i}"):
                parsed.append(cls.parse(table))
                if parsed[-1].that in [earlier.that for earlier in parsed[:-1]]:
                    raise InputError(f"{parsed[-1].that!r} is expected twice; put it in words of its own")
        return tuple(parsed)

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound, infinite where there is none."""
        return -math.inf if self.at_least is None else self.at_least, math.inf if self.at_most is None else self.at_most

    @property
    def compares(self) -> bool:
        """Whether rows are compared with others."""
        return bool(self.over or self.minus)

    @property
    def changed(self) -> dict[str, Any]:
        """Columns that tell the rows to compare with from those that are judged."""
        return {column: value for column, value in (self.over or self.minus).items() if column != "metric"}

    @property
    def other_metric(self) -> str:
        """The metric to compare with."""
        return str((self.over or self.minus).get("metric", self.metric))

    @property
    def missed(self) -> float:
        """What no bound admits, for what failed."""
        return math.inf if self.at_least is None else -math.inf

    def group_name(self, group: tuple) -> str:
        """A group of a judgement in words: values, those of settings beside their names."""
        return ", ".join(
            f"{column} {_in_short(value)}" if "." in column else _in_short(value)
            for column, value in zip(self.each, group, strict=True)
        )

    def model_post_init(self, _: object) -> None:
        """Refuse bounds and comparisons that no rows could meet."""
        low, high = self.bounds
        if low == -math.inf and high == math.inf:
            raise InputError("give at_least, at_most or both")
        if low > high:
            raise InputError(f"at_least {low:g} is above at_most {high:g}; change them round")
        if self.over and self.minus:
            raise InputError("give over (a ratio) or minus (a difference), one of the two")
        if self.compares and self.other_metric == self.metric and self.changed.items() <= self.of.items():
            raise InputError("over and minus must change something; otherwise rows are compared with themselves")
        if self.over and (signed := _SIGNED & {self.metric, self.other_metric}):
            raise InputError(f"{signed.pop()} may be zero or below, so that it has no ratios; take minus")
        if "seed" in self.each:
            raise InputError("each cannot hold seed, for medians are over seeds")

    def check(self, metrics: Collection[str], columns: Mapping[str, Collection]) -> None:
        """Refuse what no row of a study can answer.

        Args:
            metrics: Those that it measures.
            columns: The values that each column of its rows takes; empty where they are not known beforehand.

        Raises:
            InputError: In one line.
        """
        with naming(f"expect {self.that!r}"):
            for metric in (self.metric, self.other_metric):
                if metric not in metrics:
                    raise InputError(f"the study does not measure {metric!r}; {near_misses(metric, metrics)}")
            for column in (*self.each, *self.of, *self.changed):
                _check_column(column, columns)
            for column, value in self.of.items():
                _check_values(column, value if isinstance(value, list) else [value], columns[column])
            for column, value in self.changed.items():
                _check_values(column, [value], columns[column])

    @checked
    def judge(self, rows: Sequence[Mapping]) -> Judgement:
        """The verdict of the rows of a study, finished or not.

        Args:
            rows: Its long table: each row has metric, value, status, seed and, where it knows them, the columns named.
        """
        found = ranges(self, rows)
        estimates, verdicts, unknown = {}, {}, self._unmeasured(found)
        for group, seeds in found.items():
            least, values, most = zip(*(_middles(numbers, self.missed) for numbers in seeds.values()), strict=True)
            if any(map(math.isnan, values)):
                unknown.append(f"{self.group_name(group) or 'it'} is divided by what is not positive")
                continue
            interval = Interval(median(least).low, median(most).high)
            estimates[group] = Estimate(median(values).value, interval)
            verdicts[group] = self._verdict(estimates[group])
        every = [number for seeds in found.values() for numbers in seeds.values() for number in numbers]
        failed = sum(math.isinf(value) for _, value, _ in every)
        return Judgement(estimates, verdicts, min(map(len, found.values()), default=0), failed, "; ".join(unknown))

    def _unmeasured(self, found: Collection[tuple]) -> list[str]:
        """What was asked for by name and is in no row."""
        if not found:
            return ["it was not measured"]
        asked = [(i, c, self.of[c]) for i, c in enumerate(self.each) if isinstance(self.of.get(c), list)]
        return [
            f"{column} {value} was not measured"
            for i, column, values in asked
            for value in values
            if value not in {group[i] for group in found} and self.changed.get(column) != value
        ]

    def _verdict(self, estimate: Estimate) -> bool | None:
        low, high = self.bounds
        if low <= estimate.low and estimate.high <= high:
            return True
        return False if estimate.high < low or high < estimate.low else None


def _middles(numbers: Sequence[tuple[float, float, float]], missed: float) -> tuple[float, float, float]:
    """The medians of lower ends, values and upper ends; between −∞ and ∞, a miss and an open end, the ends are both."""
    x = np.sort(np.array(numbers, dtype=np.float64), axis=0)
    lower, upper = x[(len(x) - 1) // 2], x[len(x) // 2]
    torn = np.isneginf(lower) & np.isposinf(upper)
    low, value, high = np.median(np.where(torn, 0.0, x), axis=0)
    return tuple(np.where(torn, [-math.inf, missed, math.inf], [low, value, high]).tolist())


def _check_values(column: str, values: Sequence, taken: Collection) -> None:
    """Refuse values that are none, and those that no row of the column has, where it is known which it has."""
    if not values or not all(
        isinstance(v, (bool, int, str)) or (isinstance(v, float) and math.isfinite(v)) for v in values
    ):
        raise InputError(f"{column} must be a text or a number, or in `of` a list of them; received {values!r}")
    for value in values:
        if taken and not any(value == known and isinstance(value, bool) == isinstance(known, bool) for known in taken):
            raise InputError(f"no row has {column} {value!r}; {near_misses(str(value), map(str, taken))}")


def _check_column(column: str, columns: Mapping[str, Collection]) -> None:
    """Refuse a column that rows have not, and one whose values cannot be told apart."""
    if column not in columns:
        raise InputError(f"rows have no column {column!r}; {near_misses(column, columns)}")
    kinds = {"number" if type(value) in (int, float) else type(value).__name__ for value in columns[column]}
    if kinds & {"list", "dict"} or len(kinds) > 1:
        raise InputError(f"{column} takes lists, or values of several kinds; give each a world of its own, by name")


def _in_short(value: object) -> str:
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
