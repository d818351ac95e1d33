"""Pairs of estimated and true latents that can be compared."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pdae_sim._checks import matrix
from pdae_sim.errors import InputError


def checked_pair(
    estimate: np.ndarray, truth: np.ndarray, what: str, least: Callable[[int], int]
) -> tuple[np.ndarray, np.ndarray]:
    """Both as float64 matrices of one shape, if cells are enough and the truth varies in every direction.

    Args:
        estimate: (n, d_Z) latents.
        truth: (n, d_Z) latents of the same cells.
        what: What they are for, in the message.
        least: The fewest cells that d_Z latents need.
    """
    estimate, truth = matrix("estimate", estimate), matrix("truth", truth)
    if estimate.shape != truth.shape:
        raise InputError(f"estimate and truth must have one shape; received {estimate.shape} and {truth.shape}")
    n, d = truth.shape
    if n < least(d):
        raise InputError(
            f"estimate and truth must have at least {least(d)} cells for {what} of {d} latents; received {n}"
        )
    if np.linalg.matrix_rank(truth - truth.mean(0)) < d:
        raise InputError("truth must vary in every direction; a column is constant or repeats others")
    return estimate, truth
