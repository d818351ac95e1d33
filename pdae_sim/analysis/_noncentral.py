"""Confidence intervals for squared distances that are estimated with noise.

A distance δ = ‖w‖ read off an estimate ŵ ~ N(w, v I_d) is too long on average: E‖ŵ‖² = δ² + d v. Its law is known,
‖ŵ‖² / v ~ χ²_d(δ² / v), a noncentral chi-square; where the latents were whitened by a covariance that was itself
estimated with ν degrees of freedom it is Hotelling's, ‖ŵ‖² / (ν v) ~ χ²_d(δ² / v) / χ²_{ν−d+1}. An interval for δ² is
that law inverted, which holds its level at every δ; a bootstrap around ŵ would add the bias a second time (Stein 1959).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize.elementwise import find_root
from scipy.special import chndtr, ndtr, ndtri

_KNOWN = 1e15
"""Degrees of freedom that stand for a scale known without error; more would be lost to rounding."""

_LEAST = 1e-12
"""Statistics below this are beneath every quantile of interest; smaller ones would overflow the saddlepoint."""

_SERIES = 1e4
"""Degrees of freedom plus noncentrality up to which scipy sums the series of a noncentral chi-square fast."""


def noncentral_cdf(x: ArrayLike, d: ArrayLike, noncentrality: ArrayLike, degrees: ArrayLike = np.inf) -> np.ndarray:
    """P(A / (B / m) ≤ x) for A ~ χ²_d(λ) and B ~ χ²_m.

    Exact for a noncentral chi-square (m infinite) near its middle; else by a saddlepoint that has a closed form.

    Args:
        x: > 0.
        d: Degrees of freedom of the numerator, > 0; need not be whole.
        noncentrality: λ ≥ 0.
        degrees: m > 0; infinite for a noncentral chi-square.

    References:
        Butler, Paolella (2002), Calculating the density and distribution function for the singly and doubly noncentral
        F, Statistics and Computing 12, 9–16; r* of Barndorff-Nielsen in place of the Lugannani–Rice sum.

    Example:
        >>> exact = 1 - np.exp(-1.5)  # χ²_2, central, at 3
        >>> bool(abs(noncentral_cdf(3.0, 2.0, 0.0) - exact) < 1e-12)
        True
    """
    return ndtr(noncentral_score(x, d, noncentrality, degrees))


def noncentral_score(x: ArrayLike, d: ArrayLike, noncentrality: ArrayLike, degrees: ArrayLike = np.inf) -> np.ndarray:
    """The normal quantile of `noncentral_cdf`, finite far in the tails, where probabilities are 0 or 1 to rounding."""
    x, k, lam, m = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (x, d, noncentrality, degrees)))
    score = _r_star(x, k, lam, m)
    exact = np.isinf(m) & (k + lam < _SERIES) & (np.abs(score) < 5)
    return np.where(exact, ndtri(chndtr(x, k, np.where(exact, lam, 0.0))), score) if exact.any() else score


def _r_star(x: np.ndarray, k: np.ndarray, lam: np.ndarray, m: np.ndarray) -> np.ndarray:
    """The normal quantile of the probability, with K(s) = λ s / (1 − 2 s) − k/2 log(1 − 2 s) − m/2 log(1 + 2 c s)."""
    m, x = np.minimum(m, _KNOWN), np.maximum(x, _LEAST)
    c = x / m
    a = _saddlepoint(k, lam, m, c)  # 2 s
    left, right = 1 - a, 1 + c * a
    K = lam * a / (2 * left) - k * np.log1p(-a) / 2 - m * np.log1p(c * a) / 2
    second = 4 * lam / left**3 + 2 * k / left**2 + 2 * m * (c / right) ** 2
    third = 24 * lam / left**4 + 8 * k / left**3 - 8 * m * (c / right) ** 3
    r = np.sign(a) * np.sqrt(np.maximum(-2 * K, 0.0))
    u = a / 2 * np.sqrt(second)
    near = np.abs(r) < 1e-3  # where log(u / r) / r is 0 / 0
    r_safe = np.where(near, 1.0, r)
    return r + np.where(near, third / (6 * second**1.5), np.log(np.where(near, 1.0, u / r_safe)) / r_safe)


def _saddlepoint(k: np.ndarray, lam: np.ndarray, m: np.ndarray, c: np.ndarray) -> np.ndarray:
    """The root a in (−1/c, 1) of (m + k) c a² − b a + m c − k − λ, the smaller of the two."""
    first, b, last = (m + k) * c, (k + lam + 2 * m) * c - k, m * c - k - lam
    root = np.sqrt(np.maximum(b * b - 4 * first * last, 0.0))
    return np.where(b > 0, 2 * last / np.where(b > 0, b + root, 1.0), (b - root) / (2 * first))


def matched_score(
    theta: ArrayLike, square: ArrayLike, trace: ArrayLike, squares: ArrayLike, along: ArrayLike, degrees: ArrayLike
) -> np.ndarray:
    """The normal quantile of P(‖ŵ‖² / (B / m) ≤ square) for ŵ ~ N(w, Σ) with ‖w‖ = theta and B ~ χ²_m.

    The law of ‖ŵ‖² is taken to be c χ²_k(θ² / c) with the mean tr Σ + θ² and the variance 2 tr Σ² + 4 θ² uᵀΣu that it
    has, u the direction of w: exactly so for Σ a multiple of the identity.

    Args:
        theta: ‖w‖ ≥ 0.
        square: The observed ‖ŵ‖² > 0.
        trace: tr Σ > 0.
        squares: tr Σ².
        along: uᵀΣu.
        degrees: m; infinite where the scale is known.

    References:
        Patnaik (1949), The non-central χ²- and F-distributions, Biometrika 36.

    Example:
        >>> bool(matched_score(1.0, 3.0, 2.0, 2.0, 1.0, np.inf) == noncentral_score(3.0, 2.0, 1.0))
        True
    """
    theta, square, trace, squares, along = (np.asarray(v, float) for v in (theta, square, trace, squares, along))
    c = (squares + 2 * theta**2 * along) / (trace + 2 * theta**2)
    return noncentral_score(square / c, trace / c, theta**2 / c, degrees)


def noncentrality_interval(
    x: ArrayLike,
    d: ArrayLike,
    degrees: ArrayLike,
    *,
    squares: ArrayLike | None = None,
    along: ArrayLike = 1.0,
    level: float = 0.95,
) -> tuple[np.ndarray, np.ndarray]:
    """The λ at which x would be the upper and the lower tail quantile; 0 where there is none.

    Args:
        x: Observed A / (B / m) ≥ 0, any shape.
        d: Degrees of freedom of A; the trace of the covariance of the estimate where it is not I.
        degrees: m; infinite where the scale is known.
        squares: Trace of the square of that covariance; d if None.
        along: Variance of the estimate along its own direction.
        level: Confidence.

    Returns:
        Lower and upper ends, of the shape of x.

    Example:
        >>> low, high = noncentrality_interval(400.0, 2.0, np.inf)
        >>> bool(low < 398 < high) and bool(abs(high - low - 4 * 1.96 * 20) < 5)
        True
    """
    given = (x, d, d if squares is None else squares, along, degrees)
    law = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in given))
    reach, least = np.sqrt(law[0]) + np.sqrt(law[1]) + 6.0, ndtri((1 - level) / 2)
    while (short := matched_score(reach, *law) > least).any():
        reach = np.where(short, 2 * reach, reach)
    # the root of λ is solved for, not λ: the score is nearly a line in it
    low, high = distances_at_scores(least, matched_score, reach, *law)
    return low**2, high**2


def distances_at_scores(
    least: float, scores: Callable[..., np.ndarray], reach: np.ndarray, *arguments: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The distances at which normal scores that fall with distance reach −`least` and `least`; 0 if they start lower.

    Args:
        least: A normal quantile below zero.
        scores: The scores as an elementwise function of distances and the arguments.
        reach: Distances at which the scores are below `least`.
        arguments: Further arguments of `scores`, of the shape of `reach`.
    """
    targets = np.stack([np.full_like(reach, -least), np.full_like(reach, least)])
    start = scores(np.zeros_like(reach), *arguments) > targets
    bracket = np.zeros_like(targets), np.broadcast_to(reach, targets.shape)
    found = find_root(lambda t, q, *rest: scores(t, *rest) - q, bracket, args=(targets, *arguments))
    low, high = np.where(start, found.x, 0.0)
    return low, high
