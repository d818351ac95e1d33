"""Contexts as coordinates of the label: ``A+B@K562`` to doses of ``A@K562``, … and back.

In context c the label of doses l is (l in the coordinates of c's effects, 1 in c's own coordinate). Effects of their
own have coordinates ``A@K562``, one a context; shared ones a coordinate ``A`` for all. ``@K562`` is the shift between
contexts themselves; the reference context has none and is named by the control, ``ctrl@HepG2``. Spans, witnesses and
gains then need to know nothing of contexts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from pdae_sim._checks import near_misses
from pdae_sim._coding import factorize
from pdae_sim.errors import InputError, LabelError

AT, AND = "@", ","
"""Before a context; between its levels where there are several covariates."""

_MOST, _SHARE = 20, 0.1
"""Contexts, and contexts of a cell, beyond which a covariate is no label but a measurement."""

Dose = TypeVar("Dose")


@dataclass(frozen=True)
class ContextNames:
    """Coordinates of perturbations in contexts, read from their names.

    Args:
        names: The K coordinates.
        control: The control in the reference context, ``ctrl@HepG2``.

    Example:
        >>> names = ContextNames(("A@HepG2", "A@K562", "@K562"), "ctrl@HepG2")
        >>> names.perturbations, names.contexts
        (('A',), ('HepG2', 'K562'))
    """

    names: tuple[str, ...]
    control: str

    @property
    def plain_control(self) -> str:
        """The name of the control within a context."""
        return self.control.rpartition(AT)[0]

    @cached_property
    def contexts(self) -> tuple[str, ...]:
        """All contexts, the reference first."""
        return (self.control.rpartition(AT)[2], *(name[1:] for name in self.names if name.startswith(AT)))

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The group whose effects each context has: itself, its first levels, or "" for those of all."""
        held = {name.rpartition(AT)[2] for name in self.names if AT in name[1:]}
        return tuple(next((g for g in _prefixes(c) if g in held), "") for c in self.contexts)

    @cached_property
    def perturbations(self) -> tuple[str, ...]:
        """The perturbations, contexts apart."""
        effects = (name for name in self.names if not name.startswith(AT))
        return tuple(dict.fromkeys(self._plain(name)[0] for name in effects))

    def split(self, condition: str) -> tuple[str, str]:
        """A condition without its context, and the context.

        Raises:
            LabelError: If it names none, or one that is not known.
        """
        body, at, context = condition.rpartition(AT)
        if at and context.strip() in self.contexts:
            return body, context.strip()
        named = [f"{condition.strip()}{AT}{c}" for c in self.contexts[:2]]
        hint = near_misses(context.strip(), self.contexts) if at else f"write {' or '.join(named)}"
        raise LabelError(f"condition {condition!r} must end in its context; {hint}")

    def expanded(self, doses: Mapping[str, Dose], context: str, one: Dose) -> dict[str, Dose]:
        """Doses of perturbations in a context as doses of coordinates; `one` is a unit of the context's own."""
        group = self.groups[self.contexts.index(context)]
        own = {} if context == self.contexts[0] else {AT + context: one}
        return {_in(name, group): dose for name, dose in doses.items()} | own

    def collapsed(self, doses: Mapping[str, Dose]) -> tuple[dict[str, Dose], str] | None:
        """The opposite of `expanded`; None for a label that is of no context or of several."""
        own = [name for name in doses if name.startswith(AT)]
        if len(own) > 1 or any(doses[name] != 1 for name in own):
            return None
        context = own[0][1:] if own else self.contexts[0]
        group = self.groups[self.contexts.index(context)]
        parts = {self._plain(name): dose for name, dose in doses.items() if name not in own}
        if any(where != group for _, where in parts):
            return None
        return {name: dose for (name, _), dose in parts.items()}, context

    def _plain(self, name: str) -> tuple[str, str]:
        """The perturbation of a coordinate and the group that it is of."""
        body, at, group = name.rpartition(AT)
        return (body, group) if at and group in self.groups else (name, "")


def context_names(names: Sequence[str], control: str) -> ContextNames | None:
    """The contexts that names of coordinates tell of; None where they tell of none.

    Example:
        >>> context_names(("A", "B"), "ctrl") is None
        True
    """
    known = AT in control and any(name.startswith(AT) for name in names)
    return ContextNames(tuple(names), control) if known else None


def in_contexts(names: Sequence[str], control: str, condition: str) -> list[str]:
    """A condition in every context that has the levels it ends in: in all where it names none.

    Args:
        names: The K coordinates; without contexts among them the condition is alone.
        control: Name of the zero label.
        condition: For example ``A+B``, ``A+B@K562`` or ``A+B@K562,batch1``.

    Example:
        >>> in_contexts(("A", "@K,2", "@L,1"), "ctrl@K,1", "A@K")
        ['A@K,1', 'A@K,2']
    """
    known = context_names(names, control)
    if known is None:
        return [condition]
    body, at, levels = condition.rpartition(AT)
    wanted = {level.strip() for level in levels.split(AND)} if at else set()
    chosen = [context for context in known.contexts if wanted <= set(context.split(AND))]
    return [f"{body if at else condition.strip()}{AT}{context}" for context in chosen] or [condition]


