"""A small simulation, written and read by several tests."""

import pytest

from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.observation import GaussianNoise
from pdae_sim.simulation.simulator import Simulator


@pytest.fixture(scope="session")
def simulation():
    latent = LinearLatentModel.random(2, 3, rng=0)
    simulator = Simulator.random(latent, n_observed=4, rng=0, observation=GaussianNoise(0.1))
    return simulator.sample(["ctrl", "A", "B:0.1", "A+B:0.3"], 5, rng=7, held_out=[False, False, False, True])
