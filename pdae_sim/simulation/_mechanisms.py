"""The mechanisms of one environment: z = A z + scale ∘ u + shift, with standardised independent noises u."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pdae_sim._matrices import Locked
from pdae_sim.errors import InputError
from pdae_sim.simulation._fields import hold
from pdae_sim.simulation.laws import Law


@dataclass(frozen=True, eq=False)
class Mechanisms(Locked):
    """Linear mechanisms z = A z + scale ∘ u + shift over d latents.

    Args:
        adjacency: A (d, d), that of an acyclic graph.
        scale: Standard deviations (d,) ≥ 0 of the noises; zero where a latent is set exactly.
        shift: Intercepts (d,).

    Example:
        >>> fixed = Mechanisms([[0, 0], [2, 0]], scale=[0, 1], shift=[3, 0])
        >>> fixed.solve(np.zeros((1, 2))).tolist()
        [[3.0, 6.0]]
    """

    adjacency: np.ndarray
    scale: np.ndarray
    shift: np.ndarray

    def __post_init__(self) -> None:
        hold(self, adjacency=2, scale=1, shift=1)
        d = self.scale.size
        if (self.adjacency.shape, self.scale.shape, self.shift.shape) != ((d, d), (d,), (d,)):
            shapes = f"{self.adjacency.shape}, {self.scale.shape} and {self.shift.shape}"
            raise InputError(f"adjacency (d, d), scale (d,) and shift (d,) disagree; received {shapes}")
        if (self.scale < 0).any():
            raise InputError(f"scale must be ≥ 0; received {self.scale.min()}")

    @cached_property
    def response(self) -> np.ndarray:
        """(I − A)⁻¹ (d, d): what a unit shift of each mechanism does to all latents."""
        return response_matrix(self.adjacency)

    @property
    def mean(self) -> np.ndarray:
        """E z = (I − A)⁻¹ shift (d,)."""
        return self.response @ self.shift

    @property
    def covariance(self) -> np.ndarray:
        """Cov z = (I − A)⁻¹ diag(scale²) (I − A)⁻ᵀ (d, d)."""
        return (self.response * self.scale**2) @ self.response.T

    def solve(self, u: np.ndarray) -> np.ndarray:
        """z (n, d) from the noises u (n, d)."""
        z = u @ (self.response * self.scale).T
        z += self.mean
        return z

    def noises(self, z: np.ndarray) -> np.ndarray:
        """u (n, d) from z (n, d), the inverse of `solve`.

        Raises:
            InputError: If a noise scale is zero, since z is then no one-to-one function of u.
        """
        if (self.scale == 0).any():
            fixed = ", ".join(str(j) for j in np.flatnonzero(self.scale == 0))
            raise InputError(
                f"the law of z is singular and has no density: latent {fixed} has noise scale 0 under this label; "
                "keep some noise, for example Do(values, noise=0.1)"
            )
        return (z - z @ self.adjacency.T - self.shift) / self.scale

    def log_density(self, z: np.ndarray, law: Law) -> np.ndarray:
        """log p(z) (n,) = Σ_j log p(u_j) − log scale_j, since det(I − A) = 1.

        Args:
            z: Points (n, d).
            law: The law of each noise.

        Raises:
            InputError: If the law is singular.
        """
        return law.log_density(self.noises(z)).sum(axis=-1) - np.log(self.scale).sum()

    def differs_by_a_shift(self, other: Mechanisms) -> bool:
        """Whether the two differ in their intercepts alone, so that z − z' is the same for every u."""
        same_scale = np.array_equal(self.scale, other.scale)
        return same_scale and np.array_equal(self.adjacency, other.adjacency)


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


def response_matrix(adjacency: np.ndarray) -> np.ndarray:
    """(I − A)⁻¹ (d, d), by substitution along the causal order: small relative errors however the graph amplifies.

    Args:
        adjacency: A (d, d), that of an acyclic graph.

    Raises:
        InputError: If the graph has a cycle.
    """
    response = np.eye(len(adjacency))
    for i in causal_order(adjacency):
        response[i] += adjacency[i] @ response  # the rows of the causes of i are ready
    return response


def internally_standardised(adjacency: np.ndarray, noise_variances: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A and D rescaled latent by latent along the causal order, so that every latent has variance one.

    Each mechanism reads causes that are already standardised and is then divided by its own standard deviation s_i:
    A'[i, j] = A[i, j] / s_i and D'_i = D_i / s_i² with s_i² = Var(Σ_j A[i, j] z'_j + u_i). Among latents with
    equally many causes neither variances nor effects grow along the order, as they do not either under a rescaling of
    the finished variables for the variances alone.

    Args:
        adjacency: A (d, d), that of an acyclic graph.
        noise_variances: D (d,), positive.

    Returns:
        A' (d, d), with the signs and zeros of A, and D' (d,).

    References:
        Ormaniec, Sussex, Lorch, Schölkopf, Krause (2024), Standardizing structural causal models, arXiv:2406.11601.
    """
    A, D = np.array(adjacency, dtype=np.float64), np.array(noise_variances, dtype=np.float64)
    B = np.zeros(A.shape)  # z' = B ε with ε standardised
    for i in causal_order(A):
        B[i] = A[i] @ B
        B[i, i] = np.sqrt(D[i])
        s = np.linalg.norm(B[i])
        A[i], D[i], B[i] = A[i] / s, D[i] / s**2, B[i] / s
    return A, D
