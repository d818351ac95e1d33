"""The one boundary of a command: what it may raise, the line that is said of it and the status it ends with.

What a library throws at odd input is told in a line like bad input of our own. What nobody foresaw is a bug, and goes
with its traceback to a file to send.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import sys
import tempfile
import traceback
from collections.abc import Sequence

from pdae_sim import __version__
from pdae_sim.cli._options import on_command_line
from pdae_sim.errors import InputError, TrainingError

FINE, BAD_INPUT, BUG, INTERRUPTED = 0, 2, 4, 130

_NO_MEMORY = re.compile(r"out of memory|allocate memory|enough memory|bad_alloc|ALLOC_FAILED", re.IGNORECASE)
_LESS = "ask for less at a time (cells, features, draws, repetitions), or use a machine with more"
_READERS = frozenset(
    {"safetensors", "safetensors_rust", "h5py", "pyarrow", "json", "tomllib", "zipfile", "zlib", "gzip", "anndata"}
)
"""Libraries that read files: what they raise is told of what they were given."""
_DAMAGED = "a file that was given is damaged, or not of the kind that is expected"
_EXTREME = "a number is too large, too small or too close to another to be computed with; rescale the input"


def told(error: Exception) -> tuple[str, int] | None:
    """The line for an exception and the status; None where nothing foresees it."""
    if isinstance(error, (InputError, TrainingError)):
        return on_command_line(str(error)), BAD_INPUT
    if isinstance(error, OSError):
        return f"{error.filename or 'file'}: {error.strerror or error}", BAD_INPUT
    if _is_out_of_memory(error):
        return f"out of memory: {first_line(error)}; {_LESS}", BAD_INPUT
    reason = f"{type(error).__name__}: {first_line(error)}"
    if isinstance(error, UnicodeError) or _library(error) in _READERS:
        return f"{_DAMAGED} ({reason})", BAD_INPUT
    if isinstance(error, RecursionError):
        return f"the input is nested too deeply ({reason})", BAD_INPUT
    if isinstance(error, (OverflowError, FloatingPointError)) or type(error).__name__ in ("LinAlgError", "ArpackError"):
        return f"{_EXTREME} ({reason})", BAD_INPUT
    return None


def told_of_bug(error: Exception, arguments: Sequence[str]) -> str:
    """The line for a bug, its traceback kept in a file."""
    text = "".join(
        [
            f"pdae_sim {__version__}, Python {platform.python_version()}, {platform.platform()}\n",
            f"arguments: {list(arguments)}\n\n",
            *traceback.format_exception(error),
        ]
    )
    what = f"{type(error).__name__}: {first_line(error)}"
    try:
        handle, path = tempfile.mkstemp(prefix="pdae-sim-", suffix=".txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError:
        sys.stderr.write(text)
        path = "the traceback above"
    return f"this is a bug, not your input ({what}); please send {path} with what you did"


def first_line(error: Exception) -> str:
    """The first line of a message, without the full stop."""
    return (str(error).strip().splitlines() or ["no more is known"])[0].rstrip(".")[:300]


def complain(message: str, status: int) -> int:
    """Write a line on standard error; gives the status."""
    logging.getLogger(__name__).debug("failed", exc_info=True)
    sys.stderr.write("error: " + " ".join(message.split()) + "\n")
    return status


def _is_out_of_memory(error: Exception) -> bool:
    """Whether Python, numpy or torch found no memory; torch says so of the CPU by a bare RuntimeError."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error))))


def _library(error: Exception) -> str:
    return type(error).__module__.partition(".")[0]
