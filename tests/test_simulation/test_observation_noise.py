"""Noise and lost entries, law by law."""

import numpy as np
import pytest

from pdae_sim import _random
from pdae_sim.errors import InputError
from pdae_sim.simulation.observation import (
    Dropout,
    GaussianNoise,
    Heteroscedastic,
    Noiseless,
    random_observation,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def streams(seed=0):
    return _random.Streams(np.random.SeedSequence(seed))


def positive(n=50, d=5, seed=0):
    """A reference f(z) that every kind can take."""
    return np.exp(rng(seed).normal(size=(n, d)))


class TestNoise:
    def test_noiseless_is_the_identity(self):
        assert np.array_equal(Noiseless().sample(positive(), streams=streams()), positive())

    def test_a_negative_scale_is_refused(self):
        with pytest.raises(InputError, match="scale must be a finite number ≥ 0"):
            GaussianNoise(-1.0)

    def test_the_ratio_of_variances(self):
        clean = np.array([[0.0, 0.0], [2.0, 6.0]])
        assert random_observation("gaussian", clean=clean, snr=5.0).scale == 1.0

    @pytest.mark.parametrize("law", [GaussianNoise(0.0), Heteroscedastic(0.0, 1.0, 0.0, 1.0), Dropout(0.0)])
    def test_none_of_it_breaks_nothing(self, law):
        assert law.breaks == ()
        assert np.array_equal(law.sample(positive(), streams=streams()), positive())

    def test_the_conditional_deviation_grows_from_the_centre(self):
        law = Heteroscedastic(0.5, 2.0, [1.0, 0.0], [1.0, 4.0])
        assert np.allclose(
            law.conditional_sd(np.array([[1.0, 8.0], [2.0, 0.0]])), [[0.5, 0.5 * 17**0.5], [0.5 * 5**0.5, 0.5]]
        )

    @pytest.mark.parametrize("rate", [-0.1, 1.0, True, float("nan")])
    def test_a_rate_is_a_probability_below_one(self, rate):
        with pytest.raises(InputError, match="rate must lie strictly between"):
            Dropout(rate)
