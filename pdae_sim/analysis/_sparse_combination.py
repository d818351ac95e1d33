"""The combination of fewest training conditions: an exhaustive search where that is short, else a linear programme."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations
from math import comb

import numpy as np

from pdae_sim._linalg import integer_product, residues, row_echelon

SEARCHED = "fewest conditions, by exhaustive search"
PROGRAMMED = "few conditions, by linear programme; not proved fewest"
_MAX_NODES = 5_000
"""Contractions that the exhaustive search of one label may take; at 300 conditions it reaches combinations of three."""

_P = 2**31 - 1
_WIDTH = 4  # random coordinates beyond those that a search contracts away; fewer cost false alarms, never misses


def sparse_combination(B: np.ndarray, x: np.ndarray, costs: np.ndarray) -> tuple[list[Fraction] | None, str]:
    """Weights w with Σ_e w_e B_e = x and the fewest that are not zero; of these the least Σ_e costs_e w_e².

    Args:
        B: (M, r) integers, one row per condition; x must be in their span.
        x: (r,) integers.
        costs: (M,) positive.

    Returns:
        The M weights, None where rounding spoilt the linear programme, and `SEARCHED` or `PROGRAMMED`.

    References:
        Chen, Donoho, Saunders (1998), Atomic decomposition by basis pursuit, for the linear programme.

    Example:
        >>> B = np.array([[0, 0, 1], [1, 0, 1], [0, 1, 1], [1, 1, 1]])
        >>> weights, _ = sparse_combination(B, np.array([1, 1, 1]), np.ones(4))
        >>> [str(w) for w in weights]
        ['0', '0', '0', '1']
    """
    n_nodes = 0
    for size in range(1, len(B) + 1):
        n_nodes += comb(len(B), max(size - 2, 0))
        if n_nodes > _MAX_NODES:
            return _programme(B, x), PROGRAMMED
        candidates = [w for support in _dependent(B, x, size) if (w := _weights(B, x, support)) is not None]
        if candidates:
            return min(candidates, key=lambda w: float(costs @ np.array(w, dtype=np.float64) ** 2)), SEARCHED
    raise AssertionError("unreachable: x is in the span of all rows")


def _weights(B: np.ndarray, x: np.ndarray, support: tuple[int, ...]) -> list[Fraction] | None:
    """The weights on a support, exactly; None if x is not a combination of it or not in one way only."""
    pivots, rows, denominator = row_echelon(np.column_stack([B[list(support)].T, x]))
    if pivots.tolist() != list(range(len(support))):  # dependent on one another, or x in the span of fewer or of none
        return None
    weights = [Fraction(0)] * len(B)
    for e, row in zip(support, rows, strict=True):
        weights[e] = Fraction(int(row[-1]), denominator)
    return weights


def _dependent(B: np.ndarray, x: np.ndarray, size: int) -> Iterator[tuple[int, ...]]:
    """Every set of `size` rows that is dependent once x is contracted away, and now and then another.

    A set whose span holds x is such a set. Contraction is done modulo a prime in few random coordinates: both keep
    every dependence. The last two rows are found at once, as rows that have become parallel.
    """
    rng = np.random.default_rng(0)
    directions = rng.integers(0, _P, (B.shape[1], size + _WIDTH))
    Z, z = (residues(integer_product(residues(rows, _P), directions), _P) for rows in (B, x[None]))
    Z = _contracted(Z, z[0])
    if size == 1:
        yield from ((int(e),) for e in np.flatnonzero(~Z.any(axis=1)))
        return
    for chosen in combinations(range(len(Z)), size - 2):
        rest = Z[(chosen[-1] + 1) if chosen else 0 :]
        yield from ((*chosen, *pair) for pair in _parallel(_without(Z, rest, chosen), len(Z) - len(rest)))


def _without(Z: np.ndarray, rest: np.ndarray, chosen: tuple[int, ...]) -> np.ndarray:
    """The rest with the chosen rows of Z contracted away, one after another."""
    held = Z[list(chosen)]
    for index in range(len(chosen)):
        rest, held = _contracted(rest, held[index]), _contracted(held, held[index])
    return rest


def _contracted(Z: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Z modulo the line of v."""
    nonzero = np.flatnonzero(v)
    if not nonzero.size:
        return Z
    j = int(nonzero[0])
    unit = v * pow(int(v[j]), -1, _P) % _P
    return (Z - Z[:, j, None] * unit) % _P


def _parallel(Z: np.ndarray, offset: int) -> Iterator[tuple[int, int]]:
    """Pairs of rows that are multiples of one vector, numbered from `offset`."""
    lead = np.argmax((Z != 0).any(axis=0)) if Z.size else 0
    if len(Z) < 2:
        return
    ratio = Z * _inverses(Z[:, lead])[:, None] % _P
    order = np.lexsort(ratio.T)
    same = (ratio[order[1:]] == ratio[order[:-1]]).all(axis=1)
    for group in np.split(order, np.flatnonzero(~same) + 1):
        yield from ((int(a) + offset, int(b) + offset) for a, b in combinations(sorted(group), 2))


def _inverses(values: np.ndarray) -> np.ndarray:
    """Inverses modulo the prime by Fermat's little theorem; 0 for 0."""
    result, power, exponent = np.ones_like(values), values, _P - 2
    while exponent:
        result = result * power % _P if exponent & 1 else result
        power, exponent = power * power % _P, exponent >> 1
    return result


def _programme(B: np.ndarray, x: np.ndarray) -> list[Fraction] | None:
    """Exact weights on the support of least Σ |w_e|; None where rounding spoilt the support."""
    from scipy.optimize import linprog

    size = np.abs(B).max(axis=0).astype(np.float64)
    A, b = (B / size).astype(np.float64).T, (x / size).astype(np.float64)
    solved = linprog(np.ones(2 * len(B)), A_eq=np.hstack([A, -A]), b_eq=b, method="highs-ds")
    if solved.x is None:
        return None
    w = np.abs(solved.x[: len(B)] - solved.x[len(B) :])
    return _weights(B, x, tuple(np.flatnonzero(w > 1e-9 * w.max()).tolist()))
