"""Goodness of fit of an observation model, feature by feature, from cells and what the model would measure instead.

A cell and m new measurements of it are exchangeable under the model, so that its rank among them is uniform, ties
broken at random. Spread over its interval of length 1 / (m + 1) the rank is uniform on (0, 1) whatever the law of the
feature, a count or not: a randomised quantile residual. Four checks of each feature follow, all exact at every number
of cells and of measurements:

    centre          normal scores of the residuals add to N(0, n)
    spread          their squares add to χ² with n degrees of freedom
    mean-variance   the squares of cells with a large mean over those with a small one are F
    zeros           zeros are a sum of independent events whose probabilities are counted in cell and measurements

The mean of a cell is that of cell and measurements together, whose order it does not depend on.

References:
    Dunn & Smyth (1996), Randomized quantile residuals, J. Comput. Graph. Statist. 5; Yuan & Johnson (2012),
    Goodness-of-fit diagnostics for Bayesian hierarchical models, Biometrics 68, for latents drawn given the cell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import stats

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import between, matrix
from pdae_sim._random import SeedLike, seed_sequence, stream
from pdae_sim.analysis.hypothesis_tests.multiple_testing import CorrectedTests, adjust_p_values
from pdae_sim.errors import InputError

_BINS = 10
_EDGE = 1e-12
"""Least residual: its normal score is finite."""


class FeatureCheck(StrEnum):
    """The checks of a feature, as described at the head of this module.

    Example:
        >>> [str(check) for check in FeatureCheck]
        ['centre', 'spread', 'mean-variance', 'zeros']
    """

    CENTRE = "centre"
    SPREAD = "spread"
    MEAN_VARIANCE = "mean-variance"
    ZEROS = "zeros"


_WORDS = {
    (FeatureCheck.CENTRE, False): ("below the model's mean", "residuals average {0:.2g} standard deviations"),
    (FeatureCheck.CENTRE, True): ("above the model's mean", "residuals average {0:.2g} standard deviations"),
    (FeatureCheck.SPREAD, False): ("under-dispersed", "residual variance {0:.2g} times the model's"),
    (FeatureCheck.SPREAD, True): ("over-dispersed", "residual variance {0:.2g} times the model's"),
    (FeatureCheck.MEAN_VARIANCE, False): (
        "quieter at large means",
        "residual variance {0:.2g} times that at small",
    ),
    (FeatureCheck.MEAN_VARIANCE, True): (
        "noisier at large means",
        "residual variance {0:.2g} times that at small",
    ),
    (FeatureCheck.ZEROS, False): ("too few zeros", "{0:.3f} of the cells, {1:.3f} in the model"),
    (FeatureCheck.ZEROS, True): ("too many zeros", "{0:.3f} of the cells, {1:.3f} in the model"),
}
"""What the cells are, where the value of a check is below and above what the model expects, and by how much."""


@dataclass(frozen=True)
class FeatureTest:
    """One check of one feature.

    Args:
        feature: Its name.
        check: What is checked.
        p_value: Exact under the model; two-sided.
        value: Mean normal score; mean square of the normal scores; the ratio of that in cells with a large mean to
            that in cells with a small one; share of zeros.
        expected: The same under the model: 0, 1, 1 and the share of zeros expected.

    Example:
        >>> FeatureTest("g", FeatureCheck.SPREAD, 0.01, 1.8, 1.0).fault
        'over-dispersed'
    """

    feature: str
    check: FeatureCheck
    p_value: float
    value: float
    expected: float

    @property
    def name(self) -> str:
        """Feature and check, which no other test has in common."""
        return f"{self.feature}: {self.check}"

    @property
    def fault(self) -> str:
        """What cells are beside the model, if they differ, in plain words."""
        return _WORDS[self.check, self.value > self.expected][0]

    @property
    def size(self) -> str:
        """How far cells are from the model, in plain words."""
        return _WORDS[self.check, self.value > self.expected][1].format(self.value, self.expected)

    def to_json(self) -> dict[str, object]:
        """The fields as plain values."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class ObservationFit:
    """Goodness of fit of an observation model.

    Args:
        tests: Of every feature and check, corrected for their number; zeros of features that may have any.
        features: The d_X names.
        histograms: (d_X, 10) residuals of each feature in bins of equal width; n / 10 in each under the model.
        cells: n.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(100, 300, 2))
        >>> observation_fit([1, 2] * x[0], x[1:], rng=0).in_words()
        "told apart in 1 of 2 features: over-dispersed in 1 (x2: residual variance 2.7 times the model's)"
    """

    tests: CorrectedTests[FeatureTest]
    features: tuple[str, ...]
    histograms: np.ndarray
    cells: int

    @property
    def p_value(self) -> float:
        """Least of Holm's p-values: the p-value of the observation model as a whole."""
        return min(self.tests.holm.values())

    def faults(self, level: float = 0.05) -> tuple[FeatureTest, ...]:
        """Tests that Holm's method rejects, smallest p-value first; a right model has any with probability ≤ level."""
        rejected = [self.tests.tests[name] for name in self.tests.rejected(level)]
        return tuple(sorted(rejected, key=lambda test: test.p_value))

    def faulty_features(self, level: float = 0.05) -> dict[str, tuple[FeatureTest, ...]]:
        """Faults by feature, the feature with the smallest p-value first."""
        faults = self.faults(level)
        names = dict.fromkeys(test.feature for test in faults)
        return {name: tuple(test for test in faults if test.feature == name) for name in names}

    def in_words(self, level: float = 0.05) -> str:
        """How many features were told apart from the model, and in which way."""
        between("level", level, 0.0, 1.0)
        faults = self.faults(level)
        if not faults:
            return f"not told apart in any of {len(self.features)} features (p = {self.p_value:.2g} over all)"
        counts = Counter(test.fault for test in faults)
        parts = [f"{fault} in {number} ({_worst(faults, fault)})" for fault, number in counts.most_common()]
        features = len({test.feature for test in faults})
        return f"told apart in {features} of {len(self.features)} features: {'; '.join(parts)}"

    def to_json(self) -> dict[str, object]:
        """Faults in words and a row for every test, as plain values."""
        corrected = self.tests
        rows = [
            {**test.to_json(), "holm": corrected.holm[name], "bh": corrected.bh[name]}
            for name, test in corrected.tests.items()
        ]
        faults = [
            {"feature": feature, "faults": [test.fault for test in tests], "sizes": [test.size for test in tests]}
            for feature, tests in self.faulty_features().items()
        ]
        return {
            "in_words": self.in_words(),
            "p_value": self.p_value,
            "cells": self.cells,
            "faults": faults,
            "rows": rows,
        }


