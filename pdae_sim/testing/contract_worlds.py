"""Small worlds to try estimators on: unequal numbers of cells, a negative dose, conditions that are held out."""

from __future__ import annotations

from typing import Any

from pdae_sim._checks import choice
from pdae_sim.data import PerturbationData
from pdae_sim.simulation.config import WorldConfig

_BASE: dict[str, Any] = {
    "latent": {"n_latents": 2, "base": "isotropic", "targets": [[2.0, 0.0, 1.0], [0.0, 2.0, 1.0]]},
    "mixing": {"n_observed": 5},
    "design": {
        "train": ["ctrl", "A", "B", "A:0.5+C:-1"],
        "test": ["A+B", "C"],
        "total": 600,
        "control_excess": 1.5,
        "spread": 0.3,
        "test_cells": 60,
    },
}
_CURVED = {"n_observed": 5, "kind": "coupling", "embedding": "curved", "nonlinearity": 0.3}
_GAUSSIAN, _COUNTS = {"kind": "gaussian", "snr": 10.0}, {"kind": "negative_binomial"}
_PARTS: dict[str, dict[str, Any]] = {
    "linear": {"mixing": {"n_observed": 5, "kind": "linear"}},
    "curved": {"mixing": _CURVED},
    "noisy": {"mixing": _CURVED, "observation": [_GAUSSIAN]},
    "counts": {"mixing": {"n_observed": 12}, "observation": [_COUNTS]},
}

CONTRACT_WORLDS = tuple(_PARTS)
"""Names of the worlds: f linear or curved, measured with noise, and counted."""


def contract_data(world: str, *, seed: int = 0) -> PerturbationData:
    """Cells of one of the `CONTRACT_WORLDS`: four training conditions, two held out, two latents.

    Args:
        world: The name.
        seed: Seed of everything drawn.

    Example:
        >>> contract_data("curved").train.conditions
        ('ctrl', 'A', 'B', 'A:0.5+C:-1')
    """
    parts = _PARTS[choice("world", world, CONTRACT_WORLDS)]
    return WorldConfig.parse(_BASE | parts | {"seed": seed}).simulate().data
