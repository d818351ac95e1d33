"""Two-sample tests: permutation tests of equal laws, calibrated at every sample size, and a test of equivalence.

Both samples must be independent draws. The same cell must not be in both: it is looked for. A prediction drawn with
replacement from few cells is not a sample of independent cells: that is not looked for. Judge a fitted model on cells
that neither its training nor its prediction has used, and predict them from the cells of *other* environments: from an
environment to itself the shift cancels, and any Ŵ passes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from scipy.special import ndtr, ndtri

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import between, matrix, repetitions
from pdae_sim._random import SeedLike, seed_sequence, stream
from pdae_sim.analysis._kernels import bandwidths, gaussian
from pdae_sim.analysis._permutation import (
    aggregated,
    merge_ties,
    null_quantiles,
    quadratic_forms,
    relabellings,
    upper_p_value,
)
from pdae_sim.analysis.prediction_error import EnergyEstimate, energy_estimate
from pdae_sim.errors import InputError

_LEAK_DEVIATIONS = 4.0


@dataclass(frozen=True, eq=False)
class TwoSampleTest:
    """A permutation test of H0: both samples come from one law.

    Args:
        kind: ``energy`` or ``mmd``.
        statistic: The energy distance (V-statistic); for MMD the greatest rank, over bandwidths, of MMD² among its
            relabellings, as a share of them.
        p_value: (1 + #{relabellings at least as extreme}) / (n_permutations + 1).
        n_permutations: Relabellings drawn, the observed one not counted.
        null_quantiles: Quantile of the statistic over relabellings, by level.
        sizes: Rows of the first and the second sample.
        by_bandwidth: MMD² (V-statistic) by bandwidth; empty for the energy test.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(40, 2))
        >>> energy_test(x[:20], x[20:], n_permutations=99, rng=0).sizes
        (20, 20)
    """

    kind: str
    statistic: float
    p_value: float
    n_permutations: int
    null_quantiles: dict[float, float]
    sizes: tuple[int, int]
    by_bandwidth: dict[float, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The fields as plain values."""
        return dict(vars(self))


@dataclass(frozen=True)
class EquivalenceTest:
    """A test of H0: the energy distance is at least `margin`. A small p-value says that the laws match within it.

    Args:
        margin: The energy distance that would no longer count as a match.
        value: The unbiased estimate of the energy distance.
        standard_error: Standard error of `value` at the margin, see `equivalence_test`.
        upper: Upper 95 % confidence limit of the energy distance, by the same test.
        p_value: Small where the distance is below the margin.
        sizes: Rows of the first and the second sample.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(400, 2))
        >>> test = equivalence_test(x[:200], x[200:], 0.5)
        >>> test.upper < test.margin and test.p_value < 0.05
        True
    """

    margin: float
    value: float
    standard_error: float
    upper: float
    p_value: float
    sizes: tuple[int, int]

    def to_json(self) -> dict[str, object]:
        """The fields as plain values."""
        return dict(vars(self))


@checked_numbers
def energy_test(
    x: np.ndarray, y: np.ndarray, *, beta: float = 1.0, n_permutations: int = 999, rng: SeedLike = None
) -> TwoSampleTest:
    """Test equality of two laws by permutations of the energy distance ED(P, Q).

    Args:
        x: (n, d) independent draws of P.
        y: (m, d) independent draws of Q.
        beta: Exponent in (0, 2).
        n_permutations: Relabellings; the smallest p-value is 1 / (n_permutations + 1).
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: If shapes disagree, a value is not finite or both samples hold one cell; see `refuse_shared_rows`.

    References:
        Székely & Rizzo (2004), Testing for equal distributions in high dimension.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(400, 2))
        >>> energy_test(x[:200], x[200:] + 0.5, rng=1).p_value == 0.001
        True
    """
    x, y = _samples(x, y)
    between("beta", beta, 0.0, 2.0)
    z, H = _pooled(x, y, n_permutations, rng)
    forms, rounding = quadratic_forms(z, H, [lambda D: D**beta])
    return _judged("energy", merge_ties(-forms, rounding)[0], (len(x), len(y)))


