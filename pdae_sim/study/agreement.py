"""What stays the same when a model is fitted to other cells of one world, and what that says of one fit to all.

Latents and Ŵ of two fits differ by a rotation, which no data fix; after one orthogonal Procrustes each, what they still
differ by is what cells, seed and missing identification leave open. Fits to cells whose conditions were shuffled show
how much would agree were perturbations to tell nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg
from scipy.special import erf, fdtri

from pdae_sim import _random
from pdae_sim._arguments import checked
from pdae_sim._checks import whole
from pdae_sim._random import SeedLike
from pdae_sim.analysis.prediction_error import energy_estimate
from pdae_sim.analysis.support import ShiftError, Support, supports
from pdae_sim.analysis.verdict import Verdict
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation.halves import HalfFits
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.intervals import Interval
from pdae_sim.labels import Condition

_QUANTILES = (0.05, 0.5, 0.95)
"""Those of a feature that are told."""
_CELLS = 2000
_ROUNDS = 5  # of turning latents to their mean and taking the mean
_LEVEL = 0.95
_FEWEST = 20  # cells of a training condition whose prediction is compared with them
_COMPARED = 20  # such conditions, at most


@dataclass(frozen=True, eq=False)
class StablePrediction:
    """How far predictions of one condition by two fits are apart, and what that promises of a fit to all cells.

    Args:
        condition: The condition.
        between: Mean energy distance between the predictions of the two fits of a split, unbiased.
        error: The energy distance that cells and seed alone put between the prediction of a fit to all cells and that
            of infinitely many: a quarter of `between`, and the spread of the mean predictions of splits.
        misfit: Median energy distance between training conditions and their own predictions, unbiased.
        limit: Upper 95 % limit of the energy distance to the law, where the model is true and the condition identified.
        worth: Cells that a prediction at `limit` is worth.
        total_variation: Upper 95 % limit of the total variation, between 0 and 1, that the error of the shift from the
            reference puts between the prediction and the law: 2 Φ(‖e‖ / 2) − 1, which an injective f keeps (theory,
            claim 2.4b). What is wrong with the decoder is not in it.
    """

    condition: str
    between: float
    error: float
    misfit: float
    limit: float
    worth: float
    total_variation: float


@dataclass(frozen=True, eq=False)
class Stability:
    """Latents, effects and predictions of fits to halves of the cells, aligned by one rotation each.

    Args:
        conditions: The M training conditions that differ from the reference.
        agreement: (d_Z,) share of the variance of the latents that is the same in every fit, by direction, least first.
        shuffled: (d_Z,) that of fits to shuffled conditions, least first; None if there are none.
        along: (d_Z,) the condition whose effect lies most along each direction.
        sizes: (M,) ‖Ŵ Δ‖, mean over fits.
        size_intervals: (M, 2) of a fit to all cells around that mean.
        cosines: (M,) mean cosine of the angle between the effects of the two fits of a split.
        standard_errors: (M,) of the effects of a fit to all cells, per latent coordinate.
        gram: (M, M) inner products of effects, mean over fits.
        gram_intervals: (M, M, 2).
        predictions: Of the conditions asked for.
    """

    conditions: tuple[str, ...]
    agreement: np.ndarray
    shuffled: np.ndarray | None
    along: tuple[str, ...]
    sizes: np.ndarray
    size_intervals: np.ndarray
    cosines: np.ndarray
    standard_errors: np.ndarray
    gram: np.ndarray
    gram_intervals: np.ndarray
    predictions: tuple[StablePrediction, ...]

    def to_json(self) -> dict[str, object]:
        """The fields of `pdae-sim stability --json`."""
        null = [None] * len(self.agreement) if self.shuffled is None else self.shuffled.tolist()
        directions = zip(self.agreement.tolist(), null, self.along, strict=True)
        names = ("condition", "size", "interval", "cosine", "standard_error")
        effects = zip(self.conditions, self.sizes, self.size_intervals, self.cosines, self.standard_errors, strict=True)
        return {
            "directions": [{"agreement": a, "shuffled": s, "condition": c} for a, s, c in directions],
            "effects": [dict(zip(names, row, strict=True)) for row in effects],
            "conditions": list(self.conditions),
            "gram": self.gram,
            "gram_intervals": self.gram_intervals,
            "predictions": [vars(prediction) for prediction in self.predictions],
        }


@checked
def stability(
    halves: HalfFits,
    data: PerturbationData,
    *,
    conditions: Sequence[Condition] = (),
    shuffled: HalfFits | None = None,
    n_cells: int = _CELLS,
    rng: SeedLike = None,
) -> Stability:
    """Compare fits to halves of the cells.

    Args:
        halves: The fits.
        data: The data they are of.
        conditions: Whose predictions to compare; they should be identified.
        shuffled: Fits to the same cells with their conditions shuffled (`shuffled_conditions`).
        n_cells: Cells that are encoded by every fit, and drawn of every prediction.
        rng: Seed or generator.

    Raises:
        InputError: If no training condition differs from the reference.

    Example:
        >>> from pdae_sim.estimation import fit_halves
        >>> z = np.random.default_rng(0).normal(size=(800, 1)) + np.repeat([[0.0], [2.0]], 400, axis=0)
        >>> data = PerturbationData.from_arrays(np.hstack([z, np.tanh(z)]), np.repeat(["ctrl", "A"], 400))
        >>> found = stability(fit_halves(PDAE(1, steps=60), data, n_splits=1, rng=0), data, rng=0)
        >>> bool(found.agreement[0] > 0.9), found.along
        (True, ('A',))
    """
    whole("n_cells", n_cells, at_least=10)
    train, root = data.train, _random.seed_sequence(rng)
    others = np.delete(np.arange(len(train.labels)), train.reference)
    if not len(others):
        raise InputError("data must have a training condition that differs from the reference")
    shifts = train.labels[others] - train.labels[train.reference]
    names = tuple(train.conditions[e] for e in others)
    x = _some_cells(train, n_cells, _random.stream(root, "cells"))
    turns, agreement, directions = _aligned([fit.encode(x) for fit in halves.fits])
    effects = _turned(halves, turns, shifts)
    mean = effects.mean((0, 1))
    gram = lambda fit: (G := fit.perturbation_matrix_ @ shifts.T).T @ G  # noqa: E731
    size = lambda fit: np.linalg.norm(fit.perturbation_matrix_ @ shifts.T, axis=0)  # noqa: E731
    grams, sizes = (np.mean([of(fit) for fit in halves.fits], axis=0) for of in (gram, size))
    draws = _random.child(root, "draws")
    misfit = _misfit(halves, train, n_cells, draws) if conditions else float("nan")
    predictions = [
        _prediction(halves, each, misfit, _shift_error(halves, turns, train, each), n_cells, draws)
        for each in conditions
    ]
    return Stability(
        names,
        agreement,
        None if shuffled is None else _aligned([fit.encode(x) for fit in shuffled.fits])[1],
        tuple(names[k] for k in np.abs(directions.T @ mean).argmax(1)),
        sizes,
        np.maximum(np.stack(halves.interval(size, sizes), -1), 0.0),
        _cosines(*effects.swapaxes(0, 1)),
        np.sqrt(halves.variance(effects).mean(0)),
        grams,
        np.stack(halves.interval(gram, grams), -1),
        tuple(predictions),
    )


@checked
def shuffled_conditions(data: PerturbationData, rng: SeedLike = None) -> PerturbationData:
    """The training cells with their conditions shuffled among them: perturbations that tell nothing.

    Example:
        >>> data = PerturbationData.from_arrays(np.arange(4.0)[:, None], ["ctrl", "ctrl", "A", "A"])
        >>> shuffled_conditions(data, 0).counts.tolist()
        [2, 2]
    """
    train = data.train
    order = _random.stream(_random.seed_sequence(rng), "shuffle").permutation(len(train.environment))
    return replace(train, x=train.stored, environment=train.environment[order])


@checked
def count_fit(verdicts: Sequence[Verdict], labels: np.ndarray, model: PDAE, halves: HalfFits) -> list[Verdict]:
    """Verdicts by a fitted Ŵ whose intervals of distances and effective cells count the whole fit.

    Args:
        verdicts: As `judge` gives them for `model`, at the cells it was fitted to.
        labels: (T, K) the labels that were judged.
        model: The fit to all cells.
        halves: Its fits to halves.
    """
    return [
        verdict
        if verdict.support is None
        else _counted(verdict, verdict.support, np.array(label, float), model, halves)
        for verdict, label in zip(verdicts, labels, strict=True)
    ]


def _counted(verdict: Verdict, support: Support, label: np.ndarray, model: PDAE, halves: HalfFits) -> Verdict:
    def of(fit: PDAE) -> np.ndarray:
        return _distances_and_log_cells(fit, label, model.train_counts_)

    low, high = halves.interval(of, of(model))
    ends = np.maximum(np.column_stack([low[:-1], high[:-1]]), 0.0)
    cells = Interval(float(np.exp(low[-1])), float(min(np.exp(high[-1]), model.train_counts_.sum())))
    return replace(verdict, support=replace(support, interval=cells, ends=ends))


def _distances_and_log_cells(fit: PDAE, label: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """(E + 1,) distances less their bias at the cells of the fit, and the logarithm of what `counts` are worth."""
    error = ShiftError.of(fit.train_labels_, fit.train_counts_, information=fit.information_)
    W = fit.perturbation_matrix_
    (found,) = supports(fit.train_labels_, [label], counts=counts, perturbation_matrix=W, error=error)
    return np.append(found.distances, np.log(max(found.effective_cells, np.finfo(float).tiny)))


@checked
def feature_intervals(
    model: PDAE,
    halves: HalfFits,
    condition: Condition,
    *,
    n: int = 10 * _CELLS,
    rng: SeedLike = None,
    source: str | None = None,
) -> list[dict[str, object]]:
    """Predicted mean and quantiles of every feature at a condition, with 95 % intervals that count the whole fit.

    Args:
        model: The fit to all cells, whose way of prediction all take.
        halves: Its fits to halves.
        condition: The condition.
        n: Cells to draw of each.
        rng: Seed or generator.
        source: How all are to predict, as in `PDAE.sample`.

    Returns:
        A row for each feature and statistic: ``feature``, ``statistic`` (``mean``, ``q05``, ``q50``, ``q95``),
        ``value``, ``low``, ``high``.
    """
    whole("n", n, at_least=100)

    def of(fit: PDAE) -> np.ndarray:
        x = fit.sample(condition, n, rng=rng, source=source)
        return np.vstack([x.mean(0), np.quantile(x, _QUANTILES, axis=0)])

    value = of(model)
    low, high = halves.interval(of, value)
    statistics = ("mean", *(f"q{100 * q:02.0f}" for q in _QUANTILES))
    return [
        {"feature": feature, "statistic": name, "value": value[s, j], "low": low[s, j], "high": high[s, j]}
        for j, feature in enumerate(model.features_)
        for s, name in enumerate(statistics)
    ]


def _some_cells(train: PerturbationData, n: int, rng: np.random.Generator) -> np.ndarray:
    rows = np.sort(rng.permutation(len(train.environment))[:n])
    return train.gathered(rows).astype(np.float64)


def _aligned(latents: Sequence[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Rotations (d, d) of each to their mean, agreement by direction, least first, and the directions in columns."""
    centred = [z - z.mean(0) for z in latents]
    common, turned = centred[0], centred
    for _ in range(_ROUNDS):
        turns = [linalg.orthogonal_procrustes(z, common)[0].T for z in centred]
        turned = [z @ Q.T for z, Q in zip(centred, turns, strict=True)]
        common = np.mean(turned, axis=0)
    n, d = common.shape
    apart = sum((z - common).T @ (z - common) for z in turned) / (n * (len(turned) - 1))
    total = apart * (1 - 1 / len(turned)) + common.T @ common / n + 1e-12 * np.eye(d)
    share, vectors = linalg.eigh(apart, total)
    return turns, 1 - share[::-1], vectors[:, ::-1]


