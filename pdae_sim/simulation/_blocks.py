"""Cells in blocks of fixed size: each with streams of its own, so that threads share them out and change nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from threadpoolctl import ThreadpoolController

BLOCK_CELLS = 4096
"""Cells that share their streams. Part of what a seed means: another number gives other cells."""

CHUNK_VALUES = 2**18
"""Values of x computed at a time, 2 MiB, so that they and their temporaries stay in cache; changes speed alone."""

_SERIAL = 2**20  # values of x under which starting threads is not worth its while


def blocks(counts: Sequence[int]) -> Iterator[tuple[int, int, slice]]:
    """(environment, block number, rows of the whole) for environments of `counts` cells laid end to end."""
    start = 0
    for environment, count in enumerate(counts):
        for number, first in enumerate(range(0, count, BLOCK_CELLS)):
            yield environment, number, slice(start + first, start + min(first + BLOCK_CELLS, count))
        start += count


def chunks(rows: slice, width: int) -> Iterator[slice]:
    """The rows of a block in parts of some `CHUNK_VALUES` values."""
    size = max(CHUNK_VALUES // width, 1)
    for first in range(rows.start, rows.stop, size):
        yield slice(first, min(first + size, rows.stop))


def run_in_threads(work: Callable[[tuple], None], parts: Sequence[tuple], n_values: int) -> None:
    """Do all parts, on as many threads as the matrix products would use (`OMP_NUM_THREADS` sets both).

    The products themselves then take one thread each, so that cores are not asked for twice.
    """
    threads = min(_threads(), len(parts)) if n_values >= _SERIAL else 1
    if threads == 1:
        for part in parts:
            work(part)
        return
    with _controller().limit(limits=1, user_api="blas"), ThreadPoolExecutor(threads) as pool:
        try:
            for _ in pool.map(work, parts):
                pass
        except BaseException:  # an interrupt too: nothing more is begun
            pool.shutdown(cancel_futures=True)
            raise


def _threads() -> int:
    return max((library["num_threads"] for library in _controller().select(user_api="blas").info()), default=1)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()
