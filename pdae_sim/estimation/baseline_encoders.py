"""Encoders that have learnt nothing: what chance and architecture alone achieve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim._arguments import checked
from pdae_sim._linalg import whitening_root
from pdae_sim._random import SeedLike
from pdae_sim.data import PerturbationData
from pdae_sim.estimation._cell_numbers import by_cells
from pdae_sim.estimation._networks import Network, root_generator
from pdae_sim.estimation._scaling import Scaling
from pdae_sim.estimation._whitening import covariance_within
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.protocols import LatentModel

_ROWS = 8192
"""Cells encoded at once."""

_Encoder = Callable[[np.ndarray], np.ndarray]


@checked
def random_encoder(model: LatentModel, data: PerturbationData, *, rng: SeedLike = None) -> _Encoder:
    """An encoder that has learnt nothing, whitened within the environments of `data`.

    For a PDAE it is a network of the same shapes at random starting values; for any other model a random smooth map of
    as many latents. Whitening costs no learning and gives a random encoder the base law's mean and covariance.

    Args:
        model: A fitted model; of other models than a PDAE only Ŵ is asked for.
        data: Training cells: the scaling of x, and the cells to whiten on.
        rng: Seed or generator.

    Returns:
        A function from cells (n, d_X) to latents (n, d_Z).

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> from pdae_sim.estimation import PDAE, Phase
        >>> x = np.random.default_rng(0).normal(size=(400, 3))
        >>> data = PerturbationData.from_arrays(x, ["ctrl"] * 200 + ["A"] * 200)
        >>> model = PDAE(2, phases=[Phase("short", 1, {"prior": 1.0})]).fit(data)
        >>> z = random_encoder(model, data, rng=0)(x[:200])
        >>> bool(np.abs(np.cov(z.T) - np.eye(2)).max() < 0.5)
        True
    """
    data, root = data.train, _random.child(_random.seed_sequence(rng), "random encoder")
    raw = _untrained_network(model, data, root) if isinstance(model, PDAE) else _random_map(model, data, root)
    z = raw(data.stored)
    means = np.array([z[rows].mean(0) for rows in data.rows_by_environment])
    within = z - means[data.environment]
    spread = np.atleast_2d(np.cov(within, rowvar=False))
    if by_cells(data.counts):
        spread = covariance_within(data.labels, data.counts, means, within.T @ within)
    R = whitening_root(spread + 1e-12 * max(np.trace(spread), 1e-12) * np.eye(len(spread)))
    return lambda x: (raw(x) - means[data.reference]) @ R.T


def _untrained_network(model: PDAE, data: PerturbationData, root: np.random.SeedSequence) -> _Encoder:
    """The encoder of a network of the model's shapes, as it is before any training."""
    seed = int(_random.stream(root, "network").integers(2**31))
    shape = replace(model.plan_.architecture, charted=model.plan_.architecture.charted and not model.observation_.noisy)
    network = Network(model._sizes, shape, [root_generator(seed, "network")])
    scaling = Scaling.of(data, centred=shape.output == "linear")

    def encode(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            parts = torch.from_numpy(scaling.forward(x)).split(_ROWS)
            return torch.cat([network.encoder(part[None])[0] for part in parts]).numpy().astype(np.float64)

    return encode


def _random_map(model: LatentModel, data: PerturbationData, root: np.random.SeedSequence) -> _Encoder:
    """x ↦ tanh(u A + b) B of standardised cells u: random and smooth."""
    d, p, rng = len(model.perturbation_matrix_), data.stored.shape[1], _random.stream(root, "map")
    scaling, n_hidden = Scaling.of(data), max(16, 4 * d)
    A, b = 1.5 * rng.standard_normal((p, n_hidden)) / np.sqrt(p), rng.standard_normal(n_hidden)
    B = rng.standard_normal((n_hidden, d))
    return lambda x: np.tanh(scaling.forward(x).astype(np.float64) @ A + b) @ B
