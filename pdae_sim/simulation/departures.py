"""Departures from the additive-shift model, each made on purpose: what a label does beyond adding shifts.

A departure turns the mechanisms of an environment into others. Those of a model are applied in the order given.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from pdae_sim._checks import at_least, choice, finite
from pdae_sim.errors import InputError
from pdae_sim.simulation._state import from_state, to_state
from pdae_sim.simulation.mechanisms import Mechanisms, owned

_SHIFTS = ("additive",)
_MECHANISMS = ("additive", "shared_covariance")


class Departure(Protocol):
    """A change of mechanisms that depends on the label and is none at the label 0."""

    @property
    def breaks(self) -> tuple[str, ...]:
        """The assumptions violated; none where the parameters leave every mechanism as it is."""

    def apply(self, mechanisms: Mechanisms, label: np.ndarray, targets: np.ndarray) -> Mechanisms:
        """The mechanisms under a label (K,), from those before and the targets S (d, K)."""


@dataclass(frozen=True, eq=False)
class Epistasis:
    """Pairs of perturbations interact: shift_j += Σ_{k < k'} terms[j, k, k'] l_k l_k'. Single ones add as before.

    Args:
        terms: (d, K, K); entries on and below the diagonal of the last two axes are not read.
    """

    terms: np.ndarray

    def __post_init__(self) -> None:
        _own(self, "terms", finite)

    @property
    def breaks(self) -> tuple[str, ...]:
        """Additivity, unless all terms are zero."""
        return _SHIFTS if np.triu(self.terms, 1).any() else ()

    def apply(self, mechanisms: Mechanisms, label: np.ndarray, targets: np.ndarray) -> Mechanisms:
        _match("epistasis.terms", self.terms, (*targets.shape, targets.shape[1]))
        interaction = np.triu(self.terms, 1) @ label @ label
        return replace(mechanisms, shift=mechanisms.shift + interaction)


@dataclass(frozen=True)
class Saturation:
    """Doses saturate: the shift S l becomes S φ(l) with φ(l) = (1 + half) l / (half + |l|).

    It adds S (φ(l) − l), so it comes before a `Do`, which replaces shifts. φ is odd, φ(1) = 1 and |φ| < 1 + half,
    half of which is reached at the dose `half`.

    Args:
        half: > 0; infinite for none.
    """

    half: float

    def __post_init__(self) -> None:
        if not (isinstance(self.half, numbers.Real) and self.half > 0):
            raise InputError(f"half must be a number > 0; received {self.half!r}")

    @property
    def breaks(self) -> tuple[str, ...]:
        """Additivity, unless `half` is infinite."""
        return () if np.isinf(self.half) else _SHIFTS

    def dose(self, label: np.ndarray) -> np.ndarray:
        """φ(l), entry by entry."""
        return label if np.isinf(self.half) else (1 + self.half) * label / (self.half + np.abs(label))

    def apply(self, mechanisms: Mechanisms, label: np.ndarray, targets: np.ndarray) -> Mechanisms:
        return replace(mechanisms, shift=mechanisms.shift + targets @ (self.dose(label) - label))


@dataclass(frozen=True, eq=False)
class Do:
    """Perturbations replace mechanisms: z_j = Σ_k values[j, k] l_k + noise · scale_j u_j, whatever the causes of j.

    The sum runs over the perturbations present (l_k ≠ 0) that set j; where there is none the mechanism of j stays.

    Args:
        values: (d, K), NaN where perturbation k does not set latent j.
        noise: Fraction ≥ 0 of the noise scale that is kept; 0 sets j exactly and leaves no density.
    """

    values: np.ndarray
    noise: float = 0.0

    def __post_init__(self) -> None:
        at_least("noise", self.noise, 0.0)
        _own(self, "values", _finite_or_nan)

    @property
    def breaks(self) -> tuple[str, ...]:
        """Additivity and the shared covariance, unless nothing is set."""
        return () if np.isnan(self.values).all() else _MECHANISMS

    def apply(self, mechanisms: Mechanisms, label: np.ndarray, targets: np.ndarray) -> Mechanisms:
        _match("do.values", self.values, targets.shape)
        acting = ~np.isnan(self.values) & (label != 0)
        level = np.where(acting, self.values, 0.0) @ label
        set_ = acting.any(axis=1)
        return Mechanisms(
            np.where(set_[:, None], 0.0, mechanisms.adjacency),
            np.where(set_, self.noise * mechanisms.scale, mechanisms.scale),
            np.where(set_, level, mechanisms.shift),
        )


@dataclass(frozen=True, eq=False)
class VarianceIntervention:
    """Perturbations change noise scales: scale_j *= exp(Σ_k log_ratio[j, k] l_k).

    Args:
        log_ratio: (d, K), log ratio of the standard deviations at one unit of k to those of the reference.
    """

    log_ratio: np.ndarray

    def __post_init__(self) -> None:
        _own(self, "log_ratio", finite)

    @property
    def breaks(self) -> tuple[str, ...]:
        """Additivity and the shared covariance, unless all ratios are one."""
        return _MECHANISMS if self.log_ratio.any() else ()

    def apply(self, mechanisms: Mechanisms, label: np.ndarray, targets: np.ndarray) -> Mechanisms:
        _match("variance.log_ratio", self.log_ratio, targets.shape)
        return replace(mechanisms, scale=mechanisms.scale * np.exp(self.log_ratio @ label))


@dataclass(frozen=True, eq=False)
class MechanismChange:
    """Perturbations loosen a latent from its causes: A[j, :] *= exp(−Σ_k rate[j, k] |l_k|).

    Args:
        rate: (d, K) ≥ 0.
    """

    rate: np.ndarray

    def __post_init__(self) -> None:
        _own(self, "rate", finite)
        if (self.rate < 0).any():
            raise InputError(f"rate must be ≥ 0; received {self.rate.min()}")

    @property
    def breaks(self) -> tuple[str, ...]:
        """Additivity and the shared covariance, unless all rates are zero."""
        return _MECHANISMS if self.rate.any() else ()

    def apply(self, mechanisms: Mechanisms, label: np.ndarray, targets: np.ndarray) -> Mechanisms:
        _match("mechanism.rate", self.rate, targets.shape)
        kept = np.exp(-self.rate @ np.abs(label))
        return replace(mechanisms, adjacency=kept[:, None] * mechanisms.adjacency)


DEPARTURES = {
    "epistasis": Epistasis,
    "saturation": Saturation,
    "do": Do,
    "variance": VarianceIntervention,
    "mechanism": MechanismChange,
}
"""Departures by the name that files use."""


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


def departure_state(departure: Departure) -> dict:
    """The departure as plain values and arrays; `departure_from_state` is its inverse."""
    return to_state(departure, DEPARTURES)


def departure_from_state(state: dict) -> Departure:
    """The departure that `departure_state` described."""
    return from_state(state, DEPARTURES)


def _random_epistasis(S: np.ndarray, strength: float, rng: np.random.Generator) -> Epistasis:
    larger = np.maximum(np.abs(S)[:, :, None], np.abs(S)[:, None, :])
    return Epistasis(np.triu(strength * larger * rng.choice([-1.0, 1.0], larger.shape), 1))


def _random_saturation(S: np.ndarray, strength: float, rng: object) -> Saturation:
    return Saturation(1 / strength if strength else np.inf)


def _random_do(S: np.ndarray, strength: float, rng: object) -> Do:
    return Do(np.where(S != 0, strength * S, np.nan))


def _random_variance(S: np.ndarray, strength: float, rng: np.random.Generator) -> VarianceIntervention:
    return VarianceIntervention(np.where(S != 0, strength * rng.choice([-1.0, 1.0], S.shape), 0.0))


def _random_mechanism(S: np.ndarray, strength: float, rng: object) -> MechanismChange:
    return MechanismChange(np.where(S != 0, strength, 0.0))


_RANDOM = {
    "epistasis": _random_epistasis,
    "saturation": _random_saturation,
    "do": _random_do,
    "variance": _random_variance,
    "mechanism": _random_mechanism,
}


def _own(part: object, name: str, guard: object) -> None:
    object.__setattr__(part, name, guard(name, owned(getattr(part, name))))


def _finite_or_nan(name: str, array: np.ndarray) -> np.ndarray:
    finite(name, np.where(np.isnan(array), 0.0, array))
    return array


def _match(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise InputError(f"{name} must have shape {shape} for this model; received {array.shape}")
