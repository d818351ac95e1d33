"""Parts of a world as plain values: a kind and its fields, enough to rebuild the part exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields

from pdae_sim._checks import near_misses
from pdae_sim.errors import InputError


def to_state(part: object, kinds: Mapping[str, type]) -> dict:
    """``{"kind": name, **fields}`` of a dataclass; values stay as they are (numbers, strings, arrays).

    Args:
        part: An instance of one of `kinds`.
        kinds: Classes by the name that files use.
    """
    kind = next(name for name, cls in kinds.items() if type(part) is cls)
    return {"kind": kind, **{field.name: getattr(part, field.name) for field in fields(part)}}


def from_state(state: Mapping, kinds: Mapping[str, type]) -> object:
    """The part that `to_state` described.

    Raises:
        InputError: If the kind is unknown, for instance one of a newer version or of the user's own.
    """
    settings = dict(state)
    kind = settings.pop("kind", None)
    if not isinstance(kind, str) or kind not in kinds:
        raise InputError(f"unknown kind {kind!r}; {near_misses(str(kind), kinds)}")
    known = {field.name: field for field in fields(kinds[kind])}
    for name in settings:
        if name not in known:
            raise InputError(f"unknown field {name!r} of {kind!r}; {near_misses(name, known)}")
    for name, field in known.items():
        if name not in settings and field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"the field {name!r} of {kind!r} is missing")
    return kinds[kind](**settings)
