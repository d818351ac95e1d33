"""Tests of the law of base latents: is it one law in every environment, and is it N(0, I)?

Base latents are g(x) − Ŵ l for given g and Ŵ. On cells that had no part in fitting these they are independent draws,
and nothing is estimated from them: both tests are exact at every number of cells, for each g and Ŵ that there may be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import pdist
from scipy.special import gammaln, hyp1f1

from pdae_sim._checks import matrix, whole
from pdae_sim._random import SeedLike, seed_sequence, stream
from pdae_sim.analysis._permutation import merge_ties, quadratic_forms, upper_p_value
from pdae_sim.errors import InputError

_LARGEST_SERIES = 1400.0  # e^−x is a normal number


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
        return dict(vars(self))


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
    whole("n_permutations", n_permutations, at_least=19)
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
    draws = (generator.standard_normal(x.shape) for _ in range(whole("n_resamples", n_resamples, at_least=19)))
    values = np.array([energy_to_normal(x), *(energy_to_normal(draw) for draw in draws)])
    return LawTest(len(x) * float(values[0]), upper_p_value(values), n_resamples, (len(x),))


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
    n, d = x.shape
    with np.errstate(over="ignore", invalid="ignore"):  # what they leave behind is refused
        own = 2 * float(pdist(x).sum()) / n**2
        value = 2 * float(_distance_to_normal((x**2).sum(1), d).mean()) - _normal_spread(d) - own
    if not np.isfinite(value):
        raise InputError("x holds values too large for float64; rescale them")
    return value


def _distance_to_normal(squared: np.ndarray, d: int) -> np.ndarray:
    """E‖a − Z‖ for Z ~ N(0, I_d), from ‖a‖²: √2 Γ((d+1)/2) / Γ(d/2) ₁F₁(−1/2; d/2; −‖a‖²/2)."""
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
