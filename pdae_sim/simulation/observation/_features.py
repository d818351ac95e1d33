"""Parameters with one value per observed feature, and what is computed with them."""

from __future__ import annotations

import numpy as np

from pdae_sim._checks import finite
from pdae_sim.errors import InputError
from pdae_sim.simulation._fields import own

LARGEST_EXPONENT = 700.0
"""exp of at most this much in magnitude is a normal float64, with room for a factor of 10⁴."""


def hold_features(law: object, *names: str, low: float = -np.inf, strict: bool = False) -> None:
    """Replace fields by read-only float64 scalars () or vectors (d_X,), finite and ≥ `low` (> `low` if `strict`)."""
    for name in names:
        array = finite(name, np.array(getattr(law, name), dtype=np.float64))
        if array.ndim > 1:
            raise InputError(f"{name} must be one number or one per feature; received shape {array.shape}")
        if (array <= low if strict else array < low).any():
            raise InputError(f"{name} must be {'>' if strict else '≥'} {low:g}; received {array.min():g}")
        own(law, name, array)


def same_width(clean: np.ndarray, **parameters: np.ndarray) -> np.ndarray:
    """f(z) (n, d_X) as C-ordered float64, if every parameter is a scalar or has d_X entries.

    The order matters to the last bit: row sums of other orders depend on the number of rows.
    """
    clean = np.ascontiguousarray(clean, dtype=np.float64)
    for name, value in parameters.items():
        if value.ndim and value.shape != clean.shape[1:]:
            raise InputError(f"{name} must have one entry for each of {clean.shape[1]} features; received {len(value)}")
    return clean


def in_spreads(clean: np.ndarray, centre: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """(f(z) − centre) / spread, a fresh array."""
    clean = same_width(clean, centre=centre, spread=spread)
    with np.errstate(over="ignore", invalid="ignore"):
        deviation = clean - centre
        deviation /= spread
    return deviation


def guarded_exp(exponent: np.ndarray, what: str) -> np.ndarray:
    """exp in place.

    Raises:
        InputError: If an exponent is not a number or beyond `LARGEST_EXPONENT` in magnitude.
    """
    largest = max(exponent.max(initial=0.0), -exponent.min(initial=0.0))
    if not largest <= LARGEST_EXPONENT:
        raise InputError(
            f"{what} must have a logarithm within ±{LARGEST_EXPONENT:g}; received {largest:g} in magnitude"
        )
    return np.exp(exponent, out=exponent)
