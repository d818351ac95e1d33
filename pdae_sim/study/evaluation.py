"""Every estimator judged alike: held-out conditions, all metrics, the noise ceiling beside them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import product

import numpy as np

from pdae_sim._arguments import checked
from pdae_sim._checks import near_misses, whole
from pdae_sim._random import SeedLike
from pdae_sim.analysis.prediction_error import (
    EnergyReference,
    Worth,
    energy_estimate,
    mean_difference,
    mean_r2,
    mmd,
    worth,
)
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation.baselines import BASELINES, Ceiling
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.tilting import Tilting
from pdae_sim.protocols import Estimator
from pdae_sim.study._effects import EFFECT_METRICS, EffectReference, Measures, scaled
from pdae_sim.study._held_out import MIN_CELLS, HeldOut
from pdae_sim.study._rows import failed_row, measured_row
from pdae_sim.study._stopwatch import timed

_log = logging.getLogger(__name__)

PREDICTION_METRICS = ("energy_distance", "n_eff", "mmd", "mean_difference", "mean_r2", *EFFECT_METRICS)
"""Metrics of a predicted law against cells of the condition; those of effects have the names of cell-eval."""

_MMD_ROWS = 4000  # time and memory of MMD grow with their square
_LEAST_SAMPLES = 2000


@checked
def fitted_estimators(model: PDAE, data: PerturbationData, *, baselines: bool = True) -> dict[str, Estimator]:
    """A fitted PDAE as ``pdae`` and, beside it, tilting and every baseline fitted to the same training environments.

    Args:
        model: Fitted.
        data: What it was fitted to.
        baselines: Whether to fit the others too.

    Example:
        >>> data = PerturbationData.from_arrays([[0.0], [1.0], [2.0]], ["ctrl", "A", "A"])
        >>> list(fitted_estimators(PDAE(1), data, baselines=False))
        ['pdae']
    """
    estimators: dict[str, Estimator] = {"pdae": model}
    if baselines:
        estimators |= {name: cls().fit(data) for name, cls in BASELINES.items()}
        estimators["tilting"] = Tilting(model).fit(data)
    return estimators


@checked
def evaluate(
    estimators: Mapping[str, Estimator],
    data: PerturbationData,
    *,
    n_samples: int | None = None,
    metrics: Collection[str] = PREDICTION_METRICS,
    rng: SeedLike = None,
    on_share: Callable[[float], None] | None = None,
) -> list[dict]:
    """Judge estimators on the held-out conditions of `data`.

    The cells of each held-out condition are split in halves: one is the reference for every estimator, the other is all
    that the ``ceiling`` has to go by. Distances are unbiased (U-statistics of the predicted laws). Metrics of effects
    (``pearson_delta`` and after it) are of log1p of counts where the data are counts, and of as many predicted cells as
    the reference has; there the ceiling is the other half itself, a replicate.

    The ceiling is no bound: m cells taken for their law lie at E‖X − X'‖ / m from it, and an estimator that pools cells
    of many conditions may be nearer. Its `limit` is what D(m) tends to as sampling noise vanishes, 2 D(m) − D(m / 2):
    averaged over all ways to leave half of the m out, that is the U-statistic of the two halves.

    Args:
        estimators: Fitted estimators by name.
        data: Data with held-out conditions.
        n_samples: Draws from each predicted law; the size of the reference half, at least 2,000, when absent.
        metrics: Which of `PREDICTION_METRICS` to measure.
        rng: Whatever `numpy.random.default_rng` takes, for the split and the draws.
        on_share: Called with the share that is done after every prediction judged, as for a progress bar.

    Returns:
        Rows with condition, estimator, metric, value, low, high, status, error, and for metrics of effects `scaled`: 0
        for all training cells mixed, 1 for a replicate. Those of the ceiling have its `cells`, and `limit`, `limit_low`
        and `limit_high` of the energy distance. An estimator that fails gives a row with its error, never a
        missing row.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(60, 2))
        >>> data = PerturbationData.from_arrays(x, ["ctrl", "A", "B"] * 20, held_out=[False, False, True] * 20)
        >>> rows = evaluate({"pool": BASELINES["pool"]().fit(data)}, data, metrics=["mean_difference"], rng=0)
        >>> [(row["condition"], row["estimator"], row["status"]) for row in rows]
        [('B', 'pool', 'ok'), ('B', 'ceiling', 'ok')]
    """
    test, judged = data.test, [*estimators, "ceiling"]
    few = test.counts < MIN_CELLS
    chosen = [metric for metric in PREDICTION_METRICS if metric in metrics]
    skipped = product(np.flatnonzero(few), judged, chosen)
    rows = [_too_few(test.conditions[e], name, metric, test.counts[e]) for e, name, metric in skipped]
    if few.all():
        return rows
    held_out = HeldOut.of(data, rng)
    if data.held_out.all():  # there is no control to measure changes from
        metrics = [metric for metric in metrics if metric not in EFFECT_METRICS]
    with_effects = bool(set(metrics) & set(EFFECT_METRICS))
    judge = _Judge(held_out, EffectReference.of(data.train, held_out.reference) if with_effects else None, n_samples)
    everyone = {**estimators, "ceiling": Ceiling().fit(held_out.replicate)}
    pool = BASELINES["pool"]().fit(data) if with_effects else None
    conditions, done = held_out.reference.conditions, 0
    for condition in conditions:
        own: list[dict] = []
        for name in everyone:
            own += judge.rows(name, everyone[name], condition, metrics)
            done += 1
            if on_share is not None:
                on_share(done / (len(conditions) * len(everyone)))
        effects = [metric for metric in EFFECT_METRICS if metric in metrics]
        rows += _scaled(own, [] if pool is None else judge.rows("pool", pool, condition, effects))
    return rows


@checked
def worth_of(
    estimator: Estimator, data: PerturbationData, condition: str, *, n_samples: int | None = None, rng: SeedLike = None
) -> Worth:
    """n_eff of an estimator at one condition, with a 95 % interval: how many measured cells would predict as well.

    Args:
        estimator: A fitted estimator: anything with `sample(label, n, rng=…)`.
        data: Holds cells of the condition that had no part in the fit; all of them are the reference.
        condition: A condition of `data`.
        n_samples: Draws from the predicted law; as many as the reference has, at least 2,000, when absent.
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: If `data` has no cells of the condition, or fewer than 4.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(300, 2))
        >>> data = PerturbationData.from_arrays(x, ["ctrl", "A", "B"] * 100, held_out=[False, False, True] * 100)
        >>> worth_of(BASELINES["pool"]().fit(data), data, "B", rng=0).interval.high > 100  # of one law
        True
    """
    canonical = data.space.condition(data.space.label(condition))
    if canonical not in data.conditions:
        raise InputError(f"data must hold cells of {condition!r}; {near_misses(canonical, data.conditions)}")
    truth = data.samples(data.conditions.index(canonical))
    return worth(energy_estimate(estimator.sample(canonical, _n_draws(truth, n_samples), rng=rng), truth))


@checked
def effect_cells(
    estimators: Mapping[str, Estimator], data: PerturbationData, *, n_samples: int | None = None, rng: SeedLike = None
) -> dict[str, PerturbationData]:
    """Cells that `evaluate` computes metrics of effects from, given the same arguments, for scorers of other packages.

    Args:
        estimators: Fitted estimators by name.
        data: Data with held-out conditions and a control.
        n_samples: Draws from each predicted law, of which as many are kept as the reference has cells.
        rng: Whatever `numpy.random.default_rng` takes, for the split and the draws.

    Returns:
        By name, ``real``, ``ceiling`` and the estimators: the control, which is one for all, and the held-out
        conditions, as log1p of expression.

    Raises:
        InputError: If no condition has cells enough, there is no control, or values are neither counts nor log1p of
            counts.

    Example:
        >>> x = np.random.default_rng(0).poisson(2.0, size=(60, 5))
        >>> data = PerturbationData.from_arrays(x, ["ctrl", "A", "B"] * 20, held_out=[False, False, True] * 20)
        >>> cells = effect_cells({"pool": BASELINES["pool"]().fit(data)}, data, rng=0)
        >>> {name: (each.conditions, len(each.x)) for name, each in cells.items()}["pool"]
        (('ctrl', 'B'), 30)
    """
    if (data.test.counts < MIN_CELLS).all():
        raise InputError(f"no held-out condition has the {MIN_CELLS} cells that judging needs")
    held_out = HeldOut.of(data, rng)
    effects = EffectReference.of(data.train, held_out.reference)
    if not effects.scale.log1p:
        low, high = float(data.stored.min()), float(data.stored.max())
        raise InputError(f"cell-eval needs counts, or their log1p in [0, 15); values are {low:.3g} to {high:.3g}")
    judge = _Judge(held_out, effects, n_samples)
    conditions = held_out.reference.conditions
    cells = {"real": effects.cells, "ceiling": {c: effects.comparable(c, judge.replicate(c)) for c in conditions}}
    for name, estimator in estimators.items():
        cells[name] = {c: effects.comparable(c, judge.draw(name, estimator, c)) for c in conditions}
    return {name: effects.with_control(own, held_out.reference) for name, own in cells.items()}


def _n_draws(truth: np.ndarray, n_samples: int | None) -> int:
    return max(len(truth), _LEAST_SAMPLES) if n_samples is None else whole("n_samples", n_samples)


def _too_few(condition: str, estimator: str, metric: str, n: int) -> dict:
    error = InputError(f"the condition has {n} cell{'s' * bool(n != 1)}; judging needs at least {MIN_CELLS}")
    return {"condition": condition, "estimator": estimator, **failed_row(metric, error)}


@dataclass(frozen=True, eq=False)
class _Judge:
    """What predictions of held-out conditions are compared with.

    Args:
        held_out: The conditions.
        effects: What metrics of effects compare with; None where none is asked for.
        n_samples: Draws from each predicted law, if not as many as the reference has.
    """

    held_out: HeldOut
    effects: EffectReference | None
    n_samples: int | None
    _references: dict = field(default_factory=dict)

    def draw(self, name: str, estimator: Estimator, condition: str) -> np.ndarray:
        """The predicted cells."""
        n = _n_draws(self.held_out.reference.samples(self._index(condition)), self.n_samples)
        return self.held_out.draw(name, estimator, condition, n)

    def replicate(self, condition: str) -> np.ndarray:
        """The other half of the cells."""
        return self.held_out.replicate.samples(self._index(condition))

    def rows(self, name: str, estimator: Estimator, condition: str, metrics: Collection[str]) -> list[dict]:
        """One row per metric for the draws of a predicted law; a failure is a row too."""
        about = {"condition": condition, "estimator": name}
        chosen = [metric for metric in PREDICTION_METRICS if metric in metrics]
        with timed("judge", name):
            try:
                predicted = self.draw(name, estimator, condition)
            except Exception as error:
                _log.warning("%s failed at %s: %s", name, condition, error)
                return [{**about, **failed_row(metric, error)} for metric in chosen]
            measures = _law_measures(predicted, *self._reference(condition))
            if self.effects is not None:
                cells = self.replicate(condition) if name == "ceiling" else predicted
                measures |= self.effects.measures(condition, cells)
            rows = [{**about, **measured_row(metric, measures[metric])} for metric in chosen]
            return [self._without_noise(row) for row in rows] if name == "ceiling" else rows

    def _without_noise(self, row: dict) -> dict:
        """A row of the ceiling with its cells, and for the energy distance the limit of ever more of them."""
        replicate = self.replicate(row["condition"])
        about: dict = {"cells": len(replicate)}
        if row["metric"] == "energy_distance" and row["status"] == "ok":
            estimate = energy_estimate(replicate, self._reference(row["condition"])[1]())
            about |= {"limit": estimate.value, "limit_low": estimate.interval.low, "limit_high": estimate.interval.high}
        return {**row, **about}

    def _reference(self, condition: str) -> tuple[np.ndarray, Callable[[], EnergyReference]]:
        """The cells of a condition, and what their own distances say, which is computed once."""
        if condition not in self._references:
            cells = self.held_out.reference.samples(self._index(condition))
            self._references.clear()  # conditions are judged one after another
            self._references[condition] = cells, cache(lambda: EnergyReference.of(cells))
        return self._references[condition]

    def _index(self, condition: str) -> int:
        return self.held_out.reference.conditions.index(condition)


def _scaled(rows: list[dict], pool: list[dict]) -> list[dict]:
    """The rows of a condition, those of effects with the place of each value between the pool and the ceiling."""
    low = {row["metric"]: row["value"] for row in pool}
    high = {row["metric"]: row["value"] for row in rows if row["estimator"] == "ceiling"}
    place = lambda row: scaled(row["metric"], row["value"], low.get(row["metric"]), high.get(row["metric"]))  # noqa: E731
    return [{**row, "scaled": place(row)} if row["metric"] in EFFECT_METRICS else row for row in rows]


def _law_measures(predicted: np.ndarray, truth: np.ndarray, reference: Callable[[], EnergyReference]) -> Measures:
    """Metrics of a predicted law against a reference sample."""
    energy = cache(lambda: energy_estimate(predicted, reference()))
    return {
        "energy_distance": lambda: (energy().value, *energy().interval),
        "n_eff": lambda: _worth_numbers(worth(energy())),
        "mmd": lambda: (_or_none(mmd(predicted[:_MMD_ROWS], truth[:_MMD_ROWS])),),
        "mean_difference": lambda: (_or_none(mean_difference(predicted, truth)),),
        "mean_r2": lambda: (_or_none(mean_r2(predicted, truth)),),
    }


def _worth_numbers(value: Worth) -> tuple[float, float, float | None]:
    """n_eff with its interval; no upper end where the data leave it open."""
    return value.value, value.interval.low, value.interval.high if value.bounded else None


def _or_none(number: float) -> float | None:
    return number if np.isfinite(number) else None
