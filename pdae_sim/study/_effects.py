"""Metrics of effects at held-out conditions: what they compare with, and their place between pool and replicate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from pdae_sim._contexts import is_context, within_context
from pdae_sim._matrices import Matrix
from pdae_sim.analysis.effect_metrics import (
    ControlCells,
    DifferentialExpression,
    direction_match,
    discrimination_score,
    overlap_at_n,
    pearson_delta,
)
from pdae_sim.contexts import by_context, context_levels
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
class Origin:
    """What changes count from in one context; in data without contexts all is of one.

    Args:
        label: (K,) of its control.
        control: Control cells; None where training has none.
        perturbed: (d_X,) mean over training perturbations of their means; None where there is none.
    """

    label: np.ndarray
    control: ControlCells | None
    perturbed: np.ndarray | None

    @classmethod
    def of(cls, train: PerturbationData, label: np.ndarray, scale: ExpressionScale) -> Origin:
        """The origin in the context of a label (K,)."""
        same, none = within_context(train.names, train.control, label, train.labels)
        control = [ControlCells(scale(train.samples(e)), log1p=scale.log1p) for e in np.flatnonzero(none).tolist()]
        means = [scale(train.samples(e)).mean(0) for e in np.flatnonzero(same & ~none).tolist()]
        own = np.where(is_context(train.names, train.control), label, 0.0)
        return cls(own, control[0] if control else None, np.mean(means, axis=0) if means else None)


@dataclass(frozen=True, eq=False)
class EffectReference:
    """Measured cells that predictions of effects are compared with.

    Args:
        scale: The scale of all that follows.
        cells: Measured cells by held-out condition.
        origins: What changes count from by held-out condition, one for all of a context.
        features: Names of the d_X coordinates.
    """

    scale: ExpressionScale
    cells: Mapping[str, np.ndarray]
    origins: Mapping[str, Origin]
    features: np.ndarray
    _tests: dict[str, DifferentialExpression] = field(default_factory=dict)

    @classmethod
    def of(cls, train: PerturbationData, held_out: PerturbationData) -> EffectReference:
        """Control and average perturbation from training cells; `held_out` has the cells to be predicted."""
        scale, own = ExpressionScale.of(train.stored), is_context(train.names, train.control)
        contexts = [tuple(label[own].tolist()) for label in held_out.labels]
        first = dict(zip(contexts, held_out.labels, strict=True))
        origins = {context: Origin.of(train, label, scale) for context, label in first.items()}
        cells = {c: scale(held_out.samples(e)) for e, c in enumerate(held_out.conditions)}
        by_condition = {c: origins[context] for c, context in zip(held_out.conditions, contexts, strict=True)}
        return cls(scale, cells, by_condition, np.array(train.features))

    def comparable(self, condition: str, predicted: np.ndarray) -> np.ndarray:
        """Predicted cells on the scale, as many as there are measured ones, for a replicate has no more."""
        return self.scale(predicted[: len(self.cells[condition])])

    def with_control(self, cells: Mapping[str, np.ndarray], reference: PerturbationData) -> PerturbationData:
        """Cells by condition, in the order of `reference`, after the control cells; in contexts those of the one."""
        origins = set(self.origins.values())
        if len(origins) > 1:
            raise InputError(f"held-out conditions are of {len(origins)} contexts; judge those of one at a time")
        parts = [self._control(next(iter(cells))).x, *cells.values()]
        data = PerturbationData(
            np.vstack(parts),
            np.vstack([next(iter(origins)).label, reference.labels]),
            np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
            reference.names,
            features=reference.features,
            control=reference.control,
        )
        return next(iter(by_context(data).values())) if context_levels(data) else data

    def measures(self, condition: str, predicted: np.ndarray) -> Measures:
        """Every metric of the predicted cells that are comparable."""
        x = self.comparable(condition, predicted)
        mean, truth = x.mean(0), self.cells[condition].mean(0)
        tested = cache(lambda: self._control(condition).differential_expression(x))
        values: dict[str, Callable[[], float]] = {
            "pearson_delta": lambda: pearson_delta(mean, truth, self._control(condition).mean),
            "pearson_delta_pert": lambda: pearson_delta(mean, truth, self._average(condition)),
            "mse": lambda: float(((mean - truth) ** 2).mean()),
            "mae": lambda: float(np.abs(mean - truth).mean()),
            "discrimination_score_l1": lambda: self._discrimination(condition, mean, "l1"),
            "discrimination_score_cosine": lambda: self._discrimination(condition, mean, "cosine"),
            "de_direction_match": lambda: direction_match(tested(), self._tested(condition)),
            "overlap_at_N": lambda: overlap_at_n(tested(), self._tested(condition)),
        }
        return {metric: _sequence(value) for metric, value in values.items()}

    def _control(self, condition: str) -> ControlCells:
        control = self.origins[condition].control
        if control is None:
            raise InputError(f"changes are from the control; no control condition of {condition!r} is in training")
        return control

    def _average(self, condition: str) -> np.ndarray:
        perturbed = self.origins[condition].perturbed
        if perturbed is None:
            raise InputError("changes are from the average perturbation; none but the control is in training")
        return perturbed

    def _tested(self, condition: str) -> DifferentialExpression:
        if condition not in self._tests:
            self._tests[condition] = self._control(condition).differential_expression(self.cells[condition])
        return self._tests[condition]

    def _discrimination(self, condition: str, mean: np.ndarray, distance: str) -> float:
        """Rank among held-out conditions, by all features but one of the condition's own name, as cell-eval has it."""
        peers = [name for name, origin in self.origins.items() if origin is self.origins[condition]]
        if len(peers) < 2:
            raise InputError("discrimination is between held-out conditions; there is only one")
        kept, origin = self.features != condition, self._control(condition).mean
        effects = np.array([self.cells[name].mean(0) for name in peers]) - origin
        index = peers.index(condition)
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
