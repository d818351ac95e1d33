"""Energy distance and energy score: exact, in blocks that stay in cache, with gradients that are zero at ties.

For β in (0, 2), with X, X' ~ P and Y, Y' ~ Q independent,

    ED(P, Q) = 2 E‖X − Y‖^β − E‖X − X'‖^β − E‖Y − Y'‖^β  ≥ 0,   zero iff P = Q,
    ES(P, x) = ½ E‖X − X'‖^β − E‖X − x‖^β,   maximal in expectation at the true law.

ED is neither halved nor rooted. The V-statistic averages over all pairs and is non-negative; the U-statistic leaves out
the pairs of a sample with itself, is unbiased and may be negative. Arrays give floats, tensors tensors with gradients.

References:
    Székely & Rizzo (2013), Energy statistics, J. Stat. Plan. Inference 143; Gneiting & Raftery (2007), JASA 102.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import between, matrix
from pdae_sim.errors import InputError

_BLOCK_ELEMENTS = 2**19  # pairs held at once, over all batches: 2–4 MiB, within a core's cache
_ON_A_CARD = 32  # times as many there, where starting to work on a block takes as long as 2¹⁹ pairs do
_REPAIRED_ELEMENTS = 2**20  # coordinates of differences held at once
_DIRECT_DIMENSION = 3  # up to here differences are as cheap as a matrix product
_CANCELLED = {torch.float32: 2e-3, torch.float64: 1e-6}  # ‖x−y‖² below this share of ‖x‖²+‖y‖² is recomputed


@checked_numbers
def energy_distance(
    x: np.ndarray | torch.Tensor,
    y: np.ndarray | torch.Tensor,
    beta: float = 1.0,
    *,
    unbiased: bool = False,
    on_block: Callable[[float], None] | None = None,
) -> float | torch.Tensor:
    """2 E‖X−Y‖^β − E‖X−X'‖^β − E‖Y−Y'‖^β between two samples.

    Args:
        x: (n, d) sample of P.
        y: (m, d) sample of Q.
        beta: Exponent in (0, 2).
        unbiased: The U-statistic instead of the V-statistic; needs n, m ≥ 2.
        on_block: Called with the share of pairs that are done after every block, as for a progress bar: of 200,000
            and 200,000 rows there are 8 · 10¹⁰.

    Returns:
        A float for arrays; for tensors a 0-d tensor with gradients.

    Raises:
        InputError: If shapes disagree, a value is not finite or `beta` is outside (0, 2).

    References:
        Székely & Rizzo (2013), eq. 5 (E_α, not its root).

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(500, 3))
        >>> energy_distance(x, x + 1.0) > 10 * energy_distance(x, x[::-1])
        True
    """
    x, y, as_float = _pair(x, y)
    between("beta", beta, 0.0, 2.0)
    x, y = x - (centre := y.detach().mean(0)), y - centre
    n, m = len(x), len(y)
    tell = None if on_block is None else _Share(n * m + (n * n + m * m) // 2, on_block).add
    cross = _distance_sum(x, y, beta, tell) / (n * m)
    value = 2 * cross - _self_mean(x, beta, unbiased, "x", tell) - _self_mean(y, beta, unbiased, "y", tell)
    if not torch.isfinite(value):
        raise InputError(f"x and y hold values too large for {x.dtype}; rescale them")
    value = value if unbiased else _without_rounding(value, cross)
    return float(value) if as_float else value


@checked_numbers
def energy_score(
    samples: np.ndarray | torch.Tensor,
    x: np.ndarray | torch.Tensor,
    beta: float = 1.0,
    *,
    unbiased: bool = False,
) -> np.ndarray | torch.Tensor:
    """½ E‖X−X'‖^β − E‖X−x‖^β at each observation; higher is better. Gradients: see `energy_loss`.

    Args:
        samples: (n, d) sample of the predicted law P.
        x: (m, d) observations.
        beta: Exponent in (0, 2).
        unbiased: Average ‖X−X'‖^β over distinct pairs only.

    Returns:
        (m,) scores, in the units of a distance to the power β.

    Raises:
        InputError: If shapes disagree, a value is not finite or `beta` is outside (0, 2).

    References:
        Gneiting & Raftery (2007), eq. 22.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).normal(size=(500, 3))
        >>> bool(energy_score(x[:250], x[250:]).mean() > energy_score(x[:250] + 1.0, x[250:]).mean())
        True
    """
    samples, x, as_array = _pair(samples, x)
    between("beta", beta, 0.0, 2.0)
    with torch.no_grad():
        own, cross = _self_mean(samples, beta, unbiased, "samples"), marginal_sums(x, samples, beta=beta)[0]
        score = 0.5 * own - cross / len(samples)
    if not score.isfinite().all():
        raise InputError(f"samples and x hold values too large for {x.dtype}; rescale them")
    return score.numpy() if as_array else score


@checked_numbers
def energy_loss(samples: torch.Tensor, x: torch.Tensor, beta: float = 1.0) -> torch.Tensor:
    """The negative mean energy score E‖X−x‖^β − ½ E‖X−X'‖^β over distinct pairs, with gradients.

    Args:
        samples: (…, n, d) samples of the predicted laws, n ≥ 2.
        x: (…, m, d) observations.
        beta: Exponent in (0, 2).

    Returns:
        (…,) losses, one per leading index.

    Example:
        >>> x = torch.randn(2, 300, 3, generator=torch.Generator().manual_seed(0))
        >>> bool(energy_loss(x[0], x[1]) < energy_loss(x[0] + 1.0, x[1]))
        True
    """
    return mean_distance(samples, x, beta=beta) - 0.5 * mean_distance(samples, beta=beta)


@checked_numbers
def mean_distance(x: torch.Tensor, y: torch.Tensor | None = None, *, beta: float = 1.0) -> torch.Tensor:
    """The mean of ‖x_i − y_j‖^β over all pairs, or over the pairs i ≠ j of one sample.

    Args:
        x: (…, n, d).
        y: (…, m, d) with the same leading shape, or None.
        beta: Exponent in (0, 2).

    Returns:
        (…,) means, with gradients.

    Example:
        >>> float(mean_distance(torch.tensor([[0.0], [1.0], [3.0]])))
        2.0
    """
    n = x.shape[-2]
    return distance_sum(x, y, beta=beta) / (n * (n - 1) if y is None else n * y.shape[-2])


@checked_numbers
def distance_sum(x: torch.Tensor, y: torch.Tensor | None = None, *, beta: float = 1.0) -> torch.Tensor:
    """Σ_ij ‖x_i − y_j‖^β, with gradients in both arguments; `y=None` sums over the ordered pairs i ≠ j of x.

    Args:
        x: (…, n, d).
        y: (…, m, d) with the same leading shape, or None.
        beta: Exponent in (0, 2).

    Returns:
        (…,) sums, in the dtype of x, accumulated in float64.

    Example:
        >>> x = torch.tensor([[0.0], [1.0], [3.0]])
        >>> float(distance_sum(x)) == 2 * (1.0 + 2.0 + 3.0)
        True
    """
    return _distance_sum(x, y, beta)


def _distance_sum(x: torch.Tensor, y: torch.Tensor | None, beta: float, tell: _Tell | None = None) -> torch.Tensor:
    lead = x.shape[:-2]
    x = x.reshape(-1, *x.shape[-2:])
    y = None if y is None else y.reshape(-1, *y.shape[-2:])
    if x.shape[-1] > _DIRECT_DIMENSION:  # what lies far from the origin would cancel in a product
        centre = (x if y is None else y).detach().mean(1, keepdim=True)
        x, y = x - centre, None if y is None else y - centre
    y = x if y is None else y
    return _DistanceSum.apply(x, y, beta, y is x, tell).reshape(lead)


@checked_numbers
def paired_distances(x: torch.Tensor, y: torch.Tensor, *, beta: float = 1.0) -> torch.Tensor:
    """‖x_i − y_i‖^β row by row, with gradient zero at ties.

    Args:
        x: (…, n, d).
        y: (…, n, d).
        beta: Exponent in (0, 2).

    Returns:
        (…, n) distances.

    Example:
        >>> paired_distances(torch.tensor([[3.0, 4.0]]), torch.zeros(1, 2)).tolist()
        [5.0]
    """
    if x.shape != y.shape:
        raise InputError(f"x and y must have one shape; received {tuple(x.shape)} and {tuple(y.shape)}")
    squared = (x - y).square().sum(-1)
    apart = squared > 0
    return torch.where(apart, squared, 1.0).pow(beta / 2) * apart


@checked_numbers
def marginal_sums(
    x: torch.Tensor, y: torch.Tensor | None = None, *, beta: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sums (n,) of ‖x_i − y_j‖^β over j and (m,) over i, in one pass, in float64 and without gradients.

    Args:
        x: (n, d).
        y: (m, d); x itself where absent, which takes half as long.
        beta: Exponent in (0, 2).

    Example:
        >>> [sums.tolist() for sums in marginal_sums(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [4.0]]))]
        [[5.0, 3.0], [2.0, 6.0]]
    """
    same, y = y is None, x if y is None else y
    sums = [torch.zeros(len(v), dtype=torch.float64, device=x.device) for v in ((x,) if same else (x, y))]
    for rows, columns in _blocks(1, len(x), len(y), same, x.device.type):
        diagonal = same and rows == columns
        powers = _powers(_squared_distances(x[None, rows], y[None, columns], diagonal), beta)[0]
        sums[0][rows] += powers.sum(1, dtype=torch.float64)
        if not diagonal:
            sums[-1][columns] += powers.sum(0, dtype=torch.float64)
    return sums[0], sums[-1]


