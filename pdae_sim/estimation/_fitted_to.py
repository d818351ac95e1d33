"""Whether data are those that a model was fitted to: two moments of each training condition tell, not every cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked
from pdae_sim._matrices import dense
from pdae_sim.data import PerturbationData
from pdae_sim.estimation._scaling import blocks

if TYPE_CHECKING:
    from pdae_sim.estimation.pdae import PDAE

_OF_SPREAD, _OF_VALUES = 1e-3, 1e-6
"""Differences that the rounding of float32 may make, of the spread of cells and of their values."""


def moments(data: PerturbationData) -> np.ndarray:
    """(E, 2) mean and standard deviation of one random sum of the features, with fixed signs, by environment."""
    d_X = data.stored.shape[1]
    signs = _random.stream(_random.seed_sequence(0), "moments").choice([-1.0, 1.0], d_X)
    parts = blocks(len(data.environment), d_X)
    along = np.concatenate([dense(data.stored[part]).astype(np.float64) @ signs for part in parts])
    return np.array([[along[rows].mean(), along[rows].std()] for rows in data.rows_by_environment])


@checked
def fitted_to(model: PDAE, data: PerturbationData) -> bool:
    """Whether the training cells of `data` are those of a fit: labels, numbers of cells and, where kept, their moments.

    The order of cells and of conditions is no matter, nor is float32 for float64.

    Args:
        model: Fitted; one of a file that kept no moments is known by labels and numbers.
        data: In the features and label space of the model.

    Example:
        >>> from pdae_sim import PDAE
        >>> x = np.random.default_rng(0).normal(size=(90, 2))
        >>> data, other = (PerturbationData.from_arrays(x, ["ctrl", "A", "B"] * 30) for x in (x, x[::-1]))
        >>> model = PDAE(1, observation="noiseless", steps=1).fit(data)
        >>> fitted_to(model, data), fitted_to(model, data.rows(range(89, -1, -1))), fitted_to(model, other)
        (True, True, False)
    """
    from pdae_sim.estimation._validation import canonical

    train = canonical(data.train)
    if not np.array_equal(train.labels, model.train_labels_) or not np.array_equal(train.counts, model.train_counts_):
        return False
    if model._moments is None:
        return True
    known = model._moments
    slack = _OF_SPREAD * known[:, 1:] + _OF_VALUES * np.abs(known).max(1, keepdims=True)
    return bool((np.abs(moments(train) - known) <= slack).all())
