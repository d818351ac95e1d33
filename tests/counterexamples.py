"""A world whose condition A+C is not identified from ctrl, A and B, for the tests of counterexamples."""

from __future__ import annotations

from pdae_sim import LinearLatentModel, Simulator
from pdae_sim.simulation.observation import Noiseless

TRAIN, TEST, WITNESS = ["ctrl", "A", "B"], "A+C", [0, 0, 1]


def a_world(*, departures=(), noise="gaussian", observation=None, targets=((1.5, 0, 0.5), (0, -1.5, 0.75))):
    """Two latents, one of which drives the other, in four coordinates."""
    latent = LinearLatentModel([[0, 0], [0.8, 0]], [1.0, 0.5], targets, noise, departures)
    return Simulator(latent, Simulator.random(latent, n_observed=4, rng=5).mixing, observation or Noiseless())
