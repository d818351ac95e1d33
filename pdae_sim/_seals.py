"""Our own files: read within a limit, and known by a checksum of their content to be as they were written."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

LARGEST_JSON = 2**28
"""Bytes of a JSON file that is read."""

SEAL = "sha256"
"""The field of the checksum."""

Record = TypeVar("Record")


class DamagedError(InputError):
    """A file of our own that is not as it was written."""


def read_json(path: Path, *, fix: str, finite: bool = True) -> Any:
    """What a JSON file of our own holds.

    Args:
        path: The file.
        fix: What to do about a damaged one, for the message.
        finite: Refuse NaN and infinities.

    Raises:
        FileNotFoundError: If there is none.
        DamagedError: If it cannot be read, or is no JSON.
    """
    numbers: dict[str, Any] = {"parse_float": _finite, "parse_constant": _finite} if finite else {}
    with undamaged(path, fix):
        if path.stat().st_size > LARGEST_JSON:
            raise ValueError(f"it has more than {LARGEST_JSON >> 20} MiB")
        return json.loads(path.read_text(encoding="utf-8"), **numbers)


@contextmanager
def undamaged(path: object, fix: str) -> Iterator[None]:
    """Turn whatever a damaged file makes a library raise into one line that names the file and the fix.

    Raises:
        FileNotFoundError, MemoryError: As they come.
        DamagedError: For all else that is no InputError.
    """
    try:
        yield
    except (InputError, FileNotFoundError, MemoryError):
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise DamagedError(f"{path}: is damaged ({reason}); {fix}") from None


def sealed(record: Mapping, *files: Path) -> dict:
    """A record with the checksum of its content and of some files beside it."""
    return {**record, SEAL: _checksum(record, files)}


def unsealed(record: Any, *files: Path, where: object, fix: str, required: bool = False) -> dict:
    """A record as it was before it was `sealed`; one without a checksum, of an older version, unless it is required.

    Raises:
        DamagedError: If it is no mapping, or not as it was when it was sealed.
    """
    if not isinstance(record, dict):
        raise DamagedError(f"{where}: holds no table of values; {fix}")
    content = {key: value for key, value in record.items() if key != SEAL}
    if required and SEAL not in record:
        raise DamagedError(f"{where}: has no checksum; {fix}")
    if SEAL in record and record[SEAL] != _checksum(content, files):
        raise DamagedError(f"{where}: is not as it was written, its checksum says; {fix}")
    return content


def rebuilt(kind: type[Record], state: object) -> Record:
    """A frozen dataclass from plain values, each of the type that its field is declared with.

    Raises:
        ValueError: If a value is missing, unknown or of another type.
    """
    return cast(Record, _reader(cast(Hashable, kind)).validate_python(state))


@cache
def _reader(kind: Any) -> TypeAdapter:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _checksum(record: Mapping, files: tuple[Path, ...]) -> str:
    digest = hashlib.sha256(json.dumps(record, sort_keys=True).encode())
    for path in files:
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} is no finite number")
    return number
