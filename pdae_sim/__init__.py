"""Simulate, fit and judge perturbation models with additive latent shifts and unknown nonlinear mixing.

The river: ``simulator.sample(labels, n, rng=…)`` → data and truth → ``PDAE(…).fit(data)`` →
``.sample(label, n, rng=…)`` → ``check_span``, ``align``, ``energy_distance``. Each name is loaded on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_ROOMS = {
    "LabelSpace": "pdae_sim.labels",
    "PerturbationData": "pdae_sim.data",
    "Simulation": "pdae_sim.data",
    "Truth": "pdae_sim.data",
    "LinearLatentModel": "pdae_sim.simulation.latent",
    "Simulator": "pdae_sim.simulation.simulator",
    "PDAE": "pdae_sim.estimation.pdae",
    "energy_distance": "pdae_sim.energy",
    "energy_score": "pdae_sim.energy",
    "check_span": "pdae_sim.analysis.span",
    "align": "pdae_sim.analysis.alignment",
}

__all__ = [*_ROOMS, "__version__"]

if TYPE_CHECKING:
    from pdae_sim.analysis.alignment import align as align
    from pdae_sim.analysis.span import check_span as check_span
    from pdae_sim.data import PerturbationData as PerturbationData
    from pdae_sim.data import Simulation as Simulation
    from pdae_sim.data import Truth as Truth
    from pdae_sim.energy import energy_distance as energy_distance
    from pdae_sim.energy import energy_score as energy_score
    from pdae_sim.estimation.pdae import PDAE as PDAE
    from pdae_sim.labels import LabelSpace as LabelSpace
    from pdae_sim.simulation.latent import LinearLatentModel as LinearLatentModel
    from pdae_sim.simulation.simulator import Simulator as Simulator


def __getattr__(name: str) -> object:
    if name not in _ROOMS:
        raise AttributeError(f"module 'pdae_sim' has no attribute {name!r}")
    value = getattr(import_module(_ROOMS[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS})
