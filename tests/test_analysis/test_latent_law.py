"""The law of base latents: one law in every environment, and N(0, I)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pdae_sim import energy_distance
from pdae_sim.analysis.hypothesis_tests.latent_law import (
    common_law_test,
    energy_to_normal,
    equal_spread,
    normal_law_test,
    spread_tests,
)
from pdae_sim.analysis.hypothesis_tests.two_sample import energy_test
from pdae_sim.errors import InputError
from tests.test_analysis.planted import normal, outside_band


class TestCommonLaw:
    def test_the_statistic_is_the_sum_of_weighted_energy_distances(self):
        x = {name: normal(n, 2, seed=n, shift=n / 50) for name, n in (("a", 12), ("b", 20), ("c", 9))}
        pairs = [("a", "b"), ("a", "c"), ("b", "c")]
        naive = sum(len(x[j]) * len(x[k]) / 82 * energy_distance(x[j], x[k]) for j, k in pairs)
        assert common_law_test(x, n_permutations=19, rng=0).statistic == pytest.approx(naive, rel=1e-9)

    def test_of_two_samples_it_is_the_energy_test(self):
        x, y = normal(40, 2, seed=0), normal(30, 2, seed=1, shift=0.5)
        ours = common_law_test({"x": x, "y": y}, n_permutations=1999, rng=0)
        theirs = energy_test(x, y, n_permutations=1999, rng=1)
        assert ours.statistic == pytest.approx(40 * 30 / 140 * theirs.statistic, rel=1e-9)
        error = math.sqrt(2 * theirs.p_value * (1 - theirs.p_value) / 2000)
        assert abs(ours.p_value - theirs.p_value) < 4 * error + 1 / 2000

    @pytest.mark.statistical
    def test_type_one_error_and_a_negative_control(self):
        def p_values(shift):
            samples = ([normal(15, 2, seed=[s, k], shift=shift * (k == 2)) for k in range(3)] for s in range(200))
            return [
                common_law_test(dict(enumerate(x)), n_permutations=199, rng=s).p_value for s, x in enumerate(samples)
            ]

        assert not outside_band(p_values(0.0))
        assert np.mean(np.array(p_values(1.2)) <= 0.05) > 0.7

    def test_bad_input(self):
        with pytest.raises(InputError, match="two or more to be compared; received 1"):
            common_law_test({"A": np.zeros((5, 1))})
        with pytest.raises(InputError, match="B must have 2 columns"):
            common_law_test({"A": np.zeros((5, 2)), "B": np.zeros((5, 3))})


def spread(*factors, n=150, shift=1.0, seed=0):
    """Normal samples of different means, whose first columns are scaled."""
    return {
        name: normal(n, 3, seed=[seed, k], shift=shift * k) * [factor, 1.0, 1.0]
        for k, (name, factor) in enumerate(zip("abcd", factors, strict=False))
    }


def changed(tests):
    return [name for name, test in tests.items() if test.p_value <= 0.05]


class TestSpread:
    def test_the_condition_that_changes_is_named_with_its_ratio_whatever_the_means(self):
        tests = spread_tests(spread(1.0, 1.0, 1.6, 1.0), rng=0)
        assert changed(tests) == ["c"]
        assert tests["c"].ratio == pytest.approx(1.6**2, rel=0.3)
        assert "variance changes at c (to 2." in tests["c"].in_words("c")

    def test_one_that_changes_makes_no_others_seem_to_and_several_are_found(self):
        assert changed(spread_tests(spread(1.0, 1.0, 1.0, 8.0), rng=0)) == ["d"]
        assert changed(spread_tests(spread(1.0, 1.0, 0.5, 8.0), rng=0)) == ["c", "d"]
        assert changed(spread_tests(spread(1.0, 2.0), rng=0)) == ["b"]

    def test_an_affine_map_of_the_rows_changes_nothing(self):
        samples, A = spread(1.0, 1.0, 1.3), normal(3, 3, seed=5)
        mapped = spread_tests({name: x @ A + 2.0 for name, x in samples.items()}, n_permutations=99, rng=0)
        plain = spread_tests(samples, n_permutations=99, rng=0)
        assert mapped["c"].p_value == plain["c"].p_value
        assert mapped["c"].ratio == pytest.approx(plain["c"].ratio)

    @pytest.mark.statistical
    def test_type_one_error_with_heavy_tails_and_power(self):
        def t(s, n=50):
            return dict(enumerate(np.random.default_rng(s).standard_t(5, size=(3, n, 2))))

        least = [
            min(test.p_value for test in spread_tests(t(s), n_permutations=99, rng=s).values()) for s in range(150)
        ]
        assert not outside_band(least)
        found = [changed(spread_tests(spread(1, 1, 1.4, seed=s), n_permutations=99, rng=s)) for s in range(20)]
        assert np.mean([names == ["c"] for names in found]) > 0.8

    def test_with_one_spread_only_other_differences_are_left(self):
        assert common_law_test(spread(1.0, 3.0, shift=0.0), rng=0).p_value == 0.001
        assert common_law_test(equal_spread(spread(1.0, 3.0, shift=0.0)), rng=0).p_value > 0.05
        assert common_law_test(equal_spread(spread(1.0, 3.0, shift=0.5)), rng=0).p_value == 0.001

    def test_a_sample_of_few_rows_is_not_scaled(self):
        few = {"a": normal(40, 3, seed=0), "b": normal(5, 3, seed=1)}
        assert np.array_equal(equal_spread(few)["b"], few["b"])
        assert spread_tests(few, n_permutations=19, rng=0)["b"].p_value > 0


class TestNormalLaw:
    def test_in_one_dimension_it_is_the_textbook_formula(self):
        x = np.array([[-3.0], [0.2], [0.9], [40.0]])
        reach = 2 * stats.norm.pdf(x) + x * (2 * stats.norm.cdf(x) - 1)  # E|a − Z|
        expected = 2 * reach.mean() - 2 / math.sqrt(math.pi) - np.abs(x - x.T).mean()
        assert energy_to_normal(x) == pytest.approx(expected, rel=1e-9)

    @pytest.mark.statistical
    def test_in_ten_dimensions_it_is_what_a_large_sample_says(self):
        x, z = normal(50, 10, seed=0, shift=1.0), normal(5000, 10, seed=1)
        assert energy_to_normal(x) == pytest.approx(energy_distance(x, z), abs=0.06)  # 2 E‖x − Z‖, 3 standard errors

    @pytest.mark.statistical
    def test_type_one_error(self):
        assert not outside_band(
            [normal_law_test(normal(15, 2, seed=s), n_resamples=99, rng=s).p_value for s in range(200)]
        )

    @pytest.mark.parametrize("wrong", [lambda z: z + 0.4, lambda z: 1.4 * z, lambda z: z * [1.0, 0.0], np.sign])
    def test_another_law_is_rejected(self, wrong):
        assert normal_law_test(wrong(normal(200, 2, seed=0)), n_resamples=199, rng=0).p_value == 0.005
