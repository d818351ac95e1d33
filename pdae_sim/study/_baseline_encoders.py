"""What chance and architecture alone achieve: a random encoder, and environments that mean nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim._linalg import whitening_root
from pdae_sim.analysis.identifiability.alignment import gram_error
from pdae_sim.analysis.identifiability.nested_maps import NestedMaps
from pdae_sim.data import PerturbationData
from pdae_sim.estimation._scaling import Scaling
from pdae_sim.estimation.networks import Network, root_generator
from pdae_sim.estimation.pdae import PDAE

_PERMUTATIONS = 200
_ROWS = 8192  # cells encoded at once

Encoder = Callable[[np.ndarray], np.ndarray]


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


def random_encoder(model: object, data: PerturbationData, *, rng: object = 0) -> Encoder:
    """An encoder that has learnt nothing, whitened within the environments of `data`.

    For a PDAE it is a network of the same shapes at random starting values; for any other model a random smooth map of
    as many latents. Whitening costs no learning and gives a random encoder the base law's mean and covariance.

    Args:
        model: With `perturbation_matrix_` (d_Z, K).
        data: Training cells: the scaling of x, and the cells to whiten on.
        rng: Seed or generator.
    """
    data, root = data.train, _random.child(_random.seed_sequence(rng), "random encoder")
    make = untrained_network if isinstance(model, PDAE) else random_map
    raw = make(model, data, root)
    z = raw(data.x)
    means = np.array([z[rows].mean(0) for rows in data.rows_by_environment])
    within = z - means[data.environment]
    spread = np.atleast_2d(np.cov(within, rowvar=False))
    R = whitening_root(spread + 1e-12 * max(np.trace(spread), 1e-12) * np.eye(len(spread)))
    return lambda x: (raw(x) - means[data.reference]) @ R.T


def untrained_network(model: PDAE, data: PerturbationData, root: np.random.SeedSequence) -> Encoder:
    """The encoder of a network of the model's shapes, as it is before any training."""
    seed = int(_random.stream(root, "network").integers(2**31))
    network = Network(model.sizes, model.architecture, [root_generator(seed, "network")])
    scaling = Scaling.of(data, centred=model.architecture.output == "linear")

    def encode(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            parts = torch.from_numpy(scaling.forward(x)).split(_ROWS)
            return torch.cat([network.encoder(part[None])[0] for part in parts]).numpy().astype(np.float64)

    return encode


def random_map(model: object, data: PerturbationData, root: np.random.SeedSequence) -> Encoder:
    """x ↦ tanh(u A + b) B of standardised cells u: random and smooth."""
    d, p, rng = len(model.perturbation_matrix_), data.x.shape[1], _random.stream(root, "map")
    scaling, n_hidden = Scaling.of(data), max(16, 4 * d)
    A, b = 1.5 * rng.standard_normal((p, n_hidden)) / np.sqrt(p), rng.standard_normal(n_hidden)
    B = rng.standard_normal((n_hidden, d))
    return lambda x: np.tanh(scaling.forward(x).astype(np.float64) @ A + b) @ B


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
