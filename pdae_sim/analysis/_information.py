"""What a cell that is measured with noise tells of a shift: J = I − E Cov(z | x), against I where z is seen."""

from __future__ import annotations

import numpy as np

from pdae_sim._checks import matrix
from pdae_sim.errors import InputError

_ROUNDING = 0.5  # an estimate may be beyond by as much
_LEAST = 1e-3
"""Share of the information in a direction below which an estimate of it is all error."""


def inverse_information(information: np.ndarray) -> np.ndarray:
    """J⁻¹ (d_Z, d_Z), the covariance of a shift in units of that with z seen.

    Args:
        information: J (d_Z, d_Z), symmetric; an estimate's eigenvalues are held between 0.001 and 1.

    Raises:
        InputError: If J is not a symmetric matrix of finite numbers with eigenvalues from 0 to 1.

    References:
        Theory, claim 2.13.

    Example:
        >>> inverse_information(np.diag([0.5, 1.0])).tolist()
        [[2.0, 0.0], [0.0, 1.0]]
    """
    J = matrix("information", information)
    if J.shape[0] != J.shape[1] or not np.allclose(J, J.T, atol=1e-6):
        raise InputError(f"information must be a symmetric matrix (d_Z, d_Z); received shape {J.shape}")
    values, vectors = np.linalg.eigh((J + J.T) / 2)
    if values.min() < -_ROUNDING or values.max() > 1 + _ROUNDING:
        raise InputError(
            "information must have eigenvalues from 0 to 1, as no cell tells less than nothing or more than z; "
            f"received {values.min():.3g} to {values.max():.3g}"
        )
    return vectors / np.clip(values, _LEAST, 1.0) @ vectors.T


def inflation(information: np.ndarray) -> float:
    """The factor tr J⁻¹ / d_Z by which noise multiplies the variance of a shift per latent coordinate.

    Args:
        information: J (d_Z, d_Z).

    Example:
        >>> inflation(np.diag([0.5, 1.0]))
        1.5
    """
    noise = inverse_information(information)
    return float(np.trace(noise)) / len(noise)
