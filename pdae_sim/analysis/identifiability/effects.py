"""What no rotation of the latents changes: effect sizes, angles between effects and the Gram matrix, with intervals.

An effect is the difference of the mean latents of an environment and of the reference. Its plug-in length is biased
upwards, by as much as it is worth where the effect is near zero, and resampled means carry that bias a second time:
a percentile interval then misses. Lengths get the ends at which a noncentral χ² puts the observed length at its 2.5 and
97.5 % points; inner products get the exact first two moments of a product of Gaussian means; an angle is the length of
the step from one direction to the other on the sphere, and is treated as a length is. Nothing is resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import matrix, whole
from pdae_sim.analysis._information import inverse_information
from pdae_sim.analysis._noncentral import distances_at_scores, matched_score
from pdae_sim.errors import InputError
from pdae_sim.intervals import Estimate, Interval

_Z = float(ndtri(0.975))


@dataclass(frozen=True, eq=False)
class Effects:
    """Effects of M perturbed environments in latent units, with 95 % intervals over cells.

    Args:
        shifts: (M, d_Z) differences of mean latents from the reference.
        sizes: M lengths; the value is the positive part of the unbiased square, rooted.
        gram: (M, M) inner products without bias.
        gram_low, gram_high: (M, M) ends of their intervals.
        angles: (M, M) degrees; NaN on the diagonal and where a length is not told from zero.
        angles_low, angles_high: (M, M) ends of their intervals, 0 and 180 where nothing is known.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(300, 2)) + np.repeat([[0, 0], [3, 0], [0, 3]], 100, axis=0)
        >>> effects = estimate_effects(z, np.repeat([0, 1, 2], 100))
        >>> bool(effects.angles_low[0, 1] < 90 < effects.angles_high[0, 1])
        True
    """

    shifts: np.ndarray
    sizes: tuple[Estimate, ...]
    gram: np.ndarray
    gram_low: np.ndarray
    gram_high: np.ndarray
    angles: np.ndarray
    angles_low: np.ndarray
    angles_high: np.ndarray

    def to_json(self) -> dict[str, object]:
        """Sizes, Gram matrix and angles as plain values."""
        arrays = {name: value.tolist() for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return {**arrays, "sizes": [size.to_json() for size in self.sizes]}


@checked_numbers
def estimate_effects(
    z: np.ndarray,
    environment: np.ndarray,
    *,
    reference: int = 0,
    information: np.ndarray | None = None,
    prior_means: np.ndarray | None = None,
) -> Effects:
    """Estimate effects from latents, true or encoded.

    Posterior means of noisy cells are drawn towards the means of their priors, and so are their averages. With the
    information J they are stretched to μ + J⁻¹ (z − μ), a step of Fisher scoring from the priors' means: without bias,
    and of the least variance there is, J⁻¹ / n_e.

    Args:
        z: (n, d_Z) latents, or posterior means of those of noisy cells.
        environment: (n,) integers 0 … M.
        reference: The environment that effects are measured from.
        information: J (d_Z, d_Z) = I − E Cov(z | x), if `z` are posterior means.
        prior_means: μ (n, d_Z), means of the priors N(μ, I) that the posterior of each cell was taken under; 0 if None.

    Raises:
        InputError: If there is no perturbed environment, or one has fewer than d_Z + 2 cells.

    References:
        Theory, claims 2.5 and 2.13; Patnaik (1949), The non-central χ²- and F-distributions, Biometrika 36, for matched
        moments.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(2000, 2))
        >>> z[1000:] += [3.0, 4.0]
        >>> 5.0 in estimate_effects(z, np.repeat([0, 1], 1000)).sizes[0].interval
        True
    """
    z = matrix("z", z)
    if information is not None:
        J = inverse_information(information)
        z = matrix("z", z, columns=len(J))
        prior = np.zeros_like(z) if prior_means is None else matrix("prior_means", prior_means, columns=z.shape[1])
        z = prior + (z - prior) @ J
    means, covariances = _moments(z, np.asarray(environment), whole("reference", reference, at_least=0))
    shifts, common = means[1:] - means[0], covariances[0]
    own = covariances[1:] + common
    sizes = _effect_sizes(shifts, own)
    G, error = _products(shifts, own, common)
    low, high = G - _Z * error, G + _Z * error
    np.fill_diagonal(low, [size.low**2 for size in sizes])
    np.fill_diagonal(high, [size.high**2 for size in sizes])
    known = np.array([size.low > 0 for size in sizes])
    return Effects(shifts, tuple(sizes), G, low, high, *_angle_tables(shifts, own, common, known))


@checked_numbers
def effect_angles(shifts: np.ndarray) -> np.ndarray:
    """Angles in degrees between known shifts, such as those of the truth.

    Args:
        shifts: (M, d_Z).

    Returns:
        (M, M), NaN on the diagonal and beside a shift of length zero.

    Example:
        >>> round(float(effect_angles(np.array([[1.0, 0.0], [1.0, 1.0]]))[0, 1]), 6)
        45.0
    """
    shifts = matrix("shifts", shifts)
    G = shifts @ shifts.T
    lengths = np.sqrt(np.where(np.diagonal(G) > 0, np.diagonal(G), np.nan))
    angles = np.degrees(np.arccos(np.clip(G / np.outer(lengths, lengths), -1.0, 1.0)))
    np.fill_diagonal(angles, np.nan)
    return angles


class _LengthLaw(NamedTuple):
    """What the law of the squared length of a Gaussian estimate ŵ ~ N(w, Σ) depends on.

    It is that of `matched_score`, along the observed direction u.

    Args:
        square: The observed ‖ŵ‖² > 0.
        trace: tr Σ > 0.
        squares: tr Σ².
        along: uᵀΣu.
    """

    square: float
    trace: float
    squares: float
    along: float

    @property
    def unbiased(self) -> float:
        """The positive part of the unbiased square, rooted."""
        return float(np.sqrt(max(self.square - self.trace, 0.0)))


def _lengths(laws: Sequence[_LengthLaw]) -> list[Estimate]:
    """The lengths, with the ends that put each observed square at its 97.5 and 2.5 % point."""
    if not laws:
        return []
    columns = np.array(laws).T
    reach = np.sqrt(columns[0]) + 10 * np.sqrt(columns[1])
    low, high = distances_at_scores(-_Z, matched_score, reach, *columns, np.full_like(reach, np.inf))
    values = [law.unbiased for law in laws]
    return [
        Estimate(v, Interval(min(a, v), max(b, v))) for v, a, b in zip(values, low.tolist(), high.tolist(), strict=True)
    ]


def _effect_sizes(shifts: np.ndarray, covariances: np.ndarray) -> list[Estimate]:
    """‖μ‖ from Gaussian estimates (M, d) of μ with covariances (M, d, d), by inversion of their law."""
    laws = [_size_law(shift, S) for shift, S in zip(shifts, covariances, strict=True)]
    known = iter(_lengths([law for law in laws if law.square > 0 and law.trace > 0]))
    return [next(known) if law.square > 0 and law.trace > 0 else _degenerate(law) for law in laws]


def _size_law(shift: np.ndarray, covariance: np.ndarray) -> _LengthLaw:
    square = float(shift @ shift)
    along = float(shift @ covariance @ shift) / square if square > 0 else 0.0
    return _LengthLaw(square, float(np.trace(covariance)), float((covariance**2).sum()), along)


def _degenerate(law: _LengthLaw) -> Estimate:
    """The length where the error or the estimate is zero to the last digit."""
    return Estimate(law.unbiased, Interval(law.unbiased, law.unbiased + _Z * float(np.sqrt(law.trace))))


def _angle_law(
    first: np.ndarray, second: np.ndarray, covariances: tuple[np.ndarray, np.ndarray], common: np.ndarray
) -> _LengthLaw:
    """The law of the angle in radians, at most a right one, between two means that have Gaussian errors.

    To first order the step from one direction to the other is Gaussian in the d − 1 dimensions of the sphere, and the
    angle its length.

    Args:
        first, second: (d,) estimates, far from zero as their errors go.
        covariances: (d, d) of the error of each.
        common: (d, d) covariance of the one with the other.
    """
    r, s = _length(first, covariances[0]), _length(second, covariances[1])
    u, v = _unit(first), _unit(second)
    towards, back = _unit(v - (u @ v) * u), _unit(u - (u @ v) * v)
    angle = float(np.arctan2(np.linalg.norm(v - (u @ v) * u), u @ v))
    A, B, C = covariances[0] / r**2, covariances[1] / s**2, (common + common.T) / (2 * r * s)
    within = float(towards @ A @ towards + back @ B @ back + 2 * towards @ C @ back)
    rest = np.eye(len(u)) - np.outer(u, u) - np.outer(towards, towards)
    curved = angle / np.tan(angle) if angle > 1e-8 else 1.0  # an error across adds cot(angle) / 2 of its square
    out = curved * rest @ (A + B - 2 * C) @ rest
    return _LengthLaw(angle**2, within + float(np.trace(out)), within**2 + float((out**2).sum()), within)


def _angle_tables(
    shifts: np.ndarray, own: np.ndarray, common: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(M, M) angles with the ends of their intervals; open where one of the two may be zero."""
    shape = (len(shifts), len(shifts))
    values, low, high = np.full(shape, np.nan), np.zeros(shape), np.full(shape, 180.0)
    pairs = list(combinations(np.flatnonzero(known).tolist(), 2))
    # the law holds for small angles: an obtuse one is 180 degrees less that of the opposite vector
    obtuse = [bool(shifts[e] @ shifts[f] < 0) for e, f in pairs]
    laws = [
        _angle_law(-shifts[e] if o else shifts[e], shifts[f], (own[e], own[f]), -common if o else common)
        for (e, f), o in zip(pairs, obtuse, strict=True)
    ]
    for (e, f), o, angle in zip(pairs, obtuse, _angles(laws), strict=True):
        shown = angle.subtracted_from(180.0) if o else angle
        for table, end in ((values, shown.value), (low, shown.low), (high, shown.high)):
            table[e, f] = table[f, e] = end
    return values, low, high


