"""Noise added to f(z), and entries lost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import at_least, between
from pdae_sim._matrices import Locked
from pdae_sim._random import Streams
from pdae_sim.errors import InputError
from pdae_sim.simulation.observation._features import hold_features, in_spreads, same_width


class _Noise(ABC):
    """Laws that are noise unless a parameter switches it off."""

    @property
    @abstractmethod
    def random(self) -> bool:
        """Whether x is more than a function of f(z)."""

    @property
    def breaks(self) -> tuple[str, ...]:
        """The assumptions of the theory that do not hold."""
        return ("noiseless",) if self.random else ()

    @property
    def lost(self) -> int:
        """Directions of f(z) of which x tells nothing: none."""
        return 0


@dataclass(frozen=True)
class Noiseless:
    """No noise: x = f(z).

    Example:
        >>> Noiseless().random
        False
    """

    random = False
    breaks = ()
    lost = 0
    recovery = ""

    def sample(self, clean: np.ndarray, *, streams: Streams) -> np.ndarray:
        """x (n, d_X): f(z) itself, not a copy."""
        return clean


@dataclass(frozen=True)
class GaussianNoise(_Noise):
    """Additive Gaussian noise: x = f(z) + ε, ε ~ N(0, scale² I) independent of z. It makes z no function of x.

    Args:
        scale: Standard deviation of the noise, in units of f(z).

    Example:
        >>> GaussianNoise(0.5).variance(np.zeros((1, 2))).tolist()
        [[0.25, 0.25]]
    """

    scale: float

    recovery = "Gaussian noise of known level can be taken off the laws of x (theory, claim 2.11)"

    @checked_numbers
    def __post_init__(self) -> None:
        at_least("scale", self.scale, 0.0)

    @property
    def random(self) -> bool:
        return self.scale > 0

    def sample(self, clean: np.ndarray, *, streams: Streams) -> np.ndarray:
        noise = streams["gaussian"].standard_normal(clean.shape)
        noise *= self.scale
        noise += clean
        return noise

    def mean(self, clean: np.ndarray) -> np.ndarray:
        """E[x | f(z)] = f(z)."""
        return clean

    def variance(self, clean: np.ndarray) -> np.ndarray:
        """Var[x | f(z)] = scale², entry by entry."""
        return np.full(clean.shape, self.scale**2)


@dataclass(frozen=True, eq=False)
class Heteroscedastic(_Noise, Locked):
    """Gaussian noise that grows away from the centre: x = f(z) + sd(f(z)) ε, ε ~ N(0, I).

    sd(y) = scale · √(1 + slope² ((y − centre) / spread)²), feature by feature.

    Args:
        scale: Standard deviation at the centre, ≥ 0.
        slope: Growth per spread, ≥ 0; 0 is `GaussianNoise`.
        centre: f(z) of least noise, a number or (d_X,).
        spread: Unit of f(z), > 0, a number or (d_X,).

    Example:
        >>> Heteroscedastic(1.0, 1.0, 0.0, 1.0).variance(np.array([[0.0, 3.0]])).round(6).tolist()
        [[1.0, 10.0]]
    """

    scale: float
    slope: float
    centre: np.ndarray
    spread: np.ndarray

    recovery = (
        "Gaussian noise of known spread leaves the moments of f(z) determined, hence its law where f grows at most"
        " linearly (theory, claim 2.11d)"
    )

    @checked_numbers
    def __post_init__(self) -> None:
        at_least("scale", self.scale, 0.0)
        at_least("slope", self.slope, 0.0)
        hold_features(self, "centre")
        hold_features(self, "spread", low=0.0, strict=True)

    @property
    def random(self) -> bool:
        return self.scale > 0

    def sample(self, clean: np.ndarray, *, streams: Streams) -> np.ndarray:
        noise = self.conditional_sd(clean)
        noise *= streams["heteroscedastic"].standard_normal(clean.shape)
        noise += clean
        return noise

    def conditional_sd(self, clean: np.ndarray) -> np.ndarray:
        """sd(f(z)) (n, d_X), the exact standard deviation of x given f(z)."""
        sd = in_spreads(clean, self.centre, self.spread)
        with np.errstate(over="ignore", invalid="ignore"):
            sd *= self.slope
            np.hypot(1.0, sd, out=sd)
            sd *= self.scale
        if not sd.max(initial=0.0) < np.inf:
            raise InputError("heteroscedastic noise must be finite; f(z) lies too many spreads from the centre")
        return sd

    def mean(self, clean: np.ndarray) -> np.ndarray:
        """E[x | f(z)] = f(z)."""
        return clean

    def variance(self, clean: np.ndarray) -> np.ndarray:
        """Var[x | f(z)] = sd(f(z))², entry by entry."""
        return self.conditional_sd(clean) ** 2


@dataclass(frozen=True)
class Dropout(_Noise):
    """Dropout: each entry of f(z) is set to zero with one probability, independently.

    Args:
        rate: The probability, in [0, 1).

    Example:
        >>> Dropout(0.25).mean(np.array([[4.0]])).tolist()
        [[3.0]]
    """

    rate: float

    recovery = "entries lost at random leave the law of the others, at any rate (theory, claim 2.11e)"

    @checked_numbers
    def __post_init__(self) -> None:
        if self.rate != 0:
            between("rate", self.rate, 0.0, 1.0)

    @property
    def random(self) -> bool:
        return self.rate > 0

    def sample(self, clean: np.ndarray, *, streams: Streams) -> np.ndarray:
        return np.where(streams["dropout"].random(clean.shape) < self.rate, 0.0, clean)

    def mean(self, clean: np.ndarray) -> np.ndarray:
        """E[x | f(z)] = (1 − rate) f(z)."""
        return (1 - self.rate) * clean

    def variance(self, clean: np.ndarray) -> np.ndarray:
        """Var[x | f(z)] = rate (1 − rate) f(z)², entry by entry."""
        return self.rate * (1 - self.rate) * clean**2


@dataclass(frozen=True, eq=False)
class SignalDropout(Locked):
    """Dropout of weak signals: each entry of f(z) is set to zero with a probability that falls with its value.

    P(zero | y) = 1 / (1 + exp(steepness · (y − midpoint))), feature by feature.

    Args:
        midpoint: f(z) at which half of the entries are lost, a number or (d_X,).
        steepness: Fall of the log odds per unit of f(z), a number or (d_X,); negative where strong signals are lost.

    Example:
        >>> SignalDropout(midpoint=1.0, steepness=2.0).probability(np.array([[1.0]])).tolist()
        [[0.5]]
    """

    midpoint: np.ndarray
    steepness: np.ndarray

    random = True
    breaks = ("noiseless",)
    lost = 0
    recovery = "losses of known probability can be weighted out, and only of known (theory, claim 2.11e)"

    @checked_numbers
    def __post_init__(self) -> None:
        hold_features(self, "midpoint", "steepness")

    def sample(self, clean: np.ndarray, *, streams: Streams) -> np.ndarray:
        return np.where(streams["signal_dropout"].random(clean.shape) < self.probability(clean), 0.0, clean)

    def probability(self, clean: np.ndarray) -> np.ndarray:
        """P(zero | f(z)) (n, d_X)."""
        clean = same_width(clean, midpoint=self.midpoint, steepness=self.steepness)
        from scipy.special import expit  # loaded on first use

        with np.errstate(over="ignore"):
            log_odds = self.midpoint - clean
            log_odds *= self.steepness
        return expit(log_odds, out=log_odds)

    def mean(self, clean: np.ndarray) -> np.ndarray:
        """E[x | f(z)] = (1 − P) f(z)."""
        return (1 - self.probability(clean)) * clean

    def variance(self, clean: np.ndarray) -> np.ndarray:
        """Var[x | f(z)] = P (1 − P) f(z)², entry by entry."""
        probability = self.probability(clean)
        return probability * (1 - probability) * clean**2
