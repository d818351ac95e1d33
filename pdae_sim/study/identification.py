"""Identifiability of a fitted model on simulated data: learnt latents and Ŵ against the truth."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import combinations

import numpy as np

from pdae_sim import _random
from pdae_sim.analysis.identifiability.alignment import (
    Alignment,
    AlignmentIntervals,
    align,
    alignment_intervals,
    gram_error,
    gram_matrix,
    r2,
)
from pdae_sim.analysis.identifiability.effects import Effects, effect_angles, estimate_effects
from pdae_sim.analysis.identifiability.identifiability_class import IdentifiabilityClass, classify_identifiability
from pdae_sim.analysis.identifiability.nested_maps import NestedMaps, fit_nested_maps
from pdae_sim.analysis.identifiability.procrustes import JointProcrustes, LatentEstimate, joint_procrustes
from pdae_sim.data import PerturbationData, Simulation, Truth
from pdae_sim.errors import InputError
from pdae_sim.estimation.baseline_encoders import random_encoder
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.simulation.simulator import Simulator
from pdae_sim.study._baseline_encoders import Nulls, mean_matrix, permuted_environments

IDENTIFICATION_METRICS = ("affine_r2", "orthogonal_r2", "orthogonality_defect", "gram_error")
"""What learnt latents and Ŵ are judged by; the defect is the largest |σ − 1| of the affine map's singular values."""

_REDRAWS = 200
_LADDER_CELLS = 12_000


@dataclass(frozen=True, eq=False)
class Identification:
    """Latents and Ŵ of a model against the truth in isotropic form, on fresh cells of the training conditions.

    Args:
        alignment: Of encoded with true latents.
        gram_error: ‖Ĝ − G‖ / ‖G‖ on the training shifts.
        intervals: 95 % intervals over cells of ``affine_r2``, ``orthogonal_r2`` and ``singular_values``.
        gram_error_oracle: Central 95 % range of the Gram error of an oracle that sees the latents, at the same numbers
            of cells.
        estimate: (n, d_Z) encoded latents.
        truth: The truth of the same cells, isotropic.
        conditions: The M training conditions that differ from the reference.
        moves: (M, d_Z) Ŵ Δ_e as learnt; true ones are those of `truth`.
        shifts: (M, K) rows Δ_e.
        effects: Those of the encoded means, with intervals.
        maps: The ladder of nested maps from encoded to true latents.
        outcome: Its name, against the random encoder.
        joint: One rotation for latents, Ŵ and base law; None where the cells do not determine it.
        nulls: A random encoder and permuted environments.
    """

    alignment: Alignment
    gram_error: float
    intervals: AlignmentIntervals
    gram_error_oracle: tuple[float, float]
    estimate: np.ndarray
    truth: Truth
    conditions: tuple[str, ...]
    moves: np.ndarray
    shifts: np.ndarray
    effects: Effects
    maps: NestedMaps
    outcome: IdentifiabilityClass
    joint: JointProcrustes | None
    nulls: Nulls

    @property
    def true_moves(self) -> np.ndarray:
        """(M, d_Z) W Δ_e."""
        return self.shifts @ self.truth.perturbation_matrix.T

    def to_json(self) -> dict:
        """The fields of `pdae-sim identify --json`."""
        a = self.alignment
        return {
            "affine_r2": a.affine_r2,
            "orthogonal_r2": a.orthogonal_r2,
            "singular_values": a.singular_values.tolist(),
            "gram_error": self.gram_error,
            "rotation": a.rotation.tolist(),
            "intervals": self.intervals.to_json(),
            "gram_error_oracle": list(self.gram_error_oracle),
            "orthogonality_defect": a.orthogonality_defect,
            "outcome": self.outcome.to_json(),
            "maps": self.maps.to_json(),
            "joint": self.joint and self.joint.to_json(),
            "effects": self.effect_rows(),
            "angles": self.angle_rows(),
            "gram": self._gram_tables(),
            "nulls": self.nulls.to_json(),
        }

    def effect_rows(self) -> list[dict]:
        """One row per condition: ‖W Δ_e‖ true, learnt, of encoded means with its interval, and of a permuted null."""
        true, learnt = (np.linalg.norm(moves, axis=1) for moves in (self.true_moves, self.moves))
        columns = zip(self.conditions, true, learnt, self.effects.sizes, self.nulls.permuted_sizes, strict=True)
        return [
            {"condition": c, "truth": float(t), "learnt": float(w), "encoded": size.to_json(), "permuted": float(null)}
            for c, t, w, size, null in columns
        ]

    def angle_rows(self) -> list[dict]:
        """One row per pair of conditions: the angle between their effects in degrees."""
        true, learnt, found = effect_angles(self.true_moves), effect_angles(self.moves), self.effects
        return [
            {
                "conditions": [self.conditions[e], self.conditions[f]],
                "truth": float(true[e, f]),
                "learnt": float(learnt[e, f]),
                "encoded": {
                    "value": float(found.angles[e, f]),
                    "low": float(found.angles_low[e, f]),
                    "high": float(found.angles_high[e, f]),
                },
            }
            for e, f in combinations(range(len(self.conditions)), 2)
        ]

    def _gram_tables(self) -> dict[str, list]:
        found = self.effects
        tables = {"truth": self.true_moves @ self.true_moves.T, "learnt": self.moves @ self.moves.T}
        tables |= {"encoded": found.gram, "low": found.gram_low, "high": found.gram_high}
        return {"conditions": list(self.conditions), **{name: table.tolist() for name, table in tables.items()}}


