"""The linear latent causal model with shift interventions, and the additive-shift model that it is.

z = A z + u + S l,  u ~ N(0, D)   ⇔   z = z_base + W l,  z_base ~ N(0, Σ),
W = (I − A)⁻¹ S,   Σ = (I − A)⁻¹ D (I − A)⁻ᵀ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import networkx as nx
import numpy as np
from scipy import linalg

from pdae_sim import _random
from pdae_sim._checks import InputError, finite, matrix, whole
from pdae_sim._linalg import whitening_root
from pdae_sim.simulation.graphs import adjacency_matrix, random_dag, signed_weights


@dataclass(frozen=True, eq=False)
class LinearLatentModel:
    """A linear Gaussian structural causal model over d_Z latents with K shift interventions.

    Args:
        adjacency: A (d_Z, d_Z), A[i, j] the effect of j on i; the graph is acyclic.
        noise_variances: D, the d_Z positive variances of u.
        targets: S (d_Z, K); S[j, k] ≠ 0 when perturbation k shifts the mechanism of latent j. A column with one
            non-zero entry is an atomic shift intervention.

    Raises:
        InputError: If shapes disagree, the graph has a cycle or a variance is not positive.

    References:
        von Kügelgen et al. (2025), arXiv:2504.18522, section on linear latent causal models.

    Example:
        >>> model = LinearLatentModel([[0, 0], [0.8, 0]], [1, 1], [[1, 0], [0, 1]])
        >>> model.perturbation_matrix.tolist() == [[1.0, 0.0], [0.8, 1.0]]
        True
    """

    adjacency: np.ndarray
    noise_variances: np.ndarray
    targets: np.ndarray

    def __post_init__(self) -> None:
        A = matrix("adjacency", self.adjacency)
        D = finite("noise_variances", np.asarray(self.noise_variances, dtype=np.float64))
        S = matrix("targets", self.targets)
        if A.shape[0] != A.shape[1] or D.shape != (len(A),) or len(S) != len(A):
            shapes = f"{A.shape}, {D.shape} and {S.shape}"
            raise InputError(f"adjacency (d, d), noise_variances (d,) and targets (d, K) disagree; received {shapes}")
        if (D <= 0).any():
            raise InputError(f"noise_variances must be positive; received {D.min()}")
        if not nx.is_directed_acyclic_graph(_digraph(A)):
            raise InputError("adjacency must be that of an acyclic graph; set one edge of each cycle to zero")
        for name, value in (("adjacency", A), ("noise_variances", D), ("targets", S)):
            owned = value.copy()
            owned.flags.writeable = False
            object.__setattr__(self, name, owned)

    @classmethod
    def from_graph(
        cls, graph: nx.DiGraph, *, targets: np.ndarray, noise_variances: Sequence[float] | None = None
    ) -> LinearLatentModel:
        """The model of a networkx DAG whose edge attribute ``weight`` (1 where absent) is the effect."""
        A = adjacency_matrix(graph)
        return cls(A, np.ones(len(A)) if noise_variances is None else noise_variances, targets)

    @classmethod
    def random(
        cls,
        n_latents: int,
        n_perturbations: int,
        *,
        graph: str | nx.DiGraph = "erdos_renyi",
        targets: str = "atomic",
        shift: float = 1.5,
        degree: float = 2.0,
        rng: object = None,
    ) -> LinearLatentModel:
        """A random model.

        Args:
            n_latents: d_Z.
            n_perturbations: K.
            graph: A kind of `random_dag`, or a networkx DAG (weights are drawn where it has none).
            targets: ``atomic`` (perturbation k shifts latent k mod d_Z) or ``multi`` (each shifts one to three).
            shift: Magnitude of the shifts; signs are random, and in ``multi`` magnitudes vary in ±50 %.
            degree: Expected degree of an ``erdos_renyi`` graph.
            rng: Seed or generator; graph, weights and targets have streams of their own.
        """
        d, K = whole("n_latents", n_latents), whole("n_perturbations", n_perturbations)
        root = _random.seed_sequence(rng)
        if isinstance(graph, str):
            graph = random_dag(graph, d, degree=degree, rng=_random.stream(root, "graph"))
        if not nx.get_edge_attributes(graph, "weight"):
            graph = signed_weights(graph, rng=_random.stream(root, "weights"))
        if graph.number_of_nodes() != d:
            raise InputError(f"graph must have n_latents = {d} nodes; received {graph.number_of_nodes()}")
        S = _TARGETS[_target_kind(targets)](d, K, shift, _random.stream(root, "targets"))
        return cls.from_graph(graph, targets=S)

    @property
    def n_latents(self) -> int:
        """d_Z."""
        return len(self.adjacency)

    @property
    def n_perturbations(self) -> int:
        """K."""
        return self.targets.shape[1]

    @property
    def graph(self) -> nx.DiGraph:
        """The weighted DAG, j → i for A[i, j] ≠ 0."""
        return _digraph(self.adjacency)

    @property
    def perturbation_matrix(self) -> np.ndarray:
        """W = (I − A)⁻¹ S (d_Z, K)."""
        return linalg.solve(np.eye(self.n_latents) - self.adjacency, self.targets)

    @property
    def covariance(self) -> np.ndarray:
        """Σ = (I − A)⁻¹ D (I − A)⁻ᵀ (d_Z, d_Z)."""
        B = linalg.inv(np.eye(self.n_latents) - self.adjacency)
        return (B * self.noise_variances) @ B.T

    @property
    def whitening(self) -> np.ndarray:
        """R (d_Z, d_Z) with R Σ Rᵀ = I."""
        return whitening_root(self.covariance)

    def isotropic(self) -> LinearLatentModel:
        """The isotropic form W' = R W, Σ' = I: the same laws of x once the mixing is f ∘ R⁻¹."""
        d = self.n_latents
        return LinearLatentModel(np.zeros((d, d)), np.ones(d), self.whitening @ self.perturbation_matrix)

    def sample_base(self, n: int, *, rng: np.random.Generator) -> np.ndarray:
        """n draws (n, d_Z) of z_base = (I − A)⁻¹ u; the first rows do not depend on n."""
        u = rng.standard_normal((n, self.n_latents)) * np.sqrt(self.noise_variances)
        return linalg.solve(np.eye(self.n_latents) - self.adjacency, u.T).T


def _digraph(adjacency: np.ndarray) -> nx.DiGraph:
    return nx.from_numpy_array(adjacency.T, create_using=nx.DiGraph)


def _target_kind(targets: str) -> str:
    if targets not in _TARGETS:
        raise InputError(f"targets must be one of {', '.join(_TARGETS)}; received {targets!r}")
    return targets


def _atomic(d: int, K: int, shift: float, rng: np.random.Generator) -> np.ndarray:
    S = np.zeros((d, K))
    S[np.arange(K) % d, np.arange(K)] = shift * rng.choice([-1.0, 1.0], K)
    return S


def _multi(d: int, K: int, shift: float, rng: np.random.Generator) -> np.ndarray:
    S = np.zeros((d, K))
    for k in range(K):
        hit = rng.permutation(d)[: rng.integers(1, min(d, 3) + 1)]
        S[hit, k] = shift * rng.choice([-1.0, 1.0], len(hit)) * rng.uniform(0.5, 1.5, len(hit))
    return S


_TARGETS = {"atomic": _atomic, "multi": _multi}
