"""How many cells each environment of a design gets."""

from __future__ import annotations

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import at_least, between, size, whole
from pdae_sim._random import SeedLike
from pdae_sim.errors import InputError


@checked_numbers
def cell_counts(
    n_environments: int,
    *,
    total: int,
    control_excess: float = 1.0,
    spread: float = 0.0,
    least: int = 1,
    rng: SeedLike = None,
) -> np.ndarray:
    """Cells per environment, control first: whole numbers that sum to `total`.

    The control gets control_excess · total / n_environments, rounded; the others share the rest in proportion
    to log-normal weights, lifted to `least` where they would get less.

    Args:
        n_environments: Environments, the control among them.
        total: Cells in all.
        control_excess: The control's cells in units of its fair share, > 0.
        spread: Standard deviation of the log weights of the other environments, ≥ 0.
        least: Every environment gets at least this many.
        rng: Seed or generator.

    Returns:
        (n_environments,) int64.

    Raises:
        InputError: If the numbers cannot be met.

    Example:
        >>> cell_counts(4, total=100, control_excess=2.0).tolist() == [50, 17, 17, 16]
        True
    """
    E, total = size("n_environments", n_environments), whole("total", total)
    between("control_excess", control_excess, 0.0, np.inf)
    least, others = whole("least", least, at_least=0), E - 1
    control = round(control_excess * total / E)
    rest = total - control
    if control < least or rest < least * others or (rest and not others):
        left = f"{control} for the control and {rest} for the other {others}"
        raise InputError(f"every environment must get at least {least}; total = {total} leaves {left}")
    rng = _random.stream(_random.seed_sequence(rng), "cells")
    return np.array([control, *_rounded(_lifted(_weights(others, spread, rng), rest, least), rest)], dtype=np.int64)


def _weights(n: int, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Log-normal weights, the greatest 1."""
    if at_least("spread", spread, 0.0) > 100:
        raise InputError(f"spread must be at most 100; received {spread!r}")
    exponent = spread * rng.standard_normal(n)
    return np.exp(exponent - exponent.max(initial=-np.inf)) if n else exponent


def _lifted(weights: np.ndarray, rest: int, least: int) -> np.ndarray:
    """Shares of `rest` in proportion to the weights, those below `least` lifted to it and the others lowered."""
    fixed = np.zeros(len(weights), dtype=bool)
    share = weights
    while not fixed.all():
        share = np.where(fixed, least, (rest - least * fixed.sum()) * weights / weights[~fixed].sum())
        if not (share < least).any():
            return share
        fixed |= share < least
    return np.full(len(weights), float(least))


def _rounded(share: np.ndarray, total: int) -> list[int]:
    """Whole numbers that sum to `total`, the largest remainders rounded up."""
    counts = np.floor(share).astype(np.int64)
    counts[np.argsort(counts - share, kind="stable")[: total - counts.sum()]] += 1
    return counts.tolist()
