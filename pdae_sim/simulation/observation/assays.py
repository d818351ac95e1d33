"""Assays that count or weigh molecules: f(z) moves log abundances, and the assay samples them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import at_least, between
from pdae_sim._matrices import Locked
from pdae_sim._random import Streams
from pdae_sim.errors import InputError
from pdae_sim.simulation.observation._features import guarded_exp, hold_features, in_spreads, same_width

_ALL = 2**31  # more features than there are
_LARGEST_COUNT = 2.0**53  # beyond it float64 skips whole numbers


@dataclass(frozen=True, eq=False)
class NegativeBinomial(Locked):
    """Negative binomial RNA counts: x_g ~ NB(mean = library · p_g, dispersion), library log-normal, given f(z).

    p = softmax(baseline + amplitude · (f(z) − centre) / spread) over the genes of a cell; library = depth ·
    exp(depth_spread · ε) with one ε ~ N(0, 1) a cell; the negative binomial is a gamma–Poisson mixture with
    Var = mean + dispersion · mean². The softmax makes the genes of a cell compete: one that rises lowers the others,
    and if all log rates rise alike nothing changes. Counts are whole numbers, stored as float64.

    Args:
        depth: Median library size (expected molecules in a cell), > 0.
        depth_spread: Standard deviation of the log library size, ≥ 0.
        baseline: Log rates at the centre up to a constant, a number or (d_X,).
        amplitude: Change of the log rate per spread, a number or (d_X,).
        centre: f(z) at the baseline, a number or (d_X,).
        spread: Unit of f(z), > 0, a number or (d_X,).
        dispersion: ≥ 0, a number or (d_X,); 0 is Poisson.

    Example:
        >>> counts = NegativeBinomial(100.0, 0.0, [0.0, np.log(3.0)], 1.0, 0.0, 1.0, 0.2)
        >>> counts.mean(np.zeros((1, 2))).round(6).tolist()
        [[25.0, 75.0]]
    """

    depth: float
    depth_spread: float
    baseline: np.ndarray
    amplitude: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    dispersion: np.ndarray

    random = True
    breaks = ("noiseless", "injective")
    recovery = "counts of known dispersion determine the law of the proportions (theory, claims 2.12 and 2.12b)"

    @checked_numbers
    def __post_init__(self) -> None:
        between("depth", self.depth, 0.0, np.inf)
        at_least("depth_spread", self.depth_spread, 0.0)
        hold_features(self, "baseline", "amplitude", "centre")
        hold_features(self, "spread", low=0.0, strict=True)
        hold_features(self, "dispersion", low=0.0)
        if (self.dispersion[self.dispersion > 0] < 1e-300).any():
            raise InputError(f"dispersion must be 0 or ≥ 1e-300; received {self.dispersion.min():g}")

    @property
    def lost(self) -> int:
        """Directions of f(z) of which x tells nothing: that of all log rates, and genes of amplitude 0."""
        return 1 + _still(self)

    def sample(self, clean: np.ndarray, *, streams: Streams) -> np.ndarray:
        """Counts x (n, d_X) given f(z) (n, d_X)."""
        rate = self.proportions(clean)
        with np.errstate(over="ignore", invalid="ignore"):
            rate *= self._library(len(rate), streams)[:, None]
            self._overdisperse(rate, streams)
        if not (largest := rate.max(initial=0.0)) < _LARGEST_COUNT:
            raise InputError(f"rates must stay below 2^53; received {largest:g}: lower depth or depth_spread")
        rate[...] = streams["count"].poisson(rate)
        return rate

    def proportions(self, clean: np.ndarray) -> np.ndarray:
        """p (n, d_X), rows sum to 1."""
        rate = _log_rate(self, clean)
        with np.errstate(invalid="ignore"):
            rate -= rate.max(axis=1, keepdims=True)
        np.exp(rate, out=rate)
        total = rate.sum(axis=1, keepdims=True)
        if not np.isfinite(total).all():
            raise InputError(
                "log rates must be finite; f(z) lies too many spreads from the centre, or amplitude is large"
            )
        rate /= total
        return rate

    def mean(self, clean: np.ndarray) -> np.ndarray:
        """E[x | f(z)] = E[library] p with E[library] = depth · exp(depth_spread² / 2)."""
        return self._library_moment(1) * self.proportions(clean)

    def variance(self, clean: np.ndarray) -> np.ndarray:
        """Var[x | f(z)] = E[library] p + ((1 + dispersion) E[library²] − E[library]²) p², entry by entry."""
        p, first, second = self.proportions(clean), self._library_moment(1), self._library_moment(2)
        return first * p + ((1 + self.dispersion) * second - first**2) * p**2

    def _library_moment(self, k: int) -> float:
        return self.depth**k * np.exp((k * self.depth_spread) ** 2 / 2)

    def _library(self, n: int, streams: Streams) -> np.ndarray:
        size = streams["library"].standard_normal(n)
        size *= self.depth_spread
        size += np.log(self.depth)
        return guarded_exp(size, "the library size")

    def _overdisperse(self, rate: np.ndarray, streams: Streams) -> None:
        """Times a gamma variate of mean 1 and variance `dispersion`, in place; genes without dispersion draw too."""
        if not self.dispersion.any():
            return
        poisson = self.dispersion == 0
        factor = streams["rate"].standard_gamma(1 / np.where(poisson, 1.0, self.dispersion), rate.shape)
        factor *= self.dispersion
        if poisson.any():
            factor[:, poisson] = 1.0
        rate *= factor


@dataclass(frozen=True, eq=False)
class LogNormal(Locked):
    """Log-normal intensities such as protein: log x = m(f(z)) + sigma ε with ε ~ N(0, I).

    m(y) = baseline + amplitude · (y − centre) / spread, feature by feature.

    Args:
        baseline: Log intensity at the centre, a number or (d_X,).
        amplitude: Change of the log intensity per spread, a number or (d_X,).
        centre: f(z) at the baseline, a number or (d_X,).
        spread: Unit of f(z), > 0, a number or (d_X,).
        sigma: Standard deviation of the log noise, ≥ 0, a number or (d_X,).

    Example:
        >>> LogNormal(np.log(2.0), 1.0, 0.0, 1.0, 0.0).mean(np.zeros((1, 1))).round(6).tolist()
        [[2.0]]
    """

    baseline: np.ndarray
    amplitude: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    sigma: np.ndarray

    recovery = "log-normal noise of known level is Gaussian on the log scale (theory, claim 2.11)"

    @checked_numbers
    def __post_init__(self) -> None:
        hold_features(self, "baseline", "amplitude", "centre")
        hold_features(self, "spread", low=0.0, strict=True)
        hold_features(self, "sigma", low=0.0)

    @property
    def random(self) -> bool:
        return bool(self.sigma.any())

    @property
    def breaks(self) -> tuple[str, ...]:
        lost = ("injective",) if not self.amplitude.all() else ()
        return ("noiseless", *lost) if self.random else lost

    @property
    def lost(self) -> int:
        """Directions of f(z) of which x tells nothing: features of amplitude 0."""
        return _still(self)

    def sample(self, clean: np.ndarray, *, streams: Streams) -> np.ndarray:
        """Intensities x (n, d_X) given f(z) (n, d_X)."""
        exponent = streams["log_normal"].standard_normal(clean.shape)
        exponent *= self.sigma
        exponent += _log_rate(self, clean)
        return guarded_exp(exponent, "a log-normal intensity")

    def mean(self, clean: np.ndarray) -> np.ndarray:
        """E[x | f(z)] = exp(m + sigma² / 2)."""
        return guarded_exp(_log_rate(self, clean) + self.sigma**2 / 2, "a log-normal mean")

    def variance(self, clean: np.ndarray) -> np.ndarray:
        """Var[x | f(z)] = (exp(sigma²) − 1) exp(2 m + sigma²), entry by entry."""
        return np.expm1(self.sigma**2) * guarded_exp(
            2 * _log_rate(self, clean) + self.sigma**2, "a log-normal variance"
        )


def _still(law: NegativeBinomial | LogNormal) -> int:
    """How many features do not follow f(z); more than there are if one amplitude of 0 is that of all."""
    return int((law.amplitude == 0).sum()) if law.amplitude.ndim else _ALL * int(law.amplitude == 0)


def _log_rate(law: NegativeBinomial | LogNormal, clean: np.ndarray) -> np.ndarray:
    """baseline + amplitude · (f(z) − centre) / spread, a fresh array."""
    rate = in_spreads(clean, law.centre, law.spread)
    same_width(rate, baseline=law.baseline, amplitude=law.amplitude)
    with np.errstate(over="ignore", invalid="ignore"):
        rate *= law.amplitude
        rate += law.baseline
    return rate
