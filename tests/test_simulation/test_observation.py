"""Observation laws against their moments, their distributions and the rule of prefixes."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pdae_sim import _random
from pdae_sim.errors import InputError
from pdae_sim.simulation.observation import (
    OBSERVATIONS,
    CentredLogRatio,
    Chain,
    Dropout,
    GaussianNoise,
    Log1p,
    LogNormal,
    LogNormalise,
    NegativeBinomial,
    Noiseless,
    SignalDropout,
    random_observation,
)

EPS = np.finfo(float).eps
N = 40_000

SETTINGS = {
    "none": {},
    "gaussian": {"snr": 4.0},
    "heteroscedastic": {"scale": 0.3},
    "dropout": {"rate": 0.3},
    "signal_dropout": {},
    "negative_binomial": {},
    "log_normal": {},
    "log1p": {},
    "log_normalise": {},
    "clr": {},
    "chain": {"steps": [{"kind": "negative_binomial", "depth": 30.0}, {"kind": "log_normalise", "target": 100.0}]},
}
RANDOM = [kind for kind in SETTINGS if kind not in {"none", "log1p", "log_normalise", "clr", "chain"}]


def rng(seed=0):
    return np.random.default_rng(seed)


def streams(seed=0):
    return _random.Streams(np.random.SeedSequence(seed))


def positive(n=50, d=5, seed=0):
    """A reference f(z) that every kind can take."""
    return np.exp(rng(seed).normal(size=(n, d)))


def drawn(kind, seed=0, **settings):
    return random_observation(kind, clean=positive(), rng=seed, **{**SETTINGS[kind], **settings})


def whole_spread(scale=0.0, **fields):
    """A negative binomial of two genes, equal at f(z) = 0, with 10 molecules a cell."""
    given = {"depth": 10.0, "depth_spread": scale, "baseline": 0.0, "amplitude": 1.0, "centre": 0.0, "spread": 1.0}
    return NegativeBinomial(**{**given, "dispersion": 0.5, **fields})


COUNTS = whole_spread(0.3)
PROTEINS = LogNormal(2.0, 1.0, 0.0, 1.0, 0.3)


@st.composite
def laws(draw):
    """Any law, and chains of any steps that can follow one another; shrinks to no noise."""
    kind = draw(st.sampled_from(list(SETTINGS)))
    law = drawn(kind, draw(st.integers(0, 2**32 - 1)))
    return Chain((law, *draw(st.lists(st.sampled_from([GaussianNoise(0.1), Dropout(0.5), Noiseless()]), max_size=3))))


def standard_errors(sample, mean, variance):
    """How many standard errors the sample's mean and variance lie from those claimed, feature by feature."""
    n, centred = len(sample), sample - mean
    by_mean = np.abs(centred.mean(0)) / np.sqrt(variance / n)
    squares = centred**2
    return np.maximum(by_mean, np.abs(squares.mean(0) - variance) / (squares.std(0) / np.sqrt(n)))


class TestEveryLaw:
    def test_all_kinds_are_tried(self):
        assert set(SETTINGS) == set(OBSERVATIONS)

    @given(laws(), st.integers(0, 12), st.integers(0, 12))
    def test_blocks_are_the_whole_and_a_prefix_is_a_prefix(self, law, first, second):
        clean, at_once, by_block = positive(24), streams(), streams()
        x = law.sample(clean, streams=at_once)
        cuts = [0, first, first + second, 24]
        blocks = [law.sample(clean[i:j], streams=by_block) for i, j in pairwise(cuts)]
        assert np.array_equal(np.concatenate(blocks), x)
        assert np.array_equal(law.sample(clean[:7], streams=streams()), x[:7])

    @given(laws())
    def test_the_order_in_memory_does_not_matter(self, law):
        clean = positive(24)
        assert np.array_equal(
            law.sample(np.asfortranarray(clean), streams=streams()), law.sample(clean, streams=streams())
        )

    @given(laws())
    def test_it_leaves_its_argument_alone_and_is_finite(self, law):
        clean = positive(24)
        x = law.sample(clean, streams=streams())
        assert np.array_equal(clean, positive(24))
        assert x.shape == clean.shape
        assert x.dtype == np.float64
        assert np.isfinite(x).all()

    @given(laws())
    def test_its_state_rebuilds_it(self, law):
        text = json.dumps(OBSERVATIONS.state(law), default=lambda array: array.tolist())
        for state in (OBSERVATIONS.state(law), json.loads(text)):
            again = OBSERVATIONS.from_state(state)
            assert np.array_equal(
                again.sample(positive(), streams=streams()), law.sample(positive(), streams=streams())
            )
            assert again.breaks == law.breaks

    @given(laws())
    def test_it_is_random_exactly_if_seeds_matter(self, law):
        first, second = (law.sample(positive(), streams=streams(seed)) for seed in (0, 1))
        assert law.random == (not np.array_equal(first, second))
        assert law.random == ("noiseless" in law.breaks)

    @pytest.mark.parametrize("kind", list(SETTINGS))
    def test_what_is_drawn_depends_on_the_seed_alone(self, kind):
        first, again = (json.dumps(OBSERVATIONS.state(drawn(kind)), default=np.ndarray.tolist) for _ in range(2))
        assert first == again


