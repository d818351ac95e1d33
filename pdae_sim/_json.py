"""Records, arrays and numbers as plain JSON values: the one way from a result to a file or to standard output."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path


def plain(value: object) -> object:
    """Plain JSON values: dictionaries, lists, text, numbers, booleans and null.

    Args:
        value: A record with a method `to_json`, a mapping, a sequence, a numpy array or scalar, a path, or a plain
            value.

    Returns:
        The value with mappings as dictionaries by text, sequences and arrays as lists, and numbers that are not finite
        as null.
    """
    if hasattr(value, "to_json"):
        return plain(value.to_json())
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(entry) for entry in (sorted(value) if isinstance(value, (set, frozenset)) else value)]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
