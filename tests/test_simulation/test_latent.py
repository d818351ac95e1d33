"""The linear latent model against exact algebra, an independent simulator and sampled moments."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim import strategies
from pdae_sim._checks import InputError
from pdae_sim.simulation.graphs import GRAPHS, adjacency_matrix
from pdae_sim.simulation.latent import LinearLatentModel
from theory import latent_causal

EPS = np.finfo(float).eps

seeds = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


class TestLatentModel:
    @settings(max_examples=25)
    @given(strategies.latent_models())
    def test_theory_agrees_exactly(self, model):
        """Dyadic entries: W and Σ of `theory` are exact, ours differ by the rounding of a triangular solve."""
        W = latent_causal.perturbation_matrix(model.adjacency.tolist(), model.targets.tolist())
        Sigma = latent_causal.covariance(model.adjacency.tolist(), model.noise_variances.tolist())
        size = 1e-13 * (1 + float(max(abs(v) for v in (*W, *Sigma))))
        assert np.allclose(model.perturbation_matrix, np.array(W.tolist(), float), rtol=0, atol=size)
        assert np.allclose(model.covariance, np.array(Sigma.tolist(), float), rtol=0, atol=size)

    @settings(max_examples=25)
    @given(strategies.latent_models())
    def test_sempler_agrees_on_every_shift_intervention(self, model):
        sempler = pytest.importorskip("sempler")
        population = sempler.LGANM(model.adjacency.T, np.zeros(model.n_latents), model.noise_variances)
        for S_k, W_k in zip(model.targets.T, model.perturbation_matrix.T, strict=True):
            shifted = population.sample(population=True, shift_interventions={j: (s, 0) for j, s in enumerate(S_k)})
            assert np.allclose(shifted.mean, W_k)
            assert np.allclose(shifted.covariance, model.covariance)

    @pytest.mark.statistical
    @pytest.mark.parametrize("graph", GRAPHS)
    def test_sampled_moments(self, graph):
        """Var of a sample covariance of Gaussians: (Σ_ij² + Σ_ii Σ_jj) / n."""
        A = LinearLatentModel.random(4, 1, graph=graph, rng=5).adjacency
        model, n = LinearLatentModel(A, [0.25, 1.0, 4.0, 9.0], np.zeros((4, 1))), 20_000
        z, Sigma = model.sample_base(n, rng=rng(1)), model.covariance
        variance = np.outer(np.diag(Sigma), np.diag(Sigma))
        assert (np.abs(z.mean(0)) < 5 * np.sqrt(np.diag(Sigma) / n)).all()
        assert (np.abs(np.cov(z.T) - Sigma) < 5 * np.sqrt((Sigma**2 + variance) / n)).all()

    @given(strategies.latent_models())
    def test_the_isotropic_form_is_whitened(self, model):
        white, R = model.isotropic(), model.whitening
        size = 1e-13 * np.linalg.cond(model.covariance)
        assert np.array_equal(white.covariance, np.eye(model.n_latents))
        assert np.allclose(R @ model.covariance @ R.T, np.eye(len(R)), atol=size)
        assert np.allclose(R.T @ R, np.linalg.inv(model.covariance), atol=size * np.abs(R).max() ** 2)
        assert np.allclose(white.perturbation_matrix, R @ model.perturbation_matrix)

    @given(seeds, st.sampled_from(["atomic", "multi"]), st.integers(1, 5), st.integers(1, 7))
    def test_targets(self, seed, kind, d, K):
        S = LinearLatentModel.random(d, K, targets=kind, shift=2.0, rng=seed).targets
        hit = (S != 0).sum(0)
        assert (hit == 1).all() if kind == "atomic" else ((hit >= 1) & (hit <= 3)).all()
        sizes = np.abs(S[S != 0])
        assert (sizes == 2.0).all() if kind == "atomic" else ((sizes >= 1.0) & (sizes <= 3.0)).all()

    def test_atomic_targets_reach_every_latent(self):
        assert np.linalg.matrix_rank(LinearLatentModel.random(4, 4, rng=0).perturbation_matrix) == 4

    def test_a_networkx_graph_with_and_without_weights(self):
        graph = nx.DiGraph([(0, 1), (1, 2)])
        drawn = LinearLatentModel.random(3, 1, graph=graph, rng=0).adjacency
        assert (drawn != 0).tolist() == [[False] * 3, [True, False, False], [False, True, False]]
        assert 0.5 <= abs(drawn[1, 0]) <= 1.5
        nx.set_edge_attributes(graph, 0.25, "weight")
        assert LinearLatentModel.random(3, 1, graph=graph, rng=0).adjacency[1, 0] == 0.25
        assert LinearLatentModel.from_graph(graph, targets=np.eye(3)).adjacency[2, 1] == 0.25

    @given(strategies.latent_models())
    def test_its_graph_is_that_of_the_adjacency(self, model):
        assert np.array_equal(adjacency_matrix(model.graph), model.adjacency)

    def test_it_does_not_follow_the_callers_array(self):
        A = np.array([[0.0, 0.0], [1.0, 0.0]])
        model = LinearLatentModel(A, [1, 1], [[1], [0]])
        A[0, 1] = 5
        assert model.adjacency[0, 1] == 0

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (([[0, 1], [1, 0]], [1, 1], np.eye(2)), "adjacency must be that of an acyclic graph"),
            (([[1.0]], [1], [[1]]), "adjacency must be that of an acyclic graph"),
            (([[0, 0], [1, 0]], [1, 0], np.eye(2)), "noise_variances must be positive; received 0"),
            (([[0, 0], [1, 0]], [1], np.eye(2)), "disagree"),
            (([[0, 0], [1, 0]], [1, 1], np.eye(3)), "disagree"),
            (([[0, np.nan], [1, 0]], [1, 1], np.eye(2)), "adjacency must be finite"),
        ],
    )
    def test_bad_fields(self, fields, message):
        with pytest.raises(InputError, match=message):
            LinearLatentModel(*fields)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_latents": 0}, "n_latents must be a whole number ≥ 1"),
            ({"graph": "tree"}, "graph must be one of"),
            ({"targets": "all"}, "targets must be one of atomic, multi"),
            ({"graph": nx.DiGraph([(0, 1)])}, "graph must have n_latents = 3 nodes; received 2"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(InputError, match=message):
            LinearLatentModel.random(**{"n_latents": 3, "n_perturbations": 2, "rng": 0} | options)
