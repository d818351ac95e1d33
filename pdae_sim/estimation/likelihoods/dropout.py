"""Entries that read zero: a Gaussian law of those that were measured, and the odds of a zero."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from pdae_sim.estimation._networks import Generators, uniform
from pdae_sim.estimation.likelihoods._base import of_each, parameter, spread_to
from pdae_sim.estimation.likelihoods.gaussian import GaussianLikelihood


class DropoutLikelihood(GaussianLikelihood):
    """x_g is lost, and reads zero, with log odds a_g + b_g u_g; else it is Gaussian around u_g.

    Args:
        replicates: R.
        n_features: d_X.
        zero: (d_X,) what a zero of the table has become in the units of x, or (R, d_X).
        growing: Whether the noise of measured entries grows, as in `GaussianLikelihood`.

    Example:
        >>> law = DropoutLikelihood(1, 2, zero=torch.zeros(2))
        >>> law.inputs(torch.tensor([[[0.0, 3.0]]])).tolist()
        [[[0.0, 3.0, 1.0, 0.0]]]
    """

    def __init__(
        self, replicates: int, n_features: int, *, zero: torch.Tensor | None = None, growing: bool = False
    ) -> None:
        super().__init__(replicates, n_features, growing=growing)
        at = torch.zeros(n_features) if zero is None else torch.as_tensor(zero)
        self.register_buffer("zero", of_each(replicates, at.float()))
        self.log_odds = parameter(replicates, n_features, math.log(0.1))
        self.slope = parameter(replicates, n_features)

    least = 0.1
    """Entries that are measured may have no noise at all; posteriors of networks cannot follow a law much sharper."""
    zero: torch.Tensor

    @property
    def n_inputs(self) -> int:
        return 2 * self.n_features

    def lost(self, x: torch.Tensor) -> torch.Tensor:
        """Which entries read zero."""
        return x == spread_to(self.zero, x)

    def inputs(self, x: torch.Tensor) -> torch.Tensor:
        """The entries, 0 where they are lost, and which are."""
        lost = self.lost(x)
        return torch.cat([x.masked_fill(lost, 0.0), lost.to(x)], -1)

    def log_prob(self, x: torch.Tensor, output: torch.Tensor, own: torch.Tensor | None = None) -> torch.Tensor:
        lost, odds = self.lost(x), self._odds(output)
        log_variance = self.log_variance(output)
        density = -0.5 * ((x - output).square() * torch.exp(-log_variance) + log_variance + math.log(2 * math.pi))
        return torch.where(lost, functional.logsigmoid(odds), functional.logsigmoid(-odds) + density).sum(-1)

    def sample(
        self, output: torch.Tensor, generators: Generators, exposure: torch.Tensor | None = None
    ) -> torch.Tensor:
        x = super().sample(output, generators)
        lost = uniform(x.shape[1:], generators, x) < torch.sigmoid(self._odds(output))
        return torch.where(lost, spread_to(self.zero, x).expand_as(x), x)

    def linear_start(self, mean: torch.Tensor, loadings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The loadings of the entries; those of the pattern of zeros have none."""
        return mean, loadings[..., : self.n_features]

    @torch.no_grad()
    def start(self, mean: torch.Tensor, residual: torch.Tensor) -> None:
        super().start(mean, residual[..., : self.n_features])

    def _odds(self, output: torch.Tensor) -> torch.Tensor:
        return spread_to(self.log_odds, output) + spread_to(self.slope, output) * output
