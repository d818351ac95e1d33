"""Deterministic transforms of a table, cell by cell, as analysts apply them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdae_sim._checks import between
from pdae_sim._random import Streams
from pdae_sim.errors import InputError


@dataclass(frozen=True)
class Log1p:
    """Logarithm x ↦ log(1 + x), entry by entry; one to one for x > −1.

    Example:
        >>> Log1p().breaks, LogNormalise().breaks
        ((), ('injective',))
    """

    random = False
    breaks = ()
    lost = 0
    recovery = ""

    def sample(self, clean: np.ndarray, *, streams: Streams) -> np.ndarray:
        return np.log1p(_above("log1p", clean, -1.0))


@dataclass(frozen=True)
class LogNormalise:
    """Library-size normalisation, log(1 + ·) of cells scaled to one total: scanpy's ``normalize_total`` and ``log1p``.

    Many to one: the cell's total is lost. A cell of zeros stays zero.

    Args:
        target: Total of every cell after scaling, > 0.

    Example:
        >>> streams = Streams(np.random.SeedSequence(0))
        >>> bool(np.isclose(np.expm1(LogNormalise(100.0).sample(np.array([[1.0, 4.0]]), streams=streams)).sum(), 100))
        True
    """

    target: float = 1e4

    random = False
    breaks = ("injective",)
    lost = 1
    recovery = ""

    def __post_init__(self) -> None:
        between("target", self.target, 0.0, np.inf)

    def sample(self, clean: np.ndarray, *, streams: Streams) -> np.ndarray:
        """The transform (n, d_X) of a table (n, d_X) with entries ≥ 0."""
        clean = _above("log_normalise", clean, 0.0, strict=False)
        with np.errstate(over="ignore"):
            total = clean.sum(axis=1, keepdims=True)
        if not np.isfinite(total).all():
            raise InputError("log_normalise needs finite totals; a cell's total overflows")
        scaled = clean / np.where(total == 0, 1.0, total)
        scaled *= self.target
        return np.log1p(scaled, out=scaled)


@dataclass(frozen=True)
class CentredLogRatio:
    """Centred log-ratio: log(x + pseudocount) less its mean over the features of the cell.

    Many to one: (x + pseudocount) and any multiple of it become the same.

    Args:
        pseudocount: Added to every entry, ≥ 0 and such that all sums are positive.

    References:
        Aitchison, The statistical analysis of compositional data (1982).

    Example:
        >>> streams = Streams(np.random.SeedSequence(0))
        >>> bool(np.isclose(CentredLogRatio().sample(np.array([[1.0, 4.0]]), streams=streams).sum(), 0))
        True
    """

    pseudocount: float = 1.0

    random = False
    breaks = ("injective",)
    lost = 1
    recovery = ""

    def __post_init__(self) -> None:
        if self.pseudocount != 0:
            between("pseudocount", self.pseudocount, 0.0, np.inf)

    def sample(self, clean: np.ndarray, *, streams: Streams) -> np.ndarray:
        """The transform (n, d_X) of a table (n, d_X) with entries > −pseudocount."""
        ratio = _above("clr", clean, -self.pseudocount) + self.pseudocount
        np.log(ratio, out=ratio)
        ratio -= ratio.mean(axis=1, keepdims=True)
        return ratio


def _above(kind: str, clean: np.ndarray, low: float, *, strict: bool = True) -> np.ndarray:
    clean = np.ascontiguousarray(clean, dtype=np.float64)
    least = clean.min(initial=np.inf)
    if not (least > low if strict else least >= low):
        raise InputError(f"{kind} needs values {'>' if strict else '≥'} {low:g}; received {least:g}")
    return clean
