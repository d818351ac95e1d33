"""Where commands that judge support have W from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pdae_sim.analysis.support import ShiftError
from pdae_sim.cli._matching import check_match
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.errors import InputError
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.io import _anndata as io


@dataclass(frozen=True, eq=False)
class Shifts:
    """W in isotropic form, where it is from, and its sampling error if it is an estimate."""

    perturbation_matrix: np.ndarray
    source: str
    error: ShiftError | None

    @classmethod
    def known(cls, file: Path, model: Path | None, data: PerturbationData) -> Shifts | None:
        """A model's estimate where one is given, else the file's truth where there is one."""
        if model is None:
            has = io.has_truth(file)
            return cls(Simulation.read(file).truth.isotropic().perturbation_matrix, "truth", None) if has else None
        fitted = PDAE.load(model)
        check_match(fitted, data, model, file)
        if _as_set(fitted.train_labels_) != _as_set(data.train.labels):
            raise InputError(f"{file}: its training conditions are not those that {model} was fitted on; fit it again")
        return cls(fitted.perturbation_matrix_, "model", ShiftError.of(fitted.train_labels_, fitted.train_counts_))


def _as_set(labels: np.ndarray) -> set[tuple]:
    return {tuple(row) for row in (labels + 0.0).tolist()}
