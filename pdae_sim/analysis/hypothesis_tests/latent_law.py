"""Tests of the law of base latents: is it one law in every environment, has it one spread, and is it N(0, I)?

Base latents are g(x) − Ŵ l for given g and Ŵ. On cells that had no part in fitting these they are independent draws.
For one law and for N(0, I) nothing is estimated from them: both tests are exact at every number of cells, for each g
and Ŵ that there may be. Spreads are compared about the mean of each sample, so that a wrong Ŵ is no change of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.spatial.distance import pdist
from scipy.special import gammaln, hyp1f1

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import matrix, repetitions
from pdae_sim._random import SeedLike, seed_sequence, stream
from pdae_sim.analysis._permutation import merge_ties, quadratic_forms, upper_p_value
from pdae_sim.errors import InputError

_FAR = 1e5  # from this ‖a‖² / d on the terms left out are below rounding
_LARGEST_SERIES = 1400.0  # e^−x is a normal number
_TINY = 1e-12  # of a variance
_SET_ASIDE = 0.1  # p-value up to which a sample is set aside before the rest are compared
_ROWS_PER_COLUMN = 5  # a covariance is compared, but not scaled away, with fewer


@dataclass(frozen=True)
class LawTest:
    """A test of a statement about laws by resampling.

    Args:
        statistic: Large where the statement is false.
        p_value: (1 + #{resamples at least as extreme}) / (n_resamples + 1).
        n_resamples: Resamples drawn under the statement.
        sizes: Rows of each sample.

    Example:
        >>> import numpy as np
        >>> normal_law_test(np.random.default_rng(0).normal(size=(30, 2)), n_resamples=99, rng=0).sizes
        (30,)
    """

    statistic: float
    p_value: float
    n_resamples: int
    sizes: tuple[int, ...]

    def to_json(self) -> dict[str, object]:
        """The fields as plain values."""
        return vars(self) | {"sizes": list(self.sizes)}


@dataclass(frozen=True)
class SpreadTest(LawTest):
    """A test of one covariance, with the direction in which two covariances differ most.

    Args:
        ratio: Variance of the sample as a multiple of that of the others, in that direction.

    Example:
        >>> SpreadTest(9.0, 0.001, 999, (100, 300), ratio=4.0).in_words("VAN")
        'variance changes at VAN (to 4 times that of other conditions in one direction)'
    """

    ratio: float

    def in_words(self, name: str) -> str:
        """What the test found at the sample of a name."""
        return f"variance changes at {name} (to {self.ratio:.2g} times that of other conditions in one direction)"


@checked_numbers
def spread_tests(
    samples: Mapping[str, np.ndarray], *, n_permutations: int = 199, rng: SeedLike = None
) -> dict[str, SpreadTest]:
    """Find the samples whose covariance is not that of the others, one after the other.

    The covariance of each sample is compared with that of all, n_e ‖Cov_e − Cov‖² (Frobenius) in units in which that
    within samples is I, as a multiple of what permuted rows give, each row less the mean of its sample. If the greatest
    of these is more than chance its sample is set aside and the rest are compared again: one sample that changes makes
    no others seem to.

    Args:
        samples: Two or more samples (n_j, d) by name; of two that differ it is the second that changes.
        n_permutations: Relabellings at each step.
        rng: Whatever `numpy.random.default_rng` takes.

    Returns:
        By name the test in which it was set aside, or the last one; p-values are corrected for the number of samples.
        A sample that is left alone has the p-value 1.

    Raises:
        InputError: As `common_law_test`.

    References:
        Westfall & Young (1993), Resampling-based multiple testing, for the greatest of several statistics; theory,
        claim 2.18, for what a changing spread costs. Means are estimated, so p-values hold for samples of 20 rows or
        more of laws without long tails.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(600, 2))
        >>> tests = spread_tests({"ctrl": x[:200], "A": x[200:400] + 3.0, "B": x[400:] * [1.0, 2.0]}, rng=0)
        >>> [name for name, test in tests.items() if test.p_value <= 0.05], round(tests["B"].ratio, 1)
        (['B'], 3.5)
    """
    _stacked(samples)
    repetitions("n_permutations", n_permutations, at_least=19)
    generator, left, found, p_value = stream(seed_sequence(rng), "spread"), dict(samples), {}, 0.0
    while len(left) > 1:
        tests = _compared(left, n_permutations, generator)
        worst = max(reversed(tests), key=lambda name: (-tests[name].p_value, round(tests[name].statistic, 6)))
        p_value = max(p_value, tests[worst].p_value)
        if p_value > _SET_ASIDE:
            break
        found[worst] = replace(tests[worst], p_value=p_value)
        del left[worst]
    rest = {name: max(p_value, tests[name].p_value) if len(left) > 1 else 1.0 for name in left}
    found |= {name: replace(tests[name], p_value=value) for name, value in rest.items()}
    return {name: found[name] for name in samples}


def _compared(
    samples: Mapping[str, np.ndarray], n_permutations: int, rng: np.random.Generator
) -> dict[str, SpreadTest]:
    """The test of each sample against all, corrected by the law of the greatest statistic."""
    z, sizes = _stacked(samples)
    residuals = _unit_within(z, sizes)
    products = _products(residuals)
    orders = [np.arange(len(z)), *(rng.permutation(len(z)) for _ in range(n_permutations))]
    sums = np.array([_squared_sums(products, order, sizes) for order in orders])
    mean = np.maximum(sums.mean(0), 1e-12 * np.square(products).sum() + np.finfo(float).tiny)
    values = merge_ties((sums / mean).T, np.full(len(sizes), 1e-9)).T
    greatest, starts = values.max(1), np.cumsum([0, *sizes])
    return {
        name: SpreadTest(
            statistic=float(values[0, e]),
            p_value=upper_p_value(np.append(values[0, e], greatest[1:])),
            n_resamples=n_permutations,
            sizes=(sizes[e], len(z) - sizes[e]),
            ratio=_most_changed(np.roll(residuals, -starts[e], axis=0), sizes[e]),
        )
        for e, name in enumerate(samples)
    }


@checked_numbers
def equal_spread(samples: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Samples with their own means and one covariance, that of all within samples.

    Args:
        samples: Two or more samples (n_j, d) by name; one of fewer than 5 d rows stays as it is.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(400, 2))
        >>> alike = equal_spread({"A": x[:200] + 1.0, "B": 3.0 * x[200:]})
        >>> bool(np.allclose(np.cov(alike["A"].T), np.cov(alike["B"].T)))
        True
    """
    z, sizes = _stacked(samples)
    within = sum(((n - 1) * _covariance(x) for n, x in zip(sizes, samples.values(), strict=True)), np.zeros(1))
    within = within / (len(z) - len(sizes))
    root = _power(within, 0.5)
    return {
        name: x.mean(0) + (x - x.mean(0)) @ _power(_covariance(x), -0.5) @ root if enough else x
        for (name, x), enough in zip(samples.items(), np.array(sizes) >= _ROWS_PER_COLUMN * z.shape[1], strict=True)
    }


