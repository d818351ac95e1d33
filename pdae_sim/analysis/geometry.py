"""Latent geometry from cells alone: squared distances of all environments without an encoder.

For any injective mixing −2 log ∫ p_e^{1−t} p_f^t = t(1 − t) ‖W(l_e − l_f)‖², t in (0, 1). With log ratios η̂ of
environments that were fitted to other cells, (1 − t) log mean_e exp(t η̂) + t log mean_f exp(−(1 − t) η̂) estimates the
logarithm; a constant in η̂ does not matter and its error enters in second order, as a variance under the law between e
and f. What two independent fits differ by tells how much of that is variance, and that much is removed; the part that
both fits miss alike stays, and makes distances too small.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import logsumexp, ndtri, stdtrit

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import repetitions, whole
from pdae_sim._random import SeedLike, seed_sequence, stream
from pdae_sim.analysis._geometry_tests import euclidean_p_value, greatest_p_value, rank_p_values
from pdae_sim.analysis._log_ratios import LogRatios, cross_fitted_log_ratios
from pdae_sim.analysis._placement import brought_to, placed
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.intervals import Estimate, Interval
from pdae_sim.labels import Condition, LabelSpace

_Z = 1.959964
_ORDERS = (0.5, 0.25, 0.75)
_MIN_CELLS = 30
_MIN_EFFECTIVE = 20.0
_MIN_EFFECTIVE_ORDERS = 50.0
"""Of the pairs whose distances at other orders are compared: there fewer cells carry the means."""
_SPAN_ATOL = 1e-9
_BARELY = 1e-3
"""Weight of a distance that is only known from below, relative to its size."""


@dataclass(frozen=True, eq=False)
class EnvironmentGeometry:
    """Squared latent distances of environments, how well they are known, and whether additive shifts explain them.

    Args:
        space: Names and grammar of the labels.
        labels: (E, K) labels in the order of the rows of all matrices.
        reference: Row of the environment that effects are counted from.
        squared_distances: (E, E) estimates of ‖W(l_e − l_f)‖²; they may be negative.
        standard_errors: (E, E) theirs, wider by Student's quantile over the normal one where few cells carry the means.
        lower_limits: (E, E) lower 97.5 % limits from the area under the ROC curve; a bad fit only makes them lower.
        enough_overlap: (E, E) whether the cells of both overlap enough for the estimate; where they do not, it and its
            interval are no guide, and the lower limit is.
        rank: Least rank of W L that is not rejected at 5 %; None where some distance lacks overlap, like the tests.
        rank_p_values: (E − 1,) p-values of rank ≤ 0, 1, …
        euclidean: p-value of D being Euclidean, as every additive-shift model says.
        constant_order: p-value of distances that are the same at t = ¼, ½ and ¾, as every such model says; of the pairs
            whose cells overlap enough at each of them.
        draws: (R, E, E) draws of the error of `squared_distances`.

    Example:
        >>> space = LabelSpace(("A", "B"))
        >>> D = np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 2.0], [1.0, 2.0, 0.0]])
        >>> two = EnvironmentGeometry(
        ...     space, np.array([[0.0, 0], [1, 0], [0, 1]]), 0, D, 0.1 * D, D - 0.2, np.ones((3, 3), bool),
        ...     2, np.array([0.01, 0.01]), 1.0, 0.5, np.zeros((99, 3, 3)),
        ... )  # fmt: skip
        >>> np.allclose(two.gram, np.diag([0, 1, 1])), round(two.squared_distance("A+B", "ctrl").value, 6)
        (True, 2.0)
    """

    space: LabelSpace
    labels: np.ndarray
    reference: int
    squared_distances: np.ndarray
    standard_errors: np.ndarray
    lower_limits: np.ndarray
    enough_overlap: np.ndarray
    rank: int | None
    rank_p_values: np.ndarray | None
    euclidean: float | None
    constant_order: float | None
    draws: np.ndarray

    @property
    def intervals(self) -> np.ndarray:
        """(E, E, 2) nominal 95 % intervals of the squared distances, by the spread of the means alone."""
        wide = _Z * self.standard_errors
        return np.maximum(np.stack([self.squared_distances - wide, self.squared_distances + wide], axis=-1), 0.0)

    @property
    def gram(self) -> np.ndarray:
        """(E, E) inner products of effects, counted from the reference."""
        return _gram(self.squared_distances, self.reference)

    @property
    def angles(self) -> np.ndarray:
        """(E, E) cosines of the angles between effects; NaN where an effect has no positive size."""
        sizes = np.sqrt(np.where(np.diag(self.gram) > 0, np.diag(self.gram), np.nan))
        return self.gram / np.outer(sizes, sizes)

    @property
    def conditions(self) -> tuple[str, ...]:
        """The E conditions."""
        return tuple(self.space.condition(label) for label in self.labels)

    def squared_distance(self, condition: Condition, other: Condition) -> Estimate:
        """δ² between conditions in the affine span of the measured ones, with a nominal 95 % interval.

        Args:
            condition: Measured or not.
            other: Measured or not.

        Raises:
            InputError: If a label is no affine combination of measured labels.
        """
        c = self._combination(condition) - self._combination(other)
        spread = float(_Z * (-0.5 * np.einsum("e,ref,f->r", c, self.draws, c)).std())
        value = float(-0.5 * c @ self.squared_distances @ c)
        return Estimate(value, Interval(value - spread, value + spread))

    def placed(self, n_dimensions: int = 2, *, n_draws: int = 100) -> tuple[np.ndarray, np.ndarray]:
        """The environments as points whose squared distances are nearest to the estimates, and how sure each place is.

        Pairs weigh by their standard errors; those that hardly overlap count for little, and their distance is what the
        others leave of it. Places are as good as the number of dimensions: `rank` where it is known.

        Args:
            n_dimensions: Of the points.
            n_draws: Draws of the error behind the covariances.

        Returns:
            Points (E, n_dimensions) about their mean, along their principal axes; covariances (E, n_dimensions,
            n_dimensions) of their errors, up to rotation of all.
        """
        whole("n_dimensions", n_dimensions)
        repetitions("n_draws", n_draws, at_least=2)
        known = np.where(self.enough_overlap, self.squared_distances, self.lower_limits)
        errors = np.maximum(self.standard_errors, 1e-3 * (1 + np.abs(known)))
        weights = np.where(self.enough_overlap, errors**-2.0, _BARELY / (1 + known) ** 2)
        np.fill_diagonal(weights, 0.0)
        points = placed(known, weights, n_dimensions)
        shaken = [
            brought_to(placed(known + self.enough_overlap * draw, weights, n_dimensions, start=points), points)
            for draw in self.draws[:n_draws]
        ]
        away = np.array(shaken) - points
        return points, np.einsum("rei,rej->eij", away, away) / len(away)

    def _combination(self, condition: Condition) -> np.ndarray:
        """Minimum-norm β (E,) with Σ_e β_e = 1 and Σ_e β_e l_e the label; a unit vector where it is measured."""
        label = self.space.label(condition)
        same = (self.labels == label).all(axis=1)
        if same.any():
            return same.astype(float)
        rows, target = np.hstack([self.labels, np.ones((len(self.labels), 1))]).T, np.append(label, 1.0)
        beta = np.linalg.lstsq(rows, target, rcond=None)[0]
        if not np.allclose(rows @ beta, target, rtol=0, atol=_SPAN_ATOL * max(1.0, float(abs(target).max()))):
            raise InputError(f"condition {condition!r} is outside the span of the measured ones; measure what it lacks")
        return beta


@checked_numbers
def environment_geometry(
    data: PerturbationData, *, n_multipliers: int = 999, rng: SeedLike = None
) -> EnvironmentGeometry:
    """Estimate the squared latent distances of all training environments from their cells, and test the model by them.

    Under noise the distances are those of x, lower limits of those of z, and the tests are not valid: noisy laws are no
    Gaussian shifts.

    Args:
        data: Cells; held-out environments are left out.
        n_multipliers: Draws of the error, by Gaussian multipliers of the influence of each cell.
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: If there is one environment only, or one has fewer than 30 cells.

    References:
        Theory, claim 2.14.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> z = rng.normal(size=(600, 2)) + np.repeat([[0.0, 0.0], [1.5, 0.0]], 300, axis=0)
        >>> found = environment_geometry(PerturbationData.from_arrays(np.sinh(z), np.repeat(["ctrl", "A"], 300)), rng=0)
        >>> bool(abs(found.squared_distances[0, 1] - 2.25) < 4 * found.standard_errors[0, 1]), found.rank
        (True, 1)
    """
    repetitions("n_multipliers", n_multipliers, at_least=99)
    train, root = data.train, seed_sequence(rng)
    _check(train)
    x = train.gathered(slice(None)).astype(np.float64)
    ratios = cross_fitted_log_ratios(x, train.environment, stream(root, "fits"))
    multipliers = [
        stream(root, "multipliers", e).standard_normal((n_multipliers, n)) for e, n in enumerate(train.counts)
    ]
    E = len(train.labels)
    squares, errors, lower, overlap = np.zeros((E, E)), np.zeros((E, E)), np.zeros((E, E)), np.ones((E, E), bool)
    draws, wider, contrasts, noise = np.zeros((n_multipliers, E, E)), np.ones((E, E)), [], []
    for e, f in combinations(range(E), 2):
        orders = [_at_order(ratios, train, (e, f), t) for t in _ORDERS]
        half = orders[0]
        shaken = [each.shaken(multipliers[e], multipliers[f]) for each in orders]
        squares[e, f] = squares[f, e] = half.square
        errors[e, f] = errors[f, e] = half.standard_error
        lower[e, f] = lower[f, e] = _ranking_limit(*half.logits)
        overlap[e, f] = overlap[f, e] = half.effective >= _MIN_EFFECTIVE
        draws[:, e, f] = draws[:, f, e] = shaken[0]
        wider[e, f] = wider[f, e] = errors[e, f] / half.spread
        if min(each.effective for each in orders) >= _MIN_EFFECTIVE_ORDERS:
            contrasts += [each.square - half.square for each in orders[1:]]
            fits = stream(root, "fits differ", e, f).standard_normal((len(_ORDERS) - 1, n_multipliers))
            noise += [
                moved - shaken[0] + np.hypot(each.lost - half.lost, half.lost / 2) * fit
                for moved, each, fit in zip(shaken[1:], orders[1:], fits, strict=True)
            ]
    constant = greatest_p_value(np.array(contrasts), np.array(noise).T) if contrasts else None
    rank, p_values, euclidean = _whole_tests(squares, draws, bool(overlap.all()))
    return EnvironmentGeometry(
        train.space, train.labels, train.reference, squares, errors, lower, overlap, rank, p_values, euclidean,
        constant, draws * wider,
    )  # fmt: skip


def _check(train: PerturbationData) -> None:
    if len(train.labels) < 2:
        raise InputError("data must have at least two training environments; mark more conditions as train")
    if train.counts.min() < _MIN_CELLS:
        name = train.conditions[int(train.counts.argmin())]
        raise InputError(
            f"condition {name!r} has {train.counts.min()} cells; leave out those of fewer than {_MIN_CELLS}"
            f" ({int((train.counts >= _MIN_CELLS).sum()):,} of {len(train.counts):,} conditions have as many)"
        )


def _whole_tests(
    squares: np.ndarray, draws: np.ndarray, overlap: bool
) -> tuple[int | None, np.ndarray | None, float | None]:
    """Rank, its p-values and the Euclidean test, where all distances are known."""
    if not overlap:
        return None, None, None
    p_values = rank_p_values(squares, draws)
    accepted = np.flatnonzero(p_values > 0.05)
    rank = int(accepted[0]) if accepted.size else len(p_values)
    return rank, p_values, euclidean_p_value(squares, draws, rank)


def _gram(squares: np.ndarray, reference: int) -> np.ndarray:
    return 0.5 * (squares[reference][:, None] + squares[reference] - squares)


@dataclass(frozen=True, eq=False)
class _AtOrder:
    """d² of two environments at one t, how each cell moved it, and the variance of the fits that was added back.

    By half of that, and by as much as it changes with t, the fits are taken to err in the difference.
    """

    square: float
    influences: tuple[np.ndarray, np.ndarray]
    logits: tuple[np.ndarray, np.ndarray]
    effective: float
    lost: float

    @property
    def spread(self) -> float:
        """Standard error of the two means."""
        return float(np.sqrt(sum(i.var() / len(i) for i in self.influences)))

    @property
    def standard_error(self) -> float:
        """Wider than `spread` where few cells make it, by the degrees of freedom of Satterthwaite (1946)."""
        squares = [i**2 / len(i) ** 2 for i in self.influences]
        degrees = sum(s.sum() for s in squares) ** 2 / max(sum((s**2).sum() for s in squares), np.finfo(float).tiny)
        return self.spread * float(stdtrit(max(degrees, 1.0), 0.975)) / _Z

    def shaken(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """(R,) draws of the error, by multipliers (R, n_e) and (R, n_f)."""
        i, j = self.influences
        return first @ i / len(i) + second @ j / len(j)


def _at_order(ratios: LogRatios, data: PerturbationData, pair: tuple[int, int], t: float) -> _AtOrder:
    e, f = pair
    rows = [data.rows_by_environment[k] for k in pair]
    logits = [ratios.eta[r, f] - ratios.eta[r, e] for r in rows]
    gaps = [ratios.gap[r, f] - ratios.gap[r, e] for r in rows]
    exponents, shares = (t * logits[0], -(1 - t) * logits[1]), (1 - t, t)
    logs = [float(logsumexp(h) - np.log(len(h))) for h in exponents]
    weights = [np.exp(h - log) for h, log in zip(exponents, logs, strict=True)]  # of mean one
    lost = (
        sum(a * np.cov(g, aweights=w / len(w), ddof=0) for a, g, w in zip(shares[::-1], gaps, weights, strict=True)) / 4
    )
    square = -2 * sum(a * log for a, log in zip(shares, logs, strict=True)) / (t * (1 - t)) + float(lost)
    influences = (-2 / t * (weights[0] - 1), -2 / (1 - t) * (weights[1] - 1))
    effective = min(len(w) ** 2 / float(w @ w) for w in weights)
    return _AtOrder(square, influences, (logits[0], logits[1]), effective, float(lost))


def _ranking_limit(first: np.ndarray, second: np.ndarray) -> float:
    """Lower 97.5 % limit of d² from P(η̂_f > η̂_e) ≤ Φ(d / √2), which holds for any score (Neyman and Pearson).

    References:
        DeLong, DeLong & Clarke-Pearson (1988), Biometrics 44(3).
    """
    ranks = [_midranks(first, second), 1 - _midranks(second, first)]
    area = float(ranks[1].mean())
    low = area - _Z * np.sqrt(sum(r.var() / len(r) for r in ranks))
    return float(2 * ndtri(np.clip(low, 0.5, 1 - 1e-16)) ** 2)


def _midranks(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Share of others above each value, ties by half."""
    others = np.sort(others)
    below, upto = np.searchsorted(others, values, "left"), np.searchsorted(others, values, "right")
    return 1 - (below + upto) / (2 * len(others))
