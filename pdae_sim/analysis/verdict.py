"""Three verdicts on an unseen perturbation: identified and supported; identified, off support; not identified."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import at_least, matrix, positive
from pdae_sim.analysis.span import SpanCertificate, check_span
from pdae_sim.analysis.support import ShiftError, Support, supports
from pdae_sim.errors import InputError
from pdae_sim.intervals import Interval
from pdae_sim.verdicts import MIN_EFFECTIVE_CELLS, NO_GUARANTEE, in_words


@dataclass(frozen=True, eq=False)
class Verdict:
    """What can be said of one unseen perturbation before any sample of it is seen.

    Args:
        certificate: Whether its shift is identified, and why.
        supported: Whether training cells cover it; None if unknown (no W given) or not identified.
        effective_cells: Σ_e n_e exp(−δ_e²); None if unknown.
        distances: (E,) δ_e = ‖W (l − l_e)‖, in standard deviations of the base latent; None if unknown.
        support: Both, environment by environment, with intervals where W is an estimate; None if unknown.
        standard_error: Standard error of the shift from the reference that the certificate's α combines, per latent
            coordinate, at the cells given: √(Σ_e α_e² / n_e + (Σ_e α_e)² / n_0), times √(tr J⁻¹ / d_Z) where cells
            are noisy; None without cells or if not identified.
        least_standard_error: Standard error of the minimum-variance combination (GLS), which a fitted Ŵ has.
        threshold: Effective cells from which a label counts as supported.
        guaranteed: Whether a label in the span is identified in the model class at hand, which it is not where the
            noise of cells may have any law.

    Example:
        >>> (verdict,) = judge([[0, 0], [1, 0]], [[2, 0]], counts=[100, 100])
        >>> verdict.name, verdict.to_json(["ctrl", "A"], ["A", "B"])["coefficients"]
        ('identified', {'A': 2.0})
    """

    certificate: SpanCertificate
    supported: bool | None
    effective_cells: float | None
    distances: np.ndarray | None
    support: Support | None = None
    standard_error: float | None = None
    least_standard_error: float | None = None
    threshold: float = MIN_EFFECTIVE_CELLS
    guaranteed: bool = True

    @property
    def name(self) -> str:
        """The verdict in words; ``identified`` where support is unknown."""
        if self.certificate.identified and not self.guaranteed:
            return NO_GUARANTEE
        return in_words(self.certificate.identified, self.supported)

    @property
    def interval(self) -> Interval | None:
        """Interval of the effective cells; None where W has no stated error."""
        return None if self.support is None else self.support.interval

    @property
    def sure(self) -> bool | None:
        """Whether the interval of the effective cells lies on one side of the threshold; None where there is none."""
        return None if self.interval is None else not self.interval.low < self.threshold <= self.interval.high

    @cached_property
    def least_standard_error_interval(self) -> Interval | None:
        """Interval of `least_standard_error` along a direction of the latents at hand, which an estimate whitened."""
        if self.support is None or self.support.error is None or self.least_standard_error is None:
            return None
        support, error = self.support, self.support.error
        return error.standard_error_interval(self.least_standard_error, support.n_latents, level=support.level)

    def to_json(self, train: Sequence[str] | None = None, names: Sequence[str] | None = None) -> dict[str, object]:
        """The certificate and all that is known beside it, as plain values.

        Args:
            train: The E training conditions; their numbers if None.
            names: The K perturbations; their numbers if None.
        """
        return {
            "supported": self.supported,
            **self.certificate.to_json(train, names),
            "standard_error": self.standard_error,
            "least_standard_error": self.least_standard_error,
            "least_standard_error_interval": self.least_standard_error_interval,
            "effective_cells": self.effective_cells,
            "effective_cells_interval": self.interval,
            "threshold": self.threshold,
            "sure": self.sure,
            "guaranteed": self.guaranteed and self.certificate.identified,
            "nearest": None if self.support is None else self._nearest(self.support, train),
            "verdict": self.name,
        }

    @staticmethod
    def _nearest(support: Support, train: Sequence[str] | None) -> dict[str, object]:
        e = support.nearest
        return {
            "condition": str(e) if train is None else train[e],
            "distance": float(support.distances[e]),
            "interval": None if support.error is None else Interval(*support.distance_intervals[e].tolist()),
        }


@checked_numbers
def judge(
    train_labels: Sequence | np.ndarray,
    test_labels: Sequence | np.ndarray,
    *,
    counts: Sequence[int] | np.ndarray | None = None,
    perturbation_matrix: np.ndarray | None = None,
    min_effective_cells: float = MIN_EFFECTIVE_CELLS,
    certificates: Sequence[SpanCertificate] | None = None,
    error: ShiftError | None = None,
    guaranteed: bool = True,
    information: np.ndarray | None = None,
) -> list[Verdict]:
    """Judge each test label: is its shift identified, and do training cells cover it?

    Args:
        train_labels: (E, K).
        test_labels: (T, K).
        counts: (E,) cells of each training environment; needed with `perturbation_matrix`.
        perturbation_matrix: W or an estimate of it (d_Z, K) in the isotropic form; without it support is unknown.
        min_effective_cells: Support threshold.
        certificates: Certificates of the test labels, where they were asked for in another way than `check_span` does.
        error: The sampling error of an estimate, for intervals and for distances less their bias; None takes
            `perturbation_matrix` as it is.
        guaranteed: False if the model class lets the noise of cells have any law, as a decoder with noise of its own
            does: then a label in the span settles nothing (theory, claim 2.11c).
        information: J (d_Z, d_Z), what a noisy cell tells of a shift beside one whose z is seen; that of `error` if
            None. Eigenvalues below 0.001 count as 0.001.

    Returns:
        One verdict per test label.

    Raises:
        InputError: If shapes disagree or counts are missing where they are needed.

    References:
        Theory, claim 2.9: the effective sample size of importance sampling from environment e is n_e exp(−δ_e²); claim
        2.10 for the standard error.

    Example:
        >>> train, W = [[0, 0, 0], [1, 0, 0], [0, 1, 0]], np.array([[1.5, 0, 1], [0, 1.5, 1]])
        >>> verdicts = judge(train, [[1, 1, 0], [3, 3, 0], [1, 0, 1]], counts=[4096] * 3, perturbation_matrix=W)
        >>> [v.name for v in verdicts]
        ['identified and supported', 'identified, off support', 'not identified']
        >>> bool(np.isclose(verdicts[0].standard_error, np.sqrt(6 / 4096)))
        True
        >>> (noisy,) = judge(train, [[1, 1, 0]], counts=[4096] * 3, information=np.diag([0.25, 0.25]))
        >>> bool(np.isclose(noisy.standard_error, np.sqrt(6 / 1024)))
        True
    """
    if information is not None and error is not None:
        error = replace(error, information=information)
    min_effective_cells = at_least("min_effective_cells", min_effective_cells, 0.0)
    if information is not None and perturbation_matrix is not None:
        matrix("information", information, columns=len(np.asarray(perturbation_matrix)))
    spans = check_span(train_labels, test_labels) if certificates is None else list(certificates)
    if len(spans) != len(test_labels):
        raise InputError(f"certificates must be one per test label ({len(test_labels)}); received {len(spans)}")
    if counts is None:
        if perturbation_matrix is not None:
            raise InputError("counts must give the cells of every training environment beside perturbation_matrix")
        return [Verdict(certificate, None, None, None, guaranteed=guaranteed) for certificate in spans]
    n = positive("counts", counts, len(train_labels))
    train, test = np.asarray(train_labels, dtype=np.float64), np.asarray(test_labels, dtype=np.float64)
    inside = np.array([certificate.identified for certificate in spans], dtype=bool)
    covers = iter(_covers(train, test[inside], n, perturbation_matrix, error))
    sampling = ShiftError.of(train, n, degrees=np.inf, information=information) if error is None else error
    errors = iter(_standard_errors([c for c in spans if c.identified], n, train, test[inside], sampling, error is None))
    judged = [
        _verdict(c, next(covers), next(errors), min_effective_cells) if c.identified else Verdict(c, None, None, None)
        for c in spans
    ]
    return [replace(verdict, guaranteed=guaranteed) for verdict in judged]


def _standard_errors(
    certificates: Sequence[SpanCertificate],
    n: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    error: ShiftError,
    at_hand: bool,
) -> np.ndarray:
    """(T, 2) of the shift: by the certificate's α at these cells, and by GLS at the cells Ŵ was fitted to.

    With the error of the cells at hand no α is better than GLS.
    """
    if not certificates:
        return np.empty((0, 2))
    alpha, reference = np.array([c.coefficients for c in certificates]), certificates[0].reference
    own = (alpha**2 / n).sum(axis=1) + alpha.sum(axis=1) ** 2 / n[reference]
    least = error.variances(test - train[reference])
    return np.sqrt(error.inflation * np.column_stack([own, np.minimum(least, own) if at_hand else least]))


def _covers(
    train: np.ndarray, test: np.ndarray, n: np.ndarray, W: np.ndarray | None, error: ShiftError | None
) -> Sequence[Support | None]:
    if W is None or not len(test):
        return [None] * len(test)
    return supports(train, test, counts=n, perturbation_matrix=W, error=error)


def _verdict(certificate: SpanCertificate, support: Support | None, errors: np.ndarray, threshold: float) -> Verdict:
    own, least = errors.tolist()
    if support is None:
        return Verdict(certificate, None, None, None, None, own, least, threshold)
    cells = support.effective_cells
    return Verdict(certificate, cells >= threshold, cells, support.distances, support, own, least, threshold)
