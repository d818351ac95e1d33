"""Tables of settings: strict, unknown keys refused with a suggestion, whatever is wrong told in one line."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from pdae_sim._checks import naming, near_misses
from pdae_sim._files import parse_toml
from pdae_sim.errors import InputError

log = logging.getLogger(__name__)


class Table(BaseModel):
    """A strict table: no unknown key, no number written as text."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    def refuse(self, place: str, reason: str, *names: str) -> None:
        """Raise an InputError if one of the keys was set to something, where it would not be read."""
        for name in names:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise InputError(f"{place}.{name} is not read {reason}; remove it")


class OpenTable(Table):
    """A table whose further keys are the settings of its kind."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that were given."""
        return dict(self.model_extra or {})


@contextmanager
def building(place: str) -> Iterator[None]:
    """Name the table in front of whatever goes wrong with its settings, in one line."""
    try:
        with naming(place), np.errstate(over="ignore", invalid="ignore"):
            yield
    except InputError:
        raise
    except MemoryError:
        raise InputError(f"{place}: too large for the memory of this machine; ask for less") from None
    except (TypeError, ValueError, OverflowError, ArithmeticError) as error:
        log.debug("a setting does not fit", exc_info=True)
        raise InputError(f"{place}: a setting has the wrong type, shape or size ({error})") from None


def refuse_unknown(place: str, settings: Mapping[str, Any], known: Mapping[str, Any], table: type[BaseModel]) -> None:
    """Raise an InputError for a setting that neither its kind nor the table knows."""
    for name in settings:
        if name not in known:
            raise InputError(f"unknown key '{place}.{name}'; {near_misses(name, [*known, *table.model_fields])}")


def with_override(table: dict[str, Any], override: str) -> dict[str, Any]:
    """The nested table with one ``key=value`` changed; the value is TOML, or else text."""
    key, equals, text = override.partition("=")
    if not equals or not key.strip() or "\n" in override:
        raise InputError(f"--set {override!r}: expected key=value, for example design.cells=100")
    try:
        value = parse_toml(f"value = {text}")["value"]
    except InputError:
        value = text
    return _placed(table, key.strip().split("."), value, override)


def _placed(table: dict[str, Any], path: list[str], value: object, override: str) -> dict[str, Any]:
    head, rest = path[0], path[1:]
    if rest and not isinstance(table.get(head, {}), dict):
        raise InputError(f"--set {override!r}: {head!r} is not a table")
    return {**table, head: _placed(table.get(head, {}), rest, value, override) if rest else value}
