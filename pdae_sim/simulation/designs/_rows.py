"""Rows of labels that designs are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

FINEST = 10
"""Doses are multiples of 2^-FINEST or coarser: at most ten decimals, which exact arithmetic reads."""


def with_control(*blocks: np.ndarray) -> np.ndarray:
    """The zero label above blocks of labels."""
    return np.vstack([np.zeros((1, blocks[0].shape[1])), *blocks])


def distinct_rows(draw: Callable[[], np.ndarray], n: int, taken: Iterable[Sequence[float]] = ()) -> list[np.ndarray]:
    """n different rows, none of them taken; the caller knows that there are enough."""
    seen = {tuple(row) for row in taken}
    rows: list[np.ndarray] = []
    while len(rows) < n:
        row = draw()
        if tuple(row) not in seen:
            seen.add(tuple(row))
            rows.append(row)
    return rows
