"""Latents with planted maps, shared by the tests of identifiability."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from scipy.stats import ortho_group

from pdae_sim import strategies

D = 3
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
