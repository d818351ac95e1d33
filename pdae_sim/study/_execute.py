"""One attempt at a task, wherever it runs: threads held down, time and memory measured, failures made into rows."""

from __future__ import annotations

import ctypes
import json
import math
import os
import platform
import re
import resource
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata

from pdae_sim.study._stopwatch import recorded
from pdae_sim.study.spec import seeds_of

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


class TaskTimeout(BaseException):
    """A task ran out of time; no `except Exception` inside the task catches it."""


@dataclass(frozen=True)
class Outcome:
    """What came of one attempt.

    Args:
        rows: The rows as JSON text, without the task's name and id.
        failed: Whether a row is a failure.
        provenance: Seconds in all and by part, peak memory, threads, device, versions.
    """

    rows: str
    failed: bool
    provenance: Mapping

    @property
    def seconds(self) -> float:
        """Wall time of the attempt."""
        return self.provenance["seconds"] or 0.0


def attempt_all(perform: Callable, tasks: Sequence[Mapping], timeout: float | None, threads: int) -> list[Outcome]:
    """Attempt some tasks one after another, in a process that computes with so many threads."""
    return [attempt(perform, task, timeout, threads) for task in tasks]


def attempt_in_worker(
    perform: Callable, tasks: Sequence[Mapping], timeout: float | None, threads: int
) -> list[Outcome]:
    """As `attempt_all`, in a worker, which is held to its threads from here on."""
    limit_threads(threads)
    return attempt_all(perform, tasks, timeout, threads)


def attempt(perform: Callable, task: Mapping, timeout: float | None = None, threads: int = 1) -> Outcome:
    """Perform a task; what goes wrong is rows with traceback and seed."""
    whose, start, begun = reset_peak(), time.perf_counter(), time.process_time()
    with recorded() as parts:
        text, failed = _performed(perform, task, timeout)
    times = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - begun}
    measured = {key: round(value, 4) for key, value in times.items()} | {"parts": parts}
    measured |= {"peak_mib": peak_mib(whose), "memory_of": whose, "threads": threads}
    return Outcome(text, failed, {**measured, "device": device(), **versions()})


def _performed(perform: Callable, task: Mapping, timeout: float | None) -> tuple[str, bool]:
    """The rows of a task as JSON, and whether one of them is a failure."""
    try:
        with deadline(timeout):
            rows = [_checked({"status": "ok", "error": None, **row}) for row in perform(dict(task))]
        text = json.dumps(rows, allow_nan=False, default=_plain)
    except TaskTimeout as error:
        rows = failure_rows(task, "timeout", _told(error))
        text = json.dumps(rows)
    except Exception as error:
        rows = failure_rows(task, "failed", _told(error))
        text = json.dumps(rows)
    return text, any(row["status"] != "ok" for row in rows)


def died(task: Mapping, reason: str) -> Outcome:
    """The outcome of a task that took its worker with it."""
    rows = failure_rows(task, "died", f"the worker ended before the task did ({reason}); was it out of memory?")
    unknown = dict.fromkeys(("seconds", "cpu_seconds", "parts", "peak_mib", "memory_of", "threads"))
    return Outcome(json.dumps(rows), True, {**unknown, "device": device(), **versions()})


def failure_rows(task: Mapping, status: str, error: str) -> list[dict]:
    """One row per seed of a task that gave none."""
    about = {"scenario": task.get("scenario"), **task.get("columns", {})}
    return [
        {**about, "seed": seed, "metric": None, "value": None, "status": status, "error": error}
        for seed in seeds_of(task)
    ]


@contextmanager
def deadline(seconds: float | None) -> Iterator[None]:
    """Raise `TaskTimeout` inside the block after so many seconds, and once a second from then on.

    In a main thread by a timer signal; elsewhere (a Dask worker) by an exception that Python raises between two of its
    instructions, so that a call that never returns to Python is not stopped there.
    """
    if seconds is None:
        yield
    elif threading.current_thread() is threading.main_thread():
        yield from _by_signal(seconds)
    else:
        yield from _by_thread(seconds)


def _by_signal(seconds: float) -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TaskTimeout(f"stopped after {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def _by_thread(seconds: float) -> Iterator[None]:
    over, ident = threading.Event(), ctypes.c_ulong(threading.get_ident())
    raised = type("TaskTimeout", (TaskTimeout,), {"__str__": lambda _: f"stopped after {seconds:g} s"})
    lock = threading.Lock()

    def watch() -> None:
        wait = seconds
        while not over.wait(wait):
            with lock:
                if not over.is_set():
                    ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(raised))
            wait = 1.0

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        with lock:
            over.set()
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, None)


@contextmanager
def threads_limited(threads: int) -> Iterator[None]:
    """Compute with so many threads in the block, and as before after it."""
    import threadpoolctl

    torch, before = sys.modules.get("torch"), {name: os.environ.get(name) for name in THREAD_VARIABLES}
    own = torch.get_num_threads() if torch else None
    with threadpoolctl.threadpool_limits(threads):
        _tell(threads)
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
    _tell(threads)


def _tell(threads: int) -> None:
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
    found = {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    return found | {name.replace("-", "_"): _version(name) for name in ("pdae-sim", "numpy", "scipy", "torch")}


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


def _told(error: BaseException) -> str:
    """The traceback, without addresses in memory, which differ from run to run."""
    return re.sub(r"0x[0-9a-fA-F]{6,}", "0x…", "".join(traceback.format_exception(error)))


def _checked(row: dict) -> dict:
    """The row with plain numbers, or a failure row in its place where a number is not finite."""
    row = {key: _plain(value) if hasattr(value, "item") else value for key, value in row.items()}
    wrong = [key for key, value in row.items() if isinstance(value, float) and not math.isfinite(value)]
    if not wrong:
        return row
    return row | dict.fromkeys(wrong) | {"status": "failed", "error": f"{', '.join(wrong)} not finite"}


def _plain(value: object) -> object:
    """A numpy or torch scalar as a plain number."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"a row holds {type(value).__name__}, which is no plain value")
