"""Alignment of estimated with true latents: never entrywise, always up to the map that theory leaves open."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

from pdae_sim._checks import InputError, matrix


@dataclass(frozen=True, eq=False)
class Alignment:
    """How well estimated latents match the truth up to an affine and up to an orthogonal map.

    Args:
        affine_r2: R² of truth given an affine map of the estimate.
        orthogonal_r2: R² of truth given a rotation (or reflection) and a translation of the estimate; no rescaling.
        singular_values: (d_Z,) of the affine map that takes the truth to the estimate; all 1 if it is orthogonal.
        rotation: Q (d_Z, d_Z) with truth ≈ Q (estimate − its mean) + the mean of the truth.
        affine_map: H (d_Z, d_Z) with estimate ≈ H truth + constant.
    """

    affine_r2: float
    orthogonal_r2: float
    singular_values: np.ndarray
    rotation: np.ndarray
    affine_map: np.ndarray

    @property
    def orthogonality_defect(self) -> float:
        """‖H Hᵀ − I‖ / √d_Z of the affine map H, zero if and only if H is orthogonal."""
        H = self.affine_map
        return float(np.linalg.norm(H @ H.T - np.eye(len(H))) / np.sqrt(len(H)))


def align(estimate: np.ndarray, truth: np.ndarray) -> Alignment:
    """Align estimated latents with true ones, row for row.

    Give the truth in its isotropic form (`Truth.isotropic`): only there is the indeterminacy orthogonal.

    Args:
        estimate: (n, d_Z) encoded latents.
        truth: (n, d_Z) true latents of the same cells, n > d_Z.

    Raises:
        InputError: If shapes disagree, n ≤ d_Z or the truth does not vary in every direction.

    References:
        Schönemann (1966), orthogonal Procrustes; claim 2.3.

    Example:
        >>> import numpy as np
        >>> z = np.random.default_rng(0).normal(size=(100, 2))
        >>> align(z @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + 3.0, z).orthogonal_r2 > 1 - 1e-12
        True
    """
    estimate, truth = matrix("estimate", estimate), matrix("truth", truth)
    if estimate.shape != truth.shape:
        raise InputError(f"estimate and truth must have one shape; received {estimate.shape} and {truth.shape}")
    n, d = truth.shape
    if n <= d:
        raise InputError(f"alignment needs more rows than dimensions; received {n} rows, {d} dimensions")
    Z_hat, Z = estimate - estimate.mean(0), truth - truth.mean(0)
    if np.linalg.matrix_rank(Z) < d:
        raise InputError("truth must vary in every direction; a column is constant or repeats others")
    R, _ = linalg.orthogonal_procrustes(Z_hat, Z)
    back = linalg.lstsq(Z_hat, Z)[0]
    H = linalg.lstsq(Z, Z_hat)[0].T
    return Alignment(r2(Z_hat @ back, Z), r2(Z_hat @ R, Z), linalg.svdvals(H), R.T, H)


def gram_error(estimate: np.ndarray, truth: np.ndarray, shifts: np.ndarray) -> float:
    """‖Ĝ − G‖ / ‖G‖ for the Gram matrices G = (W L)ᵀ (W L) of Ŵ and W on the training shifts (claim 2.5).

    Args:
        estimate: Ŵ (d_Z, K), of any latent dimension.
        truth: W (d_Z, K) in isotropic form.
        shifts: (M, K) rows Δ_e = l_e − l_0.
    """
    G_hat, G = (gram(W, shifts) for W in (estimate, truth))
    if not np.linalg.norm(G):
        raise InputError("the true shifts are all zero on these environments; a relative Gram error needs an effect")
    return float(np.linalg.norm(G_hat - G) / np.linalg.norm(G))


def gram(W: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """(W L)ᵀ (W L) (M, M) for shifts (M, K) as rows."""
    moved = np.asarray(shifts) @ np.asarray(W).T
    return moved @ moved.T


def r2(fitted: np.ndarray, Z: np.ndarray) -> float:
    """The share of the sum of squares of centred Z (n, d) that its fit (n, d) explains."""
    return float(1 - ((fitted - Z) ** 2).sum() / (Z**2).sum())
