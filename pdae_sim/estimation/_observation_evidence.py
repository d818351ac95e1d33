"""Which observation model: short fits judged on training cells that they keep out.

Counts are recognised by being whole numbers, or a transform of whole numbers that can be undone. Of other cells the
first question is whether there is noise at all. Cells without noise fill a manifold of d_Z dimensions at every scale,
and their nearest neighbours show it; noise fills all of them at the smallest scale. Where there is noise, the model
with the largest held-out likelihood is taken, the simplest where the difference is within its standard error.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pdae_sim._matrices import Matrix
from pdae_sim.data import PerturbationData
from pdae_sim.estimation._dimension import LOW, cells_of, nearest_dimension
from pdae_sim.estimation._measurement import recognise_counts, share_of_zeros
from pdae_sim.estimation._observation import GAUSSIAN, ObservationChoice, as_given

_log = logging.getLogger(__name__)

_ZEROS = (0.01, 0.9)
"""Shares of zeros that are dropout, in a table of no counts; the first above twice that of the values beside zero."""
_ERRORS = 3.0
"""Standard errors by which a richer model has to be better."""
LEAST_GAIN = 0.01
"""And log-likelihood by cell, at least."""
Score = Callable[[ObservationChoice, int], np.ndarray]
"""Log-likelihoods by held-out cell, in the units of x, after a short fit of so many latents; empty if none are kept."""


def candidates(x: Matrix) -> list[str]:
    """The observation models with noise that a table (n, d_X) can be of, the simplest first."""
    if _counted(x):
        return ["poisson", "negative_binomial"]
    zeros, beside = share_of_zeros(x)
    if zeros - 2 * beside > _ZEROS[0] and zeros < _ZEROS[1]:
        return ["dropout"]
    positive = ["log_normal"] if x.min() > 0 else []
    return [*GAUSSIAN, *positive]


def _counted(x: Matrix) -> bool:
    """Whether a table (n, d_X) of more features than one holds counts."""
    return x.shape[1] > 1 and recognise_counts(x) is not None


def planned(x: Matrix) -> ObservationChoice:
    """Cells without noise because a plan says so; not sure where they are counts."""
    if _counted(x):
        why = "the plan takes cells for noiseless, and these are counts; other plans model those"
        return ObservationChoice("noiseless", False, why)
    return ObservationChoice("noiseless", True, "the plan takes cells for noiseless")


def noiseless(x: np.ndarray, n_latents: int | None, rank: int, rng: np.random.Generator) -> tuple[bool, bool, str]:
    """Whether cells are taken to be without noise, whether that is sure, and why.

    Args:
        x: (n, d_X) standardised cells.
        n_latents: d_Z, or None where it is not known; up to the rank of the shifts and one more it could be identified.
        rank: Of the training shifts.
        rng: Picks cells where there are many.
    """
    features = int((np.ptp(x, axis=0) > 0).sum())
    most = min(n_latents if n_latents is not None else rank + 1, features)
    found = nearest_dimension(x, most, rng)
    if found is None:
        return True, False, "too few cells differ from one another to tell noise by their neighbours"
    nearest, estimate, se = found
    told = f"nearest neighbours fill {estimate:.1f} ± {se:.1f} dimensions of {features}"
    if most >= features:
        return True, False, f"{told}: with as many latents as features noise is no question that cells can answer"
    sure = nearest > most or (most < features - 1 and (n_latents is not None or nearest <= LOW))
    return nearest <= most, sure, told


def choose(x: Matrix, names: Sequence[str], n_latents: int, score: Score) -> ObservationChoice:
    """The best of some models with noise at one number of latents.

    Args:
        x: (n, d_X) training cells.
        names: Models to compare, the simplest first.
        n_latents: d_Z, or a guess of it.
        score: A short fit, judged.
    """
    options = [as_given(name, x) for name in names]
    if len(options) == 1:
        return replace(options[0], reason=_only(options[0].name))
    scores = [score(option, n_latents) for option in options]
    if not all(len(each) for each in scores):
        return replace(options[-1], sure=False, reason="too few cells to compare observation models")
    best = 0
    for i in range(1, len(options)):
        gain, se = score_difference(scores[i], scores[best])
        if gain > (0.0 if names[i] == "negative_binomial" else max(_ERRORS * se, LEAST_GAIN)):
            best = i
    sure = all(_clear(options, scores, best, i) for i in range(len(options)))
    evidence = {option.name: float(each.mean()) for option, each in zip(options, scores, strict=True)}
    why = "largest held-out likelihood, the simplest where models of values are as good"
    return replace(options[best], sure=sure, reason=why, evidence=evidence)


def _clear(options: Sequence[ObservationChoice], scores: Sequence[np.ndarray], best: int, other: int) -> bool:
    """Whether a model is the other, holds it as a special case or is held by it, or is far from it in likelihood."""
    transforms = options[best].transform, options[other].transform
    gain, se = score_difference(scores[best], scores[other])
    return best == other or transforms[0] == transforms[1] or abs(gain) > _ERRORS * se


def score_difference(first: np.ndarray, second: np.ndarray) -> tuple[float, float]:
    """Mean and standard error of the difference of two scores of the same cells."""
    difference = first - second
    return float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(len(difference)))


def _only(name: str) -> str:
    return "a share of the entries is exactly zero" if name == "dropout" else "the only model that fits the table"


def tell(choice: ObservationChoice) -> ObservationChoice:
    """Log a choice of observation model; a warning where it is not sure."""
    how = "" if choice.sure else ", and this is not sure: give observation where it is known"
    say = _log.info if choice.sure else _log.warning
    evidence: Mapping[str, float] = choice.evidence
    told = "".join(f"; {name} {value:.2f}" for name, value in evidence.items())
    say("observation = %s (%s%s)%s", choice.name, choice.reason, told, how)
    return choice


def looked_at(data: PerturbationData, rng: np.random.Generator) -> np.ndarray:
    """Row numbers of the cells that neighbours are looked for in."""
    return np.sort(rng.permutation(len(data.environment))[: cells_of(data.stored.shape[1])])
