"""The search behind `design`: candidates and targets modulo what is measured, and sets of candidates by their price."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from pdae_sim._checks import matrix, whole
from pdae_sim._linalg import rank
from pdae_sim.analysis import _rationals as rationals
from pdae_sim.analysis._exact import RowSpace
from pdae_sim.analysis._sparse_combination import SEARCHED, sparse_combination
from pdae_sim.analysis.span import SpanCertificate, check_span
from pdae_sim.errors import InputError

_MAX_TIES = 200  # sets of the least size whose noise gain is compared


@dataclass(frozen=True, eq=False)
class Problem:
    """Candidates C and targets T modulo the training shifts, as integer rows, and which targets can be reached."""

    C: np.ndarray
    T: np.ndarray
    identified: tuple[int, ...]
    unreachable: tuple[int, ...]
    useful: tuple[int, ...]
    open: tuple[int, ...]

    @classmethod
    def of(cls, train: np.ndarray, targets: np.ndarray, offered: np.ndarray, reference: int) -> Problem:
        both = np.vstack([offered, targets.astype(object)])
        shifts = rationals.shifts(train, both, reference)
        if shifts is None:
            raise InputError("train_labels, targets and candidates must be exact doses; round them to 12 digits")
        rest = RowSpace.of(shifts.train).residuals(shifts.test)
        C, T = np.split(rest[:, rest.any(axis=0)], [len(offered)])
        useful = tuple(np.flatnonzero(C.any(axis=1)).tolist())
        lost = RowSpace.of(C[list(useful)]).residuals(T).any(axis=1) if useful else T.any(axis=1)
        identified, unreachable = (tuple(np.flatnonzero(v).tolist()) for v in (~T.any(axis=1), lost))
        remaining = set(range(len(T))) - {*identified, *unreachable}
        return cls(C, T, identified, unreachable, useful, tuple(sorted(remaining)))

    @property
    def least(self) -> int:
        """The rank of the open targets: no fewer experiments can do."""
        return rank(self.T[list(self.open)])

    def settled(self, chosen: Sequence[int]) -> set[int]:
        """The open targets in the span of the chosen candidates."""
        rest = RowSpace.of(self.C[list(chosen)]).residuals(self.T) if len(chosen) else self.T
        return {t for t in self.open if not rest[t].any()}

    def plausible(self, size: int) -> Iterator[tuple[int, ...]]:
        """Every set of `size` candidates that settles all targets, and sets whose members depend on one another.

        The targets then add nothing to the rank of the set.
        """
        targets = self.T[list(self.open)]
        for chosen in combinations(self.useful, size):
            if rank(np.vstack([self.C[list(chosen)], targets])) <= size:
                yield chosen

    def settles(self, chosen: Sequence[int]) -> bool:
        """Whether the chosen candidates identify every open target."""
        return len(self.settled(chosen)) == len(self.open)


@dataclass(frozen=True, eq=False)
class Price:
    """What a set of candidates costs beside its size."""

    train: np.ndarray
    targets: np.ndarray
    offered: np.ndarray
    reference: int
    counts: Sequence[int] | np.ndarray | None
    cells: int | None
    W: np.ndarray | None

    def labels(self, chosen: Sequence[int]) -> np.ndarray:
        """What is measured, with the chosen candidates added."""
        return np.vstack([self.train.astype(object), self.offered[list(chosen)]])

    def certificates(self, chosen: Sequence[int]) -> list[SpanCertificate]:
        """One per target, of least noise gain."""
        counts = np.ones(len(self.train), dtype=int) if self.counts is None else np.asarray(self.counts)
        if counts.shape != (len(self.train),):
            raise InputError(f"counts must be {len(self.train)} whole numbers ≥ 1; received {self.counts!r}")
        new = whole("cells", int(np.median(counts)) if self.cells is None else self.cells)
        sizes = np.append(counts, [new] * len(chosen)) if len(chosen) else counts
        return check_span(self.labels(chosen), self.targets, self.train[self.reference], counts=sizes)

    def distances(self, chosen: Sequence[int]) -> np.ndarray | None:
        """(T,) δ of each target to its nearest condition."""
        if self.W is None:
            return None
        W = matrix("perturbation_matrix", self.W)
        if W.shape[1] != self.train.shape[1]:
            raise InputError(f"perturbation_matrix must have {self.train.shape[1]} columns; received {W.shape[1]}")
        labels, targets = self.labels(chosen).astype(np.float64), self.targets.astype(np.float64)
        return np.linalg.norm((targets[:, None] - labels) @ W.T, axis=2).min(axis=1)

    def __call__(self, chosen: Sequence[int]) -> tuple[float, float]:
        gain, delta = total_gain(self.certificates(chosen)), self.distances(chosen)
        return round(gain, 12), 0.0 if delta is None else float(delta.sum())


def total_gain(certificates: Sequence[SpanCertificate]) -> float:
    """The noise gain of all identified targets, summed."""
    return float(sum(c.noise_gain for c in certificates if c.identified))


def search(problem: Problem, price: Price, max_sets: int) -> tuple[tuple[int, ...], bool, str]:
    """The candidates to measure, whether no fewer do, and how they were found, in words."""
    if not problem.open:
        return (), True, "nothing to add"
    tried = 0
    for size in range(problem.least, len(problem.useful) + 1):
        tried += comb(len(problem.useful), size)
        if tried > max_sets:
            break
        plans = [chosen for chosen in problem.plausible(size) if problem.settles(chosen)]
        if plans:
            ties = "" if len(plans) <= _MAX_TIES else f" among the first {_MAX_TIES} of {len(plans)} such sets"
            best = min(plans[:_MAX_TIES], key=price)
            return best, True, f"exhaustive search: fewest, then least noise gain{ties}, then support"
    return _one_target_at_a_time(problem)


def _one_target_at_a_time(problem: Problem) -> tuple[tuple[int, ...], bool, str]:
    chosen: list[int] = []
    exact = True
    for target in sorted(problem.open, key=lambda t: np.count_nonzero(problem.T[t])):
        if target not in problem.settled(chosen):
            added, searched = _fewest_beside(problem, chosen, target)
            chosen, exact = [*chosen, *added], exact and searched
    for candidate in list(chosen):
        rest = [c for c in chosen if c != candidate]
        chosen = rest if problem.settles(rest) else chosen
    rich = rank(problem.C[list(problem.useful)])
    optimal = len(chosen) == problem.least or (exact and len(problem.open) == 1)
    bound = len(problem.open) if exact else rich / problem.least
    says = "no fewer do" if optimal else f"at most {bound:.3g} times the fewest, which are {problem.least} or more"
    return tuple(chosen), optimal, f"one target at a time, superfluous ones dropped: {says}"


def _fewest_beside(problem: Problem, chosen: list[int], target: int) -> tuple[list[int], bool]:
    """The fewest further candidates that identify a target, and whether that is proved."""
    C, t = problem.C, problem.T[[target]]
    if chosen:
        space = RowSpace.of(C[chosen])
        C, t = space.residuals(C), space.residuals(t)
    left = [c for c in problem.useful if C[c].any()]
    weights, method = sparse_combination(C[left], t[0], np.ones(len(left)))
    if weights is None:
        return left, False
    return [c for c, w in zip(left, weights, strict=True) if w], method == SEARCHED


def needed(problem: Problem, chosen: tuple[int, ...], target: int) -> Iterator[int]:
    """The chosen candidates without which a target is not identified."""
    yield from (c for c in chosen if target not in problem.settled([other for other in chosen if other != c]))


def ordered(needs: dict[int, frozenset[int]]) -> Iterator[int]:
    """Candidates such that the target with the fewest left to measure is always the next to be settled."""
    done: set[int] = set()
    while left := [sorted(need - done) for need in needs.values() if need - done]:
        shortest = min(left, key=lambda need: (len(need), need))
        yield from shortest
        done |= set(shortest)