def _angles(laws: Sequence[_LengthLaw]) -> list[Estimate]:
    """Angles in degrees; a point where there is no error, as between two shifts in one dimension."""
    known = iter(_lengths([law for law in laws if law.trace > 0 and law.square > 0]))
    radians = [next(known) if law.trace > 0 and law.square > 0 else _degenerate(law) for law in laws]
    degrees = [[min(float(np.degrees(v)), 180.0) for v in (a.value, a.low, a.high)] for a in radians]
    return [Estimate(value, Interval(low, high)) for value, low, high in degrees]


def _moments(z: np.ndarray, environment: np.ndarray, reference: int) -> tuple[np.ndarray, np.ndarray]:
    """Means (M + 1, d) and covariances of the means (M + 1, d, d), the reference first."""
    if environment.shape != (len(z),) or not np.issubdtype(environment.dtype, np.integer):
        raise InputError(f"environment must hold one integer per row of z ({len(z)}); received {environment.shape}")
    counts = np.bincount(environment)
    if len(counts) < 2 or reference >= len(counts):
        raise InputError(f"environment must hold the reference {reference} and another; received {len(counts)} in all")
    if counts.min() < z.shape[1] + 2:
        e = int(counts.argmin())
        raise InputError(f"environment {e} needs at least {z.shape[1] + 2} cells; received {counts[e]}")
    order = [reference, *(e for e in range(len(counts)) if e != reference)]
    parts = [z[environment == e] for e in order]
    covariances = [np.atleast_2d(np.cov(part, rowvar=False)) / len(part) for part in parts]
    return np.array([part.mean(0) for part in parts]), np.array(covariances)


