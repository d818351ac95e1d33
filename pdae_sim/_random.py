"""Named random streams: what is drawn under one name never depends on what is drawn under another."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence

import numpy as np

SeedLike = int | Sequence[int] | np.random.SeedSequence | np.random.BitGenerator | np.random.Generator | None
"""Whatever `numpy.random.default_rng` takes; None is fresh randomness."""


def seed_sequence(rng: SeedLike) -> np.random.SeedSequence:
    """The root of a tree of streams from whatever `numpy.random.default_rng` takes.

    A `Generator` is advanced once (128 bits), so that two calls with the same generator differ.
    """
    if isinstance(rng, np.random.SeedSequence):
        return rng
    if isinstance(rng, (np.random.Generator, np.random.BitGenerator)):
        return np.random.SeedSequence(np.random.default_rng(rng).integers(2**32, size=4).tolist())
    return np.random.SeedSequence(rng)


def stream(root: np.random.SeedSequence, *names: object) -> np.random.Generator:
    """The generator under a path of names, for example `stream(root, "environment", "A+B")`."""
    return np.random.default_rng(child(root, *names))


def child(root: np.random.SeedSequence, *names: object) -> np.random.SeedSequence:
    """The sub-tree of `root` under a path of names; equal paths give equal trees."""
    key = tuple(word for name in names for word in _words(str(name)))
    return np.random.SeedSequence(root.entropy, spawn_key=(*root.spawn_key, *key))


class Streams:
    """Generators by name under one root, each made on first use and continued after.

    What is drawn block by block is what would be drawn at once, as long as each name serves one call a block.
    """

    def __init__(self, root: np.random.SeedSequence, *names: object) -> None:
        self._root, self._prefix = child(root, *names), ""
        self._open: dict[str, np.random.Generator] = {}

    def __getitem__(self, name: str) -> np.random.Generator:
        name = self._prefix + name
        if name not in self._open:
            self._open[name] = stream(self._root, name)
        return self._open[name]

    def within(self, place: str) -> Streams:
        """The streams of a place inside, ``place.name`` for each name here."""
        inner = copy.copy(self)  # it shares the generators that are open
        inner._prefix = f"{self._prefix}{place}."
        return inner


def written(root: np.random.SeedSequence) -> str:
    """A root as text: its entropy, and its spawn key where it has one."""
    return str(root.entropy) + "".join(f"/{word}" for word in root.spawn_key)


def torch_seed(root: np.random.SeedSequence, *names: object) -> int:
    """A 63-bit seed for `torch.Generator.manual_seed` under a path of names."""
    return int(stream(root, *names).integers(2**63))


def _words(name: str) -> tuple[int, ...]:
    digest = hashlib.sha256(name.encode()).digest()
    return tuple(int.from_bytes(digest[i : i + 4], "big") for i in (0, 4, 8, 12))
