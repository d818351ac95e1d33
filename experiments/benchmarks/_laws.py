"""Pairs of laws whose energy distance is known in closed form."""

from __future__ import annotations

import math

import numpy as np
from scipy import integrate, special, stats


def normal_difference(shift: float, d: int) -> float:
    """E‖X − Y‖ for X ~ N(0, I_d), Y ~ N(shift e₁, I_d)."""
    factor = 2 * math.exp(special.gammaln((d + 1) / 2) - special.gammaln(d / 2))
    return factor * float(special.hyp1f1(-0.5, d / 2, -(shift**2) / 4))


def normal_distance(shift: float, d: int) -> float:
    """Energy distance of N(0, I_d) and N(shift e₁, I_d)."""
    return 2 * (normal_difference(shift, d) - normal_difference(0.0, d))


def student_distance(shift: float) -> float:
    """Energy distance of Student's t(3) and its shift, 2 ∫ (F − G)²."""
    cdf = stats.t(3).cdf
    return 2 * integrate.quad(lambda u: (cdf(u) - cdf(u - shift)) ** 2, -np.inf, np.inf)[0]


def count_distance(first: float, second: float) -> float:
    """Energy distance of two Poisson laws, 2 Σ (F − G)²."""
    k = np.arange(200)
    return float(2 * ((stats.poisson.cdf(k, first) - stats.poisson.cdf(k, second)) ** 2).sum())
