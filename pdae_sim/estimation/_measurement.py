"""From a table to what was measured and back: standardised values, logarithms, counts recovered from their transform.

Log-normalised counts are recovered where that is exact: the smallest positive expm1 of a cell is one molecule, and all
others are whole multiples of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pdae_sim._matrices import Matrix, dense
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._scaling import Scaling, blocks

TRANSFORMS = ("none", "counts", "log1p", "log_normalise", "log_scaled", "log")
"""What a table is: values as they are; whole numbers; log(1 + counts); the same of cells scaled to one total, or to
totals that went with features left out; logarithms taken here, of positive values."""

_WHOLE = 0.05
"""Largest distance of a recovered count from a whole number, beside the rounding of float32: tables round decimals."""
_FEWEST = 6
"""Molecules that the least count of a cell may have; one in all but a few cells."""
_EXACT = 2**24
"""Counts up to which wholeness tells anything: float32 holds no other numbers beyond."""
_SAME_TOTAL = 1e-3
"""Largest relative spread of totals that are one total."""
_LOOKED_AT, _VALUES = 2000, 2**22
"""Cells looked at to recognise a table, and their values where cells are long; all are then recovered, or refused."""


class Units(Protocol):
    """A table in the units of its measurement, and back."""

    @property
    def transform(self) -> str:
        """One of `TRANSFORMS`."""

    def forward(self, x: Matrix) -> np.ndarray:
        """Measured float32 cells (n, d_X)."""

    def gathered(self, x: Matrix, rows: np.ndarray | slice) -> np.ndarray:
        """`forward` of the chosen rows of x."""

    def exposure(self, x: Matrix) -> np.ndarray:
        """(n, 2) total of each cell and the unit of its transform; (n, 0) where neither is needed."""

    def inverse(self, x: np.ndarray, exposure: np.ndarray | None = None) -> np.ndarray:
        """Measured cells in the units of the table, float64."""


@dataclass(frozen=True, eq=False)
class StandardUnits:
    """Values standardised by feature, of themselves or of their logarithms.

    Args:
        scaling: Centre and scale.
        transform: ``none`` or ``log``.
    """

    scaling: Scaling
    transform: str = "none"

    def forward(self, x: Matrix) -> np.ndarray:
        return self.gathered(x, slice(None))

    def gathered(self, x: Matrix, rows: np.ndarray | slice) -> np.ndarray:
        if self.transform == "none":
            return self.scaling.gathered(x, rows)
        return self.scaling.forward(_logarithms(dense(x[rows])))

    def exposure(self, x: Matrix) -> np.ndarray:
        return np.empty((x.shape[0], 0), np.float32)

    def inverse(self, x: np.ndarray, exposure: np.ndarray | None = None) -> np.ndarray:
        values = self.scaling.inverse(x)
        if self.transform == "log":
            return np.exp(values)
        values[x == self.scaling.forward(np.zeros((1, x.shape[1])))] = 0.0  # a lost entry reads zero, not nearly so
        return values


@dataclass(frozen=True)
class CountUnits:
    """Counts of molecules, and the transform that the table holds them in.

    Args:
        transform: ``counts``, ``log1p``, ``log_normalise`` or ``log_scaled``.
        target: Total of every cell after scaling, for ``log_normalise``.
    """

    transform: str
    target: float = 1e4

    def forward(self, x: Matrix) -> np.ndarray:
        return self.gathered(x, slice(None))

    def gathered(self, x: Matrix, rows: np.ndarray | slice) -> np.ndarray:
        picked = np.arange(x.shape[0])[rows]
        out = np.empty((len(picked), x.shape[1]), np.float32)
        for part in blocks(*out.shape):
            out[part] = self._recovered(dense(x[picked[part]]))[0]
        return out

    def exposure(self, x: Matrix) -> np.ndarray:
        return np.concatenate([self._exposed(dense(x[part])) for part in blocks(*x.shape)])

    def inverse(self, x: np.ndarray, exposure: np.ndarray | None = None) -> np.ndarray:
        counts = x.astype(np.float64)
        if self.transform == "counts":
            return counts
        if self.transform == "log_normalise":
            total = counts.sum(1, keepdims=True)
            return np.log1p(counts * (self.target / np.where(total == 0, 1.0, total)))
        if self.transform == "log1p":
            return np.log1p(counts)
        assert exposure is not None, "a scaled table needs the unit of each cell"
        return np.log1p(counts * exposure[:, 1:].astype(np.float64))

    def _exposed(self, x: np.ndarray) -> np.ndarray:
        counts, unit = self._recovered(x)
        return np.column_stack([counts.sum(1), unit]).astype(np.float32)

    def _recovered(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        counts, unit = counts_in(x, self.transform)
        if not (whole := _whole(counts, x, self.transform)).all():
            row = int(np.flatnonzero(~whole)[0])
            raise InputError(
                f"x holds a cell (row {row} of those given) that is no table of counts under {self.transform!r}; "
                "give observation='gaussian_by_feature', or counts"
            )
        return np.rint(counts), unit


def counts_in(x: np.ndarray, transform: str) -> tuple[np.ndarray, np.ndarray]:
    """Counts (n, d_X), not yet rounded, and the unit (n,) of each cell on the scale of expm1(x)."""
    x = x.astype(np.float64)
    if transform == "counts":
        return x, np.ones(len(x))
    raised = np.expm1(x)
    if transform == "log1p":
        return raised, np.ones(len(x))
    least = np.where(raised > 0, raised, np.inf).min(1)
    unit = np.where(np.isfinite(least), least, 1.0)
    counts = raised / unit[:, None]
    for molecules in range(2, _FEWEST + 1):  # cells without a count of one
        left = np.flatnonzero(~_whole(counts, x, transform))
        if not left.size:
            break
        tried = raised[left] / unit[left, None] * molecules
        found = left[_whole(tried, x[left], transform)]
        counts[found], unit[found] = raised[found] / unit[found, None] * molecules, unit[found] / molecules
    return counts, unit


def recognise_counts(x: Matrix) -> CountUnits | None:
    """The counts that a table (n, d_X) holds, if it does.

    Whole numbers are counts; so are values whose expm1, divided by the smallest positive one of its cell, is whole:
    where most cells have other positive values to divide.
    """
    most = min(x.shape[0], _LOOKED_AT, max(_VALUES // x.shape[1], 200))
    rows = np.linspace(0, x.shape[0] - 1, most).astype(int)
    some = dense(x[np.unique(rows)])
    if some.min() < 0 or some.max() <= 0:
        return None
    for transform in ("counts", "log1p", "log_scaled"):
        with np.errstate(over="ignore", invalid="ignore"):
            counts = counts_in(some, transform)[0]
        if np.isfinite(counts).all() and _whole(counts, some, transform).all():
            return CountUnits(transform) if transform != "log_scaled" else _scaled(some) if _telling(some) else None
    return None


def _telling(x: np.ndarray) -> bool:
    """Whether most cells that are not all zero have several positive values: one alone is a multiple of itself."""
    positive = (x > 0).sum(1)
    return bool((positive[positive > 0] > 1).mean() > 0.5)


def _scaled(x: np.ndarray) -> CountUnits:
    """One total of every cell, or totals that went with features left out."""
    totals = np.expm1(x.astype(np.float64)).sum(1)
    totals = totals[totals > 0]
    middle = float(np.median(totals))
    if np.abs(totals / middle - 1).max() < _SAME_TOTAL:
        return CountUnits("log_normalise", middle)
    return CountUnits("log_scaled")


def _whole(counts: np.ndarray, x: np.ndarray, transform: str) -> np.ndarray:
    """(n,) whether all counts of a cell are whole numbers, up to what the storage of x can have rounded.

    What is positive is one molecule or more, and what was never transformed has not been rounded.
    """
    if transform == "counts":
        return (counts == np.rint(counts)).all(1)
    small = counts < _EXACT
    rounding = 8 * np.finfo(x.dtype).eps if x.dtype == np.float32 else 8 * float(np.finfo(np.float32).eps)
    slack = _WHOLE + rounding * np.abs(counts) * (1 + np.abs(x))
    near = np.abs(counts - np.rint(counts)) <= np.minimum(slack, 0.25)
    return (small & near & ((np.rint(counts) > 0) == (x > 0))).all(1)


def _logarithms(x: np.ndarray) -> np.ndarray:
    if not (x > 0).all():
        raise InputError(f"x must be positive for log-normal noise; received {x.min():g}")
    return np.log(x.astype(np.float64))


def standardised(data: PerturbationData, transform: str = "none") -> StandardUnits:
    """Units of training data whose noise is Gaussian, or is after a logarithm."""
    if transform == "none":
        return StandardUnits(Scaling.of(data))
    from dataclasses import replace

    return StandardUnits(Scaling.of(replace(data, x=_logarithms(data.x))), "log")


def is_centred(x: Matrix) -> bool:
    """Whether the features of every cell add to zero, as those of centred log-ratios do."""
    return x.shape[1] > 2 and all(_adds_to_zero(dense(x[part])) for part in blocks(*x.shape))


def _adds_to_zero(x: np.ndarray) -> bool:
    size = np.abs(x).sum(1)
    return bool((np.abs(x.astype(np.float64).sum(1)) <= 1e-5 * np.maximum(size, 1e-30)).all())


def share_of_zeros(x: Matrix) -> tuple[float, float]:
    """The share of entries that are exactly zero, and of the commoner of the values next to zero on either side.

    Of features that are not zero throughout. Values that were rounded are zero about as often as next to it.
    """
    parts = list(blocks(*x.shape))
    above = np.min([np.where((v := dense(x[part])) > 0, v, np.inf).min(0) for part in parts], axis=0)
    below = np.max([np.where((v := dense(x[part])) < 0, v, -np.inf).max(0) for part in parts], axis=0)
    shares = [
        sum((dense(x[part]) == value).sum(0) for part in parts) / x.shape[0] for value in (np.zeros(1), above, below)
    ]
    zero = shares[0]
    beside = np.where(zero > 0, np.maximum(*shares[1:]), 0.0)
    told = zero < 1
    return (float(zero[told].mean()), float(beside[told].mean())) if told.any() else (0.0, 0.0)
