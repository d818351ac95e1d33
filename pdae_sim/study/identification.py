"""Identifiability of a fitted model on simulated data: learnt latents and Ŵ against the truth."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked
from pdae_sim._json import plain
from pdae_sim._random import SeedLike
from pdae_sim.analysis.efficiency import efficient_limit
from pdae_sim.analysis.identifiability.alignment import (
    Alignment,
    AlignmentIntervals,
    align,
    alignment_intervals,
    gram_error,
)
from pdae_sim.analysis.identifiability.effects import Effects, effect_angles, estimate_effects
from pdae_sim.analysis.identifiability.identifiability_class import IdentifiabilityClass, classify_identifiability
from pdae_sim.analysis.identifiability.nested_maps import NestedMaps, fit_nested_maps
from pdae_sim.analysis.identifiability.procrustes import JointProcrustes, LatentEstimate, joint_procrustes
from pdae_sim.data import PerturbationData, Simulation, Truth
from pdae_sim.errors import InputError
from pdae_sim.estimation.baseline_encoders import random_encoder
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.intervals import Interval
from pdae_sim.protocols import LatentModel
from pdae_sim.simulation.simulator import Simulator
from pdae_sim.study._oracle import central_range, fresh_cells, oracle_gram_error

_LADDER_CELLS = 12_000
_PERMUTATIONS = 200


@dataclass(frozen=True, eq=False)
class NullResults:
    """What chance and architecture alone achieve: a random encoder, and permuted environment labels.

    Args:
        maps: Nested maps of a random encoder on the cells that judged the model's.
        encoder_gram_error: Gram error of the mean shifts of that encoder.
        permuted_gram_error: Central 95 % range when environments are shuffled between cells before W is estimated.
        permuted_sizes: (M,) 97.5 % points of the lengths of the effects then.
    """

    maps: NestedMaps
    encoder_gram_error: float
    permuted_gram_error: Interval
    permuted_sizes: np.ndarray

    def to_json(self) -> dict[str, object]:
        """Both nulls by name."""
        permuted = {"gram_error": self.permuted_gram_error, "sizes": self.permuted_sizes}
        encoder = {"maps": self.maps, "gram_error": self.encoder_gram_error}
        return {"random_encoder": encoder, "permuted_environments": permuted}


@dataclass(frozen=True, eq=False)
class Identification:
    """Latents and Ŵ of a model against the truth in isotropic form, on fresh cells of the training conditions.

    Args:
        alignment: Alignment of encoded with true latents.
        gram_error: ‖Ĝ − G‖ / ‖G‖ on the training shifts.
        intervals: 95 % intervals over cells of ``affine_r2``, ``orthogonal_r2`` and ``singular_values``.
        gram_error_oracle: Central 95 % range of the Gram error of an oracle that sees the latents, at the same numbers
            of cells.
        gram_error_limit: The least root mean square of a regular estimator that has to learn f, from such numbers of
            cells without noise (`efficient_limit`); None where the world breaks another assumption of it, and where
            effects are too many.
        estimate: (n, d_Z) encoded latents.
        truth: The truth of the same cells, isotropic.
        conditions: The M training conditions that differ from the reference.
        moves: (M, d_Z) Ŵ Δ_e as learnt; true ones are those of `truth`.
        shifts: (M, K) rows Δ_e.
        effects: Effects of the encoded means, with intervals.
        maps: Nested maps from encoded to true latents.
        outcome: Class of maps up to which the latents are identified, against the random encoder.
        joint: One rotation for latents, Ŵ and base law; None where the cells do not determine it.
        nulls: What a random encoder and permuted environments achieve.
    """

    alignment: Alignment
    gram_error: float
    intervals: AlignmentIntervals
    gram_error_oracle: Interval
    gram_error_limit: float | None
    estimate: np.ndarray
    truth: Truth
    conditions: tuple[str, ...]
    moves: np.ndarray
    shifts: np.ndarray
    effects: Effects
    maps: NestedMaps
    outcome: IdentifiabilityClass
    joint: JointProcrustes | None
    nulls: NullResults

    @property
    def true_moves(self) -> np.ndarray:
        """(M, d_Z) W Δ_e."""
        return self.shifts @ self.truth.perturbation_matrix.T

    def to_json(self) -> dict[str, object]:
        """The fields of `pdae-sim identify --json`."""
        a = self.alignment
        fields = {
            "affine_r2": a.affine_r2,
            "orthogonal_r2": a.orthogonal_r2,
            "singular_values": a.singular_values,
            "gram_error": self.gram_error,
            "rotation": a.rotation,
            "intervals": self.intervals,
            "gram_error_oracle": self.gram_error_oracle,
            "gram_error_limit": self.gram_error_limit,
            "orthogonality_defect": a.orthogonality_defect,
            "outcome": self.outcome,
            "maps": self.maps,
            "joint": self.joint,
            "effects": self.effect_rows(),
            "angles": self.angle_rows(),
            "gram": self._gram_tables(),
            "nulls": self.nulls,
        }
        return {name: plain(value) for name, value in fields.items()}

    def effect_rows(self) -> list[dict]:
        """One row per condition: ‖W Δ_e‖ true, learnt, of encoded means with its interval, and of a permuted null."""
        true, learnt = (np.linalg.norm(moves, axis=1) for moves in (self.true_moves, self.moves))
        columns = (self.conditions, true, learnt, self.effects.sizes, self.nulls.permuted_sizes)
        names = ("condition", "truth", "learnt", "encoded", "permuted")
        return [
            {name: plain(value) for name, value in zip(names, row, strict=True)} for row in zip(*columns, strict=True)
        ]

    def angle_rows(self) -> list[dict]:
        """One row per pair of conditions: the angle between their effects in degrees."""
        true, learnt, encoded = effect_angles(self.true_moves), effect_angles(self.moves), self.effects
        angles = {"value": encoded.angles, "low": encoded.angles_low, "high": encoded.angles_high}
        return [
            {
                "conditions": [self.conditions[e], self.conditions[f]],
                "truth": plain(true[e, f]),
                "learnt": plain(learnt[e, f]),
                "encoded": {name: plain(angle[e, f]) for name, angle in angles.items()},
            }
            for e, f in combinations(range(len(self.conditions)), 2)
        ]

    def _gram_tables(self) -> dict[str, object]:
        tables = {"truth": self.true_moves @ self.true_moves.T, "learnt": self.moves @ self.moves.T}
        encoded = {"encoded": self.effects.gram, "low": self.effects.gram_low, "high": self.effects.gram_high}
        return {"conditions": self.conditions, **tables, **encoded}


@checked
def training_shifts(data: PerturbationData) -> np.ndarray:
    """Shifts Δ_e (M, K) of the training labels from the reference, those that are not zero.

    Args:
        data: Training and held-out environments.

    Example:
        >>> data = PerturbationData.from_arrays(np.zeros((3, 1)), ["ctrl", "A", "A+B"])
        >>> training_shifts(data).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """
    train = data.train
    shifts = train.labels - train.labels[train.reference]
    return shifts[shifts.any(1)]


@checked
def identify(model: LatentModel, simulation: Simulation, *, n: int = 2000, rng: SeedLike = None) -> Identification:
    """Compare a fitted model with the truth on fresh cells.

    Args:
        model: Fitted on `simulation.data`.
        simulation: Simulated data with the state of its simulator.
        n: Fresh cells per training condition.
        rng: Whatever `numpy.random.default_rng` takes.

    Raises:
        InputError: If the world has no effects, or cells are too few.

    Example:
        >>> from types import SimpleNamespace
        >>> from pdae_sim import LinearLatentModel, Simulator
        >>> world = Simulator.random(LinearLatentModel.random(2, 2, rng=0), n_observed=3, rng=0)
        >>> simulation = world.sample(["ctrl", "A", "B"], 50, rng=0)
        >>> R, W = world.latent.whitening, simulation.truth.isotropic().perturbation_matrix
        >>> exact = SimpleNamespace(encode=lambda x: world.encode(x) @ R.T, perturbation_matrix_=W)
        >>> identify(exact, simulation, n=50, rng=0).gram_error < 1e-9
        True
    """
    root, train = _random.seed_sequence(rng), simulation.data.train
    fresh = fresh_cells(simulation, n, rng=root)
    truth, estimate = fresh.truth.isotropic(), model.encode(fresh.data.x)
    W, W_hat, moving = truth.perturbation_matrix, model.perturbation_matrix_, training_shifts(simulation.data)
    error = gram_error(W_hat, W, moving)  # first: it refuses a world without effects
    maps, nulls = _ladders(model, simulation, fresh.data, estimate, truth, root)
    return Identification(
        alignment=align(estimate, truth.z),
        gram_error=error,
        intervals=alignment_intervals(estimate, truth.z, rng=_random.child(root, "bootstrap")),
        gram_error_oracle=oracle_gram_error(W, moving, train.counts, train.reference, _random.stream(root, "oracle")),
        gram_error_limit=_least_gram_error(W, simulation),
        estimate=estimate,
        truth=truth,
        conditions=tuple(c for e, c in enumerate(train.conditions) if e != train.reference),
        moves=moving @ W_hat.T,
        shifts=moving,
        effects=_effects(model, fresh.data, estimate, train.reference),
        maps=maps,
        outcome=classify_identifiability(maps, null=nulls.maps, rng=_random.child(root, "outcome")),
        joint=_joint(estimate, W_hat, fresh.data, truth, moving),
        nulls=nulls,
    )


def _least_gram_error(W: np.ndarray, simulation: Simulation) -> float | None:
    if set(Simulator.from_state(simulation.simulator).assumptions().broken) - {"noiseless", "recoverable"}:
        return None
    train = simulation.data.train
    with suppress(InputError):  # too many effects
        limit = efficient_limit(train.labels, counts=train.counts, perturbation_matrix=W, reference=train.reference)
        return limit.gram_error
    return None


def _effects(model: LatentModel, fresh: PerturbationData, estimate: np.ndarray, reference: int) -> Effects:
    """Effects of encoded means; of noisy cells from posterior means under the prior of each cell's condition."""
    if not isinstance(model, PDAE) or not model.observation_.noisy:
        return estimate_effects(estimate, fresh.environment, reference=reference)
    means, prior = np.empty_like(estimate), (fresh.labels @ model.perturbation_matrix_.T)[fresh.environment]
    for label, rows in zip(fresh.labels, fresh.rows_by_environment, strict=True):
        means[rows] = model.encode(fresh.x[rows], condition=label)
    given = {"information": model.information_, "prior_means": prior}
    return estimate_effects(means, fresh.environment, reference=reference, **given)


