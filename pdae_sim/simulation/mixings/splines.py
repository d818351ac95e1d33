"""Monotone rational-quadratic splines, through zuko (extra ``flows``), which is loaded on first use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from pdae_sim.errors import InputError
from pdae_sim.simulation._fields import fits, hold
from pdae_sim.simulation.mixings._layer import Elementwise


@dataclass(frozen=True, eq=False)
class Spline(Elementwise):
    """Increasing rational-quadratic splines, one a coordinate, on [−bound, bound]; the identity outside.

    Once continuously differentiable: the second derivative jumps at the knots. Parameters are unconstrained, and all
    zero for the identity.

    Args:
        widths: (d, K), log-widths of the bins.
        heights: (d, K), log-heights of the bins.
        derivatives: (d, K − 1), log-slopes at the inner knots.
        bound: Half the width of the interval.

    References:
        Durkan, Bekasov, Murray & Papamakarios (2019), Neural spline flows; `zuko.transforms.MonotonicRQSTransform`.

    Example:
        >>> zero = np.zeros((1, 4))
        >>> Spline(zero, zero, zero[:, 1:]).dimensions
        (1, 1)
    """

    widths: np.ndarray
    heights: np.ndarray
    derivatives: np.ndarray
    bound: float = 4.0

    smooth = False

    def __post_init__(self) -> None:
        hold(self, widths=2, heights=2, derivatives=2)
        d, K = self.widths.shape
        fits(self, "heights", (d, K))
        fits(self, "derivatives", (d, K - 1))
        if not 0 < self.bound < np.inf:
            raise InputError(f"bound must be positive; received {self.bound}")

    def forward(self, z: np.ndarray) -> np.ndarray:
        return self._computed(z, lambda spline, u: spline(u))

    def inverse(self, x: np.ndarray) -> np.ndarray:
        return self._computed(x, lambda spline, v: spline.inv(v))

    def derivative(self, z: np.ndarray) -> np.ndarray:
        """The slope of each spline."""
        return np.exp(self._computed(z, lambda spline, u: spline.call_and_ladj(u)[1]))

    def _computed(self, z: np.ndarray, what: Callable[[Any, Any], Any]) -> np.ndarray:
        torch, spline = self._spline()
        with torch.no_grad():
            return what(spline, torch.tensor(z, dtype=torch.float64)).numpy()

    def _spline(self) -> tuple[ModuleType, Any]:
        torch, transforms = self.load()
        parameters = (torch.tensor(a) for a in (self.widths, self.heights, self.derivatives))
        return torch, transforms.MonotonicRQSTransform(*parameters, bound=self.bound)

    @property
    def dimensions(self) -> tuple[int, int]:
        """d, twice."""
        return (len(self.widths),) * 2

    @staticmethod
    def load() -> tuple[ModuleType, ModuleType]:
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
