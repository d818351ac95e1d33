"""Counts of molecules given the total of their cell: Poisson and negative binomial."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from pdae_sim.estimation._networks import Generators
from pdae_sim.estimation._scaling import block_rows
from pdae_sim.estimation.likelihoods._base import Likelihood, drawn, parameter, spread_to

_LOG_DISPERSION = (-9.0, 4.0)
"""Range of the log dispersion: below it counts are Poisson to all that float32 can tell."""
_LEAST_DEPTH_SD = 1e-2
"""Least standard deviation of the log library."""


class PoissonLikelihood(Likelihood):
    """x_g ~ Poisson(N p_g), p = softmax(u), with N the total of the cell itself.

    Given its total a cell of independent Poisson counts is multinomial, whatever its depth; so the product of Poisson
    densities is the likelihood of p up to what depends on x alone, and `sample` draws a multinomial cell.

    Args:
        replicates: R.
        n_features: d_X.

    Example:
        >>> law = PoissonLikelihood(1, 3)
        >>> x = torch.tensor([[[5.0, 3.0, 2.0]]])
        >>> bool(law.log_prob(x, x.log()) > law.log_prob(x, torch.zeros(1, 1, 3)))
        True
    """

    def __init__(self, replicates: int, n_features: int) -> None:
        super().__init__(replicates, n_features)
        self.register_buffer("depth", torch.full((replicates, 1, 1), 1e4))
        self.register_buffer("centre", torch.zeros(replicates, 1, n_features))
        self.register_buffer("spread", torch.ones(replicates, 1, n_features))
        self.register_buffer("total_centre", torch.full((replicates, 1, 1), math.log(1e4)))
        self.register_buffer("total_spread", torch.full((replicates, 1, 1), 0.3))

    depth: torch.Tensor
    total_centre: torch.Tensor
    total_spread: torch.Tensor
    centre: torch.Tensor
    spread: torch.Tensor

    def inputs(self, x: torch.Tensor) -> torch.Tensor:
        """log(1 + x at one depth), standardised by feature."""
        return (self._profile(x) - spread_to(self.centre, x)) / spread_to(self.spread, x)

    def _profile(self, x: torch.Tensor) -> torch.Tensor:
        scaled = x * (spread_to(self.depth, x) / x.sum(-1, keepdim=True).clamp(min=1.0))
        return scaled.log1p()

    @torch.no_grad()
    def learn_inputs(self, cells: Sequence[torch.Tensor]) -> None:
        """One depth for the inputs, and their centre and spread, from the cells (n, d_X) of each replicate."""
        for r, x in enumerate(cells):
            self.depth[r] = x.sum(-1).median().clamp(min=1.0)
        for r, x in enumerate(cells):
            mean, sd = self._mean_and_sd(r, x)
            self.centre[r], self.spread[r] = mean, sd.clamp(min=1e-3)
            total = _log_total(x).double()
            self.total_centre[r], self.total_spread[r] = total.mean(), total.std().clamp(min=_LEAST_DEPTH_SD)

    def _mean_and_sd(self, r: int, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation (d_X,) in float64 of the profiles of cells (n, d_X), block by block."""
        parts = [part.expand(self.replicates, *part.shape) for part in x.split(block_rows(x.shape[1]))]
        nothing = x.new_zeros(x.shape[1], dtype=torch.float64)
        mean = sum((self._profile(part)[r].double().sum(0) for part in parts), nothing) / len(x)
        squares = sum(((self._profile(part)[r].double() - mean).square().sum(0) for part in parts), nothing)
        return mean, (squares / (len(x) - 1)).sqrt()

    def of_total(self, x: torch.Tensor) -> torch.Tensor:
        """log p(N) (R, …) of the totals of cells, log-normal, less what `log_prob` says of them.

        Added to a density given totals it makes one of cells, as that of a law with a library is.
        """
        total, log_total = x.sum(-1), _log_total(x)
        spread = spread_to(self.total_spread, x)
        away = ((log_total - spread_to(self.total_centre, x)) / spread).square()
        normal = -0.5 * (away + math.log(2 * math.pi)) - torch.log(spread) - log_total
        return normal[..., 0] - (torch.xlogy(total, total) - total - torch.lgamma(total + 1))

    def log_prob(self, x: torch.Tensor, output: torch.Tensor, own: torch.Tensor | None = None) -> torch.Tensor:
        total = x.sum(-1)
        fixed = torch.xlogy(total, total) - total - torch.lgamma(x + 1).sum(-1)
        return (x * functional.log_softmax(output, -1)).sum(-1) + fixed

    def sample(
        self, output: torch.Tensor, generators: Generators, exposure: torch.Tensor | None = None
    ) -> torch.Tensor:
        assert exposure is not None, "counts are drawn given totals"
        p = torch.softmax(output.double(), -1)
        return _multinomial(exposure.double(), p, generators).to(output)

    @torch.no_grad()
    def start(self, mean: torch.Tensor, residual: torch.Tensor) -> None:
        pass

    def linear_start(self, mean: torch.Tensor, loadings: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Log rates: inputs are log(1 + rate) / spread, with slope rate / (1 + rate) / spread in the log rate."""
        rate = (self.depth[:, 0] * mean / mean.sum(-1, keepdim=True)).clamp(min=1e-6)
        slope = (rate / (1 + rate)).clamp(min=0.05)
        return torch.log(rate / rate.sum(-1, keepdim=True)), loadings * self.spread / slope[:, None]


class NegativeBinomialLikelihood(PoissonLikelihood):
    """x_g ~ NB(mean L r_g, dispersion φ_g), Var = mean + φ_g mean², with L the library of the cell.

    The library is the total of the cell and r = softmax(u), as the literature has it; or a latent of the cell's own,
    log L ~ N(m, s²) whatever the label, and r = exp(u). Given its total the genes of a cell that have most of it are
    not negative binomial; and what latents make of the total of a panel is theirs and not the library's.

    Args:
        replicates: R.
        n_features: d_X.
        latent_library: Whether the library is a latent.

    Example:
        >>> law = NegativeBinomialLikelihood(1, 3)
        >>> law.log_prob(torch.ones(1, 4, 3), torch.zeros(1, 4, 3)).shape
        torch.Size([1, 4])
    """

    def __init__(self, replicates: int, n_features: int, *, latent_library: bool = False) -> None:
        super().__init__(replicates, n_features)
        self.log_dispersion = parameter(replicates, n_features, -1.0)
        self.latent_library = latent_library
        if not latent_library:
            return
        self.log_depth = parameter(replicates, 1, math.log(1e4))
        self.log_depth_sd = parameter(replicates, 1, math.log(0.3))

    @property
    def n_own(self) -> int:
        return int(self.latent_library)

    def inputs(self, x: torch.Tensor) -> torch.Tensor:
        """log(1 + x at one depth), and the log total where the library is a latent, standardised."""
        if not self.latent_library:
            return super().inputs(x)
        total = (_log_total(x) - spread_to(self.total_centre, x)) / spread_to(self.total_spread, x)
        return torch.cat([super().inputs(x), total], -1)

    @torch.no_grad()
    def learn_inputs(self, cells: Sequence[torch.Tensor]) -> None:
        super().learn_inputs(cells)
        if not self.latent_library:
            return
        self.log_depth.copy_(self.total_centre)
        self.log_depth_sd.copy_(self.total_spread.log())

    def of_total(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(x[..., 0]) if self.latent_library else super().of_total(x)

    def library(self, own: torch.Tensor) -> torch.Tensor:
        """L (R, …, 1) of cells with latents of their own (R, …, 1)."""
        return torch.exp(self._log_library(own))

    def _log_rate(self, output: torch.Tensor) -> torch.Tensor:
        return output if self.latent_library else functional.log_softmax(output, -1)

    def _log_library(self, own: torch.Tensor) -> torch.Tensor:
        sd = torch.exp(self.log_depth_sd.clamp(min=math.log(_LEAST_DEPTH_SD)))
        return spread_to(self.log_depth, own) + spread_to(sd, own) * own

    def log_prob(self, x: torch.Tensor, output: torch.Tensor, own: torch.Tensor | None = None) -> torch.Tensor:
        log_library = _log_total(x) if own is None else self._log_library(own)
        log_theta = spread_to(-self.log_dispersion.clamp(*_LOG_DISPERSION), output)
        theta = torch.exp(log_theta)
        fixed = (torch.lgamma(x + theta) - torch.lgamma(theta) - torch.lgamma(x + 1)).sum(-1)
        u = self._log_rate(output) + (log_library - log_theta)  # log mean / θ
        return (x * u - (x + theta) * functional.softplus(u)).sum(-1) + fixed

    def sample(
        self, output: torch.Tensor, generators: Generators, exposure: torch.Tensor | None = None
    ) -> torch.Tensor:
        assert exposure is not None, "counts are drawn given libraries"
        mean = torch.exp(self._log_rate(output.double())) * exposure.double()
        theta = spread_to(torch.exp(-self.log_dispersion.double().clamp(*_LOG_DISPERSION)), output)
        gamma = drawn(torch._standard_gamma, [theta.expand_as(mean).contiguous()], generators)
        return drawn(torch.poisson, [gamma / theta * mean], generators).to(output)


def _log_total(x: torch.Tensor) -> torch.Tensor:
    """log of the total of each cell, of one molecule at least."""
    return torch.log(x.sum(-1, keepdim=True).clamp(min=1.0))


def _multinomial(total: torch.Tensor, p: torch.Tensor, generators: Generators) -> torch.Tensor:
    """Multinomial cells (R, …, d) of totals (R, …, 1), as binomials of what is left, feature by feature."""
    left, rest, parts = total[..., 0].round(), torch.ones_like(total[..., 0]), []
    for g in range(p.shape[-1]):
        share = (p[..., g] / rest.clamp(min=1e-300)).clamp(0.0, 1.0)
        taken = left if g == p.shape[-1] - 1 else drawn(torch.binomial, [left, share], generators)
        left, rest = left - taken, rest - p[..., g]
        parts.append(taken)
    return torch.stack(parts, -1)