_Tell = Callable[[int], None]


@dataclass
class _Share:
    """Pairs done, of how many, and who is told of their share."""

    total: int
    on_block: Callable[[float], None]
    done: int = 0

    def add(self, pairs: int) -> None:
        self.done += pairs
        self.on_block(min(self.done / self.total, 1.0))


class _DistanceSum(torch.autograd.Function):
    """The sum and its gradient in one pass: ∂/∂x_i = β Σ_j w_ij (x_i − y_j), w_ij = ‖x_i − y_j‖^(β−2), 0 at ties."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, y: torch.Tensor, beta: float, same: bool, tell: _Tell | None
    ) -> torch.Tensor:
        wanted = (x.requires_grad, y.requires_grad and not same)
        grad_x = torch.zeros_like(x) if wanted[0] else None
        grad_y = torch.zeros_like(y) if wanted[1] else None
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        blocks = _blocks(len(x), x.shape[1], y.shape[1], same, x.device.type)
        for rows, columns in islice(blocks, 2) if x.is_meta else blocks:  # without values all blocks are alike
            x_block, y_block = x[:, rows], y[:, columns]
            diagonal = same and rows == columns
            squared = _squared_distances(x_block, y_block, diagonal)
            twice = 2 if same and not diagonal else 1
            if any(wanted):
                slots = _slots(grad_x, grad_y, rows, columns, same)
                total += twice * _accumulate(squared, x_block, y_block, beta, slots)
            else:
                total += twice * _powers(squared, beta).sum((1, 2), dtype=torch.float64)
            if tell is not None:
                tell(squared.numel() if not diagonal else squared.numel() // 2)
        ctx.save_for_backward(*(grad for grad in (grad_x, grad_y) if grad is not None))
        ctx.wanted, ctx.factor = wanted, beta * (2.0 if same else 1.0)
        return total.to(x.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple:
        saved = iter(ctx.saved_tensors)
        scale = (ctx.factor * upstream)[:, None, None]
        grads = [scale * next(saved) if wanted else None for wanted in ctx.wanted]
        return *grads, None, None, None


def _slots(
    grad_x: torch.Tensor | None, grad_y: torch.Tensor | None, rows: slice, columns: slice, same: bool
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Slots that the two sides of a block add their gradients to; in a symmetric sum both sides belong to x."""
    other = (None if rows == columns else grad_x) if same else grad_y
    return (None if grad_x is None else grad_x[:, rows]), (None if other is None else other[:, columns])


