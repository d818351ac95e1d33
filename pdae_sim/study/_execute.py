"""Execution of one task, wherever it runs: threads held down, time and memory measured, failures made into rows."""

from __future__ import annotations

import contextvars
import json
import os
import platform
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from pdae_sim._json import plain
from pdae_sim.study._rows import traceback_text
from pdae_sim.study._stopwatch import recorded
from pdae_sim.study.spec import seeds_of

Perform = Callable[[dict], list[dict]]
"""From the description of a task to its rows."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class TaskTimeout(BaseException):
    """A task ran out of time; no `except Exception` inside the task catches it."""


@dataclass(frozen=True)
class ExecutionResult:
    """Rows of one execution of a task, with how they came about.

    Args:
        rows: The rows as JSON text, without the task's name and id.
        failed: Whether a row is a failure.
        provenance: Seconds in all and by part, peak memory, threads, device, versions.
        abandoned: Whether the task was given up and may still compute in a thread of its worker.
    """

    rows: str
    failed: bool
    provenance: Mapping
    abandoned: bool = False

    @property
    def seconds(self) -> float:
        """Wall time of the execution."""
        return self.provenance["seconds"] or 0.0


def execute_all(
    perform: Perform, tasks: Sequence[Mapping], timeout: float | None, threads: int
) -> list[ExecutionResult]:
    """Execute some tasks one after another, in a process that computes with so many threads."""
    return [execute(perform, task, timeout, threads) for task in tasks]


def execute_in_worker(
    perform: Perform, tasks: Sequence[Mapping], timeout: float | None, threads: int
) -> list[ExecutionResult]:
    """Execute some tasks in a worker, which is held to its threads from here on."""
    limit_threads(threads)
    return execute_all(perform, tasks, timeout, threads)


def execute(perform: Perform, task: Mapping, timeout: float | None = None, threads: int = 1) -> ExecutionResult:
    """Perform a task; what goes wrong is rows with traceback and seed.

    A signal ends a task that is out of time in a main thread. In another thread (a Dask worker's) none can: there the
    task gets a thread of its own and is given up, and the worker should be let go, for it may still compute.
    """
    whose, start, begun = reset_peak(), time.perf_counter(), time.process_time()
    with recorded() as parts:
        by_signal = timeout is None or in_main_thread()
        rows = (_rows_in_time if by_signal else _rows_or_abandoned)(perform, task, timeout)
    times = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - begun}
    measured = {key: round(value, 4) for key, value in times.items()} | {"parts": parts, "threads": threads}
    provenance = {**measured, "peak_mib": peak_mib(whose), "memory_of": whose, "device": device(), **versions()}
    late = any(row["status"] == "timeout" for row in rows)
    return ExecutionResult(json.dumps(rows), any(map(_is_failure, rows)), provenance, late and not by_signal)


def _rows_in_time(perform: Perform, task: Mapping, timeout: float | None) -> list[dict]:
    """The rows of a task as plain values, or failure rows."""
    try:
        with _deadline(timeout):
            rows = [_checked({"status": "ok", "error": None, **row}) for row in perform(dict(task))]
        json.dumps(rows, allow_nan=False)
    except TaskTimeout as error:
        return failure_rows(task, "timeout", traceback_text(error))
    except (Exception, SystemExit) as error:
        return failure_rows(task, "failed", traceback_text(error))
    return rows


def _rows_or_abandoned(perform: Perform, task: Mapping, timeout: float | None) -> list[dict]:
    """The rows of a task performed in a thread of its own, or failure rows if it is not done in time."""
    rows: list[dict] = []
    context = contextvars.copy_context()
    call = lambda: rows.extend(context.run(_rows_in_time, perform, task, None))  # noqa: E731
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(timeout)
    if thread.is_alive():
        return failure_rows(task, "timeout", f"stopped after {timeout:g} s")
    return rows


def died(task: Mapping, reason: str) -> ExecutionResult:
    """Failure rows of a task that took its worker with it."""
    rows = failure_rows(task, "died", f"the worker ended before the task did ({reason}); was it out of memory?")
    unknown = dict.fromkeys(("seconds", "cpu_seconds", "parts", "peak_mib", "memory_of", "threads"))
    return ExecutionResult(json.dumps(rows), True, {**unknown, "device": device(), **versions()})


def failure_rows(task: Mapping, status: str, error: str) -> list[dict]:
    """One row per seed of a task that gave none."""
    about = {"scenario": task.get("scenario"), **task.get("columns", {})}
    return [
        {**about, "seed": seed, "metric": None, "value": None, "status": status, "error": error}
        for seed in seeds_of(task)
    ]


def has_failed(record: Mapping) -> bool:
    """Whether the record of a task holds a failure row."""
    return any(map(_is_failure, record["rows"]))


def in_main_thread() -> bool:
    """Whether signals are handled in this thread."""
    return threading.current_thread() is threading.main_thread()


@contextmanager
def _deadline(seconds: float | None) -> Iterator[None]:
    """Raise `TaskTimeout` inside the block of a main thread after so many seconds, and once a second from then on."""
    if seconds is None:
        yield
        return

    def stop(*_: object) -> None:
        raise TaskTimeout(f"stopped after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def threads_limited(threads: int) -> Iterator[None]:
    """Compute with so many threads in the block, and as before after it."""
    import threadpoolctl

    torch, before = sys.modules.get("torch"), {name: os.environ.get(name) for name in THREAD_VARIABLES}
    own = torch.get_num_threads() if torch else None
    with threadpoolctl.threadpool_limits(threads):
        _set_thread_counts(threads)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})
            if torch:
                torch.set_num_threads(own)


@cache
def limit_threads(threads: int) -> None:
    """Let this process, a worker, compute with so many threads from here on."""
    import threadpoolctl

    threadpoolctl.threadpool_limits(threads)
    _set_thread_counts(threads)


def _set_thread_counts(threads: int) -> None:
    """The number of threads for torch, and for libraries that are loaded later."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def reset_peak() -> str:
    """Begin to measure the peak memory anew; says whose peak it will be, the ``task``'s or the whole ``process``'s."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return "process"
    return "task"


def peak_mib(whose: str) -> float:
    """Peak resident memory since `reset_peak`, in MiB."""
    if whose == "task":
        with suppress(OSError, ValueError), open("/proc/self/status") as file:
            return next(round(int(line.split()[1]) / 1024, 1) for line in file if line.startswith("VmHWM"))
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, 1)


@cache
def versions() -> dict[str, str]:
    """Versions of what computes."""
    system = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    return system | {name.replace("-", "_"): _version(name) for name in ("pdae-sim", "numpy", "scipy", "torch")}


def device() -> str:
    """The accelerator in use, else the processor."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.get_device_name()
    return "cpu"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        from pdae_sim import __version__

        return __version__ if name == "pdae-sim" else "absent"


def _checked(row: dict) -> dict:
    """The row as plain values, or a failure row in its place where a number is not finite."""
    values = {key: plain(value) for key, value in row.items()}
    wrong = [key for key, value in row.items() if value is not None and values[key] is None]
    return values | ({"status": "failed", "error": f"{', '.join(wrong)} not finite"} if wrong else {})


def _is_failure(row: Mapping) -> bool:
    return row["status"] != "ok"
