"""How a fitted model predicts, chosen by leaving out training combinations.

A combination that the rest of the training conditions identify is a test of prediction that costs no test condition.
Some are left out at a time, a shorter fit of the same model is made without them, and every way to predict them is
judged by the energy distance to their cells: base latents from several sources, or compositions of measured cells that
ask no network.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from pdae_sim import _random
from pdae_sim._checks import choice
from pdae_sim._seals import rebuilt
from pdae_sim.data import PerturbationData
from pdae_sim.energy import energy_distance
from pdae_sim.estimation import _kept_cells as keeping
from pdae_sim.estimation._cell_numbers import by_cells, weighty
from pdae_sim.estimation._composing import compose
from pdae_sim.estimation._sources import better_source, scaled_source
from pdae_sim.estimation.baselines import Pool
from pdae_sim.estimation.compositions import COMPOSITIONS

if TYPE_CHECKING:
    from pdae_sim.estimation.pdae import PDAE

_log = logging.getLogger(__name__)

_FOLDS, _FEWEST, _MOST = 3, 3, 24
"""Shorter fits, combinations that have to be there, and those that are judged at most."""
_SHORTER = 3
"""By how much shorter than the fit itself."""
_VALUES = 2**25
"""Values of x up to which shorter fits are made: beyond it they would double the minutes and the memory of a fit."""
_NEAR, _VAGUE = 10, 100
"""Parts of the mean distance below which nearer is not told apart, and by how much a limit is of no use above it."""
_MIXED = "pooled_cells"
"""Training cells mixed, beside the ways to predict and never chosen: what is no nearer tells nothing."""
_CELLS = 1000
"""Cells that each prediction is judged by, at most."""


@dataclass(frozen=True)
class Selection:
    """Ways to predict compared on training combinations that were left out.

    Args:
        chosen: The way that is taken.
        conditions: Combinations that were left out.
        distances: Energy distance at each of them, by way; that of training cells mixed beside them.

    Example:
        >>> near = Selection("near", ("A+B", "A+C", "B+C"), {"model": (0.3, 0.2, 0.4), "near": (0.1, 0.1, 0.2)})
        >>> round(near.expected, 2), round(near.upper_limit(), 2)
        (0.13, 0.49)
    """

    chosen: str
    conditions: tuple[str, ...]
    distances: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def expected(self) -> float:
        """Mean energy distance of the chosen way at the combinations that were left out."""
        return float(np.mean(self.distances[self.chosen]))

    @property
    def pooling_is_nearer(self) -> bool:
        """Whether training cells mixed are nearer to the combinations that were left out than the chosen way."""
        return float(np.mean(self.distances.get(_MIXED, math.inf))) <= self.expected

    def upper_limit(self, level: float = 0.95) -> float:
        """A limit for the energy distance at one more combination, if those left out are like it and log-normal.

        Distances of less than a tenth of their mean count as a tenth, for they are unbiased and may be negative: how
        near the nearest were says nothing of how far another may be.
        """
        values = np.array(self.distances[self.chosen])
        logs = np.log(np.maximum(values, max(values.mean() / _NEAR, 1e-12)))
        n = len(logs)
        reach = stats.t.ppf(level, n - 1) * logs.std(ddof=1) * math.sqrt(1 + 1 / n)
        return float(np.exp(logs.mean() + reach))

    def in_words(self) -> str:
        """The choice, how far it was off where that is known, and a limit for one more combination."""
        means = {name: float(np.mean(each)) for name, each in self.distances.items()}
        mixed, _ = means.pop(_MIXED, math.inf), means.pop(self.chosen)
        other = min(means, key=means.__getitem__, default="")
        nearer = bool(other) and means[other] < self.expected
        beside = f" ({other} {means[other]:.3g}, {'not clearly nearer' if nearer else 'next'})" if other else ""
        limit, n = self.upper_limit(), len(self.conditions)
        told = f"at one more below {limit:.3g} with 95 % confidence"
        if limit > _VAGUE * max(self.expected, 1e-12):
            told = f"at one more {n} are too few to tell"
        combinations = f"{n} training combinations left out{beside}"
        if self.pooling_is_nearer:
            told += f"; training cells mixed have {mixed:.3g}, so that no prediction is to be relied on"
        return f"{self.chosen}: energy distance {self.expected:.3g} at {combinations}, {told}"

    def to_json(self) -> dict:
        """The selection as plain JSON values."""
        return {
            "chosen": self.chosen,
            "conditions": list(self.conditions),
            "distances": {name: list(values) for name, values in self.distances.items()},
        }

    @classmethod
    def from_json(cls, state: Mapping | None) -> Selection | None:
        """The selection written as `state`, if one was."""
        if state is None:
            return None
        read = rebuilt(cls, state)
        if {len(values) for values in read.distances.values()} != {len(read.conditions)} or len(read.conditions) < 2:
            raise ValueError("selection.distances must have a value at each of its conditions")
        choice("selection.chosen", read.chosen, read.distances)
        return read


def choose(model: PDAE, data: PerturbationData) -> None:
    """Give a fitted model its way to predict, what that was judged by, and the cells that it needs.

    Args:
        model: Fitted.
        data: Its training environments, in order.
    """
    model.source_ = better_source(model, data) if model.observation_.noisy else "pool"
    model.source_ += keeping.TILTED if keeping.tilts(model, data) else ""
    model.selection_ = select(model, data) if model.select else None
    model.source_ = model.selection_.chosen if model.selection_ else model.source_
    model._kept = keeping.keep(model, data)
    model.composing_ = compose(model, data) if model.select and not model.selection_ else None
    model._kept = model._kept or keeping.keep(model, data)


def select(model: PDAE, data: PerturbationData) -> Selection | None:
    """The way to predict that is nearest at left-out combinations; None where few can be left out or x is large.

    The way that the model would take stays, unless another is nearer by more than the standard error of the difference.

    Args:
        model: Fitted.
        data: Its training environments, in order.
    """
    data = weighty(data)
    large = math.prod(data.stored.shape) > _VALUES
    folds = [] if large or by_cells(data.counts) else left_out(data)
    if sum(map(len, folds)) < _FEWEST:
        return None
    found: dict[str, list[float]] = {}
    for fold in folds:
        rest = data.select(np.setdiff1d(np.arange(len(data.labels)), fold))
        for name, values in _judged(_shorter(model).fit(rest), rest, data, fold, model.source_).items():
            found.setdefault(name, []).extend(values)
    conditions = tuple(data.conditions[e] for fold in folds for e in fold)
    distances = {name: tuple(values) for name, values in found.items()}
    selection = Selection(nearest(distances, model.source_), conditions, distances)
    _tell(selection, model.source_)
    return selection


def nearest(distances: Mapping[str, Sequence[float]], default: str) -> str:
    """The way of least mean distance, if it is less than the default's by more than a standard error."""
    best = min((name for name in distances if name != _MIXED), key=lambda name: float(np.mean(distances[name])))
    gain = np.subtract(distances[default], distances[best])
    return best if gain.mean() > gain.std(ddof=1) / math.sqrt(len(gain)) else default


