"""What a reader is told of a dataset: where labels are, how conditions are written, which values are taken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from itertools import compress

import numpy as np

from pdae_sim._arguments import check_fields, checked
from pdae_sim._checks import near_misses
from pdae_sim.errors import InputError

_SELECTION = ("features", "leave_out")


@dataclass(frozen=True)
class ReadOptions:
    """Options of every reader, and with dashes of every command that reads a dataset.

    Args:
        condition: Column with the condition of each cell, text or a list of names, or key of a matrix of `obsm` with a
            column for each perturbation (``--condition-key``).
        dose: Key of `obsm` with numeric doses (n, K), or a column with dose text such as ``0.5+1.0`` (``--dose-key``).
        split: Column that tells train from test (``--split-key``); all train where there is none.
        control: Name of the control; None is what the file remembers, else ``ctrl``.
        no_control: The design has no control: its first condition is the reference.
        reference: The condition that others are counted from in a design without a control, in place of its first.
        separator: Joins the parts of a condition; None is what the file remembers, else ``+``.
        dose_separator: Joins a part and its dose; None is what the file remembers, else ``:``.
        train_words: Words in the split column for cells to learn from.
        test_words: Words in the split column for cells to hold out.
        layer: The layer to read in place of X.
        features: Names to take, with ``*`` and ``?``, or a boolean column of `var`; all where none is given.
        leave_out: Names not to take, with ``*`` and ``?``.
        covariate: Columns that make a context, such as a cell line: environments are condition × context, and each
            context has effects of its own.
        batch: Columns that make a context too, but share the effects of perturbations: a shift of the latents.
        shared: Perturbations have one and the same effect in all contexts.

    Raises:
        InputError: If a word means both train and test.

    Example:
        >>> ReadOptions(condition="drug", leave_out="n_*").given() == {"condition": "drug", "leave_out": ["n_*"]}
        True
    """

    condition: str = "condition"
    dose: str = "dose"
    split: str = "split"
    control: str | None = None
    no_control: bool = False
    reference: str | None = None
    separator: str | None = None
    dose_separator: str | None = None
    train_words: tuple[str, ...] = ("train",)
    test_words: tuple[str, ...] = ("test",)
    layer: str | None = None
    features: tuple[str, ...] = ()
    leave_out: tuple[str, ...] = ()
    covariate: tuple[str, ...] = ()
    batch: tuple[str, ...] = ()
    shared: bool = False

    @checked
    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(field.default, tuple):
                object.__setattr__(self, field.name, (value,) if isinstance(value, str) else tuple(value))
        check_fields(self, globals())
        if taken := {self.condition, self.split}.intersection(self.context):
            raise InputError(f"column {min(taken)!r} is no context, for it tells conditions or the split; leave it out")
        both = set(self.train_words) & set(self.test_words)
        if both:
            raise InputError(f"{min(both)!r} is among both train_words= and test_words=; give it once")

    @classmethod
    def of(cls, settings: Mapping[str, object]) -> ReadOptions:
        """The options of keyword arguments; an unknown one is refused with what it may have meant."""
        known = [field.name for field in fields(cls)]
        for name in settings:
            if name not in known:
                raise InputError(f"unknown option {name!r}; {near_misses(name, known)}")
        return cls(**settings)  # type: ignore[arg-type]

    @property
    def context(self) -> tuple[str, ...]:
        """The columns that make a context, those with effects of their own first."""
        return self.covariate + self.batch

    def given(self) -> dict[str, object]:
        """What differs from the defaults, as plain JSON values."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != getattr(ReadOptions, name)
        }

    def remembered(self) -> dict[str, object]:
        """What a model must know to read such a file again: all but the choice of features, which it knows by name."""
        return {name: value for name, value in self.given().items() if name not in _SELECTION}

    def grammar(self, uns: Mapping[str, object]) -> dict[str, str]:
        """Control and separators: those given, else those of ``uns["pdae_sim"]``, else the defaults."""
        defaults = {"control": "ctrl", "separator": "+", "dose_separator": ":"}
        return {name: str(getattr(self, name) or uns.get(name, default)) for name, default in defaults.items()}

    def chosen(self, names: list[str], flags: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """(d,) whether each name is taken.

        Args:
            names: d names of features.
            flags: Boolean columns (d,) of `var`.

        Raises:
            InputError: If a pattern matches nothing, or nothing is left.
        """
        flags = flags or {}
        taken = _matching("features", self.features, names, flags) if self.features else np.ones(len(names), bool)
        taken &= ~_matching("leave_out", self.leave_out, names, flags)
        if len(names) and not taken.any():
            raise InputError("no feature is left; change features= or leave_out=")
        twice = [name for name, n in Counter(compress(names, taken)).items() if n > 1]
        if twice:
            more = f" and {len(twice) - 1:,} more" if twice[1:] else ""
            raise InputError(f"feature {twice[0]!r}{more} occurs twice; rename one, or leave both out")
        return taken


def _matching(option: str, patterns: tuple[str, ...], names: list[str], flags: Mapping[str, np.ndarray]) -> np.ndarray:
    """(d,) whether each name matches one of the patterns; each must match something."""
    found = np.zeros(len(names), bool)
    for pattern in patterns:
        literal = np.array([name == pattern for name in names], bool)
        if not literal.any():
            wild = np.array([fnmatchcase(name, pattern) for name in names], bool)
            literal = wild if wild.any() or pattern not in flags else np.asarray(flags[pattern], bool)
        if not literal.any():
            raise InputError(f"{option}= {pattern!r} matches no feature; {near_misses(pattern, [*names, *flags])}")
        found |= literal
    return found
