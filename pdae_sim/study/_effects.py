"""Metrics of effects at held-out conditions: what they compare with, and their place between pool and replicate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from pdae_sim._matrices import Matrix
from pdae_sim.analysis.effect_metrics import (
    ControlCells,
    DifferentialExpression,
    direction_match,
    discrimination_score,
    overlap_at_n,
    pearson_delta,
)
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError

Measures = dict[str, Callable[[], Sequence[float | None]]]
"""Metrics by name: each gives its value, or value, low and high."""

EFFECT_METRICS = (
    "pearson_delta",
    "pearson_delta_pert",
    "mse",
    "mae",
    "discrimination_score_l1",
    "discrimination_score_cosine",
    "de_direction_match",
    "overlap_at_N",
)
"""Metrics of means and single features that the field reports, by the names of cell-eval."""

_ERRORS = ("mse", "mae")  # less is better
_LOG1P_BELOW = 15.0  # beyond it values are not taken for logarithms, by cell-eval either


@dataclass(frozen=True)
class ExpressionScale:
    """The scale that effects are measured on.

    Args:
        total: What counts of a cell are scaled to before log1p; None leaves values as they are.
        log1p: Whether values are then log1p of expression.
    """

    total: float | None
    log1p: bool

    @classmethod
    def of(cls, x: Matrix) -> ExpressionScale:
        """Counts become log1p of counts per median total; values in [0, 15) are log1p already; others stay."""
        if x.min() < 0:
            return cls(None, False)
        values = x if isinstance(x, np.ndarray) else x.data
        if (values == np.floor(values)).all():
            return cls(float(np.median(x.sum(1, dtype=np.float64))), True)
        return cls(None, bool(x.max() < _LOG1P_BELOW))

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Cells (n, d_X) on this scale."""
        x = np.asarray(x, dtype=np.float64)
        if self.total is None:
            return x
        totals = x.clip(0).sum(1, keepdims=True)
        return np.log1p(x.clip(0) * (self.total / np.where(totals > 0, totals, 1.0)))


@dataclass(frozen=True, eq=False)
class EffectReference:
    """Measured cells that predictions of effects are compared with.

    Args:
        scale: The scale of all that follows.
        cells: Measured cells by held-out condition.
        control: Control cells; None where the data have none.
        perturbed: (d_X,) mean over training perturbations of their means; None where there is none.
        features: Names of the d_X coordinates.
    """

    scale: ExpressionScale
    cells: Mapping[str, np.ndarray]
    control: ControlCells | None
    perturbed: np.ndarray | None
    features: np.ndarray
    _tests: dict[str, DifferentialExpression] = field(default_factory=dict)

    @classmethod
    def of(cls, train: PerturbationData, held_out: PerturbationData) -> EffectReference:
        """Control and average perturbation from training cells; `held_out` has the cells to be predicted."""
        scale = ExpressionScale.of(train.stored)
        none = (train.labels == 0).all(1)
        control = [ControlCells(scale(train.samples(e)), log1p=scale.log1p) for e in np.flatnonzero(none).tolist()]
        means = [scale(train.samples(e)).mean(0) for e in np.flatnonzero(~none).tolist()]
        cells = {c: scale(held_out.samples(e)) for e, c in enumerate(held_out.conditions)}
        return cls(
            scale,
            cells,
            control[0] if control else None,
            np.mean(means, axis=0) if means else None,
            np.array(train.features),
        )

    def comparable(self, condition: str, predicted: np.ndarray) -> np.ndarray:
        """Predicted cells on the scale, as many as there are measured ones, for a replicate has no more."""
        return self.scale(predicted[: len(self.cells[condition])])

    def with_control(self, cells: Mapping[str, np.ndarray], reference: PerturbationData) -> PerturbationData:
        """Cells by condition, in the order of `reference`, after the control cells."""
        parts = [self._control().x, *cells.values()]
        return PerturbationData(
            np.vstack(parts),
            np.vstack([np.zeros(len(reference.names)), reference.labels]),
            np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
            reference.names,
            features=reference.features,
            control=reference.control,
        )

    def measures(self, condition: str, predicted: np.ndarray) -> Measures:
        """Every metric of the predicted cells that are comparable."""
        x = self.comparable(condition, predicted)
        mean, truth = x.mean(0), self.cells[condition].mean(0)
        tested = cache(lambda: self._control().differential_expression(x))
        values: dict[str, Callable[[], float]] = {
            "pearson_delta": lambda: pearson_delta(mean, truth, self._control().mean),
            "pearson_delta_pert": lambda: pearson_delta(mean, truth, self._average()),
            "mse": lambda: float(((mean - truth) ** 2).mean()),
            "mae": lambda: float(np.abs(mean - truth).mean()),
            "discrimination_score_l1": lambda: self._discrimination(condition, mean, "l1"),
            "discrimination_score_cosine": lambda: self._discrimination(condition, mean, "cosine"),
            "de_direction_match": lambda: direction_match(tested(), self._tested(condition)),
            "overlap_at_N": lambda: overlap_at_n(tested(), self._tested(condition)),
        }
        return {metric: _sequence(value) for metric, value in values.items()}

    def _control(self) -> ControlCells:
        if self.control is None:
            raise InputError("changes are from the control; the data have no control condition in training")
        return self.control

    def _average(self) -> np.ndarray:
        if self.perturbed is None:
            raise InputError("changes are from the average perturbation; none but the control is in training")
        return self.perturbed

    def _tested(self, condition: str) -> DifferentialExpression:
        if condition not in self._tests:
            self._tests[condition] = self._control().differential_expression(self.cells[condition])
        return self._tests[condition]

    def _discrimination(self, condition: str, mean: np.ndarray, distance: str) -> float:
        """Rank among held-out conditions, by all features but one of the condition's own name, as cell-eval has it."""
        if len(self.cells) < 2:
            raise InputError("discrimination is between held-out conditions; there is only one")
        kept, origin = self.features != condition, self._control().mean
        effects = np.array([cells.mean(0) for cells in self.cells.values()]) - origin
        index = list(self.cells).index(condition)
        return discrimination_score((mean - origin)[kept], effects[:, kept], index, distance=distance)


def scaled(metric: str, value: float | None, pool: float | None, replicate: float | None) -> float | None:
    """Place of a value between that of all training cells mixed, 0, and that of a replicate, 1.

    None where the replicate is no better than the mixture, so that nothing can be told.
    """
    if value is None or pool is None or replicate is None:
        return None
    better = pool - replicate if metric in _ERRORS else replicate - pool
    return (value - pool) / (replicate - pool) + 0.0 if better > 0 else None  # never -0.0


def _sequence(value: Callable[[], float]) -> Callable[[], Sequence[float | None]]:
    def measure() -> tuple[float | None]:
        number = value()
        return (number if np.isfinite(number) else None,)

    return measure
