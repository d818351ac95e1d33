"""Planted latents and normal samples that several tests of the analysis share."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import ortho_group

from pdae_sim import strategies

D = 3
LEVELS = (0.01, 0.05, 0.1)
planted = st.integers(1, 4).flatmap(lambda d: st.tuples(strategies.orthogonal_matrices(d), st.integers(0, 2**32 - 1)))


def latents(n, d=D, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def turned(z):
    """The rotation of two coordinates by an angle that depends on the third: keeps N(0, I), is smooth, not affine."""
    angle = 1.5 * z[:, 2]
    c, s = np.cos(angle), np.sin(angle)
    return np.column_stack([c * z[:, 0] - s * z[:, 1], s * z[:, 0] + c * z[:, 1], z[:, 2]])


def rotation(rng):
    return ortho_group.rvs(D, random_state=rng)


def normal(n, d, *, seed, shift=0.0):
    return np.random.default_rng(seed).normal(size=(n, d)) + shift * np.eye(d)[0]


def outside_band(p_values):
    """Levels at which the rejections lie outside the exact binomial 99 % band, with their number and the band."""
    p, n = np.asarray(p_values), len(p_values)
    counts = {a: (int((p <= a + 1e-12).sum()), *map(int, stats.binom.interval(0.99, n, a))) for a in LEVELS}
    return {a: found for a, found in counts.items() if not found[1] <= found[0] <= found[2]}
