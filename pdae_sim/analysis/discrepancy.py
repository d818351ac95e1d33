"""Further distances between a predicted and a reference sample: MMD, the means' difference, R² of the mean."""

from __future__ import annotations

import numpy as np
import torch

from pdae_sim._checks import matrix
from pdae_sim.errors import InputError

_ROWS = 1024  # rows of a kernel matrix held at once


def mmd(predicted: np.ndarray, reference: np.ndarray, *, scales: tuple[float, ...] = (0.5, 1.0, 2.0)) -> float:
    """Unbiased squared maximum mean discrepancy, averaged over Gaussian kernels exp(−‖x − y‖² / (2 σ²)).

    Args:
        predicted: (n, d_X).
        reference: (m, d_X).
        scales: The bandwidths σ in units of the median positive distance within the first 1,000 rows of the reference,
            which are taken to be in random order.

    References:
        Gretton et al. (2012), A kernel two-sample test, JMLR 13, eq. 3.
    """
    x, y = (torch.from_numpy(np.ascontiguousarray(v)) for v in _pair(predicted, reference))
    distances = torch.pdist(y[:1000])
    distances = distances[distances > 0]
    if not len(distances):
        raise InputError("reference must vary for a kernel bandwidth; all of its distances are zero")
    median = float(distances.median())
    widths = [scale * median for scale in scales]
    n, m = len(x), len(y)
    within_x = (_kernel_sum(x, x, widths) - n) / (n * (n - 1))
    within_y = (_kernel_sum(y, y, widths) - m) / (m * (m - 1))
    return within_x + within_y - 2 * _kernel_sum(x, y, widths) / (n * m)


def mean_difference(predicted: np.ndarray, reference: np.ndarray) -> float:
    """‖mean of predicted − mean of reference‖, in the data's units."""
    x, y = _pair(predicted, reference)
    return float(np.linalg.norm(x.mean(0) - y.mean(0)))


def mean_r2(predicted: np.ndarray, reference: np.ndarray) -> float:
    """R² over coordinates of the predicted mean, NaN in 1-D; near 1 for useless models too: read it beside others'."""
    x, y = (v.mean(0) for v in _pair(predicted, reference))
    total = ((y - y.mean()) ** 2).sum()
    return float(1 - ((x - y) ** 2).sum() / total) if total > 0 else float("nan")


def _pair(predicted, reference) -> tuple[np.ndarray, np.ndarray]:
    y = matrix("reference", reference)
    x = matrix("predicted", predicted, columns=y.shape[1])
    if min(len(x), len(y)) < 2:
        raise InputError(f"predicted and reference need at least 2 rows; received {len(x)} and {len(y)}")
    return x, y


def _kernel_sum(x: torch.Tensor, y: torch.Tensor, widths: list[float]) -> float:
    """Σ_ij k(x_i, y_j), the kernel averaged over widths."""
    total = 0.0
    for rows in x.split(_ROWS):
        squared = torch.cdist(rows, y).square_()
        total += sum(float((squared / (-2 * width**2)).exp_().sum()) for width in widths)
    return total / len(widths)
