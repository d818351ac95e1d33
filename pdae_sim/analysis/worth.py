"""How good is a prediction? Its energy distance without bias, with an error, and what it is worth in cells.

An empirical law of n independent cells of P has expected energy distance E‖X − X'‖ / n from P, so that a prediction at
energy distance ED is worth n_eff = E‖X − X'‖ / ED cells: as good as an experiment that measures n_eff cells.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from pdae_sim._checks import InputError, between, matrix
from pdae_sim.energy import distance_sum

Z_95 = 1.959963984540054


@dataclass(frozen=True)
class EnergyEstimate:
    """An unbiased estimate of ED(P̂, P).

    Args:
        value: The U-statistic; may be negative.
        standard_error: Delete-one-block jackknife; conservative where the distance is near zero.
        spread: E‖X − X'‖^β of the reference law P.
    """

    value: float
    standard_error: float
    spread: float

    @property
    def interval(self) -> tuple[float, float]:
        """A 95 % interval, never negative; an estimate below zero counts as zero in its upper end."""
        margin = Z_95 * self.standard_error
        return max(self.value - margin, 0.0), max(self.value, 0.0) + margin


@dataclass(frozen=True)
class Worth:
    """n_eff with a 95 % interval.

    Where the distance cannot be told from zero, `value` is the lower bound and `high` infinite.
    """

    value: float
    low: float
    high: float

    @property
    def bounded(self) -> bool:
        """Whether the energy distance was distinguishable from zero."""
        return math.isfinite(self.high)


def energy_estimate(
    predicted: np.ndarray, reference: np.ndarray, *, beta: float = 1.0, n_blocks: int = 20
) -> EnergyEstimate:
    """The energy distance between the law of a prediction and that of a reference sample.

    Args:
        predicted: (n, d_X) independent draws of P̂, in random order: neighbouring rows make the jackknife's blocks.
        reference: (m, d_X) independent draws of P, likewise.
        beta: Exponent in (0, 2).
        n_blocks: Blocks of the jackknife; both samples need at least 2 rows a block.
    """
    x, y = matrix("predicted", predicted), matrix("reference", reference)
    between("beta", beta, 0.0, 2.0)
    if min(len(x), len(y)) < 2 * n_blocks:
        raise InputError(f"predicted and reference need at least {2 * n_blocks} rows; received {len(x)} and {len(y)}")
    centre = y.mean(0)
    x_blocks, y_blocks = (np.array_split(v - centre, n_blocks) for v in (x, y))
    sums = _block_sums(x_blocks, y_blocks, beta)
    n, m = (np.array([len(b) for b in blocks]) for blocks in (x_blocks, y_blocks))
    value, spread = _u_statistic(*sums, n, m)
    left_out = np.array(
        [_u_statistic(*(_without(S, a) for S in sums), np.delete(n, a), np.delete(m, a))[0] for a in range(n_blocks)]
    )
    error = math.sqrt((n_blocks - 1) / n_blocks * ((left_out - left_out.mean()) ** 2).sum())
    return EnergyEstimate(value, error, spread)


def worth(estimate: EnergyEstimate) -> Worth:
    """n_eff of a prediction from its energy estimate."""
    low_distance, high_distance = estimate.interval
    low = estimate.spread / high_distance if high_distance > 0 else math.inf
    if low_distance <= 0:
        return Worth(low, low, math.inf)
    return Worth(estimate.spread / estimate.value, low, estimate.spread / low_distance)


def _block_sums(x: list[np.ndarray], y: list[np.ndarray], beta: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(B, B) sums of ‖·‖^β between blocks: x with y, x with x, y with y."""
    x, y = ([torch.from_numpy(np.ascontiguousarray(b)) for b in blocks] for blocks in (x, y))
    cross = np.array([[float(distance_sum(a, b, beta=beta)) for b in y] for a in x])
    return cross, _within(x, beta), _within(y, beta)


def _within(blocks: list[torch.Tensor], beta: float) -> np.ndarray:
    S = np.zeros((len(blocks), len(blocks)))
    for a, block in enumerate(blocks):
        S[a, a] = float(distance_sum(block, beta=beta))
        for b in range(a):
            S[a, b] = S[b, a] = float(distance_sum(block, blocks[b], beta=beta))
    return S


def _u_statistic(cross, within_x, within_y, n: np.ndarray, m: np.ndarray) -> tuple[float, float]:
    n, m = n.sum(), m.sum()
    spread = within_y.sum() / (m * (m - 1))
    return float(2 * cross.sum() / (n * m) - within_x.sum() / (n * (n - 1)) - spread), float(spread)


def _without(S: np.ndarray, a: int) -> np.ndarray:
    return np.delete(np.delete(S, a, 0), a, 1)
