"""How many latents: the dimension of the manifold of cells, and how sure one can be of it.

Where cells have a smooth density on a manifold of m dimensions and T_j is the distance to the j-th nearest one, the sum
of log(T_k / T_j) over j < k is a Gamma variable of shape k − 1 and rate m. So m̂ = (k − 1) n / Σ Σ log(T_k / T_j), with
standard error m̂ / √((k − 1) n). Few cells bias it downwards where dimensions are many, and that is measured: by the
same estimate for as many standard normal cells. What neighbours leave open, and all that is noisy, is decided by a
short fit with more latents than can be identified: of latents that are there a cell tells most of the variance, of
superfluous ones little, and between the two is a gap of the eigenvalues of I − E Cov(z | x). Cells without noise are
given some for it, which costs no identifiability and hides what a short fit leaves of the curvature.

References:
    Levina & Bickel (2004), Maximum likelihood estimation of intrinsic dimension, NeurIPS 17; the mean over cells is
    taken as in MacKay & Ghahramani's comment on it.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from pdae_sim._seals import rebuilt
from pdae_sim.estimation._whitening import directions

_log = logging.getLogger(__name__)

NEIGHBOURS = 10
_CELLS, _VALUES = 8000, 2**24
"""Cells looked at, at most, and their values where cells are long."""
_QUERIES, _FEWEST = 2000, 50
LOW = 3
"""Up to here neighbours alone are trusted."""
BESIDE = 0.25
"""Standard deviation of the noise added to standardised cells that have none, for a short fit."""
_FIRST = 12
"""Latents of a first short fit, at most; twice as many as long as cells tell of all."""
_TOLD, _UNTOLD = 0.45, 0.65
"""Least share of the variance of a latent that cells tell, and the largest of a superfluous one."""
_GAP = 1.2
"""Least fall of the log odds of that share from the last latent to a superfluous one."""
_SURE_GAP, _SURE_UNTOLD = 1.8, 0.5
"""Fall and share where one can be sure of it."""

Information = Callable[[int], np.ndarray]
"""Shares of the variance of so many latents that held-out cells tell after a short fit, descending; empty unknown."""

_BY_DIMENSION, _ESTIMATED = ("expected", "errors"), ("estimate", "standard_error")


@dataclass(frozen=True)
class Dimension:
    """A number of latents, and the evidence for it.

    Args:
        n_latents: The choice.
        estimate: m̂ from nearest neighbours; NaN where too few cells differ.
        standard_error: Of m̂.
        expected: m̂ for standard normal cells of some dimensions, as many as there are.
        errors: Share of the variance of each latent that cells leave open, the best told first, where a short fit
            was needed.
        rank: Of the training shifts. Orthogonal identification needs a rank of n_latents − 1 or more.
        sure: Whether the evidence agrees: neighbours with the choice, or a clear gap of what cells tell.
        reason: In words.

    Example:
        >>> choice = Dimension(2, 1.98, 0.03, rank=2, sure=True, reason="nearest neighbours")
        >>> Dimension.from_json(choice.to_json()) == choice
        True
    """

    n_latents: int
    estimate: float
    standard_error: float
    rank: int
    sure: bool
    reason: str
    expected: Mapping[int, float] = field(default_factory=dict)
    errors: Mapping[int, float] = field(default_factory=dict)

    def to_json(self) -> dict:
        """The choice as plain JSON values."""
        by_dimension = {k: {str(d): v for d, v in getattr(self, k).items()} for k in _BY_DIMENSION}
        told = {k: None if math.isnan(getattr(self, k)) else getattr(self, k) for k in _ESTIMATED}
        return vars(self) | by_dimension | told

    @classmethod
    def from_json(cls, state: dict | None) -> Dimension | None:
        """The choice written as `state`; None where none was made."""
        if state is None:
            return None
        return rebuilt(cls, {**state, **{k: math.nan for k in _ESTIMATED if state[k] is None}})


def choose(x: np.ndarray, rank: int, information: Information, rng: np.random.Generator) -> Dimension:
    """The number of latents of some cells without noise.

    Args:
        x: (n, d_X) standardised cells.
        rank: Of the training shifts.
        information: What cells tell of latents after a short fit.
        rng: Picks cells where there are many.
    """
    x = np.unique(x[rng.permutation(len(x))[: cells_of(x.shape[1])]].astype(np.float64), axis=0)
    varied = varied_directions(x)
    most = most_latents(rank, varied)
    estimate, se = neighbour_dimension(rng.permutation(x))
    if math.isnan(estimate):
        return tell(Dimension(min(rank, most), estimate, se, rank, False, "too few cells differ from one another"))
    expected = _expected(estimate, len(x), most, rng)
    nearest = min(expected, key=lambda d: abs(expected[d] - estimate))
    if nearest > most:
        why = "cells fill more dimensions than the shifts can identify: noise, or too few perturbations"
        return tell(Dimension(min(rank, most), estimate, se, rank, False, why, expected))
    if nearest <= LOW and _clear(expected, nearest, estimate, se):
        return tell(Dimension(nearest, estimate, se, rank, True, "nearest neighbours", expected))
    found = by_information(rank, varied, information)
    if not found.errors:
        found = replace(found, n_latents=nearest, reason="nearest neighbours, with too few cells for more")
    if len(found.errors) == varied <= most and max(found.errors.values()) <= 1 - _TOLD:
        found = replace(found, n_latents=varied, sure=True, reason="as many latents as directions")
    agreed = found.n_latents == nearest or found.n_latents > nearest > LOW + 1  # neighbours see too few of many
    sure = found.sure and agreed
    return tell(replace(found, estimate=estimate, standard_error=se, expected=expected, sure=sure))


def by_information(rank: int, varied: int, information: Information) -> Dimension:
    """The number of latents that cells tell of, apart from superfluous ones.

    Args:
        rank: Of the training shifts; one latent more than that can be identified.
        varied: Directions in which cells vary.
        information: What cells tell of latents after a short fit.
    """
    limit, most = most_latents(rank + 1, varied), most_latents(rank, varied)
    tried = min(_FIRST, limit)
    shares = information(tried)
    while tried < limit and len(shares) and shares[-1] >= _TOLD:
        tried = min(2 * tried, limit)
        shares = information(tried)
    if not len(shares):
        why = "too few cells for a short fit; the rank of the shifts"
        return Dimension(min(rank, most) or 1, math.nan, math.nan, rank, False, why)
    errors = {d: 1 - float(share) for d, share in enumerate(shares, 1)}
    found, sure = _gap(shares)
    if found is None or found > most:
        why = "cells tell of more latents than the shifts can identify, or of fewer: there is no gap"
        return Dimension(min(rank, most) or 1, math.nan, math.nan, rank, False, why, errors=errors)
    return Dimension(found, math.nan, math.nan, rank, sure, "cells tell of no more latents", errors=errors)


def most_latents(rank: int, varied: int) -> int:
    """Latents that shifts of a rank can identify and that cells have directions for."""
    return max(min(rank + 1, varied), 1)


def _gap(shares: np.ndarray) -> tuple[int | None, bool]:
    """After how many latents what cells tell of them falls, and whether that is sure; None if it does not."""
    odds = np.log(np.clip(shares, 1e-3, 1 - 1e-3)) - np.log1p(-np.clip(shares, 1e-3, 1 - 1e-3))
    falls = odds[:-1] - odds[1:]
    clear = (shares[:-1] >= _TOLD) & (shares[1:] <= _UNTOLD) & (falls >= _GAP)
    if clear.any():
        d = int(np.flatnonzero(clear)[-1]) + 1
        return d, bool(falls[d - 1] >= max(_SURE_GAP, falls[d:].max(initial=0.0)) and shares[d] <= _SURE_UNTOLD)
    d = int(falls.argmax()) + 1 if len(falls) else 0
    return (d, False) if d and falls[d - 1] >= _GAP and shares[d] <= _UNTOLD else (None, False)


def cells_of(d_X: int) -> int:
    """How many cells of so many features are looked at, at most."""
    return min(_CELLS, max(_VALUES // d_X, _QUERIES))


def varied_directions(x: np.ndarray) -> int:
    """The number of directions in which cells (n, d_X) vary; up to some thousand where cells are long."""
    if x.shape[1] <= _QUERIES:
        return directions(np.linalg.eigvalsh(np.atleast_2d(np.cov(x.T.astype(np.float64), ddof=0))))
    some = x[np.linspace(0, len(x) - 1, min(len(x), _QUERIES)).astype(int)].astype(np.float64)
    some -= some.mean(0)
    return directions(np.linalg.eigvalsh(some @ some.T))


def nearest_dimension(x: np.ndarray, most: int, rng: np.random.Generator) -> tuple[int, float, float] | None:
    """The dimension whose standard normal cells look most like these, with m̂ and its standard error; None unknown.

    Args:
        x: (n, d_X) standardised cells.
        most: The largest dimension of interest.
        rng: Picks cells where there are many.
    """
    x = np.unique(x[rng.permutation(len(x))[: cells_of(x.shape[1])]].astype(np.float64), axis=0)
    estimate, se = neighbour_dimension(rng.permutation(x))
    if math.isnan(estimate):
        return None
    expected = _expected(estimate, len(x), most, rng)
    return min(expected, key=lambda d: abs(expected[d] - estimate)), estimate, se


def neighbour_dimension(x: np.ndarray, k: int = NEIGHBOURS) -> tuple[float, float]:
    """m̂ and its standard error from the k nearest neighbours of the first of the distinct cells (n, d_X).

    Neighbourhoods overlap, so that the true spread is a little wider (by a third, in three dimensions).
    """
    if len(x) <= k:
        return math.nan, math.nan
    distances = _nearest(torch.from_numpy(np.ascontiguousarray(x)), k)
    logs = np.log(distances[:, -1:] / distances[:, :-1])
    told = np.isfinite(logs).all(1)
    n = int(told.sum())
    if n < _FEWEST or not logs[told].any():
        return math.nan, math.nan
    estimate = (k - 1) * n / float(logs[told].sum())
    return estimate, estimate / math.sqrt((k - 1) * n)


def _nearest(x: torch.Tensor, k: int) -> np.ndarray:
    """(n, k) distances of the first cells to their k nearest others, ascending; NaN where they are rounding."""
    parts = [torch.cdist(part, x).topk(k + 1, largest=False).values[:, 1:] for part in x[:_QUERIES].split(250)]
    found = torch.cat(parts).numpy()
    return np.where(found > 1e-9 * found[:, -1:], found, np.nan)


def _expected(estimate: float, n: int, most: int, rng: np.random.Generator) -> dict[int, float]:
    """m̂ for n standard normal cells: from a dimension below the estimate to the second beyond, or beyond `most`."""
    d = max(min(int(estimate), most) - 1, 1)
    found: dict[int, float] = {}
    while d <= most + 1 and sum(value > estimate for value in found.values()) < 2:
        found[d] = neighbour_dimension(rng.normal(size=(n, d)))[0]
        d += 1
    return found


def _clear(expected: Mapping[int, float], nearest: int, estimate: float, se: float) -> bool:
    """Whether the estimate is near what is expected for one dimension and far from the others."""
    near = abs(expected[nearest] - estimate) < 4 * se + 0.05 * nearest
    return near and all(abs(value - estimate) > 4 * se for d, value in expected.items() if d != nearest)


def tell(choice: Dimension) -> Dimension:
    """Log a choice of the number of latents; a warning where it is not sure."""
    how = "" if choice.sure else ", and this is not sure: give n_latents where it is known"
    say = _log.info if choice.sure else _log.warning
    say(
        "n_latents = %d (%s; neighbours say %.2f ± %.2f, shifts have rank %d)%s",
        choice.n_latents,
        choice.reason,
        choice.estimate,
        choice.standard_error,
        choice.rank,
        how,
    )
    return choice
