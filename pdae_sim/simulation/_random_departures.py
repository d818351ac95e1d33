"""Random departures of a given strength, at the latents that the perturbations target."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from pdae_sim import _random
from pdae_sim._checks import at_least, choice
from pdae_sim.simulation.departures import (
    DEPARTURES,
    Departure,
    Do,
    Epistasis,
    MechanismChange,
    Saturation,
    VarianceIntervention,
)


def random_departures(
    departures: Sequence[Departure] | Mapping[str, float], targets: np.ndarray, root: np.random.SeedSequence
) -> tuple[Departure, ...]:
    """Departures as they are, or random ones by the strength of each kind, each with a stream of its own."""
    if not isinstance(departures, Mapping):
        return tuple(departures)
    return tuple(
        random_departure(kind, targets, strength=departures[kind], rng=_random.stream(root, "departure", kind))
        for kind in sorted(departures, key=lambda kind: kind == "do")  # what replaces mechanisms comes last
    )


def random_departure(kind: str, targets: np.ndarray, *, strength: float, rng: np.random.Generator) -> Departure:
    """A departure at the latents that the perturbations target, in the size `strength` ≥ 0.

    Signs are drawn for every entry, so that more targets leave the others as they were. What strength means:

    ========== ============================================================================================
    epistasis  at unit doses of a pair, the interaction at a target of either is this multiple of the larger
               of their two shifts there, with a fair sign; 0 is no departure
    saturation 1 / half: how fast doses saturate, φ → 1 + 1 / strength; 0 is no departure
    do         the value set by one unit of k is this multiple of the shift S[j, k], and no noise is left;
               0 sets the targets to zero
    variance   |log| of the ratio of noise standard deviations at a unit dose, with a fair sign; 0 is no departure
    mechanism  −log of what is left of the effects on a target at a unit dose; 0 is no departure
    ========== ============================================================================================

    Args:
        kind: One of `DEPARTURES`.
        targets: S (d, K).
        strength: The size.
        rng: A generator, for the signs of ``epistasis`` and ``variance``.
    """
    choice("departure", kind, DEPARTURES)
    return _RANDOM[kind](np.asarray(targets, dtype=np.float64), at_least("strength", strength, 0.0), rng)


def _random_epistasis(S: np.ndarray, strength: float, rng: np.random.Generator) -> Epistasis:
    larger = np.maximum(np.abs(S)[:, :, None], np.abs(S)[:, None, :])
    return Epistasis(np.triu(strength * larger * rng.choice([-1.0, 1.0], larger.shape), 1))


def _random_saturation(S: np.ndarray, strength: float, rng: np.random.Generator) -> Saturation:
    return Saturation(1 / strength if strength else np.inf)


def _random_do(S: np.ndarray, strength: float, rng: np.random.Generator) -> Do:
    return Do(np.where(S != 0, strength * S, np.nan))


def _random_variance(S: np.ndarray, strength: float, rng: np.random.Generator) -> VarianceIntervention:
    return VarianceIntervention(np.where(S != 0, strength * rng.choice([-1.0, 1.0], S.shape), 0.0))


def _random_mechanism(S: np.ndarray, strength: float, rng: np.random.Generator) -> MechanismChange:
    return MechanismChange(np.where(S != 0, strength, 0.0))


_RANDOM: dict[str, Callable[[np.ndarray, float, np.random.Generator], Departure]] = {
    "epistasis": _random_epistasis,
    "saturation": _random_saturation,
    "do": _random_do,
    "variance": _random_variance,
    "mechanism": _random_mechanism,
}
