"""Files written whole or not at all: each is made beside its place under a name of its own, then renamed."""

from __future__ import annotations

import glob
import os
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


@contextmanager
def whole_file(path: Path, *, force: bool = False) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not.

    An interrupt (SIGINT, SIGTERM) inside the block is heeded when the block ends: libraries that write files run
    callbacks in which Python would drop it. What a killed process left of `path` is removed by a write an hour later.

    Raises:
        InputError: If `path` exists and `force` is false, or its folder is missing or not writable.
    """
    check_target(path, force=force)
    sweep(path.parent, f".{glob.escape(path.name)}.*{path.suffix}")
    with replacing(path, suffix=path.suffix) as temporary, _interrupts_at_the_end():
        mode = _begin(temporary, path)
        yield temporary
        temporary.chmod(mode)  # some libraries put a file of their own there, which nobody else may read


@contextmanager
def replacing(path: Path, *, suffix: str = "") -> Iterator[Path]:
    """A temporary path renamed at the end, over whatever is there; `whole_file` without its looks at the folder."""
    temporary = path.parent / f".{path.name}.{uuid.uuid4().hex}{suffix}"
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def sweep(directory: Path, pattern: str) -> None:
    """Remove what killed processes left half-written in a folder under names like `pattern`, an hour ago or before."""
    for left in directory.glob(pattern):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
                left.unlink()


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