@checked_numbers
def mmd_test(
    x: np.ndarray, y: np.ndarray, *, n_bandwidths: int = 5, n_permutations: int = 999, rng: SeedLike = None
) -> TwoSampleTest:
    """Test equality of two laws by permutations of MMD² with Gaussian kernels exp(−‖x − y‖² / λ²), over bandwidths λ.

    The bandwidths are equally spaced in logarithm from half the 5 % to twice the 95 % quantile of the distances between
    pooled rows: a symmetric function of the pooled sample, which the exactness of the test needs.

    Args:
        x: (n, d) independent draws of P.
        y: (m, d) independent draws of Q.
        n_bandwidths: How many.
        n_permutations: Relabellings.
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: As `energy_test`; or if all pooled rows are equal.

    References:
        Schrab, Kim, Albert, Laurent, Guedj & Gretton (2023), MMD aggregated two-sample test, JMLR 24.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(200, 2))
        >>> mmd_test(x[:100], x[100:] * 2.0, n_permutations=199, rng=0).p_value == 0.005
        True
    """
    x, y = _samples(x, y)
    z, H = _pooled(x, y, n_permutations, rng)
    # a subset of sorted rows: one that depended on the labels would spoil the exactness
    order = stream(seed_sequence(0), "bandwidths", len(z)).permutation(np.lexsort(z.T))
    widths = bandwidths(z[order], repetitions("n_bandwidths", n_bandwidths))
    values = merge_ties(*quadratic_forms(z, H, [partial(gaussian, bandwidth=width) for width in widths]))
    by_bandwidth = dict(zip(widths, values[:, 0].tolist(), strict=True))
    return _judged("mmd", aggregated(values), (len(x), len(y)), by_bandwidth)


@checked_numbers
def equivalence_test(x: np.ndarray, y: np.ndarray, margin: float, *, beta: float = 1.0) -> EquivalenceTest:
    """Test H0: ED(P, Q) ≥ margin; rejecting it says that P and Q match within the margin.

    The U-statistic of the energy distance varies by at most 4 ν₁ ED + 2 Σ ν², with ν the eigenvalues of the noise that
    sampling adds to the difference of the two means (see `EnergyEstimate`). The variance is taken at ED = margin, not
    at the estimate: an interval U ± z · (its jackknife error) is too short just where U came out too low.
    p = Φ((U − margin) / standard error).

    It assumes independent draws and that U is nearly normal at the margin; U is skewed to the right, which makes the
    test conservative, the more so the smaller n · margin. Laws at the margin are called a match with at most the stated
    probability in the limit of large samples.

    Args:
        x: (n, d) independent draws of P, n ≥ 4.
        y: (m, d) independent draws of Q, m ≥ 4.
        margin: > 0, an energy distance (not rooted); for instance E‖Y − Y'‖ / 1,000, which is worth 1,000 cells.
        beta: Exponent in (0, 2).

    Raises:
        InputError: As `energy_test`.

    References:
        Székely & Rizzo (2013), degenerate U-statistics of energy; Sejdinovic et al. (2013), Equivalence of
        distance-based and RKHS-based statistics, Ann. Statist. 41. The bound (Cauchy–Schwarz) is ours.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(1000, 2))
        >>> near, far = x[:500], x[:500] + 0.5
        >>> equivalence_test(near, x[500:], 0.1).p_value < 0.01 < equivalence_test(far, x[500:], 0.1).p_value
        True
    """
    return _equivalence(
        energy_estimate(*_samples(x, y, at_least_rows=4), beta=beta, spectrum_rows=_EQUIVALENCE_ROWS), margin
    )


_EQUIVALENCE_ROWS = 1000
"""A p-value follows the eigenvalues of the noise more closely than the end of an interval does."""


def _equivalence(estimate: EnergyEstimate, margin: float) -> EquivalenceTest:
    """The test of an energy distance that is already estimated."""
    between("margin", margin, 0.0, math.inf)
    slope, floor = 4 * estimate.noise.top, 2 * estimate.noise.squares
    gap, error = estimate.value - margin, math.sqrt(slope * margin + floor)
    p_value = float(ndtr(gap / error if error > 0 else math.copysign(math.inf, gap)))
    upper = _upper_limit(estimate.value, slope, floor)
    return EquivalenceTest(float(margin), estimate.value, error, upper, p_value, estimate.sizes)


@checked_numbers
def disjoint_halves(x: np.ndarray, *, rng: SeedLike = None) -> tuple[np.ndarray, np.ndarray]:
    """Split the rows of x into two random halves that share none, the first the larger where n is odd.

    Args:
        x: (n, d), n ≥ 2.
        rng: Whatever `numpy.random.default_rng` takes.

    Example:
        >>> first, second = disjoint_halves(np.arange(5.0), rng=0)
        >>> len(first), sorted(np.vstack([first, second]).ravel().tolist())
        (3, [0.0, 1.0, 2.0, 3.0, 4.0])
    """
    x = matrix("x", x)
    if len(x) < 2:
        raise InputError(f"x must have at least 2 rows to be halved; received {len(x)}")
    order = stream(seed_sequence(rng), "halves").permutation(len(x))
    middle = (len(x) + 1) // 2
    return x[order[:middle]], x[order[middle:]]


