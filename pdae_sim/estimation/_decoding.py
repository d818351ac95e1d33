"""Cells of latents: decoded in parts, measured, and put back into the units of the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from pdae_sim.errors import InputError
from pdae_sim.estimation._posterior import PosteriorNetwork
from pdae_sim.estimation._scaling import block_rows

if TYPE_CHECKING:
    from pdae_sim.estimation.pdae import PDAE


def decoded(model: PDAE, z: np.ndarray, exposure: np.ndarray, generator: torch.Generator) -> np.ndarray:
    """Cells (n, d_X) of latents (n, d_Z) of a fitted model, counts at the given totals and units.

    Raises:
        InputError: If latents are so far from those of training that the decoder gives no finite value.
    """
    network, totals = model._network, torch.as_tensor(exposure[:, :1]).to(model.device)
    parts = iter(totals.split(_rows(model)))

    def decoder(t: torch.Tensor) -> torch.Tensor:
        if isinstance(network, PosteriorNetwork):
            return network.measured(t, [generator], next(parts)[None])
        return network.decoder(t, [generator])

    with np.errstate(over="ignore"):
        cells = model._units.inverse(in_parts(model, decoder, z.astype(np.float32)), exposure)
    if not np.isfinite(cells).all():
        raise InputError(
            f"z is too far from the training latents to decode (up to {np.abs(z).max():.3g}); lower the dose"
        )
    return cells


def in_parts(model: PDAE, function: Callable[[torch.Tensor], torch.Tensor], values: np.ndarray) -> np.ndarray:
    """Apply a network to many rows without holding all of its activations."""
    parts = torch.as_tensor(values).split(_rows(model))
    with torch.no_grad():
        done = [function(part.to(model.device)[None])[0].cpu() for part in parts]
    return torch.cat(done).numpy().astype(np.float64)


def _rows(model: PDAE) -> int:
    return block_rows(max(len(model.features_), *model.plan_.architecture.hidden, 1))
