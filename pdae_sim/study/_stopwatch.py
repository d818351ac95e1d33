"""Seconds of a task by part, kept apart from its rows, which are the same from run to run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Parts = dict[str, dict[str, float]]

_UNDER_WAY: ContextVar[Parts | None] = ContextVar("parts", default=None)


@contextmanager
def recorded() -> Iterator[Parts]:
    """Seconds of the `timed` blocks inside the block, as they end, such as ``{"fit": {"pdae": 3.1}, "judge": {…}}``."""
    parts: Parts = {}
    before = _UNDER_WAY.set(parts)
    try:
        yield parts
    finally:
        _UNDER_WAY.reset(before)


@contextmanager
def timed(what: str, name: str) -> Iterator[None]:
    """Time a block as part of what is recorded, added to what the part took before; outside of a record, do nothing.

    Args:
        what: What is done, such as ``fit``.
        name: To what, such as the name of an estimator.

    Example:
        >>> with recorded() as parts, timed("fit", "pdae"):
        ...     pass
        >>> list(parts), list(parts["fit"])
        (['fit'], ['pdae'])
    """
    start = time.perf_counter()
    try:
        yield
    finally:
        parts = _UNDER_WAY.get()
        if parts is not None:
            seconds = parts.setdefault(what, {})
            seconds[name] = round(seconds.get(name, 0.0) + time.perf_counter() - start, 6)


def in_words(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
