"""A rival: an autoencoder whose latents are asked to move linearly with labels, and are then moved."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from pdae_sim import _random
from pdae_sim.data import PerturbationData


class LatentArithmetic:
    """Cells as ψ(φ(x)), with latents φ(x) = M (1, l) + r whose residuals r say nothing of the label l.

    The loss is ‖x − ψ(φ(x))‖² / d_X + λ Σ_e ‖mean of r in e‖² / E, M by least squares over the means of the training
    conditions: linear invariance, with one kernel value for equal labels and none for others. Latents are standardised
    over each batch. Where labels are affinely independent the second term is nothing, and what is left is the
    arithmetic of latents of an autoencoder. Prediction: ψ(M (1, l) + r) with residuals of the training cells of the
    nearest labels, all alike.

    References:
        Saengkyongam et al. (2024), Identifying representations for intervention extrapolation, ICLR. Lotfollahi et al.
        (2019), scGen predicts single-cell perturbation responses, Nature Methods 16, 715.

    Args:
        n_latents: Dimension of the code.
        weight: λ.
        steps: Gradient steps.
        cells: Cells of each condition in a step.
        learning_rate: Of Adam, along a cosine.
        width: Units of both hidden layers of each network.
        random_state: Seed.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(300, 3)) + np.repeat([[0, 0, 0], [2, 0, 0], [0, 2, 0]], 100, 0)
        >>> data = PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "B"], 100))
        >>> LatentArithmetic(2, steps=20).fit(data).sample("A+B", 10, rng=0).shape
        (10, 3)
    """

    def __init__(
        self,
        n_latents: int = 8,
        *,
        weight: float = 1.0,
        steps: int = 2000,
        cells: int = 128,
        learning_rate: float = 3e-3,
        width: int = 128,
        random_state: int = 0,
    ) -> None:
        self.n_latents, self.weight, self.steps, self.cells = n_latents, weight, steps, cells
        self.learning_rate, self.width, self.random_state = learning_rate, width, random_state

    def fit(self, data: PerturbationData) -> LatentArithmetic:
        """Fit on the training environments."""
        train, root = data.train, _random.seed_sequence(self.random_state)
        self.space_, self.labels_, self.environment_ = data.space, train.labels, train.environment
        x = train.x.astype(np.float64)
        self.mean_, self.spread_ = x.mean(0), np.maximum(x.std(0), 1e-12)
        cells = torch.from_numpy(((x - self.mean_) / self.spread_).astype(np.float32))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_random.torch_seed(root, "fit"))
            self._start(x.shape[1])
            self._train(cells, train.rows_by_environment, _random.stream(root, "batches"))
        with torch.no_grad():
            self.z_ = self._encoder(cells).numpy().astype(np.float64)
        means = np.array([self.z_[rows].mean(0) for rows in train.rows_by_environment])
        self.effects_ = np.linalg.pinv(_with_one(self.labels_)) @ means
        return self

    def sample(self, label: str | Sequence, n: int, *, rng: object = None) -> np.ndarray:
        """n draws (n, d_X) from the predicted law at a label."""
        target = self.space_.label(label)
        steps = np.linalg.norm((target - self.labels_) @ self.effects_[1:], axis=1)
        near = np.flatnonzero(np.isclose(steps, steps.min()))
        rows = _random.stream(_random.seed_sequence(rng), "cells").choice(
            np.flatnonzero(np.isin(self.environment_, near)), size=n
        )
        move = (target - self.labels_[self.environment_[rows]]) @ self.effects_[1:]
        with torch.no_grad():
            x = self._decoder(torch.from_numpy((self.z_[rows] + move).astype(np.float32))).numpy()
        return x.astype(np.float64) * self.spread_ + self.mean_

    def _start(self, d: int) -> None:
        w, k = self.width, self.n_latents
        sizes = ((d, w, w, k), (k, w, w, d))
        self._encoder, self._decoder = (
            nn.Sequential(nn.Linear(a, b), nn.SiLU(), nn.Linear(b, c), nn.SiLU(), nn.Linear(c, e))
            for a, b, c, e in sizes
        )

    def _train(self, x: torch.Tensor, groups: Sequence[np.ndarray], rng: np.random.Generator) -> None:
        design = torch.from_numpy(_with_one(self.labels_))
        left = (torch.eye(len(design)) - design @ torch.linalg.pinv(design)).float()
        parameters = [*self._encoder.parameters(), *self._decoder.parameters()]
        optimiser = torch.optim.Adam(parameters, self.learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, self.steps)
        for _ in range(self.steps):
            rows = np.stack([rng.choice(rows, self.cells) for rows in groups])
            batch = x[torch.from_numpy(rows)]
            z = self._encoder(batch)
            means = z.mean(1) / z.flatten(0, 1).std(0)
            loss = (self._decoder(z) - batch).square().mean() + self.weight * (left @ means).square().sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def _with_one(labels: np.ndarray) -> np.ndarray:
    return np.column_stack([np.ones(len(labels)), labels]).astype(np.float64)
