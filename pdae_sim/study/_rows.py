"""Rows of one metric each: a value with its interval, or the reason why there is none."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable, Sequence

NUMBERS = ("value", "low", "high")


def measured_row(metric: str, measure: Callable[[], Sequence[float | None]]) -> dict:
    """The row of a metric; `measure` gives its value, or value, low and high, and may fail."""
    try:
        numbers = dict(zip(NUMBERS, measure(), strict=False))
    except Exception as error:
        return failed_row(metric, error)
    return {"metric": metric, **dict.fromkeys(NUMBERS), **numbers, "status": "ok", "error": None}


def failed_row(metric: str, error: Exception) -> dict:
    """The row of a metric that could not be measured."""
    return {"metric": metric, **dict.fromkeys(NUMBERS), "status": "failed", "error": error_text(error)}


def error_text(error: BaseException) -> str:
    """The kind and the message of an error, the same from run to run."""
    return _without_addresses(f"{type(error).__name__}: {error}")


def traceback_text(error: BaseException) -> str:
    """The traceback of an error, the same from run to run."""
    return _without_addresses("".join(traceback.format_exception(error)))


def _without_addresses(text: str) -> str:
    """The text without addresses in memory, which differ from run to run and would make results differ."""
    return re.sub(r"0x[0-9a-fA-F]{6,}", "0x…", text)
