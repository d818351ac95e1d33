"""Confidence intervals as one record, used by every analysis, table and figure."""

from __future__ import annotations

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
