"""How extreme is a statistic among its relabellings? Quadratic forms in distances, each distance computed once.

For pooled rows z (N, d) of which n carry the label of the first sample, put h_i = 1/n there and −1/m elsewhere. The
V-statistics of the energy distance and of MMD² are −hᵀ D h and hᵀ K h, so that B relabellings are one matrix product:
the distances stay, the signs move. Under the null hypothesis the pooled rows are exchangeable, the observed labelling
is one among equals, and p = (1 + #{relabellings at least as extreme}) / (B + 1), ties counted.

Ties are the rule in sparse counts: with one positive cell all labellings of two samples of one size tie. Equal forms
come out different by rounding, in another way where a labelling is of contiguous rows, as the observed one is. So forms
are made equal where they differ by no more than the rounding of their sums, and are compared exactly from then on.

References:
    Phipson & Smyth (2010), Permutation p-values should never be zero; Hemerik & Goeman (2018), Exact testing with
    random permutations, TEST 27.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.spatial.distance import cdist

from pdae_sim._checks import finite
from pdae_sim.errors import InputError

_ROWS = 256  # rows of the distance matrix held at once
_DIRECT_DIMENSION = 16  # up to here differences are as cheap as a matrix product
_CANCELLED = 1e-6  # by matrix product, ‖x − y‖² below this share of ‖x‖² + ‖y‖² is computed from x − y

_QUANTILES = (0.5, 0.9, 0.95, 0.99)

Kernel = Callable[[np.ndarray], np.ndarray]


def relabellings(n: int, m: int, n_permutations: int, rng: np.random.Generator) -> np.ndarray:
    """H (n + m, B + 1): 1/n at the rows labelled first, −1/m elsewhere; column 0 is the labelling observed."""
    first = np.zeros((n_permutations + 1, n + m), bool)
    first[:, :n] = True
    rng.permuted(first[1:], axis=1, out=first[1:])
    return np.where(first.T, 1 / n, -1 / m)


def quadratic_forms(z: np.ndarray, H: np.ndarray, kernels: Sequence[Kernel]) -> tuple[np.ndarray, np.ndarray]:
    """hᵀ k(D) h for every kernel and every column h of H, D the Euclidean distances of the rows of z, and its rounding.

    Rounding is a share of Σ_ij |h_i k_ij h_j|, which is at most Σ_i h_i² Σ_j |k_ij|.

    Args:
        z: (N, d) rows.
        H: (N, B).
        kernels: Functions of an array of distances, entry by entry.

    Returns:
        (n_kernels, B) forms, and (n_kernels,) differences of two forms that rounding may have made.

    Raises:
        InputError: If a distance or a form is not finite.
    """
    forms, sums = np.zeros((len(kernels), H.shape[1])), np.zeros((len(kernels), len(z)))
    with np.errstate(over="ignore", invalid="ignore"):  # the sums they spoil are refused
        for start, distances in distance_blocks(z):
            rows = slice(start, start + len(distances))
            for form, row_sums, kernel in zip(forms, sums, kernels, strict=True):
                K = kernel(distances)
                row_sums[rows] += np.abs(K).sum(1)
                row_sums[rows.stop :] += np.abs(K[:, len(K) :]).sum(0)
                K[:, len(K) :] *= 2  # those beyond the diagonal block stand for both halves
                form += np.einsum("ib,ib->b", H[rows], K @ H[start:])
    return _representable(forms), rounding_of_forms(len(z), (sums @ H**2).max(1))


def rounding_of_forms(n: int, magnitude: np.ndarray) -> np.ndarray:
    """Difference by rounding of two sums over n² pairs that are equal, given the sum of the sizes of their terms.

    References:
        Higham & Mary (2019), A new approach to probabilistic rounding error analysis, SIAM J. Sci. Comput. 41: √n ε
        where the worst case is n ε; the factor is that of sums in blocks, no term of which cancels.
    """
    return 32 * np.sqrt(n) * np.finfo(float).eps * magnitude


def distance_blocks(z: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of rows of the distance matrix from its diagonal on, each with the number of its first row."""
    z = centred(z)
    for start in range(0, len(z), _ROWS):
        yield start, distances_between(z[start : start + _ROWS], z[start:])


