"""What no rotation of the latents changes: effect sizes, angles between effects and the Gram matrix, with intervals.

An effect is the difference of the mean latents of an environment and of the reference. Its plug-in length is biased
upwards, by as much as it is worth where the effect is near zero, and resampled means carry that bias a second time:
a percentile interval then misses. Lengths get the ends at which a noncentral χ² puts the observed length at its 2.5 and
97.5 % points; inner products get the exact first two moments of a product of Gaussian means; an angle is the length of
the step from one direction to the other on the sphere, and is treated as a length is. Nothing is resampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.optimize import brentq
from scipy.special import chndtr, ndtr

from pdae_sim._checks import matrix, whole
from pdae_sim.analysis._intervals import Interval
from pdae_sim.errors import InputError

_Z = 1.959963984540054
_LARGE = 1e4  # degrees of freedom and noncentrality beyond which a cube root is normal to all digits that matter


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
    """

    shifts: np.ndarray
    sizes: tuple[Interval, ...]
    gram: np.ndarray
    gram_low: np.ndarray
    gram_high: np.ndarray
    angles: np.ndarray
    angles_low: np.ndarray
    angles_high: np.ndarray

    def to_json(self) -> dict:
        """Sizes, Gram matrix and angles as plain values."""
        arrays = {name: value.tolist() for name, value in vars(self).items() if isinstance(value, np.ndarray)}
        return {**arrays, "sizes": [size.to_json() for size in self.sizes]}


def effects(z: np.ndarray, environment: np.ndarray, *, reference: int = 0) -> Effects:
    """Effects measured on latents, true or encoded.

    Args:
        z: (n, d_Z) latents.
        environment: (n,) integers 0 … M.
        reference: The environment that effects are measured from.

    Raises:
        InputError: If there is no perturbed environment, or one has fewer than d_Z + 2 cells.

    References:
        Claim 2.5; Patnaik (1949), The non-central χ²- and F-distributions, Biometrika 36, for matched moments.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(2000, 2))
        >>> z[1000:] += [3.0, 4.0]
        >>> found = effects(z, np.repeat([0, 1], 1000)).sizes[0]
        >>> found.low < 5.0 < found.high
        True
    """
    means, covariances = _moments(matrix("z", z), np.asarray(environment), whole("reference", reference, at_least=0))
    shifts, common = means[1:] - means[0], covariances[0]
    own = covariances[1:] + common
    sizes = tuple(effect_size(shift, S) for shift, S in zip(shifts, own, strict=True))
    G, error = _products(shifts, own, common)
    low, high = G - _Z * error, G + _Z * error
    np.fill_diagonal(low, [size.low**2 for size in sizes])
    np.fill_diagonal(high, [size.high**2 for size in sizes])
    known = np.array([size.low > 0 for size in sizes])
    return Effects(shifts, sizes, G, low, high, *_angles(shifts, own, common, known))


def effect_size(shift: np.ndarray, covariance: np.ndarray) -> Interval:
    """‖μ‖ of a Gaussian estimate of μ, by inversion of the law of its squared length.

    At length θ along the observed direction u the law of ‖estimate‖² is taken to be c χ²_ν(λ) with the mean
    tr Σ + θ² and the variance 2 tr Σ² + 4 θ² uᵀΣu that it has, exactly so for Σ a multiple of the identity.

    Args:
        shift: (d,) the estimate.
        covariance: Σ (d, d) of its error.

    Example:
        >>> none = effect_size(np.array([0.01, 0.0]), 0.01 * np.eye(2))
        >>> none.low == 0.0 and none.high < 0.3
        True
    """
    square = float(shift @ shift)
    trace, squares = float(np.trace(covariance)), float((covariance**2).sum())
    value = float(np.sqrt(max(square - trace, 0.0)))
    if not trace > 0 or not square > 0:
        return Interval(value, value, value + _Z * float(np.sqrt(trace)))
    return _inverted(value, (square, trace, squares, float(shift @ covariance @ shift) / square))


def angle_between(
    first: np.ndarray, second: np.ndarray, covariances: tuple[np.ndarray, np.ndarray], common: np.ndarray
) -> Interval:
    """The angle in degrees between two means that are estimated with Gaussian errors.

    To first order the step from one direction to the other is Gaussian in the d − 1 dimensions of the sphere, and the
    angle its length. Obtuse angles are those of the opposite vector, taken from 180.

    Args:
        first, second: (d,) estimates, far from zero as their errors go.
        covariances: (d, d) of the error of each.
        common: (d, d) covariance of the one with the other.

    Example:
        >>> S = 0.01 * np.eye(2)
        >>> found = angle_between(np.array([3.0, 0.1]), np.array([3.0, 0.0]), (S, S), 0 * S)
        >>> found.low == 0.0 and 3.0 < found.high < 9.0
        True
    """
    if first @ second < 0:
        return angle_between(-first, second, covariances, -common).less_from(180.0)
    r, s = _length(first, covariances[0]), _length(second, covariances[1])
    u, v = _unit(first), _unit(second)
    towards, back = _unit(v - (u @ v) * u), _unit(u - (u @ v) * v)
    angle = float(np.arctan2(np.linalg.norm(v - (u @ v) * u), u @ v))
    A, B, C = covariances[0] / r**2, covariances[1] / s**2, (common + common.T) / (2 * r * s)
    within = float(towards @ A @ towards + back @ B @ back + 2 * towards @ C @ back)
    rest = np.eye(len(u)) - np.outer(u, u) - np.outer(towards, towards)
    curved = angle / np.tan(angle) if angle > 1e-8 else 1.0  # an error across adds cot(angle) / 2 of its square
    out = curved * rest @ (A + B - 2 * C) @ rest
    trace, squares = within + float(np.trace(out)), within**2 + float((out**2).sum())
    value = float(np.sqrt(max(angle**2 - trace, 0.0)))
    found = _inverted(value, (angle**2, trace, squares, within)) if trace > 0 else Interval(angle, angle, angle)
    return Interval(*(min(float(np.degrees(end)), 180.0) for end in (found.value, found.low, found.high)))