@checked_numbers
def refuse_shared_rows(x: np.ndarray, y: np.ndarray) -> None:
    """Refuse two samples that hold the same cells.

    Where no row repeats within x or within y, a row in both is a cell in both if it has an entry that no other row has,
    as continuous data do. Else, as in counts, equal rows across are ties, unless there are more of them than a
    random division of the pooled rows would give: more than 4 standard deviations, over 200 divisions. Too few shared
    cells among many ties go unseen.

    Args:
        x: (n, d).
        y: (m, d).

    Raises:
        InputError: In one line that counts the shared rows.

    Example:
        >>> refuse_shared_rows(np.array([[0.0], [1.0]]), np.array([[1.5], [2.0]])) is None  # no row is in both
        True
    """
    x = matrix("x", x)
    rows, codes = np.unique(np.vstack([x, matrix("y", y, columns=x.shape[1])]) + 0.0, axis=0, return_inverse=True)
    codes = codes.ravel()
    n_kinds = codes.max() + 1
    first, total = np.bincount(codes[: len(x)], minlength=n_kinds), np.bincount(codes, minlength=n_kinds)
    shared = int(np.minimum(first, total - first).sum())
    repeated = (first > 1).any() or (total - first > 1).any()
    both = (first > 0) & (total > first)
    if shared and ((not repeated and _has_own_entry(rows, both)) or _beyond_chance(first, total)):
        raise InputError(
            f"x and y must not share cells; {shared} rows of x ({len(x)}) are rows of y ({len(y)}): split first, "
            "for instance with disjoint_halves"
        )


def _has_own_entry(rows: np.ndarray, chosen: np.ndarray) -> bool:
    """Whether one of the chosen rows, all of which differ, has an entry that its column holds nowhere else."""
    each = (np.unique(column, return_inverse=True, return_counts=True)[1:] for column in rows.T)
    return any(bool((counts[place] == 1)[chosen].any()) for place, counts in each)


def _beyond_chance(first: np.ndarray, total: np.ndarray) -> bool:
    """Whether more pairs are equal across than under random divisions with the same sizes."""
    rng = np.random.default_rng(0)  # a guard answers alike for alike samples
    tied = total > 1
    divided = rng.multivariate_hypergeometric(
        [*total[tied], total[~tied].sum()], first.sum(), size=200, method="marginals"
    )[:, :-1]
    pairs = (divided * (total[tied] - divided)).sum(1)
    observed = (first[tied] * (total[tied] - first[tied])).sum()
    return bool(observed > pairs.mean() + _LEAK_DEVIATIONS * pairs.std())


def _samples(x: np.ndarray, y: np.ndarray, *, at_least_rows: int = 2) -> tuple[np.ndarray, np.ndarray]:
    x = matrix("x", x)
    y = matrix("y", y, columns=x.shape[1])
    if min(len(x), len(y)) < at_least_rows:
        raise InputError(f"x and y need at least {at_least_rows} rows; received {len(x)} and {len(y)}")
    refuse_shared_rows(x, y)
    return x, y


def _pooled(x: np.ndarray, y: np.ndarray, n_permutations: int, rng: SeedLike) -> tuple[np.ndarray, np.ndarray]:
    generator = stream(seed_sequence(rng), "permutations")
    H = relabellings(len(x), len(y), repetitions("n_permutations", n_permutations, at_least=19), generator)
    return np.vstack([x, y]), H


def _judged(kind: str, values: np.ndarray, sizes: tuple[int, int], by_bandwidth: dict | None = None) -> TwoSampleTest:
    p_value, quantiles = upper_p_value(values), null_quantiles(values)
    return TwoSampleTest(kind, float(values[0]), p_value, len(values) - 1, quantiles, sizes, by_bandwidth or {})


def _upper_limit(value: float, slope: float, floor: float) -> float:
    """The largest margin t not rejected at 5 %: the greater root of (t − value)² = z² (slope t + floor)."""
    half = ndtri(0.95) ** 2 * slope / 2
    inside = half * (half + 2 * value) + ndtri(0.95) ** 2 * floor
    return max(float(value + half + math.sqrt(max(inside, 0.0))), 0.0)
