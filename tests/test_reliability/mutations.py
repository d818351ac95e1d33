"""Mutations of files, and what became of each: read as before, refused in a line, or a fault.

The seed of a campaign and its size are read from ``PDAE_SIM_CAMPAIGN_SEED`` and ``PDAE_SIM_CAMPAIGN``.
"""

from __future__ import annotations

import copy
import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from pdae_sim.errors import InputError, TrainingError

SEED = int(os.environ.get("PDAE_SIM_CAMPAIGN_SEED", "0"))
SIZE = int(os.environ.get("PDAE_SIM_CAMPAIGN", "2000"))

FOREIGN = (b"", b"{}", b"[]", b"null", b"\xff\xfe\x00bad", b"PK\x03\x04 a zip", b"[" * 100_000, b'"text"', b"1", b"NaN")
ODD = (None, True, -1, 0, 1.5, 1e308, float("nan"), float("inf"), "", "text", [], {}, [[]], [None], {"a": 1}, 2**70)


@dataclass
class Tally:
    """Mutations by what became of them."""

    clean: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        tried = self.clean + self.refused + len(self.faults)
        return f"tried {tried}, clean {self.clean}, refused {self.refused}, faults {len(self.faults)}"

    def judge(self, name: str, read: Callable[[], object], same: Callable[[object], str | None]) -> None:
        """Read what was mutated; `same` says what is wrong with it, if it was accepted."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                found = read()
                wrong = same(found)
        except (InputError, TrainingError) as error:
            if "\n" in str(error).strip():
                self.faults.append(f"{name}: several lines: {error}")
            self.refused += "\n" not in str(error).strip()
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            self.faults.append(f"{name}: {type(error).__name__}: {error}"[:300])
        else:
            self.faults.append(f"{name}: {wrong}") if wrong else None
            self.clean += not wrong


def mutated_bytes(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """A file cut, changed in a byte or some, lengthened, or replaced by another."""
    n, kind = len(content), rng.integers(8)
    at = int(rng.integers(max(n, 1)))
    if kind == 0:
        return f"cut at {at}", content[:at]
    if kind == 1:
        other = FOREIGN[rng.integers(len(FOREIGN))]
        return f"replaced by {other[:20]!r}", other
    if kind == 2:
        end = min(n, at + int(rng.integers(1, 64)))
        return f"zeros at {at}:{end}", content[:at] + bytes(end - at) + content[end:]
    if kind == 3:
        noise = rng.bytes(int(rng.integers(1, 16)))
        return f"{noise!r} inserted at {at}", content[:at] + noise + content[at:]
    if kind == 4:
        return "bytes after the end", content + rng.bytes(int(rng.integers(1, 64)))
    changed = bytearray(content)
    changed[at : at + 1] = bytes([changed[at] ^ (1 << int(rng.integers(8)))]) if kind < 7 else rng.bytes(1)
    return f"byte {at} changed", bytes(changed)


def places(tree: object, path: tuple = ()) -> Iterator[tuple]:
    """Paths of all entries of a nested value."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from places(value, (*path, key))


def mutated_tree(tree: object, rng: np.random.Generator) -> tuple[str, object]:
    """A nested value with one entry gone, of another kind, of another size, or under another name."""
    tree = copy.deepcopy(tree)
    all_places = list(places(tree))
    *above, last = all_places[rng.integers(len(all_places))]
    inner = tree
    for key in above:
        inner = inner[key]
    name, value, kind = ".".join(map(str, (*above, last))), inner[last], rng.integers(4)
    if kind == 0:
        del inner[last]
        return f"{name} gone", tree
    if kind == 1 and isinstance(value, (int, float)) and not isinstance(value, bool):
        inner[last] = [-value, value * 2, value + 1, value * 1e-320, value * 1e200][rng.integers(5)]
    elif kind == 1 and isinstance(value, list) and value:
        inner[last] = [value[:-1], value + value[-1:], value[::-1]][rng.integers(3)]
    elif kind == 2 and isinstance(inner, dict):
        del inner[last]
        inner[f"{last}x"] = value
        return f"{name} renamed", tree
    else:
        inner[last] = ODD[rng.integers(len(ODD))]
    return f"{name} = {inner[last]!r}"[:120], tree


def mutated_array(array: np.ndarray, rng: np.random.Generator) -> tuple[str, np.ndarray]:
    """An array with a value out of range, or of another shape or kind."""
    changed, kind = array.copy(), int(rng.integers(12))
    numeric = array.dtype.kind in "fiu"
    if kind < 4 and array.size and numeric:
        value = [np.nan, np.inf, -1, 1e30][kind] if array.dtype.kind == "f" else [-1, 2**31 - 1, 0, 10**6][kind]
        whole = array.dtype.kind != "f" and np.iinfo(array.dtype)
        changed.flat[rng.integers(array.size)] = np.clip(value, whole.min, whole.max) if whole else value
        return f"a value {value}", changed
    if kind == 4 and numeric:
        return "negated", -changed
    if kind == 5:
        return "a row less", changed[:-1] if array.ndim else changed[None]
    if kind == 6:
        return "a column less", changed[..., :-1] if array.ndim else changed[None]
    if kind == 7:
        return "flat", changed.ravel()
    if kind == 8:
        return "one number", changed.ravel()[:1]
    if kind == 9:
        return "an axis more", changed[None]
    if kind == 10 and numeric:
        return "of another kind", changed.astype(np.int32 if array.dtype.kind == "f" else np.float32)
    return "empty", changed[:0] if array.ndim else changed.ravel()[:0]


def as_json(tree: object) -> str:
    return json.dumps(tree)
