"""How many latents the likelihood of noisy cells asks for: short fits of more and more, judged on cells kept out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np

from pdae_sim.estimation._dimension import Dimension
from pdae_sim.estimation._observation_evidence import LEAST_GAIN, score_difference

_SHARE = 0.25
"""Beyond the rank of the shifts a latent that gains less than this share of the one before makes up for what a short
fit left undone."""
_LADDER, _PATIENCE = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128), 3
"""Numbers of latents that are tried, and how many of them beyond the best."""

Score = Callable[[int], np.ndarray]
"""Log-likelihoods by held-out cell after a short fit of so many latents; empty if none are kept."""


def confirmed(found: Dimension, most: int, score: Score) -> Dimension:
    """What cells tell of latents, held against their likelihood.

    A sure number stays sure if its last latent raises the likelihood. Else likelihood says the number, which is not
    sure: neither is right alone where noise grows with the mean, or counts are few.

    Args:
        found: The number by what cells tell of each latent.
        most: Latents that can be identified or that x has directions for.
        score: A short fit, judged.
    """
    d = found.n_latents
    if found.sure and (d == 1 or _worth_it(score(d), score(d - 1))):
        return found
    climbed = _climbed(found.rank, most, score)
    if climbed is None:
        return replace(found, sure=False)
    return replace(found, n_latents=climbed, sure=False, reason="held-out marginal likelihood stops gaining")


def _worth_it(more: np.ndarray, fewer: np.ndarray) -> bool:
    """Whether one more latent raises the likelihood by more than a standard error; true where none is known."""
    if not len(more) or not len(fewer):
        return True
    gain, se = score_difference(more, fewer)
    return gain > max(se, LEAST_GAIN)


def _climbed(rank: int, most: int, score: Score) -> int | None:
    """The number of latents at which likelihood stops gaining; None where it cannot be told."""
    scores: dict[int, np.ndarray] = {}
    for d in [d for d in _LADDER if d <= most] or [1]:
        scores[d] = score(d)
        if not len(scores[d]):
            return None
        if len(scores) > _PATIENCE and _fewest(scores, rank) not in list(scores)[-_PATIENCE:]:
            break
    best = _fewest(scores, rank)
    return best if best != max(scores) or best == most else None


def _fewest(scores: Mapping[int, np.ndarray], rank: int) -> int:
    """The fewest latents within a standard error of the best; beyond the rank of the shifts one must gain a good share.

    References:
        Breiman et al. (1984), Classification and Regression Trees: the one-standard-error rule.
    """
    tried = list(scores)
    allowed = tried[:1]
    for before, d in pairwise(tried):
        gain = score_difference(scores[d], scores[before])[0] / (d - before)
        first = score_difference(scores[before], scores[allowed[-2]])[0] if len(allowed) > 1 else 0.0
        if d > rank and gain < max(_SHARE * first, LEAST_GAIN):
            break
        allowed.append(d)
    best = max(allowed, key=lambda d: scores[d].mean())
    return next((d for d in allowed if not _worth_it(scores[best], scores[d])), best)