def _squared_sums(products: np.ndarray, order: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """(E,) squared norms of the sums over consecutive samples of reordered rows."""
    member = sparse.csr_array((np.ones(len(order)), order, np.cumsum([0, *sizes])), shape=(len(sizes), len(order)))
    return np.square(member @ products).sum(1)


def _unit_within(z: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Rows less the mean of their sample, with covariance I over all; each sample has its own degrees of freedom."""
    parts = np.split(z, np.cumsum(sizes)[:-1])
    residuals = np.vstack([(x - x.mean(0)) * np.sqrt(len(x) / (len(x) - 1)) for x in parts])
    values, vectors = np.linalg.eigh(residuals.T @ residuals / len(z))
    kept = values > values[-1] * _TINY
    return residuals @ vectors[:, kept] / np.sqrt(values[kept])


def _products(residuals: np.ndarray) -> np.ndarray:
    """Products of pairs of columns less their means: sums of squares of their sums are Frobenius norms."""
    i, j = np.triu_indices(residuals.shape[1])
    products = residuals[:, i] * residuals[:, j] * np.where(i == j, 1.0, np.sqrt(2))
    return products - products.mean(0)


def _covariance(x: np.ndarray) -> np.ndarray:
    return np.atleast_2d(np.cov(x.T))


def _power(covariance: np.ndarray, exponent: float) -> np.ndarray:
    """Symmetric power of a covariance; directions of no variance are kept as they are."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > values[-1] * _TINY
    return (vectors * np.where(kept, values, 1.0) ** exponent) @ vectors.T


def _most_changed(residuals: np.ndarray, n: int) -> float:
    """Variance of n rows over that of the others, where its logarithm is largest; all of them have covariance I."""
    N = len(residuals)
    own = np.linalg.eigvalsh(residuals[:n].T @ residuals[:n] / n)
    ratios = own.clip(_TINY) * (N - n) / (N - n * own).clip(_TINY)
    return float(max(ratios, key=lambda ratio: abs(np.log(ratio))))


@checked_numbers
def common_law_test(samples: Mapping[str, np.ndarray], *, n_permutations: int = 999, rng: SeedLike = None) -> LawTest:
    """Test H0: all samples come from one law, by permutations.

    The statistic is the between-sample part of the dispersion, Σ_{j<k} (n_j n_k / 2N) ED(j, k) of V-statistics, which
    is N/2 of the mean distance among all rows less Σ_j n_j/2 of that among the rows of sample j.

    Args:
        samples: Two or more samples (n_j, d) by name.
        n_permutations: Relabellings.
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: If there are fewer than two samples, one has fewer than 2 rows, or columns differ.

    References:
        Rizzo & Székely (2010), DISCO analysis, Ann. Appl. Statist. 4.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(300, 2))
        >>> common_law_test({"A": x[:100], "B": x[100:200], "C": x[200:] + 1.0}, rng=0).p_value == 0.001
        True
    """
    z, sizes = _stacked(samples)
    repetitions("n_permutations", n_permutations, at_least=19)
    codes = np.tile(np.repeat(np.arange(len(sizes)), sizes), (n_permutations + 1, 1))
    stream(seed_sequence(rng), "permutations").permuted(codes[1:], axis=1, out=codes[1:])
    values = _dispersions(z, codes, sizes)
    return LawTest(float(values[0]), upper_p_value(values), n_permutations, sizes)


def _dispersions(z: np.ndarray, codes: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """(B + 1,) between-sample dispersions of rows z by relabelling, codes (B + 1, N) the samples, ties merged."""
    groups = (np.where(np.equal(codes.T, j), n**-0.5, 0.0) for j, n in enumerate(sizes))
    forms, roundings = zip(*(quadratic_forms(z, H, [np.array]) for H in groups), strict=True)
    within = np.sum(forms, axis=(0, 1)) / 2
    return merge_ties(pdist(z).sum() / len(z) - within, np.sum(roundings))


@checked_numbers
def normal_law_test(x: np.ndarray, *, n_resamples: int = 999, rng: SeedLike = None) -> LawTest:
    """Test H0: the rows of x are independent draws of N(0, I), nothing estimated, by Monte Carlo.

    The statistic is n times the energy distance from the empirical law to N(0, I), see `energy_to_normal`.

    Args:
        x: (n, d), n ≥ 2.
        n_resamples: Samples of n rows drawn from N(0, I).
        rng: Whatever `numpy.random.default_rng` takes.

    References:
        Székely & Rizzo (2005), A new test for multivariate normality, J. Multivar. Anal. 93, with mean and covariance
        known instead of estimated.

    Example:
        >>> import numpy as np
        >>> z = np.random.default_rng(0).normal(size=(200, 2))
        >>> normal_law_test(z * [1.0, 0.5], rng=0).p_value == 0.001
        True
    """
    x = _enough("x", x)
    generator = stream(seed_sequence(rng), "normal")
    draws = (generator.standard_normal(x.shape) for _ in range(repetitions("n_resamples", n_resamples, at_least=19)))
    values = np.array([energy_to_normal(x), *(energy_to_normal(draw) for draw in draws)])
    return LawTest(len(x) * float(values[0]), upper_p_value(values), n_resamples, (len(x),))


@checked_numbers
def energy_to_normal(x: np.ndarray) -> float:
    """Energy distance of an empirical law to N(0, I), in closed form: 2 E‖x_i − Z‖ − E‖Z − Z'‖ − mean of ‖x_i − x_j‖.

    Args:
        x: (n, d).

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(500, 2))
        >>> energy_to_normal(x) < 0.01 < energy_to_normal(x + 1.0)
        True
    """
    n, d = (x := matrix("x", x)).shape
    with np.errstate(over="ignore", invalid="ignore"):  # what they leave behind is refused
        own = 2 * float(pdist(x).sum()) / n**2
        value = 2 * float(_distance_to_normal((x**2).sum(1), d).mean()) - _normal_spread(d) - own
    if not np.isfinite(value):
        raise InputError("x holds values too large for float64; rescale them")
    return value


def _distance_to_normal(squared: np.ndarray, d: int) -> np.ndarray:
    """E‖a − Z‖ for Z ~ N(0, I_d), from ‖a‖²: √2 Γ((d+1)/2) / Γ(d/2) ₁F₁(−1/2; d/2; −‖a‖²/2)."""
    far = squared > _FAR * d
    s = np.where(far, squared, 1.0)
    asymptotic = np.sqrt(s) * (1 + (d - 1) / (2 * s) - (d - 1) * (d - 3) / (8 * s**2))  # scipy's takes for ever there
    return np.where(far, asymptotic, _distance_nearby(np.where(far, 0.0, squared), d))


def _distance_nearby(squared: np.ndarray, d: int) -> np.ndarray:
    value = hyp1f1(-0.5, d / 2, -squared / 2)
    overflown = ~np.isfinite(value) & (squared <= _LARGEST_SERIES)  # scipy's does, near ‖a‖² = d from d = 100 on
    value[overflown] = _kummer(d / 2, squared[overflown] / 2)
    return np.sqrt(2) * np.exp(gammaln((d + 1) / 2) - gammaln(d / 2)) * value


def _kummer(b: float, x: np.ndarray) -> np.ndarray:
    """₁F₁(−1/2; b; −x) = e^−x ₁F₁(b + 1/2; b; x), by a series of positive terms."""
    term = np.exp(-x)
    total, k = term.copy(), 0
    while (term > np.finfo(float).eps * total).any():
        term *= x / (k + 1) * (b + 0.5 + k) / (b + k)
        total += term
        k += 1
    return total


def _normal_spread(d: int) -> float:
    """E‖Z − Z'‖ = 2 Γ((d+1)/2) / Γ(d/2)."""
    return float(2 * np.exp(gammaln((d + 1) / 2) - gammaln(d / 2)))


def _stacked(samples: Mapping[str, np.ndarray]) -> tuple[np.ndarray, tuple[int, ...]]:
    if len(samples) < 2:
        raise InputError(f"samples must be two or more to be compared; received {len(samples)}")
    first = next(iter(samples.values()))
    parts = [_enough(name, x, columns=np.shape(first)[-1]) for name, x in samples.items()]
    return np.vstack(parts), tuple(len(part) for part in parts)


def _enough(name: str, x: np.ndarray, *, columns: int | None = None) -> np.ndarray:
    x = matrix(name, x, columns=columns)
    if len(x) < 2:
        raise InputError(f"{name} must have at least 2 rows; received {len(x)}")
    return x