@checked_numbers
def observation_fit(
    observed: np.ndarray,
    measurements: Iterable[np.ndarray],
    *,
    features: Sequence[str] | None = None,
    rng: SeedLike = None,
) -> ObservationFit:
    """Judge an observation model by cells beside what it would measure instead of each.

    Args:
        observed: (n, d_X) cells, independent of each other and of the fit.
        measurements: m arrays (n, d_X): row i of each is a draw from the law of row i of `observed` under the model,
            given what the model takes for known of it. They may come one after another; none is kept.
        features: The d_X names.
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: If shapes disagree, or there are fewer than 8 cells or 19 measurements.

    Example:
        >>> import numpy as np
        >>> counts = np.random.default_rng(0).poisson(0.1, size=(100, 200, 3))
        >>> observation_fit(counts[0], counts[1:], rng=0).faults()
        ()
    """
    x = matrix("observed", observed)
    n, d = x.shape
    names = tuple(f"x{g + 1}" for g in range(d)) if features is None else tuple(map(str, features))
    if len(names) != d or len(set(names)) < d:
        raise InputError(f"features must be {d} different names; received {len(names)}")
    if n < 8:
        raise InputError(f"observed must have 8 cells or more; received {n}")
    compared = _compared(x, measurements)
    residuals = compared.residuals(stream(seed_sequence(rng), "ties"))
    scores = stats.norm.ppf(residuals)
    tests = {
        test.name: test
        for checked in (_centres(scores), _spreads(scores), _trends(scores, compared.total), _zeros(x, compared))
        for test in _named(names, *checked)
    }
    bins = np.minimum((residuals * _BINS).astype(int), _BINS - 1)
    histograms = np.stack([(bins == b).sum(0) for b in range(_BINS)], axis=1)
    return ObservationFit(adjust_p_values({k: t.p_value for k, t in tests.items()}, tests=tests), names, histograms, n)


_Checked = tuple[FeatureCheck, np.ndarray, np.ndarray, np.ndarray]
"""A check with its p-value, value and expectation for each feature (d_X,); NaN where there is nothing to check."""


