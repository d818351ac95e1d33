"""Latents of cells under a fitted observation model: encoded, drawn, and what the noise leaves of their information."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._networks import normal
from pdae_sim.estimation._posterior import PosteriorNetwork, combined, weighted_moments
from pdae_sim.estimation._rows import Rows
from pdae_sim.estimation._scaling import block_rows

_DRAWS = 16
"""Posterior draws that one is picked from by weight."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """One posterior draw of the latents of every training cell, environment by environment.

    Args:
        latents: (n, d_Z).
        library: (n, 1) draws of the libraries of the cells, or (n, 0) where the law has none.
        information: (d_Z, d_Z) J = I − E Cov(z | x), of cells as they are.
        by_environment: (E, d_Z, d_Z) the same of each environment.
    """

    latents: np.ndarray
    library: np.ndarray
    information: np.ndarray
    by_environment: np.ndarray


@torch.no_grad()
def draw_training(network: PosteriorNetwork, cells: Cells, seed: int) -> Drawn:
    """Draws of a bank of one, each given its cell and its label."""
    generator = torch.Generator(device=cells.x.device).manual_seed(seed)
    drawn, counts, d_Z = [], np.array([len(rows) for rows in cells.rows[0]]), network.d_Z
    left = np.zeros((len(counts), d_Z, d_Z))
    for rows, environments in cells.parts(0, _block(cells.x)):
        z, log_weight = network.weighed(
            cells.x[rows][None], network.shifts(cells.labels[:, environments]), [generator], _DRAWS
        )
        np.add.at(left, environments, weighted_moments(z[..., :d_Z], log_weight)[1].sum((0, 2)).double().cpu().numpy())
        drawn.append(network.picked(z, log_weight, [generator])[0].flatten(0, 1))
    left /= counts[:, None, None]
    eye = np.eye(d_Z)
    pooled = np.tensordot(counts / counts.sum(), left, 1)
    return Drawn(*apart(network, torch.cat(drawn)), eye - pooled, eye - left)


@torch.no_grad()
def apart(network: PosteriorNetwork, latents: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """z (…, d_Z) of drawn latents (…, d), and the libraries (…, 1) of the cells, or (…, 0) where the law has none."""
    z, own = latents.split([network.d_Z, network.likelihood.n_own], -1)
    library = network.likelihood.library(own[None])[0]
    return z.double().cpu().numpy(), library.double().cpu().numpy()


def exposure(measured: np.ndarray, library: np.ndarray) -> np.ndarray:
    """Exposures of cells: the total and unit (n, 2) measured, or the library (n, 1), if there is one, in its place."""
    return np.column_stack([library, measured[:, 1:]]).astype(np.float32) if library.shape[1] else measured


@torch.no_grad()
def draw_under(
    network: PosteriorNetwork, x: torch.Tensor, shift: torch.Tensor, generator: torch.Generator, draws: int
) -> tuple[np.ndarray, np.ndarray]:
    """(k, n, d_Z) posterior draws of cells (n, d_X) of one condition, for its shift (d_Z,), and their libraries."""
    found = x.new_empty(draws, len(x), network.encoder.d)
    for part in _parts(np.arange(len(x)), x):
        z, log_weight = network.weighed(x[part][None, None], shift[None, None], [generator], max(_DRAWS, 2 * draws))
        found[:, part] = _by_weight(z[0, 0], log_weight[0, 0], draws, generator)
    return apart(network, found)


@torch.no_grad()
def encode(
    network: PosteriorNetwork,
    x: torch.Tensor,
    shifts: torch.Tensor,
    share: np.ndarray,
    draws: int | None,
    generator: torch.Generator,
) -> np.ndarray:
    """Posterior means (n, d_Z), or draws (k, n, d_Z), of cells whose condition is not said.

    The prior is the mixture of those of the training environments: each has a share, which the potential of a cell
    weighs by its evidence. Draws are then picked by the ratio of likelihood and potential.

    Args:
        network: A bank of one.
        x: (n, d_X) measured cells.
        shifts: (E, d_Z) means of the latents in the training environments.
        share: (E,) their shares of the mixture.
        draws: How many, or None for means.
        generator: Of the draws.
    """
    log_share, shifts = torch.as_tensor(np.log(share)).to(x), network.prior(shifts)
    found = []
    for part in _parts(np.arange(len(x)), x):
        h, L = network.encoder(network.likelihood.inputs(x[part][None]))
        mean, root = combined(h[0, :, None], L[0, :, None], shifts)  # (n, E, d)
        precise = (root.mT @ mean[..., None])[..., 0].square().sum(-1)
        log_weight = log_share + 0.5 * (precise - shifts.square().sum(-1))
        weight = torch.softmax(log_weight, -1)
        if draws is None:
            found.append((weight[..., None] * mean).sum(1)[None])
        else:
            z = _proposed(mean, root[:, 0], weight, max(_DRAWS, 2 * draws), generator)
            log_ratio = network.log_prob(x[part][None, :, None], z[None])[0]
            log_ratio = log_ratio + 0.5 * ((z - h[0, :, None]) @ L[0]).square().sum(-1)
            found.append(_by_weight(z, log_ratio, draws, generator))
    latents = torch.cat(found, 1) if found else x.new_empty(draws or 1, 0, network.encoder.d)
    values = latents[..., : network.d_Z].double().cpu().numpy()
    return values[0] if draws is None else values


def _by_weight(z: torch.Tensor, log_weight: torch.Tensor, draws: int, generator: torch.Generator) -> torch.Tensor:
    """(draws, n, d) of latents (n, k, d), picked with replacement by log weights (n, k)."""
    share = torch.softmax(log_weight, -1)
    picked = torch.multinomial(share, draws, replacement=True, generator=generator)
    return z.gather(1, picked[..., None].expand(*picked.shape, z.shape[-1])).transpose(0, 1)


def _proposed(
    mean: torch.Tensor, root: torch.Tensor, weight: torch.Tensor, draws: int, generator: torch.Generator
) -> torch.Tensor:
    """Draws (n, k, d) of mixtures of Gaussians of means (n, E, d), precisions root rootᵀ (n, d, d), weights (n, E)."""
    e = torch.multinomial(weight, draws, replacement=True, generator=generator)
    picked = mean.gather(1, e[..., None].expand(*e.shape, mean.shape[-1]))
    noise = normal(picked.shape, [generator], picked)[0]
    return picked + torch.linalg.solve_triangular(root.mT, noise.mT, upper=True).mT


def _parts(rows: np.ndarray, x: torch.Tensor) -> Iterator[torch.Tensor]:
    """Rows in blocks small enough that every draw of a block is decoded at once."""
    yield from torch.from_numpy(rows).to(x.device).split(_block(x))


def _block(x: Rows) -> int:
    """Cells of which every draw is decoded at once."""
    return max(block_rows(x.shape[1]) // _DRAWS, 16)
