"""Difficulty is met: over the reference latents to the tolerance, over an independent sample within its error."""

import re

import numpy as np
import pytest

from pdae_sim.errors import InputError
from pdae_sim.simulation.mixings import (
    FAMILIES,
    Affine,
    LinearTanh,
    Mixing,
    Orthonormal,
    condition_numbers,
    linear_r2,
    random_mixing,
    reference_latents,
)
from pdae_sim.simulation.mixings._draws import linear_of_condition, orthonormal_columns


def rng(seed=0):
    return np.random.default_rng(seed)


def nonlinearity(mixing, z):
    return 1 - linear_r2(mixing, z)


class TestMeasures:
    def test_an_affine_map_has_none(self):
        f = Mixing((Affine(rng().normal(size=(5, 3)), rng(1).normal(size=5)),))
        assert nonlinearity(f, rng(2).normal(size=(50, 3))) == pytest.approx(0, abs=1e-12)

    @pytest.mark.statistical
    def test_what_an_even_function_adds_is_not_explained(self):
        """The part |u| of a u + |u| is uncorrelated with u: a² / (a² + 1 − 2/π) of the variance is explained."""
        a, z = 0.7, rng().normal(size=(200_000, 1))

        def f(z):
            return a * z + np.abs(z)

        assert linear_r2(f, z) == pytest.approx(a**2 / (a**2 + 1 - 2 / np.pi), abs=5e-3)

    def test_as_many_coefficients_as_rows_prove_nothing(self):
        """The degrees of freedom: pure noise is not explained, on average, by 30 coordinates."""
        found = [
            linear_r2(lambda z, s=seed: rng(s + 99).normal(size=(len(z), 1)), rng(seed).normal(size=(60, 30)))
            for seed in range(60)
        ]
        assert np.mean(found) == pytest.approx(0, abs=5 * np.std(found) / np.sqrt(60))

    def test_condition_numbers_of_a_known_map(self):
        Q, V = orthonormal_columns(40, 3, rng()), orthonormal_columns(3, 3, rng(1))
        f = Mixing((linear_of_condition(Q, V, 50.0),))
        assert np.allclose(condition_numbers(f, rng(2).normal(size=(7, 3))), 50)

    def test_condition_numbers_where_slopes_differ(self):
        """Slopes of 1.3 at the origin and of 0.3 far out."""
        f = Mixing((LinearTanh(0.3), Orthonormal(np.eye(2), np.zeros(2))))
        numbers = condition_numbers(f, np.array([[0.0, 30.0], [0.0, 0.0], [1.0, -0.5]]))
        assert numbers[:2] == pytest.approx([1.3 / 0.3, 1])
        assert 1 < numbers[2] < numbers[0]

    @pytest.mark.parametrize("d", [1, 3, 20])
    def test_reference_latents_have_their_law(self, d):
        S = np.eye(d) + 0.5
        z = reference_latents(d, 4096, covariance=S)
        assert np.array_equal(z, reference_latents(d, 4096, covariance=S))
        assert np.array_equal(z[:512], reference_latents(d, 512, covariance=S))
        assert np.allclose(z.mean(axis=0), 0, atol=0.01)
        assert np.allclose(np.cov(z.T), S, atol=0.05)

    def test_a_size_that_is_no_power_of_two_is_refused(self):
        with pytest.raises(InputError, match="power of two"):
            reference_latents(2, 100)


CASES = [
    ("linear", "linear", {"condition": 20.0}),
    ("linear", "curved", {"condition": 4.0, "nonlinearity": 0.05}),
    ("monotone", "linear", {"condition": 10.0, "nonlinearity": 0.2}),
    ("monotone", "curved", {"nonlinearity": 0.1}),
    ("stack", "linear", {"condition": 5.0, "nonlinearity": 0.1}),
    ("stack", "curved", {"condition": 1.5}),
    ("coupling", "linear", {"condition": 30.0, "nonlinearity": 0.1}),
    ("henon", "linear", {"condition": 10.0, "nonlinearity": 0.3}),
    ("spline", "linear", {"condition": 30.0, "nonlinearity": 0.05}),
    ("folding", "linear", {"condition": 3.0, "nonlinearity": 0.05}),
    ("periodic", "linear", {"condition": 3.0, "nonlinearity": 0.02}),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: "-".join(case[:2]))
def case(request):
    kind, embedding, targets = request.param
    return targets, random_mixing(3, 5, rng=rng(11), kind=kind, embedding=embedding, **targets)


