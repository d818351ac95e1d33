"""Back ends: tasks in this process, in worker processes (loky), on a Dask cluster, in Slurm jobs.

Each opens a pool that takes batches of tasks; every pool is kept busy in the same way, with batches that grow until
they take a moment, so that empty tasks cost little and long ones are shared out one by one.
"""

from __future__ import annotations

import importlib
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Collection, Hashable
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Protocol, TypeVar

from pdae_sim._checks import imported, whole
from pdae_sim.errors import InputError
from pdae_sim.study._driving import Batch, Call, first_line
from pdae_sim.study._execute import THREAD_VARIABLES, ExecutionResult

if TYPE_CHECKING:
    from concurrent.futures import Future

    from distributed import Client, LocalCluster
    from submitit import Executor, Job

_log = logging.getLogger(__name__)
_Handle = TypeVar("_Handle", bound=Hashable)


class WorkerPool(Protocol[_Handle]):
    """Workers that take batches; a handle stands for a batch under way."""

    slots: int
    """Batches to keep under way."""

    def submit(self, call: Call, batch: Batch) -> _Handle:
        """Begin a batch."""

    def wait(self, handles: Collection[_Handle]) -> Collection[_Handle]:
        """Block until some batches are done, and give those."""

    def result(self, handle: _Handle) -> list[ExecutionResult]:
        """Results of a batch that is done; raises if its worker died."""

    def close(self, *, cancel: bool) -> None:
        """Let the workers go; with `cancel`, now."""


class Backend(Protocol):
    """Settings from which a pool is opened."""

    def open(self, threads: int) -> WorkerPool:
        """Start the workers, each to compute with so many threads."""


@dataclass(frozen=True)
class Serial:
    """One task after another in this process.

    Example:
        >>> Serial().open(threads=1).slots
        1
    """

    def open(self, threads: int) -> WorkerPool[int]:
        """A pool that computes at once."""
        return _SerialPool()


class _SerialPool:
    slots = 1

    def __init__(self) -> None:
        self._done: list[ExecutionResult] = []

    def submit(self, call: Call, batch: Batch) -> int:
        self._done = call(batch)
        return 0

    def wait(self, handles: Collection[int]) -> Collection[int]:
        return list(handles)

    def result(self, handle: int) -> list[ExecutionResult]:
        return self._done

    def close(self, *, cancel: bool) -> None:
        self._done = []


@dataclass(frozen=True)
class Loky:
    """Worker processes on this machine, by joblib's loky.

    Args:
        workers: How many.

    Example:
        >>> Loky(2).workers
        2
    """

    workers: int

    def __post_init__(self) -> None:
        whole("workers", self.workers)

    def open(self, threads: int) -> WorkerPool[Future]:
        """Start the workers."""
        return _LokyPool(self.workers, threads)


class _LokyPool:
    def __init__(self, workers: int, threads: int) -> None:
        from joblib.externals.loky import get_reusable_executor

        self.slots = workers + 1 if workers > 1 else 2
        environment = dict.fromkeys(THREAD_VARIABLES, str(threads))
        # loky replaces workers that have grown, as a fit makes them, and warns of it
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        self._open = lambda: get_reusable_executor(
            max_workers=workers, timeout=60, env=environment, initializer=_follow, initargs=(os.getpid(),)
        )
        self._executor = self._open()

    def submit(self, call: Call, batch: Batch) -> Future:
        from concurrent.futures import BrokenExecutor

        try:
            return self._executor.submit(call, batch)
        except (BrokenExecutor, RuntimeError):
            self._executor = self._open()
            return self._executor.submit(call, batch)

    def wait(self, handles: Collection[Future]) -> Collection[Future]:
        from concurrent.futures import FIRST_COMPLETED, wait

        return wait(handles, return_when=FIRST_COMPLETED).done

    def result(self, handle: Future) -> list[ExecutionResult]:
        return handle.result()

    def close(self, *, cancel: bool) -> None:
        if cancel:
            self._executor.shutdown(wait=True, kill_workers=True)


