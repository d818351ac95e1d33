"""Many fits of one shape at once: their parameters stacked, their steps batched, their streams apart.

Replicates may differ in seeds, data, rates and weights. None sees another: each has its own batches, draws and
clipping, so that it is the same, up to the rounding of batched products, whatever shares its bank.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch

from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError, TrainingError
from pdae_sim.estimation._bank import fit_bank, training_cells
from pdae_sim.estimation._losses import Step, perturbation
from pdae_sim.estimation._posterior import PosteriorNetwork
from pdae_sim.estimation._validation import canonical
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.presets import DEFAULT

_log = logging.getLogger(__name__)

_SHARE_JUDGED = min(phase.held_out for phase in DEFAULT.phases)
"""Share of each training condition that restarts are judged on: what the phases of the default keep out."""
_JUDGED = 2**22
"""Values of x decoded at once to judge a restart, about."""


def fit_replicates(models: Sequence[PDAE], data: Sequence[PerturbationData]) -> list[PDAE]:
    """Fit each model to its data, all at once.

    Args:
        models: Unfitted models of one architecture, device, β and plan, but for its rates and weights.
        data: The data of each; the same object may be given many times and is held once.

    Returns:
        The models, fitted.

    Raises:
        InputError: If the models or data differ in what a bank must have in common.
        TrainingError: If a loss or a gradient of any replicate is not finite.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> shifts = np.repeat([[0, 0, 0], [2, 0, 0], [0, 2, 0]], 100, axis=0)
        >>> x = np.random.default_rng(0).normal(size=(300, 3)) + shifts
        >>> data = PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "B"], 100))
        >>> quick = DEFAULT.shortened(3).phases
        >>> models = fit_replicates([PDAE(2, phases=quick, random_state=seed) for seed in range(3)], [data] * 3)
        >>> alone = PDAE(2, phases=quick, random_state=2).fit(data)
        >>> bool(np.abs(models[2].perturbation_matrix_ - alone.perturbation_matrix_).max() < 1e-3)
        True
    """
    if len(models) != len(data) or not models:
        raise InputError(f"models and data must be as many, and some; received {len(models)} and {len(data)}")
    if len({id(model) for model in models}) < len(models):
        raise InputError("models must be different objects, one for each replicate; the same one is given twice")
    fit_bank(models, data)
    return list(models)


def fit_restarts(models: Sequence[PDAE], data: PerturbationData) -> PDAE:
    """Fit models that differ in their seeds to the same data, all at once, and return the best.

    The best has the least perturbation energy loss, every training condition predicted from every other, or under noise
    the largest likelihood, on cells that no gradient step of any phase saw; scaling, start and whitening are of all
    training cells. Held-out conditions are never looked at.

    Args:
        models: Unfitted models, as in `fit_replicates`, whose phases keep cells out.
        data: The data of them all.

    Raises:
        InputError: If a phase keeps too few cells out, or training conditions are too small for it.
        TrainingError: If no model has a finite loss.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> shifts = np.repeat([[0, 0, 0], [2, 0, 0], [0, 2, 0]], 400, axis=0)
        >>> x = np.random.default_rng(0).normal(size=(1200, 3)) + shifts
        >>> data = PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "B"], 400))
        >>> phases = DEFAULT.shortened(3).phases
        >>> best = fit_restarts([PDAE(2, phases=phases, random_state=seed) for seed in range(2)], data)
        >>> best.random_state in (0, 1)
        True
    """
    for phase in (phase for model in models for phase in model._expected_plan().phases):
        if phase.steps and phase.held_out < _SHARE_JUDGED:
            raise InputError(
                f"restarts are judged on cells that no step saw; phase {phase.name!r} must have held_out of at least "
                f"{_SHARE_JUDGED}; received {phase.held_out}"
            )
    models = fit_replicates(models, [data] * len(models))
    losses = np.array(_losses_kept_out(models, canonical(data.train)))
    _log.info("restarts: %s", ", ".join(f"{loss:.5f}" for loss in losses))
    if not np.isfinite(losses).any():
        raise TrainingError("no restart has a finite loss on the cells kept out; lower the learning rate")
    return models[int(np.nanargmin(losses))]


@torch.no_grad()
def _losses_kept_out(models: Sequence[PDAE], data: PerturbationData) -> list[float]:
    """The perturbation loss of each model on the same cells; under noise minus their log-likelihood."""
    held_out = training_cells(models[:1], [data]).weighty().split_held_out(_SHARE_JUDGED)[1]
    if held_out is None:
        share = f"{_SHARE_JUDGED:.0%} of each training condition"
        raise InputError(f"restarts are judged on {share}; one has too few cells")
    x, labels = held_out
    b = int(np.clip(_JUDGED // (x.shape[1] ** 2 * x.shape[3]), 2, x.shape[2]))
    if x.shape[2] == 1:  # every cell is an environment of its own
        E = max(int((_JUDGED / x.shape[3]) ** 0.5), 2)
        x, labels = x[:, :E], labels[:, :E]
    return [_loss(model, x[:, :, :b], labels) for model in models]


def _loss(model: PDAE, x: torch.Tensor, labels: torch.Tensor) -> float:
    generator, network = torch.Generator(device=model.device).manual_seed(0), model._network
    if isinstance(network, PosteriorNetwork):
        return -float(network.bound(x, network.shifts(labels), [generator], network.draws).mean())
    return float(perturbation(Step(network, x, labels, model.beta, [generator])))
