"""Contexts of perturbations: datasets whose environments are condition × context, and their parts by context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pdae_sim._arguments import checked
from pdae_sim._coding import plain_labels
from pdae_sim._contexts import AT, ContextNames, context_names, label_contexts
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError


@checked
def in_contexts(
    data: PerturbationData, covariates: Sequence[Sequence[str] | np.ndarray], *, shared: int | None = None
) -> PerturbationData:
    """Label the cells of a dataset by condition and context.

    The context's own coordinate is a shift of the latents, through one mixing: a batch whose effect is such a shift is
    adjusted for. A perturbation has an effect of its own in each context unless it is said to be shared.

    Args:
        data: Cells labelled by perturbations.
        covariates: One sequence (n,) of levels for each covariate; together they make the context.
        shared: How many covariates, from the last, share the effects of perturbations; none if None.

    Returns:
        The cells with conditions such as ``A+B@K562``; the zero label is the control of the reference context, the
        first in alphabetical order that has a control.

    Raises:
        InputError: If lengths disagree, or all cells are of one context.

    Example:
        >>> data = PerturbationData.from_arrays(np.eye(4), ["ctrl", "A", "ctrl", "A"])
        >>> in_contexts(data, [["HepG2", "HepG2", "K562", "K562"]]).conditions
        ('ctrl@HepG2', 'A@HepG2', 'ctrl@K562', 'A@K562')
    """
    n_own = len(covariates) - (shared or 0)
    covariates = [plain_labels(column).ravel().tolist() for column in covariates]
    if not covariates or n_own < 0 or any(len(column) != len(data.environment) for column in covariates):
        raise InputError(
            f"covariates must each have one level per row of x ({len(data.environment)}), shared at most all"
        )
    codes, labels, names, control = label_contexts(
        data.environment, data.labels, data.names, data.control, covariates, n_own=n_own
    )
    return PerturbationData.from_codes(
        data.stored,
        codes,
        labels,
        names=names,
        held_out=data.held_out[data.environment],
        features=data.features,
        control=control,
        read_as=data.read_as,
    )


@checked
def share_effects(data: PerturbationData) -> PerturbationData:
    """Give perturbations one and the same effect in all contexts.

    Args:
        data: Cells labelled by condition and context.

    Raises:
        InputError: If the data tell of no contexts.

    Example:
        >>> data = PerturbationData.from_arrays(np.eye(4), ["ctrl", "A", "ctrl", "A"])
        >>> share_effects(in_contexts(data, [["HepG2", "HepG2", "K562", "K562"]])).names
        ('A', '@K562')
    """
    names, base, contexts = _read(data)
    own = np.array([[float(context == other) for other in names.contexts[1:]] for context in contexts])
    coordinates = (*names.perturbations, *(AT + context for context in names.contexts[1:]))
    return replace(data, labels=np.hstack([base, own]), names=coordinates)


@checked
def own_effects(data: PerturbationData) -> PerturbationData:
    """Give perturbations an effect of their own in each context.

    Args:
        data: Cells labelled by condition and context.

    Raises:
        InputError: If the data tell of no contexts.

    Example:
        >>> data = PerturbationData.from_arrays(np.eye(4), ["ctrl", "A", "ctrl", "A"])
        >>> own_effects(in_contexts(data, [["HepG2", "HepG2", "K562", "K562"]], shared=1)).names
        ('A@HepG2', 'A@K562', '@K562')
    """
    names, base, contexts = _read(data)
    here = np.array([[float(context == other) for other in names.contexts] for context in contexts])
    effects = np.einsum("ec,ek->eck", here, base).reshape(len(base), -1)
    coordinates = (
        *(name + AT + context for context in names.contexts for name in names.perturbations),
        *(AT + context for context in names.contexts[1:]),
    )
    return replace(data, labels=np.hstack([effects, here[:, 1:]]), names=coordinates)


@checked
def by_context(data: PerturbationData) -> dict[str, PerturbationData]:
    """The cells of each context, labelled by perturbations alone.

    Args:
        data: Cells labelled by condition and context.

    Raises:
        InputError: If the data tell of no contexts.

    Example:
        >>> data = PerturbationData.from_arrays(np.eye(4), ["ctrl", "A", "ctrl", "A"])
        >>> parts = by_context(in_contexts(data, [["HepG2", "HepG2", "K562", "K562"]]))
        >>> {context: part.conditions for context, part in parts.items()}
        {'HepG2': ('ctrl', 'A'), 'K562': ('ctrl', 'A')}
    """
    names, base, contexts = _read(data)
    parts = {}
    for context in names.contexts:
        chosen = [e for e, other in enumerate(contexts) if other == context]
        if chosen:
            part = data.select(chosen)
            parts[context] = replace(part, labels=base[chosen], names=names.perturbations, control=names.plain_control)
    return parts


@checked
def context_levels(data: PerturbationData) -> tuple[str, ...]:
    """The contexts that a dataset's coordinates tell of, the reference first; none for data without.

    Args:
        data: Cells, labelled by condition and context or not.

    Example:
        >>> data = PerturbationData.from_arrays(np.eye(4), ["ctrl", "A", "ctrl", "A"])
        >>> context_levels(data), context_levels(in_contexts(data, [["HepG2", "HepG2", "K562", "K562"]]))
        ((), ('HepG2', 'K562'))
    """
    names = context_names(data.names, data.control)
    return () if names is None else names.contexts


@checked
def sharing_contexts(data: PerturbationData) -> tuple[tuple[str, ...], ...]:
    """Sets of contexts in which perturbations have one and the same effect, by the names of a dataset's coordinates.

    Args:
        data: Cells, labelled by condition and context or not.

    Returns:
        Each set of two contexts or more; none for data without contexts or with effects of their own in each.

    Example:
        >>> data = PerturbationData.from_arrays(np.eye(4), ["ctrl", "A", "ctrl", "A"])
        >>> own = in_contexts(data, [["HepG2", "HepG2", "K562", "K562"]])
        >>> sharing_contexts(own), sharing_contexts(share_effects(own))
        ((), (('HepG2', 'K562'),))
    """
    names = context_names(data.names, data.control)
    if names is None:
        return ()
    sets: dict[str, list[str]] = {}
    for context, group in zip(names.contexts, names.groups, strict=True):
        sets.setdefault(group, []).append(context)
    return tuple(tuple(members) for members in sets.values() if len(members) > 1)


def _read(data: PerturbationData) -> tuple[ContextNames, np.ndarray, list[str]]:
    """The coordinates, and of each environment the doses (E, K) of perturbations and the context."""
    names = context_names(data.names, data.control)
    if names is None:
        raise InputError("data must tell of contexts; label them with in_contexts or covariate=")
    base, contexts = np.zeros((len(data.labels), len(names.perturbations))), []
    for e, label in enumerate(data.labels):
        read = names.collapsed({data.names[k]: float(label[k]) for k in np.flatnonzero(label)})
        if read is None:
            raise InputError(f"condition {data.conditions[e]!r} must be of one context; label it so")
        for name, dose in read[0].items():
            base[e, names.perturbations.index(name)] = dose
        contexts.append(read[1])
    return names, base, contexts