def _ladders(
    model: LatentModel,
    simulation: Simulation,
    fresh: PerturbationData,
    estimate: np.ndarray,
    truth: Truth,
    root: np.random.SeedSequence,
) -> tuple[NestedMaps, NullResults]:
    """Nested maps of the model and the nulls beside them, on the same cells."""
    rows = np.sort(_random.stream(root, "ladder").permutation(len(estimate))[:_LADDER_CELLS])
    seed, W, moving = _random.child(root, "maps"), truth.perturbation_matrix, training_shifts(simulation.data)
    null = random_encoder(model, simulation.data, rng=root)(fresh.x)
    ranges = _permuted_environments(estimate, fresh, W, moving, root)
    null_error = gram_error(_mean_matrix(null, fresh), W, moving)
    fit_maps = partial(fit_nested_maps, truth=truth.z[rows], rng=seed)
    return fit_maps(estimate[rows]), NullResults(fit_maps(null[rows]), null_error, *ranges)


def _joint(
    estimate: np.ndarray, W_hat: np.ndarray, fresh: PerturbationData, truth: Truth, moving: np.ndarray
) -> JointProcrustes | None:
    base = estimate - (fresh.labels @ W_hat.T)[fresh.environment]
    with suppress(InputError):
        return joint_procrustes(LatentEstimate(estimate, base, W_hat), truth, moving)
    return None


