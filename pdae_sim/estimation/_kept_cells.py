"""Training cells that a model keeps beside its networks: to predict by a composition of them, or to tilt them.

Cells of the model and tilted cells are wrong in ways of their own. A decoder errs where few cells were seen and the law
of base latents is only nearly that of the prior; tilted cells are real, but count for few. The energy distance of an
equal mixture of two laws is half the sum of theirs less a quarter of that between them: with errors that have nothing
in common it is half of either.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from pdae_sim import _random
from pdae_sim._checks import choice
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._composing import COMPOSED, adds
from pdae_sim.estimation._sources import SOURCES
from pdae_sim.estimation.compositions import COMPOSITIONS, AdditiveParts, LinearNear, TransportParts

if TYPE_CHECKING:
    from pdae_sim.estimation.pdae import PDAE
    from pdae_sim.estimation.tilting import Tilting

TILTED = "+tilting"
"""What the name of a source ends with where a share of the cells is tilted."""
_VALUES = 2**22
"""Values of x up to which cells are kept to be tilted."""
_SHARE = 0.5
"""Share of tilted cells at most."""
_FEWEST, _ENOUGH = 50, 500
"""Effective numbers of tilted cells up to which there are none, and from which on their share is largest."""


class KeptCells:
    """Training environments in the precision of files, and what predicts by them.

    Args:
        model: Fitted.
        cells: Its training environments, in order.
    """

    def __init__(self, model: PDAE, cells: PerturbationData) -> None:
        self._model, self.cells = model, replace(cells, x=cells.stored.astype(np.float32))
        self._compositions: dict[str, AdditiveParts | LinearNear | TransportParts] = {}

    def composed(self, name: str, label: np.ndarray, n: int, root: np.random.SeedSequence) -> np.ndarray:
        """n draws (n, d_X) of a composition of the cells, by name; none is negative where no cell is."""
        if name not in self._compositions:
            self._compositions[name] = COMPOSITIONS[name]().fit(self.cells)
        drawn = self._compositions[name].sample(label, n, rng=root)
        return drawn if self.cells.stored.min() < 0 else np.maximum(drawn, 0.0)

    @cached_property
    def _tilting(self) -> Tilting:
        from pdae_sim.estimation.tilting import Tilting

        return Tilting(self._model).fit(self.cells)

    def support(self, label: np.ndarray) -> float:
        """How many training cells a tilted prediction rests on; 0 where a label is too far to tilt to."""
        try:
            return self._tilting.effective_sample_size(label)
        except InputError:
            return 0.0

    def tilted(self, drawn: np.ndarray, label: np.ndarray, root: np.random.SeedSequence) -> np.ndarray:
        """Draws (n, d_X) of the model at a label, half of them replaced by tilted cells, or fewer where few bear it."""
        share = _SHARE * np.clip((self.support(label) - _FEWEST) / (_ENOUGH - _FEWEST), 0.0, 1.0)
        rows = _random.stream(root, "tilted").permutation(len(drawn))[: round(share * len(drawn))]
        if len(rows):
            drawn[rows] = self._tilting.sample(label, len(rows), rng=_random.child(root, "tilting"))
        return drawn


def tilts(model: PDAE, data: PerturbationData) -> bool:
    """Whether a model keeps its training cells to tilt them: under noise, where x is small."""
    return model.observation_.noisy and math.prod(data.stored.shape) <= _VALUES


def keep(model: PDAE, data: PerturbationData) -> KeptCells | None:
    """The cells that a fitted model predicts by, if it does."""
    return KeptCells(model, data) if tilts(model, data) or compositions(model) else None


def source_at(model: PDAE, label: np.ndarray) -> str:
    """How a fitted model predicts at a label (K,) unless it is told."""
    composing = model.composing_
    if composing is None or not composing.chosen or (model.train_labels_ == label).all(1).any():
        return model.source_
    return COMPOSED if adds(label, model.space_, composing.parts) else model.source_


def compositions(model: PDAE) -> list[str]:
    """Names of the compositions that a fitted model predicts by, at some labels or at all."""
    at_some = [COMPOSED] if model.composing_ and model.composing_.chosen else []
    return [model.source_] if model.source_ in COMPOSITIONS else at_some


def sources(model: PDAE) -> tuple[str, ...]:
    """Names of sources that a fitted model can predict from."""
    tilted = [source + TILTED for source in SOURCES] if model._kept and model.observation_.noisy else []
    return *SOURCES, *tilted, *compositions(model)


def source_given(model: PDAE, label: np.ndarray, source: str | None) -> str:
    """The source to predict a label (K,) from: the model's own, or one that it has."""
    source = source_at(model, label) if source is None else source
    if isinstance(source, str) and source.removesuffix(TILTED) in SOURCES and source not in sources(model):
        why = "is noiseless" if not model.observation_.noisy else f"was fitted to more than {_VALUES:,} values"
        raise InputError(f"source {source!r} asks for tilted cells, of which this model keeps none, for it {why}")
    return choice("source", source, sources(model))
