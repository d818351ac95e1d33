"""Do training cells cover an unseen label? Distances in the identified metric and what importance sampling is worth.

From environment e, at distance δ_e = ‖W (l − l_e)‖ in standard deviations of the base latent, importance sampling is
worth n_e exp(−δ_e²) cells of the label; pooled, the environments are worth no less than these added up (claim 2.9).

Support is that of the latents, whether or not cells are measured with noise: posterior draws of the latents of noisy
cells follow N(W l_e, I) too, and are worth as many. Noise only makes W, and with it δ_e, less sure.

An estimate Ŵ makes every distance too long on average. Where its sampling error is known (`ShiftError`) distances are
corrected and carry intervals. The law used is that of least squares on the latent means of the training conditions,
the encoder being taken as exact: what a learnt encoder adds to the error is not counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import gammaincinv, logsumexp

from pdae_sim import _random
from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import between, matrix, positive, repetitions
from pdae_sim._linalg import whitening_root
from pdae_sim._random import SeedLike
from pdae_sim.analysis._information import inflation, inverse_information
from pdae_sim.analysis._noncentral import noncentrality_interval
from pdae_sim.errors import InputError
from pdae_sim.intervals import Interval

_RANK = 1e-10  # share of the largest singular value below which the training labels do not move a direction
_WELL_CONDITIONED = 1e5  # of a Gram matrix that Cholesky inverts to ten digits
_FARTHEST = 1e50  # doses whose squared distances overflow nowhere
_FARTHEST_POOLED = 1e5
_WORK = 2**22  # numbers that a block of labels may hold at once


def _inverse_root(rows: np.ndarray) -> np.ndarray:
    """R (K, r) with R Rᵀ = (rowsᵀ rows)⁺: by Cholesky's factor where that is nearly as good as singular values."""
    moved = np.flatnonzero(rows.any(axis=0))
    gram = rows[:, moved].T @ rows[:, moved]
    root = np.zeros((rows.shape[1], len(moved)))
    try:
        root[moved] = whitening_root(gram).T
    except np.linalg.LinAlgError:
        pass
    else:
        if np.linalg.norm(gram, 1) * np.linalg.norm(root[moved] @ root[moved].T, 1) < _WELL_CONDITIONED:
            return root
    _, s, Vt = np.linalg.svd(rows, full_matrices=False)
    kept = s > _RANK * s.max(initial=0.0)
    return Vt[kept].T / s[kept]


