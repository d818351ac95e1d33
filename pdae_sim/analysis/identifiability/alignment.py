"""Alignment of estimated with true latents: never entrywise, always up to the map that theory leaves open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from pdae_sim import _random
from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import matrix
from pdae_sim._random import SeedLike
from pdae_sim.analysis._intervals import operator_radius, ratio_intervals
from pdae_sim.analysis.identifiability._pairs import checked_pair
from pdae_sim.errors import InputError
from pdae_sim.intervals import Estimate, Interval

_DETERMINED = 1e-9  # share of the greatest singular value below which a direction leaves the rotation open


@dataclass(frozen=True, eq=False)
class Alignment:
    """How well estimated latents match the truth up to an affine and up to an orthogonal map.

    Args:
        affine_r2: R² of truth given an affine map of the estimate.
        orthogonal_r2: R² of truth given a rotation (or reflection) and a translation of the estimate; no rescaling.
        singular_values: (d_Z,) of the affine map that takes the truth to the estimate; all 1 if it is orthogonal.
        rotation: Q (d_Z, d_Z) with truth ≈ Q (estimate − its mean) + the mean of the truth.
        affine_map: H (d_Z, d_Z) with estimate ≈ H truth + constant.
        determined: Whether these cells leave one rotation only; none does where the estimate does not vary with the
            truth in some direction.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(100, 2))
        >>> bool(abs(align(1.5 * z, z).orthogonality_defect - 0.5) < 1e-9)
        True
    """

    affine_r2: float
    orthogonal_r2: float
    singular_values: np.ndarray
    rotation: np.ndarray
    affine_map: np.ndarray
    determined: bool = True

    @property
    def orthogonality_defect(self) -> float:
        """The largest |σ_j − 1| of the affine map's singular values, zero if and only if it is orthogonal."""
        return float(np.abs(self.singular_values - 1).max())

    def to_json(self) -> dict[str, object]:
        """The figures of merit and both maps, as plain values."""
        return {**vars(self), "orthogonality_defect": self.orthogonality_defect}


@checked_numbers
def align(estimate: np.ndarray, truth: np.ndarray) -> Alignment:
    """Align estimated latents with true ones, row for row.

    Give the truth in its isotropic form (`Truth.isotropic`): only there is the indeterminacy orthogonal.

    Args:
        estimate: (n, d_Z) encoded latents.
        truth: (n, d_Z) true latents of the same cells, n > d_Z.

    Raises:
        InputError: If shapes disagree, n ≤ d_Z or the truth does not vary in every direction.

    References:
        Schönemann (1966), orthogonal Procrustes; theory, claim 2.3.

    Example:
        >>> import numpy as np
        >>> z = np.random.default_rng(0).normal(size=(100, 2))
        >>> align(z @ np.array([[0.0, 1.0], [-1.0, 0.0]]) + 3.0, z).orthogonal_r2 > 1 - 1e-12
        True
    """
    Z_hat, Z = _centred_pair(estimate, truth)
    R, back, H = _least_squares(Z_hat, Z)
    shared = linalg.svdvals(Z_hat.T @ Z)
    determined = bool(shared[-1] > _DETERMINED * shared[0])
    return Alignment(r2(Z_hat @ back, Z), r2(Z_hat @ R, Z), linalg.svdvals(H), R.T, H, determined)


@dataclass(frozen=True)
class AlignmentIntervals:
    """95 % intervals over cells of an `Alignment`.

    Args:
        affine_r2: Bootstrap-t interval of the affine R².
        orthogonal_r2: Bootstrap-t interval of the orthogonal R².
        singular_values: One interval per singular value, a band that covers all of them at once.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(100, 2))
        >>> 1.0 in alignment_intervals(z, z, rng=0).affine_r2
        True
    """

    affine_r2: Interval
    orthogonal_r2: Interval
    singular_values: tuple[Interval, ...]

    def to_json(self) -> dict[str, object]:
        """Intervals as pairs, by name."""
        return dict(vars(self))


