"""The linear latent causal model with shift interventions, and the additive-shift model that it is.

z = A z + u + S l,  u with variances D   ⇔   z = z_base + W l,  Cov z_base = Σ,
W = (I − A)⁻¹ S,   Σ = (I − A)⁻¹ D (I − A)⁻ᵀ.

Two switches leave the model of the claims: a law of u other than the Gaussian, and departures from additive shifts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import finite, matrix, size
from pdae_sim._linalg import whitening_root
from pdae_sim._matrices import Locked
from pdae_sim.errors import InputError
from pdae_sim.simulation._fields import own
from pdae_sim.simulation._mechanisms import Mechanisms, causal_order
from pdae_sim.simulation._random_departures import random_departures
from pdae_sim.simulation._recipes import Recipe, covariance_factors, random_base, random_targets
from pdae_sim.simulation.departures import DEPARTURES, Departure
from pdae_sim.simulation.laws import LAWS, Gaussian, Law

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True, eq=False)
class LinearLatentModel(Locked):
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

    @checked_numbers
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
            own(self, name, value.copy())
        object.__setattr__(self, "noise", LAWS.of(self.noise))
        object.__setattr__(self, "departures", tuple(self.departures))
        self._reference  # noqa: B018  (departures that do not fit the model speak up here)

    @classmethod
    def from_covariance(cls, covariance: np.ndarray, perturbation_matrix: np.ndarray) -> LinearLatentModel:
        """A Gaussian model with a given Σ and W: every pair is one, with the latents in causal order.

        Σ = L D Lᵀ with L unit lower triangular, (I − A)⁻¹ = L and S = L⁻¹ W.

        Args:
            covariance: Σ (d_Z, d_Z), positive definite.
            perturbation_matrix: W (d_Z, K).
        """
        A, D = covariance_factors(matrix("covariance", covariance))
        W = matrix("perturbation_matrix", perturbation_matrix)
        if len(W) != len(A):
            raise InputError(f"perturbation_matrix must have {len(A)} rows, as covariance has; received {len(W)}")
        return cls(A, D, W - A @ W)

    @classmethod
    @checked_numbers
    def random(
        cls,
        n_latents: int,
        n_perturbations: int,
        *,
        graph: str | nx.DiGraph = "erdos_renyi",
        targets: str | np.ndarray = "atomic",
        noise: str | Law = "gaussian",
        departures: Sequence[Departure] | Mapping[str, float] = (),
        rng: _random.SeedLike = None,
        **options: Any,
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
        d, K, recipe = size("n_latents", n_latents), size("n_perturbations", n_perturbations), Recipe.of(options)
        root = _random.seed_sequence(rng)
        A, D = random_base(d, graph, recipe, root)
        S = random_targets(targets, (d, K), recipe, root)
        return cls(A, D, S, LAWS.of(noise), random_departures(departures, S, root))

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
        import networkx as nx

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
        broken = {*self.noise.breaks, *(name for departure in self.departures for name in departure.breaks)}
        return tuple(sorted(broken))

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

    def diverse(self, labels: np.ndarray) -> bool:
        """Whether rank(W L) = d_Z for the shifts L of labels (E, K) from the first of them."""
        moves = (labels - labels[0]) @ self.perturbation_matrix.T
        return int(np.linalg.matrix_rank(moves)) == self.n_latents

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

    def sample_base(self, n: int, *, rng: _random.SeedLike) -> np.ndarray:
        """n draws (n, d_Z) of z_base = (I − A)⁻¹ u; the first rows do not depend on n."""
        return self._reference.solve(self.noise.sample((n, self.n_latents), rng=rng))

    def draw(self, n: int, label: np.ndarray, *, rng: _random.SeedLike) -> tuple[np.ndarray, np.ndarray]:
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

    def state(self) -> dict[str, Any]:
        """Everything needed to rebuild the model, as names, numbers and arrays."""
        arrays = {name: getattr(self, name) for name in ("adjacency", "noise_variances", "targets")}
        departures = [DEPARTURES.state(departure) for departure in self.departures]
        return {**arrays, "noise": LAWS.state(self.noise), "departures": departures}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> LinearLatentModel:
        """The model that `state` described; noise and departures may be absent."""
        parts = dict(state)
        noise = LAWS.from_state(parts.pop("noise", {"kind": "gaussian"}))
        departures = tuple(DEPARTURES.from_state(part) for part in parts.pop("departures", ()))
        return cls(**parts, noise=noise, departures=departures)

    def _label(self, label: np.ndarray) -> np.ndarray:
        array = np.asarray(label, dtype=np.float64)
        if array.shape != (self.n_perturbations,):
            raise InputError(f"label must have shape ({self.n_perturbations},); received {array.shape}")
        return finite("label", array)
