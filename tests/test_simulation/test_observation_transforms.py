"""What analysts do to a table: deterministic, cell by cell."""

import numpy as np
import pytest

from pdae_sim.errors import InputError
from pdae_sim.simulation.observation import (
    CentredLogRatio,
    Log1p,
    LogNormalise,
)

EPS = np.finfo(float).eps


def rng(seed=0):
    return np.random.default_rng(seed)


def positive(n=50, d=5, seed=0):
    """A reference f(z) that every kind can take."""
    return np.exp(rng(seed).normal(size=(n, d)))


class TestTransforms:
    def test_log1p(self):
        assert np.array_equal(Log1p().sample(positive(), streams={}), np.log1p(positive()))

    def test_log_normalise_gives_every_cell_one_total(self):
        x = LogNormalise(100.0).sample(positive(), streams={})
        assert np.allclose(np.expm1(x).sum(1), 100.0, rtol=100 * EPS)
        assert np.allclose(x, LogNormalise(100.0).sample(3.0 * positive(), streams={}), rtol=100 * EPS)

    def test_an_empty_cell_stays_empty(self):
        assert not LogNormalise().sample(np.zeros((2, 3)), streams={}).any()

    def test_the_log_ratio_is_centred_and_forgets_the_scale(self):
        clr = CentredLogRatio(pseudocount=0.0)
        x = clr.sample(positive(), streams={})
        assert np.abs(x.sum(1)).max() < 100 * EPS * np.abs(x).max()
        assert np.allclose(x, clr.sample(7.0 * positive(), streams={}), atol=100 * EPS)
        assert np.allclose(x - x[:, :1], np.log(positive()) - np.log(positive())[:, :1], atol=100 * EPS)

    @pytest.mark.parametrize(
        ("law", "value", "message"),
        [
            (Log1p(), -1.0, "log1p needs values > -1"),
            (LogNormalise(), -0.1, "log_normalise needs values ≥ 0"),
            (LogNormalise(), 1.7e308, "total overflows"),
            (CentredLogRatio(), -1.0, "clr needs values > -1"),
            (Log1p(), np.nan, "log1p needs values > -1; received nan"),
        ],
    )
    def test_values_out_of_the_domain_are_refused(self, law, value, message):
        with pytest.raises(InputError, match=message):
            law.sample(np.full((2, 2), value), streams={})
