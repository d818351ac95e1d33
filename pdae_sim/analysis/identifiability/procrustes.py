"""Joint Procrustes: latents, perturbation matrix and base law under one rotation Q and one offset c.

Theory leaves one Q open, not one per object (claim 2.3): z = Q ẑ + c, W L = Q Ŵ L, and the base law N(0, I) is kept.
Latents that match under one rotation and a W that matches under another are no match.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import linalg

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import at_least, matrix
from pdae_sim.data import Truth
from pdae_sim.errors import InputError

_PARTS = ("latents", "matrix", "base")
_EQUAL = dict.fromkeys(_PARTS, 1.0)

_DETERMINED = 1e-9  # share of the greatest singular value below which a direction is not determined


@dataclass(frozen=True, eq=False)
class LatentEstimate:
    """Latents as an estimator has them.

    Args:
        z: (n, d_Z) latents.
        z_base: (n, d_Z) base latents z − Ŵ l.
        perturbation_matrix: Ŵ (d_Z, K).

    Example:
        >>> W, base = np.eye(2), np.zeros((3, 2))
        >>> LatentEstimate(base + [1, 0], base, W).z.shape
        (3, 2)
    """

    z: np.ndarray
    z_base: np.ndarray
    perturbation_matrix: np.ndarray


@dataclass(frozen=True, eq=False)
class JointProcrustes:
    """The rotation and the offset, with the residual of each part under them.

    Args:
        rotation: Q (d_Z, d_Z) with truth ≈ Q estimate + c.
        offset: c (d_Z,).
        latents: Σ‖Q ẑ_i + c − z_i‖² as a share of Σ‖z_i − z̄‖².
        matrix: ‖Q Ŵ L − W L‖² / ‖W L‖².
        base: ‖Q m̂ + c − m‖² / d_Z, of the means of the base latents.
        base_covariance: ‖Q Σ̂ Qᵀ − I‖ / √d_Z of the base latents; where the truth is isotropic no Q changes it, so that
            it has no say in the choice of Q.
        separation: The least singular value of what Q was found from as a share of the greatest: how far Q is from
            being open.
        weights: What each part counted.

    Example:
        >>> truth = Truth(np.eye(3)[:, :2], np.eye(3)[:, :2], np.eye(2), np.eye(2))
        >>> joint = joint_procrustes(LatentEstimate(truth.z, truth.z_base, np.eye(2)), truth, np.eye(2))
        >>> joint.latents < 1e-12 < joint.separation
        True
    """

    rotation: np.ndarray
    offset: np.ndarray
    latents: float
    matrix: float
    base: float
    base_covariance: float
    separation: float
    weights: Mapping[str, float]

    def to_json(self) -> dict[str, object]:
        """The fields as plain values."""
        arrays = {"rotation": self.rotation.tolist(), "offset": self.offset.tolist()}
        return {**vars(self), **arrays, "weights": dict(self.weights)}


@checked_numbers
def joint_procrustes(
    estimate: LatentEstimate, truth: Truth, shifts: np.ndarray, *, weights: Mapping[str, float] = _EQUAL
) -> JointProcrustes:
    """Find the orthogonal Q and the offset c that make the weighted sum of the three residual shares least.

    w_z Σ‖Qẑ_i + c − z_i‖² / Σ‖z_i − z̄‖² + w_W ‖QŴL − WL‖² / ‖WL‖² + w_b ‖Qm̂ + c − m‖² / d_Z: for given Q the best
    c is a weighted mean, and what remains is one orthogonal Procrustes problem.

    Args:
        estimate: Latents, base latents and Ŵ as learnt.
        truth: The truth of the same cells in isotropic form.
        shifts: (M, K) rows Δ_e of the training environments.
        weights: w_z, w_W and w_b by the names ``latents``, ``matrix`` and ``base``, ≥ 0; those not named are 0. Each
            part is in units of its own, and counts the same by default.

    Raises:
        InputError: If shapes disagree, a weight is negative, the true shifts are all zero, or Q is not determined.
            Fewer than d_Z independent directions leave a reflection or a rotation open (scipy issue 14948).

    References:
        Theory, claim 2.3; Schönemann (1966).

    Example:
        >>> base, W, labels = np.random.default_rng(0).normal(size=(50, 2)), np.eye(2), np.eye(2)[np.arange(50) % 2]
        >>> truth = Truth(base + labels @ W.T, base, W, np.eye(2))
        >>> Q = np.array([[0.6, 0.8], [-0.8, 0.6]])
        >>> joint = joint_procrustes(LatentEstimate(truth.z @ Q, base @ Q, Q.T @ W), truth, np.eye(2))
        >>> bool(np.allclose(joint.rotation, Q)) and joint.latents < 1e-12
        True
    """
    W, Z, Z_hat = truth.perturbation_matrix, matrix("truth", truth.z), matrix("estimate", estimate.z)
    if Z_hat.shape != Z.shape or estimate.perturbation_matrix.shape != W.shape:
        raise InputError(f"estimate must have the shapes of the truth, {Z.shape} and {W.shape}")
    w = {part: at_least(f"weights[{part}]", weights.get(part, 0.0), 0.0) for part in _PARTS}
    shifts = matrix("shifts", shifts, columns=W.shape[1])
    moves_hat, moves = (shifts @ V.T for V in (estimate.perturbation_matrix, W))
    m_hat, m = estimate.z_base.mean(0), truth.z_base.mean(0)
    total, effect = ((Z - Z.mean(0)) ** 2).sum(), (moves**2).sum()
    if not total > 0 or not effect > 0:
        raise InputError("truth must vary and have an effect on these environments; a share needs a whole")
    points = (np.vstack([Z_hat, m_hat]), np.vstack([Z, m]))
    mass = np.append(np.full(len(Z), w["latents"] / total), w["base"] / len(W))
    centres = [np.average(side, axis=0, weights=mass) if mass.any() else side[-1] for side in points]
    P_hat, P = (side - centre for side, centre in zip(points, centres, strict=True))
    M = (P_hat * mass[:, None]).T @ P + w["matrix"] / effect * moves_hat.T @ moves
    Q, separation = _determined(M)
    c = centres[1] - Q @ centres[0]
    S = np.atleast_2d(np.cov(estimate.z_base, rowvar=False))
    return JointProcrustes(
        Q,
        c,
        float(((Z_hat @ Q.T + c - Z) ** 2).sum() / total),
        float(((moves_hat @ Q.T - moves) ** 2).sum() / effect),
        float(((Q @ m_hat + c - m) ** 2).mean()),
        float(np.linalg.norm(Q @ S @ Q.T - np.eye(len(Q))) / np.sqrt(len(Q))),
        separation,
        w,
    )


def _determined(M: np.ndarray) -> tuple[np.ndarray, float]:
    """Q with tr(Q M) greatest and how well it is determined; refused where M leaves a direction open."""
    values = linalg.svdvals(M)
    separation = float(values[-1] / values[0]) if values[0] > 0 else 0.0
    if separation < _DETERMINED:
        rank = int((values > _DETERMINED * max(values[0], np.finfo(float).tiny)).sum())
        raise InputError(
            f"the rotation is not determined: estimate and truth agree on {rank} of {len(values)} directions; "
            "give more cells, or latents that vary in every direction"
        )
    return linalg.orthogonal_procrustes(np.eye(len(M)), M)[0].T, separation