def identify(model: PDAE, simulation: Simulation, *, n: int = 2000, rng: object = 0) -> Identification:
    """Compare a fitted model with the truth on fresh cells.

    Args:
        model: Fitted on `simulation.data`.
        simulation: Simulated data with the state of its simulator.
        n: Fresh cells per training condition.
        rng: Seed or generator.
    """
    root, train = _random.seed_sequence(rng), simulation.data.train
    fresh = _fresh(simulation, n, root)
    truth, estimate = fresh.truth.isotropic(), model.encode(fresh.data.x)
    W, W_hat, moving = truth.perturbation_matrix, model.perturbation_matrix_, training_shifts(simulation)
    error = gram_error(W_hat, W, moving)  # first: it refuses a world without effects
    maps, nulls = _ladders(model, simulation, fresh.data, estimate, truth, root)
    return Identification(
        alignment=align(estimate, truth.z),
        gram_error=error,
        intervals=alignment_intervals(estimate, truth.z, rng=_random.child(root, "bootstrap")),
        gram_error_oracle=oracle_gram_error(W, moving, train.counts, train.reference, _random.stream(root, "oracle")),
        estimate=estimate,
        truth=truth,
        conditions=tuple(c for e, c in enumerate(train.conditions) if e != train.reference),
        moves=moving @ W_hat.T,
        shifts=moving,
        effects=estimate_effects(estimate, fresh.data.environment, reference=train.reference),
        maps=maps,
        outcome=classify_identifiability(maps, null=nulls.maps, rng=_random.child(root, "outcome")),
        joint=_joint(estimate, W_hat, fresh.data, truth, moving),
        nulls=nulls,
    )


def _ladders(
    model: PDAE,
    simulation: Simulation,
    fresh: PerturbationData,
    estimate: np.ndarray,
    truth: Truth,
    root: np.random.SeedSequence,
) -> tuple[NestedMaps, Nulls]:
    """The ladder of the model and the nulls beside it, on the same cells: at most so many, which are enough."""
    rows = np.sort(_random.stream(root, "ladder").permutation(len(estimate))[:_LADDER_CELLS])
    seed, W, moving = _random.child(root, "maps"), truth.perturbation_matrix, training_shifts(simulation)
    null = random_encoder(model, simulation.data, rng=root)(fresh.x)
    ranges = permuted_environments(estimate, fresh, W, moving, rng=root)
    null_error = gram_error(mean_matrix(null, fresh), W, moving)
    ladder = partial(fit_nested_maps, truth=truth.z[rows], rng=seed)
    return ladder(estimate[rows]), Nulls(ladder(null[rows]), null_error, *ranges)


def _joint(
    estimate: np.ndarray, W_hat: np.ndarray, fresh: PerturbationData, truth: Truth, moving: np.ndarray
) -> JointProcrustes | None:
    base = estimate - (fresh.labels @ W_hat.T)[fresh.environment]
    with suppress(InputError):
        return joint_procrustes(LatentEstimate(estimate, base, W_hat), truth, moving)
    return None


def oracle_gram_error(
    W: np.ndarray, shifts: np.ndarray, counts: np.ndarray, reference: int, rng: np.random.Generator
) -> tuple[float, float]:
    """The range of Gram errors when W Δ_e is estimated by differences of sample means of true latents."""
    d, true_moves = len(W), shifts @ W.T
    G = true_moves @ true_moves.T
    n = np.delete(counts, reference)
    errors = []
    for _ in range(_REDRAWS):
        noise = rng.standard_normal((len(n), d)) / np.sqrt(n)[:, None]
        moves = true_moves + noise - rng.standard_normal(d) / np.sqrt(counts[reference])
        errors.append(np.linalg.norm(moves @ moves.T - G) / np.linalg.norm(G))
    low, high = np.quantile(errors, [0.025, 0.975])
    return float(low), float(high)


