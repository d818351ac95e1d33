"""Identifiability of a fitted model on simulated data: learnt latents and Ŵ against the truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdae_sim import _random
from pdae_sim.analysis.alignment import Alignment, align, gram_error
from pdae_sim.data import Simulation, Truth
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.simulation.simulator import Simulator

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
    fresh = Simulator.from_state(simulation.simulator).sample(train.labels, n, rng=_random.child(root, "fresh"))
    truth, estimate = fresh.truth.isotropic(), model.encode(fresh.data.x)
    shifts = train.labels - train.labels[train.reference]
    moving = shifts[shifts.any(1)]
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
