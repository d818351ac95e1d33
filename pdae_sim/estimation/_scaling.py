"""Scaling learnt in fit and undone in sample: a user never sees standardised units."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from pdae_sim._matrices import Matrix, dense
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._cell_numbers import by_cells, sits_out

BLOCK_ELEMENTS = 2**22
"""Values of x worked on at once wherever all cells are passed through: 32 MiB in float64."""
_LONG = 2048
"""Features of a cell from which on a block has a quarter of them: what is freed in small pieces is used again."""
BLOCK_ROWS = 65_536
"""And at most so many cells, whose hidden units may outnumber what is observed."""

_LEAST_DOSE = 1e-300  # effects of one unit of smaller doses are no numbers


@dataclass(frozen=True, eq=False)
class Scaling:
    """x ↦ (x − centre) / scale by coordinate; a constant coordinate keeps scale 1.

    Args:
        centre: (d_X,) means over environments of the environments' means.
        scale: (d_X,) root mean square departures from the centre, each environment weighing the same, or each cell
            where most environments have few.
    """

    centre: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, data: PerturbationData, *, centred: bool = True) -> Scaling:
        """The scaling of training data, every environment with the same weight."""
        mean = _by_environment(data, lambda x: x.sum(0))
        variance = _by_environment(data, lambda x: ((x - mean) ** 2).sum(0))
        floor = (4 * np.finfo(data.stored.dtype).eps * np.abs(mean)) ** 2  # what rounding alone would leave
        return cls(mean if centred else np.zeros_like(mean), np.where(variance > floor, np.sqrt(variance), 1.0))

    def forward(self, x: Matrix) -> np.ndarray:
        """Standardised float32 cells (n, d_X)."""
        return self.gathered(x, slice(None))

    def gathered(self, x: Matrix, rows: np.ndarray | slice) -> np.ndarray:
        """`forward` of the chosen rows of x, without a second copy of them: block by block, each in float64."""
        picked = np.arange(x.shape[0])[rows]
        out = np.empty((len(picked), x.shape[1]), np.float32)
        for part in blocks(*out.shape):
            out[part] = (dense(x[picked[part]]) - self.centre) / self.scale
        return out

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """Cells in the data's units, float64."""
        return x.astype(np.float64) * self.scale + self.centre


def blocks(n: int, columns: int) -> Iterator[slice]:
    """Slices that cover n rows, none of more than `BLOCK_ELEMENTS` values (16 rows at least, and a multiple of 16)."""
    rows = block_rows(columns)
    return (slice(start, min(start + rows, n)) for start in range(0, n, rows))


def block_rows(columns: int) -> int:
    """Rows of a block of so many columns: a multiple of 16, the stride of torch's normal draws on a CPU."""
    values = BLOCK_ELEMENTS if columns <= _LONG else BLOCK_ELEMENTS // 4
    return min(max(values // max(columns, 1) // 16, 1) * 16, BLOCK_ROWS)


def _by_environment(data: PerturbationData, statistic: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The mean over environments of the mean of their cells' statistics, summed (d_X,) block by block in float64."""
    sums = [
        sum(statistic(data.gathered(rows[part]).astype(np.float64)) for part in blocks(len(rows), data.stored.shape[1]))
        for rows in data.rows_by_environment
    ]
    means = [total / n for total, n in zip(sums, data.counts, strict=True)]
    return np.average(means, axis=0, weights=data.counts) if by_cells(data.counts) else np.mean(means, axis=0)


@dataclass(frozen=True, eq=False)
class LabelScaling:
    """Doses divided by the largest training dose of their perturbation: units of a dose are no input.

    Args:
        unit: (K,) largest absolute training dose; 1 for a perturbation never seen.
    """

    unit: np.ndarray

    @classmethod
    def of(cls, labels: np.ndarray, counts: np.ndarray | None = None) -> LabelScaling:
        """The scaling of training labels (E, K), if cells (E,) are given by those of conditions that have some."""
        largest = np.abs(labels).max(0)
        if counts is not None and (out := sits_out(counts)).any():
            kept = np.abs(labels[~out]).max(0)
            largest = np.where(kept > 0, kept, largest)
        if (tiny := largest[(largest > 0) & (largest < _LEAST_DOSE)]).size:
            raise InputError(
                f"doses must be at least {_LEAST_DOSE:g}; received {tiny[0]:g}; choose a smaller unit of dose"
            )
        return cls(np.where(largest > 0, largest, 1.0))

    def forward(self, labels: np.ndarray) -> np.ndarray:
        """Labels in internal units."""
        return labels / self.unit

    def rank(self, labels: np.ndarray, *, at_most: int) -> int:
        """Dimensions in which the training labels (E, K) move, from 1 to `at_most`."""
        return int(np.clip(np.linalg.matrix_rank(self.forward(labels - labels[0])), 1, at_most))

    def matrix(self, internal: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Ŵ in the units of the labels, its rows projected on the span of the training labels.

        What lies outside that span was never fitted; it is set to zero rather than left at its starting value.
        """
        rows = self.forward(labels)
        return internal @ np.linalg.pinv(rows) @ rows / self.unit
