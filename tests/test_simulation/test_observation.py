"""Observation laws against their moments."""

import json

import numpy as np
import pytest
from hypothesis import strategies as st

from pdae_sim._checks import InputError
from pdae_sim.simulation.observation import GaussianNoise, Noiseless, observation_from_state, observation_state

EPS = np.finfo(float).eps

seeds = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


class TestObservation:
    @pytest.mark.statistical
    def test_noise_has_its_moments(self):
        clean, scale = np.tile([[1.0, -2.0]], (40_000, 1)), 0.5
        noise = GaussianNoise(scale).sample(clean, rng=rng()) - clean
        n = len(noise)
        assert (np.abs(noise.mean(0)) < 5 * scale / np.sqrt(n)).all()
        assert (np.abs(noise.var(0) - scale**2) < 5 * scale**2 * np.sqrt(2 / n)).all()
        assert abs((noise[:, 0] * noise[:, 1]).mean()) < 5 * scale**2 / np.sqrt(n)

    def test_noiseless_is_the_identity(self):
        clean = rng().normal(size=(3, 2))
        assert np.array_equal(Noiseless().sample(clean, rng=rng()), clean)

    @pytest.mark.parametrize("law", [Noiseless(), GaussianNoise(0.3)])
    def test_its_state_rebuilds_it(self, law):
        assert observation_from_state(json.loads(json.dumps(observation_state(law)))) == law

    def test_a_negative_scale_is_refused(self):
        with pytest.raises(InputError, match="scale must be a finite number ≥ 0"):
            GaussianNoise(-1.0)
