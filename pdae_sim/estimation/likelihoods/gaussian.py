"""Gaussian noise: one level, one by feature, or growing with the mean; and cells that are centred log-ratios."""

from __future__ import annotations

import math

import torch

from pdae_sim.estimation._networks import Generators, normal
from pdae_sim.estimation.likelihoods._base import Likelihood, of_each, parameter, spread_to


class GaussianLikelihood(Likelihood):
    """x_g = u_g + sd_g(u_g) ε_g with ε ~ N(0, I), and sd_g² a constant or a quadratic of the mean u_g.

    Args:
        replicates: R.
        n_features: d_X.
        by_feature: Whether features differ in their noise; else it is one σ in the units of `scale`.
        growing: Whether sd_g(u)² = σ_g² + γ_g² (u − c_g)², a quadratic variance function.
        centred: Whether cells are centred log-ratios: their features add to zero, hence so does the noise.
        scale: (d_X,) units of x, or (R, d_X), which has been divided by them: one σ is one in units before.

    References:
        Morris (1982), Natural exponential families with quadratic variance functions, Ann. Statist. 10.

    Example:
        >>> law = GaussianLikelihood(1, 3)
        >>> x = torch.zeros(1, 5, 3)
        >>> law.log_prob(x, x).shape
        torch.Size([1, 5])
    """

    def __init__(
        self,
        replicates: int,
        n_features: int,
        *,
        by_feature: bool = True,
        growing: bool = False,
        centred: bool = False,
        scale: torch.Tensor | None = None,
    ) -> None:
        super().__init__(replicates, n_features)
        self.by_feature, self.centred = by_feature, centred
        units = torch.ones(n_features) if scale is None else torch.as_tensor(scale)
        self.register_buffer("log_units", of_each(replicates, units.float().log()))
        self.log_sd = parameter(replicates, n_features if by_feature else 1, math.log(0.5))
        self.log_growth = parameter(replicates, n_features, math.log(0.1)) if growing else None
        self.least_at = parameter(replicates, n_features) if growing else None

    least = 1e-3
    """Least standard deviation, in those of the cells: without one cells without noise have no largest likelihood."""
    log_units: torch.Tensor

    def log_variance(self, output: torch.Tensor) -> torch.Tensor:
        """log sd_g(u_g)², of the shape of the outputs."""
        log_sd = self.log_sd if self.by_feature else self.log_sd - self.log_units
        constant = spread_to(2 * log_sd, output).clamp(min=2 * math.log(self.least))
        if self.log_growth is None or self.least_at is None:
            return constant.expand_as(output)
        away = (output - spread_to(self.least_at, output)).square()
        return torch.log(constant.exp() + spread_to(2 * self.log_growth, output).exp() * away)

    def log_prob(self, x: torch.Tensor, output: torch.Tensor, own: torch.Tensor | None = None) -> torch.Tensor:
        output = self._centred(output)
        log_variance, residual = self.log_variance(output), x - output
        weight = torch.exp(-log_variance)
        distance = (residual.square() * weight).sum(-1)
        volume = log_variance.sum(-1)
        n = x.shape[-1]
        if self.centred:  # a level of the whole cell, which the centring has taken out, is integrated over
            u = spread_to(self.log_units.exp(), output)
            precision = (weight / u.square()).sum(-1)
            distance = distance - (residual * weight / u).sum(-1).square() / precision
            volume, n = volume + torch.log(precision), n - 1
        return -0.5 * (distance + volume + n * math.log(2 * math.pi))

    def sample(
        self, output: torch.Tensor, generators: Generators, exposure: torch.Tensor | None = None
    ) -> torch.Tensor:
        output = self._centred(output)
        noise = torch.exp(0.5 * self.log_variance(output)) * normal(output.shape[1:], generators, output)
        return self._centred(output + noise)

    def _centred(self, x: torch.Tensor) -> torch.Tensor:
        """x, its features adding to zero in the units before scaling where cells are centred log-ratios."""
        if not self.centred:
            return x
        units = spread_to(self.log_units.exp(), x)
        return x - (x * units).mean(-1, keepdim=True) / units

    @torch.no_grad()
    def start(self, mean: torch.Tensor, residual: torch.Tensor) -> None:
        sd = residual.clamp(min=0.01).sqrt().log()[:, None]
        self.log_sd.copy_(sd if self.by_feature else (sd + self.log_units).mean(-1, keepdim=True))
