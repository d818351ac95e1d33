"""Graphs: acyclic, of the stated kind, weights bounded away from zero."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdae_sim._checks import InputError
from pdae_sim.simulation.graphs import GRAPHS, adjacency_matrix, random_dag, signed_weights

EPS = np.finfo(float).eps

seeds = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


class TestGraphs:
    @pytest.mark.parametrize("kind", GRAPHS)
    @given(n=st.integers(1, 9), seed=seeds)
    def test_every_graph_is_acyclic(self, kind, n, seed):
        graph = random_dag(kind, n, rng=rng(seed))
        assert nx.is_directed_acyclic_graph(graph)
        assert sorted(graph.nodes) == list(range(n))

    @pytest.mark.parametrize(("kind", "edges"), [("chain", 6), ("complete", 21), ("empty", 0)])
    def test_the_number_of_edges(self, kind, edges):
        assert random_dag(kind, 7, rng=rng()).number_of_edges() == edges

    def test_the_causal_order_is_random(self):
        orders = {tuple(nx.topological_sort(random_dag("chain", 4, rng=rng(seed)))) for seed in range(50)}
        assert len(orders) > 15

    @pytest.mark.statistical
    def test_the_degree_is_the_expected_number_of_neighbours(self):
        n, degree, draws = 10, 3.0, 400
        edges = np.array(
            [random_dag("erdos_renyi", n, rng=rng(s), degree=degree).number_of_edges() for s in range(draws)]
        )
        assert abs(2 * edges.mean() / n - degree) < 5 * 2 * edges.std() / n / np.sqrt(draws)

    @given(st.sampled_from(GRAPHS), st.integers(1, 6), seeds)
    def test_weights_have_magnitudes_in_their_range_and_both_signs_occur(self, kind, n, seed):
        graph = signed_weights(random_dag(kind, n, rng=rng(seed)), rng=rng(seed), low=0.5, high=1.5)
        weights = np.array([w for *_, w in graph.edges.data("weight")])
        assert ((np.abs(weights) >= 0.5) & (np.abs(weights) <= 1.5)).all()

    def test_adding_an_edge_leaves_the_other_weights(self):
        graph = nx.DiGraph([(0, 1), (1, 2)])
        more = nx.DiGraph([(0, 1), (1, 2), (0, 2)])
        before, after = (adjacency_matrix(signed_weights(g, rng=rng(3))) for g in (graph, more))
        assert after[2, 0] != 0
        assert np.array_equal(np.where(after == after[2, 0], 0, after), before)

    def test_an_entry_is_the_effect_of_its_column_on_its_row(self):
        graph = nx.DiGraph()
        graph.add_edge("cause", "effect", weight=0.7)
        assert adjacency_matrix(graph).tolist() == [[0, 0], [0.7, 0]]

    def test_a_cycle_an_undirected_graph_and_an_unknown_kind_are_refused(self):
        for graph in (nx.DiGraph([(0, 1), (1, 0)]), nx.Graph([(0, 1)])):
            with pytest.raises(InputError, match="directed acyclic graph"):
                adjacency_matrix(graph)
        with pytest.raises(
            InputError, match="graph must be one of erdos_renyi, chain, complete, empty; received 'tree'"
        ):
            random_dag("tree", 3, rng=rng())
