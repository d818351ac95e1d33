"""Load W, true or fitted, for the commands that judge support."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import pdae_sim
from pdae_sim import analysis, estimation, io
from pdae_sim.analysis import hypothesis_tests
from pdae_sim.cli._matching import read_matching, training_cells

if TYPE_CHECKING:
    from pdae_sim import PDAE, PerturbationData
    from pdae_sim.analysis import ShiftError
    from pdae_sim.cli._options import DatasetOptions
    from pdae_sim.estimation import HalfFits


_CELLS, _FEWEST, _CONDITIONS = 300, 20, 60
"""Cells of a condition whose spread is compared, at most and at least, and conditions at most."""
_LEVEL, _NAMED = 0.01, 3


@dataclass(frozen=True, eq=False)
class KnownPerturbationMatrix:
    """W (d_Z, K) in isotropic form.

    Args:
        matrix: W.
        source: ``truth`` or ``model``.
        error: Sampling error of an estimate.
        guaranteed: Whether its model class identifies labels in the span: not if the decoder's noise may have any law.
        spread: At which training conditions the spread of base latents changes, and what that costs; empty if at none.
        promise: How far predictions were off at training combinations left out, or that nobody knows.
        halves: The fitted model and its fits to halves of the cells, if it keeps any.
    """

    matrix: np.ndarray
    source: str
    error: ShiftError | None = None
    guaranteed: bool = True
    spread: str = ""
    promise: str = ""
    halves: tuple[PDAE, HalfFits] | None = None

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
    model, halves = pdae_sim.PDAE.load(folder), estimation.HalfFits.load(folder)
    data = read_matching(model, folder, file, options)
    known = _perturbation_matrix(file, folder, model, data)
    return data, replace(known, halves=(model, halves)) if known and halves else known


_ONE_ROW = "Conditions have hardly more than one row each, so that the error of Ŵ is not known: it is taken for true."


def _perturbation_matrix(
    file: Path, folder: Path | None, fitted: PDAE | None, data: PerturbationData
) -> KnownPerturbationMatrix | None:
    """A fitted model's W if there is one, else the file's true W if it was simulated."""
    if fitted is None:
        matrix = io.read_truth(file).isotropic().perturbation_matrix if io.has_truth(file) else None
        known = matrix is not None and matrix.shape[1] == len(data.names)  # contexts are coordinates that it lacks
        return KnownPerturbationMatrix(matrix, "truth") if matrix is not None and known else None
    assert folder is not None, "a fitted model has a folder"
    training_cells(fitted, data, folder, file)
    error = None
    promise = _promise(fitted)
    if int(fitted.train_counts_.sum()) - len(fitted.train_counts_) > len(fitted.perturbation_matrix_) + 1:
        error = analysis.ShiftError.of(fitted.train_labels_, fitted.train_counts_, information=fitted.information_)
    else:
        promise = f"{_ONE_ROW} {promise}"
    free = fitted.plan_.architecture.stochastic and not fitted.observation_.noisy
    W, spread = fitted.perturbation_matrix_, changing_spread(fitted)
    return KnownPerturbationMatrix(W, "model", error, guaranteed=not free, spread=spread, promise=promise)


def changing_spread(model: PDAE) -> str:
    """Training conditions at which the spread of base latents changes, by cells of the fit; empty if there are none."""
    parts = np.split(model.base_latents_, np.cumsum(model.train_counts_)[:-1])
    names = [model.space_.condition(label) for label in model.train_labels_]
    samples = {name: z[:_CELLS] for name, z in zip(names, parts, strict=True) if len(z) >= _FEWEST}
    if not 2 <= len(samples) <= _CONDITIONS:
        return ""
    tests = hypothesis_tests.spread_tests(samples, rng=0)
    changed = [test.in_words(name) for name, test in tests.items() if test.p_value <= _LEVEL]
    if not changed:
        return ""
    more = f"; and at {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
    return (
        f"Spread: {'; '.join(changed[:_NAMED])}{more}."
        " Labels in the span are then identified only if others that shift alone span the latents (theory, claim 2.18),"
        " what cells are worth is rough, and sources such as near-scaled predict with it."
    )


def _promise(model: PDAE) -> str:
    """What is known of the error of predictions before a held-out cell is seen."""
    if model.selection_ is not None:
        return f"Predictions by {model.selection_.in_words()}."
    unknown = "Predictions: how far they are off is not known, for no training combination was left out to learn it"
    return f"{unknown}." if model.composing_ is None else f"{unknown}; {model.composing_.in_words()}."
