"""Hypothesis profiles, and one torch thread so that two workers do not fight over the cores."""

import os

import pytest
from hypothesis import Phase, settings

PHASES = set(Phase) - {Phase.explain}  # explaining a failure, or what `find` has found, takes longer than finding it
settings.register_profile("default", deadline=None, max_examples=60, phases=PHASES)
settings.register_profile("ci", deadline=None, max_examples=60, phases=PHASES, derandomize=True)
settings.register_profile("coverage", deadline=None, max_examples=5, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "default")


@pytest.fixture(scope="session")
def simulation():
    """A few cells of five coordinates under ctrl, A and B, and held out under A+B: for fits of a second."""
    from pdae_sim import LinearLatentModel, Simulator

    latent = LinearLatentModel.random(2, 3, rng=0)
    simulator = Simulator.random(latent, n_observed=5, rng=0)
    return simulator.sample(["ctrl", "A", "B", "A+B"], 80, rng=0, held_out=[False, False, False, True])


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread():
    import torch

    torch.set_num_threads(1)
