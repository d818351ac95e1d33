"""The chapters on the causal graph: every graph has a twin, and what one atomic target for each latent tells."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from sympy import Matrix, symbols

from pdae_sim import strategies
from theory.causal import graph_targets, graphs
from theory.causal.graph_targets import read_adjacency
from theory.causal.latent_causal import covariance, perturbation_matrix, symbolic_adjacency
from theory.engine.checker import assess
from theory.engine.instances import structures

WEIGHTS = [[0, 0, 0], [1, 0, 0], [1, 1, 0]]


class TestTwins:
    def test_there_are_as_many_graphs_as_robinson_counted(self):
        assert [len(graphs.all_graphs(size)) for size in (1, 2, 3)] == [1, 3, 25]

    @pytest.mark.parametrize("index", range(0, 25, 3))
    def test_any_two_graphs_on_three_latents_have_the_same_laws(self, index):
        """S = I, D = I and free weights: T Σ' Tᵀ = Σ and T W' = W, at every label."""
        own = symbolic_adjacency(WEIGHTS)
        rival = symbolic_adjacency(graphs.all_graphs(3)[index]).xreplace(
            {w: symbols(w.name.replace("a", "b")) for w in symbolic_adjacency(np.ones((3, 3), int)).free_symbols}
        )
        T, identity = graphs.twins(own, rival), np.eye(3, dtype=int).tolist()
        assert (T * covariance(rival, [1, 1, 1]) * T.T - covariance(own, [1, 1, 1])).expand() == Matrix.zeros(3)
        assert (T * perturbation_matrix(rival, identity) - perturbation_matrix(own, identity)).expand() == Matrix.zeros(
            3
        )
        assert T.det().expand() == 1

    def test_without_the_mixing_they_differ(self):
        own, rival = symbolic_adjacency(WEIGHTS), Matrix.zeros(3)
        assert (covariance(rival, [1, 1, 1]) - covariance(own, [1, 1, 1])).expand() != Matrix.zeros(3)

    @pytest.mark.parametrize("structure", structures(3))
    def test_a_wrong_carrier_is_refused(self, structure):
        rival = graphs.rivals_of(structure)[0]
        T = graphs.carrier(structure, rival)
        assert assess(graphs.measure(structure, rival, T)).passed
        assert not assess(graphs.measure(structure, rival, T.T)).passed
        assert not assess(graphs.measure(structure, rival, T * (1 + 1e-6))).passed

    def test_a_cycle_is_no_twin(self):
        with pytest.raises(ValueError, match="acyclic"):
            graphs.twins([[0, 0], [0, 0]], [[0, 1], [1, 0]])

    @given(strategies.latent_models())
    @settings(max_examples=20)
    def test_a_model_of_the_library_and_its_twin_without_edges(self, model):
        """Mean and covariance at every label, carried by T: the graph of a simulated world is not in its law."""
        A, S = model.adjacency, model.targets
        T = np.array(graphs.twins(A, np.zeros_like(A)).tolist(), dtype=float)
        scale = 1 + np.abs(T).max() ** 2
        np.testing.assert_allclose(T @ S, model.perturbation_matrix, atol=1e-9 * scale)
        np.testing.assert_allclose(T * model.noise_variances @ T.T, model.covariance, atol=1e-9 * scale)


class TestTargets:
    @pytest.mark.parametrize("structure", structures(4))
    def test_the_adjacency_is_read_in_any_order_of_the_columns(self, structure):
        A, W = graph_targets.targeted(structure)
        for order in list(permutations(range(len(A))))[:6]:
            assert assess(graph_targets.measure(A, W, np.array(order))).passed
        assert not assess(graph_targets.measure(A, W * (1 + 1e-5 * np.arange(W.size).reshape(W.shape)))).passed

    def test_scales_of_the_latents_change_weights_and_not_edges(self):
        a, b, c = symbols("a b c", positive=True)
        A, scale = Matrix([[0, 0, 0], [a, 0, 0], [0, b, 0]]), Matrix.diag(1, c, 2)
        read = read_adjacency((scale * perturbation_matrix(A, np.eye(3, dtype=int).tolist())).tolist())
        assert read == Matrix([[0, 0, 0], [a * c, 0, 0], [0, 2 * b / c, 0]])

    def test_targets_of_several_latents_are_read_wrongly(self):
        W = perturbation_matrix([[0, 0], [3, 0]], [[1, 1], [0, 1]])
        assert read_adjacency(W.tolist()) != Matrix([[0, 0], [3, 0]])

    @pytest.mark.parametrize(
        ("W", "message"), [([[1, 2]], "square"), ([[1, 1], [1, 1]], "singular"), ([[0, 1], [1, 0]], "order")]
    )
    def test_what_cannot_be_read_is_refused(self, W, message):
        with pytest.raises(ValueError, match=message):
            read_adjacency(W)
