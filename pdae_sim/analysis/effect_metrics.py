"""Metrics of predicted effects that the field reports: changes of means, discrimination, differential expression.

They look at means and single features, not at distributions: a prediction can be perfect by all of them and have the
wrong law. Definitions are those of cell-eval, the scorer of the Virtual Cell Challenge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special, stats

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import choice, matrix, vector, whole
from pdae_sim.errors import InputError

_FDR = 0.05  # false discovery rate at which a feature counts as differentially expressed
_ROUNDING = 1e-12  # share of a change below which its spread over features is rounding


@checked_numbers
def pearson_delta(predicted: np.ndarray, measured: np.ndarray, baseline: np.ndarray) -> float:
    """Pearson correlation over features of the predicted with the measured change of the mean.

    Args:
        predicted: (d_X,) mean of the predicted cells.
        measured: (d_X,) mean of the measured cells.
        baseline: (d_X,) mean that changes count from: that of the control, or of the average perturbation, which takes
            away what all perturbations have in common.

    Returns:
        The correlation, NaN where a change is the same in all features.

    References:
        cell-eval, `pearson_delta`; Viñas Torné et al. (2025), Systema, Nature Biotechnology, for the average
        perturbation as baseline.

    Example:
        >>> round(pearson_delta(np.array([1.0, 2.0, 4.0]), np.array([2.0, 4.0, 8.0]), np.zeros(3)), 9)
        1.0
    """
    vectors = [
        vector(name, v) for name, v in (("predicted", predicted), ("measured", measured), ("baseline", baseline))
    ]
    if len({len(v) for v in vectors}) > 1:
        raise InputError(f"predicted, measured and baseline must be of one length; received {[*map(len, vectors)]}")
    x, y = (_standardised(v - vectors[2]) for v in vectors[:2])
    return float(np.clip(x @ y, -1.0, 1.0))


@checked_numbers
def discrimination_score(effect: np.ndarray, effects: np.ndarray, index: int, *, distance: str = "l1") -> float:
    """Rank of the measured effect among all measured effects by their distance from the predicted one.

    1 − rank / n, with rank 0 for the nearest: 1 where the prediction is nearer to its own perturbation than to any
    other. Effects are signed: one that goes the wrong way is far. Equal distances share their mean rank.

    Args:
        effect: (d_X,) predicted change of the mean.
        effects: (n, d_X) measured changes of the mean, one row a perturbation.
        index: Row of `effects` that belongs to the prediction.
        distance: ``l1``, ``l2`` or ``cosine``.

    Returns:
        The score in (0, 1]; (n + 1) / (2n) is expected of a prediction that knows nothing.

    References:
        Wu et al. (2024), PerturBench; cell-eval, `discrimination_score_l1` and `discrimination_score_cosine`.

    Example:
        >>> up, down = np.array([1.0, 2.0]), np.array([-1.0, -2.0])
        >>> [discrimination_score(effect, np.stack([up, down]), 0) for effect in (up, down)]
        [1.0, 0.5]
    """
    measured, predicted = matrix("effects", effects), vector("effect", effect)
    if measured.shape[1] != len(predicted) or not 0 <= whole("index", index, at_least=0) < len(measured):
        raise InputError(
            f"effects {measured.shape} must have as many columns as effect {len(predicted)}, and a row {index!r}"
        )
    distances = _DISTANCES[choice("distance", distance, _DISTANCES)](measured, predicted)
    others = np.delete(distances, index)
    rank = (others < distances[index]).sum() + (others == distances[index]).sum() / 2
    return float(1 - rank / len(effects))


@dataclass(frozen=True, eq=False)
class DifferentialExpression:
    """Features of perturbed cells against those of control cells.

    Args:
        change: (d_X,) log2 fold change, or difference of the means where values are no expression.
        fdr: (d_X,) p-values adjusted after Benjamini and Hochberg.

    Example:
        >>> found = DifferentialExpression(np.array([1.0, -3.0, 0.1]), np.array([0.01, 0.02, 0.6]))
        >>> found.ranked.tolist()
        [1, 0]
    """

    change: np.ndarray
    fdr: np.ndarray

    @cached_property
    def ranked(self) -> np.ndarray:
        """Features with fdr below 5 %, greatest absolute change first."""
        found = np.flatnonzero(self.fdr < _FDR)
        return found[np.argsort(-np.abs(self.change[found]), kind="stable")]


class ControlCells:
    """Control cells, sorted once for many tests of differential expression.

    Args:
        x: (n, d_X) control cells.
        log1p: Whether values are log1p of expression, so that changes are log2 fold changes of expm1 of the means.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 3))
        >>> ControlCells(x[:100], log1p=False).differential_expression(x[100:] + [0.0, 0.0, 2.0]).ranked.tolist()
        [2]
    """

    @checked_numbers
    def __init__(self, x: np.ndarray, *, log1p: bool) -> None:
        self.x, self.log1p = matrix("control", x), log1p
        self.mean = self.x.mean(0)
        self._columns = np.ascontiguousarray(np.sort(self.x, axis=0).T)
        self._ties = [_tied(_runs(column)[0]).sum() for column in self._columns]

    def differential_expression(self, x: np.ndarray) -> DifferentialExpression:
        """Mann–Whitney tests of every feature, two-sided, with corrections for ties and continuity.

        Args:
            x: (m, d_X) perturbed cells.

        References:
            pdex, which cell-eval calls with the same settings; its pseudobulk is expm1 of the mean of log1p values.
        """
        x = np.sort(np.asfortranarray(matrix("x", x, columns=len(self.mean))), axis=0)
        p = [_mann_whitney_p(*samples) for samples in zip(x.T, self._columns, self._ties, strict=True)]
        return DifferentialExpression(self._change(x.mean(0)), stats.false_discovery_control(np.minimum(p, 1.0)))

    def _change(self, mean: np.ndarray) -> np.ndarray:
        if not self.log1p:
            return mean - self.mean
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.expm1(np.maximum(mean, 0.0)) / np.expm1(np.maximum(self.mean, 0.0))
            return np.nan_to_num(np.log2(ratio), nan=0.0, posinf=np.inf, neginf=-np.inf)


@checked_numbers
def direction_match(predicted: DifferentialExpression, measured: DifferentialExpression) -> float:
    """Share of the measured differentially expressed features whose predicted change has the measured sign.

    Args:
        predicted: Predicted against control cells.
        measured: Measured against control cells.

    Returns:
        The share, NaN where no feature is differentially expressed.

    References:
        cell-eval, `de_direction_match`.

    Example:
        >>> measured = DifferentialExpression(np.array([1.0, -3.0]), np.array([0.01, 0.02]))
        >>> direction_match(DifferentialExpression(np.array([2.0, 1.0]), np.ones(2)), measured)
        0.5
    """
    found = measured.ranked
    signs = np.sign(predicted.change[found]) == np.sign(measured.change[found])
    return float(signs.mean()) if found.size else float("nan")


@checked_numbers
def overlap_at_n(predicted: DifferentialExpression, measured: DifferentialExpression) -> float:
    """Share of the N measured differentially expressed features among the first N predicted ones.

    Args:
        predicted: Predicted against control cells.
        measured: Measured against control cells.

    Returns:
        The share, NaN where no feature is differentially expressed (cell-eval says 0).

    References:
        cell-eval, `overlap_at_N`.

    Example:
        >>> measured = DifferentialExpression(np.array([1.0, -3.0, 0.0]), np.array([0.01, 0.02, 0.9]))
        >>> overlap_at_n(DifferentialExpression(np.array([0.1, 2.0, 1.0]), np.zeros(3)), measured)
        0.5
    """
    found = measured.ranked
    shared = np.intersect1d(found, predicted.ranked[: found.size])
    return shared.size / found.size if found.size else float("nan")


def _standardised(change: np.ndarray) -> np.ndarray:
    """The change less its mean over features, of length 1; NaN where that is rounding noise."""
    centred = change - change.mean()
    length = float(np.linalg.norm(centred))
    return centred / (length if length > _ROUNDING * np.linalg.norm(change) else np.nan)


def _l1(effects: np.ndarray, effect: np.ndarray) -> np.ndarray:
    return np.abs(effects - effect).sum(1)


def _l2(effects: np.ndarray, effect: np.ndarray) -> np.ndarray:
    return np.linalg.norm(effects - effect, axis=1)


def _cosine(effects: np.ndarray, effect: np.ndarray) -> np.ndarray:
    """1 − cosine; 1 from an effect of zero."""
    norms = np.linalg.norm(effects, axis=1) * np.linalg.norm(effect)
    return 1 - np.divide(effects @ effect, norms, out=np.zeros(len(effects)), where=norms > 0)


_DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"l1": _l1, "l2": _l2, "cosine": _cosine}


def _mann_whitney_p(x: np.ndarray, y: np.ndarray, y_ties: float) -> float:
    """Asymptotic two-sided p-value of sorted samples; `y_ties` is Σ (t³ − t) over the ties of y alone."""
    n, m = len(x), len(y)
    below, upto = np.searchsorted(y, x, "left"), np.searchsorted(y, x, "right")
    own, starts = _runs(x)
    shared = (upto - below)[starts].astype(float)
    ties = y_ties + (_tied(own + shared) - _tied(shared)).sum()
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    excess = abs((below + upto).sum() / 2 - n * m / 2) - 0.5  # continuity
    if variance <= 0 or excess <= 0:
        return 1.0
    return float(2 * special.ndtr(-excess / np.sqrt(variance)))


def _runs(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lengths and starts of the runs of equal values in a sorted sample."""
    starts = np.flatnonzero(np.concatenate([[True], x[1:] != x[:-1]]))
    return np.diff(np.append(starts, len(x))).astype(float), starts


def _tied(counts: np.ndarray) -> np.ndarray:
    return counts**3 - counts
