"""Random directed acyclic graphs over the latents.

An edge j → i, the entry (i, j) of an adjacency matrix, means that latent j is a cause of latent i.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import at_least, choice, size, whole
from pdae_sim._random import SeedLike


@checked_numbers
def random_dag(
    kind: str, n_nodes: int, *, degree: float = 2.0, layers: int | None = None, rng: SeedLike = None
) -> np.ndarray:
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
        degree: Expected number of neighbours of a node, for ``erdos_renyi``. For ``scale_free`` that is
            2 m − m (m + 1) / n, where m is half of `degree`, rounded, halves up, and at least 1. For ``layered`` it is
            met as far as pairs of adjacent layers allow, with at least one cause for every node that can have one.
        layers: Number of layers of ``layered``; about √n when absent.
        rng: Seed or generator.

    Returns:
        (n, n) booleans, true at (i, j) where j causes i.

    Raises:
        InputError: If the kind is unknown, or n, the degree or the number of layers is out of range.

    References:
        Price (1976) for preferential attachment in directed graphs, doi:10.1002/asi.4630270505.

    Example:
        >>> int(random_dag("tree", 7, rng=0).sum()) == 6  # one cause for each node but the first
        True
    """
    choice("graph", kind, GRAPHS)
    n, degree, rng = size("n_nodes", n_nodes), at_least("degree", degree, 0.0), np.random.default_rng(rng)
    uniform = np.zeros((n, n))
    uniform[np.tril_indices(n, -1)] = rng.random(n * (n - 1) // 2)
    causes = _layered(uniform, degree, layers) if kind == "layered" else _CAUSES[kind](uniform, degree)
    order = rng.permutation(n)
    edges = np.zeros((n, n), dtype=bool)
    edges[np.ix_(order, order)] = causes
    return edges


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


def _layered(uniform: np.ndarray, degree: float, layers: int | None = None) -> np.ndarray:
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


_CAUSES: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
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
