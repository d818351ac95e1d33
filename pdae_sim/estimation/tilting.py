"""Exponential tilting: unseen laws by reweighting the cells that were seen, without a decoder.

If Δ_t = L α then dP_t/dP_0 ∝ ∏_e (dP_e/dP_0)^{α_e} (claim 2.7). With log-linear ratios in a learnt representation the
weight of a pooled training cell is

    w(x) ∝ exp((Ŵ l_t)ᵀ g(x)) / Σ_e π_e exp((Ŵ l_e)ᵀ g(x) − ½ ‖Ŵ l_e‖²),   π_e = n_e / n.

Under noise the formula holds for latents and not for cells. As x given z has the same law under every label, the ratio
of the densities of noisy cells is p_t(x) / p_mix(x) = E[w(z) | x], over the posterior under the mixture of the training
environments: cells are weighed by the mean of w at draws of it.
"""

from __future__ import annotations

import copy

import numpy as np
from scipy.special import logsumexp

from pdae_sim._checks import whole
from pdae_sim._random import SeedLike, seed_sequence, stream
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._base import BaseEstimator
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.labels import Condition
from pdae_sim.protocols import LatentModel

_DRAWS = 8
"""Posterior draws of the latents of a cell."""
_TOGETHER = 256
"""Cells whose ratios to all environments are held at once."""


class Tilting(BaseEstimator):
    """Weighted resampling of the pooled training cells.

    Args:
        representation: A model whose g and Ŵ to use: as they are if it is fitted, else those of a copy fitted to the
            same data; without one those of `PDAE`.
        random_state: Seed of that training.

    References:
        Theory, claim 2.7.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PerturbationData
        >>> shifts = np.repeat([[0, 0, 0], [2, 0, 0], [0, 2, 0]], 100, axis=0)
        >>> x = np.random.default_rng(0).normal(size=(300, 3)) + shifts
        >>> data = PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "B"], 100))
        >>> from pdae_sim import PDAE
        >>> from pdae_sim.estimation import PRESETS
        >>> quick = PRESETS["represent"].shortened(100)
        >>> model = PDAE(2, phases=quick.phases, architecture=quick.architecture).fit(data)
        >>> tilting = Tilting(model).fit(data)
        >>> near, far = (tilting.effective_sample_size(condition) for condition in ("A:0.5", "A:3+B:3"))
        >>> near > far
        True
    """

    def __init__(self, representation: LatentModel | None = None, *, random_state: int = 0) -> None:
        self.representation, self.random_state = representation, random_state

    def fit(self, data: PerturbationData) -> Tilting:
        """Take g and Ŵ from the representation, or learn them, and encode the training cells."""
        self._train, self.space_ = (train := data.train), data.space
        model = self.representation or PDAE(random_state=self.random_state)
        model = model if isinstance(model, LatentModel) else copy.copy(model).fit(train)
        self._W, self._z = model.perturbation_matrix_, _latents(model, train)
        shifts = train.labels @ self._W.T
        half, log_share = 0.5 * (shifts**2).sum(1), np.log(train.counts / train.counts.sum())
        parts = (slice(start, start + _TOGETHER) for start in range(0, len(train.environment), _TOGETHER))
        found = [logsumexp(self._z[:, part] @ shifts.T - half + log_share, axis=2) for part in parts]
        self._log_mixture = np.concatenate(found, axis=1)
        return self

    def weights(self, label: Condition) -> np.ndarray:
        """(n,) weights of the training cells at a label, adding to one."""
        label = self.space.label(label)
        log_weights = logsumexp(self._z @ (self._W @ label) - self._log_mixture, axis=0)
        if not np.isfinite(log_weights).all():
            raise InputError("the label is too far from the training labels to tilt to; lower the dose")
        return np.exp(log_weights - logsumexp(log_weights))

    def effective_sample_size(self, label: Condition) -> float:
        """1 / Σ w²: how many of the training cells the prediction rests on."""
        return float(1 / (self.weights(label) ** 2).sum())

    def sample(self, label: Condition, n: int, *, rng: SeedLike = None) -> np.ndarray:
        """n draws (n, d_X) with replacement by weight."""
        weights = self.weights(label)
        rows = stream(seed_sequence(rng), "cells").choice(len(weights), whole("n", n), p=weights)
        return self._train.gathered(rows).astype(np.float64)


def _latents(model: LatentModel, data: PerturbationData) -> np.ndarray:
    """Latents (k, n, d_Z) of cells: g(x) alone, or under noise some draws of their posterior."""
    if isinstance(model, PDAE) and model.observation_.noisy:
        return model.encode(data.stored, draws=_DRAWS, rng=0)
    return model.encode(data.stored if isinstance(model, PDAE) else data.x)[None]
