"""Arrays that frozen dataclasses own: read-only float64 copies of the right shape."""

from __future__ import annotations

import numpy as np

from pdae_sim._checks import finite
from pdae_sim.errors import InputError


def hold(part: object, *, missing: bool = False, **dimensions: int) -> None:
    """Replace fields of a frozen dataclass by finite, read-only float64 copies of the given number of dimensions.

    Args:
        part: The instance, in its `__post_init__`.
        missing: Whether NaN may stand for an entry that is not there.
        dimensions: Number of dimensions by field.
    """
    for name, ndim in dimensions.items():
        try:
            array = np.array(getattr(part, name), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise InputError(f"{name} must be an array of numbers ({error})") from None
        finite(name, np.where(np.isnan(array), 0.0, array) if missing else array)
        if array.ndim != ndim:
            raise InputError(f"{name} must have {ndim} dimensions; received shape {array.shape}")
        own(part, name, array)


def own(part: object, name: str, array: np.ndarray) -> None:
    """Set a field of a frozen dataclass to an array, made read-only."""
    array.setflags(write=False)
    object.__setattr__(part, name, array)


def fits(part: object, name: str, shape: tuple[int, ...]) -> None:
    """Refuse a field whose shape is another."""
    if getattr(part, name).shape != shape:
        raise InputError(f"{name} must have shape {shape}; received {getattr(part, name).shape}")
