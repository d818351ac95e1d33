"""Cells of training conditions drawn again, and the mean effects that baselines move them by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdae_sim._checks import whole
from pdae_sim._contexts import within_context
from pdae_sim._random import SeedLike, seed_sequence, stream
from pdae_sim.data import PerturbationData
from pdae_sim.estimation._cell_numbers import weights


def environment_means(data: PerturbationData) -> np.ndarray:
    """(E, d_X) means of x by environment, in float64."""
    return np.array([data.samples(e).mean(0, dtype=np.float64) for e in range(len(data.labels))])


def additive_effects(train: PerturbationData) -> np.ndarray:
    """(K, d_X) mean effects of least norm that best solve the shifts of means from the reference."""
    means, root = environment_means(train), _root_weights(train)
    shifts = train.labels - train.labels[train.reference]
    return np.linalg.pinv(root * shifts) @ (root * (means - means[train.reference]))


def own_control(train: PerturbationData, label: np.ndarray) -> int:
    """The environment of the control in the context of a label (K,); the reference where there is none."""
    _, none = within_context(train.names, train.control, label, train.labels)
    return int(np.argmax(none)) if none.any() else train.reference


def linear_coefficients(train: PerturbationData) -> np.ndarray:
    """(1 + K, d_X) intercept and mean effects of a regression of means on labels."""
    design, root = np.column_stack([np.ones(len(train.labels)), train.labels]), _root_weights(train)
    return np.linalg.lstsq(root * design, root * environment_means(train), rcond=None)[0]


def _root_weights(data: PerturbationData) -> np.ndarray:
    """(E, 1) square roots of the weights of environments in a regression."""
    return np.sqrt(weights(data.counts))[:, None]


def mixture(data: PerturbationData, environments: Sequence[int] | np.ndarray, n: int, rng: SeedLike) -> np.ndarray:
    """n cells (n, d_X) from the equal mixture of some environments."""
    return data.gathered(draw_rows(data, environments, n, rng)).astype(np.float64)


def moved(
    data: PerturbationData,
    environments: Sequence[int] | np.ndarray,
    label: np.ndarray,
    effects: np.ndarray,
    n: int,
    rng: SeedLike,
) -> np.ndarray:
    """n cells (n, d_X) of some environments, each moved by the effects (K, d_X) of what it lacks of a label (K,)."""
    rows = draw_rows(data, environments, n, rng)
    lacking = label - data.labels[data.environment[rows]]
    return data.gathered(rows).astype(np.float64) + lacking @ effects


def draw_rows(data: PerturbationData, environments: Sequence[int] | np.ndarray, n: int, rng: SeedLike) -> np.ndarray:
    """n row numbers: an environment by weight, which is mostly the same, then one of its cells, with replacement."""
    generator, environments = stream(seed_sequence(rng), "cells"), np.asarray(environments)
    weight = weights(data.counts)[environments]
    if (weight == weight[0]).all():
        chosen = environments[generator.integers(len(environments), size=whole("n", n))]
    else:
        chosen = generator.choice(environments, size=whole("n", n), p=weight / weight.sum())
    within = (generator.random(n) * data.counts[chosen]).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(data.counts)])
    return np.concatenate(data.rows_by_environment)[starts[chosen] + within]
