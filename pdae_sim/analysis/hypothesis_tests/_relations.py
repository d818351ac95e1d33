"""Conditions that are combinations of others, from labels alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdae_sim._linalg import integer_product, minus, times
from pdae_sim.analysis import _rationals as rationals
from pdae_sim.analysis._exact import RowSpace
from pdae_sim.analysis._nearest import ratio
from pdae_sim.analysis.span import check_span
from pdae_sim.data import PerturbationData

_ZERO = 1e-12


def by_parts(data: PerturbationData) -> list[int]:
    """Environments with the fewest parts, then the smallest doses, first; without the reference."""
    reference = data.reference
    shifts = data.labels - data.labels[reference]
    parts, doses = np.count_nonzero(shifts, axis=1), np.abs(shifts).sum(axis=1)
    return [e for e in np.lexsort((doses, parts)).tolist() if e != reference]


def walked(data: PerturbationData, order: Sequence[int]) -> dict[str, dict[str, float]]:
    """Each environment in turn: in the span of the independent ones before it, or independent itself."""
    exact = rationals.shifts(data.labels, data.labels[:0], data.reference)
    chosen = np.array(order, dtype=np.intp)
    spanned = _one_by_one(data, chosen) if exact is None else _eliminated(exact.train[chosen])
    names = [data.conditions[e] for e in chosen]
    return {names[i]: {names[b]: a for b, a in sorted(alpha.items()) if abs(a) > _ZERO} for i, alpha in spanned.items()}


def _one_by_one(data: PerturbationData, order: np.ndarray) -> dict[int, dict[int, float]]:
    """Measured doses: α by position in the order of each environment that those before it span, to a tolerance."""
    origin, before, spanned = data.labels[data.reference], list[int](), {}
    for i, e in enumerate(order):
        train = np.vstack([origin, data.labels[order[before]]])
        alpha = check_span(train, data.labels[[e]], origin)[0].coefficients
        if alpha is None:
            before.append(i)
        else:
            spanned[i] = dict(zip(before, alpha[1:].tolist(), strict=True))
    return spanned


def _eliminated(D: np.ndarray) -> dict[int, dict[int, float]]:
    """Integer shifts (E, K), exactly: the columns of Dᵀ that are no pivots, and their combinations of pivots.

    Rows of one perturbation that come first settle it without elimination.
    """
    parts = np.count_nonzero(D, axis=1)
    singles = int(np.argmax(parts > 1)) if (parts > 1).any() else len(D)
    first: dict[int, int] = {}
    spanned: dict[int, dict[int, float]] = {}
    for i in range(singles):
        for k in np.flatnonzero(D[i]).tolist():
            b = first.setdefault(k, i)
            if b != i:
                spanned[i] = {b: ratio(int(D[i, k]), int(D[b, k]))}
    known = np.isin(np.arange(D.shape[1]), list(first))
    space = RowSpace.of(D[singles:, ~known].T)
    pivots, others = space.pivots + singles, space.others + singles
    left = minus(
        times(D[np.ix_(others, known)], np.array(space.denominator)),
        integer_product(space.numerators.T, D[np.ix_(pivots, known)]),
    )
    of = [first[k] for k in np.flatnonzero(known).tolist()]
    sizes = [int(D[b, k]) for k, b in sorted(first.items())]
    for q, i in enumerate(others.tolist()):
        alpha = {
            int(pivots[p]): ratio(int(space.numerators[p, q]), space.denominator)
            for p in _places(space.numerators[:, q])
        }
        spanned[i] = alpha | {of[k]: ratio(int(left[q, k]), space.denominator * sizes[k]) for k in _places(left[q])}
    return spanned


def _places(values: np.ndarray) -> list[int]:
    return np.flatnonzero(values).tolist()
