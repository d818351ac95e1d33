"""Is an unseen perturbation in the span of the training shifts? A certificate either way.

With Δ_e = l_e − l_0 and L = [Δ_1 … Δ_M], the shift of a test label is identified if and only if Δ_t = L α for some α
(theory, claims 2.4 and 2.6). The certificate is α; where there is none it is a witness v with vᵀ L = 0 and vᵀ Δ_t = 1:
W and W + u vᵀ then fit every training environment alike and differ by u at the test label.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import between
from pdae_sim.analysis import _rationals as rationals
from pdae_sim.analysis._combinations import LEAST_GAIN, MIN_NORM, rule
from pdae_sim.analysis._exact import RowSpace, blocks
from pdae_sim.analysis._nearest import ratio
from pdae_sim.analysis._rationals import Shifts
from pdae_sim.analysis._span_tolerance import span_within_tolerance
from pdae_sim.errors import InputError

_BEYOND = "the coefficients of a label are beyond float64; give doses in units of similar size"
_FLOAT_RTOL = 1e-9  # tolerance of labels that are no exact numbers, where none is given
_TERMS = 12
"""Terms of a combination in words, at most."""


@dataclass(frozen=True, eq=False)
class SpanCertificate:
    """The verdict on one test label with its evidence.

    Args:
        identified: Whether Δ_t lies in the span of the training shifts.
        coefficients: (n_train,) α with Σ_e α_e Δ_e = Δ_t, zero at the reference; None if not identified.
        witness: (K,) v with vᵀ Δ_e = 0 for every training row and vᵀ Δ_t = 1; None if identified.
        noise_gain: Σ_e α_e² / n_e + (1 − Σ_e α_e)² / n_0, the variance of the predicted test mean per latent
            coordinate; in units of 1/n with n cells in every environment where no counts were given; infinite if not
            identified (theory, claim 2.10).
        arithmetic: ``exact`` (rationals) or ``float`` (to `tolerance`).
        reference: Row of the training labels that is l_0.
        method: Which α of the many it is, in words.
        residual: The part of Δ_t outside the span, relative to Δ_t, in the units of `tolerance`; 0 in exact arithmetic.
        tolerance: What the residual was held against; 0 in exact arithmetic.
        borderline: Whether a tolerance a decade larger or smaller would change the verdict; never in exact arithmetic.

    Example:
        >>> inside, outside = check_span([[0, 0], [1, 0]], [[2, 0], [1, 1]])
        >>> inside.in_words("A:2", ["ctrl", "A"], ["A", "B"])
        'A:2 = 2 A − ctrl'
        >>> outside.to_json(["ctrl", "A"], ["A", "B"])["witness"]
        {'B': 1.0}
    """

    identified: bool
    coefficients: np.ndarray | None
    witness: np.ndarray | None
    noise_gain: float
    arithmetic: str
    reference: int
    method: str = MIN_NORM
    residual: float = 0.0
    tolerance: float = 0.0
    borderline: bool = False

    @property
    def answer(self) -> str:
        """``identified``, ``not identified`` or ``borderline``."""
        if self.borderline:
            return "borderline"
        return "identified" if self.identified else "not identified"

    @property
    def margin(self) -> float:
        """log10(residual / tolerance), decades: negative inside, positive outside; ±inf in exact arithmetic."""
        if not self.tolerance or not self.residual:
            return -math.inf if self.identified else math.inf
        return math.log10(self.residual / self.tolerance)

    def in_words(self, test: str, train: Sequence[str], names: Sequence[str]) -> str:
        """The certificate as a sentence, for instance ``A+B = A + B − ctrl``.

        Args:
            test: The test condition.
            train: The n_train training conditions.
            names: The K perturbations.
        """
        near = f" (borderline: {self.residual:.1e} at tolerance {self.tolerance:.0e})" if self.borderline else ""
        if self.coefficients is not None:
            weights = self.coefficients.copy()
            weights[self.reference] = 1 - weights.sum()
            return f"{test} = {_combination(weights, train)}{near}"
        blind = _combination(np.zeros(0) if self.witness is None else self.witness, names)
        return f"no training environment moves {blind} away from {train[self.reference]}; {test} does{near}"

    def evidence(
        self, train: Sequence[str] | None = None, names: Sequence[str] | None = None
    ) -> dict[str, dict[str, float] | None]:
        """Coefficients by training condition and the witness by perturbation; what is zero is left out.

        Args:
            train: The n_train training conditions; their numbers if None.
            names: The K perturbations; their numbers if None.
        """
        return {
            "coefficients": {} if self.coefficients is None else _by_name(self.coefficients, train),
            "witness": None if self.witness is None else _by_name(self.witness, names),
        }

    def to_json(self, train: Sequence[str] | None = None, names: Sequence[str] | None = None) -> dict[str, object]:
        """All fields as plain values; see `evidence` for the arguments."""
        measured = self.arithmetic == "float"
        return {
            "identified": self.identified,
            **self.evidence(train, names),
            "noise_gain": self.noise_gain,
            "arithmetic": self.arithmetic,
            "method": self.method if self.identified else None,
            "borderline": self.borderline,
            "residual": self.residual if measured else None,
            "tolerance": self.tolerance if measured else None,
            "margin": self.margin if measured else None,
        }


@checked_numbers
def check_span(
    train_labels: Sequence | np.ndarray,
    test_labels: Sequence | np.ndarray,
    reference: Sequence | np.ndarray | None = None,
    *,
    counts: Sequence[int] | np.ndarray | None = None,
    sparse: bool = False,
    rtol: float | None = None,
) -> list[SpanCertificate]:
    """Decide for each test label whether its shift is identified, with a certificate.

    The answer is exact for ints, Fractions, Decimals and floats that are short decimals (0.1 is read as 1/10). Labels
    that hold other floats, or any labels with `rtol`, are judged as measured, to a tolerance: a label is inside the
    span if its relative residual is within it, after every column (perturbation) is divided by its largest entry among
    the training shifts (the test shift's, if they do not move it), and every training shift by its norm.

    Args:
        train_labels: (n_train, K) labels of the training environments.
        test_labels: (n_test, K) labels to judge.
        reference: l_0 (K,), one of the training rows; the row of zeros where there is one, else the first row.
        counts: (n_train,) cells of each environment, whole and positive: α is then the one of least noise gain, not of
            least norm, and the gain is a variance. Two environments with one label are refused then.
        sparse: Use the α with fewest training conditions, counting the reference; ties go to least noise gain.
        rtol: Doses are measured to this relative tolerance; 1e-9 where needed and not given.

    Returns:
        One certificate per test row.

    Raises:
        InputError: If shapes disagree, a value is not a finite number, `reference` is not a training row, counts are
            not those of distinct environments, or `sparse` is set with doses that are not exact.

    References:
        Theory, claims 2.4 (sufficiency), 2.6 (necessity) and 2.10 (noise gain).

    Example:
        >>> inside, outside = check_span([[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[1, 1, 0], [1, 0, 1]])
        >>> inside.coefficients.tolist() == [0, 1, 1] and outside.witness.tolist() == [0, 0, 1]
        True
        >>> check_span([[0], [1], [2]], [[3]], counts=[100, 100, 100])[0].coefficients.tolist() == [0, 1 / 3, 4 / 3]
        True
    """
    train, test = rationals.table("train_labels", train_labels), rationals.table("test_labels", test_labels)
    if len(test) and train.shape[1] != test.shape[1]:
        raise InputError(f"test_labels must have {train.shape[1]} columns, as train_labels; received {test.shape[1]}")
    if not len(test):
        test = np.empty((0, train.shape[1]), dtype=np.int64)
    position = _reference_row(train, reference)
    sizes = None if counts is None else _checked_counts(counts, train)
    exact = rationals.shifts(train, test, position) if rtol is None else None
    if exact is not None:
        return list(_exact_certificates(exact, position, sizes, sparse))
    if sparse:
        raise InputError("sparse needs exact labels; round the doses to 12 digits, or leave out sparse and rtol")
    tolerance = _FLOAT_RTOL if rtol is None else between("rtol", rtol, 0.0, 1.0)
    return _tolerated_certificates(train.astype(np.float64), test.astype(np.float64), position, sizes, tolerance)


def _reference_row(train: np.ndarray, reference: Sequence | np.ndarray | None) -> int:
    if reference is None:
        zero = np.flatnonzero(~(train != 0).any(axis=1))
        return int(zero[0]) if zero.size else 0
    asked = np.asarray(reference).ravel()
    if asked.dtype.kind in "iufb" and train.dtype.kind in "iufb" and asked.shape == train.shape[1:]:
        same = np.flatnonzero((train == asked).all(axis=1))
        if same.size:
            return int(same[0])
    origin = [_comparable(value) for value in np.asarray(reference, dtype=object).ravel()]
    position = next((i for i, row in enumerate(train) if [_comparable(value) for value in row] == origin), None)
    if position is None:
        raise InputError(f"reference must be one of the training rows; received {[str(v) for v in origin]}")
    return position


def _comparable(value: object) -> object:
    exact = rationals.rational(value)
    return value if exact is None else exact


def _checked_counts(counts: Sequence[int] | np.ndarray, train: np.ndarray) -> np.ndarray:
    sizes = np.asarray(counts)
    if sizes.shape != (len(train),) or sizes.dtype.kind not in "iu" or (sizes < 1).any():
        raise InputError(f"counts must be {len(train)} whole numbers ≥ 1, one per training row; received {counts!r}")
    first: dict[object, int] = {}
    for i, row in enumerate(train):
        key = tuple(map(_comparable, row)) if train.dtype.kind == "O" else (row + 0).tobytes()  # −0.0 + 0 is 0.0
        same = first.setdefault(key, i)
        if same != i:
            rows = f"train_labels rows {same} and {i} are one condition, {row.tolist()}"
            raise InputError(f"{rows}; merge their cells and counts")
    return sizes.astype(np.int64)


def _exact_certificates(
    shifts: Shifts, reference: int, counts: np.ndarray | None, sparse: bool
) -> Iterator[SpanCertificate]:
    space = RowSpace.of(shifts.train)
    combine = rule(shifts, space, reference, counts, sparse)
    order = np.argsort(space.breadth(), kind="stable")  # witnesses of few perturbations are the easiest to read
    for block in blocks(len(shifts.test)):
        residuals, rows = space.residuals(shifts.test[block])[:, order], np.arange(block.start, block.stop)
        outside = (residuals != 0).any(axis=1)
        inside = iter(combine(rows[~outside]) if not outside.all() else ())
        for t, residual, out in zip(rows.tolist(), residuals, outside, strict=True):
            if out:
                first = int(np.argmax(residual != 0))
                v = _witness(space, shifts, t, int(order[first]), int(residual[first]))
                yield SpanCertificate(False, None, v, math.inf, "exact", reference)
            else:
                c = next(inside)
                lost = shifts.test[t].any() and not c.coefficients.any()
                if lost or not np.isfinite(c.coefficients).all():
                    raise InputError(_BEYOND)
                yield SpanCertificate(True, c.coefficients, None, c.noise_gain, "exact", reference, c.method)


def _witness(space: RowSpace, shifts: Shifts, t: int, q: int, residual: int) -> np.ndarray:
    """v (K,) in the units of the labels, with vᵀ Δ_t = 1, from one residual that is not zero."""
    columns, v = space.blind(q)
    witness = np.zeros(shifts.train.shape[1])
    for k, value in zip(columns, v, strict=True):
        witness[k] = ratio(int(value) * shifts.scales[t], shifts.units[k] * residual)
    return witness


def _tolerated_certificates(
    train: np.ndarray, test: np.ndarray, reference: int, counts: np.ndarray | None, rtol: float
) -> list[SpanCertificate]:
    span = span_within_tolerance(train - train[reference], test - train[reference], rtol=rtol, counts=counts)
    n, method = np.ones(len(train)) if counts is None else counts, MIN_NORM if counts is None else LEAST_GAIN
    certificates = []
    for t, inside in enumerate(span.identified.tolist()):
        alpha = span.weights[t].copy()
        alpha[reference] = 0.0
        gain = float((alpha**2 / n).sum() + (1 - alpha.sum()) ** 2 / n[reference]) if inside else math.inf
        if inside and not np.isfinite(gain):
            raise InputError(_BEYOND)
        certificates.append(
            SpanCertificate(
                inside,
                alpha if inside else None,
                None if inside else span.witnesses[t],
                gain,
                "float",
                reference,
                method,
                residual=float(span.residuals[t]),
                tolerance=rtol,
                borderline=bool(span.borderline[t]),
            )
        )
    return certificates


def _by_name(values: np.ndarray, names: Sequence[str] | None) -> dict[str, float]:
    used = np.flatnonzero(values).tolist()
    return {str(k) if names is None else names[k]: float(values[k]) for k in used}


def _combination(weights: np.ndarray, names: Sequence[str]) -> str:
    """``A + 2 B − ctrl`` from weights and names; zeros are left out, and of many all but the largest."""
    used = np.flatnonzero(np.abs(weights) > 1e-12)
    n_terms, largest = len(used), np.sort(used[np.argsort(-np.abs(weights[used]), kind="stable")[:_TERMS]]).tolist()
    terms = sorted(((float(weights[k]), names[k]) for k in largest), key=lambda term: term[0] < 0)
    text = " ".join(
        f"{'−' if w < 0 else '+'} {'' if abs(abs(w) - 1) < 1e-12 else f'{abs(w):.4g} '}{name}" for w, name in terms
    )
    rest = f" … ({n_terms:,} terms in all)" if n_terms > _TERMS else ""
    return (text.removeprefix("+ ") or "0") + rest
