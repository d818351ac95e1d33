"""Noise laws: densities against quadrature and scipy, samples against both, one draw the same whatever comes after."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from pdae_sim import strategies
from pdae_sim.errors import InputError
from pdae_sim.simulation.laws import (
    LAWS,
    Bimodal,
    Gaussian,
    Laplace,
    Skewed,
    StudentT,
)

EXAMPLES = (
    Gaussian(),
    StudentT(2.5),
    StudentT(3.5),
    StudentT(9.0),
    Laplace(),
    Skewed(0.7),
    Skewed(1.0),
    Skewed(4.0),
    Bimodal(0.3),
    Bimodal(0.95),
)


def rng(seed=0):
    return np.random.default_rng(seed)


def scipy_law(law):
    """The same law from scipy.stats, which has none with two modes."""
    if isinstance(law, StudentT):
        return stats.t(law.df, scale=np.sqrt((law.df - 2) / law.df))
    if isinstance(law, Skewed):
        return stats.gamma(law.shape, loc=-np.sqrt(law.shape), scale=1 / np.sqrt(law.shape))
    return {Gaussian: stats.norm(), Laplace: stats.laplace(scale=np.sqrt(0.5))}[type(law)]


def cumulative(law):
    if isinstance(law, Bimodal):
        modes = [stats.norm(side * law.separation, np.sqrt(1 - law.separation**2)) for side in (-1, 1)]
        return lambda u: sum(mode.cdf(u) for mode in modes) / 2
    return scipy_law(law).cdf


def expected(law, power):
    """E u^power under the stated density, piece by piece around its kinks."""
    edges = [-np.inf, -1.0, 0.0, 1.0, np.inf]
    if isinstance(law, Skewed):
        edges = [-np.sqrt(law.shape), 0.0, 1.0, np.inf]
    return sum(integrate.quad(lambda u: u**power * np.exp(law.log_density(u)), *piece)[0] for piece in pairwise(edges))


class TestDensities:
    @pytest.mark.parametrize("law", EXAMPLES, ids=str)
    def test_mass_mean_and_variance(self, law):
        assert [expected(law, power) for power in range(3)] == pytest.approx([1, 0, 1], abs=1e-6)

    @pytest.mark.parametrize("law", EXAMPLES, ids=str)
    def test_skewness_and_excess_kurtosis(self, law):
        if np.isfinite(law.skewness):
            assert expected(law, 3) == pytest.approx(law.skewness, abs=1e-6)
        if np.isfinite(law.excess_kurtosis):
            assert expected(law, 4) - 3 == pytest.approx(law.excess_kurtosis, abs=1e-6)

    def test_moments_that_do_not_exist_are_not_claimed(self):
        assert np.isnan(StudentT(3.0).skewness)
        assert StudentT(4.0).excess_kurtosis == np.inf
        assert StudentT(4.0).skewness == 0

    @given(strategies.noise_laws(), st.floats(-8, 8))
    def test_scipy_agrees(self, law, u):
        """For two modes a mixture of two normals stands in."""
        if isinstance(law, Bimodal):
            modes = [stats.norm(side * law.separation, np.sqrt(1 - law.separation**2)) for side in (-1, 1)]
            assert np.exp(law.log_density(u)) == pytest.approx(sum(mode.pdf(u) for mode in modes) / 2, rel=1e-9)
        else:
            assert law.log_density(u) == pytest.approx(scipy_law(law).logpdf(u), rel=1e-9, abs=1e-9)

    def test_a_wrong_density_is_rejected(self):
        """The negative control: Student's t before it is standardised has another variance."""
        law = StudentT(5.0)
        wrong = stats.t(5.0).pdf
        assert abs(integrate.quad(lambda u: u**2 * wrong(u), -np.inf, np.inf)[0] - 1) > 0.5
        u = law.sample((2000,), rng=rng())
        assert stats.kstest(u, stats.t(5.0).cdf).pvalue < 1e-6

    def test_no_mass_outside_the_support(self):
        for shape in (0.5, 1.0, 4.0):
            beyond = -np.sqrt(shape) - np.array([1e-6, 1.0, 50.0])
            assert np.array_equal(Skewed(shape).log_density(beyond), np.full(3, -np.inf))
        assert Skewed(1.0).log_density(-1.0) == 0
        assert np.isfinite(Skewed(4.0).log_density(-1.99))

    @given(strategies.noise_laws())
    def test_entry_by_entry(self, law):
        u = np.linspace(-3, 3, 12).reshape(3, 4)
        density = law.log_density(u)
        assert density.shape == u.shape
        assert density[1, 2] == law.log_density(u[1, 2])