@dataclass(frozen=True, eq=False)
class _Compared:
    """Numbers of m measurements below each entry of the cells, equal to it and zero; the sum of all with the cell."""

    below: np.ndarray
    equal: np.ndarray
    zero: np.ndarray
    total: np.ndarray
    m: int

    def residuals(self, rng: np.random.Generator) -> np.ndarray:
        """(n, d_X) uniform on (0, 1) under the model."""
        ranks = self.below + rng.integers(0, self.equal + 1) + rng.random(self.below.shape)
        return np.clip(ranks / (self.m + 1), _EDGE, 1 - _EDGE)


def _compared(x: np.ndarray, measurements: Iterable[np.ndarray]) -> _Compared:
    below, equal, zero = (np.zeros(x.shape, np.int64) for _ in range(3))
    total, m = x.copy(), 0
    for drawn in measurements:
        y = matrix("measurements", drawn, columns=x.shape[1])
        if len(y) != len(x):
            raise InputError(f"measurements must have the {len(x)} rows of observed; received {len(y)}")
        below += y < x
        equal += y == x
        zero += y == 0
        total += y
        m += 1
    if m < 19:
        raise InputError(f"measurements must be 19 or more; received {m}")
    return _Compared(below, equal, zero, total, m)


def _centres(scores: np.ndarray) -> _Checked:
    mean = scores.mean(0)
    return FeatureCheck.CENTRE, 2 * stats.norm.sf(np.abs(mean) * len(scores) ** 0.5), mean, np.zeros_like(mean)


def _spreads(scores: np.ndarray) -> _Checked:
    n, squares = len(scores), (scores**2).sum(0)
    p = _two_sided(stats.chi2.cdf(squares, n), stats.chi2.sf(squares, n))
    return FeatureCheck.SPREAD, p, squares / n, np.ones_like(squares)


def _trends(scores: np.ndarray, total: np.ndarray) -> _Checked:
    """Mean squares of the half of the cells with the larger mean over those of the other half."""
    order, middle = np.argsort(total, axis=0, kind="stable"), len(scores) // 2
    squares = np.take_along_axis(scores**2, order, axis=0)
    ratio = squares[middle:].mean(0) / squares[:middle].mean(0)
    sizes = len(scores) - middle, middle
    p = _two_sided(stats.f.cdf(ratio, *sizes), stats.f.sf(ratio, *sizes))
    return FeatureCheck.MEAN_VARIANCE, p, ratio, np.ones_like(ratio)


def _zeros(x: np.ndarray, compared: _Compared) -> _Checked:
    """Number of zeros against its Poisson binomial law: of k among m + 1 exchangeable values a cell has k / (m + 1)."""
    zero, alike = x == 0, compared.m + 1
    among = compared.zero + zero
    p, open_ = np.full(x.shape[1], np.nan), np.flatnonzero(((among > 0) & (among < alike)).any(0))
    if open_.size:
        sizes = np.stack([np.bincount(among[:, g], minlength=alike + 1) for g in open_])
        law, seen = _poisson_binomial(sizes), zero[:, open_].sum(0)
        here, up_to = law[np.arange(len(seen)), seen], np.cumsum(law, axis=1)[np.arange(len(seen)), seen]
        p[open_] = _two_sided(up_to, 1 - up_to + here)
    return FeatureCheck.ZEROS, p, zero.mean(0), (among / alike).mean(0)


def _poisson_binomial(sizes: np.ndarray) -> np.ndarray:
    """(d, n + 1) law of the sum of independent events, sizes[:, k] of which have probability k/K, k = 0 … K.

    By its characteristic function, to rounding: probabilities below 1e-13 or so are not resolved.
    """
    n, chance = int(sizes[0].sum()), np.linspace(0.0, 1.0, sizes.shape[1])
    turn = np.exp(-2j * np.pi * np.arange(n + 1) / (n + 1))
    with np.errstate(divide="ignore"):
        logs = np.log(1 - chance[:, None] + chance[:, None] * turn)
    return np.clip(np.fft.ifft(np.exp(sizes @ logs), axis=1).real, 0.0, None)


def _two_sided(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    return np.clip(2 * np.minimum(low, high), 0.0, 1.0)


def _named(
    names: Sequence[str], check: FeatureCheck, p: np.ndarray, value: np.ndarray, expected: np.ndarray
) -> list[FeatureTest]:
    rows = zip(names, p.tolist(), value.tolist(), expected.tolist(), strict=True)
    return [FeatureTest(name, check, *row) for name, *row in rows if not np.isnan(row[0])]


def _worst(faults: Sequence[FeatureTest], fault: str) -> str:
    first = next(test for test in faults if test.fault == fault)
    return f"{first.feature}: {first.size}"
