"""Graphs: acyclic, of the stated kind, weights bounded away from zero."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim import strategies
from pdae_sim.errors import InputError
from pdae_sim.simulation import graphs
from pdae_sim.simulation._mechanisms import causal_order
from pdae_sim.simulation._recipes import adjacency_matrix, signed_weights
from pdae_sim.simulation.graphs import GRAPHS

seeds = st.integers(0, 2**32 - 1)


few = settings(max_examples=15)


def rng(seed=0):
    return np.random.default_rng(seed)


def random_dag(kind, n, **options):
    """A random graph as networkx reads it."""
    return nx.from_numpy_array(graphs.random_dag(kind, n, **options).T, create_using=nx.DiGraph)


def depths(graph):
    """The length of the longest path into each node."""
    return {node: t for t, nodes in enumerate(nx.topological_generations(graph)) for node in nodes}


def degrees(kind, n, *, draws, **options):
    """Total degrees (draws, n) of independent graphs."""
    edges = np.array([graphs.random_dag(kind, n, rng=rng(seed), **options) for seed in range(draws)])
    return edges.sum(axis=1) + edges.sum(axis=2)


class TestKinds:
    @pytest.mark.parametrize("kind", GRAPHS)
    @few
    @given(n=st.integers(1, 9), degree=st.floats(0, 9), seed=seeds)
    def test_every_graph_is_acyclic(self, kind, n, degree, seed):
        graph = random_dag(kind, n, rng=rng(seed), degree=degree)
        assert nx.is_directed_acyclic_graph(graph)
        assert sorted(graph.nodes) == list(range(n))

    @pytest.mark.parametrize("kind", GRAPHS)
    @few
    @given(n=st.integers(1, 9), seed=seeds)
    def test_one_seed_one_graph(self, kind, n, seed):
        first, second = (random_dag(kind, n, rng=rng(seed)) for _ in range(2))
        assert nx.utils.graphs_equal(first, second)

    @pytest.mark.parametrize(
        ("kind", "edges"), [("chain", 6), ("fork", 6), ("collider", 6), ("tree", 6), ("complete", 21), ("empty", 0)]
    )
    def test_the_number_of_edges(self, kind, edges):
        assert random_dag(kind, 7, rng=rng()).number_of_edges() == edges

    @given(st.integers(2, 9), seeds)
    def test_roots_and_leaves(self, n, seed):
        """(roots, leaves) of each kind whose graph is fixed up to names, and the root of a tree."""
        expected = {"chain": (1, 1), "fork": (1, n - 1), "collider": (n - 1, 1), "complete": (1, 1), "empty": (n, n)}
        for kind, counts in expected.items():
            graph = random_dag(kind, n, rng=rng(seed))
            roots = sum(d == 0 for _, d in graph.in_degree)
            assert (roots, sum(d == 0 for _, d in graph.out_degree)) == counts
        causes = sorted(d for _, d in random_dag("tree", n, rng=rng(seed)).in_degree)
        assert causes == [0] + [1] * (n - 1)

    @given(st.integers(1, 12), st.integers(1, 5), seeds)
    def test_a_scale_free_graph_gives_each_node_its_causes(self, n, half_degree, seed):
        graph = random_dag("scale_free", n, degree=2 * half_degree, rng=rng(seed))
        assert sorted(d for _, d in graph.in_degree) == sorted(min(i, half_degree) for i in range(n))

    @given(st.integers(1, 4), st.integers(1, 4), st.floats(0, 6), seeds)
    def test_layers_have_equal_width_and_edges_join_neighbours_alone(self, layers, width, degree, seed):
        graph = random_dag("layered", layers * width, layers=layers, degree=degree, rng=rng(seed))
        depth = depths(graph)
        assert np.bincount(list(depth.values())).tolist() == [width] * layers
        assert all(depth[i] == depth[j] + 1 for j, i in graph.edges)

    def test_edges_of_another_kind_skip_layers(self):
        """The negative control of the test above."""
        graph = random_dag("complete", 4, rng=rng())
        assert any(depths(graph)[i] > depths(graph)[j] + 1 for j, i in graph.edges)

    @pytest.mark.parametrize(
        ("kind", "orders"),
        [("chain", 24), ("complete", 24), ("fork", 4), ("collider", 4), ("layered", 6), ("empty", 1)],
    )
    def test_the_causal_order_is_random(self, kind, orders):
        """All that differ by more than the order of nodes of equal depth occur."""
        seen = {tuple(causal_order(graphs.random_dag(kind, 4, rng=rng(s)))) for s in range(300)}
        assert len(seen) == orders

    def test_the_draws_of_a_seed_stay(self):
        """Worlds are named by their seeds: a further kind may change no draw of another."""
        edges = [(0, 4), (2, 0), (2, 4), (3, 0), (3, 1), (3, 2), (3, 4)]
        assert sorted(random_dag("erdos_renyi", 5, rng=rng(0), degree=3.0).edges) == edges
        assert sorted(random_dag("chain", 5, rng=rng(0)).edges) == [(0, 1), (1, 4), (2, 0), (3, 2)]


class TestDegrees:
    @pytest.mark.statistical
    @pytest.mark.parametrize(
        ("kind", "options"), [("erdos_renyi", {}), ("layered", {"layers": 3}), ("layered", {"layers": 2})]
    )
    def test_the_degree_is_the_expected_number_of_neighbours(self, kind, options):
        mean = degrees(kind, 10, draws=400, degree=3.0, **options).mean(axis=1)
        assert abs(mean.mean() - 3.0) < 5 * mean.std() / np.sqrt(400)

    @pytest.mark.statistical
    def test_a_scale_free_graph_has_hubs_where_an_erdos_renyi_graph_has_none(self):
        hubs, none = (degrees(kind, 100, draws=30, degree=4.0).max(axis=1) for kind in ("scale_free", "erdos_renyi"))
        assert hubs.mean() - none.mean() > 5 * np.sqrt((hubs.var() + none.var()) / 30)
        assert hubs.mean() > 2 * none.mean()

    @pytest.mark.statistical
    @pytest.mark.parametrize(("kind", "chance"), [("tree", 1 / 2), ("scale_free", 2 / 3)])
    def test_the_third_node_prefers_the_first_only_under_attachment(self, kind, chance):
        """With one cause each, the first of two nodes has one effect already: weight 2 against 1."""
        draws = 2000
        forks = sum(graphs.random_dag(kind, 3, rng=rng(s)).sum(axis=0).max() == 2 for s in range(draws))
        assert abs(forks / draws - chance) < 5 * np.sqrt(chance * (1 - chance) / draws)
        assert abs(forks / draws - (7 / 6 - chance)) > 5 * np.sqrt(chance * (1 - chance) / draws)


class TestWeights:
    @given(st.sampled_from(GRAPHS), st.integers(1, 6), seeds)
    def test_weights_have_magnitudes_in_their_range(self, kind, n, seed):
        edges = graphs.random_dag(kind, n, rng=rng(seed))
        A = signed_weights(edges, rng=rng(seed), low=0.5, high=1.5)
        weights = A[edges]
        assert not A[~edges].any()
        assert ((np.abs(weights) >= 0.5) & (np.abs(weights) <= 1.5)).all()

    @pytest.mark.statistical
    def test_signs_are_fair(self):
        A = signed_weights(graphs.random_dag("complete", 60, rng=rng()), rng=rng(1))
        signs = np.sign(A[A != 0])
        assert abs(signs.mean()) < 5 / np.sqrt(signs.size)

    def test_adding_an_edge_leaves_the_other_weights(self):
        edges = np.eye(3, k=-1, dtype=bool)
        more = np.tri(3, k=-1, dtype=bool)
        before, after = (signed_weights(graph, rng=rng(3)) for graph in (edges, more))
        assert after[2, 0] != 0
        assert np.array_equal(np.where(after == after[2, 0], 0, after), before)

    def test_an_entry_is_the_effect_of_its_column_on_its_row(self):
        graph = nx.DiGraph()
        graph.add_edge("cause", "effect", weight=0.7)
        assert adjacency_matrix(graph).tolist() == [[0, 0], [0.7, 0]]


class TestCausalOrder:
    @given(st.integers(1, 6).flatmap(strategies.adjacency_matrices))
    def test_it_makes_the_adjacency_lower_triangular(self, A):
        order = causal_order(A)
        assert sorted(order) == list(range(len(A)))
        assert not np.triu(A[np.ix_(order, order)]).any()

    @given(st.integers(2, 6), seeds)
    def test_a_cycle_of_any_length_is_refused(self, n, seed):
        A = graphs.random_dag("chain", n, rng=rng(seed)).astype(float)
        order = causal_order(A)
        A[order[0], order[-1]] = 0.5
        with pytest.raises(InputError, match="acyclic"):
            causal_order(A)


class TestRefused:
    @pytest.mark.parametrize("graph", [nx.DiGraph([(0, 1), (1, 0)]), nx.Graph([(0, 1)])])
    def test_what_is_no_directed_acyclic_graph(self, graph):
        with pytest.raises(InputError, match="directed acyclic graph"):
            adjacency_matrix(graph)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"kind": "ring"}, "graph must be one of erdos_renyi, scale_free, .*; received 'ring'"),
            ({"n_nodes": 0}, "n_nodes must be a whole number ≥ 1"),
            ({"degree": -1.0}, "degree must be a finite number ≥ 0"),
            ({"kind": "layered", "layers": 0}, "layers must be a whole number ≥ 1"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(InputError, match=message):
            graphs.random_dag(**{"kind": "chain", "n_nodes": 3, "rng": rng()} | options)

    def test_bad_weights(self):
        with pytest.raises(InputError, match="weights need 0 ≤ low ≤ high"):
            signed_weights(np.eye(2) > 0, rng=rng(), low=2.0, high=1.0)
