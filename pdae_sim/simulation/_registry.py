"""Registries: the kinds of a part of a world by the name that files use, made from settings, written and rebuilt."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pdae_sim._checks import choice, fitting, naming, near_misses
from pdae_sim.errors import InputError

Part = TypeVar("Part")


class Registry(dict[str, Callable[..., Part]]):
    """Makers of parts by kind: classes, or functions that draw an instance.

    A setting is a parameter of the maker that the library does not supply itself.

    Args:
        what: The part, as messages call it.
        makers: By kind.
        supplied: Names of the parameters that the library supplies, to the makers that take them.
    """

    def __init__(self, what: str, makers: Mapping[str, Callable[..., Part]], *supplied: str) -> None:
        super().__init__(makers)
        self.what, self.supplied = what, supplied

    def settings(self, kind: str) -> dict[str, inspect.Parameter]:
        """The parameters of a kind that are its settings."""
        parameters = inspect.signature(self[choice(self.what, kind, self)]).parameters
        return {name: parameter for name, parameter in parameters.items() if name not in self.supplied}

    def defaults(self, kind: str) -> dict[str, object]:
        """The defaults of the settings that have one."""
        settings = self.settings(kind).items()
        return {name: parameter.default for name, parameter in settings if parameter.default is not parameter.empty}

    def make(self, kind: str, settings: Mapping[str, Any], **supplied: object) -> Part:
        """The part of a kind with these settings.

        Raises:
            InputError: If the kind or a setting is unknown, or a setting is missing.
        """
        known = self.settings(kind)
        with naming(f"{self.what} {kind}"):
            fitting(settings, known)
        taken = inspect.signature(self[kind]).parameters
        return self[kind](**{name: value for name, value in supplied.items() if name in taken}, **settings)

    def of(self, part: str | Part) -> Part:
        """A part as it is, or that of a kind with its default settings."""
        return self.make(choice(self.what, part, self), {}) if isinstance(part, str) else part

    def state(self, part: Part) -> dict[str, Any]:
        """A part as ``{"kind": kind, **fields}``; numbers and arrays stay as they are, parts within become states."""
        kind = next(kind for kind, maker in self.items() if type(part) is maker)
        values = {name: getattr(part, name) for name in self.settings(kind)}
        return {"kind": kind} | {
            name: [self.state(inner) for inner in value] if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    def from_state(self, state: Mapping[str, Any]) -> Part:
        """The part that `state` described.

        Raises:
            InputError: If the kind is unknown, for instance one of a newer version or of the user's own, or a field is
                unknown or missing.
        """
        settings = dict(state)
        kind = settings.pop("kind", None)
        if not isinstance(kind, str) or kind not in self:
            raise InputError(f"unknown kind {kind!r}; {near_misses(str(kind), self)}")
        return self.make(kind, {name: self._rebuilt(value) for name, value in settings.items()})

    def _rebuilt(self, value: Any) -> Any:
        if isinstance(value, list) and value and all(isinstance(entry, Mapping) for entry in value):
            return tuple(self.from_state(entry) for entry in value)
        return value
