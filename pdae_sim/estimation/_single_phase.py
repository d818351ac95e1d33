"""Estimators with networks and a loss of their own, trained in one phase."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from os import PathLike
from typing import Self

import torch

from pdae_sim._checks import whole
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._base import BaseEstimator
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._cell_numbers import by_cells
from pdae_sim.estimation._checkpoint import Checkpoint
from pdae_sim.estimation._losses import PARTS
from pdae_sim.estimation._measurement import Units, standardised
from pdae_sim.estimation._standardised import Standardised
from pdae_sim.estimation._training import Objective, train
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.phases import Phase, Progress


class SinglePhaseEstimator(BaseEstimator):
    """What such estimators share: a fit with checkpoints, early stopping and a history."""

    architecture: Architecture
    phase: Phase
    random_state: int
    device: str | torch.device
    history_: list[dict]
    _standardised: Standardised

    @abstractmethod
    def _objective(self, cells: Cells) -> Objective:
        """The networks before their first step, and their losses."""

    def _units_of(self, data: PerturbationData) -> Units:
        """The units of the cells of training data."""
        return standardised(data)

    def _finish(self) -> None:
        """What is kept of the networks after the last step."""

    def fit(
        self,
        data: PerturbationData,
        *,
        checkpoint: str | PathLike | None = None,
        on_step: Callable[[Progress], None] | None = None,
    ) -> Self:
        """Fit on the training environments of `data`; held-out ones are never looked at.

        Args:
            data: The data.
            checkpoint: A file to save progress to and, if it is there and belongs to this fit, to resume from.
            on_step: Called with the progress after every step.

        Raises:
            InputError: If `data` cannot be fitted.
            TrainingError: If a loss or gradient is not finite, named with step and term.
        """
        self._standardised = Standardised.of(data, self._units_of)
        cells = self._standardised.cells(self.random_state, self.device)
        saved = None if checkpoint is None else Checkpoint(checkpoint, cells, self._identity())
        counts = self._standardised.data.counts
        phase = self.phase.by_cells(len(counts)) if by_cells(counts) else self.phase
        (self.history_,) = train(self._objective(cells), cells, [(phase,)], checkpoint=saved, on_step=on_step)
        self.space_ = self._standardised.data.space
        self._finish()
        return self

    def _identity(self) -> dict[str, str]:
        """All that a fit depends on beside its data."""
        settings = {name: repr(value) for name, value in self.get_params().items() if name != "device"}
        return settings | {"estimator": type(self).__name__}

    def _check_parameters(self) -> None:
        whole("random_state", self.random_state, at_least=0)
        torch.device(self.device)
        if self.architecture.output != "linear":
            raise InputError(f"architecture.output must be linear here; received {self.architecture.output!r}")
        whole("phase.steps", self.phase.steps)
        phase = self.phase
        if phase.weights or phase.learns != PARTS or phase.sampling != "environments" or phase.whiten:
            raise InputError(
                f"phase: {type(self).__name__} has a loss of its own and batches by environment; leave out weights, "
                "learns, sampling and whiten"
            )
