"""Directed acyclic graphs over the latents, and signed weights on them.

An edge j → i means that latent j is a cause of latent i; its weight is A[i, j], the effect of j on i.
"""

from __future__ import annotations

import networkx as nx
import numpy as np

from pdae_sim._checks import at_least, choice, whole
from pdae_sim.errors import InputError


def random_dag(
    kind: str, n_nodes: int, *, rng: np.random.Generator, degree: float = 2.0, layers: int | None = None
) -> nx.DiGraph:
    """A DAG on nodes 0 … n − 1 whose causal order is a random permutation.

    ============ ==========================================================================================
    erdos_renyi  each pair joined with probability degree / (n − 1)
    scale_free   each node has degree / 2 causes (rounded, at least one, and fewer where there are not so many
                 earlier nodes), chosen among the earlier nodes in proportion to one plus their effects so far
    layered      layers of equal width; edges join a layer to the next one, at least one into each node
    tree         each node has one cause, uniform among the earlier nodes (a random recursive tree)
    chain        each node causes the next
    fork         the first node causes all others
    collider     the last node is caused by all others
    complete     each node causes all later ones
    empty        no edges
    ============ ==========================================================================================

    Every kind reads one uniform number a pair and then the causal order, so a further kind changes no draw.

    Args:
        kind: One of `GRAPHS`.
        n_nodes: Number of latents n.
        rng: A generator.
        degree: Expected number of neighbours of a node, for ``erdos_renyi``. For ``scale_free`` that is
            2 m − m (m + 1) / n, where m is half of `degree`, rounded, halves up, and at least 1. For ``layered`` it is
            met as far as pairs of adjacent layers allow, with at least one cause for every node that can have one.
        layers: Number of layers of ``layered``; about √n when absent.

    Returns:
        A directed acyclic graph without weights.

    References:
        Price (1976) for preferential attachment in directed graphs, doi:10.1002/asi.4630270505.
    """
    choice("graph", kind, GRAPHS)
    n, degree = whole("n_nodes", n_nodes), at_least("degree", degree, 0.0)
    uniform = np.zeros((n, n))
    uniform[np.tril_indices(n, -1)] = rng.random(n * (n - 1) // 2)
    causes = _layered(uniform, degree, layers) if kind == "layered" else _CAUSES[kind](uniform, degree)
    order = rng.permutation(n)
    graph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from((int(order[j]), int(order[i])) for i, j in np.argwhere(causes))
    return graph


def signed_weights(graph: nx.DiGraph, *, rng: np.random.Generator, low: float = 0.5, high: float = 1.5) -> nx.DiGraph:
    """The graph with a weight on every edge: magnitude uniform on [low, high], sign fair.

    Magnitudes are drawn for every ordered pair of nodes, so that adding an edge leaves the other weights as they were.
    """
    if not 0 <= low <= high:
        raise InputError(f"weights need 0 ≤ low ≤ high; received low={low}, high={high}")
    n = graph.number_of_nodes()
    weights = rng.uniform(low, high, (n, n)) * rng.choice([-1.0, 1.0], (n, n))
    place = {node: index for index, node in enumerate(sorted(graph.nodes))}
    weighted = nx.DiGraph()
    weighted.add_nodes_from(graph.nodes)
    weighted.add_weighted_edges_from((j, i, float(weights[place[i], place[j]])) for j, i in graph.edges)
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


def causal_order(adjacency: np.ndarray) -> np.ndarray:
    """The latents in an order in which every cause precedes its effects: by the length of the longest path into them.

    Args:
        adjacency: A (d, d), A[i, j] ≠ 0 when j causes i.

    Raises:
        InputError: If the graph has a cycle.

    Example:
        >>> causal_order(np.array([[0.0, 1.0], [0.0, 0.0]])).tolist()
        [1, 0]
    """
    edges, depth = adjacency != 0, np.zeros(len(adjacency), int)
    for _ in range(len(adjacency)):
        deeper = np.where(edges, depth + 1, 0).max(axis=1)
        if (deeper == depth).all():
            return np.argsort(depth, kind="stable")
        depth = deeper
    raise InputError("adjacency must be that of an acyclic graph; set one edge of each cycle to zero")


# Below, positions are in causal order and entry (i, j) of a square array belongs to the pair j before i. Each kind is a
# function of independent uniform numbers, one a pair (zero on and above the diagonal), and of the degree.


def _earlier(uniform: np.ndarray) -> np.ndarray:
    return np.tri(len(uniform), k=-1, dtype=bool)


def _erdos_renyi(uniform: np.ndarray, degree: float) -> np.ndarray:
    return _earlier(uniform) & (uniform < degree / max(len(uniform) - 1, 1))


def _scale_free(uniform: np.ndarray, degree: float) -> np.ndarray:
    """The largest log(uniform) / weight are a draw by weight without replacement (Efraimidis, Spirakis 2006)."""
    n_causes, causes = max(int(degree / 2 + 0.5), 1), np.zeros_like(uniform, dtype=bool)
    for i in range(1, len(uniform)):
        keys = np.log1p(-uniform[i, :i]) / (1 + causes[:, :i].sum(0))
        causes[i, np.argsort(-keys)[:n_causes]] = True
    return causes


def _tree(uniform: np.ndarray, degree: float) -> np.ndarray:
    return _earlier(uniform) & (uniform == uniform.max(axis=1, keepdims=True))


def _layered(uniform: np.ndarray, degree: float, layers: int | None) -> np.ndarray:
    """The largest number of a row gives one cause; the ratios of the others to it, uniform again, give the rest."""
    n = len(uniform)
    n_layers = min(whole("layers", round(np.sqrt(n)) if layers is None else layers), n)
    layer = np.arange(n) * n_layers // n
    adjacent = layer[:, None] == layer + 1
    numbers = np.where(adjacent, uniform, 0.0)
    n_first, n_pairs = adjacent.any(axis=1).sum(), adjacent.sum()
    further = (n * degree / 2 - n_first) / max(n_pairs - n_first, 1)
    highest = numbers.max(axis=1, keepdims=True)
    return adjacent & (numbers >= (1 - np.clip(further, 0, 1)) * highest)


_CAUSES = {
    "erdos_renyi": _erdos_renyi,
    "scale_free": _scale_free,
    "layered": _layered,
    "tree": _tree,
    "chain": lambda uniform, degree: np.eye(len(uniform), k=-1, dtype=bool),
    "fork": lambda uniform, degree: _earlier(uniform) & (np.arange(len(uniform)) == 0),
    "collider": lambda uniform, degree: _earlier(uniform) & (np.arange(len(uniform)) == len(uniform) - 1)[:, None],
    "complete": lambda uniform, degree: _earlier(uniform),
    "empty": lambda uniform, degree: np.zeros_like(uniform, dtype=bool),
}

GRAPHS = tuple(_CAUSES)
"""The kinds of `random_dag`."""
