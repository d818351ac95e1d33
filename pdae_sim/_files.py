"""Files written whole or not at all: each is made beside its place under a name of its own, then renamed."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import signal
import threading
import time
import tomllib
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pdae_sim.errors import InputError

_LARGEST_TOML = 2**22
_LEFT_SECONDS = 3600.0
"""Age at which what a killed process left half-written is removed."""
_LEFT = re.compile(r"\..+\.pdae-sim-[0-9a-f]{32}(\.\w+)?")
"""Names of files and folders under way, as `beside` makes them."""
_NO_SPACE = re.compile(r"no space left|file too large|quota exceeded|errno = (28|27|122)\b", re.IGNORECASE)
"""What libraries that write files say of full disks in exceptions of their own."""


@contextmanager
def whole_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not.

    An interrupt (SIGINT, SIGTERM) inside the block is heeded when the block ends: libraries that write files run
    callbacks in which Python would drop it. What a killed process left half-written is removed by writes an hour later.

    Raises:
        InputError: If `path` exists and `force` is false, also if another process wrote it meanwhile; if its folder is
            missing or not writable, or the disk is full.
    """
    check_target(path, force=force)
    sweep(path.parent)
    with replacing(path, suffix=path.suffix, force=force) as temporary, _interrupts_at_the_end(), writing(path):
        mode = _begin(temporary, path)
        yield temporary
        temporary.chmod(mode)  # some libraries put a file of their own there, which nobody else may read


@contextmanager
def replacing(path: Path, *, suffix: str = "", force: bool = True) -> Iterator[Path]:
    """A temporary path renamed at the end; `whole_file` without its looks at the folder."""
    temporary = beside(path, suffix)
    try:
        yield temporary
        _put(temporary, path, force=force)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def beside(path: Path, suffix: str = "") -> Path:
    """A hidden name in the folder of `path` that nobody else has; what is left there is removed by `sweep`."""
    return path.parent / f".{path.name}.pdae-sim-{uuid.uuid4().hex}{suffix}"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what a system or a library says of a file that it cannot write into one line that names `path`.

    Raises:
        InputError: For what the system says, as of a full disk, also in the words of a library.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if not (isinstance(error, OSError) or _NO_SPACE.search(str(error))):
            raise
        reason = getattr(error, "strerror", None) or str(error).strip().splitlines()[-1][-120:]
        raise InputError(f"{path}: cannot be written ({reason}); make room there, or choose another place") from None


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A hidden folder in that of `path`, there for the block; `sweep` removes it after a kill."""
    folder = beside(path)
    folder.mkdir()
    try:
        yield folder
    finally:
        remove(folder)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A folder under way that takes the name `path` when the block ends, in place of one that is there.

    Raises:
        InputError: If it cannot be written.
    """
    final = path.absolute()
    sweep(final.parent)
    with writing(path), folder_beside(final) as temporary:
        yield temporary
        replace_directory(temporary, final)


def sweep(directory: Path) -> None:
    """Remove what killed processes left half-written in a folder an hour ago or before."""
    with suppress(OSError):
        for left in [each for each in directory.iterdir() if _LEFT.fullmatch(each.name)]:
            with suppress(OSError):  # of another user, say
                if _age(left) > _LEFT_SECONDS:
                    remove(left)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that is in it, as far as can be."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _age(path: Path) -> float:
    """Seconds since a file, or a folder or anything in it, was last written."""
    return time.time() - max(each.lstat().st_mtime for each in (path, *path.rglob("*")))


def _put(temporary: Path, path: Path, *, force: bool) -> None:
    """Give a file its name; one that came there meanwhile is overwritten by `force` alone."""
    if force:
        os.replace(temporary, path)
        return
    try:
        os.link(temporary, path)
    except OSError:  # a file that came meanwhile, a link to nothing, or a file system without links
        refuse_existing(path, force=False)
        os.replace(temporary, path)
    else:
        temporary.unlink()


def replace_directory(new: Path, final: Path) -> None:
    """Give a folder its name; where one is there the two change names, so that one of them is there at every moment.

    `new` holds the old one afterwards, to be removed. Where the system cannot exchange names the old folder is under
    the name of `set_aside` for a moment.

    Raises:
        OSError: If it cannot be done.
    """
    if not final.exists():
        os.rename(new, final)
    elif not _exchanged(new, final):
        aside = set_aside(final)
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(final, aside)
        os.rename(new, final)
        os.rename(aside, new)


