"""Equality of effects in several contexts (cell lines, batches, platforms): a test by their Gram matrices.

Each context identifies the Gram matrix of its own effects, whatever its mixing (theory, claims 2.5 and 2.17). If an
effect is one and the same in two contexts, so are the sizes and the distances of the effects they share; unequal ones
refute it. Distances come from cells alone, without an encoder: −8 log of the affinity of two environments.

What a pass does not say: effects that no two contexts share are still assumed. What a failure may be beside unequal
effects: unequal noise, depth or base laws of the contexts, for distances are those of x and noise shortens them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import repetitions
from pdae_sim._random import SeedLike, seed_sequence, stream
from pdae_sim.analysis._affinity import Affinity, affinity
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError

_MIN_CELLS = 30
_MIN_EFFECTIVE = 20.0
_Z = 1.959964

_Pair = tuple[str, str]


@dataclass(frozen=True, eq=False)
class SharedEffectsTest:
    """Evidence for or against equal Gram matrices of the effects that contexts share.

    Args:
        contexts: Names of the contexts compared.
        pairs: Pairs of conditions whose distance two contexts or more can tell, the control among conditions.
        squares: (P, C) squared distances by pair and context, NaN where a context lacks them.
        standard_errors: (P, C) theirs.
        p_value: Of the greatest standardised difference of a distance between two contexts, over all of them.
        worst: Place of that difference: a pair and two contexts.
        skipped: Pairs of conditions that were left out, with the reason.

    Example:
        >>> squares, errors = np.array([[1.0, 4.0]]), np.array([[0.2, 0.3]])
        >>> test = SharedEffectsTest(("K562", "HepG2"), (("ctrl", "A"),), squares, errors, 0.001, (0, 0, 1), {})
        >>> test.rejected()
        True
    """

    contexts: tuple[str, ...]
    pairs: tuple[_Pair, ...]
    squares: np.ndarray
    standard_errors: np.ndarray
    p_value: float
    worst: tuple[int, int, int]
    skipped: Mapping[_Pair, str]

    def rejected(self, level: float = 0.05) -> bool:
        """Whether equal effects are refuted at a level."""
        return self.p_value <= level

    def in_words(self, level: float = 0.05) -> str:
        """What the test says, and what it does not say."""
        pair, *two = self.worst
        sizes = " and ".join(
            f"{np.sqrt(max(self.squares[pair, c], 0.0)):.2f} in {self.contexts[c]}" for c in sorted(two)
        )
        at = f"{self.pairs[pair][1]} is {sizes} from {self.pairs[pair][0]}"
        said = f"Gram matrices of shared effects ({len(self.pairs)} distances, {', '.join(self.contexts)})"
        if self.rejected(level):
            return f"{said}: unequal, p = {self.p_value:.3g}; {at}: effects, noise or base laws of contexts differ"
        return f"{said}: no difference found, p = {self.p_value:.3g}; effects measured in one context only are assumed"

    def to_json(self) -> dict[str, object]:
        """The test and every distance with its interval, as plain values."""
        rows = [
            {
                "pair": list(self.pairs[p]),
                "context": self.contexts[c],
                "squared_distance": float(self.squares[p, c]),
                "interval": [float(self.squares[p, c] + z * self.standard_errors[p, c]) for z in (-_Z, _Z)],
            }
            for p, c in np.argwhere(np.isfinite(self.squares)).tolist()
        ]
        skipped = [{"pair": list(pair), "reason": reason} for pair, reason in self.skipped.items()]
        return {"p_value": self.p_value, "rejected": self.rejected(), "distances": rows, "skipped": skipped}


@checked_numbers
def shared_effects_test(
    data: Mapping[str, PerturbationData], *, max_pairs: int = 60, n_multipliers: int = 999, rng: SeedLike = None
) -> SharedEffectsTest:
    """Test whether contexts that share perturbations share their effects.

    Args:
        data: The cells of each context, labelled by perturbations alone.
        max_pairs: Distances to compare at most, those from the control first.
        n_multipliers: Draws of the greatest difference under equality, from the influence of each cell.
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: If no distance can be told in two contexts, with the reasons.

    References:
        Theory, claim 2.17.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> def context(scale):
        ...     z = rng.normal(size=(600, 1)) + np.repeat([0.0, 1.0], 300)[:, None]
        ...     return PerturbationData.from_arrays(np.sinh(scale * z), np.repeat(["ctrl", "A"], 300))
        >>> shared_effects_test({"K562": context(1.0), "HepG2": context(0.3)}, rng=0).p_value > 0.05
        True
    """
    repetitions("n_multipliers", n_multipliers, at_least=99)
    root, contexts = seed_sequence(rng), tuple(data)
    measured, skipped = {}, {}
    for pair in _shared_pairs(data, max_pairs, stream(root, "pairs")):
        held = [c for c in contexts if set(pair) <= set(data[c].conditions)]
        found = {c: _distance(data[c], pair, stream(root, "pair", *pair, c)) for c in held}
        told = {c: a for c, a in found.items() if isinstance(a, Affinity)}
        if len(told) > 1:
            measured[pair] = told
        else:
            skipped[pair] = next(reason for reason in found.values() if isinstance(reason, str))
    if not measured:
        why = "; ".join(sorted(set(skipped.values()))) or "no two conditions are measured in two contexts"
        raise InputError(f"shared effects cannot be tested: {why}")
    return _record(contexts, measured, skipped, _draws(measured, data, n_multipliers, stream(root, "multipliers")))


def _shared_pairs(data: Mapping[str, PerturbationData], most: int, rng: np.random.Generator) -> list[_Pair]:
    """Pairs of conditions that two contexts measure: those with a control first, of the others as many as fit."""
    by_context = [dict.fromkeys(part.conditions) for part in data.values()]
    known = list(dict.fromkeys(name for conditions in by_context for name in conditions))
    control = {part.control for part in data.values()}
    pairs = [
        (e, f) if f not in control else (f, e)
        for e, f in combinations(known, 2)
        if sum(e in conditions and f in conditions for conditions in by_context) > 1
    ]
    near = [pair for pair in pairs if pair[0] in control]
    rest = [pair for pair in pairs if pair[0] not in control]
    chosen = sorted(rng.permutation(len(rest))[: max(most - len(near), 0)].tolist())
    return [*near, *(rest[i] for i in chosen)]


def _distance(data: PerturbationData, pair: _Pair, rng: np.random.Generator) -> Affinity | str:
    """The squared distance of two conditions in a context, or why it cannot be told."""
    first, second = (data.samples(data.conditions.index(name)) for name in pair)
    fewest = min(len(first), len(second))
    if fewest < _MIN_CELLS:
        return f"fewer than {_MIN_CELLS} cells"
    result = affinity(first.astype(np.float64), second.astype(np.float64), rng)
    if fewest * np.exp(-result.square / 4) < _MIN_EFFECTIVE:
        return "conditions too far apart to overlap"
    return result


def _greatest(gaps: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """(…, P, C, C) standardised differences between contexts; 0 where one lacks the distance."""
    spread = np.sqrt(errors[:, :, None] ** 2 + errors[:, None, :] ** 2)
    return np.nan_to_num(np.abs(gaps[..., :, None] - gaps[..., None, :]) / np.where(spread > 0, spread, np.inf))


def _draws(
    measured: Mapping[_Pair, Mapping[str, Affinity]],
    data: Mapping[str, PerturbationData],
    n_draws: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """(n_draws, P, C) errors of the distances, cells with random signs; one sign a cell in all pairs it is part of.

    What fits do to a distance is drawn for each by itself.
    """
    errors = np.full((n_draws, len(measured), len(data)), np.nan)
    for c, (context, part) in enumerate(data.items()):
        signs = {
            name: rng.choice([-1.0, 1.0], (n_draws, int(n))) / n
            for name, n in zip(part.conditions, part.counts, strict=True)
        }
        for p, (pair, told) in enumerate(measured.items()):
            if context in told:
                result = told[context]
                errors[:, p, c] = signs[pair[0]] @ result.first + signs[pair[1]] @ result.second
                errors[:, p, c] += result.unsure * rng.normal(size=n_draws)
    return errors


def _record(
    contexts: tuple[str, ...],
    measured: Mapping[_Pair, Mapping[str, Affinity]],
    skipped: Mapping[_Pair, str],
    draws: np.ndarray,
) -> SharedEffectsTest:
    squares, errors = np.full((2, len(measured), len(contexts)), np.nan)
    for p, told in enumerate(measured.values()):
        for context, result in told.items():
            c = contexts.index(context)
            squares[p, c], errors[p, c] = result.square, result.standard_error
    gaps = _greatest(squares, errors)
    null = np.array([_greatest(draw, errors).max() for draw in draws])
    worst = np.unravel_index(int(gaps.argmax()), gaps.shape)
    p_value = (1 + int((null >= gaps.max()).sum())) / (len(draws) + 1)
    return SharedEffectsTest(
        contexts,
        tuple(measured),
        squares,
        errors,
        p_value,
        (int(worst[0]), int(worst[1]), int(worst[2])),
        skipped,
    )
