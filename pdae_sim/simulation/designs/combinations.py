"""Designs by what is combined: singles, doubles, doses, grids. Row 0 of the training labels is the control."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, islice, product
from math import comb, log

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import finite, size, whole
from pdae_sim._random import SeedLike
from pdae_sim.errors import InputError
from pdae_sim.simulation.designs._rows import FINEST, distinct_rows, with_control
from pdae_sim.simulation.designs.design import Design

_MOST_ROWS = 1_000_000


@checked_numbers
def singles(n_perturbations: int) -> Design:
    """The control and each perturbation alone.

    Args:
        n_perturbations: K ≥ 1.

    Example:
        >>> singles(2).train.tolist()
        [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]
    """
    return Design(with_control(np.eye(size("n_perturbations", n_perturbations))))


@checked_numbers
def singles_and_doubles(
    n_perturbations: int,
    *,
    pairs: Sequence[Sequence[int]] | None = None,
    n_doubles: int | None = None,
    n_held_out: int = 0,
    taken: Sequence[Sequence[float]] | np.ndarray = (),
    rng: SeedLike = None,
) -> Design:
    """The control, all singles and some doubles, of which a random few are held out; those are in the span.

    Args:
        n_perturbations: K.
        pairs: The doubles as pairs of distinct indices 0 … K − 1; or
        n_doubles: how many different ones to draw.
        n_held_out: How many of the doubles become test labels.
        taken: (M, K) labels, held out elsewhere, that no drawn double may have.
        rng: Seed or generator.

    Example:
        >>> design = singles_and_doubles(4, n_doubles=3, n_held_out=1, rng=0)
        >>> len(design.train), int(design.test.sum()), design.planted.tolist()
        (7, 2, [True])
    """
    K = size("n_perturbations", n_perturbations)
    root = _random.seed_sequence(rng)
    if pairs is None and n_doubles is not None:
        pairs = _random_pairs(K, n_doubles, _labels_taken(taken, K), _random.stream(root, "pairs"))
    elif pairs is None or n_doubles is not None:
        raise InputError("give exactly one of pairs and n_doubles")
    doubles = np.array([_double(K, pair) for pair in pairs]).reshape(-1, K)
    if whole("n_held_out", n_held_out, at_least=0) > len(doubles):
        raise InputError(f"n_held_out must be at most the {len(doubles)} doubles; received {n_held_out}")
    out = np.zeros(len(doubles), dtype=bool)
    out[_random.stream(root, "held out").permutation(len(doubles))[:n_held_out]] = True
    return Design(with_control(np.eye(K), doubles[~out]), doubles[out], np.ones(n_held_out, dtype=bool))


@checked_numbers
def all_doubles(n_perturbations: int, *, n_held_out: int = 0, rng: SeedLike = None) -> Design:
    """The control, all singles and all K (K − 1) / 2 doubles; see `singles_and_doubles`.

    Example:
        >>> len(all_doubles(4).train) == 1 + 4 + 6
        True
    """
    pairs = list(combinations(range(size("n_perturbations", n_perturbations)), 2))
    return singles_and_doubles(n_perturbations, pairs=pairs, n_held_out=n_held_out, rng=rng)


@checked_numbers
def one_factor_at_a_time(n_perturbations: int, *, levels: Sequence[float]) -> Design:
    """The control and each perturbation alone at each of several doses.

    Args:
        n_perturbations: K.
        levels: Distinct doses, not 0.

    Example:
        >>> one_factor_at_a_time(1, levels=[0.5, 1.0]).train.tolist()
        [[0.0], [0.5], [1.0]]
    """
    eye = np.eye(size("n_perturbations", n_perturbations))
    return Design(with_control(*(level * eye for level in _levels(levels))))


@checked_numbers
def dose_grid(n_perturbations: int, *, levels: Sequence[float]) -> Design:
    """Every combination of the doses 0 and `levels`: the full factorial design.

    Args:
        n_perturbations: K.
        levels: Distinct doses, not 0.

    Example:
        >>> len(dose_grid(3, levels=[0.5, 1.0]).train) == 3**3
        True
    """
    K, levels = size("n_perturbations", n_perturbations), _levels(levels)
    if K * log(len(levels) + 1) > log(_MOST_ROWS):
        more = f"a grid of {len(levels) + 1} doses of {K} perturbations has more rows"
        raise InputError(f"{more}; the most is {_MOST_ROWS:,}, take fewer levels or perturbations")
    return Design(np.array(list(product([0.0, *levels], repeat=K))))


@checked_numbers
def random_doses(
    n_perturbations: int,
    n_environments: int,
    *,
    n_test: int = 0,
    per_environment: int | Sequence[int] = 2,
    low: float = 0.25,
    high: float = 2.0,
    step: float = 0.125,
    taken: Sequence[Sequence[float]] | np.ndarray = (),
    rng: SeedLike = None,
) -> Design:
    """The control and different random combinations, at doses that are random multiples of a power of two.

    Args:
        n_perturbations: K.
        n_environments: Training environments beside the control.
        n_test: Further combinations, held out; whether they are in the span is not planted.
        per_environment: Perturbations combined in an environment: one number, or the least and the most (each order
            equally likely).
        low: Least dose.
        high: Greatest dose.
        step: Doses are multiples of this power of two, 0 left out.
        taken: (M, K) labels, held out elsewhere, that no combination may have.
        rng: Seed or generator.

    Example:
        >>> random_doses(5, 8, per_environment=(1, 3), rng=0).train.shape
        (9, 5)
    """
    K, n = size("n_perturbations", n_perturbations), size("n_environments", n_environments, at_least=0)
    n += size("n_test", n_test, at_least=0)
    orders, doses = _orders(K, per_environment), _dyadic(low, high, step)
    gone = {
        tuple(row) for row in _labels_taken(taken, K) if np.count_nonzero(row) in orders and set(row) <= {0.0, *doses}
    }
    possible = sum(comb(K, order) * len(doses) ** order for order in orders) - len(gone)
    if n > possible:
        raise InputError(f"only {possible} different environments exist; received {n}: widen the doses or orders")
    rng = _random.stream(_random.seed_sequence(rng), "random doses")
    rows = np.array(distinct_rows(lambda: _combination(K, orders, doses, rng), n, gone)).reshape(n, K)
    return Design(with_control(rows[:n_environments]), rows[n_environments:])


def _labels_taken(taken: Sequence[Sequence[float]] | np.ndarray, K: int) -> np.ndarray:
    labels = finite("taken", np.array(taken, dtype=np.float64))
    if labels.size and labels.shape[1:] != (K,):
        raise InputError(f"taken must have shape (M, {K}); received {labels.shape}")
    return labels.reshape(-1, K)


def _random_pairs(K: int, n: int, taken: np.ndarray, rng: np.random.Generator) -> list[tuple[int, int]]:
    gone = {tuple(np.flatnonzero(row).tolist()) for row in taken if row.sum() == 2 and set(row) <= {0, 1}}
    possible = comb(K, 2) - len(gone)
    if whole("n_doubles", n, at_least=0) > possible:
        held_out = f" − {len(gone)} held out" if gone else ""
        raise InputError(f"n_doubles must be at most K (K − 1) / 2{held_out} = {possible}; received {n}")
    pairs = np.column_stack(np.triu_indices(K, 1)).tolist()
    drawn = (tuple(pairs[k]) for k in rng.permutation(len(pairs)))
    return list(islice((pair for pair in drawn if pair not in gone), n))


def _double(K: int, pair: Sequence[int]) -> np.ndarray:
    indices = [whole("an index of a pair", k, at_least=0) for k in pair]
    if len(set(indices)) != 2 or len(indices) != 2 or max(indices) >= K:
        raise InputError(f"pairs must hold two different indices below {K}; received {tuple(indices)}")
    return np.bincount(indices, minlength=K)


def _levels(levels: Sequence[float]) -> list[float]:
    doses: list[float] = finite("levels", np.array(levels, dtype=np.float64).ravel()).tolist()
    if not doses or 0.0 in doses or len(set(doses)) < len(doses):
        raise InputError(f"levels must be different doses, none of them 0; received {doses}")
    return doses


def _orders(K: int, per_environment: int | Sequence[int]) -> range:
    ends = list(per_environment) if isinstance(per_environment, Sequence) else [per_environment] * 2
    ends = [whole("per_environment", order) for order in ends]
    if len(ends) != 2 or not ends[0] <= ends[1] <= K:
        raise InputError(f"per_environment must be a number, or a least and a most, up to K = {K}; received {ends}")
    return range(ends[0], ends[1] + 1)


def _dyadic(low: float, high: float, step: float) -> np.ndarray:
    """The multiples of a power of two in [low, high] but 0."""
    if step not in [2.0**-m for m in range(FINEST + 1)]:
        raise InputError(f"step must be 2^-m with m = 0 … {FINEST}, so that doses are exact; received {step!r}")
    low, high = (float(finite(name, np.array(end, dtype=np.float64))) for name, end in (("low", low), ("high", high)))
    if abs(high - low) > _MOST_ROWS * step:
        raise InputError(f"low = {low} and high = {high} are over {_MOST_ROWS:,} steps apart; take a coarser step")
    doses = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    doses = doses[doses != 0]
    if not len(doses):
        raise InputError(f"no multiple of {step} but 0 lies between low = {low} and high = {high}")
    return doses


def _combination(K: int, orders: range, doses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    order = rng.integers(orders.start, orders.stop)
    label = np.zeros(K)
    label[rng.permutation(K)[:order]] = rng.choice(doses, order)
    return label
