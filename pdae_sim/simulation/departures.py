"""Departures from the additive-shift model, each made on purpose: what a label does beyond adding shifts.

A departure turns the mechanisms of an environment into others. Those of a model are applied in the order given.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import at_least
from pdae_sim._matrices import Locked
from pdae_sim.errors import InputError
from pdae_sim.simulation._fields import hold
from pdae_sim.simulation._mechanisms import Mechanisms
from pdae_sim.simulation._registry import Registry

_SHIFTS = ("additive",)
_MECHANISMS = ("additive", "shared_covariance")


class Departure(Protocol):
    """A change of mechanisms that depends on the label and is none at the label 0.

    Example:
        >>> {kind: kind in DEPARTURES for kind in ("do", "undo")}
        {'do': True, 'undo': False}
    """

    @property
    def breaks(self) -> tuple[str, ...]:
        """The assumptions violated; none where the parameters leave every mechanism as it is."""

    def apply(self, mechanisms: Mechanisms, label: np.ndarray, targets: np.ndarray) -> Mechanisms:
        """The mechanisms under a label (K,), from those before and the targets S (d, K)."""


@dataclass(frozen=True, eq=False)
class Epistasis(Locked):
    """Pairwise interactions: shift_j += Σ_{k < k'} terms[j, k, k'] l_k l_k'. Single perturbations add as before.

    Args:
        terms: (d, K, K); entries on and below the diagonal of the last two axes are not read.

    Example:
        >>> mechanisms = Mechanisms([[0.0]], [1.0], [0.0])
        >>> both = Epistasis(np.full((1, 2, 2), 0.5)).apply(mechanisms, np.ones(2), np.ones((1, 2)))
        >>> both.shift.tolist()
        [0.5]
    """

    terms: np.ndarray

    @checked_numbers
    def __post_init__(self) -> None:
        hold(self, terms=3)

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
    """Saturating doses: the shift S l becomes S φ(l) with φ(l) = (1 + half) l / (half + |l|).

    It adds S (φ(l) − l), so it comes before a `Do`, which replaces shifts. φ is odd, φ(1) = 1 and |φ| < 1 + half,
    half of which is reached at the dose `half`.

    Args:
        half: > 0; infinite for none.

    Example:
        >>> Saturation(1.0).dose(np.array([0.0, 1.0, 3.0])).tolist()
        [0.0, 1.0, 1.5]
    """

    half: float

    @checked_numbers
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
class Do(Locked):
    """Hard interventions, do(z_j): z_j = Σ_k values[j, k] l_k + noise · scale_j u_j, whatever the causes of j.

    The sum runs over the perturbations present (l_k ≠ 0) that set j; where there is none the mechanism of j stays.

    Args:
        values: (d, K), NaN where perturbation k does not set latent j.
        noise: Fraction ≥ 0 of the noise scale that is kept; 0 sets j exactly and leaves no density.

    Example:
        >>> mechanisms = Mechanisms([[0.0]], [1.0], [5.0])
        >>> fixed = Do([[2.0]]).apply(mechanisms, np.ones(1), np.ones((1, 1)))
        >>> fixed.shift.tolist(), fixed.scale.tolist()
        ([2.0], [0.0])
    """

    values: np.ndarray
    noise: float = 0.0

    @checked_numbers
    def __post_init__(self) -> None:
        at_least("noise", self.noise, 0.0)
        hold(self, values=2, missing=True)

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
class VarianceIntervention(Locked):
    """Interventions on noise variances: scale_j *= exp(Σ_k log_ratio[j, k] l_k).

    Args:
        log_ratio: (d, K), log ratio of the standard deviations at one unit of k to those of the reference.

    Example:
        >>> mechanisms = Mechanisms([[0.0]], [1.0], [0.0])
        >>> change = VarianceIntervention([[np.log(2.0)]])
        >>> change.apply(mechanisms, np.ones(1), np.ones((1, 1))).scale.round(6).tolist()
        [2.0]
    """

    log_ratio: np.ndarray

    @checked_numbers
    def __post_init__(self) -> None:
        hold(self, log_ratio=2)

    @property
    def breaks(self) -> tuple[str, ...]:
        """Additivity and the shared covariance, unless all ratios are one."""
        return _MECHANISMS if self.log_ratio.any() else ()

    def apply(self, mechanisms: Mechanisms, label: np.ndarray, targets: np.ndarray) -> Mechanisms:
        _match("variance.log_ratio", self.log_ratio, targets.shape)
        return replace(mechanisms, scale=mechanisms.scale * np.exp(self.log_ratio @ label))


@dataclass(frozen=True, eq=False)
class MechanismChange(Locked):
    """Soft interventions that loosen a latent from its causes: A[j, :] *= exp(−Σ_k rate[j, k] |l_k|).

    Args:
        rate: (d, K) ≥ 0.

    Example:
        >>> mechanisms = Mechanisms([[0, 0], [0.8, 0]], [1, 1], [0, 0])
        >>> change = MechanismChange([[0.0], [np.log(2.0)]])
        >>> change.apply(mechanisms, np.ones(1), np.ones((2, 1))).adjacency[1].round(6).tolist()
        [0.4, 0.0]
    """

    rate: np.ndarray

    @checked_numbers
    def __post_init__(self) -> None:
        hold(self, rate=2)
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


DEPARTURES: Registry[Departure] = Registry(
    "departure",
    {
        "epistasis": Epistasis,
        "saturation": Saturation,
        "do": Do,
        "variance": VarianceIntervention,
        "mechanism": MechanismChange,
    },
)
"""Departures by the name that files use."""


def _match(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise InputError(f"{name} must have shape {shape} for this model; received {array.shape}")
