"""Directed acyclic graphs over the latents, and signed weights on them.

An edge j → i means that latent j is a cause of latent i; its weight is A[i, j], the effect of j on i.
"""

from __future__ import annotations

import networkx as nx
import numpy as np

from pdae_sim._checks import InputError, at_least, choice, whole

GRAPHS = ("erdos_renyi", "chain", "complete", "empty")


def random_dag(kind: str, n_nodes: int, *, rng: np.random.Generator, degree: float = 2.0) -> nx.DiGraph:
    """A DAG on nodes 0 … n − 1 whose causal order is a random permutation.

    Args:
        kind: ``erdos_renyi`` (each pair joined with probability degree / (n − 1)), ``chain``, ``complete``, ``empty``.
        n_nodes: Number of latents n.
        rng: A generator.
        degree: Expected number of neighbours of a node, for ``erdos_renyi``.

    Returns:
        A directed acyclic graph without weights.
    """
    choice("graph", kind, GRAPHS)
    n = whole("n_nodes", n_nodes)
    later, earlier = np.tril_indices(n, -1)
    keep = {
        "erdos_renyi": rng.random(len(later)) < at_least("degree", degree, 0.0) / max(n - 1, 1),
        "chain": later == earlier + 1,
        "complete": np.ones(len(later), bool),
        "empty": np.zeros(len(later), bool),
    }[kind]
    order = rng.permutation(n)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from((int(order[j]), int(order[i])) for i, j in zip(later[keep], earlier[keep], strict=True))
    return graph


def signed_weights(graph: nx.DiGraph, *, rng: np.random.Generator, low: float = 0.5, high: float = 1.5) -> nx.DiGraph:
    """The graph with a weight on every edge: magnitude uniform on [low, high], sign fair.

    Magnitudes are drawn for every ordered pair of nodes, so that adding an edge leaves the other weights as they were.
    """
    if not 0 <= low <= high:
        raise InputError(f"weights need 0 ≤ low ≤ high; received low={low}, high={high}")
    n = graph.number_of_nodes()
    weights = rng.uniform(low, high, (n, n)) * rng.choice([-1.0, 1.0], (n, n))
    weighted = nx.DiGraph()
    weighted.add_nodes_from(graph.nodes)
    weighted.add_weighted_edges_from((j, i, float(weights[i, j])) for j, i in graph.edges)
    return weighted


def adjacency_matrix(graph: nx.DiGraph) -> np.ndarray:
    """A (d_Z, d_Z) with A[i, j] the weight of the edge j → i (1 where unweighted), nodes in sorted order.

    Raises:
        InputError: If the graph is not directed or has a cycle.
    """
    if not graph.is_directed() or not nx.is_directed_acyclic_graph(graph):
        raise InputError("graph must be a directed acyclic graph; reverse or remove an edge of each cycle")
    nodes = sorted(graph.nodes)
    return nx.to_numpy_array(graph, nodelist=nodes, weight="weight", nonedge=0.0).T
