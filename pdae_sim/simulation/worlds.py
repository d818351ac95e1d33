"""Named worlds: a small zoo from two latents to the size of a genome-wide screen, and one world for each violation.

Their tables are in ``worlds.toml`` beside this module, as a user would write them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import near_misses
from pdae_sim._files import read_toml
from pdae_sim.errors import InputError
from pdae_sim.simulation.config import WorldConfig


@dataclass(frozen=True)
class _NamedWorld:
    """A configuration and how hard it is.

    Args:
        difficulty: What makes the world easy or hard, in a sentence or two.
        table: The configuration, as `WorldConfig` reads it.
    """

    difficulty: str
    table: dict[str, Any]


def _named_worlds(entries: Mapping[str, dict[str, Any]]) -> Iterator[tuple[str, _NamedWorld]]:
    for name, entry in entries.items():
        base, difficulty = entries.get(entry.pop("base", ""), {}), entry.pop("difficulty")
        table = {**base, **entry}
        for part in base.keys() & entry.keys():
            if isinstance(entry[part], dict):
                table[part] = {**base[part], **entry[part]}
        yield name, _NamedWorld(difficulty, table)


WORLDS = dict(_named_worlds(read_toml(Path(__file__).with_name("worlds.toml"))))
"""The named worlds, each with its `table` and its `difficulty` in words."""


@checked_numbers
def world(name: str, overrides: tuple[str, ...] = (), *, seed: int | None = None) -> WorldConfig:
    """A named world.

    Args:
        name: One of `WORLDS`.
        overrides: ``key=value`` settings to change.
        seed: The world's seed; 0 when absent.

    Example:
        >>> world("heavy-tails", ("design.cells=100",)).breaks
        ('gaussian',)
    """
    if name not in WORLDS:
        raise InputError(f"unknown world {name!r}; {near_misses(name, WORLDS)}")
    table = WORLDS[name].table if seed is None else {**WORLDS[name].table, "seed": seed}
    return WorldConfig.parse(table, overrides)
