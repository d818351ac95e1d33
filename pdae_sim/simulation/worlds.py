"""Named worlds."""

from __future__ import annotations

from pdae_sim._checks import InputError, naming, near_misses
from pdae_sim.simulation.config import WorldConfig

WORLDS: dict[str, dict] = {
    # Two latents, z1 → z2. A shifts z1, B shifts z2, C shifts both. C is never measured, so that a condition with C is
    # not identified; A+B lies between the measured conditions, three doses of each lie far beyond them.
    "demo": {
        "latent": {
            "n_latents": 2,
            "n_perturbations": 3,
            "adjacency": [[0.0, 0.0], [0.8, 0.0]],
            "noise_variances": [1.0, 1.0],
            "targets": [[1.5, 0.0, 1.0], [0.0, 1.5, 1.0]],
        },
        "mixing": {"n_observed": 10, "depth": 2, "activation": "tanh"},
        "design": {
            "names": ["A", "B", "C"],
            "train": ["ctrl", "A", "B"],
            "test": ["A+B", "A:3+B:3", "A+C"],
            "cells": 4096,
            "test_cells": 16384,
        },
    },
}


def world(name: str, overrides: tuple[str, ...] = (), *, seed: int | None = None) -> WorldConfig:
    """A named world.

    Args:
        name: One of `WORLDS`.
        overrides: ``key=value`` settings to change.
        seed: The world's seed; 0 when absent.
    """
    if name not in WORLDS:
        raise InputError(f"unknown world {name!r}; {near_misses(name, WORLDS)}")
    table = WORLDS[name] if seed is None else {**WORLDS[name], "seed": seed}
    with naming(f"world {name!r}"):
        return WorldConfig.parse(table, overrides)
