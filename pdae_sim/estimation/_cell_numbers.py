"""Weights that conditions can bear: whether they weigh alike, sit out of gradient steps, or all weigh by their cells.

A condition of two cells beside others of a thousand cannot weigh as they do: networks would learn its cells by heart.
Where such conditions hold a small share of all cells, no step sees them and they count by their cells wherever an
answer is in closed form; where they hold more, as at a high multiplicity of infection, every cell weighs the same.
"""

from __future__ import annotations

import logging

import numpy as np

from pdae_sim.data import PerturbationData

_log = logging.getLogger(__name__)

ENOUGH = 20
"""Cells of a condition that weighs as one: the fewest of which a tenth, kept out to stop early, is more than a cell."""
_SHARE = 0.1
"""Share of all cells up to which conditions of fewer sit out."""
_MOST = 16
"""Conditions of few cells that can weigh alike, where none has more: as many as a step takes."""


def sits_out(counts: np.ndarray) -> np.ndarray:
    """(E,) whether no gradient step sees a condition, from the numbers of cells (E,)."""
    few = counts < ENOUGH
    most = counts[few].sum() <= _SHARE * counts.sum() and (~few).sum() > 1
    return few if most else np.zeros(len(counts), bool)


def by_cells(counts: np.ndarray) -> bool:
    """Whether every cell weighs the same rather than every condition, from the numbers of cells (E,)."""
    few = counts < ENOUGH
    if not few.any() or sits_out(counts).any():
        return False
    return bool(not few.all() or counts.min() < 2 or len(counts) > _MOST)


def weights(counts: np.ndarray) -> np.ndarray:
    """(E,) weights of conditions in a mixture, from the numbers of cells (E,).

    A cell of a condition that sits out weighs as one of a typical condition that does not.
    """
    if by_cells(counts):
        return counts / counts.mean()
    out = sits_out(counts)
    return np.where(out, counts / np.median(counts[~out]), 1.0)


def weighty(data: PerturbationData) -> PerturbationData:
    """The conditions that gradient steps see; the data as they are where those are all."""
    out = sits_out(data.counts)
    return data.select(~out) if out.any() else data


def tell(data: PerturbationData) -> None:
    """Log in one line which training conditions do not weigh as the others."""
    counts = data.counts[~data.held_out]
    few, out = counts < ENOUGH, sits_out(counts)
    told = f"{few.sum():,} of {len(counts):,} training conditions have fewer than {ENOUGH} cells"
    told += f" ({counts[few].sum():,} of {counts.sum():,} cells)"
    if out.any():
        _log.warning("%s: they sit out of training and count by their cells where effects are refitted", told)
    elif by_cells(counts):
        _log.warning("%s: every cell weighs the same, and not every condition", told)
