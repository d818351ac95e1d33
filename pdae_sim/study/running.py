"""Run the tasks of a study that are not finished, wherever, with the same results."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial

from pdae_sim._checks import whole
from pdae_sim.errors import InputError
from pdae_sim.study._execute import attempt_all, attempt_in_worker, died, threads_limited
from pdae_sim.study.backends import Backend, Loky, Pool, Serial, cores, drive
from pdae_sim.study.leases import EXPIRY, Leases, running
from pdae_sim.study.spec import Study
from pdae_sim.study.store import Store, has_failed

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Tally:
    """Tasks of a study by state; `running` are those that a living runner holds now."""

    total: int
    finished: int
    failed: int
    running: int = 0


def run(
    study: Study,
    store: Store,
    *,
    workers: int = 1,
    backend: Backend | None = None,
    shard: tuple[int, int] | None = None,
    retry: bool = False,
    threads: int = 1,
    expiry: float = EXPIRY,
) -> Tally:
    """Run what is not finished, then collect the results.

    Args:
        study: The study.
        store: Where finished tasks go; tasks found there are not run again. Other runners may use it meanwhile.
        workers: Worker processes on this machine; one computes in this process.
        backend: Where to compute instead, for example a Dask cluster.
        shard: (i, n) runs the i-th of n parts, i from 1.
        retry: Run again tasks that ended in failure rows.
        threads: Threads of each worker, no more than there are cores to share. Results can depend on this number in
            the last bits, and do not depend on that of workers.
        expiry: Seconds after which another runner that shows no sign of life loses its tasks.
    """
    backend = backend or (Serial() if whole("workers", workers) == 1 else Loky(workers))
    threads = fitting(whole("threads", threads), workers)
    store.prepare(study)
    todo = _todo(study, store, shard, retry)
    log.info("%s: %d tasks, %d to run", study.name, len(study.tasks), len(todo))
    if todo:
        here = isinstance(backend, Serial)
        attempts = attempt_all if here else attempt_in_worker
        call = partial(attempts, study.perform, timeout=study.timeout, threads=threads)
        limits = threads_limited(threads) if here else nullcontext()
        with limits, Leases(store.directory, expiry=expiry) as leases, opened(backend, threads) as pool:
            _Runner(study, store, leases, todo).run(pool, call)
    store.collect(study)
    return tally(study, store)


def fitting(threads: int, workers: int) -> int:
    """So many threads for each worker that all of them together do not outnumber the cores."""
    fits = max(1, min(threads, cores() // workers))
    if fits < threads:
        log.warning("%d workers with %d threads are more than %d cores; using %d", workers, threads, cores(), fits)
    return fits


def tally(study: Study, store: Store) -> Tally:
    """How far a study is."""
    records = [record for key in study.ids if (record := store.record(key)) is not None]
    finished = {record["task_id"] for record in records}
    held = running(store.directory) & set(study.ids) - finished
    return Tally(len(study.tasks), len(records), sum(map(has_failed, records)), len(held))


@contextmanager
def opened(backend: Backend, threads: int) -> Iterator[Pool]:
    """A pool, let go after the block, at once if the block is interrupted."""
    pool = backend.open(threads)
    try:
        yield pool
    except BaseException:
        pool.close(cancel=True)
        raise
    pool.close(cancel=False)


def _todo(study: Study, store: Store, shard: tuple[int, int] | None, retry: bool) -> dict[str, tuple[Mapping, int]]:
    """Tasks to run by key, each with the attempts it has behind it."""
    there = store.finished_ids()
    todo = {}
    for key, task in _part(list(zip(study.ids, study.tasks, strict=True)), shard):
        record = store.record(key) if retry and key in there else None
        if key not in there:
            todo[key] = task, 0
        elif record is not None and has_failed(record):
            todo[key] = task, record["provenance"]["attempts"]
    return todo


def _part(tasks: list, shard: tuple[int, int] | None) -> list:
    if shard is None:
        return tasks
    i, n = shard
    if not 1 <= whole("shard", i) <= whole("shard", n):
        raise InputError(f"shard must be i/n with 1 ≤ i ≤ n; received {i}/{n}")
    return tasks[i - 1 :: n]


@dataclass
class _Runner:
    """One runner at work: claims, performs, writes, and waits for what others hold."""

    study: Study
    store: Store
    leases: Leases
    todo: dict[str, tuple[Mapping, int]]
    waiting: list[str] = field(default_factory=list)

    def run(self, pool: Pool, call: Callable) -> None:
        """Until every task is finished, by whomever."""
        progress, self.waiting = _Progress(self.study.name, len(self.todo)), list(self.todo)
        while self.waiting:
            ids, self.waiting = self.waiting, []
            before = len(ids)
            for key, outcome in drive(pool, call, self._claimed(ids, progress)):
                self._finish(key, outcome, progress)
            if len(self.waiting) == before:
                log.debug("waiting for %d tasks of other runners", before)
                time.sleep(POLL_SECONDS)

    def _claimed(self, ids: list[str], progress: _Progress) -> Iterator[tuple[str, dict]]:
        """Tasks whose lease is ours and that nobody finished meanwhile; what others hold is put off."""
        for key in ids:
            if not self.leases.claim(key):
                self._put_off(key, progress)
            elif self._settled(key):
                self.leases.release(key)
                progress.elsewhere()
            else:
                yield key, dict(self.todo[key][0])

    def _put_off(self, key: str, progress: _Progress) -> None:
        if self._settled(key):
            progress.elsewhere()
        else:
            self.waiting.append(key)

    def _settled(self, key: str) -> bool:
        """Whether somebody has finished the task since this runner began."""
        record = self.store.record(key)
        return record is not None and record["provenance"]["attempts"] > self.todo[key][1]

    def _finish(self, key: str, outcome: object, progress: _Progress) -> None:
        task, attempts = self.todo[key]
        if isinstance(outcome, Exception):
            outcome = died(task, f"{type(outcome).__name__}: {outcome}")
        if self.leases.holds(key):
            self.store.put(key, outcome, attempts=attempts + 1)
            progress.done(outcome.failed)
        else:
            log.warning("task %s was taken over while it ran here; its result is left to the other runner", key)
            self.waiting.append(key)
        self.leases.release(key)


@dataclass
class _Progress:
    """What is told while a study runs: completions, failures, the time left."""

    name: str
    total: int
    completed: int = 0
    others: int = 0
    failed: int = 0
    started: float = field(default_factory=time.monotonic)
    told: float = 0.0

    def elsewhere(self) -> None:
        """A task was finished by another runner."""
        self.others += 1

    def done(self, failed: bool) -> None:
        """A task was finished here."""
        self.completed += 1
        self.failed += failed
        now, left = time.monotonic(), self.total - self.completed - self.others
        if left and not failed and now - self.told < HEARTBEAT_SECONDS:
            return
        self.told = now
        log.info(
            "%s: %d/%d done, %d with failures, about %s left",
            self.name,
            self.completed + self.others,
            self.total,
            self.failed,
            in_words((now - self.started) / self.completed * left),
        )


def in_words(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
