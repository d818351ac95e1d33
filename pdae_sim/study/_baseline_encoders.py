"""What chance and architecture alone achieve: a random encoder, and permuted environment labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pdae_sim import _random
from pdae_sim.analysis.identifiability.alignment import gram_error
from pdae_sim.analysis.identifiability.nested_maps import NestedMaps
from pdae_sim.data import PerturbationData

_PERMUTATIONS = 200


@dataclass(frozen=True, eq=False)
class Nulls:
    """What there is to beat.

    Args:
        maps: The ladder of a random encoder on the cells that judged the model's.
        encoder_gram_error: Of its own mean shifts.
        permuted_gram_error: Central 95 % range when environments are shuffled between cells before W is estimated.
        permuted_sizes: (M,) 97.5 % points of the lengths of the effects then.
    """

    maps: NestedMaps
    encoder_gram_error: float
    permuted_gram_error: tuple[float, float]
    permuted_sizes: np.ndarray

    def to_json(self) -> dict:
        """Both nulls as plain values."""
        permuted = {"gram_error": list(self.permuted_gram_error), "sizes": self.permuted_sizes.tolist()}
        encoder = {"maps": self.maps.to_json(), "gram_error": self.encoder_gram_error}
        return {"random_encoder": encoder, "permuted_environments": permuted}


def mean_matrix(z: np.ndarray, data: PerturbationData) -> np.ndarray:
    """Ŵ (d_Z, K) by least squares of differences of mean latents on differences of labels."""
    means = np.array([z[rows].mean(0) for rows in data.rows_by_environment])
    shifts, moves = data.labels - data.labels[data.reference], means - means[data.reference]
    return np.linalg.lstsq(shifts, moves, rcond=None)[0].T


def permuted_environments(
    z: np.ndarray, data: PerturbationData, W: np.ndarray, shifts: np.ndarray, *, rng: object = 0
) -> tuple[tuple[float, float], np.ndarray]:
    """Gram errors and lengths of effects when environments are shuffled between cells before W is estimated.

    Args:
        z: (n, d_Z) encoded latents.
        data: The same cells.
        W: The true matrix (d_Z, K).
        shifts: (M, K) rows Δ_e.
        rng: Seed or generator.

    Returns:
        The central 95 % range of ‖Ĝ − G‖ / ‖G‖, and (M,) 97.5 % points of ‖Ŵ Δ_e‖.
    """
    stream = _random.stream(_random.seed_sequence(rng), "permuted")
    estimates = [mean_matrix(z[stream.permutation(len(z))], data) for _ in range(_PERMUTATIONS)]
    errors = [gram_error(estimate, W, shifts) for estimate in estimates]
    lengths = [np.linalg.norm(shifts @ estimate.T, axis=1) for estimate in estimates]
    low, high = np.quantile(errors, [0.025, 0.975])
    return (float(low), float(high)), np.quantile(lengths, 0.975, axis=0)
