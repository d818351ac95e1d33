"""Calibration: the dials of a family of mixings at which a difficulty asked for is met."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pdae_sim._checks import at_least
from pdae_sim.errors import InputError
from pdae_sim.simulation.mixings.composition import Mixing
from pdae_sim.simulation.mixings.difficulty import condition_numbers, linear_r2, reference_latents

_MOST = 1e12  # the greatest condition number sought in a linear layer


@dataclass(frozen=True, eq=False)
class Targets:
    """What the difficulty of a mixing shall be, over latents z ~ N(0, Σ).

    Args:
        condition: Median condition number of the Jacobian, ≥ 1; None leaves it free.
        nonlinearity: 1 − R² of the best affine map, in [0, 1); None leaves it free.
        covariance: Σ (d_Z, d_Z); the identity when None.
    """

    condition: float | None = None
    nonlinearity: float | None = None
    covariance: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.condition is not None:
            at_least("condition", self.condition, 1.0)
        if self.nonlinearity is not None and not 0 <= at_least("nonlinearity", self.nonlinearity, 0.0) < 1:
            raise InputError(f"nonlinearity must lie in [0, 1); received {self.nonlinearity}")

    @property
    def free(self) -> bool:
        """Whether nothing is asked for."""
        return self.condition is None and self.nonlinearity is None


@dataclass(frozen=True)
class Dials:
    """A family of mixings with two dials, calibrated by root finding.

    Args:
        build: The mixing at (strength, condition of its linear layer); strength 0 is affine.
        dimensions: d_Z and the greatest width of a layer.
        default: The strength where none is sought.
        largest: The greatest strength sought.
    """

    build: Callable[[float, float], Mixing]
    dimensions: tuple[int, int]
    default: float
    largest: float

    def solve(self, targets: Targets) -> tuple[float, float]:
        """The strength and the linear layer's condition number whose mixing meets the targets.

        The linear layer takes up what the bending leaves of the condition number; where the default strength alone
        exceeds it, the strength is lowered. Sought over a small sample first, then near the solution over a full one.

        Raises:
            InputError: If the targets cannot be met, with the range that can.
        """
        widest = self.dimensions[1]
        points = 4096 if widest <= 64 else 1024 if widest <= 256 else 256
        strength, linear = _Search(self, targets, max(points // 8, 128)).solve(_grid(self.largest))
        search = _Search(self, targets, points, linear)
        near = search.near(strength)
        dials = near if near is not None and search.met(*near) else search.solve(_grid(self.largest))
        if not search.met(*dials):
            raise InputError(
                f"no mixing found with condition {targets.condition} and nonlinearity {targets.nonlinearity}"
            )
        return dials


class _Search:
    """Root finding over the dials of one family for one pair of targets.

    Args:
        dials: The family's dials.
        targets: The targets.
        points: Size of the sample for condition numbers; nonlinearity takes four times as many.
        linear: A first guess of the linear layer's condition number.
    """

    def __init__(self, dials: Dials, targets: Targets, points: int, linear: float = 1.0) -> None:
        self.dials, self.targets, self.guess = dials, targets, float(np.log(linear))
        self.goal = None if targets.condition is None else float(np.log(targets.condition))
        self.sample = reference_latents(dials.dimensions[0], 4 * points, covariance=targets.covariance)
        self.few = self.sample[:points]

    def solve(self, grid: np.ndarray) -> tuple[float, float]:
        """The dials, the strength searched for along a grid."""
        top = self._strongest(grid)
        if (target := self.targets.nonlinearity) is None:
            strength = min(self.dials.default, top)
        else:
            strength = self._strength(target, [*grid[grid < top], top])
        return strength, self._linear(strength)

    def near(self, strength: float) -> tuple[float, float] | None:
        """The dials, searched for about a strength; None where they are not there."""
        try:
            return self.solve(np.minimum(strength * np.array([0.75, 1.0, 1.35]), self.dials.largest))
        except InputError:
            return None

    def met(self, strength: float, linear: float) -> bool:
        """Whether the targets are met to 1 % and to 0.003."""
        off = 0.0 if self.goal is None else abs(self._log_condition(strength, linear) - self.goal)
        target = self.targets.nonlinearity
        bend = 0.0 if target is None else abs(self._nonlinearity(strength, linear) - target)
        return off <= 0.01 and bend <= 0.003

    def _nonlinearity(self, strength: float, linear: float) -> float:
        return 1.0 - linear_r2(self.dials.build(strength, linear), self.sample)

    def _log_condition(self, strength: float, linear: float = 1.0) -> float:
        return float(np.log(np.median(condition_numbers(self.dials.build(strength, linear), self.few))))

    def _strongest(self, grid: np.ndarray) -> float:
        """The greatest strength at which the linear layer has anything left to do."""
        if (goal := self.goal) is None:
            return float(grid[-1])
        crossed = _first_crossing(lambda strength: self._log_condition(strength) - goal - 1e-3, grid, 0.0)
        return float(grid[-1]) if crossed is None else crossed

    def _linear(self, strength: float) -> float:
        """The condition of the linear layer with which the median condition number is met at this strength."""
        if (goal := self.goal) is None or (short := goal - self._log_condition(strength)) <= 1e-3:
            return 1.0

        def gap(log_linear: float) -> float:
            return self._log_condition(strength, np.exp(log_linear)) - goal

        root = _secant(gap, (0.0, -short), self.guess or short)
        root = _bracketed(gap, short) if root is None else root
        if root is None:
            most = np.exp(self._log_condition(strength, _MOST))
            raise InputError(
                f"condition must lie between 1 and {most:.4g} for this mixing (one latent has condition number 1); "
                f"received {self.targets.condition}"
            )
        self.guess = root  # strengths are searched in order, so that the next root is near
        return float(np.exp(root))

    def _strength(self, target: float, grid: Sequence[float]) -> float:
        """The strength on the grid at which the nonlinearity is met, the condition kept."""
        seen: list[float] = []

        def gap(strength: float) -> float:
            seen.append(self._nonlinearity(strength, self._linear(strength)))
            return seen[-1] - target

        crossed = _first_crossing(gap, grid, 5e-4)
        if crossed is None:
            beside = "" if self.goal is None else f" with condition {self.targets.condition:g}"
            raise InputError(
                f"nonlinearity must lie between {max(min(seen), 0.0):.3f} and {max(seen):.3f}{beside} for this mixing "
                f"(its kind, settings and random draw); received {target:g}"
            )
        return crossed


def _grid(top: float) -> np.ndarray:
    """Strengths from 0 to `top`, denser near 0."""
    return top * np.concatenate([[0.0], np.geomspace(2.0**-9, 1.0, 13)])


def _first_crossing(gap: Callable[[float], float], grid: Iterable[float], near: float) -> float | None:
    """The first strength at which `gap` reaches zero from below, to within `near` of zero; None where it does not."""
    before = None
    for strength in grid:
        value = gap(strength)
        if abs(value) <= near:
            return float(strength)
        if value > 0:
            return None if before is None else _root(gap, before, strength, xtol=1e-3 * strength, rtol=1e-3)
        before = strength
    return None


def _root(gap: Callable[[float], float], low: float, high: float, **tolerances: float) -> float:
    from scipy.optimize import brentq  # loaded on first use: it costs a quarter of a second

    return float(brentq(gap, low, high, **tolerances))


def _secant(gap: Callable[[float], float], known: tuple[float, float], guess: float) -> float | None:
    """The zero of a function of slope about one, from one known value and a guess; None where it is not found."""
    (x, y), at = known, guess
    for _ in range(6):
        at = min(max(at, 0.0), np.log(_MOST))
        value = gap(at)
        if abs(value) <= 1e-3:
            return at
        if value == y:
            return None
        x, y, at = at, value, at - value * (at - x) / (value - y)
    return None


def _bracketed(gap: Callable[[float], float], step: float) -> float | None:
    """The zero of a function negative at 0, between doubled steps; None where there is none below `_MOST`."""
    low, high = 0.0, step
    while gap(high) < 0:
        if high > np.log(_MOST):
            return None
        low, high = high, 2 * high
    return _root(gap, low, high, xtol=1e-3)