def _length(mean: np.ndarray, covariance: np.ndarray) -> float:
    """The length of a mean without the share of its error, at least half of what is seen."""
    square = float(mean @ mean)
    return float(np.sqrt(max(square - np.trace(covariance), square / 4)))


def _unit(vector: np.ndarray) -> np.ndarray:
    """The vector at length one; zero stays zero."""
    length = np.linalg.norm(vector)
    return vector / length if length > 1e-12 else np.zeros_like(vector)


def _products(shifts: np.ndarray, own: np.ndarray, common: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unbiased inner products and their standard errors (M, M); the reference's error is common to all shifts.

    With Gaussian means Var(aᵀb) = b̄ᵀΣ_a b̄ + āᵀΣ_b ā + 2 āᵀC b̄ + tr Σ_a Σ_b + tr C², C = Cov(a, b).
    """
    bias = np.full((len(own), len(own)), np.trace(common))
    np.fill_diagonal(bias, np.trace(own, axis1=1, axis2=2))
    spread = np.einsum("fi,eij,fj->ef", shifts, own, shifts)
    crossed = shifts @ common @ shifts.T
    traces = np.einsum("eij,fji->ef", own, own) + (common**2).sum()
    return shifts @ shifts.T - bias, np.sqrt(spread + spread.T + 2 * crossed + traces)
