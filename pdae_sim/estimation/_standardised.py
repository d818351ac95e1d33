"""Training data with the units of its cells and doses, learnt in fit and undone in sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._cell_numbers import tell, weighty
from pdae_sim.estimation._measurement import Units, standardised
from pdae_sim.estimation._scaling import LabelScaling
from pdae_sim.estimation._validation import canonical, fittable


@dataclass(frozen=True, eq=False)
class Standardised:
    """Training data in an order that is a function of their labels, with the units learnt from them.

    Args:
        data: The training environments, but for those of so few cells that they sit out.
        units: Of the cells.
        label_scaling: Of the doses.
    """

    data: PerturbationData
    units: Units
    label_scaling: LabelScaling

    @classmethod
    def of(cls, data: PerturbationData, units_of: Callable[[PerturbationData], Units] = standardised) -> Standardised:
        """Learn the units from the training environments; held-out ones are never looked at.

        Args:
            data: The data.
            units_of: The units of the cells of training data; standardised values by default.

        Raises:
            InputError: If there are fewer than two training conditions.
        """
        tell(fittable(data))
        data = weighty(canonical(data.train))
        return cls(data, units_of(data), LabelScaling.of(data.labels))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """d_X, K and E."""
        return self.data.stored.shape[1], self.data.labels.shape[1], len(self.data.labels)

    def doses(self, labels: np.ndarray) -> torch.Tensor:
        """Labels (…, K) in internal units; a perturbation never seen in training has dose 0, hence no effect."""
        seen = (self.data.labels != 0).any(0)
        return torch.tensor(self.label_scaling.forward(labels) * seen, dtype=torch.float32)

    def cells(self, random_state: int, device: torch.device | str) -> Cells:
        """The standardised training cells, as a bank of one replicate."""
        root = _random.child(_random.seed_sequence(random_state), "training")
        x = torch.from_numpy(self.units.forward(self.data.stored)).to(device)
        return Cells(x, self.doses(self.data.labels)[None].to(device), (self.data.rows_by_environment,), (root,))

    def restored(self, x: torch.Tensor, condition: object, exposure: np.ndarray | None = None) -> np.ndarray:
        """Cells (n, d_X) in the data's units, float64.

        Args:
            x: In the units of the measurement.
            condition: What they are predicted at, for the message.
            exposure: (n, 2) total of each cell and unit of its transform, where the units have them.

        Raises:
            InputError: If a value is not finite.
        """
        if not x.isfinite().all():
            raise InputError(f"{condition!r} is too far from the training labels to predict; lower the dose")
        return self.units.inverse(x.cpu().numpy(), exposure)
