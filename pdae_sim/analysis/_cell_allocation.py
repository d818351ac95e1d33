"""How many cells per condition: claim 2.10 inverted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdae_sim._checks import between
from pdae_sim.errors import InputError


@dataclass(frozen=True, eq=False)
class CellAllocation:
    """Cells of every condition for a wanted precision.

    Args:
        cells: (M,) in all, those that exist among them.
        added: (M,) beyond those that exist.
        standard_error: What `cells` attain, per latent coordinate.
    """

    cells: np.ndarray
    added: np.ndarray
    standard_error: float


def allocate_cells(
    coefficients: Sequence[float] | np.ndarray,
    reference: int,
    *,
    standard_error: float,
    existing: Sequence[int] | None = None,
) -> CellAllocation:
    """The fewest further cells with which a predicted shift has a wanted standard error per latent coordinate.

    The shift from the reference has variance Σ_e c_e² / n_e with c_e = |α_e|, c_0 = |Σ_e α_e|. The least total for the
    variance s² is n_e = c_e (Σ c) / s²; with n_e ≥ m_e cells in hand it is n_e = max(m_e, λ c_e), λ in closed form for
    each set of conditions that need more. Rounded up.

    Args:
        coefficients: α (M,), zero at the reference, as a certificate has it.
        reference: Row of the reference.
        standard_error: s > 0, in standard deviations of the base latent.
        existing: (M,) m_e; none if not given.

    Raises:
        InputError: If an argument is out of its range.

    References:
        Claim 2.10; Neyman (1934) for the allocation.

    Example:
        >>> allocate_cells([0, 1, 1], 0, standard_error=0.1).cells.tolist() == [800, 400, 400]
        True
    """
    alpha = np.asarray(coefficients, dtype=np.float64)
    if alpha.ndim != 1 or not np.isfinite(alpha).all() or not 0 <= reference < len(alpha):
        raise InputError(f"coefficients must be finite, one per row, reference a row; received {coefficients!r}")
    s = between("standard_error", standard_error, 0.0, np.inf)
    m = np.zeros(len(alpha)) if existing is None else np.asarray(existing, dtype=np.float64)
    if m.shape != alpha.shape or not (np.isfinite(m) & (m >= 0)).all():
        raise InputError(f"existing must be {len(alpha)} numbers of cells ≥ 0; received {existing!r}")
    c = np.abs(alpha)
    c[reference] = abs(alpha.sum() - alpha[reference])
    wanted = np.maximum(m, np.ceil(_multiplier(c, m, s**2) * c - 1e-9))
    cells = wanted.astype(np.int64)
    used = c > 0
    attained = float(np.sqrt((c[used] ** 2 / cells[used]).sum()))
    return CellAllocation(cells, cells - m.astype(np.int64), attained)


def _multiplier(c: np.ndarray, m: np.ndarray, variance: float) -> float:
    """λ with Σ_e c_e² / max(m_e, λ c_e) = variance; 0 if the cells in hand do."""
    c, m = c[c > 0], m[c > 0]
    order = np.argsort(m / c)  # those with the fewest cells for their weight need more first
    c, m = c[order], m[order]
    for short in range(len(c) + 1):
        left = variance - (c[short:] ** 2 / np.where(m[short:] > 0, m[short:], np.nan)).sum()
        if left >= 0 and short == 0:
            return 0.0
        if left > 0 and (short == len(c) or c[:short].sum() / left <= (m / c)[short]):
            return float(c[:short].sum() / left)
    raise AssertionError("unreachable: with every condition short of cells the whole variance is left")
