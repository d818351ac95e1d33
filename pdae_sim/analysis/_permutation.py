"""How extreme is a statistic among its relabellings? Quadratic forms in distances, each distance computed once.

For pooled rows z (N, d) of which n carry the label of the first sample, put h_i = 1/n there and −1/m elsewhere. The
V-statistics of the energy distance and of MMD² are −hᵀ D h and hᵀ K h, so that B relabellings are one matrix product:
the distances stay, the signs move. Under the null hypothesis the pooled rows are exchangeable, the observed labelling
is one among equals, and p = (1 + #{relabellings at least as extreme}) / (B + 1), ties counted.

References:
    Phipson & Smyth (2010), Permutation p-values should never be zero; Hemerik & Goeman (2018), Exact testing with
    random permutations, TEST 27.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from scipy.spatial.distance import cdist

_ROWS = 256  # rows of the distance matrix held at once
_DIRECT_DIMENSION = 16  # up to here differences are as cheap as a matrix product
_CANCELLED = 1e-12  # by matrix product, ‖x − y‖² below this share of ‖x‖² + ‖y‖² is a tie
_ROUNDING = 1e-10  # statistics closer than this share of their spread are ties

_QUANTILES = (0.5, 0.9, 0.95, 0.99)

Kernel = Callable[[np.ndarray], np.ndarray]


def relabellings(n: int, m: int, n_permutations: int, rng: np.random.Generator) -> np.ndarray:
    """H (n + m, B + 1): 1/n at the rows labelled first, −1/m elsewhere; column 0 is the labelling observed."""
    first = np.zeros((n_permutations + 1, n + m), bool)
    first[:, :n] = True
    rng.permuted(first[1:], axis=1, out=first[1:])
    return np.where(first.T, 1 / n, -1 / m)


def quadratic_forms(z: np.ndarray, H: np.ndarray, kernels: Sequence[Kernel]) -> np.ndarray:
    """hᵀ k(D) h for every kernel and every column h of H, D the Euclidean distances of the rows of z.

    Args:
        z: (N, d) rows.
        H: (N, B).
        kernels: Functions of an array of distances, entry by entry.

    Returns:
        (n_kernels, B).
    """
    forms = np.zeros((len(kernels), H.shape[1]))
    for start, distances in distance_blocks(z):
        rows = slice(start, start + len(distances))
        for form, kernel in zip(forms, kernels, strict=True):
            K = kernel(distances)
            K[:, len(K) :] *= 2  # those beyond the diagonal block stand for both halves
            form += np.einsum("ib,ib->b", H[rows], K @ H[start:])
    return forms


def distance_blocks(z: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Blocks of rows of the distance matrix from its diagonal on, each with the number of its first row."""
    z = z - z.mean(0)
    for start in range(0, len(z), _ROWS):
        yield start, distances_between(z[start : start + _ROWS], z[start:])


def distances_between(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n, m) Euclidean distances between rows that lie around the origin."""
    if x.shape[1] <= _DIRECT_DIMENSION:
        return cdist(x, y)
    norms = (x**2).sum(1)[:, None] + (y**2).sum(1)
    squared = norms - 2 * x @ y.T
    return np.sqrt(np.where(squared > _CANCELLED * norms, squared, 0.0))


def upper_p_value(statistics: np.ndarray) -> float:
    """The share of entries that are no less than the first, itself among them.

    Args:
        statistics: (B + 1,) the observed statistic first, then those of the relabellings; large is extreme.
    """
    slack = _ROUNDING * max(float(np.ptp(statistics)), np.finfo(float).tiny)
    return float(np.mean(statistics >= statistics[0] - slack))


def null_quantiles(statistics: np.ndarray) -> dict[float, float]:
    """Quantiles, by level, of the statistics of the relabellings; the first entry, the observed one, is left out."""
    return {q: float(np.quantile(statistics[1:], q)) for q in _QUANTILES}


def aggregated(statistics: np.ndarray) -> np.ndarray:
    """One statistic from several, each judged by its rank among its own relabellings.

    The greatest rank over the statistics, as a share of B + 1; equal greatest ranks are ordered by the greatest
    standardised statistic. A symmetric function of the relabellings, so that its p-value is exact, as in min-p tests.

    Args:
        statistics: (L, B + 1).

    Returns:
        (B + 1,) values in (0, 1]; large is extreme.

    References:
        Westfall & Young (1993), min-p; Schrab et al. (2023), MMD aggregated two-sample test, JMLR 24, with equal
        weights and one set of permutations for both of its quantiles.
    """
    count = statistics.shape[1]
    ranks = np.stack([np.searchsorted(np.sort(row), row, side="right") for row in _standardised(statistics)]).max(0)
    tie_break = np.argsort(np.argsort(_standardised(statistics).max(0))) / count
    return (ranks - 1 + tie_break + 1 / count) / count


def _standardised(statistics: np.ndarray) -> np.ndarray:
    spread = statistics.std(1, keepdims=True)
    return (statistics - statistics.mean(1, keepdims=True)) / np.where(spread > 0, spread, 1.0)
