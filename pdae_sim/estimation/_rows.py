"""Cells that a fit reads by rows: all as one tensor where that is small, or sparse until a batch of them is drawn."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from pdae_sim.estimation._scaling import blocks

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from pdae_sim.estimation._measurement import Units

_VALUES = 2**25
"""Values of sparse cells up to which a fit holds them dense: 128 MiB."""


class SparseRows:
    """Cells (n, d_X) held as they are stored: rows come in the units of the measurement, on their device.

    Args:
        stored: The table.
        units: From its values to what was measured.
        device: Of what is drawn.

    Raises:
        InputError: If a cell cannot be measured in these units.
    """

    def __init__(self, stored: csr_array, units: Units, device: str | torch.device) -> None:
        self._stored, self._units, self.device = stored, units, torch.device(device)
        self.shape: tuple[int, int] = (int(stored.shape[0]), int(stored.shape[1]))
        for part in blocks(*self.shape):
            units.gathered(stored, part)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: torch.Tensor) -> torch.Tensor:
        """Cells (…, d_X) float32 of row numbers of any shape."""
        picked = self._units.gathered(self._stored, rows.flatten().cpu().numpy())
        return torch.from_numpy(picked).to(self.device).unflatten(0, rows.shape)


Rows = torch.Tensor | SparseRows


def held_sparse(shape: tuple[int, int]) -> bool:
    """Whether a fit draws its batches from a sparse table (n, d_X) as it is stored."""
    return math.prod(shape) > _VALUES