def relative_gram_error(estimate: np.ndarray, truth: np.ndarray) -> float:
    """‖Ĝ − G‖ / ‖G‖ of two Gram matrices (M, M)."""
    return float(np.linalg.norm(estimate - truth) / np.linalg.norm(truth))


def true_angles(shifts: np.ndarray) -> np.ndarray:
    """(M, M) angles in degrees between shifts (M, d_Z); NaN on the diagonal and beside a shift of length zero."""
    return _degrees(_cosines(shifts @ shifts.T))


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


def _inverted(value: float, law: tuple[float, float, float, float]) -> Interval:
    """The lengths that put the observed square between its 2.5 and 97.5 % points."""
    low, high = (_length_at(level, law) for level in (0.975, 0.025))
    return Interval(value, min(low, value), max(high, value))


def _length(mean: np.ndarray, covariance: np.ndarray) -> float:
    """The length of a mean without the share of its error, at least half of what is seen."""
    square = float(mean @ mean)
    return float(np.sqrt(max(square - np.trace(covariance), square / 4)))


def _unit(vector: np.ndarray) -> np.ndarray:
    """The vector at length one; zero stays zero."""
    length = np.linalg.norm(vector)
    return vector / length if length > 1e-12 else np.zeros_like(vector)


def _length_at(level: float, law: tuple[float, float, float, float]) -> float:
    """The length θ at which the observed square lies at this level of its law; 0 where no length puts it so high."""
    below = lambda theta: _probability(theta, law) - level  # noqa: E731
    if below(0.0) <= 0:
        return 0.0
    top = np.sqrt(law[0]) + 10 * np.sqrt(law[1])
    return float(brentq(below, 0.0, top, xtol=1e-12 * top))


def _probability(theta: float, law: tuple[float, float, float, float]) -> float:
    """P(‖estimate‖² ≤ observed) at length θ."""
    square, trace, squares, along = law
    c = (squares + 2 * theta**2 * along) / (trace + 2 * theta**2)
    nu, noncentrality = trace / c, theta**2 / c
    if nu + noncentrality < _LARGE:
        return float(chndtr(square / c, nu, noncentrality))
    # Sankaran (1959), first approximation: a power of the quotient by the mean is normal
    mean, variance = nu + noncentrality, nu + 2 * noncentrality
    h = 1 - 2 * mean * (nu + 3 * noncentrality) / (3 * variance**2)
    spread = 2 * variance / mean**2
    centre = 1 + h * (h - 1) * spread / 2 * (1 - (2 - h) * (1 - 3 * h) * spread / 4)
    return float(ndtr(((square / c / mean) ** h - centre) / (h * np.sqrt(spread))))


def _products(shifts: np.ndarray, own: np.ndarray, common: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Unbiased inner products and their standard errors (M, M); the reference's error is common to all shifts.

    With Gaussian means Var(aᵀb) = b̄ᵀΣ_a b̄ + āᵀΣ_b ā + 2 āᵀC b̄ + tr Σ_a Σ_b + tr C², C = Cov(a, b).
    """
    bias = _bias(own, common)
    spread = np.einsum("fi,eij,fj->ef", shifts, own, shifts)
    crossed = shifts @ common @ shifts.T
    traces = np.einsum("eij,fji->ef", own, own) + (common**2).sum()
    return shifts @ shifts.T - bias, np.sqrt(spread + spread.T + 2 * crossed + traces)


def _bias(own: np.ndarray, common: np.ndarray) -> np.ndarray:
    """(M, M) what the errors of the means add to inner products: tr of their covariances."""
    bias = np.full((len(own), len(own)), np.trace(common))
    np.fill_diagonal(bias, np.trace(own, axis1=1, axis2=2))
    return bias


def _angles(
    shifts: np.ndarray, own: np.ndarray, common: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(M, M) angles with the ends of their intervals; open where one of the two may be zero."""
    shape = (len(shifts), len(shifts))
    values, low, high = np.full(shape, np.nan), np.zeros(shape), np.full(shape, 180.0)
    for e, f in combinations(np.flatnonzero(known), 2):
        found = angle_between(shifts[e], shifts[f], (own[e], own[f]), common)
        for table, end in ((values, found.value), (low, found.low), (high, found.high)):
            table[e, f] = table[f, e] = end
    return values, low, high


def _cosines(G: np.ndarray) -> np.ndarray:
    """G_ef / √(G_ee G_ff), NaN beside a diagonal that is not positive; beyond ±1 where G is not semidefinite."""
    diagonal = np.diagonal(G, axis1=-2, axis2=-1)
    lengths = np.sqrt(np.where(diagonal > 0, diagonal, np.nan))
    return G / (lengths[..., :, None] * lengths[..., None, :])


def _degrees(cosines: np.ndarray) -> np.ndarray:
    angles = np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0)))
    np.fill_diagonal(angles, np.nan)
    return angles