def _accumulate(squared: torch.Tensor, x: torch.Tensor, y: torch.Tensor, beta: float, slots: tuple) -> torch.Tensor:
    weights = squared.rsqrt() if beta == 1.0 else squared.pow(beta / 2 - 1)
    weights.nan_to_num_(posinf=0.0)  # at ties
    if slots[0] is not None:
        slots[0].add_(weights.sum(2, keepdim=True) * x - weights @ y)
    if slots[1] is not None:
        slots[1].add_(weights.sum(1)[..., None] * y - weights.mT @ x)
    return weights.mul_(squared).sum((1, 2), dtype=torch.float64)


def _powers(squared: torch.Tensor, beta: float) -> torch.Tensor:
    return squared.sqrt_() if beta == 1.0 else squared.pow_(beta / 2)


def _blocks(batch: int, n: int, m: int, same: bool, device: str = "cpu") -> Iterator[tuple[slice, slice]]:
    """Index blocks that cover all pairs; of a symmetric set the upper triangle only."""
    per_batch = max(_BLOCK_ELEMENTS * (_ON_A_CARD if device == "cuda" else 1) // max(batch, 1), 64 * 64)
    side = max(int(per_batch**0.5), 1)
    height, width = (side, side) if same else (max(per_batch // max(min(m, 2 * side), 1), 1), min(m, 2 * side))
    for top in range(0, n, height):
        for left in range(top if same else 0, m, width):
            yield slice(top, min(top + height, n)), slice(left, min(left + width, m))


def _squared_distances(x: torch.Tensor, y: torch.Tensor, diagonal: bool = False) -> torch.Tensor:
    """(b, n, m) squared distances; where the matrix product cancels, from the difference itself."""
    if x.shape[-1] <= _DIRECT_DIMENSION:
        first, *rest = ((x[:, :, None, k] - y[:, None, :, k]).square_() for k in range(x.shape[-1]))
        return sum(rest, first)
    x_norm, y_norm = x.square().sum(-1), y.square().sum(-1)
    left = torch.cat([-2 * x, x_norm[..., None], torch.ones_like(x_norm)[..., None]], -1)
    right = torch.cat([y, torch.ones_like(y_norm)[..., None], y_norm[..., None]], -1)
    squared = left @ right.mT
    if diagonal:
        squared.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    _repair(squared, x, y, x_norm, y_norm)
    if diagonal:
        squared.diagonal(dim1=1, dim2=2).zero_()
    return squared


def _repair(
    squared: torch.Tensor, x: torch.Tensor, y: torch.Tensor, x_norm: torch.Tensor, y_norm: torch.Tensor
) -> None:
    share = _CANCELLED[x.dtype]
    if squared.min() >= share * (x_norm.max() + y_norm.max()):
        return
    near = (squared <= share * (x_norm[:, :, None] + y_norm[:, None, :])).nonzero(as_tuple=True)
    pairs = max(_REPAIRED_ELEMENTS // x.shape[-1], 1)  # all pairs are near while a decoder still gives one point
    for b, i, j in zip(*(part.split(pairs) for part in near), strict=True):
        squared[b, i, j] = (x[b, i] - y[b, j]).square_().sum(-1)


def _self_mean(x: torch.Tensor, beta: float, unbiased: bool, name: str, tell: _Tell | None = None) -> torch.Tensor:
    n = len(x)
    if unbiased and n < 2:
        raise InputError(f"{name} must have at least 2 rows for the U-statistic; received {n}")
    return _distance_sum(x, None, beta, tell) / (n * (n - 1) if unbiased else n * n)


def _without_rounding(value: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """`value` with a negative rounding error, and nothing larger, set to zero."""
    tolerance = 64 * torch.finfo(value.dtype).eps * scale.detach()
    return torch.where((value < 0) & (value > -tolerance), value * 0 + 0.0, value)


def _pair(x: np.ndarray | torch.Tensor, y: np.ndarray | torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, bool]:
    """Both samples as tensors of one floating dtype, and whether they came as arrays."""
    if not isinstance(x, torch.Tensor) and not isinstance(y, torch.Tensor):
        x, y = _array("x", x), _array("y", y)
        return *_same_shape(torch.from_numpy(x), torch.from_numpy(y.astype(x.dtype))), True
    if not isinstance(x, torch.Tensor) or not isinstance(y, torch.Tensor) or x.dtype != y.dtype:
        raise InputError(f"x and y must be of one kind and dtype; received {_kind(x)} and {_kind(y)}")
    if not x.isfinite().all() or not y.isfinite().all():
        raise InputError("x and y must be finite")
    return *_same_shape(x, y), False


def _array(name: str, value: object) -> np.ndarray:
    dtype = np.float32 if getattr(value, "dtype", None) == np.float32 else np.float64
    array = np.ascontiguousarray(matrix(name, value, dtype=dtype))
    return array if array.flags.writeable else array.copy()


def _same_shape(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = (v[:, None] if v.ndim == 1 else v for v in (x, y))
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise InputError(f"x and y must have shapes (n, d) and (m, d); received {tuple(x.shape)} and {tuple(y.shape)}")
    if not len(x) or not len(y):
        raise InputError("x and y must have at least one row")
    return x, y


def _kind(value: object) -> str:
    return f"{type(value).__name__} of {getattr(value, 'dtype', 'no dtype')}"