def centred(z: np.ndarray) -> np.ndarray:
    """Rows less the median of each column, the lower of two: whole numbers stay whole, and their distances exact."""
    return z - np.partition(z, (len(z) - 1) // 2, axis=0)[(len(z) - 1) // 2]


def distances_between(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n, m) Euclidean distances between rows that lie around the origin.

    Raises:
        InputError: If one is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        distances = cdist(x, y) if x.shape[1] <= _DIRECT_DIMENSION else _by_product(x, y)
    return _representable(distances)


def _by_product(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    norms = (x**2).sum(1)[:, None] + (y**2).sum(1)
    squared = norms - 2 * x @ y.T
    near = squared <= _CANCELLED * norms
    for i in np.flatnonzero(near.any(1)):
        squared[i, near[i]] = ((y[near[i]] - x[i]) ** 2).sum(1)
    return np.sqrt(squared)


def _representable(values: np.ndarray) -> np.ndarray:
    if not np.isfinite(values).all():
        raise InputError("samples hold values too large for float64; rescale them")
    return values


def merge_ties(statistics: np.ndarray, rounding: np.ndarray | float) -> np.ndarray:
    """Statistics of which those that differ from the next by no more than rounding are equal.

    Args:
        statistics: (…, B + 1).
        rounding: (…) greatest difference that rounding makes.

    Returns:
        (…, B + 1), each the least that it is tied with.

    Example:
        >>> merge_ties(np.array([0.3, 0.5, 0.1 + 0.2]), 1e-15).tolist()
        [0.3, 0.5, 0.3]
    """
    order = np.argsort(finite("statistics", statistics), axis=-1)
    ascending = np.take_along_axis(statistics, order, -1)
    starts = np.diff(ascending, axis=-1, prepend=-np.inf) > np.asarray(rounding)[..., None]
    least = np.maximum.accumulate(np.where(starts, ascending, -np.inf), axis=-1)
    merged = np.empty_like(statistics)
    np.put_along_axis(merged, order, least, -1)
    return merged


def upper_p_value(statistics: np.ndarray) -> float:
    """The share of entries that are no less than the first, itself among them.

    Args:
        statistics: (B + 1,) the observed statistic first, then those of the relabellings, ties merged; large is
            extreme.

    Raises:
        InputError: If one is not a number, which no order has a place for.
    """
    finite("statistics", statistics)
    return float(np.mean(statistics >= statistics[0]))


def null_quantiles(statistics: np.ndarray) -> dict[float, float]:
    """Quantiles, by level, of the statistics of the relabellings; the first entry, the observed one, is left out."""
    return {q: float(np.quantile(statistics[1:], q)) for q in _QUANTILES}


def aggregated(statistics: np.ndarray) -> np.ndarray:
    """One statistic from several, each judged by its rank among its own relabellings.

    The greatest rank over the statistics, as a share of B + 1; equal greatest ranks are ordered by the greatest
    standardised statistic, and are ties where that is equal too. A symmetric function of the relabellings, so that its
    p-value is exact, as in min-p tests.

    Args:
        statistics: (L, B + 1), ties merged.

    Returns:
        (B + 1,) values in (0, 1]; large is extreme.

    References:
        Westfall & Young (1993), min-p; Schrab et al. (2023), MMD aggregated two-sample test, JMLR 24, with equal
        weights and one set of permutations for both of its quantiles.
    """
    count, standardised = statistics.shape[1], _standardised(statistics)
    ranks = np.stack([_ranks(row) for row in statistics]).max(0)
    return (ranks - 1 + _ranks(standardised.max(0)) / count) / count


def _ranks(values: np.ndarray) -> np.ndarray:
    """The number of values that are no greater."""
    return np.searchsorted(np.sort(values), values, side="right")


def _standardised(statistics: np.ndarray) -> np.ndarray:
    """Statistics less their mean in units of their spread; zero where all are equal."""
    varies = np.ptp(statistics, axis=1, keepdims=True) > 0
    gaps = np.where(varies, statistics - statistics.mean(1, keepdims=True), 0.0)
    return gaps / np.where(varies, statistics.std(1, keepdims=True), 1.0)
