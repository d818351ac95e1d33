"""Identifiability of a fitted model on simulated data: learnt latents and Ŵ against the truth."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cache

import numpy as np

from pdae_sim import _random
from pdae_sim._checks import InputError
from pdae_sim.analysis.alignment import Alignment, align, gram, gram_error, r2
from pdae_sim.data import Simulation, Truth
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.simulation.simulator import Simulator

METRICS = ("affine_r2", "orthogonal_r2", "orthogonality_defect", "gram_error")
"""What learnt latents and Ŵ are judged by; the defect is the largest |σ − 1| of the affine map's singular values."""

_BOOTSTRAPS = 200


@dataclass(frozen=True, eq=False)
class Identification:
    """Latents and Ŵ of a model against the truth in isotropic form, on fresh cells of the training conditions.

    Args:
        alignment: Of encoded with true latents.
        gram_error: ‖Ĝ − G‖ / ‖G‖ on the training shifts.
        intervals: 95 % bootstrap intervals over cells of ``affine_r2``, ``orthogonal_r2`` and ``singular_values``.
        gram_error_oracle: Central 95 % range of the Gram error of an oracle that sees the latents, at the same numbers
            of cells.
        estimate: (n, d_Z) encoded latents.
        truth: The truth of the same cells, isotropic.
    """

    alignment: Alignment
    gram_error: float
    intervals: dict[str, list]
    gram_error_oracle: tuple[float, float]
    estimate: np.ndarray
    truth: Truth

    def to_json(self) -> dict:
        """The fields of `pdae-sim identify --json`."""
        a = self.alignment
        return {
            "affine_r2": a.affine_r2,
            "orthogonal_r2": a.orthogonal_r2,
            "singular_values": a.singular_values.tolist(),
            "gram_error": self.gram_error,
            "rotation": a.rotation.tolist(),
            "intervals": self.intervals,
            "gram_error_oracle": list(self.gram_error_oracle),
        }


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
    moving = moving_shifts(simulation)
    return Identification(
        align(estimate, truth.z),
        gram_error(model.perturbation_matrix_, truth.perturbation_matrix, moving),
        bootstrap(estimate, truth.z, _random.stream(root, "bootstrap")),
        oracle_gram_error(
            truth.perturbation_matrix, moving, train.counts, train.reference, _random.stream(root, "oracle")
        ),
        estimate,
        truth,
    )


def bootstrap(estimate: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> dict[str, list]:
    """95 % percentile intervals of the alignment over resampled cells."""
    draws = [align(estimate[rows], truth[rows]) for rows in rng.integers(len(truth), size=(_BOOTSTRAPS, len(truth)))]
    return {
        name: np.quantile([getattr(draw, name) for draw in draws], [0.025, 0.975], axis=0).T.tolist()
        for name in ("affine_r2", "orthogonal_r2", "singular_values")
    }


def oracle_gram_error(
    W: np.ndarray, shifts: np.ndarray, counts: np.ndarray, reference: int, rng: np.random.Generator
) -> tuple[float, float]:
    """The range of Gram errors when W Δ_e is estimated by differences of sample means of true latents."""
    d, true_moves = len(W), shifts @ W.T
    G = true_moves @ true_moves.T
    n = np.delete(counts, reference)
    errors = []
    for _ in range(_BOOTSTRAPS):
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

    return [_row(metric, found) for metric in METRICS if metric in metrics]


def oracle_rows(simulation: Simulation, metrics: Collection[str], *, rng: object = 0) -> list[dict]:
    """Rows of the oracle that sees the true latents and estimates the shifts by differences of their means."""

    def found(metric: str) -> tuple:
        return _oracle_gram_error(simulation, rng) if metric == "gram_error" else (_AT_BEST[metric],)

    return [{"estimator": "oracle", **_row(metric, found)} for metric in METRICS if metric in metrics]


_AT_BEST = {"affine_r2": 1.0, "orthogonal_r2": 1.0, "orthogonality_defect": 0.0}


def moving_shifts(simulation: Simulation) -> np.ndarray:
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
    return (gram_error(model.perturbation_matrix_, W, moving_shifts(simulation)),)


def _oracle_gram_error(simulation: Simulation, rng: object) -> tuple[float, float, float]:
    """That of the means at hand, and the range over means drawn anew."""
    train, W, shifts = (
        simulation.data.train,
        simulation.truth.isotropic().perturbation_matrix,
        moving_shifts(simulation),
    )
    G = gram(W, shifts)
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
    intervals = bootstrap(estimate, truth, _random.stream(_random.seed_sequence(rng), "bootstrap"))
    rows = {name: (getattr(found, name), *intervals[name]) for name in ("affine_r2", "orthogonal_r2")}
    return rows | {"orthogonality_defect": (float(np.abs(found.singular_values - 1).max()),)}


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
