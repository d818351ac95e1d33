"""Where tasks run: in this process, in worker processes (loky), on a Dask cluster, in Slurm jobs.

Each is a pool that takes batches and gives futures back; `drive` keeps every pool busy in the same way, with batches
that grow until they take a moment, so that empty tasks cost little and long ones are shared out one by one.
"""

from __future__ import annotations

import logging
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeVar

from pdae_sim._checks import whole
from pdae_sim.errors import InputError
from pdae_sim.study._execute import THREAD_VARIABLES, Outcome

log = logging.getLogger(__name__)

BATCH_SECONDS = 0.5
MAX_BATCH = 64
MAX_DEATHS = 5
"""Workers lost in a row, without a task done in between, after which the run gives up."""

Job = TypeVar("Job")
Batch = list[dict]
Call = Callable[[Batch], list[Outcome]]


class Pool(Protocol):
    """Somewhere to compute."""

    slots: int
    """Batches to keep under way."""

    def submit(self, call: Call, batch: Batch) -> object:
        """Begin a batch; gives a future."""

    def wait(self, futures: Collection) -> Collection:
        """Block until some futures are done, and give those."""

    def result(self, future: object) -> list[Outcome]:
        """What a finished future holds; raises if its worker died."""

    def close(self, *, cancel: bool) -> None:
        """Let the workers go; with `cancel`, now."""


class Backend(Protocol):
    """How to open a pool: a frozen record of settings."""

    def open(self, threads: int) -> Pool:
        """Start the workers, each to compute with so many threads."""


def drive(pool: Pool, call: Call, jobs: Iterator[tuple[Job, dict]]) -> Iterator[tuple[Job, Outcome | Exception]]:
    """Jobs with what came of them, as they complete; jobs are drawn only when there is room for them.

    Where a worker dies, everything under way is suspected and run again one by one; the one that is alone when its
    worker dies again gets the exception.
    """
    flying: dict[object, list[tuple[Job, dict]]] = {}
    suspects: deque[tuple[Job, dict]] = deque()
    size, deaths, more = 1, 0, True
    while more or flying or suspects:
        alone = bool(suspects) and not flying
        if alone:
            _submit(pool, call, [suspects.popleft()], flying)
        while more and not suspects and not alone and len(flying) < pool.slots:
            batch = list(islice(jobs, size))
            more = bool(batch)
            if batch:
                _submit(pool, call, batch, flying)
        for future in pool.wait(flying) if flying else ():
            batch = flying.pop(future)
            try:
                outcomes = pool.result(future)
            except Exception as error:
                deaths += 1
                _give_up(deaths, error)
                if alone:
                    yield batch[0][0], error
                else:
                    suspects.extend(batch)
                continue
            deaths = 0
            size = _grown(size, outcomes)
            yield from zip((job for job, _ in batch), outcomes, strict=True)


def _submit(pool: Pool, call: Call, batch: list, flying: dict) -> None:
    flying[pool.submit(call, [task for _, task in batch])] = batch


def _grown(size: int, outcomes: list[Outcome]) -> int:
    """The size at which a batch takes `BATCH_SECONDS`, but at most double."""
    each = sum(outcome.seconds for outcome in outcomes) / len(outcomes)
    return max(1, min(2 * size, MAX_BATCH, int(BATCH_SECONDS / max(each, 1e-4))))


def _give_up(deaths: int, error: Exception) -> None:
    log.warning("a worker died: %s", _line(error))
    if deaths >= MAX_DEATHS:
        raise InputError(f"{deaths} workers died one after another ({_line(error)}); run with one worker to see why")


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else 'no message'}"


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Serial:
    """One task after another in this process."""

    def open(self, threads: int) -> Pool:
        """A pool that computes at once."""
        return _SerialPool()


class _SerialPool:
    slots = 1

    def __init__(self) -> None:
        self._done: dict[int, list[Outcome]] = {}

    def submit(self, call: Call, batch: Batch) -> int:
        number = len(self._done)
        self._done = {number: call(batch)}
        return number

    def wait(self, futures: Collection) -> Collection:
        return list(futures)

    def result(self, future: int) -> list[Outcome]:
        return self._done[future]

    def close(self, *, cancel: bool) -> None:
        self._done.clear()


@dataclass(frozen=True)
class Loky:
    """Worker processes on this machine, by joblib's loky."""

    workers: int

    def __post_init__(self) -> None:
        whole("workers", self.workers)

    def open(self, threads: int) -> Pool:
        """Start the workers."""
        return _LokyPool(self.workers, threads)