def _follow(runner: int) -> None:
    """Leave Ctrl-C to the runner, which then stops this worker, and end when the runner was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(runner,), daemon=True).start()


def _end_with(runner: int) -> None:
    while os.getppid() == runner:
        time.sleep(0.5)
    os._exit(1)


@dataclass(frozen=True)
class Dask:
    """A Dask cluster: one that runs at an address, or one started from a class.

    A task that is out of time counts as a failure at once, and its worker is restarted by its nanny. A worker without
    one (``--no-nanny``) is not, so that the task goes on there beside those that follow.

    Args:
        address: Of a scheduler, for example ``tcp://head:8786``.
        cluster: ``local`` (processes on this machine) or ``module:Class``, such as ``dask_jobqueue:SLURMCluster``.
        arguments: Arguments of the class.
        workers: How many to start.

    Example:
        >>> Dask("tcp://head:8786") == Dask(address="tcp://head:8786", workers=2)
        True
    """

    address: str | None = None
    cluster: str = "local"
    arguments: tuple[tuple[str, object], ...] = ()
    workers: int = 2

    def open(self, threads: int) -> WorkerPool[Hashable]:
        """Connect, or start the cluster."""
        distributed = _needed("distributed", "dask")
        if self.address is not None:
            return _DaskPool(distributed.Client(self.address, timeout=30), None, self.workers)
        cluster = self._local(distributed, threads) if self.cluster == "local" else self._started()
        return _DaskPool(distributed.Client(cluster), cluster, self.workers)

    def _local(self, distributed: ModuleType, threads: int) -> LocalCluster:
        environment = dict.fromkeys(THREAD_VARIABLES, str(threads))
        quiet = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
        usual = {"processes": True, "threads_per_worker": 1, "scheduler_kwargs": quiet, "host": "127.0.0.1"}
        settings = {**usual, "n_workers": self.workers, "env": environment, **dict(self.arguments)}
        return distributed.LocalCluster(**settings)

    def _started(self) -> LocalCluster:
        _needed(self.cluster.partition(":")[0].partition(".")[0], "dask")
        cls = imported(self.cluster)
        try:
            cluster = cls(**dict(self.arguments))
        except (TypeError, ValueError) as error:
            raise InputError(f"arguments of {self.cluster}: {error}") from None
        cluster.scale(self.workers)
        return cluster


class _DaskPool:
    def __init__(self, client: Client, cluster: LocalCluster | None, workers: int) -> None:
        self._client, self._cluster, self.slots = client, cluster, 2 * workers
        self._flying: set[Hashable] = set()

    def submit(self, call: Call, batch: Batch) -> Hashable:
        future = self._client.submit(call, batch, pure=False)
        self._flying.add(future)
        return future

    def wait(self, handles: Collection[Hashable]) -> Collection[Hashable]:
        from distributed import wait

        return list(wait(list(handles), return_when="FIRST_COMPLETED").done)

    def result(self, handle: Hashable) -> list[ExecutionResult]:
        self._flying.discard(handle)
        holders = self._client.who_has([handle])
        results = self._client.gather(handle)
        if any(result.abandoned for result in results):
            self._restart([address for held in holders.values() for address in held])
        return results

    def _restart(self, workers: list[str]) -> None:
        """Let workers go that still compute for a task that was given up."""
        try:
            self._client.restart_workers(workers, raise_for_error=False)
        except (ValueError, OSError, RuntimeError) as error:
            _log.warning("a task that was given up may still compute: %s", first_line(error))

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
        parameters: Settings of submitit's executor, for example ``timeout_min``, ``slurm_partition``, ``mem_gb``.

    Example:
        >>> Slurm("logs", parameters=(("timeout_min", 60),)).jobs
        50
    """

    folder: str
    jobs: int = 50
    executor: str = "slurm"
    parameters: tuple[tuple[str, object], ...] = ()

    def open(self, threads: int) -> WorkerPool[Job]:
        """Make the executor."""
        submitit = _needed("submitit", "slurm")
        try:
            executor = submitit.AutoExecutor(folder=self.folder, cluster=self.executor)
            executor.update_parameters(**{"cpus_per_task": threads, **dict(self.parameters)})
        except (RuntimeError, ValueError, TypeError, NameError) as error:
            raise InputError(f"slurm: {first_line(error)}") from None
        return _SlurmPool(executor, self.jobs)


class _SlurmPool:
    def __init__(self, executor: Executor, jobs: int, pause: float = 0.5) -> None:
        self._executor, self.slots, self._pause = executor, jobs, pause
        self._flying: set[Job] = set()

    def submit(self, call: Call, batch: Batch) -> Job:
        job = self._executor.submit(call, batch)
        self._flying.add(job)
        return job

    def wait(self, handles: Collection[Job]) -> Collection[Job]:
        while not (done := [job for job in handles if job.done()]):
            time.sleep(self._pause)
        return done

    def result(self, handle: Job) -> list[ExecutionResult]:
        self._flying.discard(handle)
        return handle.result()

    def close(self, *, cancel: bool) -> None:
        for job in self._flying if cancel else ():
            job.cancel()


def _needed(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(f"{module} is not installed; install it with pip install 'pdae-sim[{extra}]'") from None