def within_context(
    names: Sequence[str], control: str, label: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(E,) which labels are of the context of a label, and which of these are its control.

    Args:
        names: The K coordinates; without contexts among them all labels are of one.
        control: Name of the zero label.
        label: (K,) the label.
        labels: (E, K) labels.

    Example:
        >>> labels = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 1]])  # ctrl@H, A@H, ctrl@K, A@K
        >>> same, none = within_context(("A@H", "A@K", "@K"), "ctrl@H", labels[3], labels)
        >>> same.tolist(), none.tolist()
        ([False, False, True, True], [False, False, True, False])
    """
    own = is_context(names, control)
    same = (labels[:, own] == label[own]).all(axis=1)
    return same, same & (labels[:, ~own] == 0).all(axis=1)


def is_context(names: Sequence[str], control: str) -> np.ndarray:
    """(K,) which coordinates are shifts between contexts."""
    known = context_names(names, control) is not None
    return np.array([known and name.startswith(AT) for name in names], bool)


def label_contexts(
    codes: np.ndarray,
    labels: np.ndarray,
    names: Sequence[str],
    control: str,
    levels: Sequence[Sequence[str] | np.ndarray],
    *,
    n_own: int,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...], str]:
    """Labels of perturbations and levels of covariates as labels of perturbations in contexts.

    Args:
        codes: (n,) rows of `labels` that cells have.
        labels: (C, K) doses of perturbations.
        names: Their names.
        control: Name of the zero label.
        levels: Covariates, each with the level (n,) of every cell.
        n_own: How many covariates, from the first, have effects of their own at each level; 0 shares all effects.

    Returns:
        The same of contexts: codes (n,), labels (C', K'), names and control.

    Raises:
        InputError: If there is one context only, or names cannot be told apart.

    Example:
        >>> codes, labels, names, control = label_contexts(
        ...     np.array([0, 1, 0]), np.array([[0.0], [1.0]]), ("A",), "ctrl", [["K", "K", "H"]], n_own=1
        ... )
        >>> labels.tolist(), names, control
        ([[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0]], ('A@H', 'A@K', '@K'), 'ctrl@H')
    """
    cells, codes_of = factorize(zip(codes.tolist(), *(map(str, column) for column in levels), strict=True))
    contexts = [AND.join(level for level in cell[1:]) for cell in cells]
    _check_levels([cell[1:] for cell in cells], names)
    rows = np.array([cell[0] for cell in cells])
    with_control = {c for c, row in zip(contexts, rows, strict=True) if not labels[row].any()}
    ordered = sorted(set(contexts), key=lambda c: (c not in with_control, c))
    if len(ordered) > _MOST and len(ordered) > _SHARE * len(codes):
        raise InputError(
            f"covariates must have few levels; {len(codes):,} cells have {len(ordered):,}, such as {ordered[0]!r}"
        )
    if len(ordered) < 2:
        raise InputError(f"covariates must have two levels or more; all cells are of {ordered[0]!r}")
    group_of = {context: AND.join(cell[1 : 1 + n_own]) for context, cell in zip(contexts, cells, strict=True)}
    groups = sorted(set(group_of.values()))
    new = np.zeros((len(cells), len(groups) * len(names) + len(ordered) - 1))
    for i, context in enumerate(contexts):
        at = groups.index(group_of[context]) * len(names)
        new[i, at : at + len(names)] = labels[rows[i]]
        if context != ordered[0]:
            new[i, len(groups) * len(names) + ordered.index(context) - 1] = 1.0
    coordinates = (*(_in(name, g) for g in groups for name in names), *(AT + c for c in ordered[1:]))
    return codes_of, new, coordinates, control + AT + ordered[0]


def _check_levels(levels: Sequence[tuple[str, ...]], names: Sequence[str]) -> None:
    known = {level for each in levels for level in each}
    for level in sorted(known):
        if AT in level or not level.strip() or (AND in level and len(levels[0]) > 1):
            raise InputError(f"level {level!r} of a covariate must be given and hold no {AT!r} or {AND!r}; rename it")
    both = [name for name in names if name.startswith(AT) or name.rpartition(AT)[2] in known]
    if both:
        raise InputError(f"perturbation {both[0]!r} reads as one in a context; rename it")


def _prefixes(context: str) -> list[str]:
    """The levels of a context and the first ones of them, the most first."""
    levels = context.split(AND)
    return [AND.join(levels[:n]) for n in range(len(levels), 0, -1)]


def _in(name: str, group: str) -> str:
    return name + AT + group if group else name
