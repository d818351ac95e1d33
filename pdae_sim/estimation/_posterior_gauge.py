"""Start and gauge of latents under noise, in closed form.

Start: principal components of the encoder's inputs, whitened within environments, as a linear factor model; its
decoder, its posterior and its Ŵ are those of the networks before their first step. Gauge, after training: with
posterior means m_i and covariances S_i the latents have the covariance C = E S + Cov m within environments. They are
whitened by it, and Ŵ is refitted by least squares of the moments, with a step of Fisher scoring: what a posterior
leaves of a shift is the share J = I − E S of it, so the score of the means is divided by J.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from pdae_sim.errors import InputError
from pdae_sim.estimation._batches import Cells, by_environment
from pdae_sim.estimation._components import is_wide, leading_components
from pdae_sim.estimation._networks import MLP
from pdae_sim.estimation._posterior import PosteriorNetwork
from pdae_sim.estimation._scaling import block_rows
from pdae_sim.estimation._whitening import covariance_within, directions, regress_on_labels

_LEAST_SHARE = 0.02
"""Of a variance that the leading components leave, at least."""
_LEAST_SIGNAL = 0.1
"""Least share of the variance of a component within environments that is taken for signal; the rest is noise."""
_LOOKED_AT, _VALUES = 20_000, 2**24
"""Cells that the scale of inputs is learnt from, and their values where cells are long."""
_DRAWS = 32
"""Weighted draws that a posterior is refitted from."""
_DECODED, _FEWEST = 2**30, 8
"""Values decoded at most for the posteriors of all cells, and draws of each at least."""
_OWN_PRECISION = 10.0
"""Precision at the start of latents that a cell has of its own."""
_LEAST_INFORMATION = 0.05
"""Least share of the information in a direction: below it a step of scoring would be noise."""


@torch.no_grad()
def start_linear(network: PosteriorNetwork, cells: Cells) -> None:
    """Let every replicate start as the factor model of the leading principal components of its cells.

    Raises:
        InputError: If the cells vary in fewer directions than there are latents.
    """
    most = min(_LOOKED_AT, max(_VALUES // cells.x.shape[1], 2000))
    some = [rows[:: max(len(rows) // most, 1)] for rows in (by_environment(r)[0] for r in cells.rows)]
    network.likelihood.learn_inputs([cells.x[torch.from_numpy(rows).to(cells.x.device)] for rows in some])
    models = [_factor_model(network, cells, r) for r in range(len(cells.rows))]
    loadings, scores, offset, middle, residual, W, mean, components = (
        torch.from_numpy(np.stack(part)).to(network.shift) for part in zip(*models, strict=True)
    )
    network.likelihood.start(mean, residual)
    bias, weights = network.likelihood.linear_start(mean, loadings)
    network.decoder.init_linear(weights)
    _bias(network.decoder, bias - (middle[:, None] @ weights)[:, 0])
    if network.encoder.axes is not None:
        axes = components[..., : network.encoder.axes.shape[2]]
        network.encoder.axes.copy_(axes)
        scores = (axes.mT @ scores) / axes.square().sum(1)[..., None]  # the axes are orthogonal, and span the scores
    _start_encoder(network, loadings, scores, offset, residual)
    network.shift.copy_(W)


def _start_encoder(
    network: PosteriorNetwork,
    loadings: torch.Tensor,
    scores: torch.Tensor,
    offset: torch.Tensor,
    residual: torch.Tensor,
) -> None:
    """The posterior of the factor model: h linear in the inputs, Λ one matrix for all cells.

    What a cell has of its own is the input that is near it.
    """
    d_Z, n_own = loadings.shape[1], network.likelihood.n_own
    d = d_Z + n_own
    root = _OWN_PRECISION**0.5 * torch.eye(d).to(loadings).repeat(len(loadings), 1, 1)
    certain = (loadings / residual[:, None]) @ loadings.mT + 1e-4 * torch.eye(d_Z).to(loadings)
    root[:, :d_Z, :d_Z] = torch.linalg.cholesky(certain)
    entries = network.encoder.entries(root)
    softplus_inverse = torch.log(torch.expm1(entries.clamp(1e-2, 20.0)))
    entries = torch.where(network.encoder.on_diagonal, softplus_inverse, entries)
    weights = scores.new_zeros(len(scores), scores.shape[1] + n_own, d + entries.shape[1])
    weights[:, : scores.shape[1], :d_Z] = scores
    weights[:, scores.shape[1] :, d_Z:d] = torch.eye(n_own).to(weights)
    network.encoder.network.init_linear(weights)
    _bias(network.encoder.network, torch.cat([offset, offset.new_zeros(len(offset), n_own), entries], -1))


def _bias(network: MLP, bias: torch.Tensor) -> None:
    network.biases[-1].copy_(bias[:, None])


def _factor_model(network: PosteriorNetwork, cells: Cells, r: int) -> tuple[np.ndarray, ...]:
    """Loadings (d, n_inputs), scores, latents of input 0 and of the mean, residuals, Ŵ, mean cell, components."""
    d = network.shift.shape[1]
    rows, environment = by_environment(cells.rows[r])
    needed = d if network.encoder.axes is None else network.encoder.axes.shape[2]
    mean_cell, mean, variances, values, vectors = _spectrum(network, cells, r, needed)
    if (varied := directions(values)) < d:
        raise InputError(f"n_latents must not exceed {varied}, the directions in which x varies; received {d}")
    axes, leading = vectors[:, ::-1][:, :d], values[::-1][:d]
    raw = np.concatenate([x.double().cpu().numpy() @ axes for x in _inputs(network, cells, r, rows)])
    counts = np.bincount(environment)
    means = np.array([np.bincount(environment, raw[:, j]) / counts for j in range(d)]).T
    centred = raw - means[environment]
    labels = cells.labels[r].double().cpu().numpy()
    spread, turn = np.linalg.eigh(covariance_within(labels, counts, means, centred.T @ centred))
    noise = (variances.sum() - leading.sum()) / (len(variances) - d) if d < len(variances) else 0.0
    scale = np.sqrt(np.maximum(spread - noise, _LEAST_SIGNAL * np.maximum(spread, 1e-6 * spread[-1])))
    whitening, colouring = turn / scale @ turn.T, turn * scale @ turn.T
    found = regress_on_labels(labels, counts, means @ whitening)
    left = np.maximum(variances - axes**2 @ leading, _LEAST_SHARE * variances + 1e-4)
    scores = axes @ whitening  # z = input @ scores + offset, input = mean + (z − middle) @ loadings
    offset = -found[0]
    components = vectors[:, ::-1] / np.sqrt(np.maximum(values[::-1], 1e-12 * values[-1]))
    middle = mean @ scores + offset
    return colouring @ axes.T, scores, offset, middle, left, found[1:].T, mean_cell, components


def _spectrum(
    network: PosteriorNetwork, cells: Cells, r: int, needed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Mean cell (d_X,); mean and variances (d,) of the encoder's inputs, eigenvalues and vectors of their covariance.

    Where inputs are many these are the leading ones, as many as are needed or some more.
    """
    rows, d = by_environment(cells.rows[r])[0], network.likelihood.n_inputs
    if not is_wide(d, needed):
        mean_cell, mean, total = _moments(network, cells, r, rows)
        return mean_cell, mean, np.diag(total), *np.linalg.eigh(total)
    parts = torch.from_numpy(rows).split(block_rows(cells.x.shape[1]))
    mean_cell = np.zeros(cells.x.shape[1])
    for part in parts:
        mean_cell += cells.x[part.to(cells.x.device)].double().sum(0).cpu().numpy() / len(rows)
    found = leading_components(lambda: (x.double() for x in _inputs(network, cells, r, rows)), d, needed)
    return mean_cell, *found


