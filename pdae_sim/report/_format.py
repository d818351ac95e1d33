"""Numbers and names as text, alike in tables and in figures."""

from __future__ import annotations

import math
import numbers
from fractions import Fraction

import numpy as np

from pdae_sim.intervals import Estimate
from pdae_sim.study.medians import NO_INTERVAL

MET = {True: "Met", False: "Not met", None: "Open"}
"""What became of a part of a prediction."""

_ABSENT = "–"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_value(value: object, digits: int = 3) -> str:
    """Text of a table cell: numbers to some significant digits, with a true minus sign; absent and NaN as a dash.

    Args:
        value: A number, None, a truth value or a text, which stays as it is.
        digits: Significant digits of what is not whole.

    Returns:
        The text.

    Example:
        >>> [format_value(value) for value in (-0.012345, 1234567, 2.5e9, float("nan"), True, "A+B")]
        ['−0.0123', '1,234,567', '2.50 × 10⁹', '–', 'yes', 'A+B']
    """
    value = value.item() if isinstance(value, np.generic) else value
    if value is None:
        return _ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return f"{int(value):,}".replace("-", "−")
    if isinstance(value, numbers.Real) and not isinstance(value, Fraction):
        return _format_real(float(value), digits)
    return str(value)


def format_estimate(estimate: Estimate) -> str:
    """The value to two digits, with its interval in brackets where there is one.

    Args:
        estimate: The estimate.

    Example:
        >>> from pdae_sim.intervals import Interval
        >>> format_estimate(Estimate(1.234, Interval(0.5, 1000.0)))
        '1.2 (0.50 to 1,000)'
    """
    value, *ends = (format_value(number, 2) for number in (estimate.value, *estimate.interval))
    return value if estimate.interval == NO_INTERVAL else f"{value} ({' to '.join(ends)})"


def _format_real(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return _ABSENT if math.isnan(value) else ("∞" if value > 0 else "−∞")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")  # rounded before its size is judged: 9.999 is 10.0
    power = int(exponent)
    if value and not -4 <= power < 6:
        return f"{mantissa} × 10{str(power).translate(_SUPERSCRIPTS)}".replace("-", "−")
    decimals = max(digits - 1 - power, 0) if value else 0
    return f"{value + 0.0:,.{decimals}f}".replace("-", "−")


def truncated(text: str, most: int) -> str:
    """`text`, or its beginning and an ellipsis where it is longer than `most` letters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def as_float(value: object) -> float:
    """A value of a row of results; NaN where it has none."""
    return float(value) if isinstance(value, (int, float, np.number)) else math.nan
