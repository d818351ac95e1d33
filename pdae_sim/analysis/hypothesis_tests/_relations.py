"""Conditions that are combinations of others, from labels alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdae_sim.analysis.span import check_span
from pdae_sim.data import PerturbationData


def by_parts(data: PerturbationData) -> list[int]:
    """Environments with the fewest parts, then the smallest doses, first; without the reference."""
    shifts = data.labels - data.labels[data.reference]
    order = sorted(range(len(shifts)), key=lambda e: (np.count_nonzero(shifts[e]), np.abs(shifts[e]).sum(), e))
    return [e for e in order if e != data.reference]


def walked(data: PerturbationData, order: Sequence[int]) -> dict[str, dict[str, float]]:
    """Each environment in turn: in the span of the independent ones before it, or independent itself."""
    spanned, before = {}, [data.reference]
    for e in order:
        alpha = check_span(data.labels[before], data.labels[[e]], data.labels[data.reference])[0].coefficients
        if alpha is None:
            before.append(e)
            continue
        by_name = {data.conditions[b]: a for b, a in zip(before, alpha.tolist(), strict=True)}
        spanned[data.conditions[e]] = {name: a for name, a in by_name.items() if abs(a) > 1e-12}
    return spanned
