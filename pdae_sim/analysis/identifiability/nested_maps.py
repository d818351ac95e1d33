"""Nested maps from estimated to true latents, fitted on one half of the cells and judged on the other.

identity ⊂ signed permutation ⊂ orthogonal ⊂ affine ⊂ nonlinear. Each class contains the one before it, so that on the
cells it was fitted to none explains less; on the cells that judge it a larger class pays for what it learnt by chance,
and gains nothing where there is nothing to gain.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import linalg
from scipy.optimize import linear_sum_assignment

from pdae_sim import _random
from pdae_sim._arguments import checked_numbers
from pdae_sim._random import SeedLike
from pdae_sim.analysis._intervals import operator_radius, ratio_intervals
from pdae_sim.analysis._nystrom_ridge import nystrom_ridge
from pdae_sim.analysis.identifiability._pairs import checked_pair
from pdae_sim.intervals import Estimate, Interval

MAP_CLASSES = ("identity", "signed permutation", "orthogonal", "affine", "nonlinear")
"""The classes, smallest first. All but the identity have an offset."""

_MIN_CELLS = 40
"""Cells below which nothing is judged: two halves, five folds in one of them."""

_Map = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class MapClass:
    """One class of maps, judged.

    Args:
        name: One of `MAP_CLASSES`.
        r2: R² of the truth given the fitted map of the estimate, on cells the fit did not see.
        defect: R² that the next larger class adds; for the largest, what no class explains.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(200, 2))
        >>> fit_nested_maps(2 * z, z, rng=0)["orthogonal"].defect.low > 0.2
        True
    """

    name: str
    r2: Estimate
    defect: Estimate

    def to_json(self) -> dict:
        """R² and defect with their intervals."""
        return {"map": self.name, "r2": self.r2.to_json(), "defect": self.defect.to_json()}


@dataclass(frozen=True, eq=False)
class NestedMaps:
    """R² of every class of maps from estimate to truth, and what else tells the classes apart.

    Args:
        classes: One per class, in the order of `MAP_CLASSES`.
        weakest: R² of the nonlinear map along the direction of the truth that it explains least.
        stretch: Greatest singular value of the affine map from truth to estimate, as an interval. Noise in the estimate
            cannot raise it, so that above 1 it is no noise.
        shrinkage: Greatest singular value of the affine map from estimate to truth: above 1, the estimate shrinks the
            truth.
        losses: (5, m) squared errors on the cells that judge.
        spread: (m,) squared distances of the truth from its mean on the same cells.
        judged: (m,) which rows those are.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(200, 2))
        >>> [row["map"] for row in fit_nested_maps(z, z, rng=0).to_json()] == list(MAP_CLASSES)
        True
    """

    classes: tuple[MapClass, ...]
    weakest: Estimate
    stretch: Estimate
    shrinkage: Estimate
    losses: np.ndarray
    spread: np.ndarray
    judged: np.ndarray

    def __getitem__(self, name: str) -> MapClass:
        return self.classes[MAP_CLASSES.index(name)]

    def to_json(self) -> list[dict]:
        """One dictionary per class."""
        return [each.to_json() for each in self.classes]


@checked_numbers
def fit_nested_maps(estimate: np.ndarray, truth: np.ndarray, *, rng: SeedLike = None) -> NestedMaps:
    """Fit every class of maps on a random half of the cells and judge it on the other half.

    Intervals say how much the judging cells leave open about the maps as they were fitted. Give cells that the
    encoder was not fitted to, and the truth in its isotropic form. Two estimates of the same cells with one seed are
    judged on the same half, so that their losses are paired.

    Args:
        estimate: (n, d_Z) encoded latents; a coordinate may be constant.
        truth: (n, d_Z) true latents of the same cells, n ≥ 40 and n > 4 d_Z.
        rng: Whatever `numpy.random.default_rng` takes; seeds halves, folds and resampling.

    Raises:
        InputError: If shapes disagree, cells are too few, or the truth does not vary in every direction.

    References:
        Theory, claims 2.2 and 2.3; Schönemann (1966) for the orthogonal map, Kuhn (1955) for the permutation.

    Example:
        >>> z = np.random.default_rng(0).normal(size=(400, 2))
        >>> maps = fit_nested_maps(z @ np.array([[1.0, 1.0], [0.0, 1.0]]), z, rng=0)
        >>> maps["affine"].r2.low > 0.999 > 0.99 > maps["orthogonal"].r2.high
        True
    """
    Z_hat, Z = checked_pair(estimate, truth, "nested maps", lambda d: max(_MIN_CELLS, 4 * d + 1))
    root = _random.seed_sequence(rng)
    order = _random.stream(root, "halves").permutation(len(Z))
    fit, judged = np.sort(order[: len(Z) // 2]), np.sort(order[len(Z) // 2 :])
    fitted = least_squares_maps(Z_hat[fit], Z[fit], _random.stream(root, "smoother"))
    errors = np.stack([each(Z_hat[judged]) - Z[judged] for each in fitted])
    weak = _weakest(fitted[-1](Z_hat[fit]) - Z[fit], Z[fit])
    centred = Z[judged] - Z[judged].mean(0)
    stream = _random.stream(root, "intervals")
    losses, spread = (errors**2).sum(2), (centred**2).sum(1)
    (lost,) = ratio_intervals(((errors[-1] @ weak) ** 2)[None], (centred @ weak) ** 2, stream)
    return NestedMaps(
        _map_classes(losses, spread, stream),
        lost.subtracted_from(1.0),
        _greatest_singular_value(Z, Z_hat, stream),
        _greatest_singular_value(Z_hat, Z, stream),
        losses,
        spread,
        judged,
    )


@checked_numbers
def least_squares_maps(Z_hat: np.ndarray, Z: np.ndarray, rng: np.random.Generator) -> tuple[_Map, ...]:
    """Fit the least-squares map of every class, in the order of `MAP_CLASSES`.

    Args:
        Z_hat: (n, d_Z) estimated latents.
        Z: (n, d_Z) true latents.
        rng: Generator of landmarks and folds of the nonlinear map.

    Returns:
        Five functions of (m, d_Z) with values (m, d_Z).

    Example:
        >>> z = np.random.default_rng(0).normal(size=(100, 2))
        >>> identity, permutation, *_ = least_squares_maps(-z[:, ::-1], z, np.random.default_rng(0))
        >>> bool(np.allclose(permutation(-z[:, ::-1]), z))
        True
    """
    Z_hat, Z = checked_pair(Z_hat, Z, "maps", lambda _: 1)
    affine = _through_means(Z_hat, Z, linalg.lstsq(Z_hat - Z_hat.mean(0), Z - Z.mean(0))[0])
    bend = nystrom_ridge(Z_hat, Z - affine(Z_hat), rng)
    return (
        lambda z: z,
        _through_means(Z_hat, Z, _signed_permutation(Z_hat, Z)),
        _through_means(Z_hat, Z, linalg.orthogonal_procrustes(Z_hat - Z_hat.mean(0), Z - Z.mean(0))[0]),
        affine,
        lambda z: affine(z) + bend(z),
    )


def _signed_permutation(Z_hat: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """P (d_Z, d_Z) with one ±1 per row and column that makes Ẑ P nearest to Z, both centred; nothing is rescaled.

    ‖Ẑ P − Z‖² is least where tr(Pᵀ Ẑᵀ Z) is greatest: an assignment.
    """
    C = (Z_hat - Z_hat.mean(0)).T @ (Z - Z.mean(0))
    rows, columns = linear_sum_assignment(-np.abs(C))
    P = np.zeros_like(C)
    P[rows, columns] = np.where(C[rows, columns] < 0, -1.0, 1.0)
    return P


def _through_means(Z_hat: np.ndarray, Z: np.ndarray, A: np.ndarray) -> _Map:
    """ẑ ↦ (ẑ − its mean) A + the mean of the truth: the best offset there is for A."""
    centre, target = Z_hat.mean(0), Z.mean(0)
    return lambda z: (z - centre) @ A + target


def _map_classes(losses: np.ndarray, spread: np.ndarray, rng: np.random.Generator) -> tuple[MapClass, ...]:
    steps = [smaller - larger for smaller, larger in pairwise(losses)]
    ratios = ratio_intervals(np.vstack([losses, *steps]), spread, rng)
    lost, added = ratios[: len(losses)], ratios[len(losses) :]
    defects = [*added, lost[-1]]
    return tuple(
        MapClass(name, loss.subtracted_from(1.0), d) for name, loss, d in zip(MAP_CLASSES, lost, defects, strict=True)
    )


def _weakest(errors: np.ndarray, Z: np.ndarray) -> np.ndarray:
    """The direction w (d_Z,) of the truth with the greatest share of its variance left in the errors."""
    Z = Z - Z.mean(0)
    return linalg.eigh(errors.T @ errors, Z.T @ Z)[1][:, -1]


def _greatest_singular_value(X: np.ndarray, Y: np.ndarray, rng: np.random.Generator) -> Estimate:
    """Greatest singular value of the regression of Y on X, both centred, with the band of Weyl's inequality."""
    X, Y = X - X.mean(0), Y - Y.mean(0)
    if not X.any():
        return Estimate(0.0, Interval(0.0, 0.0))
    B = linalg.lstsq(X, Y)[0]
    value, radius = float(linalg.svdvals(B)[0]), operator_radius(Y - X @ B, X, rng)
    return Estimate(value, Interval(max(value - radius, 0.0), value + radius))
