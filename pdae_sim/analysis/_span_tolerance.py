"""The span of measured doses: floats, a stated tolerance, and an answer for labels too near to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import linalg

_DECADE = 10.0
"""A verdict that a tolerance so many times larger or smaller would change is borderline."""


@dataclass(frozen=True, eq=False)
class ToleratedSpan:
    """What the tolerance says of each test label.

    Args:
        residuals: (n_test,) relative to the test shift, in the units of `span_within_tolerance`; 0 for a shift of zero.
        identified: (n_test,) whether the residual is within the tolerance.
        borderline: (n_test,) whether a tolerance a decade larger or smaller says otherwise.
        witnesses: (n_test, K), v with vᵀ Δ_t = 1; of no meaning where identified.
        weights: (n_test, M) of least cost, reference included; of no meaning where not identified.
    """

    residuals: np.ndarray
    identified: np.ndarray
    borderline: np.ndarray
    witnesses: np.ndarray
    weights: np.ndarray


def span_within_tolerance(
    shifts: np.ndarray, targets: np.ndarray, *, rtol: float, counts: np.ndarray | None
) -> ToleratedSpan:
    """Judge measured test shifts against measured training shifts.

    Every perturbation is divided by its largest entry among the training shifts (one that none of them moves, by the
    test label's own), every training shift by its norm, so that neither units nor strengths matter. Directions whose
    singular value is below `rtol` times the largest are left out of the span.

    Args:
        shifts: (M, K) Δ_e, the reference's row being zero.
        targets: (n_test, K) Δ_t.
        rtol: The relative residual within which a shift counts as inside.
        counts: (M,) cells for weights of least noise gain; None for α of least norm.
    """
    unit = np.abs(shifts).max(axis=0)
    rows, seen = shifts / np.where(unit > 0, unit, 1.0), unit > 0
    scaled = np.where(seen, targets / np.where(seen, unit, 1.0), np.sign(targets))
    cuts = (rtol, rtol / _DECADE, rtol * _DECADE)
    bases = [_basis(rows, cut) for cut in cuts]
    rests = [_beyond(scaled, basis) for basis in bases]
    size = np.linalg.norm(scaled, axis=1)
    shares = [np.linalg.norm(rest, axis=1) / np.where(size > 0, size, 1.0) for rest in rests]
    verdicts = [share <= cut for share, cut in zip(shares, cuts, strict=True)]
    v = rests[0] / np.where(seen, unit, np.where(targets == 0, 1.0, np.abs(targets)))
    moved = (v * targets).sum(axis=1, keepdims=True)
    return ToleratedSpan(
        shares[0],
        verdicts[0],
        (verdicts[0] != verdicts[1]) | (verdicts[0] != verdicts[2]),
        v / np.where(moved == 0, 1.0, moved),
        _least_norm(rows @ bases[0].T, scaled @ bases[0].T, counts),
    )


def _basis(rows: np.ndarray, cut: float) -> np.ndarray:
    """Orthonormal rows that span the directions of the rows, those below the cut left out."""
    norms = np.linalg.norm(rows, axis=1)
    directions = rows[norms > 0] / norms[norms > 0, None]
    if not len(directions):
        return directions
    _, s, Vt = np.linalg.svd(directions, full_matrices=False)
    return Vt[s > cut * s[0]]


def _beyond(targets: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """The part orthogonal to the basis, projected twice: once leaves rounding of the size of the target."""
    once = targets - targets @ basis.T @ basis
    return once - once @ basis.T @ basis


def _least_norm(B: np.ndarray, targets: np.ndarray, counts: np.ndarray | None) -> np.ndarray:
    """The w (n_test, M) with Σ_e w_e B_e = targets and least Σ w_e²; with counts Σ w_e = 1 and least Σ w_e² / n_e."""
    root = np.ones(len(B)) if counts is None else np.sqrt(counts)
    if counts is not None:
        B, targets = (np.hstack([block, np.ones((len(block), 1))]) for block in (B, targets))
    Q, R = linalg.qr(B * root[:, None], mode="economic")
    return (Q @ linalg.solve_triangular(R, targets.T, trans="T")).T * root