@pytest.mark.statistical
class TestMoments:
    @pytest.mark.parametrize("kind", RANDOM)
    def test_mean_and_variance_are_exact(self, kind):
        law, clean = drawn(kind), np.tile(np.linspace(0.2, 2.0, 5), (N, 1))
        x = law.sample(clean, streams=streams())
        assert standard_errors(x, law.mean(clean[:1])[0], law.variance(clean[:1])[0]).max() < 5

    def test_a_wrong_dispersion_is_rejected(self):
        law, wrong = whole_spread(0.3), whole_spread(0.3, dispersion=0.6)
        clean = np.tile([[0.0, 0.5]], (N, 1))
        x = law.sample(clean, streams=streams())
        assert standard_errors(x, wrong.mean(clean[:1])[0], wrong.variance(clean[:1])[0]).max() > 5

    def test_cells_share_their_library_and_nothing_else(self):
        clean = np.zeros((N, 2))
        for spread, covariance in ((0.0, 0.0), (0.5, 25 * np.exp(0.25) * np.expm1(0.25))):
            x = whole_spread(spread, dispersion=0.0).sample(clean, streams=streams())
            products = np.prod(x - x.mean(0), axis=1)
            assert abs(products.mean() - covariance) < 5 * products.std() / np.sqrt(N)

    @pytest.mark.parametrize("kind", ["gaussian", "heteroscedastic"])
    def test_the_signal_to_noise_ratio_is_kept(self, kind):
        clean = rng().normal(size=(N, 3)) * [1.0, 2.0, 5.0]
        law = random_observation(kind, clean=clean, snr=4.0)
        noise = law.sample(clean, streams=streams()) - clean
        assert np.isclose(law.variance(clean).mean(0).sum() * 4, clean.var(0).sum(), rtol=100 * EPS * N)
        total = (noise**2).sum(1)
        assert abs(total.mean() - clean.var(0).sum() / 4) < 5 * total.std() / np.sqrt(N)

    def test_repeated_steps_draw_afresh(self):
        clean = np.zeros((N, 1))
        x = Chain((GaussianNoise(1.0), GaussianNoise(1.0))).sample(clean, streams=streams())
        assert standard_errors(x, 0.0, np.array([2.0])).max() < 5
        assert standard_errors(x, 0.0, np.array([4.0])).max() > 5  # what one noise used twice would have


