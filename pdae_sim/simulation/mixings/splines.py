"""Monotone rational-quadratic splines, through zuko (extra ``flows``), which is loaded on first use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pdae_sim.errors import InputError
from pdae_sim.simulation.mixings.layer import Elementwise, fits, hold


@dataclass(frozen=True, eq=False)
class Spline(Elementwise):
    """One increasing rational-quadratic spline a coordinate on [−bound, bound], the identity outside.

    Once continuously differentiable: the second derivative jumps at the knots. Parameters are unconstrained, and all
    zero for the identity.

    Args:
        widths: (d, K), log-widths of the bins.
        heights: (d, K), log-heights of the bins.
        derivatives: (d, K − 1), log-slopes at the inner knots.
        bound: Half the width of the interval.

    References:
        Durkan, Bekasov, Murray & Papamakarios (2019), Neural spline flows; `zuko.transforms.MonotonicRQSTransform`.
    """

    widths: np.ndarray
    heights: np.ndarray
    derivatives: np.ndarray
    bound: float = 4.0

    smooth: ClassVar[bool] = False

    def __post_init__(self) -> None:
        hold(self, widths=2, heights=2, derivatives=2)
        d, K = self.widths.shape
        fits(self, "heights", (d, K))
        fits(self, "derivatives", (d, K - 1))
        if not 0 < self.bound < np.inf:
            raise InputError(f"bound must be positive; received {self.bound}")

    def forward(self, z: np.ndarray) -> np.ndarray:
        """See `Layer.forward`."""
        return self._computed(z, lambda spline, u: spline(u))

    def inverse(self, x: np.ndarray) -> np.ndarray:
        """See `Layer.inverse`."""
        return self._computed(x, lambda spline, v: spline.inv(v))

    def derivative(self, z: np.ndarray) -> np.ndarray:
        """The slope of each spline."""
        return np.exp(self._computed(z, lambda spline, u: spline.call_and_ladj(u)[1]))

    def _computed(self, z: np.ndarray, what: Callable) -> np.ndarray:
        torch, spline = self._spline()
        with torch.no_grad():
            return what(spline, torch.tensor(z, dtype=torch.float64)).numpy()

    def _spline(self) -> tuple:
        torch, transforms = load_zuko()
        parameters = (torch.tensor(a) for a in (self.widths, self.heights, self.derivatives))
        return torch, transforms.MonotonicRQSTransform(*parameters, bound=self.bound)

    @property
    def n_inputs(self) -> int:
        """d."""
        return len(self.widths)

    n_outputs = n_inputs

    @property
    def slopes(self) -> tuple[float, float]:
        """Bounds that hold, not the best: s² · mean(s, d₀, d₁) over the square of s + (d₀ + d₁ − 2 s) w, w ≤ ¼."""
        _, spline = self._spline()
        x, y, d = (a.numpy() for a in (spline.horizontal, spline.vertical, spline.derivatives))
        s = np.diff(y) / np.diff(x)
        corners = np.stack([s, d[:, :-1], d[:, 1:]])
        ends = np.stack([s, s / 2 + (d[:, :-1] + d[:, 1:]) / 4])
        low, high = corners.min(0) * (s / ends.max(0)) ** 2, corners.max(0) * (s / ends.min(0)) ** 2
        return min(1.0, float(low.min())), max(1.0, float(high.max()))


def load_zuko() -> tuple:
    """The modules torch and zuko.transforms.

    Raises:
        InputError: If zuko is not installed.
    """
    try:
        import torch
        from zuko import transforms
    except ImportError:
        raise InputError("splines need zuko; install it with pip install 'pdae-sim[flows]'") from None
    return torch, transforms