def set_aside(final: Path) -> Path:
    """The place of a folder while another takes its name on systems that cannot exchange names; nothing sweeps it."""
    return final.parent / f".{final.name}.old"


def _exchanged(one: Path, other: Path) -> bool:
    """Whether two paths have exchanged their names, in one step, as Linux can."""
    here, exchange = -100, 2
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
        return bool(rename(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)
    except (AttributeError, OSError, TypeError):
        return False


@contextmanager
def claimed(path: Path) -> Iterator[None]:
    """Hold the name `path` for the block, so that two long runs with one output are told apart at the start.

    Nothing is held where the system or its file system has no locks.

    Raises:
        InputError: If another process holds it.
    """
    place = path.parent / f".{path.name}.lock"
    lock = _lock(place, path)
    try:
        yield
    finally:
        if lock is not None:
            place.unlink(missing_ok=True)
            os.close(lock)


def _lock(place: Path, path: Path) -> int | None:
    """A descriptor of `place` that no other process has locked; None where there are no locks."""
    try:
        import fcntl
    except ImportError:
        return None
    while True:
        try:
            descriptor = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if not isinstance(error, BlockingIOError):
                return None
            raise InputError(
                f"{path}: another process is at work on it; wait until it has ended, or choose another name"
            ) from None
        if os.fstat(descriptor).st_nlink:
            return descriptor
        os.close(descriptor)  # whoever held it has removed it meanwhile


def check_target(path: Path, *, force: bool, suffix: str | None = None) -> None:
    """Raise an InputError if `path` cannot be written: it exists, its folder does not, or its suffix is another."""
    if suffix is not None and path.suffix.lower() != suffix:
        raise InputError(f"{path}: a dataset file must end in {suffix}")
    refuse_existing(path, force=force)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; choose another name")
    if not path.parent.is_dir():
        raise _unwritable(path, "No such file or directory")


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise an InputError if `path` exists and `force` is false."""
    if path.exists() and not force:
        raise InputError(f"{path}: already exists; choose another name or pass --force (force=True) to overwrite")


def check_folder(folder: Path, names: Iterable[str], *, force: bool) -> None:
    """Raise an InputError if files of these names cannot be written in a folder, which need not exist yet."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; --out needs a folder")
    for name in names:
        refuse_existing(folder / name, force=force)


def write_text(path: Path, text: str, *, force: bool = False) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path, force=force) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_table(path: Path, rows: Sequence[dict], *, force: bool = False) -> None:
    """Write rows as Parquet, or as CSV where the path ends so, whole or not at all."""
    import pandas as pd

    frame = pd.DataFrame(list(rows))
    with whole_file(path, force=force) as temporary:
        frame.to_csv(temporary, index=False) if path.suffix.lower() == ".csv" else frame.to_parquet(
            temporary, index=False
        )


def _begin(temporary: Path, path: Path) -> int:
    """An empty file for `path` that nobody else has; gives its mode, which is as the umask says."""
    try:
        with open(temporary, "xb") as file:
            return os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise _unwritable(path, error.strerror) from None


def _unwritable(path: Path, reason: str | None) -> InputError:
    return InputError(f"{path}: cannot write in folder {path.parent} ({reason}); make it or choose another")


@contextmanager
def _interrupts_at_the_end() -> Iterator[None]:
    """Hold SIGINT and SIGTERM back until the block ends; elsewhere than in the main thread, do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}
    for number in before:
        signal.signal(number, lambda received, _: caught.append(received))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if signal.SIGINT in caught:
        raise KeyboardInterrupt
    if caught:
        raise SystemExit(128 + caught[0])


def read_toml(path: Path) -> dict[str, Any]:
    """The nested table of a TOML file.

    Raises:
        InputError: If it cannot be read, is too large or no TOML; the caller names the file.
    """
    try:
        if path.stat().st_size > _LARGEST_TOML:
            raise InputError(f"has more than {_LARGEST_TOML >> 20} MiB; a declaration that long is not read")
        return parse_toml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read ({getattr(error, 'strerror', None) or error})") from None


def parse_toml(text: str) -> dict[str, Any]:
    """The nested table of a TOML text.

    Raises:
        InputError: If it is no TOML, or nested too deeply.
    """
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise InputError("not valid TOML: nested too deeply") from None
    except ValueError as error:
        raise InputError(f"not valid TOML: {error}") from None
