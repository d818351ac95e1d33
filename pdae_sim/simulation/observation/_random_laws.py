"""Observation laws with per-feature parameters, drawn to suit a reference sample of f(z)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import at_least, between, matrix, naming
from pdae_sim.errors import InputError
from pdae_sim.simulation._registry import Registry
from pdae_sim.simulation.observation._features import guarded_exp
from pdae_sim.simulation.observation.assays import LogNormal, NegativeBinomial
from pdae_sim.simulation.observation.chain import OBSERVATIONS, Chain, Observation
from pdae_sim.simulation.observation.noise import GaussianNoise, Heteroscedastic, SignalDropout


@checked_numbers
def random_observation(kind: str, *, clean: np.ndarray, rng: _random.SeedLike = None, **settings: Any) -> Observation:
    """A law of one kind with its per-feature parameters taken from, or drawn to suit, a reference sample.

    Centre and spread are the means and standard deviations of the reference. Settings by kind, with their defaults:

    - ``none``, ``log1p``: none; ``log_normalise``: target = 10⁴; ``clr``: pseudocount = 1; ``dropout``: rate.
    - ``gaussian``: exactly one of scale and snr (Σ Var f_g(z) over the total noise variance).
    - ``heteroscedastic``: exactly one of scale and snr; slope = 1.
    - ``signal_dropout``: midpoint = −1 in spreads from the centre; steepness = 2 per spread.
    - ``negative_binomial``: depth (2 counts a gene), depth_spread = 0.3, amplitude = 0.5, baseline_spread = 1.5 (log-sd
      of the gene baselines), dispersion = 0.3 (the median gene), dispersion_spread = 0.5 (log-sd over genes).
    - ``log_normal``: baseline = 2 (mean over features), baseline_spread = 1, amplitude = 0.5, sigma = 0.3.
    - ``chain``: steps, a list of ``{"kind": …, **settings}``; each is drawn on what the steps before it made.

    Args:
        kind: A key of `OBSERVATIONS`.
        clean: (m, d_X) reference sample of f(z).
        rng: Seed or generator.
        settings: As above.

    Raises:
        InputError: If the kind or a setting is unknown, missing or out of range.

    Example:
        >>> clean = np.array([[0.0, 1.0], [2.0, 5.0]])
        >>> random_observation("gaussian", clean=clean, snr=10.0).scale == 0.5
        True
    """
    clean = matrix("clean", clean)
    if len(clean) < 2:
        raise InputError(f"clean must have at least two rows; received {len(clean)}")
    streams = _random.Streams(_random.seed_sequence(rng), "observation")
    return RANDOM_LAWS.make(kind, settings, clean=clean, streams=streams)


def _gaussian(clean: np.ndarray, *, scale: float | None = None, snr: float | None = None) -> GaussianNoise:
    return GaussianNoise(_one_scale(clean, scale, snr))


def _heteroscedastic(
    clean: np.ndarray, *, scale: float | None = None, snr: float | None = None, slope: float = 1.0
) -> Heteroscedastic:
    centre, spread = _centre_and_spread(clean)
    at_least("slope", slope, 0.0)
    with np.errstate(over="ignore"):
        average = ((1 + (slope * (clean - centre) / spread) ** 2).mean()) ** 0.5  # sd of the whole noise at scale 1
    if not np.isfinite(average):
        raise InputError(f"slope is too large for noise of finite size; received {slope}")
    scale = _one_scale(clean, scale, snr) / (1.0 if snr is None else average)
    return Heteroscedastic(scale, slope, centre, spread)


def _signal_dropout(clean: np.ndarray, *, midpoint: float = -1.0, steepness: float = 2.0) -> SignalDropout:
    centre, spread = _centre_and_spread(clean)
    return SignalDropout(centre + midpoint * spread, steepness / spread)


def _negative_binomial(
    clean: np.ndarray,
    streams: _random.Streams,
    *,
    depth: float | None = None,
    depth_spread: float = 0.3,
    amplitude: float = 0.5,
    baseline_spread: float = 1.5,
    dispersion: float = 0.3,
    dispersion_spread: float = 0.5,
) -> NegativeBinomial:
    d = clean.shape[1]
    baseline = _around(0.0, baseline_spread, d, streams["baseline"], "baseline_spread")
    log_factor = _around(0.0, dispersion_spread, d, streams["dispersion"], "dispersion_spread")
    centre, spread = _centre_and_spread(clean)
    dispersions = at_least("dispersion", dispersion, 0.0) * guarded_exp(log_factor, "a gene's dispersion")
    depth = 2.0 * d if depth is None else depth  # two counts a gene
    return NegativeBinomial(depth, depth_spread, baseline, np.array(amplitude), centre, spread, dispersions)


def _log_normal(
    clean: np.ndarray,
    streams: _random.Streams,
    *,
    baseline: float = 2.0,
    baseline_spread: float = 1.0,
    amplitude: float = 0.5,
    sigma: float = 0.3,
) -> LogNormal:
    baselines = _around(baseline, baseline_spread, clean.shape[1], streams["baseline"], "baseline_spread")
    return LogNormal(baselines, np.array(amplitude), *_centre_and_spread(clean), np.array(sigma))


def _chain(clean: np.ndarray, streams: _random.Streams, *, steps: Sequence[Mapping[str, Any]]) -> Chain:
    laws: list[Observation] = []
    for i, step in enumerate(steps):
        if "kind" not in step:
            raise InputError(f"step {i} has no kind")
        with naming(f"step {i}"):
            laws.append(random_observation(clean=clean, rng=streams[f"law.{i}"], **step))
        clean = laws[-1].sample(clean, streams=_random.Streams(_random.seed_sequence(streams[f"reference.{i}"])))
    return Chain(tuple(laws))


RANDOM_LAWS: Registry[Observation] = Registry(
    "observation",
    {
        **OBSERVATIONS,  # laws without parameters of the features are made as they are
        "gaussian": _gaussian,
        "heteroscedastic": _heteroscedastic,
        "signal_dropout": _signal_dropout,
        "negative_binomial": _negative_binomial,
        "log_normal": _log_normal,
        "chain": _chain,
    },
    "clean",
    "streams",
)
"""Random laws by kind, with the settings of each."""


def _centre_and_spread(clean: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and standard deviations of the features; a constant feature has spread 1."""
    spread = clean.std(axis=0)
    return clean.mean(axis=0), np.where(spread > 0, spread, 1.0)


def _around(middle: float, spread: float, d: int, rng: np.random.Generator, name: str) -> np.ndarray:
    return middle + at_least(name, spread, 0.0) * rng.standard_normal(d)


def _one_scale(clean: np.ndarray, scale: float | None, snr: float | None) -> float:
    """The standard deviation of the noise, given or from the signal-to-noise ratio.

    A plain ratio of total variances, no decibels: scale² = Σ_g Var f_g(z) / (d_X · snr).
    """
    if scale is not None and snr is None:
        return at_least("scale", scale, 0.0)
    if scale is None and snr is not None:
        return float(np.sqrt(clean.var(axis=0).sum() / (clean.shape[1] * between("snr", snr, 0.0, np.inf))))
    raise InputError(f"needs exactly one of scale and snr; received {'neither' if scale is None else 'both'}")
