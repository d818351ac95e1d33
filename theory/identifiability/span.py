"""Exact answers about labels: which shifts are combinations of measured ones, at what price, and what proves otherwise.

All arithmetic is rational: see `theory.engine.exact` for what a float stands for.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sympy import QQ, Rational
from sympy.polys.matrices import DomainMatrix

from theory.engine.exact import Number, Row, rational


@dataclass(frozen=True)
class SpanSolution:
    """Either coefficients or a witness, exactly one of the two.

    Attributes:
        coefficients: the α (M,) of least norm with Δ_t = Σ_e α_e Δ_e, one per row of `train`; None outside the span.
        witness: v (K,) with vᵀ Δ_e = 0 for every training row and vᵀ Δ_t = vᵀ v > 0; None inside the span.
    """

    coefficients: tuple[Rational, ...] | None
    witness: tuple[Rational, ...] | None

    @property
    def identified(self) -> bool:
        """Whether the test label is in the span."""
        return self.witness is None


def solve_span(train: Sequence[Row], test: Row, reference: Row) -> SpanSolution:
    """Decide exactly whether Δ_t = l_test - l_0 is a combination of the Δ_e = l_e - l_0.

    Inside: α = Lᵀ (L Lᵀ)⁺ Δ_t, the combination of least norm. Outside: v = Δ_t - L L⁺ Δ_t, the part of Δ_t orthogonal
    to the span.

    Args:
        train: the training labels, M rows of length K. The reference counts as measured whether or not it is among
            them; a row equal to it gets coefficient 0.
        test: the label in question (K,).
        reference: the reference label l_0 (K,).

    Returns:
        The coefficients, in the order of `train`, or the witness.

    Raises:
        ValueError: if a row has another length than `reference`, or an entry is not a finite real number.

    Example:
        >>> solve_span([[1, 0, 0], [0, 1, 0]], [1, 1, 0], [0, 0, 0]).coefficients
        (1, 1)
        >>> solve_span([[1, 0, 0], [0, 1, 0]], [0, 0, 1], [0, 0, 0]).witness
        (0, 0, 1)
    """
    L, target = _shifts(train, test, reference)
    solution = _least_norm(L, target)
    if solution is not None:
        return SpanSolution(coefficients=_entries(solution), witness=None)
    closest = _particular(L.transpose() * L, L.transpose() * target)
    return SpanSolution(coefficients=None, witness=_entries(target - L * closest))


def least_gain(train: Sequence[Row], test: Row, reference: Row) -> tuple[Rational, ...]:
    """The coefficients (M,) of least `noise_gain` at equal sample sizes, which need not be those of least norm.

    With w_0 = 1 - Σ_e α_e the gain is the squared norm of all weights w, subject to Σ w_e l_e = l_test and Σ w_e = 1,
    so the weights of least norm are wanted. Rows equal to the reference are the reference and get coefficient 0.

    Raises:
        ValueError: as `solve_span`, and if the test label is outside the span.

    Example:
        >>> least_gain([[1], [2]], [3], [0])
        (1/3, 4/3)
    """
    L, target = _shifts(train, test, reference)
    columns = [j for j in range(L.shape[1]) if any(L.extract(range(L.shape[0]), [j]).to_list_flat())]
    labels = L.extract(range(L.shape[0]), columns).hstack(DomainMatrix.zeros((L.shape[0], 1), QQ))
    ones = DomainMatrix([[QQ(1)] * (len(columns) + 1)], (1, len(columns) + 1), QQ)
    weights = _least_norm(labels.vstack(ones), target.vstack(DomainMatrix([[QQ(1)]], (1, 1), QQ)))
    if weights is None:
        raise ValueError("test is outside the span of the training shifts, so no coefficients exist")
    chosen = dict(zip(columns, _entries(weights), strict=False))
    return tuple(chosen.get(j, Rational(0)) for j in range(L.shape[1]))


def noise_gain(
    coefficients: Sequence[Number], n_train: Sequence[Number] | None = None, n_reference: Number = 1
) -> Rational:
    """Variance of a predicted latent mean per latent coordinate: Σ_e α_e² / n_e + (1 - Σ_e α_e)² / n_0.

    Args:
        coefficients: α (M,), one per training row other than the reference (or 0 for it).
        n_train: sample sizes n_e (M,), positive; None for one cell each, which leaves the factor of 1/n.
        n_reference: sample size n_0 of the reference, positive.

    Returns:
        The exact gain.

    Raises:
        ValueError: if `n_train` has another length than `coefficients`, or a size is not positive.
    """
    total, weight = _weighted(coefficients, n_train, n_reference)
    return total + (1 - weight) ** 2 / rational(n_reference)


def shift_gain(
    coefficients: Sequence[Number], n_train: Sequence[Number] | None = None, n_reference: Number = 1
) -> Rational:
    """Variance of a predicted shift from the reference, per latent coordinate: Σ_e α_e² / n_e + (Σ_e α_e)² / n_0.

    Arguments and errors are those of `noise_gain`.
    """
    total, weight = _weighted(coefficients, n_train, n_reference)
    return total + weight**2 / rational(n_reference)


def _weighted(
    coefficients: Sequence[Number], n_train: Sequence[Number] | None, n_reference: Number
) -> tuple[Rational, Rational]:
    alpha = [rational(value) for value in coefficients]
    sizes = [rational(size) for size in (n_train if n_train is not None else [1] * len(alpha))]
    if len(sizes) != len(alpha):
        raise ValueError(f"n_train: expected {len(alpha)} sizes, one per coefficient, received {len(sizes)}")
    if min([*sizes, rational(n_reference)]) <= 0:
        raise ValueError("n_train and n_reference: expected positive sizes")
    return sum((a**2 / n for a, n in zip(alpha, sizes, strict=True)), Rational(0)), sum(alpha, Rational(0))


def _shifts(train: Sequence[Row], test: Row, reference: Row) -> tuple[DomainMatrix, DomainMatrix]:
    """L (K, M) and Δ_t (K, 1) over the rationals."""
    origin = [rational(value) for value in reference]
    columns = [_difference(row, origin, f"train[{index}]") for index, row in enumerate(train)]
    K, M = len(origin), len(columns)
    L = DomainMatrix([[QQ.from_sympy(column[i]) for column in columns] for i in range(K)], (K, M), QQ)
    return L, DomainMatrix([[QQ.from_sympy(value)] for value in _difference(test, origin, "test")], (K, 1), QQ)


def _difference(row: Row, origin: list[Rational], name: str) -> list[Rational]:
    if len(row) != len(origin):
        raise ValueError(f"{name}: expected a label of length {len(origin)} as in reference, received {len(row)}")
    return [rational(value) - zero for value, zero in zip(row, origin, strict=True)]


def _least_norm(A: DomainMatrix, target: DomainMatrix) -> DomainMatrix | None:
    """The solution x = Aᵀ y of least norm of A x = target, from A Aᵀ y = target; None if there is no solution."""
    multipliers = _particular(A * A.transpose(), target)
    return None if multipliers is None else A.transpose() * multipliers


def _particular(A: DomainMatrix, target: DomainMatrix) -> DomainMatrix | None:
    """Some solution of A x = target, with zeros for the free unknowns; None if there is none."""
    n = A.shape[1]
    reduced, pivots = A.hstack(target).rref()
    if n in pivots:
        return None
    found = dict(zip(pivots, reduced.to_Matrix()[:, n], strict=False))
    return DomainMatrix([[QQ.from_sympy(found.get(j, Rational(0)))] for j in range(n)], (n, 1), QQ)


def _entries(column: DomainMatrix) -> tuple[Rational, ...]:
    return tuple(QQ.to_sympy(value) for value in column.to_list_flat())
