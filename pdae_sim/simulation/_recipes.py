"""What `LinearLatentModel.random` draws: adjacency and noise variances, and the targets of the perturbations."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pdae_sim import _random
from pdae_sim._checks import at_least, choice, fitting, matrix
from pdae_sim.errors import InputError
from pdae_sim.simulation._mechanisms import internally_standardised
from pdae_sim.simulation.graphs import random_dag

if TYPE_CHECKING:
    import networkx as nx

Factors = tuple[np.ndarray, np.ndarray]
"""A (d, d) and D (d,)."""


@dataclass(frozen=True)
class Recipe:
    """How `LinearLatentModel.random` draws what its kinds leave open.

    Args:
        base: The law of z_base before perturbation: ``graph`` (A of the graph, D = 1), ``isotropic`` (A = 0, D = 1),
            ``diagonal`` (A = 0, variances log-uniform on [¼, 4]) or ``full`` (correlated by a random correlation
            matrix, that of d_Z independent Gaussian vectors of length 2 d_Z; A is its triangular factor). All but the
            first ignore the graph.
        degree: Expected degree of a random graph.
        layers: Number of layers of a ``layered`` graph.
        normalise: Whether to rescale the mechanisms so that each latent has variance one; see
            `internally_standardised`. Shifts are then in these units.
        shift: Magnitude of the shifts; signs are random, and magnitudes vary in ±50 % except in ``atomic`` targets.
        density: Expected fraction of non-zero entries of ``sparse`` targets, at least 1 / d_Z.

    Raises:
        InputError: If the base is unknown or the density is not in [0, 1].
    """

    base: str = "graph"
    degree: float = 2.0
    layers: int | None = None
    normalise: bool = False
    shift: float = 1.5
    density: float = 0.3

    def __post_init__(self) -> None:
        choice("base", self.base, ("graph", *_BASES))
        if at_least("density", self.density, 0.0) > 1:
            raise InputError(f"density must lie in [0, 1]; received {self.density}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Recipe:
        """The recipe with these fields; an unknown one is refused with what it may have meant."""
        fitting(options, inspect.signature(cls).parameters)
        return cls(**options)


def random_base(d: int, graph: str | nx.DiGraph, recipe: Recipe, root: np.random.SeedSequence) -> Factors:
    """A (d, d) and D (d,) of z_base, by the kind of base."""
    A, D = _BASES[recipe.base](d, root) if recipe.base != "graph" else _graph_base(d, graph, recipe, root)
    if len(A) != d:
        raise InputError(f"graph must have n_latents = {d} nodes; received {len(A)}")
    return internally_standardised(A, D) if recipe.normalise else (A, D)


def random_targets(
    targets: str | np.ndarray, shape: tuple[int, int], recipe: Recipe, root: np.random.SeedSequence
) -> np.ndarray:
    """S (d, K) as it is, or by its kind."""
    if isinstance(targets, str):
        return _TARGETS[choice("targets", targets, _TARGETS)](*shape, recipe, _random.stream(root, "targets"))
    S = matrix("targets", targets)
    if S.shape != shape:
        raise InputError(f"targets must have shape (n_latents, n_perturbations) = {shape}; received {S.shape}")
    return S


def covariance_factors(covariance: np.ndarray) -> Factors:
    """A and D with Σ = L D Lᵀ and L = (I − A)⁻¹ unit lower triangular."""
    from scipy import linalg  # loaded on first use: most models need numpy alone

    if covariance.shape[0] != covariance.shape[1] or not np.allclose(covariance, covariance.T):
        raise InputError(f"covariance must be square and symmetric; received shape {covariance.shape}")
    try:
        root = linalg.cholesky(covariance, lower=True)
    except linalg.LinAlgError:
        lowest = linalg.eigvalsh(covariance)[0]
        raise InputError(f"covariance must be positive definite; its least eigenvalue is {lowest:.3g}") from None
    L = root / np.diag(root)
    inverse = linalg.solve_triangular(L, np.eye(len(L)), lower=True, unit_diagonal=True)
    return -np.tril(inverse, -1), np.diag(root) ** 2


def _graph_base(d: int, graph: str | nx.DiGraph, recipe: Recipe, root: np.random.SeedSequence) -> Factors:
    if isinstance(graph, str):
        A = random_dag(graph, d, degree=recipe.degree, layers=recipe.layers, rng=_random.stream(root, "graph"))
    else:
        A = adjacency_matrix(graph)
    if isinstance(graph, str) or all(weight is None for *_, weight in graph.edges(data="weight")):
        A = signed_weights(A != 0, rng=_random.stream(root, "weights"))
    return A, np.ones(len(A))


def _isotropic_base(d: int, root: np.random.SeedSequence) -> Factors:
    return np.zeros((d, d)), np.ones(d)


def _diagonal_base(d: int, root: np.random.SeedSequence) -> Factors:
    return np.zeros((d, d)), 4.0 ** _random.stream(root, "variances").uniform(-1, 1, d)


def _full_base(d: int, root: np.random.SeedSequence) -> Factors:
    G = _random.stream(root, "covariance").standard_normal((d, 2 * d))
    G /= np.linalg.norm(G, axis=1, keepdims=True)
    return covariance_factors(G @ G.T)


_BASES = {"isotropic": _isotropic_base, "diagonal": _diagonal_base, "full": _full_base}


def _atomic(d: int, K: int, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    S = np.zeros((d, K))
    S[np.arange(K) % d, np.arange(K)] = recipe.shift * rng.choice([-1.0, 1.0], K)
    return S


def _multi(d: int, K: int, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    S = np.zeros((d, K))
    for k in range(K):
        hit = rng.permutation(d)[: rng.integers(1, min(d, 3) + 1)]
        S[hit, k] = recipe.shift * rng.choice([-1.0, 1.0], len(hit)) * rng.uniform(0.5, 1.5, len(hit))
    return S


def _sparse(d: int, K: int, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """The largest uniform number of a column gives one target; the ratios of the others to it are uniform again."""
    uniform = rng.random((d, K))
    further = np.clip((recipe.density * d - 1) / max(d - 1, 1), 0, 1)
    hit = uniform >= (1 - further) * uniform.max(axis=0)
    sizes = recipe.shift * rng.choice([-1.0, 1.0], (d, K)) * rng.uniform(0.5, 1.5, (d, K))
    return np.where(hit, sizes, 0.0)


_TARGETS = {"atomic": _atomic, "multi": _multi, "sparse": _sparse}


def signed_weights(edges: np.ndarray, *, rng: np.random.Generator, low: float = 0.5, high: float = 1.5) -> np.ndarray:
    """A (d, d): a weight on every edge, magnitude uniform on [low, high], sign fair.

    Magnitudes are drawn for every ordered pair of nodes, so that adding an edge leaves the other weights as they were.
    """
    if not 0 <= low <= high:
        raise InputError(f"weights need 0 ≤ low ≤ high; received low={low}, high={high}")
    return np.where(edges, rng.uniform(low, high, edges.shape) * rng.choice([-1.0, 1.0], edges.shape), 0.0)


def adjacency_matrix(graph: nx.DiGraph) -> np.ndarray:
    """A (d_Z, d_Z) with A[i, j] the weight of the edge j → i (1 where unweighted), nodes in sorted order.

    Raises:
        InputError: If the graph is not directed or has a cycle.
    """
    import networkx as nx  # only for those who bring a graph of theirs

    if not graph.is_directed() or not nx.is_directed_acyclic_graph(graph):
        raise InputError("graph must be a directed acyclic graph; reverse or remove an edge of each cycle")
    nodes = sorted(graph.nodes)
    return nx.to_numpy_array(graph, nodelist=nodes, weight="weight", nonedge=0.0).T
