"""Which experiments to add so that given targets become identified: fewest, then least noise gain, then support.

Modulo the span of what is measured, a set S of candidates identifies a target if and only if the target lies in the
span of S. That deficit, rank(T | L ∪ S), is not submodular: for the target A+B neither A nor B helps alone, and both
together settle it. Greedy additions by rank gained therefore carry no guarantee, and are not what is done here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb

import numpy as np

from pdae_sim._checks import matrix, whole
from pdae_sim._linalg import pivots_modulo, primes, residues
from pdae_sim.analysis import _rationals as rationals
from pdae_sim.analysis._exact import RowSpace
from pdae_sim.analysis._sparse_combination import SEARCHED, fewest
from pdae_sim.analysis.span import SpanCertificate, check_span
from pdae_sim.errors import InputError

MAX_SETS = 10_000
"""Sets of candidates that the exhaustive search may try."""

MAX_TIES = 200
"""Sets of the least size whose noise gain is compared."""


@dataclass(frozen=True, eq=False)
class PlannedExperiment:
    """One condition to measure, in its place in the order.

    Args:
        label: (K,) as given among the candidates.
        needed_by: Targets (indices) that cannot be identified by this plan without it.
        identifies: Targets that become identified once it and the ones before it are measured.
    """

    label: np.ndarray
    needed_by: tuple[int, ...]
    identifies: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class ExperimentPlan:
    """What to measure, in which order, and why it is enough.

    Args:
        experiments: In an order that settles targets as early as it can, one after another.
        identified: Targets identified before anything is added.
        unreachable: Targets that no set of the candidates identifies.
        certificates: One per target, of what is measured with the plan added: rows are training labels, then
            experiments in order.
        noise_gain: The sum over identified targets.
        distances: (n_targets,) δ to the nearest measured or planned condition; None without a perturbation matrix.
        least: A lower bound on the number of experiments: the rank of the targets modulo what is measured.
        optimal: Whether no fewer candidates do.
        method: How the plan was found and what that guarantees, in words.
    """

    experiments: tuple[PlannedExperiment, ...]
    identified: tuple[int, ...]
    unreachable: tuple[int, ...]
    certificates: tuple[SpanCertificate, ...]
    noise_gain: float
    distances: np.ndarray | None
    least: int
    optimal: bool
    method: str


def plan_experiments(
    train_labels: Sequence | np.ndarray,
    targets: Sequence | np.ndarray,
    *,
    candidates: Sequence | np.ndarray | None = None,
    reference: Sequence | np.ndarray | None = None,
    counts: Sequence[int] | None = None,
    cells: int | None = None,
    perturbation_matrix: np.ndarray | None = None,
    max_sets: int = MAX_SETS,
) -> ExperimentPlan:
    """The fewest candidates that identify the targets; of these the least noise gain, and of these the best support.

    Up to `max_sets` sets of candidates the search is exhaustive. Beyond, each target in turn is given the fewest
    candidates that identify it beside those already chosen, and what has become superfluous is dropped: with fewest
    found exactly, at most n_targets times the least number. Any plan of `least` experiments is optimal, and if the
    candidates are no richer than the targets (equal rank modulo the training shifts) every plan from which nothing can
    be dropped is one, for all bases of a matroid have one size.

    Args:
        train_labels: (E, K) what is measured; distinct.
        targets: (T, K) what is to be identified.
        candidates: (C, K) what could be measured; `singles_and_doubles` of the targets if None.
        reference: As in `check_span`.
        counts: (E,) cells of each training environment; one each if None.
        cells: Cells of each added condition; the median of the counts if None.
        perturbation_matrix: W or an estimate of it (d_Z, K), to prefer plans near the targets.
        max_sets: Where the exhaustive search ends.

    Raises:
        InputError: If shapes disagree, labels are not exact numbers or there is no target.

    References:
        Claims 2.4, 2.6, 2.9, 2.10; Whitney (1935), On the abstract properties of linear dependence; Edmonds (1971),
        Matroids and the greedy algorithm; Natarajan (1995) for the hardness of sparse solutions, whence the search.

    Example:
        >>> plan = plan_experiments([[0, 0, 0], [1, 0, 0]], [[1, 1, 1]])
        >>> [e.label.tolist() for e in plan.experiments], plan.optimal
        ([[0, 1, 1]], True)
    """
    train, wanted = rationals.table("train_labels", train_labels), rationals.table("targets", targets)
    if not len(wanted) or wanted.shape[1] != train.shape[1]:
        raise InputError(f"targets must be labels of {train.shape[1]} doses, at least one; received {wanted.shape}")
    offered = singles_and_doubles(train, wanted) if candidates is None else _unmeasured(train, candidates)
    origin = check_span(train, train[:1], reference)[0].reference
    problem = _Problem.of(train, wanted, offered, origin)
    price = _Price(train, wanted, offered, origin, counts, cells, perturbation_matrix)
    chosen, optimal, method = _search(problem, price, whole("max_sets", max_sets, at_least=0))
    return _plan(problem, price, chosen, optimal, method)


def singles_and_doubles(train: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Every single and pair of a target's perturbations at the target's doses, unless measured or itself a target."""
    train, targets = (np.asarray(v, dtype=object) for v in (train, targets))
    made: dict[tuple, None] = {}
    for size in (1, 2):
        for target in targets:
            for kept in combinations(np.flatnonzero(target != 0).tolist(), size):
                made[tuple(dose if k in kept else 0 for k, dose in enumerate(target))] = None
    taken = {tuple(row) for row in (*train.tolist(), *targets.tolist())}
    return _rows([label for label in made if label not in taken], targets.shape[1])


