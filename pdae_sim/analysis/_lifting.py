"""Combinations of least norm of large sparse designs, to the nearest float: float solves, integer residuals.

A float solve gives the leading bits of the solution; what they leave over is an integer vector, known exactly, whose
solution are the next bits. A bound on the smallest eigenvalue says how far the bits so far are from the exact value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import SuperLU, splu

from pdae_sim._linalg import bits

_SMALL = 16
"""Bits of the entries that are lifted in int64; wider ones are solved exactly."""

_DIGITS = 3
"""Digits of 2ᵏ before the first look at which floats are settled."""

_MIN_WIDTH = 16
_WORD = 64
_UNDERFLOW = 1080
"""Bits below which no float but zero lies."""


class Weights(NamedTuple):
    """Weights (T, M), each the nearest float to its exact value; exact Σ_e w_e² / n_e and Σ_e w_e of each target."""

    values: np.ndarray
    squares: list[Fraction]
    sums: list[Fraction]


@dataclass(frozen=True, eq=False)
class LiftedNorm:
    """w = n B (Bᵀ n B)⁻¹ x / q, every entry rounded once, for B (M, r) of independent columns.

    Args:
        B: Sparse integers.
        n: (M,) positive integers.
        G: Bᵀ n B (r, r).
        factor: A float factorisation of G.
        floor: A lower bound on the eigenvalues of G.
    """

    B: sparse.csr_array
    n: np.ndarray
    G: sparse.csr_array
    factor: SuperLU
    floor: float
    component: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "component", connected_components(self.G, directed=False)[1])

    @classmethod
    def of(cls, B: np.ndarray, n: np.ndarray) -> LiftedNorm | None:
        """The map of B (M, r) for sizes n (M,); None where entries are too wide or G is too near to singular.

        Example:
            >>> one = np.ones(3, dtype=np.int64)
            >>> lifted = LiftedNorm.of(np.array([[1, 0], [0, 1], [1, 1]]), one)
            >>> weights, norms, sums = lifted(np.array([[1, 1]]), one[:1])
            >>> weights.tolist() == [[1 / 3, 1 / 3, 2 / 3]] and float(norms[0]) == 2 / 3
            True
        """
        if bits(B) > _SMALL or bits(n) + 2 * bits(B) + len(B).bit_length() > 2 * _SMALL:
            return None
        rows = sparse.csr_array(B.astype(np.int64))
        G = sparse.csr_array(rows.T @ (rows * n[:, None]))
        floor, size = 0.5, float(G.diagonal().sum())
        while floor > 16 * len(B) * np.finfo(float).eps * size:
            if _positive(G, 2 * floor):
                return cls(rows, n, G, _factor(G.astype(np.float64)), floor)
            floor /= 16
        return None

    def __call__(self, x: np.ndarray, q: np.ndarray) -> Weights | None:
        """The weights of targets x (T, r) over divisors q (T,); None where they are too wide for int64."""
        lift = _Lift.begin(self, x.T, q)
        if lift is None or not all(lift.step() for _ in range(_DIGITS)):
            return None
        weights, (squares, sums) = np.empty((x.shape[0], len(self.n))), lift.sums()
        rows = np.arange(len(x))
        while len(rows):
            values, settled = lift.nearest()
            weights[rows] = values.T
            lift, rows = lift.without(settled), rows[~settled]
            if len(rows) and not lift.step():
                return None
        return Weights(weights, squares, sums)


@dataclass(eq=False)
class _Lift:
    """Digits d_i (r, T) of 2ᵏ of the solutions y = Σ_i d_i 2^{−k(i+1)} and what is left over (r, T)."""

    norm: LiftedNorm
    x: np.ndarray
    q: np.ndarray
    width: int
    left: np.ndarray
    digits: list[np.ndarray]

    @classmethod
    def begin(cls, norm: LiftedNorm, x: np.ndarray, q: np.ndarray) -> _Lift | None:
        if bits(x) > _SMALL or bits(q) > _SMALL:
            return None
        x, q = x.astype(np.int64), q.astype(np.int64)
        y = norm.factor.solve(x.astype(np.float64)) / q
        room = int(np.ceil(np.log2(1 + np.abs(y).max(initial=0.0)))) + 1
        widest = max(abs(norm.G).sum(axis=1).max() * q.max(initial=1), bits(x) * len(x), 1)
        sums = (abs(norm.B).sum(axis=1) * norm.n).max(initial=1)
        width = min(60 - int(widest).bit_length(), 52 - int(sums).bit_length()) - room
        return cls(norm, x, q, width, x, []) if width >= _MIN_WIDTH else None

    def step(self) -> bool:
        """Take one more digit; False if rounding has spoilt it."""
        y = np.rint(self.norm.factor.solve(self.left.astype(np.float64)) / self.q * 2.0**self.width)
        before = max(np.abs(self.digits[0]).max(initial=0), 2**self.width) if self.digits else np.inf
        if np.abs(y).max(initial=0) > before:
            return False
        digit = y.astype(np.int64)
        self.left = (self.left << self.width) - self.q * (self.norm.G @ digit)
        self.digits.append(digit)
        return True

    def nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """Floats (M, T) of the weights, and of which targets (T,) all of them are the nearest to the exact values."""
        norm, depth = self.norm, self.width * len(self.digits)
        high = low = top = np.zeros((len(norm.n), self.left.shape[1]))
        for i, digit in enumerate(self.digits):
            term = np.ldexp((norm.n[:, None] * (norm.B @ digit)).astype(np.float64), -self.width * (i + 1))
            total = high + term
            shadow = total - high
            low = low + ((high - (total - shadow)) + (term - shadow))
            high, top = total, np.maximum(top, np.abs(total))
        off = np.linalg.norm(self.left.astype(np.float64), axis=0) / np.sqrt(norm.floor) / self.q
        error = np.sqrt(norm.n)[:, None] * np.ldexp(off, -depth) * 1.001 + top * 2.0**-100
        values, reached = high + low, self._reached()
        least = self._least_bits(reached)
        deep = depth > least + 2 * _WORD
        zero = ~self._moved(reached) | (np.abs(values) + error < np.exp2(-least))
        zero |= deep & (np.abs(values) <= np.maximum(error, np.finfo(float).tiny))
        values[zero] = 0.0
        settled = zero | (high + (low - error) == high + (low + error))
        return values, settled.all(axis=0) | deep

    def _reached(self) -> np.ndarray:
        """(C, T) whether a target moves a component of G; weights elsewhere are zero."""
        r = len(self.x)
        members = sparse.csr_array((np.ones(r, dtype=np.int64), (self.norm.component, np.arange(r))))
        return (members @ (self.x != 0).astype(np.int64)) > 0

    def _moved(self, reached: np.ndarray) -> np.ndarray:
        """(M, T) whether a row of B is of a component that a target moves; never for rows of zeros."""
        B = self.norm.B
        moved, of = np.diff(B.indptr) > 0, np.zeros(len(self.norm.n), dtype=np.intp)
        of[moved] = self.norm.component[B.indices[B.indptr[:-1][moved]]]
        return reached[of] & moved[:, None]

    def _least_bits(self, reached: np.ndarray) -> np.ndarray:
        """(T,) b such that weights below 2⁻ᵇ round to zero: they are zero by Hadamard's bound on the determinant."""
        each = np.bincount(self.norm.component, weights=np.log2(self.norm.G.diagonal()), minlength=len(reached))
        return np.minimum(each @ reached + np.log2(self.q) + 1, _UNDERFLOW)

    def sums(self) -> tuple[list[Fraction], list[Fraction]]:
        """Σ w² / n = xᵀ y / q and Σ w = nᵀ B y of each target, to more bits than a float has."""
        one = 1 << (self.width * len(self.digits))
        squares = self._total([(self.x * digit).sum(axis=0) for digit in self.digits])
        sums = self._total([(self.norm.B.T @ self.norm.n) @ digit for digit in self.digits])
        return [Fraction(a, one * q) for a, q in zip(squares, self.q.tolist(), strict=True)], [
            Fraction(b, one) for b in sums
        ]

    def _total(self, digits: list[np.ndarray]) -> list[int]:
        total = [0] * len(self.q)
        for digit in digits:
            total = [(a << self.width) + b for a, b in zip(total, digit.tolist(), strict=True)]
        return total

    def without(self, settled: np.ndarray) -> _Lift:
        """The targets that are not settled."""
        rest = ~settled
        digits = [digit[:, rest] for digit in self.digits]
        return _Lift(self.norm, self.x[:, rest], self.q[rest], self.width, self.left[:, rest], digits)


def _factor(G: sparse.csr_array) -> SuperLU:
    return splu(sparse.csc_array(G), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})


def _positive(G: sparse.csr_array, shift: float) -> bool:
    """Whether G − shift I factorises with positive pivots on the diagonal, so that it is positive definite."""
    try:
        factor = _factor(G - shift * sparse.eye_array(G.shape[0]))
    except RuntimeError:  # a pivot of zero
        return False
    return bool((factor.perm_r == factor.perm_c).all() and (factor.U.diagonal() > 0).all())
