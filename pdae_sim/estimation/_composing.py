"""Whether combinations are composed of measured cells: where perturbations do more than shift the latents of a model.

Where no combination was measured nothing can be left out to judge predictions by, but two things can be asked of a
model all the same. Can the cells of a training condition be made of the latents of the others? And do cells composed by
optimal transport, which ask for no latents, fall where they would if the model were right? That is known, for the model
can draw the cells of its own that it would then have been fitted to.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from pdae_sim import _random
from pdae_sim._checks import finite
from pdae_sim._seals import rebuilt
from pdae_sim.data import PerturbationData
from pdae_sim.energy import energy_distance
from pdae_sim.estimation._cell_numbers import by_cells, sits_out
from pdae_sim.estimation.compositions import TransportParts

if TYPE_CHECKING:
    from pdae_sim.estimation.pdae import PDAE

_log = logging.getLogger(__name__)

COMPOSED = "transport_parts"
"""The composition, by name."""
_VALUES = 2**25
"""Values of x up to which it is tried."""
_PAIRS, _DRAWN = 4, 2000
"""Sums of two singles, and cells that are drawn of each and compared."""
_COMPOSED, _REPEATS = 600, 3
"""Cells of a condition that are composed at most, and how often the model draws as many of its own."""
_SINGLES = 40
"""Training conditions of one perturbation that pairs are drawn from, at most."""
_FEWEST = 50
"""Cells of each of three conditions, at least."""
_WEIGHT, _LIMIT = 3.0, 2.0
"""Chosen in thrown-away worlds: the weight of misfit, and the multiple of the price beyond which cells are composed."""


@dataclass(frozen=True)
class Composing:
    """What measured cells, composed, say of the predictions of a model; energy distances, unbiased.

    Args:
        conditions: Sums of two training conditions of one perturbation each.
        apart: At each of them, between cells of the model and composed measured cells.
        price: The same where the model drew the cells that are composed: what to compose costs if it is right.
        misfit: The greatest of their parts, between measured cells and what shifts make of all other conditions.

    Example:
        >>> Composing(("A+B",), apart=(0.02,), price=(0.03,), misfit=(0.001,)).chosen
        False
        >>> Composing(("A+B",), apart=(0.16,), price=(0.03,), misfit=(0.01,)).chosen
        True
    """

    conditions: tuple[str, ...]
    apart: tuple[float, ...]
    price: tuple[float, ...]
    misfit: tuple[float, ...]

    @property
    def chosen(self) -> bool:
        """Whether combinations of measured parts are composed."""
        apart, price, misfit = map(np.median, (self.apart, self.price, self.misfit))
        return bool(apart + _WEIGHT * misfit > _LIMIT * price)

    def in_words(self) -> str:
        """What was found, and what is made of it."""
        apart, price, misfit = map(np.median, (self.apart, self.price, self.misfit))
        n = len(self.conditions)
        at = self.conditions[0] if n == 1 else f"{n} sums of measured singles"
        found = f"at {at} composed cells are {apart:.3g} from the model's, where {price:.3g} is to be expected of it"
        if not self.chosen:
            return f"{found} (energy distance): it fits"
        return f"{found}, and shifts miss a training condition by {misfit:.3g} (energy distance): so cells are composed"

    def to_json(self) -> dict:
        """The record as plain JSON values."""
        return {name: list(getattr(self, name)) for name in ("conditions", "apart", "price", "misfit")}

    @classmethod
    def from_json(cls, state: Mapping | None) -> Composing | None:
        """The record written as `state`, if one was."""
        if state is None:
            return None
        read = rebuilt(cls, state)
        if {len(v) for v in (read.apart, read.price, read.misfit)} != {len(read.conditions)} or not read.conditions:
            raise ValueError("composing must have a distance at each of its conditions")
        finite("composing", np.array([read.apart, read.price, read.misfit]))
        return read


def compose(model: PDAE, data: PerturbationData) -> Composing | None:
    """What composed cells say of a model; None where nothing can be composed, cells are few or x is large.

    Args:
        model: Fitted.
        data: Its training environments, in order.
    """
    if math.prod(data.stored.shape) > _VALUES or by_cells(data.counts) or data.labels[data.reference].any():
        return None
    pairs = _pairs(data)
    if not pairs:
        return None
    used = sorted({data.reference, *(e for pair in pairs for e in pair)})
    seen = _some(data.select(np.array(used)))
    measured, own = TransportParts().fit(seen), [TransportParts().fit(each) for each in _drawn(model, seen)]
    misfit = {e: _misfit(model, data, e) for e in used}
    found: dict[str, tuple[float, float, float]] = {}
    for pair in pairs:
        label = data.labels[list(pair)].sum(0)
        cells = model.sample(label, _DRAWN, rng=0)
        apart, *price = (_distance(each.sample(label, _DRAWN, rng=1), cells) for each in (measured, *own))
        most = max(misfit[e] for e in (data.reference, *pair))
        found[data.space.condition(label)] = apart, float(np.mean(price)), most
    composing = Composing(tuple(found), *zip(*found.values(), strict=True))
    _log.info("predictions: %s", composing.in_words())
    return composing


def _pairs(data: PerturbationData) -> list[tuple[int, int]]:
    """Training conditions of one perturbation each, two by two, some of all those of different ones."""
    able = ~sits_out(data.counts) & (data.counts >= _FEWEST)
    if not able[data.reference]:
        return []
    alone = np.flatnonzero(able & ((data.labels != 0).sum(1) == 1)).tolist()
    of = {e: int(np.flatnonzero(data.labels[e])[0]) for e in alone}
    order = _random.stream(_random.seed_sequence(0), "composed").permutation(alone)[:_SINGLES].tolist()
    possible: Iterable[tuple[int, int]] = combinations(order, 2)
    pairs = [pair for pair in possible if of[pair[0]] != of[pair[1]]]
    picked = np.linspace(0, len(pairs) - 1, min(len(pairs), _PAIRS)).astype(int)
    return [pairs[i] for i in picked]


def _some(data: PerturbationData) -> PerturbationData:
    """These data with fewer cells of large conditions."""
    rng = _random.stream(_random.seed_sequence(0), "some")
    picked = [rng.permutation(rows)[:_COMPOSED] for rows in data.rows_by_environment]
    return data.rows(np.sort(np.concatenate(picked)))


def _drawn(model: PDAE, data: PerturbationData) -> list[PerturbationData]:
    """Data like these, which the model drew."""
    drawn = []
    for repeat in range(_REPEATS):
        x = np.empty(data.stored.shape)
        for e, rows in enumerate(data.rows_by_environment):
            x[rows] = model.sample(data.labels[e], len(rows), rng=(repeat, e))
        drawn.append(replace(data, x=x))
    return drawn


def _misfit(model: PDAE, data: PerturbationData, e: int) -> float:
    """Between the cells of a condition and those that shifts make of the latents of all others."""
    rng = _random.stream(_random.seed_sequence(0), "misfit", e)
    rows = rng.choice(np.flatnonzero(model._base_environment != e), _DRAWN)
    z = model.base_latents_[rows] + model.perturbation_matrix_ @ data.labels[e]
    x = data.gathered(rng.permutation(data.rows_by_environment[e])[:_DRAWN]).astype(np.float64)
    return _distance(model._decoded(z, model._exposure[rows], _random.seed_sequence(e)), x)


def _distance(x: np.ndarray, y: np.ndarray) -> float:
    return float(energy_distance(x, y, unbiased=True))