def identification_rows(
    model: PDAE, simulation: Simulation, metrics: Collection[str], *, n: int = 2000, rng: object = 0
) -> list[dict]:
    """One row per metric for the latents and Ŵ of a model, without a condition; what fails is a row too.

    A model with another number of latents than the truth has no intervals; its ``orthogonal_r2`` is that of the best
    partial isometry.
    """

    @cache
    def aligned() -> dict[str, tuple]:
        same = model.perturbation_matrix_.shape == simulation.truth.perturbation_matrix.shape
        return (_same_dimension if same else _other_dimension)(model, simulation, n, rng)

    def found(metric: str) -> tuple:
        if metric == "gram_error":
            return _gram_error(model, simulation)
        if metric not in aligned():
            raise InputError(f"{metric} needs as many latents as the truth has")
        return aligned()[metric]

    return [_row(metric, found) for metric in IDENTIFICATION_METRICS if metric in metrics]


def oracle_rows(simulation: Simulation, metrics: Collection[str], *, rng: object = 0) -> list[dict]:
    """Rows of the oracle that sees the true latents and estimates the shifts by differences of their means."""

    def found(metric: str) -> tuple:
        return _oracle_gram_error(simulation, rng) if metric == "gram_error" else (_AT_BEST[metric],)

    return [{"estimator": "oracle", **_row(metric, found)} for metric in IDENTIFICATION_METRICS if metric in metrics]


_AT_BEST = {"affine_r2": 1.0, "orthogonal_r2": 1.0, "orthogonality_defect": 0.0}


def training_shifts(simulation: Simulation) -> np.ndarray:
    """(E − 1, K) shifts of the training labels from the reference, those that are not zero."""
    train = simulation.data.train
    shifts = train.labels - train.labels[train.reference]
    return shifts[shifts.any(1)]


def _mean_moves(simulation: Simulation) -> np.ndarray:
    """(E − 1, d_Z) differences of the means of true latents from the reference."""
    data, z = simulation.data, simulation.truth.isotropic().z
    means = np.array([z[data.environment == e].mean(0) for e in np.flatnonzero(~data.held_out)])
    train = data.train
    keep = (train.labels != train.labels[train.reference]).any(1)
    return (means - means[train.reference])[keep]


def _gram_error(model: PDAE, simulation: Simulation) -> tuple[float]:
    W = simulation.truth.isotropic().perturbation_matrix
    return (gram_error(model.perturbation_matrix_, W, training_shifts(simulation)),)


def _oracle_gram_error(simulation: Simulation, rng: object) -> tuple[float, float, float]:
    """That of the means at hand, and the range over means drawn anew."""
    train, W, shifts = (
        simulation.data.train,
        simulation.truth.isotropic().perturbation_matrix,
        training_shifts(simulation),
    )
    G = gram_matrix(W, shifts)
    if not np.linalg.norm(G):
        raise InputError("the true shifts are all zero on these environments; a relative Gram error needs an effect")
    moves = _mean_moves(simulation)
    error = float(np.linalg.norm(moves @ moves.T - G) / np.linalg.norm(G))
    generator = _random.stream(_random.seed_sequence(rng), "oracle")
    return error, *oracle_gram_error(W, shifts, train.counts, train.reference, generator)


def _same_dimension(model: PDAE, simulation: Simulation, n: int, rng: object) -> dict[str, tuple]:
    fresh = _fresh(simulation, n, rng)
    estimate, truth = model.encode(fresh.data.x), fresh.truth.isotropic().z
    found = align(estimate, truth)
    intervals = alignment_intervals(estimate, truth, rng=_random.child(_random.seed_sequence(rng), "bootstrap"))
    rows = {name: (getattr(found, name), *getattr(intervals, name)) for name in ("affine_r2", "orthogonal_r2")}
    return rows | {"orthogonality_defect": (found.orthogonality_defect,)}


def _other_dimension(model: PDAE, simulation: Simulation, n: int, rng: object) -> dict[str, tuple]:
    fresh = _fresh(simulation, n, rng)
    estimate, truth = model.encode(fresh.data.x), fresh.truth.isotropic().z
    Z_hat, Z = estimate - estimate.mean(0), truth - truth.mean(0)
    affine = np.linalg.lstsq(Z_hat, Z, rcond=None)[0]
    U, _, Vh = np.linalg.svd(Z_hat.T @ Z, full_matrices=False)
    return {"affine_r2": (r2(Z_hat @ affine, Z),), "orthogonal_r2": (r2(Z_hat @ U @ Vh, Z),)}


def _fresh(simulation: Simulation, n: int, rng: object) -> Simulation:
    """Cells of the training conditions that no fit has seen."""
    root = _random.child(_random.seed_sequence(rng), "fresh")
    return Simulator.from_state(simulation.simulator).sample(simulation.data.train.labels, n, rng=root)


def _row(metric: str, found: Callable[[str], tuple]) -> dict:
    row = {"condition": None, "metric": metric, "value": None, "low": None, "high": None}
    try:
        value = found(metric)
    except Exception as error:
        return {**row, "status": "failed", "error": f"{type(error).__name__}: {error}"}
    return {**row, **dict(zip(("value", "low", "high"), value, strict=False)), "status": "ok", "error": None}
