"""Designs by the name that files use."""

from __future__ import annotations

from pdae_sim.simulation._registry import Registry
from pdae_sim.simulation.designs.combinations import (
    all_doubles,
    dose_grid,
    one_factor_at_a_time,
    random_doses,
    singles,
    singles_and_doubles,
)
from pdae_sim.simulation.designs.design import Design
from pdae_sim.simulation.designs.spans import planted

DESIGNS: Registry[Design] = Registry(
    "design",
    {
        "singles": singles,
        "singles_and_doubles": singles_and_doubles,
        "all_doubles": all_doubles,
        "one_factor_at_a_time": one_factor_at_a_time,
        "dose_grid": dose_grid,
        "random_doses": random_doses,
        "planted": planted,
    },
    "n_perturbations",
    "rng",
    "taken",
)
"""The designs by the name that files use."""