def _turned(halves: HalfFits, turns: Sequence[np.ndarray], shifts: np.ndarray) -> np.ndarray:
    """(S, 2, d_Z, M) effects of shifts (M, K) of labels by every fit, turned to the mean of their latents."""
    effects = [Q @ fit.perturbation_matrix_ @ shifts.T for Q, fit in zip(turns, halves.fits, strict=True)]
    return np.reshape(effects, (len(halves.pairs), 2, *effects[0].shape))


def _cosines(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(M,) mean cosines between effects (S, d_Z, M); 0 where one is nothing."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return ((first * second).sum(1) / np.where(lengths > 0, lengths, 1.0)).mean(0)


def _shift_error(halves: HalfFits, turns: Sequence[np.ndarray], train: PerturbationData, condition: Condition) -> float:
    """‖e‖² of the shift from the reference to a condition by a fit to all cells, e the error of cells and seed."""
    change = train.space.label(condition) - train.labels[train.reference]
    return float(halves.variance(_turned(halves, turns, change[None])).sum())


def _prediction(
    halves: HalfFits, condition: Condition, misfit: float, shift_error: float, n: int, root: np.random.SeedSequence
) -> StablePrediction:
    """Distances between predictions of two fits of a split, and a limit from their spread and from the misfit."""
    drawn = [
        [fit.sample(condition, n, rng=_random.child(root, side, s)) for side, fit in enumerate(pair)]
        for s, pair in enumerate(halves.pairs)
    ]
    found = [energy_estimate(*pair) for pair in drawn]
    between = float(np.mean([each.value for each in found]))
    error = max(between / 4 + _between_means(drawn), 0.0)
    longest = float(fdtri(1, len(found), _LEVEL))  # as if all error lay in one direction, which is the longest
    limit = float((np.sqrt(error * longest) + np.sqrt(max(misfit, 0.0))) ** 2)
    variation = float(erf(np.sqrt(shift_error * longest / 8)))
    spread = float(np.mean([each.spread for each in found]))
    name = condition if isinstance(condition, str) else halves.fits[0].space_.condition(condition)
    return StablePrediction(name, between, error, misfit, limit, spread / limit if limit > 0 else np.inf, variation)


def _between_means(drawn: Sequence[Sequence[np.ndarray]]) -> float:
    """Variance over splits of the mean of the two predictions of a split, in energy distance; 0 of one split."""
    if len(drawn) < 2:
        return 0.0
    means = [np.vstack([x[: len(x) // 2] for x in pair]) for pair in drawn]
    return float(np.mean([energy_estimate(x, y).value / 2 for x, y in zip(means, means[1:] + means[:1], strict=True)]))


def _misfit(halves: HalfFits, train: PerturbationData, n: int, root: np.random.SeedSequence) -> float:
    """Median over training conditions of the energy distance of their cells to their prediction by one fit."""
    able = np.flatnonzero(train.counts >= _FEWEST)
    if not len(able):
        return float("nan")
    fit, found = halves.fits[0], []
    for e in able[np.linspace(0, len(able) - 1, min(len(able), _COMPARED)).astype(int)]:
        x = train.gathered(train.rows_by_environment[e][:n]).astype(np.float64)
        drawn = fit.sample(train.labels[e], n, rng=_random.child(root, "training", int(e)))
        found.append(energy_estimate(drawn, x).value)
    return float(np.median(found))