def _moments(
    network: PosteriorNetwork, cells: Cells, r: int, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean cell (d_X,), mean and covariance of the encoder's inputs, in float64."""
    n, d_X, d = len(rows), cells.x.shape[1], network.likelihood.n_inputs
    mean_cell, mean, square = (np.zeros(shape) for shape in (d_X, d, (d, d)))
    for part in torch.from_numpy(rows).split(block_rows(d_X)):
        x = cells.x[part.to(cells.x.device)]
        u = _of(network, r, x).double()
        mean_cell += x.double().sum(0).cpu().numpy() / n
        mean += u.sum(0).cpu().numpy() / n
        square += (u.T @ u).cpu().numpy() / n
    return mean_cell, mean, (square - np.outer(mean, mean)) * (n / max(n - 1, 1))


def _inputs(network: PosteriorNetwork, cells: Cells, r: int, rows: np.ndarray) -> Iterator[torch.Tensor]:
    for part in torch.from_numpy(rows).split(block_rows(cells.x.shape[1])):
        yield _of(network, r, cells.x[part.to(cells.x.device)])


def _of(network: PosteriorNetwork, r: int, x: torch.Tensor) -> torch.Tensor:
    """Inputs of cells (n, d_X) for one replicate, without those near what a cell has of its own.

    The transform of a replicate is its own.
    """
    law = network.likelihood
    return law.inputs(x.expand(law.replicates, *x.shape))[r, :, : law.n_inputs]


@torch.no_grad()
def settle(network: PosteriorNetwork, cells: Cells) -> None:
    """Whiten the base latents of every replicate by their posterior moments, and refit its Ŵ."""
    found = [_settled(network, cells, r) for r in range(len(cells.rows))]
    matrix, offset, W = (torch.from_numpy(np.stack(part)).to(network.shift) for part in zip(*found, strict=True))
    network.encoder.compose(matrix, offset)
    network.decoder.precompose(torch.linalg.inv(matrix), offset)
    network.shift.copy_(W)


def _settled(network: PosteriorNetwork, cells: Cells, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The map of rows of latents, the latent that becomes 0, and Ŵ, for one replicate."""
    moments = posterior_moments(network, cells, r)
    labels = cells.labels[r].double().cpu().numpy()
    W = network.shift[r].double().cpu().numpy()
    means = np.array([m.mean(0) for m, _ in moments])
    counts = np.array([len(m) for m, _ in moments])
    scatter = sum((m - m.mean(0)).T @ (m - m.mean(0)) for m, _ in moments)
    left = sum(S.sum(0) for _, S in moments) / counts.sum()
    J = np.eye(len(W)) - left
    values, vectors = np.linalg.eigh(0.5 * (J + J.T))
    gain = vectors / np.clip(values, _LEAST_INFORMATION, 1.0) @ vectors.T
    score = regress_on_labels(labels, counts, means - labels @ W.T) @ gain
    spread, turn = np.linalg.eigh(covariance_within(labels, counts, means, scatter) + left)
    matrix = turn / np.sqrt(spread) @ turn.T
    return matrix, score[0], matrix @ (W + score[1:].T)


@torch.no_grad()
def posterior_moments(network: PosteriorNetwork, cells: Cells, r: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Means (n_e, d) and covariances (n_e, d, d) of the latents of every cell given its label, by environment."""
    one, draws = network.only(r), draws_within(_DRAWS, cells, r)
    generator = torch.Generator(device=cells.x.device).manual_seed(0)
    means, covariances = [], []
    for rows, environments in cells.parts(r, max(block_rows(cells.x.shape[1]) // draws, 16)):
        shifts = one.shifts(cells.labels[r : r + 1, environments])
        mean, covariance = one.moments(cells.x[rows][None], shifts, [generator], draws)
        means.append(mean.flatten(0, 2).double().cpu().numpy())
        covariances.append(covariance.flatten(0, 2).double().cpu().numpy())
    ends = np.cumsum([len(rows) for rows in cells.rows[r]])[:-1]
    split = (np.split(np.concatenate(each), ends) for each in (means, covariances))
    return list(zip(*split, strict=True))


def draws_within(wanted: int, cells: Cells, r: int) -> int:
    """Weighted draws of the posterior of every training cell: fewer than wanted where cells are many and long."""
    values = sum(len(rows) for rows in cells.rows[r]) * cells.x.shape[1]
    return min(wanted, max(_DECODED // values, _FEWEST))
