"""Metrics of identification as rows: learnt latents and Ŵ, or those of an oracle, against the truth of a simulation."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import cache, partial

import numpy as np

from pdae_sim import _random
from pdae_sim._arguments import checked
from pdae_sim._random import SeedLike
from pdae_sim.analysis.identifiability.alignment import align, alignment_intervals, gram_error, gram_matrix, r2
from pdae_sim.data import Simulation
from pdae_sim.errors import InputError
from pdae_sim.protocols import LatentModel
from pdae_sim.study._oracle import fresh_cells, oracle_gram_error
from pdae_sim.study._rows import measured_row
from pdae_sim.study.identification import training_shifts

IDENTIFICATION_METRICS = ("affine_r2", "orthogonal_r2", "orthogonality_defect", "gram_error")
"""Metrics of learnt latents and Ŵ; the defect is the largest |σ − 1| of the affine map's singular values."""

_PERFECT = {"affine_r2": 1.0, "orthogonal_r2": 1.0, "orthogonality_defect": 0.0}
_Numbers = Sequence[float]


@checked
def identification_rows(
    model: LatentModel, simulation: Simulation, metrics: Collection[str], *, n: int = 2000, rng: SeedLike = None
) -> list[dict]:
    """One row per metric for the latents and Ŵ of a model, without a condition; what fails is a row too.

    A model with another number of latents than the truth has no intervals; its ``orthogonal_r2`` is that of the best
    partial isometry.

    Args:
        model: Fitted on `simulation.data`.
        simulation: Simulated data with the state of its simulator.
        metrics: Which of `IDENTIFICATION_METRICS` to measure.
        n: Fresh cells per training condition.
        rng: Whatever `numpy.random.default_rng` takes.

    Example:
        >>> from types import SimpleNamespace
        >>> from pdae_sim import LinearLatentModel, Simulator
        >>> world = Simulator.random(LinearLatentModel.random(2, 2, rng=0), n_observed=3, rng=0)
        >>> simulation = world.sample(["ctrl", "A", "B"], 50, rng=0)
        >>> model = SimpleNamespace(encode=world.encode, perturbation_matrix_=np.eye(2))
        >>> [row] = identification_rows(model, simulation, ["affine_r2"], n=50, rng=0)
        >>> row["value"] > 1 - 1e-9
        True
    """
    root = _random.seed_sequence(rng)

    @cache
    def aligned() -> dict[str, _Numbers]:
        same = model.perturbation_matrix_.shape == simulation.truth.perturbation_matrix.shape
        return (_same_dimension if same else _other_dimension)(model, simulation, n, root)

    def numbers(metric: str) -> _Numbers:
        if metric == "gram_error":
            W = simulation.truth.isotropic().perturbation_matrix
            return (gram_error(model.perturbation_matrix_, W, training_shifts(simulation.data)),)
        if metric not in aligned():
            raise InputError(f"{metric} needs as many latents as the truth has")
        return aligned()[metric]

    return _rows(numbers, metrics)


@checked
def oracle_rows(simulation: Simulation, metrics: Collection[str], *, rng: SeedLike = None) -> list[dict]:
    """Rows of the oracle that sees the true latents and estimates the shifts by differences of their means.

    Args:
        simulation: Simulated data.
        metrics: Which of `IDENTIFICATION_METRICS` to measure.
        rng: Whatever `numpy.random.default_rng` takes, for the interval of the Gram error.

    Example:
        >>> from pdae_sim import LinearLatentModel, Simulator
        >>> world = Simulator.random(LinearLatentModel.random(2, 2, rng=0), n_observed=3, rng=0)
        >>> [row] = oracle_rows(world.sample(["ctrl", "A", "B"], 50, rng=0), ["gram_error"], rng=0)
        >>> row["value"] < 1
        True
    """

    def numbers(metric: str) -> _Numbers:
        return _oracle_gram_error(simulation, rng) if metric == "gram_error" else (_PERFECT[metric],)

    return [{"estimator": "oracle", **row} for row in _rows(numbers, metrics)]


def _rows(numbers: Callable[[str], _Numbers], metrics: Collection[str]) -> list[dict]:
    chosen = [metric for metric in IDENTIFICATION_METRICS if metric in metrics]
    return [{"condition": None, **measured_row(metric, partial(numbers, metric))} for metric in chosen]


def _oracle_gram_error(simulation: Simulation, rng: SeedLike) -> _Numbers:
    """Gram error of the means at hand, with the range over means drawn anew."""
    train, W = simulation.data.train, simulation.truth.isotropic().perturbation_matrix
    shifts = training_shifts(simulation.data)
    G = gram_matrix(W, shifts)
    if not np.linalg.norm(G):
        raise InputError("the true shifts are all zero on these environments; a relative Gram error needs an effect")
    moves = _mean_moves(simulation)
    error = float(np.linalg.norm(moves @ moves.T - G) / np.linalg.norm(G))
    stream = _random.stream(_random.seed_sequence(rng), "oracle")
    return error, *oracle_gram_error(W, shifts, train.counts, train.reference, stream)


def _mean_moves(simulation: Simulation) -> np.ndarray:
    """Differences (M, d_Z) of the means of true latents from the reference."""
    data, z = simulation.data, simulation.truth.isotropic().z
    means = np.array([z[data.environment == e].mean(0) for e in np.flatnonzero(~data.held_out)])
    train = data.train
    perturbed = (train.labels != train.labels[train.reference]).any(1)
    return (means - means[train.reference])[perturbed]


def _same_dimension(
    model: LatentModel, simulation: Simulation, n: int, root: np.random.SeedSequence
) -> dict[str, _Numbers]:
    fresh = fresh_cells(simulation, n, rng=root)
    estimate, truth = model.encode(fresh.data.x), fresh.truth.isotropic().z
    alignment = align(estimate, truth)
    intervals = alignment_intervals(estimate, truth, rng=_random.child(root, "bootstrap"))
    return {
        "affine_r2": (alignment.affine_r2, *intervals.affine_r2),
        "orthogonal_r2": (alignment.orthogonal_r2, *intervals.orthogonal_r2),
        "orthogonality_defect": (alignment.orthogonality_defect,),
    }


def _other_dimension(
    model: LatentModel, simulation: Simulation, n: int, root: np.random.SeedSequence
) -> dict[str, _Numbers]:
    fresh = fresh_cells(simulation, n, rng=root)
    estimate, truth = model.encode(fresh.data.x), fresh.truth.isotropic().z
    Z_hat, Z = estimate - estimate.mean(0), truth - truth.mean(0)
    affine = np.linalg.lstsq(Z_hat, Z, rcond=None)[0]
    U, _, Vh = np.linalg.svd(Z_hat.T @ Z, full_matrices=False)
    return {"affine_r2": (r2(Z_hat @ affine, Z),), "orthogonal_r2": (r2(Z_hat @ U @ Vh, Z),)}
