"""Leases on tasks: two runners on one shared folder never do a task twice, and a dead runner's tasks are done again.

A runner writes one file about itself and touches it as a heartbeat. A lease is a hard link to that file, so that one
touch renews all of its leases, a lease is never seen half-written, and making one fails where it exists. A lease is
dead when its runner is known to be gone (same machine, no such process) or its heartbeat is older than the expiry, by
the clock of the file system. Dead leases stay where they are; the next generation is linked beside them, and counts
only if nothing but leases already judged dead stands beside it: whoever comes second sees whoever came first.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from pdae_sim.errors import InputError

log = logging.getLogger(__name__)

EXPIRY = 60.0
"""Seconds without a heartbeat after which a runner counts as gone."""


class Leases:
    """The leases that one runner holds in a store; a context, which releases them all.

    Args:
        directory: The store's folder.
        expiry: Seconds without a heartbeat after which a lease may be taken over.
    """

    def __init__(self, directory: Path, *, expiry: float = EXPIRY) -> None:
        self.leases, self.runners = directory / "leases", directory / "runners"
        self.expiry, self.token = expiry, uuid.uuid4().hex
        self._own = self.runners / self.token
        self._held: dict[str, list[Path]] = {}
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Leases:
        self.leases.mkdir(parents=True, exist_ok=True)
        self.runners.mkdir(exist_ok=True)
        for other in list(self.runners.iterdir()):
            if not alive(other, self.expiry):
                other.unlink(missing_ok=True)
        self._own.write_text(json.dumps({"token": self.token, **identity()}), encoding="utf-8")
        self._beating.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._beating.join()
        for task in list(self._held):
            self.release(task)
        for path in _files(self.leases):  # one that was taken when an interrupt came, and not yet written down
            if _token(path) == self.token:
                path.unlink(missing_ok=True)
        self._own.unlink(missing_ok=True)

    def claim(self, task: str) -> bool:
        """Take the lease of a task, if nobody alive holds it."""
        standing = self._standing(task)
        if any(self._alive(path) for path in standing):
            return False
        mine = self.leases / f"{task}.{1 + max((_generation(path) for path in standing), default=-1)}"
        try:
            os.link(self._own, mine)
        except FileExistsError:
            return False
        except OSError as error:
            raise InputError(f"{self.leases}: cannot link files ({error.strerror}); put the store elsewhere") from None
        if any(standing.get(path) != token for path, token in self._standing(task).items() if path != mine):
            mine.unlink(missing_ok=True)
            return False
        if standing:
            log.warning("took over task %s from a runner that is gone", task)
        self._held[task] = [mine, *sorted(standing, key=_generation, reverse=True)]
        return True

    def holds(self, task: str) -> bool:
        """Whether the lease is still this runner's: nobody took it over while it slept."""
        mine, *dead = self._held[task]
        return set(self._standing(task)) <= {mine, *dead} and _token(mine) == self.token

    def release(self, task: str) -> None:
        """Give a lease back."""
        for path in self._held.pop(task, ()):
            path.unlink(missing_ok=True)

    def _standing(self, task: str) -> dict[Path, str | None]:
        """Leases of a task with the tokens of their runners."""
        names = [name for name in os.listdir(self.leases) if name.partition(".")[0] == task]
        return {self.leases / name: _token(self.leases / name) for name in names}

    def _alive(self, path: Path) -> bool:
        with suppress(OSError):
            os.utime(self._own)
            return alive(path, self.expiry, now=self._own.stat().st_mtime)
        return True  # it went while we looked: whoever held it may just have finished

    def _beat(self) -> None:
        while not self._over.wait(self.expiry / 4):
            with suppress(OSError):
                os.utime(self._own)


def alive(path: Path, expiry: float = EXPIRY, *, now: float | None = None) -> bool:
    """Whether the runner behind a lease, or a runner's own file, is still there."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        age = (time.time() if now is None else now) - path.stat().st_mtime
    except FileNotFoundError:
        return now is not None
    except ValueError:
        return True
    here = identity()
    gone = about["machine"] == here["machine"] and _born(about["pid"]) != about["born"]
    return not gone and age <= expiry


def running(directory: Path) -> set[str]:
    """Ids of the tasks that a living runner holds."""
    return {path.name.partition(".")[0] for path in _files(directory / "leases") if alive(path)}


def identity() -> dict:
    """This process: its machine, boot and process namespace in one word; its number; when it was born."""
    return {"machine": _machine(), "pid": os.getpid(), "born": _born(os.getpid())}


@cache
def _machine() -> str:
    boot, space = Path("/proc/sys/kernel/random/boot_id"), "/proc/self/ns/pid"
    try:
        return f"{socket.gethostname()} {boot.read_text().strip()} {os.readlink(space)}"
    except OSError:
        return f"{socket.gethostname()} {uuid.getnode()}"


def _born(pid: int) -> str | None:
    """Something that tells a process from a later one of the same number; None where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except FileNotFoundError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"


def _generation(path: Path) -> int:
    return int(path.name.partition(".")[2])


def _token(path: Path) -> str | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))["token"]
    except FileNotFoundError:
        return None


def _files(directory: Path) -> Iterator[Path]:
    return iter(sorted(directory.iterdir()) if directory.is_dir() else ())
