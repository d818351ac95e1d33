"""The linear latent causal model with shift interventions, and the additive-shift model that it is.

z = A z + u + S l,  u with variances D   ⇔   z = z_base + W l,  Cov z_base = Σ,
W = (I − A)⁻¹ S,   Σ = (I − A)⁻¹ D (I − A)⁻ᵀ.

Two switches leave the model of the claims: a law of u other than the Gaussian, and departures from additive shifts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property

import networkx as nx
import numpy as np
from scipy import linalg

from pdae_sim import _random
from pdae_sim._checks import at_least, choice, finite, matrix, near_misses, whole
from pdae_sim._linalg import whitening_root
from pdae_sim.errors import InputError
from pdae_sim.simulation.departures import Departure, departure_from_state, departure_state, random_departure
from pdae_sim.simulation.graphs import adjacency_matrix, causal_order, random_dag, signed_weights
from pdae_sim.simulation.laws import Gaussian, Law, law_from_state, law_state, noise_law
from pdae_sim.simulation.mechanisms import Mechanisms, internally_standardised, owned


@dataclass(frozen=True, eq=False)
class LinearLatentModel:
    """A linear structural causal model over d_Z latents with K shift interventions.

    Args:
        adjacency: A (d_Z, d_Z), A[i, j] the effect of j on i; the graph is acyclic.
        noise_variances: D, the d_Z positive variances of u.
        targets: S (d_Z, K); S[j, k] ≠ 0 when perturbation k shifts the mechanism of latent j. A column with one
            non-zero entry is an atomic shift intervention.
        noise: The standardised law of each u_j / √D_j, or its kind in `laws.LAWS`.
        departures: What labels do beyond shifting, applied in this order.

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
    noise: Law = field(default_factory=Gaussian)
    departures: tuple[Departure, ...] = ()

    def __post_init__(self) -> None:
        A = matrix("adjacency", self.adjacency)
        D = finite("noise_variances", np.asarray(self.noise_variances, dtype=np.float64))
        S = matrix("targets", self.targets)
        if A.shape[0] != A.shape[1] or D.shape != (len(A),) or len(S) != len(A):
            shapes = f"{A.shape}, {D.shape} and {S.shape}"
            raise InputError(f"adjacency (d, d), noise_variances (d,) and targets (d, K) disagree; received {shapes}")
        if (D <= 0).any():
            raise InputError(f"noise_variances must be positive; received {D.min()}")
        causal_order(A)
        for name, value in (("adjacency", A), ("noise_variances", D), ("targets", S)):
            object.__setattr__(self, name, owned(value))
        object.__setattr__(self, "noise", noise_law(self.noise))
        object.__setattr__(self, "departures", tuple(self.departures))
        self._reference  # noqa: B018  (departures that do not fit the model speak up here)

    @classmethod
    def from_graph(
        cls, graph: nx.DiGraph, *, targets: np.ndarray, noise_variances: Sequence[float] | None = None
    ) -> LinearLatentModel:
        """The model of a networkx DAG whose edge attribute ``weight`` (1 where absent) is the effect."""
        A = adjacency_matrix(graph)
        return cls(A, np.ones(len(A)) if noise_variances is None else noise_variances, targets)

    @classmethod
    def from_covariance(cls, covariance: np.ndarray, perturbation_matrix: np.ndarray) -> LinearLatentModel:
        """A Gaussian model with a given Σ and W: every pair is one, with the latents in causal order.

        Σ = L D Lᵀ with L unit lower triangular, (I − A)⁻¹ = L and S = L⁻¹ W.

        Args:
            covariance: Σ (d_Z, d_Z), positive definite.
            perturbation_matrix: W (d_Z, K).
        """
        A, D = _factors(matrix("covariance", covariance))
        W = matrix("perturbation_matrix", perturbation_matrix)
        if len(W) != len(A):
            raise InputError(f"perturbation_matrix must have {len(A)} rows, as covariance has; received {len(W)}")
        return cls(A, D, W - A @ W)

    @classmethod
    def random(
        cls,
        n_latents: int,
        n_perturbations: int,
        *,
        graph: str | nx.DiGraph = "erdos_renyi",
        targets: str | np.ndarray = "atomic",
        noise: str | Law = "gaussian",
        departures: Sequence[Departure] | Mapping[str, float] = (),
        rng: object = None,
        **options: object,
    ) -> LinearLatentModel:
        """A random model.

        Args:
            n_latents: d_Z.
            n_perturbations: K.
            graph: A kind of `random_dag`, or a networkx DAG (weights are drawn if no edge has one).
            targets: ``atomic`` (perturbation k shifts latent k mod d_Z), ``multi`` (each shifts one to three),
                ``sparse`` (each shifts at least one, any other with equal chance) or S itself (d_Z, K).
            noise: A law of the noises, or its kind.
            departures: Departures, or the strengths of random ones by kind, such as ``{"epistasis": 0.5}``.
            rng: Seed or generator; graph, weights, targets and all else have streams of their own.
            options: The fields of `Recipe`: ``base, degree, layers, normalise, shift, density``.

        Example:
            >>> model = LinearLatentModel.random(5, 3, graph="scale_free", normalise=True, rng=0)
            >>> bool(np.allclose(np.diag(model.covariance), 1))
            True
        """
        d, K, recipe = whole("n_latents", n_latents), whole("n_perturbations", n_perturbations), Recipe.of(options)
        root = _random.seed_sequence(rng)
        A, D = _BASES[recipe.base](d, graph, recipe, root)
        if len(A) != d:
            raise InputError(f"graph must have n_latents = {d} nodes; received {len(A)}")
        if recipe.normalise:
            A, D = internally_standardised(A, D)
        S = _targets(targets, (d, K), recipe, _random.stream(root, "targets"))
        return cls(A, D, S, noise, random_departures(departures, S, root))

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
        return nx.from_numpy_array(self.adjacency.T, create_using=nx.DiGraph)

    @property
    def perturbation_matrix(self) -> np.ndarray:
        """W = (I − A)⁻¹ S (d_Z, K)."""
        return self._reference.response @ self.targets

    @property
    def covariance(self) -> np.ndarray:
        """Σ = (I − A)⁻¹ D (I − A)⁻ᵀ (d_Z, d_Z)."""
        return (self._reference.response * self.noise_variances) @ self._reference.response.T

    @property
    def whitening(self) -> np.ndarray:
        """R (d_Z, d_Z) with R Σ Rᵀ = I."""
        return whitening_root(self.covariance)

    @property
    def breaks(self) -> tuple[str, ...]:
        """The assumptions that the law of the noises and the departures violate, by name."""
        return tuple(sorted({name for part in (self.noise, *self.departures) for name in part.breaks}))

    @cached_property
    def _reference(self) -> Mechanisms:
        return self.mechanisms(np.zeros(self.n_perturbations))

    def mechanisms(self, label: np.ndarray) -> Mechanisms:
        """The mechanisms under a label l (K,): z = A z + √D ∘ u + S l, then changed by each departure."""
        label = self._label(label)
        mechanisms = Mechanisms(self.adjacency, np.sqrt(self.noise_variances), self.targets @ label)
        for departure in self.departures:
            mechanisms = departure.apply(mechanisms, label, self.targets)
        return mechanisms

    def mean(self, label: np.ndarray) -> np.ndarray:
        """E z (d_Z,) under a label (K,); W l where there are no departures."""
        return self.mechanisms(label).mean

    def covariance_under(self, label: np.ndarray) -> np.ndarray:
        """Cov z (d_Z, d_Z) under a label (K,); Σ where there are no departures."""
        return self.mechanisms(label).covariance

    def log_density(self, z: np.ndarray, label: np.ndarray) -> np.ndarray:
        """log p(z) (n,) under a label (K,), for points z (n, d_Z).

        Raises:
            InputError: If z has the wrong width or a departure leaves a latent without noise.
        """
        return self.mechanisms(label).log_density(matrix("z", z, columns=self.n_latents), self.noise)

    def isotropic(self) -> LinearLatentModel:
        """The isotropic form W' = R W, Σ' = I: the same laws of x once the mixing is f ∘ R⁻¹.

        Raises:
            InputError: If the noises are not Gaussian or there are departures: the whitened latents are then no model
                of this class.
        """
        if not isinstance(self.noise, Gaussian) or self.departures:
            raise InputError(
                "isotropic() needs Gaussian noise and no departures; "
                f"this model breaks {', '.join(self.breaks) or 'with its own departures'}. Use `whitening` alone"
            )
        d = self.n_latents
        return LinearLatentModel(np.zeros((d, d)), np.ones(d), self.whitening @ self.perturbation_matrix)

    def sample_base(self, n: int, *, rng: np.random.Generator) -> np.ndarray:
        """n draws (n, d_Z) of z_base = (I − A)⁻¹ u; the first rows do not depend on n."""
        return self._reference.solve(self.noise.sample((n, self.n_latents), rng=rng))

    def draw(self, n: int, label: np.ndarray, *, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """n draws of z_base and z (n, d_Z), the same noises through the mechanisms of no label and of this one.

        z = z_base + W l where there are no departures. The first rows do not depend on n, and z_base does not depend
        on the label.
        """
        reference, mechanisms = self._reference, self.mechanisms(label)
        u = self.noise.sample((n, self.n_latents), rng=rng)
        base = reference.solve(u)
        if mechanisms.differs_by_a_shift(reference):
            return base, base + reference.response @ (mechanisms.shift - reference.shift)
        return base, mechanisms.solve(u)

    def state(self) -> dict:
        """Everything needed to rebuild the model, as names, numbers and arrays."""
        arrays = {name: getattr(self, name) for name in ("adjacency", "noise_variances", "targets")}
        departures = [departure_state(departure) for departure in self.departures]
        return {**arrays, "noise": law_state(self.noise), "departures": departures}

    @classmethod
    def from_state(cls, state: Mapping) -> LinearLatentModel:
        """The model that `state` described; noise and departures may be absent."""
        parts = dict(state)
        noise = law_from_state(parts.pop("noise", {"kind": "gaussian"}))
        departures = tuple(departure_from_state(part) for part in parts.pop("departures", ()))
        return cls(**parts, noise=noise, departures=departures)

    def _label(self, label: np.ndarray) -> np.ndarray:
        array = np.asarray(label, dtype=np.float64)
        if array.shape != (self.n_perturbations,):
            raise InputError(f"label must have shape ({self.n_perturbations},); received {array.shape}")
        return finite("label", array)


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
        choice("base", self.base, _BASES)
        if at_least("density", self.density, 0.0) > 1:
            raise InputError(f"density must lie in [0, 1]; received {self.density}")

    @classmethod
    def of(cls, options: Mapping[str, object]) -> Recipe:
        """The recipe with these fields; an unknown one is refused with what it may have meant."""
        known = [part.name for part in fields(cls)]
        for name in options:
            if name not in known:
                raise InputError(f"unknown option {name!r}; {near_misses(name, known)}")
        return cls(**options)


def _factors(covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A and D with Σ = L D Lᵀ and L = (I − A)⁻¹ unit lower triangular."""
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


def _graph_base(
    d: int, graph: str | nx.DiGraph, recipe: Recipe, root: np.random.SeedSequence
) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(graph, str):
        rng = _random.stream(root, "graph")
        graph = random_dag(graph, d, degree=recipe.degree, layers=recipe.layers, rng=rng)
    if not nx.get_edge_attributes(graph, "weight"):
        graph = signed_weights(graph, rng=_random.stream(root, "weights"))
    A = adjacency_matrix(graph)
    return A, np.ones(len(A))


def _isotropic_base(
    d: int, graph: object, recipe: Recipe, root: np.random.SeedSequence
) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((d, d)), np.ones(d)


def _diagonal_base(
    d: int, graph: object, recipe: Recipe, root: np.random.SeedSequence
) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((d, d)), 4.0 ** _random.stream(root, "variances").uniform(-1, 1, d)


def _full_base(d: int, graph: object, recipe: Recipe, root: np.random.SeedSequence) -> tuple[np.ndarray, np.ndarray]:
    G = _random.stream(root, "covariance").standard_normal((d, 2 * d))
    G /= linalg.norm(G, axis=1, keepdims=True)
    return _factors(G @ G.T)


_BASES = {"graph": _graph_base, "isotropic": _isotropic_base, "diagonal": _diagonal_base, "full": _full_base}


def _targets(targets: str | np.ndarray, shape: tuple[int, int], recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    if isinstance(targets, str):
        return _TARGETS[choice("targets", targets, _TARGETS)](*shape, recipe, rng)
    S = matrix("targets", targets)
    if S.shape != shape:
        raise InputError(f"targets must have shape (n_latents, n_perturbations) = {shape}; received {S.shape}")
    return S


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


def random_departures(
    departures: Sequence[Departure] | Mapping[str, float], targets: np.ndarray, root: np.random.SeedSequence
) -> tuple[Departure, ...]:
    """Departures as they are, or random ones by the strength of each kind, each with a stream of its own."""
    if not isinstance(departures, Mapping):
        return tuple(departures)
    return tuple(
        random_departure(kind, targets, strength=departures[kind], rng=_random.stream(root, "departure", kind))
        for kind in sorted(departures, key=lambda kind: kind == "do")  # what replaces mechanisms comes last
    )