class TestSamples:
    @pytest.mark.parametrize("law", EXAMPLES, ids=str)
    def test_a_seed_is_as_good_as_a_generator(self, law):
        assert np.array_equal(law.sample((9, 2), rng=3), law.sample((9, 2), rng=np.random.default_rng(3)))

    @pytest.mark.statistical
    @pytest.mark.parametrize("law", EXAMPLES, ids=str)
    def test_they_follow_the_law(self, law):
        """Fixed seeds; under the law a p-value below 1e-4 is one run in ten thousand."""
        assert stats.kstest(law.sample((5000,), rng=rng(1)), cumulative(law)).pvalue > 1e-4

    @pytest.mark.statistical
    @pytest.mark.parametrize("law", [law for law in EXAMPLES if not isinstance(law, StudentT)], ids=str)
    def test_their_moments(self, law):
        """Within five standard errors; heavy tails are left to the test above, whose statistic is bounded."""
        n = 200_000
        u = law.sample((n,), rng=rng(2))
        for power, moment in enumerate((0, 1, law.skewness, law.excess_kurtosis + 3), start=1):
            assert abs((u**power).mean() - moment) < 5 * (u**power).std() / np.sqrt(n)

    @pytest.mark.statistical
    def test_entries_are_independent(self):
        for law in EXAMPLES:
            u = np.clip(law.sample((20_000, 2), rng=rng(3)), -4, 4)
            assert abs(np.corrcoef(u.T)[0, 1]) < 5 / np.sqrt(20_000)

    @given(
        strategies.noise_laws(),
        st.integers(1, 4),
        st.lists(st.integers(1, 9), min_size=1, max_size=4),
        st.integers(0, 99),
    )
    def test_block_by_block_is_at_once(self, law, d, blocks, seed):
        at_once, continued = law.sample((sum(blocks), d), rng=rng(seed)), rng(seed)
        block_by_block = np.concatenate([law.sample((n, d), rng=continued) for n in blocks])
        assert np.array_equal(block_by_block, at_once)

    def test_the_gaussian_draws_are_those_of_numpy(self):
        assert np.array_equal(Gaussian().sample((4, 3), rng=rng(5)), rng(5).standard_normal((4, 3)))


class TestStates:
    @given(strategies.noise_laws())
    def test_a_state_is_json_and_gives_the_law_back(self, law):
        assert LAWS.from_state(json.loads(json.dumps(LAWS.state(law)))) == law

    def test_every_kind_has_defaults_a_name_and_says_what_it_breaks(self):
        for kind, cls in LAWS.items():
            assert LAWS.state(LAWS.of(kind))["kind"] == kind
            assert cls.breaks == (() if kind == "gaussian" else ("gaussian",))
        assert LAWS.of(Laplace()) == Laplace()

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: StudentT(2.0), "df must lie strictly between 2 and inf; received 2.0"),
            (lambda: StudentT(np.inf), "df must lie strictly between"),
            (lambda: Skewed(0.0), "shape must lie strictly between 0 and inf"),
            (lambda: Bimodal(1.0), "separation must lie strictly between 0 and 1"),
            (lambda: Bimodal("far"), "separation must lie strictly between 0 and 1"),
            (lambda: LAWS.of("cauchy"), "noise must be one of gaussian, student_t, .*; received 'cauchy'"),
            (lambda: LAWS.from_state({"kind": "cauchy"}), "unknown kind 'cauchy'"),
        ],
    )
    def test_bad_parameters(self, make, message):
        with pytest.raises(InputError, match=message):
            make()


class TestOverlap:
    """1 / ∫ p(u − a)² / p(u) du."""

    @settings(max_examples=40)
    @given(strategies.noise_laws(), st.floats(0.01, 1.5))
    def test_by_brute_force(self, law, move):
        """A fine grid on the support; heavy tails reach far, and the gamma's pole needs fineness at its end."""
        assume(not isinstance(law, Skewed) or law.shape > 1.5)
        assume(not isinstance(law, Bimodal) or law.separation < 0.95)
        reach = 4000 if isinstance(law, StudentT) else 60
        low = -np.sqrt(law.shape) + 1e-9 if isinstance(law, Skewed) else -reach
        u = np.sinh(np.linspace(np.arcsinh(low), np.arcsinh(reach), 400_001))
        here, there = law.log_density(u), law.log_density(u - move)
        chi2 = integrate.trapezoid(np.exp(2 * there - here), u)
        assert law.overlap(move) == pytest.approx(1 / chi2, rel=2e-3)

    @pytest.mark.parametrize(
        ("law", "move", "known"),
        [
            (StudentT(5.0), 1e-4, 0.9999999875),
            (StudentT(2.1), 1e-3, 0.99998724),
            (Bimodal(0.999), 0.01, 0.951206),
            (Skewed(0.55), 0.1, 0.39781),
            (Skewed(1.0), 1.0, np.exp(-1.0)),
            (Skewed(20.0), -0.01, 0.0),
            (Skewed(0.4), 0.5, 0.0),
            (Gaussian(), 2.0, np.exp(-4.0)),
        ],
    )
    def test_hard_cases(self, law, move, known):
        assert law.overlap(move) == pytest.approx(known, rel=1e-5, abs=1e-12)

    @pytest.mark.parametrize("law", EXAMPLES)
    def test_nothing_moved_is_all_kept_and_little_moved_nearly_all(self, law):
        assert law.overlap(0.0) == 1.0
        assert law.overlap(1e-6) > 0.999 or isinstance(law, Skewed)
        assert 0 <= law.overlap(40.0) < 0.05
