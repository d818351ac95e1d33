"""How well can effects be known at all, where the mixing has to be learnt with them?

A small change of f is a field v along the latents, and has a score as the effects have one. What the scores of all
fields explain of that of a change δW of W is lost to whoever does not know f; what is left is at most

    Σ_e n_e 𝔼_e { ‖δW l_e − v‖² + tr (Dv)² }    (theory, claim 2.10f)

for every v. Here v runs over all polynomials of a degree, for which the expectations are exact, so that the errors
are lower limits, which rise with the degree: no regular estimator has smaller ones in large samples, whatever its
networks. Of rotations nothing is left, and no Gram matrix depends on them.

A limit for cells without noise and latents that are Gaussian and isotropic. Noise only makes it larger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, combinations_with_replacement
from math import comb

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import matrix, positive, whole
from pdae_sim._linalg import whitening_root
from pdae_sim.errors import InputError

_MOST_FIELDS = 12_000  # their matrix has 1.1 GiB
_QUICK_FIELDS = 3_000
_MOST_EFFECTS = 2_500  # entries of W; their covariance takes seconds
_RIDGE = 1e-10  # relative; what it leaves over of a score makes the limit smaller, never larger
_RANK = 1e-10  # share of the largest singular value


@dataclass(frozen=True, eq=False)
class EfficientLimit:
    """The least errors of the Gram matrix of training shifts that a regular estimator can have in large samples.

    Args:
        gram: (M, M) Δ_eᵀ Wᵀ W Δ_f of the M training conditions that differ from the reference.
        errors: (M, M) least standard errors of its entries if f has to be learnt.
        errors_seen: (M, M) the same of whoever sees the latents, their origin unknown.
        degree: Of the polynomials that stand for all changes of f.

    Example:
        >>> limit = efficient_limit([[0], [1]], counts=[400, 400], perturbation_matrix=[[2.0]], degree=1)
        >>> round(float(limit.errors_seen[0, 0] ** 2 / limit.errors[0, 0] ** 2), 4) == round(8 / (8 + 2**2), 4)
        True
    """

    gram: np.ndarray
    errors: np.ndarray
    errors_seen: np.ndarray
    degree: int

    @property
    def gram_error(self) -> float:
        """The least root mean square of ‖Ĝ − G‖ / ‖G‖ if f has to be learnt; infinite if there is no effect."""
        return self._relative(self.errors)

    @property
    def gram_error_seen(self) -> float:
        """The least root mean square of whoever sees the latents."""
        return self._relative(self.errors_seen)

    @property
    def ratio(self) -> float:
        """What not knowing f costs, as a factor of the Gram error; 1 if there is no effect to be known."""
        return float(np.linalg.norm(self.errors) / np.linalg.norm(self.errors_seen)) if self.gram.any() else 1.0

    def to_json(self) -> dict[str, object]:
        """Both Gram errors, their ratio and the degree, as plain values."""
        seen = {"gram_error_seen": self.gram_error_seen, "ratio": self.ratio}
        return {"gram_error": self.gram_error, **seen, "degree": self.degree}

    def _relative(self, errors: np.ndarray) -> float:
        return float(np.linalg.norm(errors) / np.linalg.norm(self.gram)) if self.gram.any() else np.inf


@checked_numbers
def efficient_limit(
    train_labels: Sequence | np.ndarray,
    *,
    counts: Sequence[int] | np.ndarray,
    perturbation_matrix: Sequence | np.ndarray,
    reference: int = 0,
    degree: int | None = None,
) -> EfficientLimit:
    """The least errors of a Gram matrix, whatever the estimator, where f is not known.

    Args:
        train_labels: (E, K).
        counts: (E,) cells.
        perturbation_matrix: (d_Z, K) W in the isotropic form.
        reference: The row of `train_labels` that shifts are counted from.
        degree: Of the polynomial fields, which have d_Z · C(d_Z + degree, degree) coefficients: the greater, the nearer
            from below to the limit over all fields. At 0 only the origin of the latents is unknown. By default the
            greatest up to 3 that takes a second or two.

    Raises:
        InputError: If sizes do not fit, all labels are equal, or there are more unknowns than memory is well spent on.

    Example:
        >>> W, labels = [[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]], [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]
        >>> limits = [efficient_limit(labels, counts=[4096] * 4, perturbation_matrix=W, degree=k) for k in (0, 1, 3, 5)]
        >>> [round(limit.ratio, 2) for limit in limits]
        [1.0, 1.04, 1.06, 1.06]
    """
    labels = matrix("train_labels", train_labels)
    n = positive("counts", counts, len(labels))
    W = matrix("perturbation_matrix", perturbation_matrix, columns=labels.shape[1])
    degree = _quick_degree(len(W)) if degree is None else whole("degree", degree, at_least=0)
    if not 0 <= reference < len(labels):
        raise InputError(f"reference must be a row of train_labels, 0 to {len(labels) - 1}; received {reference}")
    unknowns = _coefficients(len(W), degree)
    if unknowns > _MOST_FIELDS:
        raise InputError(
            f"degree {degree} with {len(W)} latents has {unknowns:,} unknowns, more than {_MOST_FIELDS:,}; lower it"
        )
    shifts = labels - labels[reference]
    if not shifts.any():
        raise InputError("no row of train_labels differs from the reference; there is no effect to be known")
    unit = np.abs(shifts).max(axis=0)
    unit = np.where(unit > 0, unit, 1.0)  # a dose in molar is no smaller than one in micromolar
    shifts, W = shifts / unit, W * unit
    basis = _row_space(shifts)
    coordinates, directions = shifts @ basis, W @ basis
    if directions.size > _MOST_EFFECTS:
        raise InputError(
            f"{basis.shape[1]:,} effects in {len(W)} latents have {directions.size:,} entries, more than "
            f"{_MOST_EFFECTS:,}; give the conditions of some of them"
        )
    moved = np.flatnonzero(shifts.any(axis=1))
    errors, errors_seen = (
        _gram_errors(coordinates[moved], directions, _root(coordinates, directions, n, k)) for k in (degree, 0)
    )
    means = shifts[moved] @ W.T
    return EfficientLimit(means @ means.T, np.maximum(errors, errors_seen), errors_seen, degree)


def _coefficients(d: int, degree: int) -> int:
    return d * comb(d + degree, degree)


def _quick_degree(d: int) -> int:
    return next(degree for degree in (3, 2, 1, 0) if degree == 0 or _coefficients(d, degree) <= _QUICK_FIELDS)


def _row_space(shifts: np.ndarray) -> np.ndarray:
    """(K, r) orthonormal directions of labels that the training conditions move."""
    _, s, Vt = np.linalg.svd(shifts, full_matrices=False)
    return Vt[s > _RANK * s.max()].T


def _gram_errors(shifts: np.ndarray, W: np.ndarray, root: np.ndarray) -> np.ndarray:
    """(M, M) standard errors of the Gram matrix of `shifts` Wᵀ, W having the covariance root rootᵀ, row by row."""
    means, total = shifts @ W.T, np.zeros((len(shifts), len(shifts)))
    for column in root.T:
        half = shifts @ column.reshape(W.shape).T @ means.T
        total += np.square(half + half.T)
    return np.sqrt(total)


def _root(labels: np.ndarray, W: np.ndarray, counts: np.ndarray, degree: int) -> np.ndarray:
    """(d r, d r) a root of the least covariance of Ŵ row by row, up to rotations if f may rotate."""
    left = np.kron(np.eye(len(W)), (labels * counts[:, None]).T @ labels)
    fields, cross = _scores(labels, W, counts, degree)
    fields[np.diag_indices_from(fields)] *= 1 + _RIDGE
    left -= cross.T @ cho_solve(cho_factor(fields, overwrite_a=True), cross)
    if degree:  # nothing is left of rotations, and no Gram matrix asks for them
        turns = _rotations(W)
        left += np.trace(left) / len(left) * turns @ turns.T
    return whitening_root(left).T


def _rotations(W: np.ndarray) -> np.ndarray:
    """(d r, ·) orthonormal changes of W that only rotate it."""
    turned = np.zeros((len(W) * (len(W) - 1) // 2, *W.shape))
    for turn, (i, j) in zip(turned, combinations(range(len(W)), 2), strict=True):
        turn[i], turn[j] = W[j], -W[i]
    U, s, _ = np.linalg.svd(turned.reshape(len(turned), W.size).T, full_matrices=False)
    return U[:, s > _RANK * s.max(initial=0.0)]


def _scores(labels: np.ndarray, W: np.ndarray, counts: np.ndarray, degree: int) -> tuple[np.ndarray, np.ndarray]:
    """Information (d P, d P) about fields h_a e_i, and (d P, d r) about them and W together.

    With h_a products of normalised Hermite polynomials: 𝔼_e of two scores is that of δ_ij h_a h_b + ∂_j h_a ∂_i h_b,
    and of one with that of W that of −δ_ij h_a l_e, by parts.
    """
    d = len(W)
    means = labels @ W.T
    centre = counts @ means / counts.sum()
    scale = np.sqrt(1 + counts @ np.square(means - centre) / counts.sum())
    powers = _powers(d, degree)
    P = len(powers)
    products, first = np.zeros((P, P)), np.zeros((P, labels.shape[1]))
    for label, n, at in zip(labels, counts, means - centre, strict=True):
        own = np.ones((P, P))
        for j in range(d):
            own *= _hermite_products(at[j], scale[j], degree)[np.ix_(powers[:, j], powers[:, j])]
        products += n * own
        first += n * np.outer(own[:, 0], label)
    fields, cross = np.zeros((d, P, d, P)), np.zeros((d, P, d, labels.shape[1]))
    lowered = list(_lowered(powers, scale))
    for i, (to_i, by_i) in enumerate(lowered):
        fields[i, :, i] += products
        cross[i, :, i] -= first
        for j, (to_j, by_j) in enumerate(lowered):
            fields[i, :, j] += np.outer(by_j, by_i) * products[np.ix_(to_j, to_i)]
    return fields.reshape(d * P, d * P), cross.reshape(d * P, -1)


def _powers(d: int, degree: int) -> np.ndarray:
    """(P, d) the degrees of all products of Hermite polynomials up to a total degree, the constant first."""
    chosen = (m for total in range(degree + 1) for m in combinations_with_replacement(range(d), total))
    return np.array([np.bincount(np.array(m, dtype=int), minlength=d) for m in chosen])


def _lowered(powers: np.ndarray, scale: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """By coordinate j: where ∂_j h_a is among the polynomials, and its factor √a_j / scale_j."""
    places = {tuple(row): place for place, row in enumerate(powers.tolist())}
    for j, unit in enumerate(np.eye(powers.shape[1], dtype=int)):
        to = [places[tuple(np.maximum(row - unit, 0).tolist())] for row in powers]
        yield np.array(to), np.sqrt(powers[:, j]) / scale[j]


def _hermite_products(at: float, scale: float, degree: int) -> np.ndarray:
    """(degree + 1, degree + 1) 𝔼 h_p h_q of (at + ζ) / scale, ζ ~ N(0, 1), exact by Gauss's nodes."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(degree + 1)
    h = np.polynomial.hermite_e.hermevander((nodes + at) / scale, degree)
    h /= np.sqrt(np.cumprod(np.maximum(np.arange(degree + 1.0), 1.0)))
    return h.T @ (weights[:, None] / weights.sum() * h)
