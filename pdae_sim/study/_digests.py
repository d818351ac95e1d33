"""Files that a study rests on, known by their content: the table that it reads, the code that it fits."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pdae_sim.errors import InputError


def digest_of(path: str | Path) -> str:
    """SHA-256 of the content of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_changed(what: str, digest: str, declared: str) -> None:
    """Refuse a file that is not what it was when the study was declared.

    Raises:
        InputError: With what has changed and the fix.
    """
    if digest != declared:
        raise InputError(
            f"{what} has changed since the study was declared (SHA-256 {digest[:12]}…, then {declared[:12]}…); "
            "plan the study anew, or put the file back"
        )
