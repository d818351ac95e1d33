"""Joint Procrustes: one rotation for latents, W and base law."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from scipy import linalg
from scipy.stats import ortho_group

from pdae_sim.analysis.identifiability.alignment import align
from pdae_sim.analysis.identifiability.procrustes import LatentEstimate, joint_procrustes
from pdae_sim.data import Truth
from pdae_sim.errors import InputError
from tests.test_analysis.planted import latents, planted


def world(Q, seed=0, n=60):
    """A truth, and what an exact learner up to z ↦ Qᵀ (z − 2) has of it."""
    d, rng = len(Q), np.random.default_rng(seed)
    W, labels = rng.normal(size=(d, 3)), np.eye(3)[rng.integers(3, size=n)]
    base = rng.normal(size=(n, d))
    truth = Truth(base + labels @ W.T, base, W, np.eye(d))
    return truth, LatentEstimate((truth.z - 2) @ Q, (base - 2) @ Q, Q.T @ W)


class TestJointRotation:
    @given(planted)
    def test_one_rotation_serves_all_three(self, pair):
        Q, seed = pair
        truth, estimate = world(Q, seed)
        found = joint_procrustes(estimate, truth, np.eye(3))
        assert np.allclose(found.rotation, Q, atol=1e-8)
        assert np.allclose(found.offset, 2)
        assert max(found.latents, found.matrix, found.base) < 1e-15

    def test_a_matrix_that_needs_another_rotation_is_found_out(self):
        """Latents alone and W alone each match under a rotation of their own: the Gram error is zero too."""
        Q = ortho_group.rvs(3, random_state=0)
        truth, estimate = world(Q)
        wrong = LatentEstimate(
            estimate.z, estimate.z_base, ortho_group.rvs(3, random_state=1) @ truth.perturbation_matrix
        )
        found = joint_procrustes(wrong, truth, np.eye(3))
        assert found.latents + found.matrix > 0.1
        by_latents = joint_procrustes(wrong, truth, np.eye(3), weights={"latents": 1.0})
        assert by_latents.latents < 1e-15 < 0.1 < by_latents.matrix
        by_matrix = joint_procrustes(wrong, truth, np.eye(3), weights={"matrix": 1.0})
        assert by_matrix.matrix < 1e-15 < 0.1 < by_matrix.latents

    def test_no_other_rotation_is_better(self):
        truth, estimate = world(ortho_group.rvs(3, random_state=0))
        rng = np.random.default_rng(1)
        noisy = LatentEstimate(
            estimate.z + rng.normal(size=estimate.z.shape),
            estimate.z_base + 1,
            estimate.perturbation_matrix + 0.5 * rng.normal(size=(3, 3)),
        )
        best = joint_procrustes(noisy, truth, np.eye(3))
        least = best.latents + best.matrix + best.base
        total, effect = ((truth.z - truth.z.mean(0)) ** 2).sum(), (truth.perturbation_matrix**2).sum()
        for seed in range(200):
            near = best.rotation @ linalg.expm(0.01 * (G := latents(3, 3, seed)) - 0.01 * G.T)
            Q = near if seed % 2 else ortho_group.rvs(3, random_state=seed)
            c = best.offset + (0.1 * latents(1, 3, seed + 500)[0] if seed % 3 else 0)
            cost = ((noisy.z @ Q.T + c - truth.z) ** 2).sum() / total
            cost += ((Q @ noisy.perturbation_matrix - truth.perturbation_matrix) ** 2).sum() / effect
            cost += ((Q @ noisy.z_base.mean(0) + c - truth.z_base.mean(0)) ** 2).mean()
            assert cost >= least - 1e-12

    def test_a_wrong_base_law_shows_in_its_covariance(self):
        truth, estimate = world(np.eye(2), n=4000)
        good = joint_procrustes(estimate, truth, np.eye(3)).base_covariance
        bad = joint_procrustes(
            LatentEstimate(estimate.z, 2 * estimate.z_base, estimate.perturbation_matrix), truth, np.eye(3)
        )
        assert good < 0.1 < 2.5 < bad.base_covariance

    def test_fewer_cells_than_latents_leave_it_open(self):
        """Two cells and one shift in five dimensions: scipy would give one of many rotations without a word."""
        truth, estimate = world(np.eye(5), n=2)
        with pytest.raises(InputError, match="the rotation is not determined: estimate and truth agree on"):
            joint_procrustes(estimate, truth, np.eye(3)[:1])

    def test_align_says_whether_a_rotation_is_determined(self):
        z = latents(100)
        assert align(z, z).determined
        assert not align(z * [1, 1, 0], z).determined