@checked_numbers
def alignment_intervals(estimate: np.ndarray, truth: np.ndarray, *, rng: SeedLike = None) -> AlignmentIntervals:
    """Estimate 95 % intervals over cells of what `align` returns.

    Squared errors are enlarged by the degrees of freedom that the maps spent on these very cells. Percentiles of
    resampled singular values would miss, because noise drives equal ones apart: the band is a ball of matrices.

    Args:
        estimate: (n, d_Z) encoded latents.
        truth: (n, d_Z) true latents of the same cells.
        rng: Whatever `numpy.random.default_rng` takes; seeds the resampling.

    Raises:
        InputError: As `align`.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(100, 2))
        >>> low, high = alignment_intervals(2 * z, z, rng=0).singular_values[0]
        >>> low <= 2.0 + 1e-9 and high >= 2.0 - 1e-9
        True
    """
    Z_hat, Z = _centred_pair(estimate, truth)
    stream = _random.stream(_random.seed_sequence(rng), "alignment")
    R, back, H = _least_squares(Z_hat, Z)
    maps, spent = (back, R), (len(H) + 1, (len(H) + 1) / 2)
    losses = [((Z_hat @ A - Z) ** 2).sum(1) * len(Z) / max(len(Z) - p, 1) for A, p in zip(maps, spent, strict=True)]
    lost = ratio_intervals(np.stack(losses), (Z**2).sum(1), stream)
    affine, orthogonal = (
        _holding(loss.subtracted_from(1.0), r2(Z_hat @ A, Z)) for loss, A in zip(lost, maps, strict=True)
    )
    values, radius = linalg.svdvals(H), operator_radius(Z_hat - Z @ H.T, Z, stream)
    band = tuple(Interval(max(value - radius, 0.0), value + radius) for value in values.tolist())
    return AlignmentIntervals(affine, orthogonal, band)


def _holding(estimate: Estimate, value: float) -> Interval:
    """The interval, moved out to the value where the degrees of freedom put it outside."""
    return Interval(min(estimate.low, value), max(estimate.high, value))


def _centred_pair(estimate: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    Z_hat, Z = checked_pair(estimate, truth, "alignment", lambda d: d + 1)
    return Z_hat - Z_hat.mean(0), Z - Z.mean(0)


def _least_squares(Z_hat: np.ndarray, Z: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """R orthogonal with Ẑ R ≈ Z, B with Ẑ B ≈ Z, and H with Ẑ ≈ Z Hᵀ."""
    R, _ = linalg.orthogonal_procrustes(Z_hat, Z)
    return R, linalg.lstsq(Z_hat, Z)[0], linalg.lstsq(Z, Z_hat)[0].T


@checked_numbers
def gram_error(estimate: np.ndarray, truth: np.ndarray, shifts: np.ndarray) -> float:
    """Relative error ‖Ĝ − G‖ / ‖G‖ of the Gram matrix G = (W L)ᵀ (W L) of Ŵ on the training shifts.

    Args:
        estimate: Ŵ (d_Z, K), of any latent dimension.
        truth: W (d_Z, K) in isotropic form.
        shifts: (M, K) rows Δ_e = l_e − l_0.

    Raises:
        InputError: If W moves no environment.

    References:
        Theory, claim 2.5: the Gram matrix is what is identified of W, since any rotation Q W has the same.

    Example:
        >>> W = np.array([[1.0, 0.5], [0.0, 2.0]])
        >>> gram_error(W[::-1], W, np.eye(2)) == 0.0
        True
    """
    G_hat, G = (gram_matrix(W, shifts) for W in (estimate, truth))
    if not np.linalg.norm(G):
        raise InputError("the true shifts are all zero on these environments; a relative Gram error needs an effect")
    return float(np.linalg.norm(G_hat - G) / np.linalg.norm(G))


@checked_numbers
def gram_matrix(W: Sequence | np.ndarray, shifts: Sequence | np.ndarray) -> np.ndarray:
    """Gram matrix (W L)ᵀ (W L) of the effects of shifts.

    Args:
        W: (d_Z, K).
        shifts: (M, K) rows Δ_e.

    Returns:
        (M, M).

    Example:
        >>> gram_matrix([[1.0, 1.0]], [[1, 0], [0, 2]]).tolist()
        [[1.0, 2.0], [2.0, 4.0]]
    """
    moved = np.asarray(shifts) @ np.asarray(W).T
    return moved @ moved.T


@checked_numbers
def r2(fitted: np.ndarray, Z: np.ndarray) -> float:
    """Share of the sum of squares of a centred target that a fit explains.

    Args:
        fitted: (n, d).
        Z: (n, d), centred.

    Example:
        >>> r2(np.zeros((2, 1)), np.array([[1.0], [-1.0]]))
        0.0
    """
    fitted, Z = matrix("fitted", fitted), matrix("Z", Z)
    if fitted.shape != Z.shape:
        raise InputError(f"fitted must have the shape of Z, {Z.shape}; received {fitted.shape}")
    return float(1 - ((fitted - Z) ** 2).sum() / (Z**2).sum())
