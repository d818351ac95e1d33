"""Validation of training data and phases; environments in their canonical order."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch

from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._cell_numbers import ENOUGH
from pdae_sim.estimation._losses import TERMS
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.phases import Phase

_logger = logging.getLogger(__name__)


def fittable(data: object, architecture: Architecture | None = None) -> PerturbationData:
    """`data`, if there is something to learn from its training conditions.

    Args:
        data: The data.
        architecture: Networks whose decoder should reach it; a warning is logged where x is negative and it is not.

    Raises:
        InputError: If it is no data, has fewer than two training conditions, or as many cells as those.
    """
    if not isinstance(data, PerturbationData):
        raise InputError(
            f"data must be PerturbationData (see PerturbationData.from_arrays); received {type(data).__name__}"
        )
    train = np.flatnonzero(~data.held_out)
    if len(train) < 2:
        there = f"only {data.conditions[train[0]]!r} is one" if len(train) else "all conditions are held out"
        raise InputError(f"a fit needs at least two training conditions that differ; {there}")
    n = int(data.counts[train].sum())
    if n < ENOUGH and data.counts[train].min() < 2:
        few = data.conditions[train[np.argmin(data.counts[train])]]
        needed = f"two of every condition, or {ENOUGH} in all"
        raise InputError(f"condition {few!r} has one cell, and {n} are there in all; a fit needs {needed}")
    lowest = float(data.train.stored.min()) if architecture is not None and architecture.output == "softplus" else 0.0
    if lowest < 0:
        _logger.warning("x falls to %.3g, and a decoder with output='softplus' has no negative values", lowest)
    return data


def canonical(data: PerturbationData) -> PerturbationData:
    """The data with environments in lexicographic order of their labels, so that their order is no input."""
    return data.select(np.lexsort(data.labels.T[::-1]) if data.labels.shape[1] else [0])


def check_phases(phases: Sequence[Phase], architecture: Architecture) -> None:
    """Refuse phases without a loss, those that train a chart where the encoder has none, and plans of two minds."""
    kinds = {phase.through_noise for phase in phases if phase.weights}
    if len(kinds) > 1:
        raise InputError("phases: some take cells for noiseless and some do not; marginal_likelihood stands alone")
    for phase in phases:
        if phase.steps and not (phase.weights and phase.learns):
            raise InputError(f"phase {phase.name!r}: steps need a term with a weight above 0 and a part that learns")
        charts = any("chart" in TERMS[term].needs for term in phase.weights) or phase.learns == ("chart",)
        if charts and not architecture.charted:
            raise InputError(
                f"phase {phase.name!r} trains a chart; set Architecture(charted=True), or use another plan"
            )


def check_device(device: object) -> None:
    """Raise an InputError unless torch can use a device of this name."""
    try:
        if not isinstance(device, (str, torch.device)):
            raise TypeError(f"received {type(device).__name__}")
        torch.empty(0, device=device)
    except (TypeError, RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0][:60]
        raise InputError(f"device must be cpu, cuda, cuda:0 or another that torch can use ({reason})") from None