def left_out(data: PerturbationData) -> list[list[int]]:
    """Training combinations in folds, each of which the rest identifies.

    Args:
        data: Training environments.
    """
    combined = np.flatnonzero((data.labels != 0).sum(1) > 1)
    rng = _random.stream(_random.seed_sequence(0), "left out")
    order = rng.permutation(combined)
    folds: list[list[int]] = [[] for _ in range(_FOLDS)]
    for i, e in enumerate(order.tolist()):
        for fold in [folds[(i + j) % _FOLDS] for j in range(_FOLDS)]:
            tried = [*fold, e]
            if _spanned(np.delete(data.labels, tried, axis=0), data.labels[tried]):
                fold.append(e)
                break
        if sum(map(len, folds)) >= _MOST:
            break
    return [fold for fold in folds if fold]


def _spanned(labels: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether some labels (m, K) are affine combinations of others (E, K), to the rounding of floats."""
    shifts, targets = labels - labels[0], wanted - labels[0]
    left = targets - targets @ np.linalg.pinv(shifts) @ shifts
    return bool((np.abs(left) <= 1e-9 * np.abs(targets).max(initial=1.0)).all())


def _shorter(model: PDAE) -> PDAE:
    """The model before its fit, with the number of latents and the observation model that were found; fewer steps."""
    steps = max(sum(phase.steps for phase in model.plan_.phases) // _SHORTER, 1)
    shorter = copy.copy(model)
    shorter.__dict__ = {name: getattr(model, name) for name in model.get_params()}
    shorter.n_latents, shorter.observation, shorter.select = model._d_Z, model.observation_.name, False
    shorter.phases = model.plan_.shortened(steps).phases
    shorter.steps = None
    return shorter


def _judged(
    model: PDAE, rest: PerturbationData, data: PerturbationData, fold: Sequence[int], default: str
) -> dict[str, list[float]]:
    """Distances at the conditions of a fold by way of predicting them."""
    found: dict[str, list[float]] = {}
    for name, sample in (*ways(model, rest, default), (_MIXED, Pool().fit(rest).sample)):
        for e in fold:
            x = data.samples(e)
            n = min(len(x), _CELLS)
            x = x[_random.stream(_random.seed_sequence(0), "judged", e).permutation(len(x))[:n]].astype(np.float64)
            drawn = sample(data.labels[e], max(n, 500), rng=e)
            found.setdefault(name, []).append(float(energy_distance(drawn, x, unbiased=True)))
    return found


def ways(model: PDAE, data: PerturbationData, default: str) -> Iterator[tuple[str, Callable[..., np.ndarray]]]:
    """Ways to predict by name: from the sources of a model fitted to `data`, and compositions of cells of `data`."""
    mark = "+" + default.partition("+")[2] if "+" in default else ""
    plain = ("model" if model.observation_.noisy else "pool", "near", "parts")
    for source in dict.fromkeys((default, *plain, *(f"{name}{mark}" for name in plain))):
        for name in (source, scaled_source(source)):
            yield name, partial(model.sample, source=name)
    for name in COMPOSITIONS:
        yield name, COMPOSITIONS[name]().fit(data).sample


def _tell(selection: Selection, default: str) -> None:
    told = ", ".join(f"{name} {np.mean(values):.3g}" for name, values in selection.distances.items())
    _log.info(
        "predictions: %s; energy distance at %d training combinations left out: %s; by itself the model takes %s",
        selection.chosen, len(selection.conditions), told, default,
    )  # fmt: skip
