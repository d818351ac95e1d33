"""Designs of experiments: which perturbations are measured, which are held out, how many cells each gets.

Doses are dyadic (k / 2^m) unless given, so that exact arithmetic reads them. Row 0 of the training labels is the
control.
"""

from pdae_sim.simulation.designs.cells import cell_counts
from pdae_sim.simulation.designs.combinations import (
    all_doubles,
    dose_grid,
    one_factor_at_a_time,
    random_doses,
    singles,
    singles_and_doubles,
)
from pdae_sim.simulation.designs.design import Design
from pdae_sim.simulation.designs.registry import DESIGNS, design_settings, make_design
from pdae_sim.simulation.designs.spans import planted

__all__ = [
    "DESIGNS",
    "Design",
    "all_doubles",
    "cell_counts",
    "design_settings",
    "dose_grid",
    "make_design",
    "one_factor_at_a_time",
    "planted",
    "random_doses",
    "singles",
    "singles_and_doubles",
]
