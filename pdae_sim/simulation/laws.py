"""Laws of the independent noises u of the latents, each standardised to mean zero and variance one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import lgamma
from typing import Protocol

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import between
from pdae_sim._random import SeedLike
from pdae_sim.simulation._registry import Registry

_LOG_2PI = np.log(2 * np.pi)


class Law(Protocol):
    """A law on the line with mean zero and variance one.

    A generator is consumed by one per-element call, so that the first draws do not depend on how many are drawn.

    Example:
        >>> all(law().overlap(0.0) == 1 for law in LAWS.values())
        True
    """

    @property
    def breaks(self) -> tuple[str, ...]:
        """The assumptions of the theory violated: ``gaussian``, but for the Gaussian."""

    def sample(self, shape: tuple[int, ...], *, rng: SeedLike) -> np.ndarray:
        """Independent draws, in an array of this shape."""

    def log_density(self, u: np.ndarray) -> np.ndarray:
        """log p(u), entry by entry; −∞ outside the support."""

    @property
    def skewness(self) -> float:
        """E u³; NaN where it does not exist."""

    @property
    def excess_kurtosis(self) -> float:
        """E u⁴ − 3; infinite where the fourth moment is."""

    def overlap(self, move: float) -> float:
        """1 / (1 + χ²(u + move ‖ u)) = 1 / ∫ p(v − move)² / p(v) dv: what importance sampling keeps of a shift."""


@dataclass(frozen=True)
class Gaussian:
    """N(0, 1), the law under which every claim is made.

    Example:
        >>> round(Gaussian().overlap(1.0), 4)  # exp(−1)
        0.3679
    """

    breaks = ()
    skewness = 0.0
    excess_kurtosis = 0.0

    def sample(self, shape: tuple[int, ...], *, rng: SeedLike) -> np.ndarray:
        return np.random.default_rng(rng).standard_normal(shape)

    def log_density(self, u: np.ndarray) -> np.ndarray:
        return -0.5 * (np.square(u) + _LOG_2PI)

    def overlap(self, move: float) -> float:
        return float(np.exp(-(min(abs(move), 1e3) ** 2)))  # 0 in float64 from 28 on


@dataclass(frozen=True)
class StudentT:
    """Student's t divided by its standard deviation √(df / (df − 2)): heavy tails.

    Args:
        df: Degrees of freedom > 2.

    Example:
        >>> StudentT(df=6).excess_kurtosis
        3.0
    """

    df: float = 5.0
    breaks = ("gaussian",)

    @checked_numbers
    def __post_init__(self) -> None:
        between("df", self.df, 2, np.inf)

    def sample(self, shape: tuple[int, ...], *, rng: SeedLike) -> np.ndarray:
        return np.random.default_rng(rng).standard_t(self.df, shape) * np.sqrt((self.df - 2) / self.df)

    def log_density(self, u: np.ndarray) -> np.ndarray:
        v = self.df
        constant = lgamma((v + 1) / 2) - lgamma(v / 2) - 0.5 * np.log(np.pi * (v - 2))
        return constant - (v + 1) / 2 * np.log1p(np.square(u) / (v - 2))

    @property
    def skewness(self) -> float:
        """0 for df > 3, else NaN."""
        return 0.0 if self.df > 3 else np.nan

    @property
    def excess_kurtosis(self) -> float:
        """6 / (df − 4) for df > 4, else infinite."""
        return 6 / (self.df - 4) if self.df > 4 else np.inf

    def overlap(self, move: float) -> float:
        return _overlap(self, float(move), (-np.inf, 0.0, move, np.inf))


@dataclass(frozen=True)
class Laplace:
    """The double exponential law with scale 1/√2: a peak at zero.

    Example:
        >>> bool(Laplace().log_density(np.array(0.0)) > Gaussian().log_density(np.array(0.0)))
        True
    """

    breaks = ("gaussian",)
    skewness = 0.0
    excess_kurtosis = 3.0

    def sample(self, shape: tuple[int, ...], *, rng: SeedLike) -> np.ndarray:
        return np.random.default_rng(rng).laplace(0.0, np.sqrt(0.5), shape)

    def log_density(self, u: np.ndarray) -> np.ndarray:
        return -np.sqrt(2) * np.abs(u) - 0.5 * np.log(2)

    def overlap(self, move: float) -> float:
        a = np.sqrt(2) * abs(move)
        return float(3 * np.exp(-a) / (2 + np.exp(-3 * a)))


@dataclass(frozen=True)
class Skewed:
    """(g − shape) / √shape with g ~ Gamma(shape): skewed to the right, with support u ≥ −√shape.

    Args:
        shape: > 0; the larger, the closer to a Gaussian.

    Example:
        >>> Skewed(shape=4).log_density(np.array(-2.1)).tolist()  # the support ends at −2
        -inf
    """

    shape: float = 2.0
    breaks = ("gaussian",)

    @checked_numbers
    def __post_init__(self) -> None:
        between("shape", self.shape, 0, np.inf)

    def sample(self, shape: tuple[int, ...], *, rng: SeedLike) -> np.ndarray:
        return (np.random.default_rng(rng).standard_gamma(self.shape, shape) - self.shape) / np.sqrt(self.shape)

    def log_density(self, u: np.ndarray) -> np.ndarray:
        from scipy.special import xlogy  # loaded on first use, as every part of scipy here: it costs half a second

        k, root = self.shape, np.sqrt(self.shape)
        g = k + root * np.asarray(u)
        inside = np.maximum(g, 0.0)
        return np.where(g >= 0, np.log(root) - lgamma(k) + xlogy(k - 1, inside) - inside, -np.inf)

    @property
    def skewness(self) -> float:
        """2 / √shape."""
        return 2 / np.sqrt(self.shape)

    @property
    def excess_kurtosis(self) -> float:
        """6 / shape."""
        return 6 / self.shape

    def overlap(self, move: float) -> float:
        """0 to the left, where the support ends, and for shape ≤ ½, where χ² is infinite.

        With k the shape, b = √k · move and q = 2 k − 1 the integral is eᵇ / Γ(k) ∫ (g + b)^(1 − k) g^(2k − 2) e^(−g) dg
        over g > 0; g = s^(1 / q) takes away the pole at zero.
        """
        k, b, q = self.shape, np.sqrt(self.shape) * move, 2 * self.shape - 1
        if move == 0 or b < 0 or q <= 0:
            return float(move == 0)
        if k > 1:  # (g + b)^(1 − k) g^(2k − 2) = g^(k − 1) (1 + b / g)^(1 − k): a mean over Gamma(k)
            return 1 / (np.exp(b) * _gamma_mean(lambda g: (1 + b / g) ** (1 - k), k))
        value = _integral(lambda s: (s ** (1 / q) + b) ** (1 - k) * np.exp(-(s ** (1 / q))), (0.0, np.inf))
        return float(np.exp(lgamma(k) - b) * q / value)


@dataclass(frozen=True)
class Bimodal:
    """±m with equal chances, plus N(0, 1 − m²): two modes when m > 1/√2.

    Args:
        separation: m, in (0, 1).

    Example:
        >>> u = np.array([0.0, 0.9])
        >>> bool(np.diff(Bimodal(0.9).log_density(u)) > 0)  # least between the modes
        True
    """

    separation: float = 0.9
    breaks = ("gaussian",)
    skewness = 0.0

    @checked_numbers
    def __post_init__(self) -> None:
        between("separation", self.separation, 0, 1)

    def sample(self, shape: tuple[int, ...], *, rng: SeedLike) -> np.ndarray:
        side, within = np.moveaxis(np.random.default_rng(rng).standard_normal((*shape, 2)), -1, 0)
        return np.copysign(self.separation, side) + np.sqrt(1 - self.separation**2) * within

    def log_density(self, u: np.ndarray) -> np.ndarray:
        m, variance = self.separation, 1 - self.separation**2
        modes = np.logaddexp(-0.5 * np.square(u - m) / variance, -0.5 * np.square(u + m) / variance)
        return modes - np.log(2) - 0.5 * (_LOG_2PI + np.log(variance))

    @property
    def excess_kurtosis(self) -> float:
        """−2 m⁴."""
        return -2 * self.separation**4

    def overlap(self, move: float) -> float:
        m, s = self.separation, np.sqrt(1 - self.separation**2)
        centres = [c + shift for c in (-m, m) for shift in (-move, 0.0, move, 2 * move)]
        points = sorted({float(c + width * s) for c in (*centres, 0.0) for width in (-12, -4, 0, 4, 12)})
        return _overlap(self, float(move), tuple(points))


def _overlap(law: Law, move: float, points: tuple[float, ...]) -> float:
    """1 / (1 + χ²) with χ² = ∫ (p(u − a) − p(u))² / p(u) du, quadrature between points."""

    def integrand(u: float) -> float:
        here, there = (float(law.log_density(np.array(v))) for v in (u, u - move))
        low, high = sorted((here, there))
        if low == high:
            return 0.0
        log_difference = high + np.log(-np.expm1(low - high))
        return float(np.exp(min(2 * log_difference - here, 600.0)))  # far beyond any ratio that matters

    return 1 / (1 + _integral(integrand, points))


def _gamma_mean(function: Callable[[float], float], k: float) -> float:
    """E function(g), g ~ Gamma(k), k > 1."""
    middle, width = k, np.sqrt(k)
    points = [0.0, max(middle - 4 * width, 0.0), middle, middle + 4 * width, middle + 12 * width + 40]

    def integrand(g: float) -> float:
        return function(g) * np.exp((k - 1) * np.log(g) - g - lgamma(k)) if g > 0 else 0.0

    return _integral(integrand, points)


def _integral(integrand: Callable[[float], float], points: Sequence[float]) -> float:
    """Quadrature between neighbouring points, so that no peak at one of them is missed."""
    from scipy import integrate

    return float(
        sum(integrate.quad(integrand, low, high, limit=200)[0] for low, high in pairwise(points) if low < high)
    )


LAWS: Registry[Law] = Registry(
    "noise",
    {"gaussian": Gaussian, "student_t": StudentT, "laplace": Laplace, "skewed": Skewed, "bimodal": Bimodal},
)
"""Noise laws by the name that files use."""
