"""Nested maps, the ridge regression among them, and the intervals of ratios that judge them."""

from __future__ import annotations

from itertools import pairwise, permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim.analysis._intervals import operator_radius, ratio_intervals
from pdae_sim.analysis._nystrom_ridge import nystrom_ridge
from pdae_sim.analysis.identifiability.alignment import align
from pdae_sim.analysis.identifiability.identifiability_class import classify_identifiability
from pdae_sim.analysis.identifiability.nested_maps import (
    MAP_CLASSES,
    _signed_permutation,
    fit_nested_maps,
    least_squares_maps,
)
from pdae_sim.errors import InputError
from pdae_sim.intervals import Estimate, Interval
from tests.test_analysis.planted import latents, planted, turned


class TestNestedMaps:
    @settings(max_examples=25)
    @given(planted)
    def test_a_larger_class_never_explains_less_of_what_it_was_fitted_to(self, pair):
        Q, seed = pair
        z = latents(60, len(Q), seed)
        estimate = np.tanh(z) @ Q + 0.3 * latents(60, len(Q), seed + 1)
        maps = least_squares_maps(estimate, z, np.random.default_rng(0))
        losses = [((each(estimate) - z) ** 2).sum() for each in maps]
        assert all(a >= b * (1 - 1e-9) for a, b in pairwise(losses))

    @given(st.permutations(range(4)), st.lists(st.sampled_from([-1.0, 1.0]), min_size=4, max_size=4))
    def test_a_signed_permutation_is_found(self, order, signs):
        z = latents(30, 4)
        P = _signed_permutation(z[:, order] * signs, z)
        assert np.allclose(z[:, order] * signs @ P, z - z.mean(0) + (z[:, order] * signs).mean(0) @ P)

    def test_a_signed_permutation_is_best_among_all(self):
        """Against every one of the 48 in three dimensions."""
        for seed in range(20):
            Z_hat, Z = (latents(15, seed=seed + k) - latents(15, seed=seed + k).mean(0) for k in (0, 100))
            losses = [
                ((Z_hat[:, order] * signs - Z) ** 2).sum()
                for order in permutations(range(3))
                for signs in product([1, -1], repeat=3)
            ]
            assert ((Z_hat @ _signed_permutation(Z_hat, Z) - Z) ** 2).sum() == pytest.approx(min(losses))

    def test_halves_are_disjoint_and_the_judged_one_decides(self):
        """Scrambling the truth of the judged cells destroys every R²; scrambling nothing keeps them."""
        z = latents(400)
        judged = fit_nested_maps(z, z, rng=0).judged
        assert len(judged) == 200 == len(set(judged))
        scrambled = z.copy()
        scrambled[judged] = z[judged][::-1]
        assert fit_nested_maps(z, scrambled, rng=0)["affine"].r2.high < 0.2
        assert fit_nested_maps(z, z, rng=0)["affine"].r2.low > 1 - 1e-12

    def test_what_was_learnt_by_chance_is_not_counted(self):
        """Noise in 20 dimensions: an affine map explains 0.4 of the cells it was fitted to, less than 0 of others."""
        estimate, truth = latents(100, 20), latents(100, 20, seed=1)
        assert align(estimate[:50], truth[:50]).affine_r2 > 0.3
        assert fit_nested_maps(estimate, truth, rng=0)["affine"].r2.high < 0

    def test_defects_are_gaps_between_neighbours(self):
        z = latents(400)
        found = fit_nested_maps(turned(z) + 0.1, z, rng=0)
        values = [each.r2.value for each in found.classes] + [1.0]
        gaps = [b - a for a, b in pairwise(values)]
        assert np.allclose([each.defect.value for each in found.classes], gaps)
        assert [each.name for each in found.classes] == list(MAP_CLASSES)

    def test_same_seed_same_ladder(self):
        z = latents(200)
        first, second, other = (fit_nested_maps(turned(z), z, rng=seed).to_json() for seed in (0, 0, 1))
        assert first == second != other

    @pytest.mark.parametrize("constant", [slice(0, 1), slice(0, 3)])
    def test_a_constant_latent_of_the_estimate_is_judged(self, constant):
        z = latents(400)
        estimate = z.copy()
        estimate[:, constant] = 7.0
        assert classify_identifiability(fit_nested_maps(estimate, z, rng=0), rng=0).name in (
            "identified in part",
            "not identified",
        )

    @pytest.mark.parametrize(
        ("estimate", "truth", "message"),
        [
            (latents(30), latents(30), "at least 40 cells for nested maps of 3 latents; received 30"),
            (latents(41, 20), latents(41, 20), "at least 81 cells for nested maps of 20 latents; received 41"),
            (latents(50), np.ones((50, 3)), "truth must vary in every direction"),
            (latents(50), latents(50, 2), "must have one shape"),
            (np.full((50, 3), np.inf), latents(50), "estimate must be finite"),
        ],
    )
    def test_the_argument_is_named(self, estimate, truth, message):
        with pytest.raises(InputError, match=message):
            fit_nested_maps(estimate, truth, rng=0)


class TestSmoother:
    def test_it_is_kernel_ridge_regression_where_cells_are_few(self):
        """An oracle: for some bandwidth and ridge of its grid, the dual solution (K + λ n I)⁻¹ y."""
        x, rng = latents(80, 2), np.random.default_rng(0)
        y = np.sin(2 * x[:, :1]) + 0.1 * rng.normal(size=(80, 1))
        found = nystrom_ridge(x, y, np.random.default_rng(1))(x)
        u = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T
        squared = ((u[:, None] - u[None]) ** 2).sum(2)
        median = np.median(np.sqrt(squared[np.triu_indices(80, 1)]))
        duals = [
            K @ np.linalg.solve(K + ridge * 80 * np.eye(80), y)
            for K in (np.exp(-squared / (2 * (s * median) ** 2)) for s in (0.5, 1.0, 2.0, 4.0))
            for ridge in 10.0 ** np.arange(-8.0, 2.0)
        ]
        assert min(np.abs(found - dual).max() for dual in duals) < 1e-6

    def test_it_is_flat_where_there_is_nothing_to_find(self):
        """Noise: kept-out folds refuse most of it; what is let through predicts new noise no worse than by 5 %."""
        y = latents(400, 1, seed=9)
        s = nystrom_ridge(latents(400), y, np.random.default_rng(0))
        assert (s(latents(400, seed=3)) ** 2).mean() < 0.05


class TestIntervals:
    def test_a_ratio_without_spread_is_a_point(self):
        b = np.arange(1.0, 11.0)
        assert ratio_intervals(3 * b[None], b, np.random.default_rng(0))[0] == Estimate(3.0, Interval(3.0, 3.0))

    def test_they_narrow_as_one_over_root_n(self):
        widths = []
        for n in (400, 6400):
            (found,) = ratio_intervals(latents(1, n) ** 2, np.ones(n), np.random.default_rng(0))
            widths.append(found.high - found.low)
        assert widths[0] / widths[1] == pytest.approx(4, rel=0.25)  # each width to about 10 %

    def test_the_radius_is_that_of_a_gaussian_regression(self):
        """One regressor, one outcome: 1.96 σ / (s √n), to the 5 % that 400 multipliers leave open, thrice."""
        x, e = latents(2000, 1), latents(2000, 1, seed=1)
        x, e = x - x.mean(), e - e.mean()
        expected = 1.96 * np.sqrt((e**2 * x**2).sum()) / (x**2).sum()
        assert operator_radius(e, x, np.random.default_rng(0)) == pytest.approx(expected, rel=0.15)
