"""Load W, true or fitted, for the commands that judge support."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import pdae_sim
from pdae_sim import analysis, io
from pdae_sim.cli._matching import read_matching
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pdae_sim import PDAE, PerturbationData
    from pdae_sim.analysis import ShiftError
    from pdae_sim.cli._options import DatasetOptions


@dataclass(frozen=True, eq=False)
class KnownPerturbationMatrix:
    """W (d_Z, K) in isotropic form.

    Args:
        matrix: W.
        source: ``truth`` or ``model``.
        error: Sampling error of an estimate.
        guaranteed: Whether its model class identifies labels in the span: not if the decoder's noise may have any law.
    """

    matrix: np.ndarray
    source: str
    error: ShiftError | None = None
    guaranteed: bool = True

    @property
    def information(self) -> np.ndarray | None:
        """J (d_Z, d_Z) of a fitted model; None where W is the truth."""
        return None if self.error is None else self.error.information

    @property
    def inflation(self) -> float:
        """The factor by which noise multiplies the variance of a shift per latent coordinate."""
        return 1.0 if self.error is None else self.error.inflation


def read_with_model(
    file: Path, options: DatasetOptions, folder: Path | None
) -> tuple[PerturbationData, KnownPerturbationMatrix | None]:
    """A dataset, without its X if no model is to be compared with it, and W: the model's, else the file's true one."""
    if folder is None:
        data = io.read_labels(file, **options)
        return data, _perturbation_matrix(file, None, None, data)
    model = pdae_sim.PDAE.load(folder)
    data = read_matching(model, folder, file, options)
    return data, _perturbation_matrix(file, folder, model, data)


def _perturbation_matrix(
    file: Path, folder: Path | None, fitted: PDAE | None, data: PerturbationData
) -> KnownPerturbationMatrix | None:
    """A fitted model's W if there is one, else the file's true W if it was simulated."""
    if fitted is None:
        matrix = io.read_truth(file).isotropic().perturbation_matrix if io.has_truth(file) else None
        known = matrix is not None and matrix.shape[1] == len(data.names)  # contexts are coordinates that it lacks
        return KnownPerturbationMatrix(matrix, "truth") if matrix is not None and known else None
    if _as_set(fitted.train_labels_) != _as_set(data.train.labels):
        raise InputError(f"{file}: its training conditions are not those that {folder} was fitted on; fit it again")
    error = analysis.ShiftError.of(fitted.train_labels_, fitted.train_counts_, information=fitted.information_)
    free = fitted.plan_.architecture.stochastic and not fitted.observation_.noisy
    return KnownPerturbationMatrix(fitted.perturbation_matrix_, "model", error, guaranteed=not free)


def _as_set(labels: np.ndarray) -> set[tuple]:
    return {tuple(row) for row in (labels + 0.0).tolist()}