@dataclass(frozen=True, eq=False)
class ShiftError:
    """The sampling error of Ŵ: for an identified difference of labels d, Ŵ d has covariance v(d) J⁻¹.

    With z seen, and its offset not known, Ŵ is least squares on the means of the training conditions and
    v(d) = dᵀ (Σ_e n_e (l_e − l̄)(l_e − l̄)ᵀ)⁺ d: no combination of the means has less variance (theory, claim 2.10). A
    cell that is measured with noise carries the share J = I − E Cov(z | x) of the information about a shift that z has
    (theory, claim 2.13), so that the covariance of maximum likelihood is v(d) J⁻¹. It carries as much about the scale
    of the latents along u as J_u² cells with z seen, J_u⁻¹ = uᵀ J⁻¹ u.

    Args:
        root: (K, r) with v(d) = ‖dᵀ root‖².
        degrees: Degrees of freedom of the covariance that whitened the latents; infinite if their scale is known.
        information: J (d_Z, d_Z); None where z is seen.

    Example:
        >>> error = ShiftError.of([[0, 0], [1, 0], [0, 1]], [100, 100, 200])
        >>> [round(v, 3) for v in error.variances([[1, 0], [1, 1]]).tolist()] == [0.02, 0.055]
        True
    """

    root: np.ndarray
    degrees: float = np.inf
    information: np.ndarray | None = None

    @classmethod
    @checked_numbers
    def of(
        cls,
        train_labels: Sequence | np.ndarray,
        counts: Sequence[int] | np.ndarray,
        *,
        degrees: float | None = None,
        information: np.ndarray | None = None,
    ) -> ShiftError:
        """The error of a Ŵ fitted to so many cells of each training condition.

        Args:
            train_labels: (E, K).
            counts: (E,) cells.
            degrees: Those of the covariance; Σ_e n_e − E, the covariance within conditions, if None.
            information: J (d_Z, d_Z), as a model fitted to noisy cells has it; None where z is seen.
        """
        labels, n = matrix("train_labels", train_labels), positive("counts", counts, len(train_labels))
        centred = np.sqrt(n)[:, None] * (labels - n @ labels / n.sum())
        unit = np.abs(centred).max(axis=0, initial=0.0)
        unit = np.where(unit > 0, unit, 1.0)
        root = _inverse_root(centred / unit) / unit[:, None]
        return cls(root, n.sum() - len(n) if degrees is None else float(degrees), information)

    @cached_property
    def noise(self) -> np.ndarray | None:
        """J⁻¹ (d_Z, d_Z), the covariance of a shift in units of that with z seen; None where z is seen."""
        return None if self.information is None else inverse_information(self.information)

    @property
    def inflation(self) -> float:
        """The factor tr J⁻¹ / d_Z by which noise multiplies the variance of a shift per latent coordinate."""
        return 1.0 if self.information is None else inflation(self.information)

    def variances(self, differences: Sequence | np.ndarray) -> np.ndarray:
        """v(d) of each row d (n, K): the variance of a shift per latent coordinate, were z seen."""
        return ((matrix("differences", differences, columns=len(self.root)) @ self.root) ** 2).sum(axis=1)

    def along(self, squared: np.ndarray, test: np.ndarray, train: np.ndarray) -> np.ndarray:
        """(T, E) uᵀ J⁻¹ u along the differences of latent means (T, d_Z) and (E, d_Z), whose squares are at hand."""
        if self.noise is None:
            return np.ones_like(squared)
        root = np.linalg.cholesky(self.noise)
        stretched = cdist(test @ root, train @ root, "sqeuclidean")
        return np.where(squared > 0, stretched / np.where(squared > 0, squared, 1.0), self.inflation)

    def free(self, n_latents: int, along: np.ndarray | float = 1.0) -> np.ndarray:
        """m = ν − d_Z + 1, the degrees of freedom of Hotelling's denominator; ν along a direction is ν / (uᵀJ⁻¹u)²."""
        if self.degrees <= n_latents + 1:
            raise InputError(
                f"{self.degrees:g} degrees of freedom are too few to whiten {n_latents} latents; "
                f"measure more than {n_latents + 1:g} cells beyond one per condition"
            )
        return np.maximum(self.degrees / np.square(along) - n_latents + 1, 1.0)

    def interval(
        self,
        squared: np.ndarray,
        variances: np.ndarray,
        n_latents: int,
        *,
        along: np.ndarray | float = 1.0,
        level: float = 0.95,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The ends of intervals for δ² from ‖ŵ‖² of covariance v J⁻¹; δ² itself where v is 0.

        Args:
            squared: ‖ŵ‖².
            variances: v, of the same shape.
            n_latents: d_Z.
            along: uᵀ J⁻¹ u along ŵ.
            level: Confidence.
        """
        m, noise = self.free(n_latents, along), np.eye(n_latents) if self.noise is None else self.noise
        scale = 1.0 if np.isinf(self.degrees) else m * np.square(along) / self.degrees
        v = np.where(variances > 0, variances, 1.0)
        law = {"squares": (noise**2).sum(), "along": along, "level": level}
        low, high = (v * end for end in noncentrality_interval(scale * squared / v, np.trace(noise), m, **law))
        return np.where(variances > 0, low, squared), np.where(variances > 0, high, squared)

    def standard_error_interval(self, standard_error: float, n_latents: int, *, level: float = 0.95) -> Interval:
        """An interval for the standard error of a shift along one direction of latents that an estimate whitened.

        The estimated variance along it is off by a factor ν / χ²_{ν − d_Z + 1}; none where the scale is known.
        """
        m = float(self.free(n_latents, self.inflation))
        if np.isinf(m):
            return Interval(standard_error, standard_error)
        quantiles = 2 * gammaincinv(m / 2, [(1 + level) / 2, (1 - level) / 2])  # of χ²_m; scipy.stats loads slowly
        low, high = standard_error * np.sqrt(self.degrees / self.inflation**2 / quantiles)
        return Interval(float(low), float(high))

    def unbiased(
        self, squared: np.ndarray, variances: np.ndarray, n_latents: int, along: np.ndarray | float = 1.0
    ) -> np.ndarray:
        """δ² from ‖ŵ‖², less the bias: E‖ŵ‖² = ν / (ν − d_Z − 1) (δ² + v tr J⁻¹); never below 0."""
        self.free(n_latents)
        lost = 0.0 if np.isinf(self.degrees) else (n_latents + 1) * np.square(along) / self.degrees
        return np.maximum(np.maximum(1 - lost, 0.0) * squared - n_latents * self.inflation * variances, 0.0)


@dataclass(frozen=True, eq=False)
class Support:
    """How far a label is from the training conditions and what their cells are worth there.

    Args:
        distances: (E,) δ_e, less the bias of an estimate, in standard deviations of the base latent.
        cells: (E,) n_e exp(−δ_e²).
        effective_cells: Their sum.
        interval: Interval of the sum, at the confidence `level`; None where W has no stated error.
        squared: (E,) ‖Ŵ (l − l_e)‖², uncorrected for bias.
        variances: (E,) v of Ŵ (l − l_e), whose covariance is v J⁻¹; zero where W has no stated error.
        along: (E,) uᵀ J⁻¹ u along Ŵ (l − l_e); ones where z is seen.
        error: Sampling error of Ŵ; None where W is taken as true.
        n_latents: d_Z.
        level: Confidence of the intervals.
        ends: (E, 2) intervals of the distances, where they are known from elsewhere than `error`.

    Example:
        >>> train, W = [[0, 0], [1, 0]], [[1.0, 0.0], [0.0, 1.0]]
        >>> (support,) = supports(train, [[2, 0]], counts=[50, 100], perturbation_matrix=W)
        >>> support.nearest, support.distances.tolist()
        (1, [2.0, 1.0])
    """

    distances: np.ndarray
    cells: np.ndarray
    effective_cells: float
    interval: Interval | None
    squared: np.ndarray
    variances: np.ndarray
    along: np.ndarray
    error: ShiftError | None
    n_latents: int
    level: float
    ends: np.ndarray | None = None

    @property
    def nearest(self) -> int:
        """The training condition at the least distance."""
        return int(np.argmin(self.distances))

    def to_json(self) -> dict[str, object]:
        """Distances with their intervals, cells by condition and in all, as plain values."""
        return {
            "distances": self.distances,
            "distance_intervals": self.distance_intervals,
            "cells": self.cells,
            "effective_cells": self.effective_cells,
            "interval": self.interval,
        }

    @cached_property
    def distance_intervals(self) -> np.ndarray:
        """(E, 2) an interval for each δ_e; both ends are δ_e where W has no stated error."""
        if self.ends is not None:
            return self.ends
        if self.error is None:
            return np.column_stack([self.distances, self.distances])
        ends = self.error.interval(self.squared, self.variances, self.n_latents, along=self.along, level=self.level)
        return np.sqrt(np.column_stack(ends))


@checked_numbers
def supports(
    train_labels: Sequence | np.ndarray,
    test_labels: Sequence | np.ndarray,
    *,
    counts: Sequence[int] | np.ndarray,
    perturbation_matrix: Sequence | np.ndarray,
    error: ShiftError | None = None,
    level: float = 0.95,
) -> list[Support]:
    """Measure the support of each test label by the training cells.

    The interval of the sum is that of Q = Σ_e p_e δ_e², p_e being the share of environment e in the sum. Its estimate
    Σ_e p_e ‖ŵ_e‖² has variance 4 ‖Σ_e p_e w_e x_eᵀ‖² and more, with ‖x_e‖² = v_e, which by Cauchy and Schwarz is at
    most 4 Q Σ_e p_e v_e: that of one environment with distance Q and error Σ_e p_e v_e, and the law taken. Through
    noise v_e is multiplied by uᵀJ⁻¹u along ŵ_e. The interval is exact if one environment carries all the weight, and
    longer than it need be where the errors of many cancel.

    Args:
        train_labels: (E, K).
        test_labels: (T, K), identified.
        counts: (E,) cells.
        perturbation_matrix: W or an estimate of it (d_Z, K), in the isotropic form.
        error: The sampling error of the estimate; None takes W as true.
        level: Confidence of the intervals.

    Raises:
        InputError: If shapes disagree, doses are beyond 1e50, or there are too few cells to whiten the latents.

    References:
        Theory, claims 2.9 and 2.13.

    Example:
        >>> train, W = [[0, 0], [1, 0]], [[1.0, 0.0], [0.0, 1.0]]
        >>> (support,) = supports(train, [[2, 0]], counts=[50, 100], perturbation_matrix=W)
        >>> bool(np.isclose(support.effective_cells, 50 * np.exp(-4) + 100 * np.exp(-1)))
        True
    """
    train = matrix("train_labels", train_labels)
    test = matrix("test_labels", test_labels, columns=train.shape[1])
    W = matrix("perturbation_matrix", perturbation_matrix, columns=train.shape[1])
    n = positive("counts", counts, len(train))
    between("level", level, 0.0, 1.0)
    if error is not None and error.noise is not None and error.noise.shape != (len(W), len(W)):
        raise InputError(f"information must be of {len(W)} latents, as W is; received shape {error.noise.shape}")
    if (np.abs(test) > _FARTHEST).any():
        raise InputError(
            f"test_labels must have doses up to {_FARTHEST:.0e} for support; received {np.abs(test).max():g}"
        )
    if not (np.abs(train) <= _FARTHEST).all() or not (np.abs(W) <= _FARTHEST).all():
        raise InputError(
            f"train_labels and perturbation_matrix must be up to {_FARTHEST:.0e} for support; rescale them"
        )
    step = max(_WORK // len(train), 1)
    starts = range(0, len(test), step)
    parts = [_supports(W, n, train, test[start : start + step], error, level) for start in starts]
    return [support for part in parts for support in part]


@checked_numbers
def pooling_gain(
    means: Sequence | np.ndarray,
    counts: Sequence[int] | np.ndarray,
    target: Sequence | np.ndarray,
    *,
    n_draws: int = 4000,
    rng: SeedLike = None,
) -> tuple[float, float]:
    """Estimate how many times more all environments together are worth than the sum of their separate effective cells.

    Both are worths by importance sampling, in cells of the target.
    Together they are worth n / (1 + χ²(P ‖ Σ_e n_e P_e / n)) cells, no less than Σ_e n_e exp(−δ_e²) and no more than
    n = Σ_e n_e. The integral of p² / (Σ_e n_e p_e) is taken over draws of Σ_e s_e N(2 μ − μ_e, I), s_e being the share
    of e in the sum: there the integrand is nowhere more than the density over the sum, so that no weight is heavy,
    however far the label. An estimated Ŵ is taken as it is.

    Args:
        means: (E, d_Z) μ_e = W l_e, in the isotropic form.
        counts: (E,) cells.
        target: (d_Z,) μ = W l.
        n_draws: Draws.
        rng: Whatever `numpy.random.default_rng` takes.

    Returns:
        The factor, ≥ 1, and its standard error over draws.

    References:
        Theory, claim 2.9, whose sum is the lower bound; Owen, Zhou (2000), Safe and effective importance sampling.

    Example:
        >>> alone, _ = pooling_gain([[0.0]], [100], [2.0], rng=0)
        >>> twins, _ = pooling_gain([[0.0], [0.0]], [100, 100], [2.0], rng=0)
        >>> bool(np.allclose([alone, twins], 1.0))  # two environments with one law are as good as one with their cells
        True
    """
    moves = matrix("means", means)
    aim = np.asarray(target, dtype=np.float64)
    if aim.shape != moves.shape[1:]:
        raise InputError(f"target must have shape {moves.shape[1:]}, as a row of means; received shape {aim.shape}")
    moves = moves - aim  # μ_e − μ
    n, draws = positive("counts", counts, len(moves)), repetitions("n_draws", n_draws, at_least=2)
    if not (np.abs(moves) <= _FARTHEST_POOLED).all():
        raise InputError(f"means must lie within {_FARTHEST_POOLED:.0e} of the target; no cell counts beyond")
    generator, squared = _random.stream(_random.seed_sequence(rng), "pooled"), (moves**2).sum(axis=1)
    logs = np.log(n) - squared
    shares = logs - logsumexp(logs)
    origin = generator.choice(len(n), draws, p=np.exp(shares))
    inner = (generator.standard_normal((draws, moves.shape[1])) - moves[origin]) @ moves.T  # (z − μ)ᵀ (μ_e − μ)
    mixture = logsumexp(np.log(n) + inner - squared / 2, axis=1)  # log Σ n_e p_e / p
    proposal = logsumexp(shares - inner - squared / 2, axis=1)
    kept = np.exp(logsumexp(logs) - mixture - proposal)  # in (0, 1], and the gain is one over its mean
    gain = 1 / kept.mean()
    return float(gain), float(gain**2 * kept.std(ddof=1) / np.sqrt(draws))


def _supports(
    W: np.ndarray, n: np.ndarray, train: np.ndarray, test: np.ndarray, error: ShiftError | None, level: float
) -> Iterator[Support]:
    raw = cdist(test @ W.T, train @ W.T, "sqeuclidean")
    noise, along, squared = np.zeros_like(raw), np.ones_like(raw), raw
    if error is not None:
        noise = cdist(test @ error.root, train @ error.root, "sqeuclidean")
        along = error.along(raw, test @ W.T, train @ W.T)
        squared = error.unbiased(raw, noise, len(W), along)
    logs = np.log(n) - squared
    sums = logsumexp(logs, axis=1)
    intervals: list[Interval | None] = [None] * len(test)
    if error is not None:
        p = np.exp(logs - sums[:, None])
        form, spread = (p * raw).sum(axis=1), (p * noise).sum(axis=1)
        most = np.maximum(_weighted(along, p * raw), _weighted(along, p * noise))
        low, high = error.interval(form, spread, len(W), along=most, level=level)
        entropy = sums + (p * squared).sum(axis=1)  # the sum is exp(entropy − Σ p_e δ_e²), and p hardly moves
        intervals = list(map(Interval, np.exp(entropy - high).tolist(), np.exp(entropy - low).tolist()))
    rows = zip(np.sqrt(squared), np.exp(logs), np.exp(sums).tolist(), intervals, raw, noise, along, strict=True)
    for distances, cells, total, interval, plain, variances, stretch in rows:
        yield Support(distances, cells, total, interval, plain, variances, stretch, error, len(W), level)


def _weighted(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(T,) means of rows; a plain mean where all weights are zero."""
    total = weights.sum(axis=1)
    return np.where(total > 0, (values * weights).sum(axis=1) / np.where(total > 0, total, 1.0), values.mean(axis=1))
