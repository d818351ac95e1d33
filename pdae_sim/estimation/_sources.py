"""Sources of the base latents of a prediction: the prior, or the cells of some training conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pdae_sim import _random
from pdae_sim.energy import energy_distance
from pdae_sim.estimation._cell_numbers import ENOUGH, by_cells, sits_out, weights
from pdae_sim.estimation._spread import scaled

if TYPE_CHECKING:
    from pdae_sim.data import PerturbationData
    from pdae_sim.estimation.pdae import PDAE

_PLAIN = ("model", "near", "parts", "reference", "pool")
_SCALED = "-scaled"
SOURCES = (*_PLAIN, *(name + _SCALED for name in _PLAIN))
"""N(0, I), or those of cells: of the nearest training condition, of those that share a part with the label and have no
other, of the control, of all. Each also with the spread that the label is expected to have (`log_scales`)."""


def scaled_source(source: str) -> str:
    """The source of a name with its base latents scaled, tilted cells beside them or not.

    Example:
        >>> scaled_source("near"), scaled_source("near+tilting")
        ('near-scaled', 'near-scaled+tilting')
    """
    base, mark, tilted = source.partition("+")
    return base + _SCALED + mark + tilted


_JUDGED, _CELLS = 40, 400
"""Training conditions that sources are compared on, and cells drawn of each, at most."""
_PAIRS = 3
"""Cells of a condition whose halves are no samples, at most."""


def better_source(model: PDAE, data: PerturbationData) -> str:
    """``near`` if latents of measured cells stand for their condition better than draws of N(Ŵ l, I), else ``model``.

    In every training condition half of the cells are compared with cells measured anew from a posterior draw of each of
    the other half, and from as many draws of the prior. Moved cells keep what is not Gaussian in the base; draws of the
    prior have none of the error of few cells.

    Args:
        model: Fitted.
        data: Its training environments, in order.
    """
    root = _random.child(_random.seed_sequence(0), "sources")
    able, gains = np.flatnonzero(~sits_out(data.counts) & (data.counts > _PAIRS)), []
    for e in able[np.linspace(0, len(able) - 1, min(len(able), _JUDGED)).astype(int)]:
        rows, label = np.flatnonzero(model._base_environment == e), data.labels[e]
        rng = _random.stream(root, int(e))
        order = rng.permutation(len(rows))
        picked, judged = rows[order[: len(rows) // 2][:_CELLS]], order[len(rows) // 2 :][:_CELLS]
        x = data.gathered(data.rows_by_environment[e][judged]).astype(np.float64)
        prior = rng.normal(size=(len(picked), len(model.perturbation_matrix_)))
        shift, exposure = model.perturbation_matrix_ @ label, model._exposure[picked]
        of_prior, of_cells = (
            float(energy_distance(model._decoded(base + shift, exposure, root), x, unbiased=True))
            for base in (prior, model.base_latents_[picked])
        )
        gains.append(of_prior - of_cells)
    if len(gains) < 2:
        return "model"
    error = np.std(gains, ddof=1) / np.sqrt(len(gains))
    return "near" if np.mean(gains) > error else "model"


def draw_base(
    model: PDAE, source: str, label: np.ndarray, n: int, root: np.random.SeedSequence
) -> tuple[np.ndarray, np.ndarray]:
    """Base latents (n, d_Z) for a label, and exposures (n, …) of the training cells that they are of.

    Args:
        model: Fitted.
        source: One of `SOURCES`.
        label: (K,).
        n: How many.
        root: Seeds.
    """
    plain, of_prior = source.removesuffix(_SCALED), source.startswith("model")
    share = environment_weights(plain, label, model.train_labels_, model.perturbation_matrix_, model.train_counts_)
    weights = (share / np.bincount(model._base_environment))[model._base_environment]
    picked = _random.stream(root, "base").choice(len(model.base_latents_), n, p=weights / weights.sum())
    base = model.base_latents_[picked]
    if of_prior:
        base = _random.stream(root, "prior").normal(size=base.shape)
    if plain != source:
        base = scaled(model, base, label, None if of_prior else model._base_environment[picked])
    return base, model._exposure[picked]


def environment_weights(
    source: str, label: np.ndarray, labels: np.ndarray, W: np.ndarray, counts: np.ndarray
) -> np.ndarray:
    """(E,) weights of the training environments as sources of base latents for a label; they add to one.

    Environments of few cells weigh by their cells (`weights`) and are nearest only together with the next.

    Args:
        source: One of `SOURCES`; with ``model`` they are where totals of counts are drawn from.
        label: (K,) to be predicted.
        labels: (E, K) of the training environments.
        W: (d_Z, K) Ŵ.
        counts: (E,) cells of the training environments.
    """
    chosen = np.ones(len(labels), bool)
    if source == "near":
        distances = np.linalg.norm((labels - label) @ W.T, axis=1)
        order = np.argsort(distances, kind="stable")
        enough = ENOUGH if by_cells(counts) or sits_out(counts).any() else 1
        reached = np.searchsorted(np.cumsum(counts[order]), min(enough, counts.sum()))
        chosen = distances <= distances[order[reached]] * (1 + 1e-9)
    elif source == "parts":
        parts = parts_of(label, labels)
        chosen = parts if parts.any() else chosen
    elif source == "reference":
        zero = (labels == 0).all(1)
        chosen = zero if zero.any() else np.arange(len(labels)) == 0
    share = chosen * weights(counts)
    return share / share.sum()


def parts_of(label: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(E,) which of some labels (E, K) share a perturbation with a label (K,) and hold no other."""
    return ((labels != 0) & (label != 0)).any(1) & ~((labels != 0) & (label == 0)).any(1)
