"""Datasets in several contexts, and one dataset in other orders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pdae_sim.contexts import in_contexts
from pdae_sim.data import PerturbationData
from pdae_sim.strategies._models import moderate

_NAMES = ("HepG2", "K562", "RPE1")


@st.composite
def contextual_data(
    draw: st.DrawFn, *, max_contexts: int = 3, max_perturbations: int = 3, n_observed: int = 2
) -> PerturbationData:
    """Small datasets of condition × context, with a control in every context; shrinks to the controls of two.

    Effects are each context's own or shared by all.

    Args:
        max_contexts: Greatest number of contexts, at most three.
        max_perturbations: Greatest K within a context.
        n_observed: d_X.

    Example:
        >>> from hypothesis import find
        >>> find(contextual_data(), lambda data: len(data.labels) == 3).conditions
        ('ctrl@HepG2', 'A@HepG2', 'ctrl@K562')
    """
    letters = "ABCDEFGH"[: draw(st.integers(1, max_perturbations))]
    singles = st.lists(st.sampled_from(letters), unique=True)
    cells: list[tuple[str, str]] = []
    for context in _NAMES[: draw(st.integers(2, max_contexts))]:
        for condition in ["ctrl", *sorted(draw(singles))]:
            cells += [(condition, context)] * draw(st.integers(1, 3))
    if not any(condition != "ctrl" for condition, _ in cells):
        cells.insert(1, (letters[0], cells[0][1]))
    x = draw(hnp.arrays(np.float32, (len(cells), n_observed), elements=moderate(1024.0, width=32)))
    conditions, contexts = zip(*cells, strict=True)
    data = PerturbationData.from_arrays(x, list(conditions))
    return in_contexts(data, [list(contexts)], shared=draw(st.sampled_from([None, 1])))


@st.composite
def reorderings(draw: st.DrawFn, data: PerturbationData) -> PerturbationData:
    """One dataset in other orders of its cells, environments and perturbations; shrinks to the order it is in.

    Conditions keep their cells, and the reference stays the reference.

    Args:
        data: The dataset.

    Example:
        >>> from hypothesis import find
        >>> data = PerturbationData.from_arrays(np.eye(3), ["ctrl", "A", "B"])
        >>> find(reorderings(data), lambda other: other.names != data.names).names
        ('B', 'A')
    """
    cells, columns = (np.array(draw(st.permutations(range(n)))) for n in (len(data.environment), len(data.names)))
    order = draw(st.permutations(range(len(data.labels))))
    if not (data.labels[data.reference] == 0).all():
        order = [data.reference, *(e for e in order if e != data.reference)]
    turned = data.rows(cells).select(order)
    names = tuple(data.names[k] for k in columns)
    return replace(turned, labels=turned.labels[:, columns], names=names)
