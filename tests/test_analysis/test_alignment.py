"""Alignment recovers what theory leaves open, and reports what it does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pdae_sim import strategies
from pdae_sim.analysis.identifiability.alignment import align, alignment_intervals, gram_error, gram_matrix
from pdae_sim.errors import InputError
from tests.test_analysis.planted import latents as cells

planted = st.integers(1, 5).flatmap(lambda d: st.tuples(strategies.orthogonal_matrices(d), st.integers(0, 2**32 - 1)))


def latents(d, seed=0, n=200):
    return np.random.default_rng(seed).normal(size=(n, d))


class TestPlanted:
    @given(planted)
    def test_a_rotation_or_reflection_is_recovered(self, pair):
        Q, seed = pair
        truth = latents(len(Q), seed)
        found = align(truth @ Q.T + 7, truth)
        assert found.orthogonal_r2 == pytest.approx(1, abs=1e-10)
        assert found.affine_r2 == pytest.approx(1, abs=1e-10)
        assert np.allclose(found.rotation, Q.T, atol=1e-10)
        assert np.allclose(found.affine_map, Q, atol=1e-10)
        assert np.allclose(found.singular_values, 1, atol=1e-10)
        assert found.orthogonality_defect < 1e-10

    @given(planted, st.sampled_from([0.5, 1.5, 3.0]))
    def test_a_map_that_is_not_orthogonal_is_reported_by_its_singular_values(self, pair, stretch):
        """Q diag(s, 1, …, 1) Qᵀ: affine R² is still 1 (claim 2.2), orthogonal R² is not (claim 2.3)."""
        Q, seed = pair
        d, truth = len(Q), latents(len(Q), seed)
        H = Q @ np.diag([stretch, *np.ones(d - 1)]) @ Q.T
        found = align(truth @ H.T, truth)
        assert found.affine_r2 == pytest.approx(1, abs=1e-10)
        assert np.allclose(np.sort(found.singular_values), np.sort([stretch, *np.ones(d - 1)]), atol=1e-10)
        assert found.orthogonality_defect == pytest.approx(abs(stretch - 1), abs=1e-9)
        assert found.orthogonal_r2 < 1 - 1e-3

    @settings(max_examples=25)
    @given(planted, st.sampled_from([0.25, 0.9, 1.2, 2.0]))
    def test_nothing_is_rescaled(self, pair, factor):
        """A scaled estimate loses exactly (factor − 1)², where a rescaling Procrustes would report a perfect match."""
        Q, seed = pair
        truth = latents(len(Q), seed)
        found = align(factor * truth @ Q.T, truth)
        assert found.orthogonal_r2 == pytest.approx(1 - (factor - 1) ** 2, abs=1e-10)
        assert np.allclose(found.singular_values, factor)

    @settings(max_examples=25)
    @given(planted)
    def test_rotating_the_estimate_changes_no_verdict(self, pair):
        Q, seed = pair
        truth = latents(len(Q), seed)
        estimate = truth + 0.5 * latents(len(Q), seed + 1)
        before, after = align(estimate, truth), align(estimate @ Q.T + 1, truth)
        assert after.orthogonal_r2 == pytest.approx(before.orthogonal_r2, abs=1e-10)
        assert after.affine_r2 == pytest.approx(before.affine_r2, abs=1e-10)
        assert np.allclose(after.singular_values, before.singular_values)

    def test_the_rotation_maps_the_estimate_onto_the_truth(self):
        truth = latents(3)
        estimate = truth[:, [2, 0, 1]] * [1, -1, 1] + 5
        found = align(estimate, truth)
        moved = (estimate - estimate.mean(0)) @ found.rotation.T + truth.mean(0)
        assert np.allclose(moved, truth)

    def test_noise_lowers_both(self):
        truth = latents(3, n=20_000)
        found = align(truth + latents(3, seed=1, n=20_000), truth)
        assert found.affine_r2 == pytest.approx(0.5, abs=0.02)
        assert found.orthogonal_r2 == pytest.approx(0.0, abs=0.03)


class TestNegativeControls:
    def test_unrelated_latents_do_not_align(self):
        """An affine map with d regressors explains d / n by chance, no more."""
        found = align(latents(3, seed=1, n=5000), latents(3, seed=2, n=5000))
        assert 0 <= found.affine_r2 < 0.005
        assert found.orthogonal_r2 < 0

    def test_a_bent_map_is_not_affine(self):
        truth = latents(2, n=2000)
        bent = np.column_stack([truth[:, 0], truth[:, 1] + truth[:, 0] ** 2])
        assert align(bent, truth).affine_r2 < 0.9

    def test_a_permutation_of_the_cells_is_not_a_rotation(self):
        truth = latents(2, n=2000)
        assert align(truth[::-1], truth).affine_r2 < 0.05


class TestGram:
    @given(planted, st.data())
    def test_it_does_not_see_rotations(self, pair, data):
        Q, seed = pair
        W, shifts = latents(4, seed, n=len(Q)), latents(4, seed + 1, n=3)
        assert gram_error(Q @ W, W, shifts) < 1e-10

    @given(planted)
    def test_it_is_the_gram_matrix_of_the_moved_means(self, pair):
        Q, seed = pair
        W, shifts = latents(4, seed, n=len(Q)), latents(4, seed + 1, n=3)
        assert np.allclose(gram_matrix(W, shifts), (W @ shifts.T).T @ (W @ shifts.T))

    def test_a_scaled_estimate_is_wrong_by_the_square(self):
        W, shifts = latents(3, n=2), np.eye(3)
        assert gram_error(1.1 * W, W, shifts) == pytest.approx(0.21)

    def test_superfluous_latents_without_effect_cost_nothing(self):
        W, shifts = latents(3, n=2), np.eye(3)
        assert gram_error(np.vstack([W, np.zeros((2, 3))]), W, shifts) == pytest.approx(0)

    def test_what_no_environment_moves_does_not_count(self):
        W, other = np.eye(3), np.eye(3)
        other[:, 2] = 9
        assert gram_error(other, W, np.eye(3)[:2]) == 0
        assert gram_error(other, W, np.eye(3)) > 1

    def test_a_truth_without_effects_is_refused(self):
        with pytest.raises(InputError, match="the true shifts are all zero"):
            gram_error(np.eye(2), np.zeros((2, 2)), np.eye(2))


class TestErrors:
    @pytest.mark.parametrize(
        ("estimate", "truth", "message"),
        [
            (np.ones((5, 2)), np.ones((5, 3)), r"must have one shape; received \(5, 2\) and \(5, 3\)"),
            (np.ones((4, 2)), np.ones((5, 2)), "must have one shape"),
            (np.eye(3), np.eye(3), "at least 4 cells for alignment of 3 latents; received 3"),
            (latents(2), np.ones((200, 2)), "truth must vary in every direction"),
            (latents(2), latents(2)[:, [0, 0]], "truth must vary in every direction"),
            (np.full((5, 2), np.nan), latents(2, n=5), "estimate must be finite"),
        ],
    )
    def test_the_argument_is_named(self, estimate, truth, message):
        with pytest.raises(InputError, match=message):
            align(estimate, truth)

    def test_a_collapsed_estimate_is_judged_not_refused(self):
        found = align(np.zeros((200, 2)), latents(2))
        assert found.affine_r2 == pytest.approx(0)
        assert np.allclose(found.singular_values, 0)


class TestIntervals:
    def test_those_of_an_alignment_hold_its_values(self):
        z = cells(60, 5)
        estimate = z + 0.5 * cells(60, 5, seed=1)
        found, ends = align(estimate, z), alignment_intervals(estimate, z, rng=0)
        for name in ("affine_r2", "orthogonal_r2"):
            assert getattr(found, name) in getattr(ends, name)
        band = np.array(ends.singular_values)
        assert (band[:, 0] <= found.singular_values).all()
        assert (found.singular_values <= band[:, 1]).all()

    @pytest.mark.statistical
    def test_the_band_covers_equal_singular_values_at_once_where_percentiles_do_not(self):
        d, worlds = 4, 25
        ours = plain = 0
        for seed in range(worlds):
            z = cells(80, d, seed)
            estimate = z + cells(80, d, seed + 1000)
            band = np.array(alignment_intervals(estimate, z, rng=seed).singular_values)
            ours += ((band[:, 0] <= 1) & (band[:, 1] >= 1)).all()
            picks = np.random.default_rng(seed).integers(80, size=(60, 80))
            draws = [align(estimate[rows], z[rows]).singular_values for rows in picks]
            low, high = np.quantile(draws, [0.025, 0.975], axis=0)
            plain += ((low <= 1) & (high >= 1)).all()
        assert ours >= stats.binom.ppf(0.001, worlds, 0.95)
        assert plain < worlds / 2
