"""Leading principal components of cells that are long, without their covariance matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch

from pdae_sim import _random

_WIDE = 2048
"""Features up to which the covariance matrix is made and decomposed."""
_STEPS, _SPARE = 8, 8
"""Blocks of the Krylov space, and columns of a block beside half of the components."""

Blocks = Callable[[], Iterator[torch.Tensor]]
"""Passes through the cells once, block by block (m, d) in float64."""


def is_wide(d: int, k: int) -> bool:
    """Whether k components of cells with d features are found without their covariance."""
    return d > _WIDE and d > 2 * _STEPS * (k // 2 + _SPARE)


def leading_components(cells: Blocks, d: int, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The mean and variances (d,) of cells, and leading eigenvalues, ascending, and eigenvectors of their covariance.

    Block Lanczos with full reorthogonalisation: every step is one pass through the cells. What is asked for are k
    components; those beyond that come along are less exact.

    Args:
        cells: Cells (n, d) by blocks.
        d: Features.
        k: Components.

    Returns:
        Mean (d,), variances (d,), eigenvalues (m,) and eigenvectors (d, m) with m ≥ k.

    References:
        Musco & Musco (2015), Randomized block Krylov methods for stronger and faster approximate singular value
        decomposition, NeurIPS 28.
    """
    first = next(cells())
    n, total = 0, first.new_zeros(d)
    for x in cells():
        n, total = n + len(x), total + x.sum(0)
    mean, variances = total / n, first.new_zeros(d)
    for x in cells():
        variances += (x - mean).square_().sum(0) / max(n - 1, 1)

    def product(V: torch.Tensor) -> torch.Tensor:
        out = torch.zeros_like(V)
        for x in cells():
            out.addmm_((x := x - mean).T, x @ V)
        return out / max(n - 1, 1)

    start = _random.stream(_random.seed_sequence(0), "components").normal(size=(d, k // 2 + _SPARE))
    V = torch.linalg.qr(torch.from_numpy(start).to(first))[0]
    basis, images = first.new_empty(d, 0), first.new_empty(d, 0)
    for _ in range(_STEPS):
        image = product(V)
        basis, images = torch.cat([basis, V], 1), torch.cat([images, image], 1)
        for _ in range(2):
            image = image - basis @ (basis.T @ image)
        V = torch.linalg.qr(image)[0]
        V = torch.linalg.qr(V - basis @ (basis.T @ V))[0]
    inner = basis.T @ images
    values, turn = torch.linalg.eigh(0.5 * (inner + inner.T))
    found = mean, variances, values.clamp(min=0.0), basis @ turn
    mean_, variances_, values_, vectors_ = (each.cpu().numpy() for each in found)
    return mean_, variances_, values_, vectors_
