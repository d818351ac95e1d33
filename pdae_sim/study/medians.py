"""Medians over worlds or conditions, with intervals that assume nothing about how they scatter."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import binom

from pdae_sim._arguments import checked
from pdae_sim._checks import between
from pdae_sim.errors import InputError
from pdae_sim.intervals import Estimate, Interval

NO_INTERVAL = Interval(-math.inf, math.inf)
"""What too few values leave open."""


@checked
def median(values: Sequence[float], *, level: float = 0.95) -> Estimate:
    """The median with its interval between order statistics, exact for every continuous law.

    The k-th smallest and the k-th greatest of n values enclose the median with probability 1 − 2 P(Bin(n, ½) < k).
    Fewer than six values have no 95 % interval. Infinite values are values like any other.

    Args:
        values: One per world, none of them NaN.
        level: Least probability, below 1.

    Raises:
        InputError: If there is no value, or one is NaN.

    References:
        Hollander & Wolfe, Nonparametric Statistical Methods, 3.6.

    Example:
        >>> median([5, 1, 2, 4, 3, 6])
        Estimate(value=3.5, interval=Interval(low=1.0, high=6.0))
    """
    x, level = np.sort(np.asarray(values, dtype=np.float64)), between("level", level, 0.0, 1.0)
    if x.ndim != 1 or not len(x) or np.isnan(x).any():
        raise InputError("values must be a list of numbers, at least one and none of them NaN")
    middle = float(x[(len(x) - 1) // 2]) if np.isinf(x).any() else float(np.median(x))
    k = int(binom.ppf((1 - level) / 2, len(x), 0.5))
    return Estimate(middle, Interval(float(x[k - 1]), float(x[-k])) if k else NO_INTERVAL)
