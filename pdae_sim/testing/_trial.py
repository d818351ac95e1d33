"""An estimator on one dataset: its fits, its predictions, and how far two predictions are apart."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from pdae_sim._random import child, seed_sequence
from pdae_sim.data import PerturbationData
from pdae_sim.energy import energy_distance

N_DRAWN = 400
"""Cells drawn of each condition where laws of cells are compared."""
_NOISE = 4.0
"""Allowance for the noise of an energy distance between two samples of n cells, in mean distances of cells over n."""
_ROUNDING = 1e-4
"""Differences up to this, in standard deviations of a feature, are rounding: float32 through networks included."""


class BrokenError(Exception):
    """A law does not hold; the message says what was seen."""


class NotApplicableError(Exception):
    """A law says nothing about this estimator or these data; the message says why."""


@contextmanager
def raising_nothing(what: str) -> Iterator[None]:
    """Turn any error raised inside into a broken law."""
    try:
        yield
    except (BrokenError, NotApplicableError):
        raise
    except Exception as error:
        raise BrokenError(f"{what} raised {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class Trial:
    """One estimator, one dataset.

    Args:
        estimator: Unfitted; every fit is of a copy.
        data: Training conditions, and held-out ones that it must not look at.
        tolerance: Largest energy distance between two predictions that are to agree, in units of the mean energy
            distance between training conditions.
        seed: Seed of what is drawn.
    """

    estimator: Any
    data: PerturbationData
    tolerance: float
    seed: int

    @property
    def labels(self) -> np.ndarray:
        """(C, K) labels to predict, all of them identified: trained ones, one between two, one beyond."""
        labels, reference = self.data.train.labels, self.data.train.reference
        others = np.delete(labels, reference, axis=0)
        beyond = [others[0] + others[1 % len(others)] - labels[reference]] if len(others) else []
        return np.array([*labels[:3], (labels[0] + labels[-1]) / 2, *beyond])

    @cached_property
    def fitted(self) -> Any:
        """A copy, fitted to the data; what it raises is not a law's affair."""
        return _fitted(self.estimator, self.data)

    @cached_property
    def predicted(self) -> np.ndarray:
        """(C, n, d_X) cells drawn at `labels` by the fitted copy."""
        return self.predict(self.fitted)

    def refitted(self, data: PerturbationData) -> Any:
        """Another copy, fitted to other data."""
        with raising_nothing("fit"):
            return _fitted(self.estimator, data)

    def predict(self, model: Any, conditions: Sequence | np.ndarray | None = None, n: int = N_DRAWN) -> np.ndarray:
        """(C, n, d_X) cells that a fitted estimator draws at conditions, each under the same seed."""
        asked = self.labels if conditions is None else conditions
        with raising_nothing("sample"):
            return np.array([self.cells(model.sample(condition, n, rng=self.seed), n) for condition in asked])

    def cells(self, drawn: object, n: int) -> np.ndarray:
        """What `sample` gave as (n, d_X) finite real numbers, which every law but that of shapes takes for granted."""
        x, wanted = np.asarray(drawn), (n, self.data.stored.shape[1])
        if x.shape != wanted or x.dtype.kind not in "fiub":
            found = f"{type(drawn).__name__} of shape {x.shape} and {x.dtype}"
            raise BrokenError(f"sample(…, {n}) gives {found}, not numbers of shape {wanted}")
        if not np.isfinite(x).all():
            raise BrokenError(f"sample(…, {n}) gives cells that are not finite")
        return x

    def drawn(self, *path: object) -> np.random.Generator:
        """A generator under a path of names."""
        return np.random.default_rng(child(seed_sequence(self.seed), *path))

    def identical(self, other: np.ndarray, what: str) -> str:
        """Evidence that predictions are those of the fitted copy, bit for bit."""
        if not np.array_equal(other, self.predicted):
            raise BrokenError(f"{what} predicts other cells: {self._told(other)}")
        return "bit for bit"

    def alike(self, other: np.ndarray, what: str) -> str:
        """Evidence that predictions have the law of those of the fitted copy: equal bits, to rounding, or near."""
        if other.shape != self.predicted.shape:
            raise BrokenError(f"{what} predicts cells of shape {other.shape[1:]}, not {self.predicted.shape[1:]}")
        if np.array_equal(other, self.predicted):
            return "bit for bit"
        gap = float(np.abs((other - self.predicted) / self._scale).max())
        if gap < _ROUNDING:
            return f"to rounding ({gap:.0e} standard deviations)"
        far, where = self._farthest(other)
        if not far <= self.allowed:
            raise BrokenError(f"{what} predicts another law: {self._told(other)}")
        return f"in law (energy distance {far:.3f} at {where}, allowed {self.allowed:.3f})"

    @cached_property
    def allowed(self) -> float:
        """Largest energy distance, features in standard deviations, that is no difference."""
        train, parts = self.data.train, range(len(self.data.train.labels))
        cells = [train.samples(e)[:N_DRAWN] / self._scale for e in parts]
        pairs = [(a, b) for a in parts for b in parts if a < b]
        effect = np.mean([energy_distance(cells[a], cells[b]) for a, b in pairs]) if pairs else 0.0
        return self.tolerance * float(effect) + self.noise(N_DRAWN)

    def noise(self, n: int) -> float:
        """Allowance for the noise of an energy distance between two samples of n cells."""
        return _NOISE * float(np.sqrt(2 * self.data.stored.shape[1])) / n

    def distance(self, x: np.ndarray, y: np.ndarray) -> float:
        """Unbiased energy distance of two samples, features in standard deviations of the training cells."""
        return float(energy_distance(x / self._scale, y / self._scale, unbiased=True))

    @cached_property
    def _scale(self) -> np.ndarray:
        spread = self.data.train.x.std(0, dtype=np.float64)
        return np.where(spread > 0, spread, 1.0)

    def _farthest(self, other: np.ndarray) -> tuple[float, str]:
        """The largest distance over conditions, and which condition has it."""
        if not np.isfinite(other).all():
            return np.inf, "a prediction that is not finite"
        apart = [self.distance(x, y) for x, y in zip(other, self.predicted, strict=True)]
        return max(apart), self.data.space.condition(self.labels[int(np.argmax(apart))])

    def _told(self, other: np.ndarray) -> str:
        if other.shape != self.predicted.shape:
            return f"shape {other.shape[1:]} in place of {self.predicted.shape[1:]}"
        far, where = self._farthest(other)
        return f"energy distance {far:.3g} at {where}, allowed {self.allowed:.3g}"


def _fitted(estimator: Any, data: PerturbationData) -> Any:
    try:
        model = copy.deepcopy(estimator).fit(data)
    except SystemExit as error:
        raise BrokenError(f"fit ended the program (SystemExit: {error}); raise an error in its place") from error
    if not hasattr(model, "sample"):
        raise BrokenError(f"fit must return the fitted estimator; it returned {type(model).__name__}")
    return model
