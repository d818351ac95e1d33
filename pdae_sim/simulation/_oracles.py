"""True verdicts in a world that is known: an unseen label is in the span or not, supported or not.

Written apart from `pdae_sim.analysis`, which must reach the same verdicts from less.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from pdae_sim._linalg import in_row_span
from pdae_sim.simulation._mechanisms import Mechanisms
from pdae_sim.simulation.assumptions import Assumptions
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.laws import Gaussian, Law
from pdae_sim.verdicts import MIN_EFFECTIVE_CELLS, NO_GUARANTEE, in_words


@dataclass(frozen=True, eq=False)
class TrueVerdict:
    """The truth about one unseen label.

    Support is that of the latents: where x is no injective function of them, cells overlap more than their latents do.

    Args:
        in_span: Whether l − l_0 lies in the span of the training shifts, by exact arithmetic.
        guaranteed: Whether that settles P(x | l): in the span, in a world where claim 2.4 of the theory applies.
        effective_cells: Σ_e n_e / (1 + χ²(P_l ‖ P_e)), which is Σ_e n_e exp(−δ_e²) for Gaussian shifts (theory, claim
            2.9): what each environment is worth by itself, added up, and no more than what they are worth pooled; None
            where it is not known.
        supported: Whether that reaches `MIN_EFFECTIVE_CELLS`; None if not in the span or unknown.
        recovery: Why it is guaranteed although cells are measured with noise; empty without noise or guarantee.

    Example:
        >>> TrueVerdict(in_span=True, guaranteed=True, effective_cells=3.0, supported=False).name
        'identified, off support'
    """

    in_span: bool
    guaranteed: bool
    effective_cells: float | None
    supported: bool | None
    recovery: str = ""

    @property
    def name(self) -> str:
        """The verdict in words; where the assumptions fail, that a label in the span settles nothing."""
        return NO_GUARANTEE if self.in_span and not self.guaranteed else in_words(self.in_span, self.supported)


def true_verdicts(
    latent: LinearLatentModel,
    train: np.ndarray,
    test: np.ndarray,
    counts: Sequence[int],
    assumptions: Assumptions,
    recovery: str = "",
) -> list[TrueVerdict]:
    """The truth about each test label.

    Args:
        latent: The latent model of the world.
        train: (E, K) training labels, floats or Fractions.
        test: (T, K) labels to judge.
        counts: (E,) training cells.
        assumptions: Those of the world.
        recovery: Why the laws of x determine those of f(z) despite noise.
    """
    known, guaranteed = in_span(train, test), assumptions.extrapolation
    sources = [latent.mechanisms(row) for row in np.asarray(train, dtype=np.float64)]
    verdicts = []
    for inside, label in zip(known, np.asarray(test, dtype=np.float64), strict=True):
        cells = effective_cells(latent.noise, latent.mechanisms(label), sources, counts)
        supported = None if cells is None or not inside else cells >= MIN_EFFECTIVE_CELLS
        settled = inside and guaranteed
        verdicts.append(TrueVerdict(inside, settled, cells, supported, recovery if settled else ""))
    return verdicts


def in_span(train: np.ndarray, test: np.ndarray) -> list[bool]:
    """Whether each test label lies in the affine hull of the training labels, over the rationals.

    Floats are read as the shortest decimals that print them.
    """
    origin, *rest = _rationals(train)
    return in_row_span(_differences(rest, origin), _differences(_rationals(test), origin))


def effective_cells(law: Law, target: Mechanisms, sources: Sequence[Mechanisms], counts: Sequence[int]) -> float | None:
    """Σ_e n_e / (1 + χ²(target ‖ source_e)); None where one of them is not known."""
    cells = 0.0
    for source, count in zip(sources, counts, strict=True):
        kept = overlap(law, target, source)
        if kept is None:
            return None
        cells += count * kept
    return cells


def overlap(law: Law, target: Mechanisms, source: Mechanisms) -> float | None:
    """1 / (1 + χ²(target ‖ source)): the fraction of source cells that importance sampling keeps.

    Between mechanisms that differ by a shift alone it is a product over the independent noises, exp(−‖Δ / scale‖²) for
    Gaussian ones; between other Gaussian mechanisms it has a closed form too; it is 0 where one of them leaves a latent
    without noise and the other does not. None where both do, or a law that is not Gaussian changes more than its place.
    """
    still = target.scale == 0, source.scale == 0
    if still[0].any() or still[1].any():
        return None if np.array_equal(*still) else 0.0
    if target.differs_by_a_shift(source):
        moves = (target.shift - source.shift) / target.scale
        return float(np.prod([law.overlap(float(move)) for move in moves]))
    return _gaussian_overlap(target, source) if isinstance(law, Gaussian) else None


def _gaussian_overlap(target: Mechanisms, source: Mechanisms) -> float:
    """∫ p²/q = |P| |R|^{−½} |Q|^{−½} exp(½ δᵀ(R + R Q⁻¹ R) δ), P and R the precisions of p and q, Q = 2 P − R."""
    P, R = np.linalg.inv(target.covariance), np.linalg.inv(source.covariance)
    Q, delta = 2 * P - R, target.mean - source.mean
    if np.linalg.eigvalsh(Q)[0] <= 0:
        return 0.0
    logs = [np.linalg.slogdet(M)[1] for M in (P, R, Q)]
    exponent = delta @ (R + R @ np.linalg.solve(Q, R)) @ delta
    return float(np.exp(-(logs[0] - logs[1] / 2 - logs[2] / 2 + exponent / 2)))


def _rationals(labels: np.ndarray) -> list[list[Fraction]]:
    return [[d if isinstance(d, Fraction) else Fraction(Decimal(repr(float(d)))) for d in row] for row in labels]


def _differences(rows: list[list[Fraction]], origin: list[Fraction]) -> list[list[Fraction]]:
    return [[a - b for a, b in zip(row, origin, strict=True)] for row in rows]