class TestCalibration:
    def test_all_families_are_here(self):
        assert {kind for kind, _, _ in CASES} == set(FAMILIES)

    def test_targets_are_met_over_the_reference_latents(self, case):
        targets, mixing = case
        z = reference_latents(3, 8192)
        if "condition" in targets:
            assert np.median(condition_numbers(mixing, z[:2048])) == pytest.approx(targets["condition"], rel=0.01)
        if "nonlinearity" in targets:
            assert nonlinearity(mixing, z) == pytest.approx(targets["nonlinearity"], abs=0.005)

    @pytest.mark.statistical
    def test_targets_are_met_over_an_independent_sample(self, case):
        """Within 5 standard errors of both samples beside the tolerance; 1.25 sd / √n is the error of a median."""
        targets, mixing = case
        z = rng(5).normal(size=(20_000, 3))
        if "condition" in targets:
            logs = np.log(condition_numbers(mixing, z[:8192]))
            error = 1.2533 * logs.std() * np.hypot(1 / np.sqrt(8192), 1 / np.sqrt(2048))
            assert np.median(logs) == pytest.approx(np.log(targets["condition"]), abs=0.01 + 5 * error)
            assert error < 0.05
        if "nonlinearity" in targets:
            parts = [nonlinearity(mixing, part) for part in z.reshape(10, -1, 3)]
            error = np.std(parts, ddof=1) / np.sqrt(10)
            assert np.mean(parts) == pytest.approx(targets["nonlinearity"], abs=0.005 + 5 * error)
            assert error < 0.02

    def test_a_covariance_moves_the_latents_it_refers_to(self):
        S = np.diag([9.0, 0.25])
        f = random_mixing(2, 2, rng=rng(), kind="monotone", condition=8.0, nonlinearity=0.2, covariance=S)
        z = reference_latents(2, 8192, covariance=S)
        assert np.median(condition_numbers(f, z[:2048])) == pytest.approx(8, rel=0.01)
        assert nonlinearity(f, z) == pytest.approx(0.2, abs=0.005)
        assert abs(nonlinearity(f, reference_latents(2, 8192)) - 0.2) > 0.02

    def test_no_nonlinearity_is_affine(self):
        f = random_mixing(3, 5, rng=rng(), kind="henon", nonlinearity=0.0, condition=7.0)
        assert nonlinearity(f, rng(1).normal(size=(100, 3))) < 1e-3
        assert np.allclose(condition_numbers(f, rng(1).normal(size=(9, 3))), 7, rtol=0.02)

    def test_a_mild_condition_weakens_the_bending(self):
        mild, own = (random_mixing(3, 5, rng=rng(), **given) for given in ({"condition": 1.2}, {}))
        z = reference_latents(3)
        assert np.median(condition_numbers(mild, z[:2048])) == pytest.approx(1.2, rel=0.01)
        assert np.median(condition_numbers(own, z[:2048])) > 1.5
        assert nonlinearity(mild, z) < nonlinearity(own, z)

    def test_the_same_seed_gives_the_same_mixing(self):
        z = rng().normal(size=(5, 2))
        f, g = (random_mixing(2, 3, rng=rng(1), kind="coupling", condition=6.0, nonlinearity=0.05)(z) for _ in range(2))
        assert np.array_equal(f, g)


class TestRefusals:
    @pytest.mark.parametrize(
        ("kind", "targets", "message"),
        [
            ("linear", {"nonlinearity": 0.1}, r"nonlinearity must lie between 0\.000 and 0\.000 for this mixing"),
            ("stack", {"nonlinearity": 0.9}, r"nonlinearity must lie between 0\.000 and 0\.\d+ for this mixing"),
            ("periodic", {"nonlinearity": 0.5}, "received 0.5"),
            ("coupling", {"condition": 2.0, "nonlinearity": 0.4}, r"and 0\.0\d+ with condition 2 for this mixing"),
        ],
    )
    def test_out_of_reach(self, kind, targets, message):
        with pytest.raises(InputError, match=message):
            random_mixing(3, 4, rng=rng(), kind=kind, **targets)

    def test_one_latent_has_condition_number_one(self):
        with pytest.raises(InputError, match="condition must lie between 1 and 1 for this mixing"):
            random_mixing(1, 3, rng=rng(), kind="monotone", condition=2.0)
        assert random_mixing(1, 3, rng=rng(), kind="monotone", condition=1.0).n_observed == 3

    @pytest.mark.parametrize("kind", ["stack", "coupling", "folding"])
    def test_what_lies_within_the_stated_range_is_met(self, kind):
        with pytest.raises(InputError) as refused:
            random_mixing(2, 3, rng=rng(), kind=kind, condition=4.0, nonlinearity=0.95)
        most = float(re.search(r"and (\d\.\d+) with", str(refused.value))[1])
        f = random_mixing(2, 3, rng=rng(), kind=kind, condition=4.0, nonlinearity=0.9 * most)
        assert nonlinearity(f, reference_latents(2, 8192)) == pytest.approx(0.9 * most, abs=0.005)
