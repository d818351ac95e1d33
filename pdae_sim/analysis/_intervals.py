"""What the cells at hand leave open: intervals of ratios of means, and a band around a regression matrix.

R² is one minus a ratio of two means over cells, and so is the difference of two R² on the same cells: one interval
serves both. A band in the operator norm serves every singular value at once; percentiles of resampled singular values
do not, since noise drives equal singular values apart and resampling drives them apart again.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pdae_sim.intervals import Estimate, Interval

_ENDS = np.array([0.025, 0.975])
_RESAMPLES, _MULTIPLIERS = 1000, 400
_BLOCK = 2**22  # resampling weights held at once


def ratio_intervals(numerators: np.ndarray, denominator: np.ndarray, rng: np.random.Generator) -> list[Estimate]:
    """Bootstrap-t intervals of Σ_i a_i / Σ_i b_i over cells.

    Each resample is divided by a standard error of its own, which percentiles and their corrections leave out. All
    ratios share their resamples. Where a numerator is a multiple of the denominator the interval is a point.

    Args:
        numerators: (k, n) one row per ratio.
        denominator: (n,) with a positive sum.
        rng: Of the resampling.

    References:
        Hall (1988), Theoretical comparison of bootstrap confidence intervals, Ann. Stat. 16.

    Example:
        >>> a, b = np.ones((1, 50)), np.full(50, 2.0)
        >>> ratio_intervals(a, b, np.random.default_rng(0))[0] == Estimate(0.5, Interval(0.5, 0.5))
        True
    """
    A, b = np.asarray(numerators).T, denominator[:, None]
    ratios, errors = A.sum(0) / b.sum(), np.sqrt(((A - A.sum(0) / b.sum() * b) ** 2).sum(0)) / b.sum()
    if not (errors > 0).any():
        return [_point(float(ratio)) for ratio in ratios]
    R = A - ratios * b  # ratios of these are those of A less `ratios`: no digits are lost where A is near to b
    columns = np.hstack([R, R**2, R * b, b, b**2])
    sums = np.concatenate([weights @ columns for weights in _weights(len(columns), rng)])
    return [_studentised(*each) for each in zip(ratios, errors, *_resampled(sums, A.shape[1]), strict=True)]


def _resampled(sums: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(k, B) departures of resampled ratios and their standard errors, from sums over resamples."""
    R, RR, Rb, b, bb = np.split(sums, [k, 2 * k, 3 * k, 3 * k + 1], axis=1)
    moved = R / b
    variance = np.maximum(RR - 2 * moved * Rb + moved**2 * bb, 0.0)
    return moved.T, (np.sqrt(variance) / b).T


def _weights(n: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Blocks of rows (·, n): how often each of n cells occurs in a resample."""
    rows = max(_BLOCK // n, 1)
    for start in range(0, _RESAMPLES, rows):
        count = min(rows, _RESAMPLES - start)
        cells = rng.integers(n, size=(count, n)) + n * np.arange(count)[:, None]  # one bincount for all resamples
        yield np.bincount(cells.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)


def _studentised(value: float, error: float, moved: np.ndarray, errors: np.ndarray) -> Estimate:
    """value − error · quantiles of moved / errors; resamples without an error of their own are left out."""
    fine = errors > 1e-9 * error
    if not error > 0 or not fine.any():
        return _point(float(value))
    low, high = value - error * np.quantile(moved[fine] / errors[fine], _ENDS[::-1])
    return Estimate(float(value), Interval(float(min(low, value)), float(max(high, value))))


def _point(value: float) -> Estimate:
    return Estimate(value, Interval(value, value))


def operator_radius(residuals: np.ndarray, regressors: np.ndarray, rng: np.random.Generator) -> float:
    """The radius, in the operator norm, of a 95 % ball around the matrix of a least-squares regression.

    By Weyl's inequality no singular value of the true matrix is further than this from that of the estimate, all at
    once. Multipliers on the influence of each cell, with residuals enlarged by their leverage (HC3).

    Args:
        residuals: (n, p).
        regressors: (n, d) centred.
        rng: Of the multipliers.

    References:
        Weyl (1912); Mammen (1993), Bootstrap and wild bootstrap for high dimensional linear models, Ann. Stat. 21.
    """
    U, s, Vh = np.linalg.svd(regressors, full_matrices=False)
    kept = s > s[0] * len(regressors) * np.finfo(float).eps
    U, back = U[:, kept], Vh[kept] / s[kept, None]
    leverage = np.minimum((U**2).sum(1), 1 - 1 / len(U))
    R = residuals / (1 - leverage)[:, None]
    moved = [(R * g[:, None]).T @ U @ back for g in rng.standard_normal((_MULTIPLIERS, len(U)))]
    return float(np.quantile(np.linalg.norm(moved, ord=2, axis=(1, 2)), 0.95))
