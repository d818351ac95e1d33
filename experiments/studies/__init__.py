"""The studies by name.

Each is a module with `study`, `SMOKE`, `setting`, `findings`, `figure`, `CAPTION`, `COLUMNS` and `summary`.
"""

from __future__ import annotations

from types import ModuleType

from experiments.studies import diversity, extrapolation, sample_size

STUDIES: dict[str, ModuleType] = {
    "extrapolation": extrapolation,
    "diversity": diversity,
    "sample_size": sample_size,
}
"""In the order in which an index lists them."""