def _unmeasured(train: np.ndarray, candidates: Sequence | np.ndarray) -> np.ndarray:
    offered = rationals.table("candidates", candidates).astype(object)
    if len(offered) and offered.shape[1] != train.shape[1]:
        raise InputError(f"candidates must have {train.shape[1]} columns, as train_labels; received {offered.shape[1]}")
    taken = {tuple(row) for row in train.tolist()}
    return _rows([row for row in dict.fromkeys(map(tuple, offered.tolist())) if row not in taken], train.shape[1])


def _rows(labels: list[tuple], width: int) -> np.ndarray:
    return np.array(labels, dtype=object).reshape(len(labels), width)


@dataclass(frozen=True, eq=False)
class _Problem:
    """Candidates C and targets T modulo the training shifts, as integer rows, and which targets can be reached."""

    C: np.ndarray
    T: np.ndarray
    identified: tuple[int, ...]
    unreachable: tuple[int, ...]
    useful: tuple[int, ...]
    open: tuple[int, ...]

    @classmethod
    def of(cls, train: np.ndarray, targets: np.ndarray, offered: np.ndarray, reference: int) -> _Problem:
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
        """Every set of `size` candidates that settles all targets, and now and then another.

        The targets then add nothing to the rank of the set, neither over the rationals nor modulo a prime.
        """
        p = next(primes())
        C, T = residues(self.C, p), residues(self.T[list(self.open)], p)
        for chosen in combinations(self.useful, size):
            if len(pivots_modulo(np.vstack([C[list(chosen)], T]), p)) <= size:
                yield chosen

    def settles(self, chosen: Sequence[int]) -> bool:
        """Whether the chosen candidates identify every open target."""
        return len(self.settled(chosen)) == len(self.open)


def rank(rows: np.ndarray) -> int:
    """The rank of integer rows, exactly."""
    return len(RowSpace.of(rows).pivots)


@dataclass(frozen=True, eq=False)
class _Price:
    """What a set of candidates costs beside its size."""

    train: np.ndarray
    targets: np.ndarray
    offered: np.ndarray
    reference: int
    counts: Sequence[int] | None
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


def _search(problem: _Problem, price: _Price, max_sets: int) -> tuple[tuple[int, ...], bool, str]:
    if not problem.open:
        return (), True, "nothing to add"
    tried = 0
    for size in range(problem.least, len(problem.useful) + 1):
        tried += comb(len(problem.useful), size)
        if tried > max_sets:
            break
        found = [chosen for chosen in problem.plausible(size) if problem.settles(chosen)]
        if found:
            ties = "" if len(found) <= MAX_TIES else f" among the first {MAX_TIES} of {len(found)} such sets"
            best = min(found[:MAX_TIES], key=price)
            return best, True, f"exhaustive search: fewest, then least noise gain{ties}, then support"
    return _one_target_at_a_time(problem)


def _one_target_at_a_time(problem: _Problem) -> tuple[tuple[int, ...], bool, str]:
    chosen, exact = [], True
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


def _fewest_beside(problem: _Problem, chosen: list[int], target: int) -> tuple[list[int], bool]:
    """The fewest further candidates that identify a target, and whether that is proved."""
    C, t = problem.C, problem.T[[target]]
    if chosen:
        space = RowSpace.of(C[chosen])
        C, t = space.residuals(C), space.residuals(t)
    left = [c for c in problem.useful if C[c].any()]
    weights, method = fewest(C[left], t[0], np.ones(len(left)))
    if weights is None:
        return left, False
    return [c for c, w in zip(left, weights, strict=True) if w], method == SEARCHED


def _plan(problem: _Problem, price: _Price, chosen: tuple[int, ...], optimal: bool, method: str) -> ExperimentPlan:
    needs = {t: frozenset(_needed(problem, chosen, t)) for t in problem.open}
    order = list(_ordered(needs))
    done, experiments = set(), []
    for position, c in enumerate(order):
        now = problem.settled(order[: position + 1]) - done
        done |= now
        needed_by = tuple(t for t in problem.open if c in needs[t])
        experiments.append(PlannedExperiment(price.offered[c], needed_by, tuple(sorted(now))))
    certificates = tuple(price.certificates(order))
    fixed = (problem.identified, problem.unreachable, certificates, total_gain(certificates), price.distances(order))
    return ExperimentPlan(tuple(experiments), *fixed, problem.least, optimal, method)


def _needed(problem: _Problem, chosen: tuple[int, ...], target: int) -> Iterator[int]:
    """The chosen candidates without which a target is not identified."""
    yield from (c for c in chosen if target not in problem.settled([other for other in chosen if other != c]))


def _ordered(needs: dict[int, frozenset[int]]) -> Iterator[int]:
    """Candidates such that the target with the fewest left to measure is always the next to be settled."""
    done: set[int] = set()
    while left := [need - done for need in needs.values() if need - done]:
        shortest = sorted(min(left, key=lambda need: (len(need), sorted(need))))
        yield from shortest
        done |= set(shortest)
