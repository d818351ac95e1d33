"""One runner a folder: a lock of the operating system, which is given back however its process ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pdae_sim.errors import InputError

WAIT_SECONDS = 1.0
"""How long a runner tries: `status` and `report` hold the lock for a moment."""


class FolderInUseError(InputError):
    """A folder in which another runner is at work."""


@contextmanager
def locked(directory: Path, *, wait: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold a study's folder for the block.

    Raises:
        FolderInUseError: If another process holds it.
        InputError: If the file system cannot lock files.
    """
    lock = FileLock(directory / ".lock")
    try:
        lock.acquire(timeout=wait, poll_interval=0.05)
    except Timeout:
        raise FolderInUseError(
            f"{directory}: another runner is at work in this folder; wait until it has ended, or share the work: run "
            "with --shard i/n into another folder, then merge"
        ) from None
    except (OSError, NotImplementedError) as error:
        raise InputError(f"{directory}: files cannot be locked there ({error}); put the folder elsewhere") from None
    try:
        yield
    finally:
        lock.release()


def in_use(directory: Path) -> bool:
    """Whether a runner is at work in a study's folder now."""
    try:
        with locked(directory, wait=0.0):
            return False
    except FolderInUseError:
        return True
