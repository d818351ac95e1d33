"""Is an unseen perturbation in the span of the training shifts? A certificate either way.

With Δ_e = l_e − l_0 and L = [Δ_1 … Δ_M], the shift of a test label is identified if and only if Δ_t = L α for some α
(claims 2.4 and 2.6 of the model). The certificate is α; where there is none it is a witness v with vᵀ L = 0 and
vᵀ Δ_t = 1: W and W + u vᵀ then fit every training environment alike and differ by u at the test label.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
from scipy import linalg

from pdae_sim._checks import InputError
from pdae_sim._linalg import echelon

FLOAT_RTOL = 1e-9
"""Relative residual under which a float label counts as inside the span, after every column (perturbation) is divided
by its largest entry among the training shifts and the test shift, and every training shift by its norm."""

_DECIMAL_DIGITS = 12  # a float whose shortest text has at most this many significant digits is read as that decimal


@dataclass(frozen=True, eq=False)
class SpanCertificate:
    """The verdict on one test label with its evidence.

    Args:
        identified: Whether Δ_t lies in the span of the training shifts.
        coefficients: (n_train,) min-norm α with Σ_e α_e Δ_e = Δ_t, zero at the reference; None if not identified.
        witness: (K,) v with vᵀ Δ_e = 0 for every training row and vᵀ Δ_t = 1; None if identified.
        noise_gain: Σ_e α_e² + (1 − Σ_e α_e)², the variance of the predicted test mean per latent coordinate in units of
            1/n with n cells in every environment; infinite if not identified (claim 2.10).
        arithmetic: ``exact`` (rationals) or ``float`` (tolerance `FLOAT_RTOL`).
        reference: Row of the training labels that is l_0.
    """

    identified: bool
    coefficients: np.ndarray | None
    witness: np.ndarray | None
    noise_gain: float
    arithmetic: str
    reference: int

    def in_words(self, test: str, train: Sequence[str], names: Sequence[str]) -> str:
        """The certificate as a sentence, for instance ``A+B = A + B − ctrl``."""
        if self.identified:
            weights = self.coefficients.copy()
            weights[self.reference] = 1 - weights.sum()
            return f"{test} = {_combination(weights, train)}"
        blind = _combination(self.witness, names)
        return f"no training environment moves {blind} away from {train[self.reference]}; {test} does"


def check_span(
    train_labels: Sequence | np.ndarray,
    test_labels: Sequence | np.ndarray,
    reference: Sequence | np.ndarray | None = None,
) -> list[SpanCertificate]:
    """A certificate per test label.

    The answer is exact for ints, Fractions, Decimals and floats that are short decimals (0.1 is read as 1/10). Labels
    that hold other floats are judged with the relative tolerance `FLOAT_RTOL`.

    Args:
        train_labels: (n_train, K) labels of the training environments.
        test_labels: (n_test, K) labels to judge.
        reference: l_0 (K,), one of the training rows; the row of zeros where there is one, else the first row.

    Returns:
        One certificate per test row.

    Raises:
        InputError: If shapes disagree, a value is not a finite number or `reference` is not a training row.

    References:
        Claims 2.4 (sufficiency) and 2.6 (necessity).

    Example:
        >>> inside, outside = check_span([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[1, 1, 0], [1, 0, 1]])
        >>> inside.coefficients.tolist() == [0, 1, 1] and outside.witness.tolist() == [0, 0, 1]
        True
    """
    train, test = _table("train_labels", train_labels), _table("test_labels", test_labels)
    if len(train[0]) != (width := len(test[0]) if test else len(train[0])):
        raise InputError(f"test_labels must have {len(train[0])} columns, as train_labels; received {width}")
    position = _reference_row(train, reference)
    exact = [_rational_rows(rows) for rows in (train, test)]
    if all(rows is not None for rows in exact):
        return _exact_certificates(*exact, position)
    return _float_certificates(*(np.array(rows, dtype=np.float64) for rows in (train, test)), position)


def _table(name: str, labels) -> list[list]:
    rows = [list(row) for row in np.asarray(labels, dtype=object).reshape(len(labels), -1)] if len(labels) else []
    if name == "train_labels" and not rows:
        raise InputError("train_labels must have at least one row")
    if len({len(row) for row in rows}) > 1:
        raise InputError(f"{name} must have rows of one length")
    for i, row in enumerate(rows):
        for k, value in enumerate(row):
            if not isinstance(value, (numbers.Real, Decimal, np.bool_)) or not math.isfinite(value):
                raise InputError(f"{name} must hold finite numbers; row {i}, column {k} is {value!r}")
    return rows


def _reference_row(train: list[list], reference) -> int:
    if reference is None:
        return next((i for i, row in enumerate(train) if not any(row)), 0)
    wanted = [_comparable(value) for value in np.asarray(reference, dtype=object).ravel()]
    found = next((i for i, row in enumerate(train) if [_comparable(value) for value in row] == wanted), None)
    if found is None:
        raise InputError(f"reference must be one of the training rows; received {[str(v) for v in wanted]}")
    return found


def _rational_rows(rows: list[list]) -> list[list[Fraction]] | None:
    converted = [[_rational(value) for value in row] for row in rows]
    return None if any(value is None for row in converted for value in row) else converted


def _comparable(value: object) -> object:
    exact = _rational(value)
    return value if exact is None else exact


def _rational(value: object) -> Fraction | None:
    """The exact value; None for a float that is not a short decimal."""
    if isinstance(value, (Fraction, Decimal)):
        return Fraction(value)
    if isinstance(value, (numbers.Integral, np.bool_)):
        return Fraction(int(value))
    text = str(value) if isinstance(value, np.floating) else repr(float(value))
    digits = text.split("e")[0].replace(".", "").lstrip("-").strip("0")
    return Fraction(text) if len(digits) <= _DECIMAL_DIGITS else None


def _exact_certificates(train, test, reference: int) -> list[SpanCertificate]:
    """One elimination of [Lᵀ-columns | Δ_t …] decides all test labels."""
    shifts, wanted = _differences(train, train[reference]), _differences(test, train[reference])
    n, K = len(shifts), len(train[0])
    columns = [[row[k] for row in (*shifts, *wanted)] + [Fraction(int(k == j)) for j in range(K)] for k in range(K)]
    reduced, pivots = echelon(columns, n)
    beyond = reduced[len(pivots) :]  # rows whose training part vanished: vᵀ L = 0
    solver = _min_norm_solver(shifts, K) if pivots else lambda _: [Fraction(0)] * n
    certificates = []
    for t, shift in enumerate(wanted):
        blind = next((row for row in beyond if row[n + t]), None)
        if blind is None:
            certificates.append(_inside(solver(shift), reference, "exact"))
        else:
            v = [value / blind[n + t] for value in blind[n + len(wanted) :]]
            certificates.append(_outside(v, reference, "exact"))
    return certificates


def _min_norm_solver(shifts: list[list[Fraction]], K: int):
    """α = D_P (D_Pᵀ D_P)⁻¹ Δ[P] with D_P (n, r) independent columns of the table of shifts: exact and of least norm."""
    _, P = echelon(shifts, K)
    D = [[row[k] for k in P] for row in shifts]
    gram = [[sum(row[i] * row[j] for row in D) for j in range(len(P))] for i in range(len(P))]
    identity = [[Fraction(int(i == j)) for j in range(len(P))] for i in range(len(P))]
    inverse = [row[len(P) :] for row in echelon([g + e for g, e in zip(gram, identity, strict=True)], len(P))[0]]

    def solve(shift: list[Fraction]) -> list[Fraction]:
        y = [sum(a * shift[k] for a, k in zip(row, P, strict=True) if shift[k]) for row in inverse]
        return [sum(a * b for a, b in zip(row, y, strict=True) if a and b) for row in D]

    return solve


def _float_certificates(train: np.ndarray, test: np.ndarray, reference: int) -> list[SpanCertificate]:
    shifts, wanted = train - train[reference], test - train[reference]
    return [_float_certificate(shifts, shift, reference) for shift in wanted]


def _float_certificate(shifts: np.ndarray, shift: np.ndarray, reference: int) -> SpanCertificate:
    unit = np.abs(np.vstack([shifts, shift])).max(0)
    unit[unit == 0] = 1.0
    rows, target = shifts / unit, shift / unit
    norms = np.linalg.norm(rows, axis=1)
    directions = rows[norms > 0] / norms[norms > 0, None]
    basis = _row_basis(directions)
    residual = target - basis.T @ (basis @ target)
    residual = residual - basis.T @ (basis @ residual)
    if np.linalg.norm(residual) > FLOAT_RTOL * np.linalg.norm(target):
        v = residual / unit
        return _outside(v / (v @ shift), reference, "float")
    # Of least norm among the α with rowsᵀ α = target, in coordinates of the span already decided: no second rank cut.
    Q, R = linalg.qr(rows @ basis.T, mode="economic")
    return _inside(Q @ linalg.solve_triangular(R, basis @ target, trans="T"), reference, "float")


def _row_basis(directions: np.ndarray) -> np.ndarray:
    """Orthonormal rows that span the unit rows given, directions below the tolerance left out."""
    if not len(directions):
        return directions
    _, s, Vt = np.linalg.svd(directions, full_matrices=False)
    return Vt[s > FLOAT_RTOL * s[0]]


def _inside(alpha: Sequence, reference: int, arithmetic: str) -> SpanCertificate:
    rest = 1 - sum(alpha)
    gain = sum(a * a for a in alpha) + rest * rest
    return SpanCertificate(True, np.array([_float(a) for a in alpha]), None, _float(gain), arithmetic, reference)


def _float(value: Fraction | float) -> float:
    """The nearest float; infinite beyond their range."""
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _outside(v: Sequence, reference: int, arithmetic: str) -> SpanCertificate:
    return SpanCertificate(False, None, np.array([_float(a) for a in v]), math.inf, arithmetic, reference)


def _differences(rows, origin) -> list[list[Fraction]]:
    return [[a - b for a, b in zip(row, origin, strict=True)] for row in rows]


def _combination(weights: Sequence[float], names: Sequence[str]) -> str:
    """``A + 2 B − ctrl`` from weights and names; weights that are zero are left out."""
    terms = [(float(w), name) for w, name in zip(weights, names, strict=True) if abs(w) > 1e-12]
    terms.sort(key=lambda term: term[0] < 0)
    text = " ".join(
        f"{'−' if w < 0 else '+'} {'' if abs(abs(w) - 1) < 1e-12 else f'{abs(w):.4g} '}{name}" for w, name in terms
    )
    return text.removeprefix("+ ") or "0"