@pytest.mark.statistical
class TestDistributions:
    @pytest.mark.parametrize("dispersion", [0.1, 0.5, 3.0])
    def test_counts_are_negative_binomial(self, dispersion):
        x = whole_spread(dispersion=dispersion).sample(np.zeros((N, 2)), streams=streams())[:, 0]
        law = stats.nbinom(1 / dispersion, 1 / (1 + 5 * dispersion))
        for count in (0, 1, 5, 20):
            p = law.pmf(count)
            assert abs((x == count).mean() - p) < 5 * np.sqrt(p * (1 - p) / N)
        poisson = stats.poisson(5).pmf(0)
        assert abs((x == 0).mean() - poisson) > 5 * np.sqrt(poisson / N)

    def test_no_dispersion_is_poisson(self):
        law = whole_spread(dispersion=[0.0, 2.0])
        x = law.sample(np.zeros((N, 2)), streams=streams())
        p = stats.poisson(5).pmf(0)
        zeros = np.abs((x == 0).mean(0) - p) / np.sqrt(p / N)
        assert zeros[0] < 5 < zeros[1]

    def test_intensities_are_log_normal(self):
        x = LogNormal(1.0, 1.0, 0.0, 1.0, 0.5).sample(np.full((N, 1), 2.0), streams=streams())[:, 0]
        assert stats.kstest(np.log(x), "norm", args=(3.0, 0.5)).pvalue > 1e-6
        assert stats.kstest(np.log(x), "norm", args=(3.0, 0.55)).pvalue < 1e-6

    def test_weak_signals_are_lost_more_often(self):
        clean = np.tile([[-1.0, 0.5, 3.0]], (N, 1))
        lost = (SignalDropout(0.5, 2.0).sample(clean, streams=streams()) == 0).mean(0)
        p = 1 / (1 + np.exp(2.0 * (clean[0] - 0.5)))
        assert (np.abs(lost - p) < 5 * np.sqrt(p * (1 - p) / N)).all()


class TestChain:
    def test_its_first_step_draws_as_it_would_alone(self):
        law = drawn("negative_binomial")
        chain = Chain((law, LogNormalise()))
        alone = LogNormalise().sample(law.sample(positive(), streams=streams()), streams={})
        assert np.array_equal(chain.sample(positive(), streams=streams()), alone)

    def test_chains_in_chains_are_one(self):
        steps = GaussianNoise(1.0), Log1p(), Dropout(0.5)
        assert Chain((Chain(steps[:2]), steps[2])) == Chain((steps[0], Chain(steps[1:]))) == Chain(steps)

    def test_it_breaks_what_its_steps_break(self):
        assert Chain((LogNormalise(), GaussianNoise(1.0), Dropout(0.1))).breaks == ("injective", "noiseless")
        assert Chain(()).breaks == ()
        assert np.array_equal(Chain(()).sample(positive(), streams={}), positive())


class TestRecovery:
    """Whether the law of x determines that of f(z), up to lost directions, and why."""

    @pytest.mark.parametrize("kind", RANDOM)
    def test_every_law_of_noise_alone_is_recovered_from(self, kind):
        law = drawn(kind)
        assert "theory, claim" in law.recovery
        assert "recoverable" not in law.breaks

    @pytest.mark.parametrize(
        ("steps", "recovered"),
        [
            ((COUNTS, LogNormalise()), True),
            ((COUNTS, CentredLogRatio()), True),
            ((PROTEINS, CentredLogRatio(0.0)), True),
            ((PROTEINS, CentredLogRatio(1.0)), False),  # a pseudocount is no factor
            ((PROTEINS, LogNormalise()), True),
            ((Dropout(0.1), LogNormalise()), True),
            ((SignalDropout(0.0, 1.0), LogNormalise()), False),  # the loss depends on the total that is lost
            ((GaussianNoise(0.1), LogNormalise()), False),  # noise enters the total
            ((COUNTS, Dropout(0.1), LogNormalise()), False),
            ((COUNTS, LogNormalise(), CentredLogRatio()), False),
            ((LogNormalise(), GaussianNoise(0.1)), True),
            ((GaussianNoise(0.1), Log1p(), Dropout(0.1)), True),
            ((LogNormalise(), CentredLogRatio()), True),  # no noise at all
        ],
    )
    def test_normalised_noise(self, steps, recovered):
        chain = Chain(steps)
        assert ("recoverable" not in chain.breaks) == recovered
        assert bool(chain.recovery) == (recovered and chain.random)

    def test_what_counts_lose_is_lost_once(self):
        assert (COUNTS.lost, LogNormalise().lost, Chain((COUNTS, LogNormalise())).lost) == (1, 1, 1)
        assert Chain((PROTEINS, CentredLogRatio(0.0))).lost == 1
        assert Chain((GaussianNoise(1.0), Log1p())).lost == 0
        assert LogNormal(0.0, [1.0, 0.0, 0.0], 0.0, 1.0, 0.3).lost == 2

    @pytest.mark.statistical
    def test_ratios_of_log_normal_intensities_are_log_normal_and_with_a_pseudocount_are_not(self):
        """What the verdict rests on: additive noise on the log scale, of one law at every f(z)."""
        spreads = {}
        for pseudocount in (0.0, 1.0):
            chain = Chain((PROTEINS, CentredLogRatio(pseudocount)))
            x = [chain.sample(np.full((N, 3), level), streams=streams()) for level in (-3.0, 3.0)]
            spreads[pseudocount] = x[1].std(axis=0) / x[0].std(axis=0)
        assert np.abs(spreads[0.0] - 1).max() < 5 / np.sqrt(N)
        assert np.abs(spreads[1.0] - 1).min() > 0.1


