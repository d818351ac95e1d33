"""Scales of dose, one for each perturbation: the shift at a dose l of k is W_k φ_k(l), and φ_k(l) is its label.

With φ(l) in place of l every claim holds as it stands (theory, claim 2.15): span, certificates, additivity and verdicts
are those of transformed labels. φ is given, or learnt: along one perturbation laws are p_0(x) exp(φ b(x) + c), so that
a logistic regression whose logits share one function b tells φ at every measured dose, up to a unit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import isotonic_regression

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import between, near_misses
from pdae_sim._random import SeedLike, seed_sequence
from pdae_sim.analysis._constrained_logistic import standardised, stereotype
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError

_FOLDS = 3


@dataclass(frozen=True, eq=False)
class DoseScale:
    """φ of one perturbation, straight between the doses at which it is known, and odd.

    Args:
        name: The perturbation.
        doses: (m,) ascending from 0.
        values: (m,) φ at these, from 0, not descending; that of the largest dose is that dose.

    Example:
        >>> scale = DoseScale("A", np.array([0.0, 1.0, 10.0]), np.array([0.0, 5.0, 10.0]))
        >>> scale(np.array([0.5, 10.0, -1.0])).tolist()
        [2.5, 10.0, -5.0]
    """

    name: str
    doses: np.ndarray
    values: np.ndarray

    def __call__(self, dose: np.ndarray) -> np.ndarray:
        """φ(dose), entry by entry; doses beyond the largest known are refused."""
        size = np.abs(dose)
        if (size > self.doses[-1]).any():
            raise InputError(f"doses of {self.name!r} must not exceed {self.doses[-1]:g}; received {size.max():g}")
        return np.sign(dose) * np.interp(size, self.doses, self.values)


@checked_numbers
def log_scale(unit: float) -> Callable[[np.ndarray], np.ndarray]:
    """φ(l) = log(1 + |l| / unit) / log(1 + 1 / unit) with the sign of l; φ(1) = 1.

    Args:
        unit: > 0, the dose from which on effects grow with the logarithm.

    Example:
        >>> log_scale(1.0)(np.array([0.0, 1.0, 3.0, -3.0])).tolist()
        [0.0, 1.0, 2.0, -2.0]
    """
    between("unit", unit, 0, np.inf)
    return lambda dose: np.sign(dose) * np.log1p(np.abs(dose) / unit) / np.log1p(1 / unit)


@checked_numbers
def hill_scale(half: float, power: float = 1.0) -> Callable[[np.ndarray], np.ndarray]:
    """φ(l) = (1 + halfⁿ) |l|ⁿ / (halfⁿ + |l|ⁿ) with the sign of l; φ(1) = 1.

    Args:
        half: > 0, the dose of half of the largest effect.
        power: n > 0, the exponent of Hill.

    References:
        Hill (1910), The possible effects of the aggregation of the molecules of haemoglobin, J. Physiol. 40.

    Example:
        >>> hill_scale(1.0)(np.array([0.0, 1.0, 3.0])).tolist()
        [0.0, 1.0, 1.5]
    """
    between("half", half, 0, np.inf)
    between("power", power, 0, np.inf)

    def scale(dose: np.ndarray) -> np.ndarray:
        size = np.abs(dose) ** power
        return np.sign(dose) * (1 + half**power) * size / (half**power + size)

    return scale


@checked_numbers
def learn_dose_scale(data: PerturbationData, name: str, *, rng: SeedLike = None) -> DoseScale:
    """Learn φ of one perturbation from the cells of its doses alone, isotonic, from training conditions only.

    Args:
        data: Cells; the control and two doses or more of the perturbation by itself, all of one sign.
        name: The perturbation.
        rng: Seed of folds and landmarks.

    Raises:
        InputError: If there are fewer doses, or no control.

    References:
        Anderson (1984), Regression and ordered categorical variables, JRSS B 46, for one function shared by all logits.
        At 200 cells of each of five doses behind a curved map, values as shares of the largest were 0.06 too small in
        the middle, with a standard deviation of 0.04; on other cells effects were told not to be straight in 5 of 30
        worlds on the learnt scale at 5 %, in all on the given one.

    Example:
        >>> draw = np.random.default_rng(0)
        >>> means = {"ctrl": 0.0, "A": 1.5, "A:10": 2.0}  # almost all of the effect at the first dose
        >>> x = np.concatenate([draw.normal(m, 1.0, (300, 1)) for m in means.values()])
        >>> scale = learn_dose_scale(PerturbationData.from_arrays(x, np.repeat(list(means), 300)), "A", rng=0)
        >>> bool(abs(scale.values[1] - 7.5) < 1.5)
        True
    """
    data = data.train
    k = _position(data, name)
    alone = (np.delete(data.labels, k, axis=1) == 0).all(1)
    chosen = np.flatnonzero(alone)
    chosen = chosen[np.argsort(np.abs(data.labels[chosen, k]), kind="stable")]
    doses = data.labels[chosen, k]
    if len(chosen) < 3 or doses[0] != 0 or len(set(np.sign(doses[1:]))) > 1:
        raise InputError(
            f"data must hold the control and two doses or more of {name!r} by itself, all of one sign; "
            f"received doses {doses.tolist()}"
        )
    part, size = data.select(chosen), np.abs(doses)
    phi = stereotype(
        standardised(part.x.astype(np.float64)),
        part.environment,
        size / size[-1],
        n_folds=_FOLDS,
        root=seed_sequence(rng),
    )
    ascending = isotonic_regression(phi, weights=part.counts.astype(float)).x
    values = np.maximum(ascending - ascending[0], 0.0)
    if not values[-1] > 0:
        raise InputError(f"effects of {name!r} do not grow with its dose, so that no scale of it can be learnt")
    return DoseScale(name, size, size[-1] * values / values[-1])


@checked_numbers
def scale_doses(data: PerturbationData, scales: Mapping[str, Callable[[np.ndarray], np.ndarray]]) -> PerturbationData:
    """A dataset whose labels are φ_k(l_k), training conditions and others; its conditions are named by these.

    Args:
        data: A dataset.
        scales: φ by the name of the perturbation; doses of others stay.

    Raises:
        InputError: If a name is unknown, or two conditions become one.

    Example:
        >>> data = PerturbationData.from_arrays(np.zeros((3, 1)), ["ctrl", "A", "A:3"])
        >>> scale_doses(data, {"A": log_scale(1.0)}).conditions
        ('ctrl', 'A', 'A:2')
    """
    labels = data.labels.astype(np.float64).copy()
    for name, scale in scales.items():
        k = _position(data, name)
        labels[:, k] = scale(labels[:, k])
    if len(np.unique(labels, axis=0)) < len(labels):
        raise InputError(f"two conditions have one label on the scale of {', '.join(scales)}; merge them or change it")
    return replace(data, x=data.stored, labels=labels)


def _position(data: PerturbationData, name: str) -> int:
    if name not in data.names:
        raise InputError(f"there is no perturbation {name!r}; {near_misses(name, data.names)}")
    return data.names.index(name)
