"""The affine gauge of a learnt representation in closed form: base latents whitened, Ŵ by least squares on their means.

For latents y = g(x), model E[y | l_e] = c + V l_e and Cov[y | l_e] = C. Then z = C^{-1/2} (y − c) has base covariance I
and Ŵ = C^{-1/2} V. Environments weigh by their number of cells in the regression (the variance of a mean is C / n_e)
and by nothing else.
"""

from __future__ import annotations

import numpy as np
import torch

from pdae_sim.errors import InputError
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._cell_numbers import by_cells
from pdae_sim.estimation._components import is_wide, leading_components
from pdae_sim.estimation._networks import Network
from pdae_sim.estimation._rows import Rows
from pdae_sim.estimation._scaling import block_rows

_FLAT = 1e-13
"""Share of the largest variance below which a direction of float32 cells is rounding."""
_COLLAPSED = 1e-8
"""Share of the largest variance to which that of a latent that has collapsed is raised."""


def whiten(network: Network, cells: Cells) -> None:
    """Whiten the base latents of every replicate and refit its Ŵ, on all training cells; the decoder follows."""
    frames = [_frame(*_moments(network, cells, r)) for r in range(len(cells.rows))]
    matrix, offset, W = (torch.from_numpy(np.stack(part)).to(network.shift) for part in zip(*frames, strict=True))
    network.encoder.map.compose(matrix, offset)
    network.decoder.network.precompose(torch.linalg.inv(matrix), offset)
    with torch.no_grad():
        network.shift.copy_(W)


def init_pca(network: Network, cells: Cells) -> None:
    """Let the encoder of every replicate start as the leading principal components of its cells, scaled to variance 1.

    Only a charted encoder does; its hidden layers add nothing yet. Deep networks without a skip keep random starts.

    Raises:
        InputError: If the cells vary in fewer directions than there are latents.
    """
    chart, h = network.encoder.chart, network.encoder.map
    if chart is None:
        return
    d_Z = network.shift.shape[1]
    axes = [_components(cells, rows, d_Z) for rows in cells.rows]
    chart.init_linear(torch.from_numpy(np.stack(axes)).to(network.shift))
    h.init_linear(torch.eye(d_Z).to(network.shift).expand(len(axes), d_Z, d_Z))


def _components(cells: Cells, rows: tuple[np.ndarray, ...], d_Z: int) -> np.ndarray:
    """(d_X, d_Z) directions of the most variance, each divided by its standard deviation."""
    values, vectors = _spectrum(cells.x, torch.from_numpy(np.concatenate(rows)).to(cells.x.device), d_Z)
    leading, top = vectors[:, ::-1][:, :d_Z], values[::-1][:d_Z]
    signs = np.sign(leading[np.abs(leading).argmax(0), np.arange(d_Z)])
    varied = directions(values)
    if varied < d_Z:
        raise InputError(f"n_latents must not exceed {varied}, the directions in which x varies; received {d_Z}")
    return leading * signs / np.sqrt(top)


def directions(values: np.ndarray) -> int:
    """Directions in which cells vary by more than rounding, from the ascending eigenvalues of their covariance."""
    return int((values > _FLAT * values[-1]).sum()) if values[-1] > 0 else 0


def _spectrum(x: Rows, rows: torch.Tensor, d_Z: int) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, ascending, and eigenvectors of the covariance of the chosen rows; the leading ones of long rows."""
    if not is_wide(x.shape[1], d_Z):
        return np.linalg.eigh(_covariance(x, rows))
    parts = rows.split(block_rows(x.shape[1]))
    return leading_components(lambda: (x[part].double() for part in parts), x.shape[1], d_Z)[2:]


def _covariance(x: Rows, rows: torch.Tensor) -> np.ndarray:
    """(d_X, d_X) of the chosen rows in float64, block by block."""
    parts = rows.split(block_rows(x.shape[1]))
    nothing = torch.zeros(x.shape[1], dtype=torch.float64, device=x.device)
    mean = sum((x[part].double().sum(0) for part in parts), nothing) / len(rows)
    scatter = sum(((centred := x[part].double() - mean).T @ centred for part in parts), nothing)
    return (scatter / max(len(rows) - 1, 1)).cpu().numpy()


def _moments(network: Network, cells: Cells, r: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Labels (E, K), cells (E,), means (E, d_Z) and the pooled covariance within environments of a replicate."""
    counts, labels = np.array([len(rows) for rows in cells.rows[r]]), cells.labels[r].double().cpu().numpy()
    if by_cells(counts):
        latents = np.split(_encoded(network, cells, r, np.concatenate(cells.rows[r])), np.cumsum(counts)[:-1])
    else:
        latents = [_encoded(network, cells, r, rows) for rows in cells.rows[r]]
    means = np.array([z.mean(0) for z in latents])
    scatter = sum((z - mean).T @ (z - mean) for z, mean in zip(latents, means, strict=True))
    return labels, counts, means, covariance_within(labels, counts, means, scatter)


def covariance_within(labels: np.ndarray, counts: np.ndarray, means: np.ndarray, scatter: np.ndarray) -> np.ndarray:
    """(d, d) covariance within environments from the sum of squares (d, d) about their means (E, d).

    Environments of a cell or two leave nothing about their means: there it is about the regression on labels.
    """
    if not by_cells(counts):
        return scatter / (counts.sum() - len(counts))
    design = np.column_stack([np.ones(len(labels)), labels])
    residual = means - design @ regress_on_labels(labels, counts, means)
    left = counts.sum() - np.linalg.matrix_rank(design)
    return (scatter + (counts * residual.T) @ residual) / max(left, 1)


def regress_on_labels(labels: np.ndarray, counts: np.ndarray, means: np.ndarray) -> np.ndarray:
    """(1 + K, d_Z) intercept and slopes of environments' means (E, d_Z) on labels (E, K), weighed by cells (E,)."""
    weight = np.sqrt(counts)[:, None]
    design = np.column_stack([np.ones(len(labels)), labels])
    return np.linalg.lstsq(weight * design, weight * means, rcond=None)[0]


def _frame(
    labels: np.ndarray, counts: np.ndarray, means: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The map (C^{-1/2} for rows), the offset c and Ŵ."""
    found = regress_on_labels(labels, counts, means)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors / np.sqrt(np.maximum(values, _COLLAPSED * values[-1])) @ vectors.T
    return root, found[0], (found[1:] @ root).T


@torch.no_grad()
def _encoded(network: Network, cells: Cells, r: int, rows: np.ndarray) -> np.ndarray:
    """Latents of some cells under one replicate, float64."""
    one = network.encoder.only(r)
    parts = torch.from_numpy(rows).to(cells.x.device).split(block_rows(cells.x.shape[1]))
    latents = [one(cells.x[part][None])[0] for part in parts]
    return torch.cat(latents).double().cpu().numpy()