class TestDrawing:
    @pytest.mark.parametrize(
        ("kind", "settings", "message"),
        [
            ("gauss", {}, "observation must be one of none, gaussian"),
            ("gaussian", {}, "exactly one of scale and snr; received neither"),
            ("gaussian", {"scale": 1.0, "snr": 1.0}, "exactly one of scale and snr; received both"),
            ("gaussian", {"scales": 1.0}, "observation gaussian: unknown setting 'scales'; did you mean 'scale'"),
            ("gaussian", {"snr": 0.0}, "snr must lie strictly between"),
            ("dropout", {}, "observation dropout: the setting rate is required"),
            ("none", {"scale": 1.0}, "unknown setting 'scale'"),
            ("negative_binomial", {"dispersion_spred": 1.0}, "did you mean 'dispersion_spread'"),
            ("negative_binomial", {"dispersion_spread": 1e4}, "a gene's dispersion must have a logarithm within"),
            ("negative_binomial", {"baseline_spread": -1.0}, "baseline_spread must be a finite number ≥ 0"),
            ("chain", {"steps": [{"rate": 0.1}]}, "step 0 has no kind"),
            ("chain", {"steps": [{"kind": "dropout", "rat": 0.1}]}, "step 0: observation dropout: unknown"),
        ],
    )
    def test_bad_settings_are_refused(self, kind, settings, message):
        with pytest.raises(InputError, match=message):
            random_observation(kind, clean=positive(), rng=0, **settings)

    def test_one_row_is_no_reference(self):
        with pytest.raises(InputError, match="at least two rows"):
            random_observation("none", clean=positive(1))

    def test_a_constant_feature_has_unit_spread(self):
        law = random_observation("heteroscedastic", clean=np.array([[1.0, 0.0], [1.0, 2.0]]), scale=1.0)
        assert law.spread.tolist() == [1.0, 1.0]
        assert law.centre.tolist() == [1.0, 1.0]

    def test_later_steps_of_a_chain_suit_what_reaches_them(self):
        clean = rng().normal(size=(500, 4))
        steps = [
            {"kind": "log_normal", "baseline": 3.0, "baseline_spread": 0.0},
            {"kind": "heteroscedastic", "snr": 9.0},
        ]
        made = random_observation("chain", clean=clean, rng=0, steps=steps)
        assert (made.steps[1].centre > 10).all()

    def test_baselines_of_genes_do_not_move_when_genes_are_added(self):
        few, many = (random_observation("negative_binomial", clean=positive(d=d), rng=0) for d in (3, 5))
        assert np.array_equal(few.baseline, many.baseline[:3])


class TestState:
    @pytest.mark.parametrize(
        ("state", "message"),
        [
            ({"kind": "gausian", "scale": 1.0}, "unknown kind 'gausian'"),
            ({"kind": "gaussian", "scales": 1.0}, "scales"),
            ({"kind": "gaussian"}, "the setting scale is required"),
            ({"kind": "chain"}, "steps is required"),
        ],
    )
    def test_bad_states_are_refused_in_one_line(self, state, message):
        with pytest.raises(InputError, match=message):
            OBSERVATIONS.from_state(state)
