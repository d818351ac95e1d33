"""Counts of molecules and positive intensities."""

import numpy as np
import pytest

from pdae_sim import _random
from pdae_sim.errors import InputError
from pdae_sim.simulation.observation import (
    Heteroscedastic,
    LogNormal,
    NegativeBinomial,
    random_observation,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def streams(seed=0):
    return _random.Streams(np.random.SeedSequence(seed))


def whole_spread(scale=0.0, **fields):
    """A negative binomial of two genes, equal at f(z) = 0, with 10 molecules a cell."""
    given = {"depth": 10.0, "depth_spread": scale, "baseline": 0.0, "amplitude": 1.0, "centre": 0.0, "spread": 1.0}
    return NegativeBinomial(**{**given, "dispersion": 0.5, **fields})


class TestAssays:
    def test_counts_are_whole_and_their_means_range_widely(self):
        clean = rng().normal(size=(200, 400))
        law = random_observation("negative_binomial", clean=clean, rng=0)
        x = law.sample(clean, streams=streams())
        assert np.array_equal(x, np.round(x))
        assert (x >= 0).all()
        means = law.mean(clean).mean(0)
        assert means.max() / means.min() > 100
        assert np.isclose(means.sum(), 800 * np.exp(0.3**2 / 2), rtol=1e-12)

    def test_proportions_sum_to_one_far_from_the_centre(self):
        p = whole_spread().proportions(np.array([[1e300, 0.0], [-1e5, 1e5]]))
        assert np.array_equal(p, [[1.0, 0.0], [0.0, 1.0]])

    @pytest.mark.parametrize(
        ("law", "clean", "cause"),
        [
            (whole_spread(depth=1e300), 0.0, "lower depth or depth_spread"),
            (whole_spread(1e4), 0.0, "the library size must have a logarithm within"),
            (whole_spread(spread=1e-300), 1e10, "log rates must be finite"),
            (whole_spread(), np.nan, "log rates must be finite"),
            (LogNormal(0.0, 1.0, 0.0, 1.0, 0.1), 1e4, "a log-normal intensity must have a logarithm within"),
            (LogNormal(0.0, 1.0, 0.0, 1.0, 0.1), -1e4, "a log-normal intensity must have a logarithm within"),
            (LogNormal(0.0, 1.0, 0.0, 1.0, 0.1), np.nan, "a log-normal intensity must have a logarithm within"),
            (Heteroscedastic(1.0, 1e300, 0.0, 1.0), 1e300, "must be finite"),
        ],
    )
    def test_what_overflows_is_told(self, law, clean, cause):
        with pytest.raises(InputError, match=cause):
            law.sample(np.full((3, 2), clean), streams=streams())

    def test_log_normal_without_noise_is_one_to_one(self):
        assert LogNormal(0.0, 1.0, 0.0, 1.0, 0.0).breaks == ()
        assert LogNormal(0.0, [1.0, 0.0], 0.0, 1.0, 0.0).breaks == ("injective",)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"spread": 0.0}, "spread must be > 0"),
            ({"dispersion": -1.0}, "dispersion must be ≥ 0"),
            ({"dispersion": 1e-310}, "dispersion must be 0 or"),
            ({"depth": 0.0}, "depth must lie strictly between"),
            ({"baseline": [[0.0]]}, "one number or one per feature"),
            ({"centre": np.inf}, "centre must be finite"),
        ],
    )
    def test_bad_parameters_are_refused(self, fields, message):
        with pytest.raises(InputError, match=message):
            whole_spread(**fields)

    @pytest.mark.parametrize("name", ["baseline", "amplitude", "centre", "spread"])
    def test_a_wrong_width_is_refused(self, name):
        with pytest.raises(InputError, match=f"{name} must have one entry for each of 3 features; received 2"):
            whole_spread(**{name: [1.0, 2.0]}).sample(np.zeros((4, 3)), streams=streams())

    def test_arrays_are_copies_and_read_only(self):
        baseline = np.zeros(2)
        law = whole_spread(baseline=baseline)
        baseline[0] = 9.0
        assert law.baseline[0] == 0.0
        with pytest.raises(ValueError, match="read-only"):
            law.baseline[0] = 1.0
