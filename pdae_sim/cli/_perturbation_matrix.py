"""Load W, true or fitted, for the commands that judge support."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import pdae_sim
from pdae_sim import analysis, io
from pdae_sim.cli._matching import check_match
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pdae_sim import PerturbationData
    from pdae_sim.analysis import ShiftError


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


def read_dataset(file: Path, model: Path | None) -> PerturbationData:
    """A dataset, without its X where no model is to be compared with it."""
    return io.read_labels(file) if model is None else pdae_sim.PerturbationData.read(file)


def load_perturbation_matrix(file: Path, model: Path | None, data: PerturbationData) -> KnownPerturbationMatrix | None:
    """A fitted model's W if there is one, else the file's true W if it was simulated."""
    if model is None:
        matrix = io.read_truth(file).isotropic().perturbation_matrix if io.has_truth(file) else None
        return None if matrix is None else KnownPerturbationMatrix(matrix, "truth")
    fitted = pdae_sim.PDAE.load(model)
    check_match(fitted, data, model, file)
    if _as_set(fitted.train_labels_) != _as_set(data.train.labels):
        raise InputError(f"{file}: its training conditions are not those that {model} was fitted on; fit it again")
    error = analysis.ShiftError.of(fitted.train_labels_, fitted.train_counts_, information=fitted.information_)
    free = fitted.plan_.architecture.stochastic and not fitted.observation_.noisy
    return KnownPerturbationMatrix(fitted.perturbation_matrix_, "model", error, guaranteed=not free)


def _as_set(labels: np.ndarray) -> set[tuple]:
    return {tuple(row) for row in (labels + 0.0).tolist()}
