"""Three verdicts on an unseen perturbation: identified and supported; identified, off support; not identified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pdae_sim._checks import InputError, matrix
from pdae_sim.analysis.span import SpanCertificate, check_span
from pdae_sim.verdicts import MIN_EFFECTIVE_CELLS, in_words


@dataclass(frozen=True, eq=False)
class Verdict:
    """What can be said of one unseen perturbation before any sample of it is seen.

    Args:
        certificate: Whether its shift is identified, and why.
        supported: Whether training cells cover it; None if unknown (no W given) or not identified.
        effective_cells: Σ_e n_e exp(−δ_e²); None if unknown.
        distances: (E,) δ_e = ‖W (l − l_e)‖, in standard deviations of the base latent; None if unknown.
    """

    certificate: SpanCertificate
    supported: bool | None
    effective_cells: float | None
    distances: np.ndarray | None

    @property
    def name(self) -> str:
        """The verdict in words; ``identified`` where support is unknown."""
        return in_words(self.certificate.identified, self.supported)


def judge(
    train_labels: np.ndarray,
    test_labels: np.ndarray,
    *,
    counts: Sequence[int] | None = None,
    perturbation_matrix: np.ndarray | None = None,
    min_effective_cells: float = MIN_EFFECTIVE_CELLS,
) -> list[Verdict]:
    """A verdict per test label.

    Args:
        train_labels: (E, K).
        test_labels: (T, K).
        counts: (E,) cells of each training environment; needed with `perturbation_matrix`.
        perturbation_matrix: W or an estimate of it (d_Z, K) in the isotropic form; without it support is unknown.
        min_effective_cells: Support threshold.

    References:
        Claim 2.9: the effective sample size of importance sampling from environment e is n_e exp(−δ_e²).
    """
    certificates = check_span(train_labels, test_labels)
    if perturbation_matrix is None:
        return [Verdict(certificate, None, None, None) for certificate in certificates]
    if counts is None or len(counts) != len(train_labels):
        raise InputError("counts must give the cells of every training environment when perturbation_matrix is given")
    W, n = matrix("perturbation_matrix", perturbation_matrix), np.asarray(counts, dtype=np.float64)
    train, test = np.asarray(train_labels, dtype=np.float64), np.asarray(test_labels, dtype=np.float64)
    distances = [np.linalg.norm((label - train) @ W.T, axis=1) for label in test]
    return [_verdict(c, delta, n, min_effective_cells) for c, delta in zip(certificates, distances, strict=True)]


def _verdict(certificate: SpanCertificate, delta: np.ndarray, n: np.ndarray, least: float) -> Verdict:
    if not certificate.identified:
        return Verdict(certificate, None, None, None)
    cells = float((n * np.exp(-(delta**2))).sum())
    return Verdict(certificate, cells >= least, cells, delta)
