"""Whether combinations are composed of measured cells: where perturbations do more than shift the latents of a model.

Where no combination was measured nothing can be left out to judge predictions by, but two things can be asked of a
model all the same. Can the cells of a training condition be made of the latents of the others? And do cells composed by
optimal transport, which ask for no latents, fall where they would if the model were right? That is known, for the model
can draw the cells of its own that it would then have been fitted to.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from pdae_sim import _random
from pdae_sim._checks import finite
from pdae_sim._contexts import context_names
from pdae_sim._seals import rebuilt
from pdae_sim.data import PerturbationData
from pdae_sim.energy import energy_distance
from pdae_sim.estimation._cell_numbers import by_cells
from pdae_sim.estimation.compositions import TransportParts

if TYPE_CHECKING:
    from pdae_sim.estimation.pdae import PDAE
    from pdae_sim.labels import LabelSpace

_log = logging.getLogger(__name__)

COMPOSED = "transport_parts"
"""The composition, by name."""
_VALUES = 2**22
"""Values of x up to which it is tried: beyond it nearest neighbours take minutes."""
_PAIRS, _SINGLES, _DRAWN = 4, 40, 2000
"""Sums of two singles, singles that they are chosen from, and cells of each that are drawn and compared."""
_CELLS, _REPEATS = 600, 4
"""Cells of a condition that are composed at most, and how often, for a single sum; half as often for several."""
_FEWEST = 50
"""Cells of a part, at least."""
_BOUND = ("counts", "log")
"""Tables whose values are whole or positive, which composed ones would not be."""
_WEIGHT, _LIMIT = 2.0, 2.0
"""Chosen in thrown-away worlds: the weight of misfit, and the multiple of the price beyond which cells are composed."""


@dataclass(frozen=True)
class Composing:
    """What measured cells, composed, say of the predictions of a model; energy distances, unbiased.

    Args:
        conditions: Sums of two training conditions of one perturbation each.
        apart: At each of them, between cells of the model and composed measured cells.
        price: The same where the model drew the cells that are composed: what to compose costs if it is right.
        misfit: The greatest of their parts, between measured cells and what shifts make of all other conditions, above
            what is due to chance.
        parts: Training conditions of one perturbation each, of cells enough to be composed.

    Example:
        >>> said = {"conditions": ("A+B",), "price": (0.03,), "parts": ("A", "B")}
        >>> [Composing(**said, apart=(apart,), misfit=(0.001,)).chosen for apart in (0.02, 0.16)]
        [False, True]
    """

    conditions: tuple[str, ...]
    apart: tuple[float, ...]
    price: tuple[float, ...]
    misfit: tuple[float, ...]
    parts: tuple[str, ...]

    @property
    def chosen(self) -> bool:
        """Whether combinations of measured parts are composed."""
        apart, price, misfit = self._medians
        return bool(apart + _WEIGHT * misfit > _LIMIT * price)

    @property
    def _medians(self) -> tuple[float, float, float]:
        apart, price, misfit = (float(np.median(each)) for each in (self.apart, self.price, self.misfit))
        return apart, price, max(misfit, 0.0)

    def in_words(self) -> str:
        """What was found, and what is made of it."""
        apart, price, misfit = self._medians
        n = len(self.conditions)
        at = self.conditions[0] if n == 1 else f"{n} sums of measured singles"
        found = f"at {at} composed cells are {apart:.3g} from the model's, where {price:.3g} is to be expected of it"
        found += f", and shifts miss a training condition by {misfit:.3g} (energy distance)"
        return f"{found}: sums of measured singles are composed" if self.chosen else f"{found}: no misfit is seen"

    def to_json(self) -> dict:
        """The record as plain JSON values."""
        return {name: list(getattr(self, name)) for name in ("conditions", "apart", "price", "misfit", "parts")}

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


def adds(label: np.ndarray, space: LabelSpace, parts: Collection[str]) -> bool:
    """Whether a label (K,) is the sum of two parts or more."""
    singles = {space.condition(single) for single in np.diag(label)[label != 0]}
    return len(singles) > 1 and singles <= set(parts)


def compose(model: PDAE, data: PerturbationData) -> Composing | None:
    """What composed cells say of a model; None where they can say nothing, or are no use.

    That is where no two parts are measured, cells are few, x is large, values are bound, contexts are told apart or the
    plan is the caller's own; and where a sum that was measured is nearer to the model, which has seen it.

    Args:
        model: Fitted.
        data: Its training environments, in order.
    """
    if not _composable(model, data) or not (pairs := _pairs(data)):
        return None
    parts = tuple(data.conditions[e] for e in _alone(data))
    if _misses(model, data, TransportParts().fit(_some(data, 0)), parts):
        return None
    sums = {data.space.condition(data.labels[list(pair)].sum(0)): pair for pair in pairs}
    used = sorted({data.reference, *(e for pair in pairs for e in pair)})
    seen = data.select(np.array(used))
    source = "model" if model.observation_.noisy else "pool"
    drawn = {name: model.sample(name, _DRAWN, rng=0, source=source) for name in sums}
    some = [_some(seen, repeat) for repeat in range(_REPEATS if len(sums) == 1 else _REPEATS // 2)]
    own = (_redrawn(model, cells, source, repeat) for repeat, cells in enumerate(some))
    spread = _spread(drawn)  # over cells, about what unbiased distances are by chance
    floor = spread / (int(some[0].counts.min()) * math.sqrt(len(some)))
    apart, price = (_apart(each, drawn, floor) for each in (some, own))
    misfit = {e: _misfit(model, data, e) - spread / min(int(data.counts[e]), _DRAWN) for e in used}
    most = tuple(max(misfit[e] for e in (data.reference, *pair)) for pair in sums.values())
    composing = Composing(tuple(sums), apart, price, most, parts)
    _log.info("predictions: %s", composing.in_words())
    return composing


def _composable(model: PDAE, data: PerturbationData) -> bool:
    """Whether cells of these data can be composed at all, and in the time that a fit may take."""
    return not (
        model.phases is not None
        or math.prod(data.stored.shape) > _VALUES
        or by_cells(data.counts)
        or data.labels[data.reference].any()
        or data.counts[data.reference] < _FEWEST
        or model.observation_.transform in _BOUND
        or context_names(data.names, data.control)
    )


def _alone(data: PerturbationData) -> np.ndarray:
    """Training conditions of one perturbation each, of cells enough."""
    return np.flatnonzero((data.counts >= _FEWEST) & ((data.labels != 0).sum(1) == 1))


def _pairs(data: PerturbationData) -> list[tuple[int, int]]:
    """Some of the pairs of singles of different perturbations whose sum was not measured, by size of their effects."""
    alone, known = _alone(data), {tuple(label) for label in data.labels}
    of = {int(e): int(np.flatnonzero(data.labels[e])[0]) for e in alone}
    means = {e: data.samples(e).mean(0, dtype=np.float64) for e in (*of, data.reference)}
    sizes = {e: float(np.linalg.norm(means[e] - means[data.reference])) for e in of}
    order = sorted(of, key=sizes.__getitem__, reverse=True)[:_SINGLES]
    different = (pair for pair in combinations(order, 2) if of[pair[0]] != of[pair[1]])
    pairs = [pair for pair in different if tuple(data.labels[list(pair)].sum(0)) not in known]
    picked = np.linspace(0, len(pairs) - 1, min(len(pairs), _PAIRS)).astype(int)
    return [pairs[i] for i in picked]


def _some(data: PerturbationData, repeat: int) -> PerturbationData:
    """These data with fewer cells of large conditions, others at each repeat."""
    rng = _random.stream(_random.seed_sequence(0), "some", repeat)
    picked = [rng.permutation(rows)[:_CELLS] for rows in data.rows_by_environment]
    return data.rows(np.sort(np.concatenate(picked)))


def _redrawn(model: PDAE, data: PerturbationData, source: str, repeat: int) -> PerturbationData:
    """Data like these, which the model drew."""
    root, x = _random.child(_random.seed_sequence(0), "drawn", repeat), np.empty(data.stored.shape)
    for e, rows in enumerate(data.rows_by_environment):
        x[rows] = model.sample(data.labels[e], len(rows), rng=_random.child(root, e), source=source)
    return replace(data, x=x)


def _apart(measured: Iterable[PerturbationData], drawn: Mapping[str, np.ndarray], floor: float) -> tuple[float, ...]:
    """At each sum, between cells that are drawn and composed ones: geometric mean, for few cells make them skewed."""
    composed = [TransportParts().fit(cells) for cells in measured]
    found = [[_distance(each.sample(name, _DRAWN, rng=1), x) for name, x in drawn.items()] for each in composed]
    return tuple(np.exp(np.log(np.maximum(found, floor)).mean(0)).tolist())


def _misses(model: PDAE, data: PerturbationData, composed: TransportParts, parts: tuple[str, ...]) -> bool:
    """Whether sums of parts that were measured are nearer to the model than to composed cells, in the mean."""
    excess = []
    for e, label in enumerate(data.labels):
        if adds(label, data.space, parts):
            x = data.samples(e)[:_DRAWN].astype(np.float64)
            ours, models = (_distance(each.sample(label, _DRAWN, rng=2), x) for each in (composed, model))
            excess.append(ours - models)
    return bool(excess) and float(np.mean(excess)) >= 0


def _misfit(model: PDAE, data: PerturbationData, e: int) -> float:
    """Between the cells of a condition and those that shifts make of the latents of all others."""
    rng = _random.stream(_random.seed_sequence(0), "misfit", e)
    rows = rng.choice(np.flatnonzero(model._base_environment != e), _DRAWN)
    z = model.base_latents_[rows] + model.perturbation_matrix_ @ data.labels[e]
    x = data.gathered(rng.permutation(data.rows_by_environment[e])[:_DRAWN]).astype(np.float64)
    return _distance(model._decoded(z, model._exposure[rows], _random.seed_sequence(e)), x)


def _spread(drawn: Mapping[str, np.ndarray]) -> float:
    """Mean distance between two cells of a condition."""
    halves = [np.array_split(cells, 2) for cells in drawn.values()]
    return float(np.mean([np.linalg.norm(a - b, axis=1).mean() for a, b in halves]))


def _distance(x: np.ndarray, y: np.ndarray) -> float:
    return float(energy_distance(x, y, unbiased=True))