class _LokyPool:
    def __init__(self, workers: int, threads: int) -> None:
        self.slots = workers + 1 if workers > 1 else 2
        self._start = {
            "max_workers": workers,
            "timeout": 60,
            "env": dict.fromkeys(THREAD_VARIABLES, str(threads)),
            "initializer": ignore_interrupts,
        }
        # loky replaces workers that have grown, as a fit makes them, and warns of it
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        self._executor = self._new()

    def _new(self):
        from joblib.externals.loky import get_reusable_executor

        return get_reusable_executor(**self._start)

    def submit(self, call: Call, batch: Batch) -> object:
        from concurrent.futures import BrokenExecutor

        try:
            return self._executor.submit(call, batch)
        except (BrokenExecutor, RuntimeError):
            self._executor = self._new()
            return self._executor.submit(call, batch)

    def wait(self, futures: Collection) -> Collection:
        from concurrent.futures import FIRST_COMPLETED, wait

        return wait(futures, return_when=FIRST_COMPLETED).done

    def result(self, future) -> list[Outcome]:
        return future.result()

    def close(self, *, cancel: bool) -> None:
        if cancel:
            self._executor.shutdown(wait=True, kill_workers=True)


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the runner, which then stops this worker."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)


@dataclass(frozen=True)
class Dask:
    """A Dask cluster: one that runs at an address, or one started from a class.

    Args:
        address: Of a scheduler, for example ``tcp://head:8786``.
        cluster: ``local`` (processes on this machine) or ``module:Class``, such as ``dask_jobqueue:SLURMCluster``.
        arguments: Of the class.
        workers: How many to start.
    """

    address: str | None = None
    cluster: str = "local"
    arguments: tuple[tuple[str, object], ...] = ()
    workers: int = 2

    def open(self, threads: int) -> Pool:
        """Connect, or start the cluster."""
        distributed = _needed("distributed", "dask")
        if self.address is not None:
            return _DaskPool(distributed.Client(self.address, timeout=30), None, self.workers)
        cluster = self._local(distributed, threads) if self.cluster == "local" else self._started()
        return _DaskPool(distributed.Client(cluster), cluster, self.workers)

    def _local(self, distributed, threads: int):
        environment = dict.fromkeys(THREAD_VARIABLES, str(threads))
        quiet = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
        usual = {"processes": True, "threads_per_worker": 1, "scheduler_kwargs": quiet, "host": "127.0.0.1"}
        given = {**usual, "n_workers": self.workers, "env": environment, **dict(self.arguments)}
        return distributed.LocalCluster(**given)

    def _started(self):
        from pdae_sim.study.estimators import imported

        _needed(self.cluster.partition(":")[0].partition(".")[0], "dask")
        cls = imported(self.cluster)
        try:
            cluster = cls(**dict(self.arguments))
        except (TypeError, ValueError) as error:
            raise InputError(f"arguments of {self.cluster}: {error}") from None
        cluster.scale(self.workers)
        return cluster


class _DaskPool:
    def __init__(self, client, cluster, workers: int) -> None:
        self._client, self._cluster, self.slots = client, cluster, 2 * workers
        self._flying: set = set()

    def submit(self, call: Call, batch: Batch) -> object:
        future = self._client.submit(call, batch, pure=False)
        self._flying.add(future)
        return future

    def wait(self, futures: Collection) -> Collection:
        from distributed import wait

        return list(wait(list(futures), return_when="FIRST_COMPLETED").done)

    def result(self, future) -> list[Outcome]:
        self._flying.discard(future)
        return future.result()

    def close(self, *, cancel: bool) -> None:
        if cancel and self._flying:
            self._client.cancel(list(self._flying), force=True)
        self._client.close()
        if self._cluster is not None:
            self._cluster.close()


@dataclass(frozen=True)
class Slurm:
    """One Slurm job per batch, by submitit.

    Args:
        folder: For the jobs' scripts and logs; shared with the nodes.
        jobs: Jobs to keep in the queue at once.
        executor: ``slurm``, or ``local`` to try it without a cluster.
        parameters: Of submitit's executor, for example ``timeout_min``, ``slurm_partition``, ``mem_gb``.
    """

    folder: str
    jobs: int = 50
    executor: str = "slurm"
    parameters: tuple[tuple[str, object], ...] = ()

    def open(self, threads: int) -> Pool:
        """Make the executor."""
        submitit = _needed("submitit", "slurm")
        try:
            executor = submitit.AutoExecutor(folder=self.folder, cluster=self.executor)
            executor.update_parameters(**{"cpus_per_task": threads, **dict(self.parameters)})
        except (RuntimeError, ValueError, TypeError, NameError) as error:
            raise InputError(f"slurm: {_line(error)}") from None
        return _SlurmPool(executor, self.jobs)


class _SlurmPool:
    def __init__(self, executor, jobs: int, pause: float = 0.5) -> None:
        self._executor, self.slots, self._pause = executor, jobs, pause
        self._flying: set = set()

    def submit(self, call: Call, batch: Batch) -> object:
        job = self._executor.submit(call, batch)
        self._flying.add(job)
        return job

    def wait(self, futures: Collection) -> Collection:
        while not (done := [job for job in futures if job.done()]):
            time.sleep(self._pause)
        return done

    def result(self, job) -> list[Outcome]:
        self._flying.discard(job)
        return job.result()

    def close(self, *, cancel: bool) -> None:
        for job in self._flying if cancel else ():
            job.cancel()


def _needed(module: str, extra: str):
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(f"{module} is not installed; install it with pip install 'pdae-sim[{extra}]'") from None
