"""Labels and split of cells, from the columns in which a file keeps them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from pdae_sim._checks import check_control, near_misses
from pdae_sim._coding import Table, factorize, factorize_rows
from pdae_sim._contexts import context_names, label_contexts
from pdae_sim.contexts import share_effects
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError, LabelError
from pdae_sim.io._grammar import is_list, space_of, written
from pdae_sim.io._options import ReadOptions
from pdae_sim.labels import LabelSpace, read_dose

_log = logging.getLogger(__name__)
SCHEMA_VERSION = 2
_FRESH, _FITTED = "fresh", "fitted (set aside unsaid)"
ASIDE = ("predicted", _FRESH)
"""Words of the split for cells that are neither train nor test: predictions, and cells kept out of every fit."""


@dataclass(frozen=True, eq=False)
class Annotations:
    """What a dataset says of its n cells, X apart.

    Args:
        options: Where to look.
        known: All columns of `obs`, for the hint in a message.
        obs: (n,) texts of the columns that `options` name; None where a value is missing.
        doses: (n, K) numeric doses of `obsm`, if there are any: dense or sparse, in memory or on disk.
        uns: The entries of ``uns["pdae_sim"]``.
        where: What holds the columns, for messages.
        design: A matrix of `obsm` that stands for the conditions, and the names of its columns if it has any.
    """

    options: ReadOptions
    known: Sequence[str]
    obs: Mapping[str, np.ndarray]
    doses: Table | None = None
    uns: Mapping[str, object] = field(default_factory=dict)
    where: str = "obs"
    design: tuple[Table, Sequence[str] | None] | None = None

    def labels(self) -> tuple[np.ndarray, np.ndarray, LabelSpace]:
        """(n,) code of each cell, the labels (C, K) that codes are rows of, and the space they live in.

        Raises:
            InputError: With the field and the fix.
        """
        return self._labels

    @cached_property
    def _labels(self) -> tuple[np.ndarray, np.ndarray, LabelSpace]:
        version = int(np.asarray(self.uns.get("schema_version", SCHEMA_VERSION)))
        if version > SCHEMA_VERSION:
            newer = f"uns['pdae_sim']['schema_version'] is {version}, newer than {SCHEMA_VERSION}; update pdae_sim"
            raise InputError(newer)
        if self.design is not None:
            return self._matrix(f"obsm[{self.options.condition!r}]", *self.design, self.options.grammar(self.uns))
        texts = self._conditions()
        names, grammar = self.uns.get("perturbations"), self.options.grammar(self.uns)
        if self.doses is not None:
            return self._matrix_doses(texts, self.doses, names, grammar)
        dosed = self._column("dose")
        if names is not None:
            space = _named_space(names, grammar)
        elif dosed is not None:  # its doses are aligned with the parts
            space = LabelSpace.from_conditions(texts, **grammar)
        else:
            space = space_of(texts, self.options, self.uns)
        if dosed is None:
            return *coded(texts, space), space
        pairs, codes = factorize(zip(texts, map(str, dosed), strict=True))
        return codes, np.array([_aligned(*pair, space) for pair in pairs]), space

    def data(self, x: np.ndarray | None = None, features: Sequence[str] = ()) -> PerturbationData:
        """The dataset with its X (n, d_X); without one of no column, enough for counts, spans and designs.

        Raises:
            InputError: With the field and the fix.
        """
        codes, labels, space = self.labels()
        names, control, at = space.names, space.control, self.options
        known = context_names(names, control)
        if at.context and known is None:
            levels = [self._levels(name) for name in at.context]
            n_own = 0 if at.shared else len(at.covariate)
            codes, labels, names, control = label_contexts(codes, labels, names, control, levels, n_own=n_own)
        elif at.shared and known is None:
            raise InputError("shared=True needs contexts; name their columns with covariate=")
        held_out, kept = self.held_out(), self.kept
        x = np.empty((len(codes), 0)) if x is None else x
        if not kept.all():
            x, codes, held_out = x[kept], codes[kept], None if held_out is None else held_out[kept]
        if held_out is not None:
            _check_split(held_out, codes, labels, LabelSpace(tuple(names), control, **space.separators), at)
        data = PerturbationData.from_codes(
            x,
            codes,
            labels,
            names=names,
            features=features,
            held_out=held_out,
            control=control,
            read_as=self.options.remembered() | space.separators,
        )
        data = share_effects(data) if at.shared and known is not None else data
        if self.options.reference is not None:
            return _counted_from(data, self.options.reference)
        if not self.options.no_control and not np.asarray(self.uns.get("no_control", False)):
            check_control(data.labels, data.held_out, data.names, data.control)
        told = self.uns.get("reference")  # a part of the file need not have it
        return _counted_from(data, str(told)) if told in data.conditions else data

    def fresh(self) -> Annotations | None:
        """Annotations of the cells that the split keeps out of every fit, as training cells; None without any."""
        words = self._column("split")
        chosen = np.zeros(0, bool) if words is None else words == _FRESH
        if not chosen.any():
            return None
        split = np.where(chosen, self.options.train_words[0], _FITTED)
        return replace(self, obs={**self.obs, self.options.split: split.astype(object)})

    def held_out(self) -> np.ndarray | None:
        """(n,) whether each cell is of the test part; None without a split column."""
        return split_mask(self._column("split"), self.options)

    @cached_property
    def kept(self) -> np.ndarray:
        """(n,) whether each cell is train or test; in a file of nothing else predictions are test cells."""
        words, at = self._column("split"), self.options
        if words is None:
            return np.ones(len(self.labels()[0]), bool)
        kept = np.isin(words.astype(str), (*at.train_words, *at.test_words))
        if not kept.any():
            if (words == ASIDE[0]).any():
                _log.warning("the cells were predicted by a model and not measured; they are read as test cells")
            return np.ones(len(kept), bool)
        for word in ASIDE:
            n = 0 if kept.all() else int((~kept & (words == word)).sum())
            if n:
                _log.warning("%s cells of the split %r are set aside: neither train nor test", f"{n:,}", word)
        return kept

    def _absent(self, name: str, option: str) -> InputError:
        hint = near_misses(name, self.known)
        return InputError(f"{self.where} has no column {name!r}; {hint}; name it with {option}=")

    def _column(self, option: str) -> np.ndarray | None:
        """The column of an option; None where there is none of the default name, refused where one was asked for."""
        name, default = getattr(self.options, option), getattr(ReadOptions(), option)
        if name not in self.obs and name != default and not (option == "dose" and self.doses is not None):
            raise self._absent(name, option)
        return self.obs.get(name)

    def _levels(self, name: str) -> np.ndarray:
        if name not in self.obs:
            raise self._absent(name, "covariate")
        missing = sum(level is None for level in self.obs[name])
        if missing:
            raise InputError(f"{self.where} column {name!r} is empty in {missing} rows; write a level or drop them")
        return self.obs[name]

    def _conditions(self) -> np.ndarray:
        name = self.options.condition
        if name not in self.obs:
            raise self._absent(name, "condition")
        texts = self.obs[name]
        missing = sum(text is None for text in texts)
        if missing:
            empty = f"{self.where} column {name!r} is empty in {missing} rows"
            raise InputError(f"{empty}; write the control's name or drop them")
        if not any(map(is_list, texts)):
            return texts
        grammar = self.options.grammar(self.uns)
        return np.array([written(text, grammar) if is_list(text) else text for text in texts], dtype=object)

    def _matrix_doses(
        self, texts: np.ndarray, doses: Table, names: object, grammar: Mapping[str, str]
    ) -> tuple[np.ndarray, np.ndarray, LabelSpace]:
        codes, labels, space = self._matrix(f"obsm[{self.options.dose!r}]", doses, names, grammar)
        _check_parts(texts, labels, codes, space)
        return codes, labels, space

    def _matrix(
        self, where: str, doses: Table, names: object, grammar: Mapping[str, str]
    ) -> tuple[np.ndarray, np.ndarray, LabelSpace]:
        if names is None:
            other = "" if self.design is None else f", or in uns[{self.options.condition!r}] or a DataFrame"
            raise InputError(f"{where} needs the perturbation names in uns['pdae_sim']['perturbations']{other}")
        names = np.asarray(names).astype(str)
        if len(doses.shape) != 2 or doses.shape[1] != len(names):
            raise InputError(f"{where} has shape {doses.shape}; it needs one column per perturbation ({len(names)})")
        labels, codes = factorize_rows(doses)
        space, labels = _named_space(names, grammar), labels[:, names != grammar["control"]]
        bad = ~np.isfinite(labels).all(axis=1)
        if bad.any():
            raise InputError(f"{where} holds {int(bad[codes].sum())} rows with NaN or infinite doses")
        return codes, labels, space


def coded(texts: Sequence[str] | np.ndarray, space: LabelSpace) -> tuple[np.ndarray, np.ndarray]:
    """(n,) code of each of n condition strings, and the labels (C, K) of the distinct ones."""
    conditions, codes = factorize(texts)
    return codes, np.array([space.vector(text) for text in conditions]).reshape(len(conditions), len(space))


def split_mask(values: np.ndarray | None, options: ReadOptions) -> np.ndarray | None:
    """(n,) whether each row is test, from a column of words; None without one."""
    if values is None:
        return None
    train, test = options.train_words, options.test_words
    known = {*train, *test, *ASIDE, _FITTED}
    wrong = [str(value) for value in values if value not in known]
    if wrong:
        words = " or ".join(repr(word) for word in (*train, *test))
        others = ", ".join(map(repr, list(dict.fromkeys(wrong))[1:5]))
        raise InputError(
            f"column {options.split!r} must hold {words}; {len(wrong)} rows do not, the first {wrong[0]!r}"
            + (f", others {others}" if others else "")
            + "; say which are which with train_words= and test_words="
        )
    told = values.astype(str)
    return np.isin(told, test) | (np.isin(told, ASIDE) & ~np.isin(told, train))


def _check_split(
    held_out: np.ndarray, codes: np.ndarray, labels: np.ndarray, space: LabelSpace, options: ReadOptions
) -> None:
    """Raise an InputError if cells of one condition are of both parts."""
    total, marked = (np.bincount(codes, weights=each, minlength=len(labels)) for each in (None, held_out))
    mixed = np.flatnonzero((marked > 0) & (marked < total))
    if mixed.size:
        first = mixed[np.argmax(total[mixed])]
        more = f" and {len(mixed) - 1:,} more" if len(mixed) > 1 else ""
        cells = f"{int(total[first] - marked[first]):,} and {int(marked[first]):,} cells"
        raise InputError(
            f"condition {space.condition(labels[first])!r}{more}: both train and test samples in column"
            f" {options.split!r} ({cells}); a test condition is unseen, so mark its cells alike, or say which words are"
            " train with train_words="
        )


def _named_space(names: object, grammar: Mapping[str, str]) -> LabelSpace:
    """The space of names; one that is now said to be the control is none of them."""
    return LabelSpace(tuple(name for name in map(str, np.asarray(names)) if name != grammar["control"]), **grammar)


def _counted_from(data: PerturbationData, condition: str) -> PerturbationData:
    """The dataset with a condition first, which makes it the reference of a design without a control."""
    if (data.labels == 0).all(axis=1).any():
        raise InputError(f"reference= {condition!r} is for designs without a control, and here {data.control!r} is one")
    try:
        rows = (data.labels == data.space.vector(condition)).all(axis=1)
    except LabelError as error:
        raise InputError(f"reference= {condition!r}: {error}") from None
    if not rows.any():
        raise InputError(f"reference= {condition!r} has no row; {near_misses(condition, data.conditions)}")
    if (rows & data.held_out).any() and not data.held_out.all():
        raise InputError(f"reference= {condition!r} is held out; name a condition of training")
    first = data.select(np.argsort(~rows, kind="stable"))
    read_as = dict(data.read_as) | {"reference": first.conditions[0]}
    return replace(first, x=first.stored, read_as=read_as)


def _check_parts(texts: np.ndarray, labels: np.ndarray, codes: np.ndarray, space: LabelSpace) -> None:
    """A perturbation with a dose must be named in the condition; a named one may have dose zero."""
    pairs, which = factorize(zip(texts, codes.tolist(), strict=True))
    wrong = np.array([bool(labels[code][space.vector(text) == 0].any()) for text, code in pairs])
    if wrong.any():
        first, _ = pairs[int(np.flatnonzero(wrong)[0])]
        raise InputError(
            f"obs condition and obsm dose disagree in {wrong[which].sum()} rows, the first with condition {first!r}"
        )


def _aligned(condition: str, written: str, space: LabelSpace) -> np.ndarray:
    """The label of a condition whose doses stand in a text column, part for part."""
    parts, doses = space.parts(condition), written.split(space.separator)
    if all(name == space.control for name, _ in parts):
        return np.zeros(len(space))
    if len(parts) != len(doses):
        raise LabelError(f"dose {written!r} has {len(doses)} parts where condition {condition!r} has {len(parts)}")
    label = space.vector(condition)
    if any(dose is not None for _, dose in parts):
        raise LabelError(f"condition {condition!r} writes its doses, and the dose column does too; keep one of them")
    for (name, _), text in zip(parts, doses, strict=True):
        if name != space.control:
            label[space.names.index(name)] = float(read_dose(text, where=f"the doses of {condition!r}"))
    return label
