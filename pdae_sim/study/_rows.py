"""Rows of one metric each: a value with its interval, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_NUMBERS = ("value", "low", "high")


def measured_row(metric: str, measure: Callable[[], Sequence[float | None]]) -> dict:
    """The row of a metric; `measure` gives its value, or value, low and high, and may fail."""
    try:
        numbers = dict(zip(_NUMBERS, measure(), strict=False))
    except Exception as error:
        return failed_row(metric, error)
    return {"metric": metric, **dict.fromkeys(_NUMBERS), **numbers, "status": "ok", "error": None}


def failed_row(metric: str, error: Exception) -> dict:
    """The row of a metric that could not be measured."""
    reason = f"{type(error).__name__}: {error}"
    return {"metric": metric, **dict.fromkeys(_NUMBERS), "status": "failed", "error": reason}
