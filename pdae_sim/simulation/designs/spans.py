"""Designs whose rank, and whose test labels' place inside or outside the span, are planted."""

from __future__ import annotations

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import size, whole
from pdae_sim._random import SeedLike
from pdae_sim.errors import InputError
from pdae_sim.simulation.designs._rows import FINEST, distinct_rows, with_control
from pdae_sim.simulation.designs.design import Design


@checked_numbers
def planted(
    n_perturbations: int,
    n_environments: int,
    *,
    rank: int,
    n_in_span: int = 1,
    n_out_of_span: int = 1,
    rng: SeedLike = None,
) -> Design:
    """Training labels of exactly a given rank, and test labels whose place inside or outside their span is planted.

    Training labels are the rows of C B with B = [I_r, R] up to the order of columns and C with a unit triangular block
    in its rows, so their rank is r. Every c B with integer c is an integer combination of them (one dyadic unit scales
    all labels). N = [−R; I] has B N = 0 and [0, h] N = h, so c B + [0, h] is outside the span for every h ≠ 0.

    Args:
        n_perturbations: K.
        n_environments: Training environments beside the control.
        rank: r ≤ min(K, n_environments).
        n_in_span: Test labels inside the span; they come first.
        n_out_of_span: Test labels outside; needs rank < K.
        rng: Seed or generator.

    Raises:
        InputError: If no such design exists, or only with doses too fine for exact reading.

    Example:
        >>> design = planted(4, 6, rank=2, rng=0)
        >>> int(np.linalg.matrix_rank(design.train)) == 2 and design.planted.tolist() == [True, False]
        True
    """
    K, M = size("n_perturbations", n_perturbations), size("n_environments", n_environments, at_least=0)
    r, n_in = whole("rank", rank, at_least=0), whole("n_in_span", n_in_span, at_least=0)
    n_out = whole("n_out_of_span", n_out_of_span, at_least=0)
    if r > min(K, M):
        raise InputError(f"rank must be at most min(n_perturbations, n_environments) = {min(K, M)}; received {r}")
    if not r and M + n_in:
        raise InputError("rank 0 leaves the control alone: n_environments and n_in_span must be 0")
    if n_out and r == K:
        raise InputError(f"rank must be below n_perturbations = {K} for labels out of the span; received {r}")
    rng = _random.stream(_random.seed_sequence(rng), "planted")
    bound = _bound(r, K, M + n_in, n_out)
    C = _coefficients(r, M, n_in, bound, rng)
    R = _sparse_signs(r, K - r, rng)
    rows = np.vstack([C @ np.hstack([np.eye(r), R]), _outside(R, n_out, bound, rng)])[:, rng.permutation(K)]
    rows /= 2.0 ** (bound - 1).bit_length()
    return Design(with_control(rows[:M]), rows[M:], np.arange(n_in + n_out) < n_in, rank)


def _bound(r: int, K: int, n_rows: int, n_out: int) -> int:
    """The least b such that rows with entries in −b … b are at least twice as many as needed."""
    for bound in range(1, 2**FINEST + 1):
        inside, beyond = (2 * bound + 1) ** r, (2 * bound + 1) ** (K - r) - 1
        if inside > 2 * n_rows and inside * beyond >= 2 * n_out:
            return bound
    raise InputError(f"rank {r} has too few different labels at doses in steps of 2^-{FINEST}; ask for fewer labels")


def _coefficients(r: int, M: int, n_in: int, bound: int, rng: np.random.Generator) -> np.ndarray:
    """C (M + n_in, r): different non-zero integer rows, a unit triangular block among the first M."""
    lead = np.tril(rng.integers(-bound, bound + 1, (r, r)), -1) + np.eye(r, dtype=np.int64)
    taken = [np.zeros(r, dtype=np.int64), *lead]
    rest = distinct_rows(lambda: rng.integers(-bound, bound + 1, r), M + n_in - r, taken)
    C = np.array([*lead, *rest], dtype=np.float64).reshape(M + n_in, r)
    return C[np.concatenate([rng.permutation(M), np.arange(M, M + n_in)])]


def _sparse_signs(r: int, q: int, rng: np.random.Generator) -> np.ndarray:
    """R (r, q): one or two entries ±1 a column, so that labels stay small."""
    R = np.zeros((r, q))
    if r:
        for _ in range(2):
            R[rng.integers(r, size=q), np.arange(q)] = rng.choice([-1.0, 1.0], q)
    return R


def _outside(R: np.ndarray, n: int, bound: int, rng: np.random.Generator) -> np.ndarray:
    """(n, K) rows c [I, R] + [0, h], h ≠ 0, all different."""
    r, K = len(R), sum(R.shape)
    rows = np.array(distinct_rows(lambda: _with_step(r, K, bound, rng), n), dtype=np.float64).reshape(n, K)
    rows[:, r:] += rows[:, :r] @ R
    return rows


def _with_step(r: int, K: int, bound: int, rng: np.random.Generator) -> np.ndarray:
    """(c, h) with integer entries, h ≠ 0: one of its entries is drawn among the non-zero ones."""
    row = rng.integers(-bound, bound + 1, K)
    row[rng.integers(r, K)] = rng.choice([-1, 1]) * rng.integers(1, bound + 1)
    return row
