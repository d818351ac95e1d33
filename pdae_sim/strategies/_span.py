"""Span problems whose rank and certificate are known by construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from hypothesis import strategies as st

from pdae_sim.strategies._numbers import UNITS, quotient


@dataclass(frozen=True)
class SpanProblem:
    """Training labels, a test label and the answer, known by construction.

    Args:
        train: Rows of training labels, the reference among them.
        test: The label to judge.
        reference: l_0, equal to `train[position]`.
        position: Row of the reference.
        rank: Rank of the training shifts.
        coefficients: Some α (not always the least) with Σ_e α_e Δ_e = Δ_t; None outside the span.
        witness: Some v with vᵀ Δ_e = 0 for every training row and vᵀ Δ_t = 1; None inside the span.

    Example:
        >>> from hypothesis import find
        >>> find(span_problems(identified=False), lambda problem: True).witness
        (Fraction(1, 1),)
    """

    train: tuple[tuple, ...]
    test: tuple
    reference: tuple
    position: int
    rank: int
    coefficients: tuple[Fraction, ...] | None
    witness: tuple[Fraction, ...] | None

    @property
    def identified(self) -> bool:
        """Whether the test label is in the span."""
        return self.witness is None


@st.composite
def span_problems(
    draw: st.DrawFn,
    *,
    max_perturbations: int = 4,
    max_environments: int = 6,
    kind: str = "int",
    identified: bool | None = None,
) -> SpanProblem:
    """Span problems with planted rank and certificate; shrinks to elementary shifts and a reference of zeros.

    The first `rank` columns of a unimodular integer matrix B span the training shifts. A test shift inside is a known
    combination of them; one outside adds a later column j, and row j of B⁻¹ is then the witness.

    Args:
        max_perturbations: Greatest K.
        max_environments: Greatest number of training labels beside the reference.
        kind: One of `NUMBER_KINDS`, the numbers of the labels.
        identified: Whether the test label is in the span; either when None.

    Example:
        >>> from hypothesis import find
        >>> find(span_problems(), lambda problem: problem.rank == 2 and problem.identified).test
        (0, 0)
    """
    K = draw(st.integers(1, max_perturbations))
    inside = draw(st.booleans()) if identified is None else identified
    rank = draw(st.integers(0, K if inside else K - 1))
    basis, inverse = draw(_unimodular(K))
    mixes = _planted_rank(draw, rank, max_environments)
    shifts = [_combine(basis, mix, K) for mix in mixes]
    alpha = [draw(st.integers(-3, 3)) for _ in shifts]
    beyond = 0 if inside else draw(st.sampled_from([1, -1, 2, 7]))
    new = draw(st.integers(rank, K - 1)) if beyond else 0
    target = [a + beyond * b for a, b in zip(_combine(shifts, alpha, K), basis[new], strict=True)]
    number = quotient(kind)
    reference, unit = draw(st.tuples(*[st.integers(-2, 2)] * K)), draw(st.sampled_from(UNITS[kind]))
    position = draw(st.integers(0, len(shifts)))
    shifts.insert(position, [0] * K)
    alpha.insert(position, 0)

    def label(shift: Sequence[int]) -> tuple:
        return tuple(number(a + b, unit) for a, b in zip(reference, shift, strict=True))

    return SpanProblem(
        train=tuple(label(shift) for shift in shifts),
        test=label(target),
        reference=label([0] * K),
        position=position,
        rank=rank,
        coefficients=tuple(Fraction(a) for a in alpha) if inside else None,
        witness=tuple(Fraction(v * unit, beyond) for v in inverse[new]) if beyond else None,
    )


@st.composite
def _unimodular(draw: st.DrawFn, size: int) -> tuple[list[list[int]], list[list[int]]]:
    """Columns of an integer matrix B and rows of B⁻¹, by shears; shrinks to the identity."""
    columns = [[int(i == j) for j in range(size)] for i in range(size)]
    rows = [list(row) for row in columns]
    pairs = [(i, j) for i in range(size) for j in range(size) if i != j]
    moves = st.lists(st.tuples(st.sampled_from(pairs), st.integers(-2, 2)), max_size=2 * size) if pairs else st.just([])
    for (i, j), factor in draw(moves):
        columns[j] = [b + factor * a for a, b in zip(columns[i], columns[j], strict=True)]
        rows[i] = [a - factor * b for a, b in zip(rows[i], rows[j], strict=True)]
    return columns, rows


def _planted_rank(draw: st.DrawFn, rank: int, most: int) -> list[list[int]]:
    """Combinations (M, rank) of the basis whose rank is `rank`: the identity and any further rows, in any order."""
    further = st.lists(st.tuples(*[st.integers(-2, 2)] * rank).map(list), max_size=max(most - rank, 0))
    identity = [[int(i == j) for j in range(rank)] for i in range(rank)]
    return draw(st.permutations(identity + draw(further))) if rank else []


def _combine(vectors: Sequence[Sequence[int]], weights: Sequence[int], size: int) -> list[int]:
    return [sum(w * vector[k] for w, vector in zip(weights, vectors, strict=False)) for k in range(size)]
