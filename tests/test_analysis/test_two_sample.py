"""Two-sample tests: definitions, exact calibration, leaks, power, the defects of the published check."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from pdae_sim import energy_distance
from pdae_sim.analysis._permutation import aggregated, merge_ties, quadratic_forms, relabellings, upper_p_value
from pdae_sim.analysis.hypothesis_tests.multiple_testing import adjust_p_values, two_sample_tests
from pdae_sim.analysis.hypothesis_tests.two_sample import (
    disjoint_halves,
    energy_test,
    equivalence_test,
    mmd_test,
    refuse_shared_rows,
)
from pdae_sim.errors import InputError
from tests.test_analysis.planted import LEVELS, normal, outside_band


class TestPermutation:
    @pytest.mark.parametrize(("n", "m", "d"), [(30, 20, 3), (300, 257, 2), (40, 300, 20)])
    def test_the_observed_labelling_gives_the_v_statistic(self, n, m, d):
        x, y = normal(n, d, seed=0), normal(m, d, seed=1, shift=0.3)
        found = energy_test(x, y, n_permutations=19, rng=0)
        assert found.statistic == pytest.approx(energy_distance(x, y), rel=1e-9)
        assert found.sizes == (n, m)

    def test_a_relabelling_gives_the_statistic_of_its_groups(self):
        z = normal(50, 3, seed=0)
        H = relabellings(20, 30, 5, np.random.default_rng(0))
        for h, form in zip(H.T, quadratic_forms(z, H, [np.array])[0][0], strict=True):
            assert -form == pytest.approx(energy_distance(z[h > 0], z[h < 0]), rel=1e-9)
            assert (h > 0).sum() == 20

    def test_mmd_is_the_double_loop_at_every_bandwidth(self):
        x, y = normal(9, 2, seed=0), normal(7, 2, seed=1)
        for width, value in mmd_test(x, y, n_permutations=19, rng=0).by_bandwidth.items():
            k = [
                np.mean([math.exp(-((a - b) ** 2).sum() / width**2) for a, b in itertools.product(u, v)])
                for u, v in ((x, x), (y, y), (x, y))
            ]
            assert value == pytest.approx(k[0] + k[1] - 2 * k[2], rel=1e-9)

    def test_p_values_count_ties_and_add_one(self):
        assert upper_p_value(np.array([1.0, 1.0, 0.0, 2.0])) == 3 / 4
        assert upper_p_value(np.array([5.0, 1.0, 0.0, 2.0])) == 1 / 4
        assert upper_p_value(np.full(20, 0.3)) == 1.0
        x = np.tile([[0.0], [1.0]], (20, 1))  # every labelling with 20 zeros a side gives the same value
        assert energy_test(x, x.copy(), n_permutations=99, rng=0).p_value == 1.0

    def test_a_rounding_error_apart_is_a_tie(self):
        assert upper_p_value(merge_ties(np.array([1.0, 1.0 - 1e-15, 0.0, 0.5]), 1e-14)) == 1 / 2

    @given(st.integers(0, 1000))
    def test_aggregation_does_not_know_which_labelling_was_observed(self, seed):
        rng = np.random.default_rng(seed)
        values, order = rng.normal(size=(3, 20)), rng.permutation(20)
        assert np.array_equal(aggregated(values)[order], aggregated(values[:, order]))

    def test_aggregation_of_one_statistic_keeps_its_p_value(self):
        values = np.random.default_rng(0).normal(size=(1, 200))
        assert upper_p_value(aggregated(values)) == upper_p_value(values[0])

    @pytest.mark.parametrize("test", [energy_test, mmd_test])
    def test_seeds_reproduce_and_inputs_stay(self, test):
        x, y = normal(30, 2, seed=0), normal(30, 2, seed=1)
        before = x.copy()
        first, second, other = (test(x, y, n_permutations=199, rng=seed) for seed in (1, 1, 2))
        assert first.p_value == second.p_value
        assert first.null_quantiles == second.null_quantiles != other.null_quantiles
        assert np.array_equal(x, before)

    def test_all_labellings_give_the_p_value(self):
        """The 70 ways to call four of eight rows the first sample, each statistic by the public distance."""
        z = np.vstack([normal(4, 2, seed=0), normal(4, 2, seed=1, shift=1.0)])
        first = [list(rows) for rows in itertools.combinations(range(8), 4)]
        values = np.array([energy_distance(z[rows], np.delete(z, rows, axis=0)) for rows in first])
        exact = np.mean(values >= values[0] - 1e-12)
        found = energy_test(z[:4], z[4:], n_permutations=1999, rng=0).p_value
        assert 0.05 < exact < 0.5
        assert abs(found - exact) < 4 * math.sqrt(exact * (1 - exact) / 2000) + 1 / 2000

    @pytest.mark.slow
    def test_dcor_agrees(self):
        dcor = pytest.importorskip("dcor")
        x, y = normal(40, 3, seed=0), normal(50, 3, seed=1, shift=0.45)
        theirs = dcor.homogeneity.energy_test(x, y, num_resamples=1999, random_state=0)
        ours = energy_test(x, y, n_permutations=1999, rng=0)
        assert theirs.statistic == pytest.approx(40 * 50 / 90 * ours.statistic, rel=1e-9)
        error = math.sqrt(2 * ours.p_value * (1 - ours.p_value) / 2000)
        assert abs(theirs.pvalue - ours.p_value) < 4 * error + 1 / 2000


def null_p_values(test, worlds, *, ties=False):
    """p-values where both samples come from one law, of continuous rows or of counts full of ties."""
    found = []
    for seed in range(worlds):
        rng = np.random.default_rng([seed, ties])
        z = rng.poisson(0.7, size=(35, 2)) if ties else rng.standard_t(3, size=(35, 2))
        found.append(test(z[:20], z[20:], n_permutations=199, rng=seed).p_value)
    return found


@pytest.mark.statistical
class TestCalibration:
    @pytest.mark.parametrize("test", [energy_test, mmd_test])
    def test_type_one_error_in_200_worlds(self, test):
        assert not outside_band(null_p_values(test, 200))

    @pytest.mark.slow
    @pytest.mark.parametrize("test", [energy_test, mmd_test])
    def test_type_one_error_in_2000_worlds(self, test):
        assert not outside_band(null_p_values(test, 2000))

    @pytest.mark.parametrize("test", [energy_test, mmd_test])
    def test_ties_make_it_conservative_at_most(self, test):
        too_many = outside_band(null_p_values(test, 300, ties=True))
        assert all(count < low for count, low, _ in too_many.values())

    def test_the_band_notices_p_values_that_are_too_small(self):
        """The negative control: without the one that is added and without ties."""
        strict = [max(p - 1 / 20, 0.0) for p in np.linspace(1 / 20, 1, 20).tolist() * 20]
        assert outside_band(strict)

    @pytest.mark.parametrize("test", [energy_test, mmd_test])
    def test_power_grows_with_the_shift(self, test):
        rejected = [
            np.mean(
                [
                    test(normal(60, 2, seed=s), normal(60, 2, seed=s + 900, shift=by), n_permutations=99, rng=s).p_value
                    <= 0.05
                    for s in range(40)
                ]
            )
            for by in (0.2, 0.5, 1.0)
        ]
        assert rejected[0] < rejected[1] < rejected[2] == 1.0


class TestLeaks:
    @pytest.mark.parametrize("test", [energy_test, mmd_test, lambda x, y: equivalence_test(x, y, 0.1)])
    def test_one_cell_in_both_is_refused(self, test):
        x, y = normal(30, 2, seed=0), normal(30, 2, seed=1)
        y[7] = x[3]
        with pytest.raises(InputError, match=r"must not share cells; 1 rows of x \(30\) are rows of y \(30\)"):
            test(x, y)

    def test_ties_of_counts_are_no_leak(self):
        for seed in range(20):
            rng = np.random.default_rng(seed)
            refuse_shared_rows(*(rng.poisson(1.0, size=(n, 2)).astype(float) for n in (200, 150)))

    def test_too_many_ties_of_counts_are_a_leak(self):
        rng = np.random.default_rng(0)
        x = rng.poisson(4.0, size=(200, 3)).astype(float)
        with pytest.raises(InputError, match="must not share cells"):
            refuse_shared_rows(x, np.vstack([x[:100], rng.poisson(4.0, size=(100, 3))]))

    def test_rare_ties_of_counts_are_no_leak(self):
        """Counts of twenty genes seldom tie; a few rows in both samples and none twice in one are chance."""
        for seed in range(150):
            rng = np.random.default_rng(seed)
            x, y = rng.poisson(np.geomspace(0.005, 1, 20), (2, 40, 20)).astype(float)
            refuse_shared_rows(x, y)

    def test_minus_zero_is_zero(self):
        with pytest.raises(InputError, match="must not share"):
            refuse_shared_rows(np.array([[0.0], [1.0]]), np.array([[-0.0], [2.0]]))

    @given(st.integers(2, 50), st.integers(0, 100))
    def test_halves_share_nothing_and_lose_nothing(self, n, seed):
        x = normal(n, 1, seed=seed)
        first, second = disjoint_halves(x, rng=seed)
        assert 0 <= len(first) - len(second) <= 1
        assert sorted(np.vstack([first, second]).ravel()) == sorted(x.ravel())
        refuse_shared_rows(first, second)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: energy_test(np.zeros((5, 2)), np.ones((5, 3))), "y must have 2 columns"),
            (lambda: energy_test([[1.0]], [[2.0]]), "at least 2 rows; received 1 and 1"),
            (lambda: energy_test([1.0, 2.0], [3.0, math.nan]), "y must be finite"),
            (lambda: energy_test([1.0, 2.0], [3.0, 4.0], n_permutations=5), "n_permutations must be a whole number ≥"),
            (lambda: energy_test([1.0, 2.0], [3.0, 4.0], beta=2), "beta must lie strictly"),
            (lambda: equivalence_test([1.0, 2, 3, 4], [5.0, 6, 7, 8], 0), "margin must lie strictly"),
            (lambda: mmd_test(np.ones(4), np.ones(4)), "must vary for a kernel bandwidth"),
            (lambda: disjoint_halves([1.0]), "at least 2 rows to be halved"),
            (lambda: adjust_p_values({"A": 1.5}), "received 1.5 for 'A'"),
            (lambda: two_sample_tests({"A": np.ones(3)}, {}), "in one of them only: A"),
        ],
    )
    def test_bad_input(self, call, message):
        with pytest.raises(InputError, match=message):
            call()


def gaussian_energy(shift):
    """ED between N(0, 1) and N(shift, 1)."""
    gap = 2 / math.sqrt(math.pi) * math.exp(-(shift**2) / 4) + shift * (2 * stats.norm.cdf(shift / math.sqrt(2)) - 1)
    return 2 * gap - 4 / math.sqrt(math.pi)


class TestEquivalence:
    def test_it_reports_the_u_statistic(self):
        x, y = normal(60, 3, seed=0), normal(50, 3, seed=1, shift=0.5)
        found = equivalence_test(x, y, 0.1, beta=1.3)
        assert found.value == pytest.approx(energy_distance(x, y, beta=1.3, unbiased=True), rel=1e-9)

    def test_the_upper_limit_is_the_margin_with_p_value_five_percent(self):
        x, y = normal(80, 2, seed=0), normal(80, 2, seed=1)
        upper = equivalence_test(x, y, 0.1).upper
        assert equivalence_test(x, y, upper).p_value == pytest.approx(0.05, rel=1e-6)

    @pytest.mark.statistical
    @pytest.mark.parametrize(
        ("n", "shift"),
        [
            (50, 0.5),
            pytest.param(200, 0.5, marks=pytest.mark.slow),
            pytest.param(200, 1.0, marks=pytest.mark.slow),
            (50, 2.0),
        ],
    )
    def test_laws_at_the_margin_seldom_pass_for_a_match(self, n, shift):
        margin = gaussian_energy(shift)
        p = [
            equivalence_test(normal(n, 1, seed=s), normal(n, 1, seed=s + 10**6, shift=shift), margin).p_value
            for s in range(300)
        ]
        for level in LEVELS:
            assert sum(value <= level for value in p) <= stats.binom.ppf(0.995, len(p), level)

    @pytest.mark.statistical
    def test_equal_laws_match_where_there_are_cells_enough(self):
        margin = gaussian_energy(0.5)
        p = [equivalence_test(normal(400, 1, seed=s), normal(400, 1, seed=s + 999), margin).p_value for s in range(40)]
        assert np.mean(np.array(p) <= 0.05) > 0.9

    @pytest.mark.statistical
    def test_the_bound_on_the_variance_holds_and_is_not_idle(self):
        """Against the spread over samples at the margin, along the direction of largest variance."""
        margin = gaussian_energy(1.0)
        found = [
            equivalence_test(normal(200, 1, seed=s), normal(200, 1, seed=s + 999, shift=1.0), margin)
            for s in range(200)
        ]
        ratio = np.mean([f.standard_error for f in found]) / np.std([f.value for f in found])
        assert 0.9 < ratio < 1.3
