"""Designs by the name that files use."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from pdae_sim._checks import choice, fitting, naming
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

DESIGNS: dict[str, Callable[..., Design]] = {
    "singles": singles,
    "singles_and_doubles": singles_and_doubles,
    "all_doubles": all_doubles,
    "one_factor_at_a_time": one_factor_at_a_time,
    "dose_grid": dose_grid,
    "random_doses": random_doses,
    "planted": planted,
}
"""The designs by the name that files use."""


def make_design(kind: str, n_perturbations: int, *, rng: object = None, **settings: object) -> Design:
    """A design by its name in `DESIGNS`; designs without chance take no notice of `rng`.

    Raises:
        InputError: If the kind or a setting is unknown, or a setting is missing.
    """
    make = DESIGNS[choice("design kind", kind, DESIGNS)]
    chance = {"rng": rng} if "rng" in inspect.signature(make).parameters else {}
    with naming(kind):
        fitting(settings, _settings(make))
    return make(n_perturbations, **settings, **chance)


def design_settings(kind: str) -> dict[str, object]:
    """The settings of a kind with their defaults; `inspect.Parameter.empty` where one must be given."""
    make = DESIGNS[choice("design kind", kind, DESIGNS)]
    return {name: parameter.default for name, parameter in _settings(make).items()}


def _settings(make: Callable) -> dict[str, inspect.Parameter]:
    """All parameters but K and the generator."""
    return {n: p for n, p in list(inspect.signature(make).parameters.items())[1:] if n != "rng"}
