"""Cells measured anew under a fitted observation model, to judge it by."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import repetitions
from pdae_sim._matrices import checked_matrix
from pdae_sim._random import SeedLike
from pdae_sim.errors import InputError
from pdae_sim.estimation import _posterior_prediction as prediction
from pdae_sim.labels import Condition

if TYPE_CHECKING:
    from pdae_sim.estimation.pdae import PDAE

_PROPOSALS = 64
"""Latents that one is picked from by weight: more than in a fit, for the pick to be a draw from the posterior."""


@checked_numbers
def remeasure(
    model: PDAE, x: np.ndarray, condition: Condition, *, draws: int = 99, rng: SeedLike = None
) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """Cells in the units of their measurement, and what a fitted model would measure in place of each.

    A latent z is drawn from the posterior of each cell; all new measurements are of this z, counts at the cell's own
    total, or at a draw of its library where that is a latent too. If cells have the law of the model, (z, x) has its
    joint law, hence x and new measurements of z are exchangeable, feature by feature, whatever the latents' part in the
    variation is.

    Args:
        model: A `PDAE` fitted under noise.
        x: (n, d_X) cells, in the units of the data.
        condition: What they were measured under.
        draws: New measurements of each cell.
        rng: Seed or generator.

    Returns:
        (n, d_X) cells, and as many arrays like it as there are draws: counts, or values standardised by feature; a zero
        of the table is 0.

    Raises:
        InputError: If the model is noiseless or x is not what it measures.

    References:
        Yuan & Johnson (2012), Goodness-of-fit diagnostics for Bayesian hierarchical models, Biometrics 68.

    Example:
        >>> from pdae_sim import PDAE, PerturbationData
        >>> x = np.random.default_rng(0).poisson(5.0, size=(60, 4))
        >>> data = PerturbationData.from_arrays(x, ["ctrl", "A"] * 30)
        >>> model = PDAE(1, observation="poisson", steps=2).fit(data)
        >>> counts, measured = remeasure(model, x[::2], "ctrl", draws=3, rng=0)
        >>> [bool((y.sum(1) == counts.sum(1)).all()) for y in measured]
        [True, True, True]
    """
    model._check_fitted()
    if not model.observation_.noisy:
        raise InputError("this PDAE is noiseless: it measures a cell in one way only; judge its decoder instead")
    repetitions("draws", draws)
    generator = model._generator(_random.seed_sequence(rng), "remeasure")
    x = checked_matrix("x", x, names=model.features_)
    measured = model._measured(x)
    shift = torch.from_numpy(model.perturbation_matrix_ @ model.space_.label(condition)).float().to(measured.device)
    (z, *_), (library, *_) = prediction.draw_under(model._posterior, measured, shift, generator, _PROPOSALS // 2)
    exposure = torch.from_numpy(prediction.exposure(model._units.exposure(x), library)[:, :1]).to(measured.device)
    zero = _zero(model).to(measured.device)

    def again() -> Iterator[np.ndarray]:
        with torch.no_grad():
            output = model._posterior.decoder(torch.from_numpy(z).to(measured)[None])
        for _ in range(draws):
            with torch.no_grad():
                drawn = model._posterior.likelihood.sample(output, [generator], exposure[None])[0]
            yield (drawn - zero).double().cpu().numpy()

    return (measured - zero).double().cpu().numpy(), again()


def _zero(model: PDAE) -> torch.Tensor:
    """(d_X,) a zero of the table in the units of the measurement; where there is none, 0."""
    d_X = len(model.features_)
    if model.observation_.name == "log_normal":
        return torch.zeros(d_X)
    return torch.from_numpy(model._units.forward(np.zeros((1, d_X)))[0])
