"""Confidence intervals and estimates with intervals: one record each, used by every analysis, table and figure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Interval(NamedTuple):
    """A confidence interval: 95 % unless whoever returns it says otherwise.

    Args:
        low: Lower end, in the units of the estimate; −inf where nothing bounds it from below.
        high: Upper end; inf where nothing bounds it from above.

    Example:
        >>> 1.0 in Interval(0.5, 2.0), str(Interval(0.5, 2.0))
        (True, '[0.5, 2]')
    """

    low: float
    high: float

    def __contains__(self, value: object) -> bool:
        return isinstance(value, (int, float)) and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"[{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True)
class Estimate:
    """A number estimated from cells, with its interval.

    Args:
        value: The estimate.
        interval: Its confidence interval; holds the value.

    Example:
        >>> Estimate(0.75, Interval(0.5, 1.0)).subtracted_from(1.0)
        Estimate(value=0.25, interval=Interval(low=0.0, high=0.5))
    """

    value: float
    interval: Interval

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.interval.low

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.interval.high

    def subtracted_from(self, total: float) -> Estimate:
        """Estimate of `total` minus the quantity."""
        return Estimate(total - self.value, Interval(total - self.high, total - self.low))

    def to_json(self) -> dict[str, float]:
        """Value and both ends by name."""
        return {"value": self.value, "low": self.low, "high": self.high}
