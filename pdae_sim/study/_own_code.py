"""Estimators of a user's own, ``module:Class``: found, imported, and known by the content of their file."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.machinery import PathFinder
from pathlib import Path

from pdae_sim._checks import imported
from pdae_sim.errors import InputError
from pdae_sim.study._digests import digest_of, refuse_changed


def is_own(kind: str) -> bool:
    """Whether a kind is ``module:Class``, code of a user's own; what is written otherwise with a colon is refused."""
    module, colon, name = kind.partition(":")
    if colon and not (name.isidentifier() and all(map(str.isidentifier, module.split(".")))):
        raise InputError(f"{kind!r} names no class that can be imported; write module:Class")
    return bool(colon)


def own_class(path: str) -> type:
    """The class that ``module:Class`` names, imported.

    Raises:
        InputError: If it cannot be, or is no class with `fit` and `sample`.
    """
    found = imported(path)
    if not (inspect.isclass(found) and all(callable(getattr(found, name, None)) for name in ("fit", "sample"))):
        raise InputError(f"{path!r} is no class with fit(data) and sample(label, n, rng=…); name one")
    return found


def code_of(kinds: Iterable[str]) -> dict[str, str]:
    """SHA-256 of the file of every class of a user's own, by its kind: found, not imported, or left out."""
    found = {kind: _source(kind.partition(":")[0]) for kind in kinds if is_own(kind)}
    return {kind: digest_of(path) for kind, path in found.items() if path}


def check_code(declared: Mapping[str, str]) -> None:
    """Refuse code that is not what it was when the study was declared.

    Raises:
        InputError: With the class and the fix.
    """
    for kind, digest in code_of(declared).items():
        refuse_changed(f"the code of {kind}", digest, declared[kind])


def _source(module: str) -> Path | None:
    """The file of a module, in the working folder or where Python looks for it."""
    places: Sequence[str] | None = [*sys.path, os.getcwd()]
    spec = None
    for end in range(1, module.count(".") + 2):
        spec = PathFinder.find_spec(".".join(module.split(".")[:end]), places)
        if spec is None:
            return None
        places = spec.submodule_search_locations
    path = Path(spec.origin) if spec and spec.origin else None
    return path if path and path.is_file() else None
