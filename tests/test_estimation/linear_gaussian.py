"""The linear Gaussian world, where everything about latents under noise has a closed form, and its exact networks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import multivariate_normal

from pdae_sim import PerturbationData
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._posterior import PosteriorNetwork
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.likelihoods import GaussianLikelihood

SMALL = Architecture(width=8)


@dataclass(frozen=True, eq=False)
class LinearGaussian:
    """x = F z + c + N(0, diag(variance)), z ~ N(W l, I)."""

    F: np.ndarray
    W: np.ndarray
    c: np.ndarray
    variance: np.ndarray
    labels: np.ndarray

    @classmethod
    def random(cls, d_X: int = 6, *, noise: float = 1.0, seed: int = 0, isotropic: bool = False) -> LinearGaussian:
        """Two latents; control, A and B."""
        rng = np.random.default_rng(seed)
        spread = np.ones(d_X) if isotropic else rng.uniform(0.5, 1.5, d_X)
        W = np.array([[1.5, 0.3], [-0.5, 1.2]])
        return cls(
            rng.normal(size=(d_X, 2)), W, rng.normal(size=d_X), noise * spread, np.array([[0.0, 0], [1, 0], [0, 1]])
        )

    def draw(self, n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Cells (3 n, d_X), environment by environment, and their latents."""
        rng = np.random.default_rng(seed)
        z = rng.normal(size=(3 * n, 2)) + np.repeat(self.labels @ self.W.T, n, axis=0)
        return z @ self.F.T + self.c + rng.normal(size=(3 * n, len(self.F))) * np.sqrt(self.variance), z

    def data(self, n: int, seed: int = 1) -> PerturbationData:
        return PerturbationData(self.draw(n, seed)[0], self.labels, np.repeat([0, 1, 2], n), ("A", "B"))

    @property
    def covariance(self) -> np.ndarray:
        """F Fᵀ + Ψ."""
        return self.F @ self.F.T + np.diag(self.variance)

    @property
    def information(self) -> np.ndarray:
        """Fᵀ (F Fᵀ + Ψ)⁻¹ F = I − Cov(z | x)."""
        return self.F.T @ np.linalg.solve(self.covariance, self.F)

    def log_density(self, x: np.ndarray, label: np.ndarray) -> np.ndarray:
        """log N(x; F W l + c, F Fᵀ + Ψ)."""
        return multivariate_normal(self.F @ self.W @ label + self.c, self.covariance).logpdf(x)

    def make_exact(self, network: PosteriorNetwork) -> PosteriorNetwork:
        """Give a network of one replicate the parameters of the world, its encoder the exact potential."""
        tensor = lambda a: torch.tensor(a)[None].to(network.shift)  # noqa: E731
        weighted = self.F / self.variance[:, None]
        precision = self.F.T @ weighted
        scores = weighted @ np.linalg.inv(precision)
        rows, columns = np.tril_indices(2)
        root = np.linalg.cholesky(precision)[rows, columns]
        entries = np.where(rows == columns, np.log(np.expm1(root)), root)
        with torch.no_grad():
            network.shift.copy_(tensor(self.W))
            network.decoder.init_linear(tensor(self.F.T))
            network.decoder.biases[-1].copy_(tensor(self.c[None]))
            network.encoder.network.init_linear(tensor(np.hstack([scores, np.zeros((len(scores), 3))])))
            network.encoder.network.biases[-1].copy_(tensor(np.concatenate([-self.c @ scores, entries])[None]))
            network.encoder.turn.copy_(tensor(np.eye(2)))
            network.encoder.unturn.copy_(tensor(np.eye(2)))
            network.likelihood.log_sd.copy_(tensor(0.5 * np.log(self.variance)[None]))
        return network

    def exact(self) -> PosteriorNetwork:
        """The exact network, in float64."""
        return self.make_exact(self.untrained().to(torch.float64))

    def untrained(self, replicates: int = 1) -> PosteriorNetwork:
        d_X = len(self.F)
        generators = [torch.Generator().manual_seed(seed) for seed in range(replicates)]
        return PosteriorNetwork((d_X, 2, 2), SMALL, GaussianLikelihood(replicates, d_X), generators)

    def cells(self, n: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Cells:
        x = torch.tensor(self.draw(n, seed)[0]).to(dtype)
        rows = tuple(np.arange(3 * n).reshape(3, n))
        root = np.random.SeedSequence(0)
        return Cells(x, torch.tensor(self.labels).to(dtype)[None], (rows,), (root,))
