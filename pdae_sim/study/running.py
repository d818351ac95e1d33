"""Run the tasks of a study that are not finished, wherever, with the same results."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from pdae_sim._checks import whole
from pdae_sim.errors import InputError
from pdae_sim.study._driving import Call, cores, drive
from pdae_sim.study._execute import died, execute_all, execute_in_worker, has_failed, in_main_thread, threads_limited
from pdae_sim.study._stopwatch import in_words
from pdae_sim.study.backends import Backend, Loky, Serial, WorkerPool
from pdae_sim.study.spec import Study
from pdae_sim.study.store import Store, Tally

_log = logging.getLogger(__name__)

_HEARTBEAT_SECONDS = 5.0


def run_study(
    study: Study,
    store: Store,
    *,
    workers: int | None = 1,
    backend: Backend | None = None,
    shard: tuple[int, int] | None = None,
    retry: bool = False,
    threads: int = 1,
    files: Mapping[str, str] = MappingProxyType({}),
) -> Tally:
    """Run what is not finished, then collect the results.

    Args:
        study: The study.
        store: Where finished tasks go; tasks that have a result there are not run again.
        workers: Worker processes on this machine; one computes in this process, None takes one for each core.
        backend: Where to compute instead, for example a Dask cluster.
        shard: (i, n) runs the i-th of n parts, i from 1.
        retry: Run again tasks that ended in failure rows.
        threads: Threads of each worker, no more than there are cores to share. Results can depend on this number in
            the last bits, and do not depend on that of workers.
        files: Texts by file name to keep in the folder, which tell how the study was declared.

    Returns:
        How far the study is; results are in the store.

    Raises:
        InputError: If another runner is at work in the folder, or it holds another study or other files.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> def perform(task):
        ...     return [{"seed": task["seed"], "metric": "square", "value": float(task["seed"] ** 2)}]
        >>> study = Study("squares", "Do squares grow?", "none", "They do.", [{"seed": 1}, {"seed": 2}], perform)
        >>> with TemporaryDirectory() as folder:
        ...     run_study(study, Store(folder)).finished
        2
    """
    workers = cores() if workers is None else whole("workers", workers)
    backend = backend or (Serial() if workers == 1 else Loky(workers))
    if isinstance(backend, Serial) and study.timeout is not None and not in_main_thread():
        backend = Loky(1)  # no signal stops a task here, but one can let a worker go
    threads = _fitting_threads(whole("threads", threads), workers)
    if store.directory.exists() and not store.directory.is_dir():
        raise InputError(f"{store.directory}: results go to a folder and this is a file; choose another")
    store.directory.mkdir(parents=True, exist_ok=True)
    with store.locked():
        store.prepare(study, files)
        todo = _todo(study, store, shard, retry)
        _log.info("%s: %d tasks, %d to run", study.name, len(study.tasks), len(todo))
        if todo:
            here = isinstance(backend, Serial)
            execute = execute_all if here else execute_in_worker
            call = partial(execute, study.perform, timeout=study.timeout, threads=threads)
            with threads_limited(threads) if here else nullcontext(), _opened(backend, threads) as pool:
                _run(study.name, store, todo, pool, call)
        store.collect(study.name, study.ids)
    return store.tally(study.ids)


def _fitting_threads(threads: int, workers: int) -> int:
    """Cap threads so that workers × threads ≤ cores."""
    fits = max(1, min(threads, cores() // workers))
    if fits < threads:
        _log.warning("%d workers with %d threads are more than %d cores; using %d", workers, threads, cores(), fits)
    return fits


@contextmanager
def _opened(backend: Backend, threads: int) -> Iterator[WorkerPool]:
    """A pool, let go after the block, at once if the block is interrupted."""
    pool = backend.open(threads)
    try:
        yield pool
    except BaseException:
        pool.close(cancel=True)
        raise
    pool.close(cancel=False)


def _todo(study: Study, store: Store, shard: tuple[int, int] | None, retry: bool) -> dict[str, tuple[dict, int]]:
    """Tasks to run by key, each with the number of attempts it has behind it."""
    there = store.finished_ids()
    todo = {}
    for key, task in _part(list(zip(study.ids, study.tasks, strict=True)), shard):
        record = store.record(key) if retry and key in there else None
        if key not in there:
            todo[key] = dict(task), 0
        elif record is not None and has_failed(record):
            todo[key] = dict(task), record["provenance"]["attempts"]
    return todo


def _part(tasks: list, shard: tuple[int, int] | None) -> list:
    if shard is None:
        return tasks
    i, n = shard
    if not 1 <= whole("shard", i) <= whole("shard", n):
        raise InputError(f"shard must be i/n with 1 ≤ i ≤ n; received {i}/{n}")
    return tasks[i - 1 :: n]


def _run(name: str, store: Store, todo: dict[str, tuple[dict, int]], pool: WorkerPool, call: Call) -> None:
    """Perform every task and write its result as it comes."""
    progress = _Progress(name, len(todo))
    for key, result in drive(pool, call, ((key, task) for key, (task, _) in todo.items())):
        task, attempts = todo[key]
        if isinstance(result, Exception):
            result = died(task, f"{type(result).__name__}: {result}")
        store.put(key, result, attempts=attempts + 1)
        progress.add(result.failed)


@dataclass
class _Progress:
    """Log lines while a study runs: completions, failures, the time left."""

    name: str
    total: int
    completed: int = 0
    failed: int = 0
    started: float = field(default_factory=time.monotonic)
    logged: float = 0.0

    def add(self, failed: bool) -> None:
        """Count a finished task, and log it if it failed, is the last or the last line is a heartbeat old."""
        self.completed += 1
        self.failed += failed
        now, left = time.monotonic(), self.total - self.completed
        if left and not failed and now - self.logged < _HEARTBEAT_SECONDS:
            return
        self.logged = now
        _log.info(
            "%s: %d/%d done, %d with failures, about %s left",
            self.name,
            self.completed,
            self.total,
            self.failed,
            in_words((now - self.started) / self.completed * left),
        )
