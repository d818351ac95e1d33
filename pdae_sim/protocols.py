"""What rooms ask of one another's models, as protocols: no class has to inherit from them."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from pdae_sim._random import SeedLike
from pdae_sim.data import PerturbationData
from pdae_sim.labels import Condition, LabelSpace


@runtime_checkable
class GenerativeModel(Protocol):
    """Interface of a generative model: a law of cells under every label of a label space.

    Example:
        >>> from pdae_sim.protocols import GenerativeModel
        >>> class Normal:
        ...     space = LabelSpace(("A", "B"))
        ...     def sample(self, condition, n, *, rng=None):
        ...         return self.space.label(condition) + np.random.default_rng(rng).normal(size=(n, 2))
        >>> isinstance(Normal(), GenerativeModel), Normal().sample("A+B", 5, rng=0).shape
        (True, (5, 2))
    """

    @property
    def space(self) -> LabelSpace:
        """The perturbations that a condition may name."""

    def sample(self, condition: Condition, n: int, /, *, rng: SeedLike = None) -> np.ndarray:
        """Cells (n, d_X), float64, of the law under a condition; `rng` is whatever `numpy.random.default_rng` takes."""


@runtime_checkable
class Estimator(Protocol):
    """Interface of an estimator: fit to training environments, sample unseen conditions.

    Example:
        >>> from pdae_sim.protocols import Estimator
        >>> class Nothing:
        ...     def fit(self, data): return self
        ...     def sample(self, condition, n, *, rng=None): return np.zeros((n, 1))
        >>> isinstance(Nothing(), Estimator)
        True
    """

    def fit(self, data: PerturbationData) -> Estimator:
        """Learn from the environments of `data` that are not held out."""

    def sample(self, condition: Condition, n: int, /, *, rng: SeedLike = None) -> np.ndarray:
        """Cells (n, d_X), float64, of the predicted law at a condition."""


@runtime_checkable
class LatentModel(Protocol):
    """Interface of a model with latents: an encoder and the latent shift per unit of each perturbation, Ŵ.

    Example:
        >>> from types import SimpleNamespace
        >>> from pdae_sim.protocols import LatentModel
        >>> identity = SimpleNamespace(encode=lambda x: x, perturbation_matrix_=np.eye(2))
        >>> isinstance(identity, LatentModel)
        True
    """

    @property
    def perturbation_matrix_(self) -> np.ndarray:
        """Ŵ (d_Z, K)."""

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Latents (n, d_Z) of cells (n, d_X)."""
