"""Claim 2.5: agreement with the library's Gram matrix, from densities of simulated worlds; what the check refuses."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim.analysis.identifiability import alignment
from pdae_sim.simulation.laws import Gaussian
from pdae_sim.strategies import latent_models, orthogonal_matrices
from theory.engine.checker import assess
from theory.engine.instances import worlds
from theory.identifiability import gram_matrix
from theory.identifiability.orthogonal import rival_matrix

each_world = pytest.mark.parametrize("world", worlds(8), ids=lambda world: f"d{len(world.W)}")


def passed(measurements):
    return [assess(m).passed for m in measurements]


@each_world
class TestCheck:
    def test_a_relative_error_of_1e5_is_seen(self, world):
        W_rival = rival_matrix(world)
        assert all(passed(gram_matrix.measure(world, W_rival)))
        assert not any(passed(gram_matrix.measure(world, W_rival * (1 + 1e-5))))
        assert not assess(gram_matrix.measure_rotation(world, W_rival * (1 + 1e-5))).passed

    def test_what_is_not_in_the_span_is_not_seen(self, world):
        """The rival's size of a shift outside the span is another one, so its distance is."""
        outside = replace(world, inside=world.outside)
        assert not all(passed(gram_matrix.measure(outside, rival_matrix(outside))))

    def test_diversity_is_not_needed(self, world):
        thin = gram_matrix.undiverse(world)
        assert np.linalg.matrix_rank(thin.W @ thin.shifts) < len(thin.W)
        assert all(passed(gram_matrix.measure(thin, rival_matrix(thin))))


@given(latent_models(), st.data())
@settings(max_examples=25)
def test_the_library_agrees_that_the_gram_matrix_is_the_covariance_of_log_ratios(model, data):
    """Densities of the simulator's own mechanisms, integrated under the control, against that of the whitened W."""
    K = model.targets.shape[1]
    labels = np.vstack([np.zeros(K), np.eye(K), np.ones(K)])
    root = np.linalg.inv(np.linalg.cholesky(model.covariance))
    covariance, size = _covariance_of_ratios(model, labels, np.linalg.inv(root))
    G = alignment.gram_matrix(root @ model.perturbation_matrix, labels[1:])
    tolerance = 1e-11 * np.linalg.cond(model.covariance) * size**2
    np.testing.assert_allclose(covariance, G, atol=tolerance)
    if np.linalg.norm(G):
        Q = data.draw(orthogonal_matrices(len(root)))
        assert (
            alignment.gram_error(Q @ root @ model.perturbation_matrix, root @ model.perturbation_matrix, labels[1:])
            < 1e-9
        )


def _covariance_of_ratios(model, labels, root_of_covariance):
    d = len(root_of_covariance)
    points = np.sqrt(d) * np.vstack([np.eye(d), -np.eye(d)]) @ root_of_covariance.T
    logs = np.stack([model.mechanisms(label).log_density(points, Gaussian()) for label in labels])
    ratios = logs[1:] - logs[0]
    return np.cov(ratios, bias=True).reshape(len(ratios), -1), 1 + np.abs(logs).max()
