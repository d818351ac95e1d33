"""Commands in processes of their own, forked from this one, which are killed or find no room on the disk."""

from __future__ import annotations

import os
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pdae_sim.cli._app import run

KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Ended:
    """A process that has ended: its status (less than 0: the signal), what it wrote, how long it ran."""

    status: int
    out: str
    err: str
    seconds: float


def forked(arguments: Sequence[str], folder: Path, disturb: Callable[[], None] = lambda: None, kill_at=None):
    """Run `pdae-sim` with arguments in a child of this process, in a folder; kill it after so many seconds."""
    out, err = os.pipe(), os.pipe()  # not files: these have no limit of size
    started = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _run_and_exit(list(map(str, arguments)), folder, (out[1], err[1]), disturb)
    os.close(out[1])
    os.close(err[1])
    said = {out[0]: b"", err[0]: b""}
    while (status := _ended(child)) is None:
        if kill_at is not None and time.monotonic() > started + kill_at:
            os.kill(child, signal.SIGKILL)
        _drain(said, 0.002)
    seconds = time.monotonic() - started
    while _drain(said, 1.0):
        pass
    for descriptor in said:
        os.close(descriptor)
    return Ended(status, *(text.decode(errors="replace") for text in said.values()), seconds)


_CHANGES = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "os.chmod")


def dying_before_change(number: int) -> Callable[[], None]:
    """Kill the process before the n-th time that Python opens a file to write, or makes, renames or removes one."""
    seen = 0

    def hook(event: str, arguments: tuple) -> None:
        nonlocal seen
        written = event == "open" and bool(arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        if written or event in _CHANGES:
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    return lambda: sys.addaudithook(hook)


def with_files_of_at_most(size: int) -> Callable[[], None]:
    """No file can grow beyond a size, as on a disk that is full."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _run_and_exit(arguments: list[str], folder: Path, pipes: tuple[int, int], disturb: Callable[[], None]) -> None:
    status = 99
    try:
        os.chdir(folder)
        for number, pipe in zip((1, 2), pipes, strict=True):
            os.dup2(pipe, number)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        disturb()
        status = run(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _ended(child: int) -> int | None:
    pid, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if pid else None


def _drain(said: dict[int, bytes], wait: float) -> bool:
    """Read what was written to pipes meanwhile; whether anything was."""
    ready, _, _ = select.select(list(said), [], [], wait)
    parts = {descriptor: os.read(descriptor, 2**16) for descriptor in ready}
    for descriptor, part in parts.items():
        said[descriptor] += part
    return any(parts.values())
