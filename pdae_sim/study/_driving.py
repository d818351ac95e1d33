"""The driver of every pool of workers: batches that grow until they take a moment, and what to do when workers die."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from pdae_sim.errors import InputError
from pdae_sim.study._execute import ExecutionResult

if TYPE_CHECKING:
    from pdae_sim.study.backends import WorkerPool

_log = logging.getLogger(__name__)

BATCH_SECONDS = 0.5
MAX_BATCH = 64
MAX_DEATHS = 5
"""Workers lost in a row, without a task done in between, after which the run gives up."""

Key = TypeVar("Key")
Batch = list[dict]
Call = Callable[[Batch], list[ExecutionResult]]


def drive(
    pool: WorkerPool, call: Call, tasks: Iterator[tuple[Key, dict]]
) -> Iterator[tuple[Key, ExecutionResult | Exception]]:
    """Execute tasks by key, as they complete; tasks are taken only when there is room for them.

    Where a worker dies, everything under way is suspected and run again one by one; the one that is alone when its
    worker dies again gets the exception.
    """
    flying: dict[Hashable, list[tuple[Key, dict]]] = {}
    suspects: deque[tuple[Key, dict]] = deque()
    size, deaths, more = 1, 0, True
    while more or flying or suspects:
        alone = bool(suspects) and not flying
        if alone:
            _submit(pool, call, [suspects.popleft()], flying)
        while more and not suspects and not alone and len(flying) < pool.slots:
            batch = list(islice(tasks, size))
            more = bool(batch)
            if batch:
                _submit(pool, call, batch, flying)
        for handle in pool.wait(flying) if flying else ():
            batch = flying.pop(handle)
            try:
                results = pool.result(handle)
            except Exception as error:
                deaths += 1
                _give_up(deaths, error)
                if alone:
                    yield batch[0][0], error
                else:
                    suspects.extend(batch)
                continue
            deaths = 0
            size = _grown(size, results)
            yield from zip((key for key, _ in batch), results, strict=True)


def _submit(pool: WorkerPool, call: Call, batch: list, flying: dict) -> None:
    flying[pool.submit(call, [task for _, task in batch])] = batch


def _grown(size: int, results: list[ExecutionResult]) -> int:
    """The size at which a batch takes `BATCH_SECONDS`, but at most double."""
    each = sum(result.seconds for result in results) / len(results)
    return max(1, min(2 * size, MAX_BATCH, int(BATCH_SECONDS / max(each, 1e-4))))


def _give_up(deaths: int, error: Exception) -> None:
    _log.warning("a worker died: %s", first_line(error))
    if deaths >= MAX_DEATHS:
        raise InputError(
            f"{deaths} workers died one after another ({first_line(error)}); run with one worker to see why"
        )


def first_line(error: Exception) -> str:
    """The kind of an error and the first line of its message."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
