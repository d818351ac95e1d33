"""Which experiments to add so that given targets become identified: fewest, then least noise gain, then support.

Modulo the span of what is measured, a set S of candidates identifies a target if and only if the target lies in the
span of S. That deficit, rank(T | L ∪ S), is not submodular: for the target A+B neither A nor B helps alone, and both
together settle it. Greedy additions by rank gained therefore carry no guarantee, and are not what is done here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from pdae_sim._arguments import checked_numbers
from pdae_sim._checks import between, whole
from pdae_sim.analysis import _rationals as rationals
from pdae_sim.analysis._design_search import Price, Problem, needed, ordered, search, total_gain
from pdae_sim.analysis._information import inflation
from pdae_sim.analysis.span import SpanCertificate, check_span
from pdae_sim.errors import InputError

_MOST_CELLS = 2.0**60
_MAX_SETS = 10_000


@dataclass(frozen=True, eq=False)
class PlannedExperiment:
    """One condition to measure, in its place in the order.

    Args:
        label: (K,) as given among the candidates.
        needed_by: Targets (indices) that cannot be identified by this plan without it.
        identifies: Targets that become identified once it and the ones before it are measured.

    Example:
        >>> (experiment,) = plan_experiments([[0, 0], [1, 0]], [[1, 1]], candidates=[[0, 1]]).experiments
        >>> experiment.label.tolist(), experiment.needed_by
        ([0, 1], (0,))
    """

    label: np.ndarray
    needed_by: tuple[int, ...]
    identifies: tuple[int, ...]

    def to_json(self) -> dict[str, object]:
        """The fields as plain values."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class ExperimentPlan:
    """Experiments to add, in order, with the certificates that they are enough.

    Args:
        experiments: In an order that settles targets as early as it can, one after another.
        identified: Targets identified before anything is added.
        unreachable: Targets that no set of the candidates identifies.
        certificates: One per target, of what is measured with the plan added: rows are training labels, then
            experiments in order.
        noise_gain: Sum over identified targets.
        distances: (n_targets,) δ to the nearest measured or planned condition; None without a perturbation matrix.
        least: A lower bound on the number of experiments: the rank of the targets modulo what is measured.
        optimal: Whether no fewer candidates do.
        method: How the plan was found and what that guarantees, in words.

    Example:
        >>> plan = plan_experiments([[0, 0], [1, 0]], [[2, 0]])
        >>> plan.identified, plan.method
        ((0,), 'nothing to add')
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

    def to_json(self) -> dict[str, object]:
        """The fields as plain values, experiments and certificates among them."""
        return dict(vars(self))


@dataclass(frozen=True, eq=False)
class CellAllocation:
    """Cells of every condition for a stated precision.

    Args:
        cells: (M,) in all, those that exist among them.
        added: (M,) beyond those that exist.
        standard_error: What `cells` attain, per latent coordinate.

    Example:
        >>> allocate_cells([0, 1], 0, standard_error=0.1, existing=[150, 0]).added.tolist()
        [50, 200]
    """

    cells: np.ndarray
    added: np.ndarray
    standard_error: float

    def to_json(self) -> dict[str, object]:
        """The fields as plain values."""
        return dict(vars(self))


@checked_numbers
def plan_experiments(
    train_labels: Sequence | np.ndarray,
    targets: Sequence | np.ndarray,
    *,
    candidates: Sequence | np.ndarray | None = None,
    reference: Sequence | np.ndarray | None = None,
    counts: Sequence[int] | np.ndarray | None = None,
    cells: int | None = None,
    perturbation_matrix: np.ndarray | None = None,
    max_sets: int = _MAX_SETS,
) -> ExperimentPlan:
    """Plan the fewest candidates that identify the targets; of these the least noise gain, then the best support.

    Up to `max_sets` sets of candidates the search is exhaustive. Beyond, each target in turn is given the fewest
    candidates that identify it beside those already chosen, and what has become superfluous is dropped: with fewest
    found exactly, at most n_targets times the least number. Any plan of `least` experiments is optimal, and if the
    candidates are no richer than the targets (equal rank modulo the training shifts) every plan from which nothing can
    be dropped is one, for all bases of a matroid have one size.

    Args:
        train_labels: (E, K) what is measured; distinct.
        targets: (T, K) what is to be identified.
        candidates: (C, K) what could be measured; singles and pairs of the targets' perturbations if None.
        reference: As in `check_span`.
        counts: (E,) cells of each training environment; one each if None.
        cells: Cells of each added condition; the median of the counts if None.
        perturbation_matrix: W or an estimate of it (d_Z, K), to prefer plans near the targets.
        max_sets: Where the exhaustive search ends.

    Raises:
        InputError: If shapes disagree, labels are not exact numbers or there is no target.

    References:
        Theory, claims 2.4, 2.6, 2.9, 2.10; Whitney (1935), On the abstract properties of linear dependence; Edmonds
        (1971), Matroids and the greedy algorithm; Natarajan (1995) for the hardness of sparse solutions.

    Example:
        >>> plan = plan_experiments([[0, 0, 0], [1, 0, 0]], [[1, 1, 1]])
        >>> [e.label.tolist() for e in plan.experiments], plan.optimal
        ([[0, 1, 1]], True)
    """
    train, aims = rationals.table("train_labels", train_labels), rationals.table("targets", targets)
    if not len(aims) or aims.shape[1] != train.shape[1]:
        raise InputError(f"targets must be labels of {train.shape[1]} doses, at least one; received {aims.shape}")
    offered = _singles_and_doubles(train, aims) if candidates is None else _unmeasured(train, candidates)
    origin = check_span(train, train[:1], reference)[0].reference
    problem = Problem.of(train, aims, offered, origin)
    price = Price(train, aims, offered, origin, counts, cells, perturbation_matrix)
    chosen, optimal, method = search(problem, price, whole("max_sets", max_sets, at_least=0))
    return _plan(problem, price, chosen, optimal, method)


@checked_numbers
def allocate_cells(
    coefficients: Sequence[float] | np.ndarray,
    reference: int,
    *,
    standard_error: float,
    existing: Sequence[int] | np.ndarray | None = None,
    information: np.ndarray | None = None,
) -> CellAllocation:
    """Allocate the fewest further cells that give a predicted shift a stated standard error per latent coordinate.

    The shift from the reference has variance Σ_e c_e² / n_e with c_e = |α_e|, c_0 = |Σ_e α_e|. The least total for the
    variance s² is n_e = c_e (Σ c) / s²; with n_e ≥ m_e cells in hand it is n_e = max(m_e, λ c_e), λ in closed form for
    each set of conditions that need more. Rounded up. Noise multiplies the variance by tr J⁻¹ / d_Z, and the cells
    with it.

    Args:
        coefficients: α (M,), zero at the reference, as a certificate has it.
        reference: Row of the reference.
        standard_error: s > 0, in standard deviations of the base latent.
        existing: (M,) m_e; none if not given.
        information: J (d_Z, d_Z), what a noisy cell tells of a shift beside one whose z is seen; I if None.

    Raises:
        InputError: If an argument is out of its range.

    References:
        Theory, claims 2.10 and 2.13; Neyman (1934) for the allocation.

    Example:
        >>> allocate_cells([0, 1, 1], 0, standard_error=0.1).cells.tolist() == [800, 400, 400]
        True
    """
    alpha = np.asarray(coefficients, dtype=np.float64)
    if alpha.ndim != 1 or not np.isfinite(alpha).all() or not 0 <= reference < len(alpha):
        raise InputError(f"coefficients must be finite, one per row, reference a row; received {coefficients!r}")
    s = between("standard_error", standard_error, 0.0, np.inf)
    if (np.abs(alpha).sum() / s) ** 2 * 4 > _MOST_CELLS:
        raise InputError(f"standard_error {s:g} needs more cells than can be counted; ask for a larger one")
    m = np.zeros(len(alpha)) if existing is None else np.asarray(existing, dtype=np.float64)
    if m.shape != alpha.shape or not (np.isfinite(m) & (m >= 0)).all():
        raise InputError(f"existing must be {len(alpha)} numbers of cells ≥ 0; received {existing!r}")
    c = np.abs(alpha)
    c[reference] = abs(alpha.sum() - alpha[reference])
    factor = 1.0 if information is None else inflation(information)
    wanted = np.ceil(_multiplier(c, m, s**2 / factor) * c - 1e-9)
    cells = np.maximum(np.maximum(m, c > 0), wanted).astype(np.int64)  # whatever has a weight is measured
    used = c > 0
    attained = float(np.sqrt(factor * (c[used] ** 2 / cells[used]).sum()))
    return CellAllocation(cells, cells - m.astype(np.int64), attained)


def _multiplier(c: np.ndarray, m: np.ndarray, variance: float) -> float:
    """λ with Σ_e c_e² / max(m_e, λ c_e) = variance; 0 if the cells in hand do."""
    c, m = c[c > 0], m[c > 0]
    order = np.argsort(m / c)  # those with the fewest cells for their weight need more first
    c, m = c[order], m[order]
    for short in range(len(c) + 1):
        left = variance - (c[short:] ** 2 / np.where(m[short:] > 0, m[short:], np.nan)).sum()
        if left >= 0 and short == 0:
            return 0.0
        if left > 0 and (short == len(c) or c[:short].sum() / left <= (m / c)[short]):
            return float(c[:short].sum() / left)
    raise AssertionError("unreachable: with every condition short of cells the whole variance is left")


def _singles_and_doubles(train: np.ndarray, targets: np.ndarray) -> np.ndarray:
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


def _plan(problem: Problem, price: Price, chosen: tuple[int, ...], optimal: bool, method: str) -> ExperimentPlan:
    needs = {t: frozenset(needed(problem, chosen, t)) for t in problem.open}
    order = list(ordered(needs))
    done: set[int] = set()
    experiments = []
    for position, c in enumerate(order):
        now = problem.settled(order[: position + 1]) - done
        done |= now
        needed_by = tuple(t for t in problem.open if c in needs[t])
        experiments.append(PlannedExperiment(price.offered[c], needed_by, tuple(sorted(now))))
    certificates = tuple(price.certificates(order))
    fixed = (problem.identified, problem.unreachable, certificates, total_gain(certificates), price.distances(order))
    return ExperimentPlan(tuple(experiments), *fixed, problem.least, optimal, method)