def _permuted_environments(
    z: np.ndarray, data: PerturbationData, W: np.ndarray, shifts: np.ndarray, root: np.random.SeedSequence
) -> tuple[Interval, np.ndarray]:
    """Gram errors and lengths of effects when environments are shuffled between cells before W is estimated.

    Args:
        z: (n, d_Z) encoded latents.
        data: The same cells.
        W: The true matrix (d_Z, K).
        shifts: (M, K) rows Δ_e.
        root: Root seed of the permutations.

    Returns:
        The central 95 % range of ‖Ĝ − G‖ / ‖G‖, and (M,) 97.5 % points of ‖Ŵ Δ_e‖.
    """
    stream = _random.stream(root, "permuted")
    estimates = [_mean_matrix(z[stream.permutation(len(z))], data) for _ in range(_PERMUTATIONS)]
    errors = [gram_error(estimate, W, shifts) for estimate in estimates]
    lengths = [np.linalg.norm(shifts @ estimate.T, axis=1) for estimate in estimates]
    return central_range(errors), np.quantile(lengths, 0.975, axis=0)


def _mean_matrix(z: np.ndarray, data: PerturbationData) -> np.ndarray:
    """Ŵ (d_Z, K) by least squares of the latents of all cells on their labels, with an intercept.

    From means by condition, weighted by cells: the reference has an error like any other, and each cell counts once.
    """
    means, root = np.array([z[rows].mean(0) for rows in data.rows_by_environment]), np.sqrt(data.counts)[:, None]
    design = np.column_stack([np.ones(len(means)), data.labels - data.labels[data.reference]])
    return np.linalg.lstsq(root * design, root * means, rcond=None)[0][1:].T
