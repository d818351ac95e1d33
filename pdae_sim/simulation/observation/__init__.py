"""What the instrument adds: laws of x given noiseless f(z), and the transforms that analysts apply afterwards.

A law draws from named streams (`pdae_sim._random.Streams`), one call per name and block with a fixed cost in order per
entry: cells drawn block by block are the cells drawn at once.
"""

from pdae_sim.simulation.observation.assays import LogNormal, NegativeBinomial
from pdae_sim.simulation.observation.chain import (
    OBSERVATIONS,
    Chain,
    Observation,
    observation_from_state,
    observation_state,
)
from pdae_sim.simulation.observation.drawing import observation_settings, random_observation
from pdae_sim.simulation.observation.noise import Dropout, GaussianNoise, Heteroscedastic, Noiseless, SignalDropout
from pdae_sim.simulation.observation.transforms import CentredLogRatio, Log1p, LogNormalise

__all__ = [
    "OBSERVATIONS",
    "CentredLogRatio",
    "Chain",
    "Dropout",
    "GaussianNoise",
    "Heteroscedastic",
    "Log1p",
    "LogNormal",
    "LogNormalise",
    "NegativeBinomial",
    "Noiseless",
    "Observation",
    "SignalDropout",
    "observation_from_state",
    "observation_settings",
    "observation_state",
    "random_observation",
]
