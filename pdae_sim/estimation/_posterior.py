"""Latents given noisy cells: an amortised Gaussian posterior, and the importance-weighted bound on the likelihood.

The prior of a cell of environment e is N(Ŵ l_e, I). The encoder, which never sees a label, gives a Gaussian potential
exp(−½ (z − h)ᵀ Λ (z − h)) with h and Λ functions of x, in place of the likelihood p(x | z); so the posterior under a
label l is the Gaussian of precision I + Λ and mean (I + Λ)⁻¹ (Ŵ l + Λ h), exact where noise and decoder are Gaussian
and linear.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from pdae_sim.estimation._networks import MLP, Generators, ShiftedLatents, normal, uniform
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.likelihoods._base import Likelihood

_COMPONENTS = 50
"""Principal components that an encoder sees of inputs that are more than twice as many."""
_AT_ONCE = 2**22
"""Values decoded at once, where it is up to the code: 16 MiB in each of the arrays that a likelihood makes."""
_FEWEST_TELL = 0.25
"""Least 1 − Σ share² that a covariance is divided by: where one draw has nearly all the weight it tells little."""


class PotentialEncoder(nn.Module):
    """Cells to Gaussian potentials of their latents: h (…, d) and the lower triangle of Λ = L Lᵀ.

    Of inputs that are many it sees the leading principal components alone: a cell of a thousand genes lets a network on
    all of them learn cells by heart. Further inputs, near what is a cell's own, it sees as they are.
    """

    def __init__(self, n_inputs: int, d: int, shape: Architecture, generators: Generators, *, n_own: int = 0) -> None:
        super().__init__()
        self.d, self.n_own = d, n_own
        n_seen = max(_COMPONENTS, 2 * d)
        n_seen = n_seen if n_inputs > 2 * n_seen else n_inputs
        axes = None if n_seen == n_inputs else torch.zeros(len(generators), n_inputs, n_seen)
        self.register_buffer("axes", axes)
        self.network = MLP([n_seen + n_own, *shape.hidden, d + d * (d + 1) // 2], shape, generators)
        rows, columns = torch.tril_indices(d, d)
        self.register_buffer("_places", rows * d + columns, persistent=False)
        self.register_buffer("on_diagonal", rows == columns, persistent=False)
        self.register_buffer("turn", torch.eye(d).repeat(len(generators), 1, 1))
        self.register_buffer("unturn", torch.eye(d).repeat(len(generators), 1, 1))

    axes: torch.Tensor | None
    _places: torch.Tensor
    on_diagonal: torch.Tensor
    turn: torch.Tensor
    unturn: torch.Tensor

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """h (R, …, d) and L (R, …, d, d) of encoder inputs (R, …, n_inputs)."""
        seen = inputs
        if self.axes is not None:
            values, own = inputs.split([self.axes.shape[1], self.n_own], -1)
            seen = torch.cat([_times(values, self.axes), own], -1)
        h, entries = self.network(seen).split([self.d, self.d * (self.d + 1) // 2], -1)
        entries = torch.where(self.on_diagonal, functional.softplus(entries), entries)
        flat = entries.new_zeros(*entries.shape[:-1], self.d**2).index_copy(-1, self._places, entries)
        return _times(h, self.turn), _under(self.unturn, h) @ flat.unflatten(-1, (self.d, self.d))

    def entries(self, root: torch.Tensor) -> torch.Tensor:
        """The lower triangle (R, d (d + 1) / 2) of matrices (R, d, d), in the order of the network's outputs."""
        return root.flatten(1)[:, self._places]

    @torch.no_grad()
    def compose(self, matrix: torch.Tensor, offset: torch.Tensor) -> None:
        """Let z become (z − offset) @ matrix, for matrix (R, d_Z, d_Z) and offset (R, d_Z), and what is own stay."""
        full = torch.eye(self.d).to(matrix).repeat(len(matrix), 1, 1)
        full[:, : matrix.shape[1], : matrix.shape[2]] = matrix
        matrix, offset = full, functional.pad(offset, (0, self.d - offset.shape[1]))
        centre = torch.linalg.solve(self.turn, offset[:, None], left=False)
        self.network.biases[-1][..., : self.d] -= centre
        self.turn.copy_(self.turn @ matrix)
        self.unturn.copy_(torch.linalg.inv(self.turn))


class PosteriorNetwork(ShiftedLatents):
    """Encoder, decoder, likelihood and Ŵ of R replicates.

    Latents of d dimensions are z, d_Z of them, and then those that a cell has of its own.

    Args:
        sizes: d_X, d_Z and K.
        shape: Shapes of the networks.
        likelihood: The law of a cell given the decoder's output.
        generators: One source of starting values for each replicate.
        draws: Latents tried for each cell in a step.
    """

    def __init__(
        self,
        sizes: tuple[int, int, int],
        shape: Architecture,
        likelihood: Likelihood,
        generators: Generators,
        *,
        draws: int = 6,
    ) -> None:
        super().__init__()
        d_X, d_Z, K = sizes
        self.likelihood, self.draws, self.d_Z = likelihood, draws, d_Z
        n_own = likelihood.n_own
        self.encoder = PotentialEncoder(likelihood.n_inputs, d_Z + n_own, shape, generators, n_own=n_own)
        self.decoder = MLP([d_Z, *reversed(shape.hidden), d_X], shape, generators)
        self.shift = self.random_shift(d_Z, K, generators)

    def parts(self) -> dict[str, list[nn.Parameter]]:
        """The parameters by the part they belong to."""
        return {
            "chart": [],
            "encoder": list(self.encoder.parameters()),
            "shift": [self.shift],
            "decoder": list(self.decoder.parameters()),
            "noise": list(self.likelihood.parameters()),
        }

    @contextmanager
    def lowered(self) -> Iterator[None]:
        """Posteriors are computed in float32 throughout."""
        yield

    def only(self, r: int) -> PosteriorNetwork:
        """One replicate, as a bank of one."""
        one = copy.deepcopy(self)
        for parameter in one.parameters():
            parameter.data = parameter.data[r : r + 1]
        for module in one.modules():
            for name, buffer in module._buffers.items():
                if buffer is not None and name in module.state_dict():
                    module._buffers[name] = buffer[r : r + 1]
        one.likelihood.replicates = 1
        return one

    def posterior(self, x: torch.Tensor, shifts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean (R, E, b, d) and root C, precision = C Cᵀ, for cells (R, E, b, d_X) and Ŵ l (R, E, d)."""
        h, L = self.encoder(self.likelihood.inputs(x))
        return combined(h, L, self.prior(shifts)[:, :, None])

    def prior(self, shifts: torch.Tensor) -> torch.Tensor:
        """Means (…, d) of the prior of all latents, from those of z (…, d_Z)."""
        return functional.pad(shifts, (0, self.likelihood.n_own))

    def log_prob(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """log p(x | z) (R, …, b, k) of cells (R, …, b, 1, d_X) with latents (R, …, b, k, d).

        Where that decodes many values it is taken in parts, and once more for gradients.
        """
        axis = z.ndim - 3 if z.shape[-3] > 1 else z.ndim - 4
        size = max(_AT_ONCE * z.shape[axis] // (z[..., 0].numel() * x.shape[-1]), 1)
        if size >= z.shape[axis]:
            return self._log_prob(x, z)
        parts = zip(x.split(size, axis), z.split(size, axis), strict=True)
        if not torch.is_grad_enabled():
            return torch.cat([self._log_prob(*part) for part in parts], axis)
        again = partial(checkpoint, self._log_prob, use_reentrant=False, preserve_rng_state=False)  # nothing is drawn
        return torch.cat([again(*part) for part in parts], axis)

    def _log_prob(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        z, own = z.split([self.d_Z, self.likelihood.n_own], -1)
        return self.likelihood.log_prob(x, self.decoder(z), own if own.shape[-1] else None)

    def bound(self, x: torch.Tensor, shifts: torch.Tensor, generators: Generators, draws: int) -> torch.Tensor:
        """(R, E, b) importance-weighted bounds on log p(x | l), with doubly reparametrised gradients.

        Args:
            x: (R, E, b, d_X) measured cells.
            shifts: (R, E, d_Z) rows Ŵ l.
            generators: One for each replicate.
            draws: Latents tried for each cell.

        References:
            Burda et al. (2016), Importance weighted autoencoders, ICLR; Tucker et al. (2019), Doubly reparameterized
            gradient estimators for Monte Carlo objectives, ICLR.
        """
        z, log_weight = self.weighed(x, shifts, generators, draws)
        if z.requires_grad and draws > 1:
            share = torch.softmax(log_weight.detach(), -1)
            z.register_hook(lambda slope: slope * share[..., None])
            return torch.logsumexp(log_weight.detach(), -1) - math.log(draws) + _surrogate(log_weight, share)
        return torch.logsumexp(log_weight, -1) - math.log(draws)

    def weighed(
        self, x: torch.Tensor, shifts: torch.Tensor, generators: Generators, draws: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Posterior draws z (R, E, b, k, d) and their log weights log p(x, z | l) − log q(z | x, l) (R, E, b, k).

        The density q is evaluated with its parameters held fixed: gradients reach the encoder through z alone.
        """
        mean, root = self.posterior(x, shifts)
        noise = normal((*mean.shape[1:3], draws, mean.shape[-1]), generators, mean)
        z = mean[..., None, :] + torch.linalg.solve_triangular(root.mT, noise.mT, upper=True).mT
        mean, root = mean.detach(), root.detach()
        whitened = (z - mean[..., None, :]) @ root
        log_q = -0.5 * whitened.square().sum(-1) + root.diagonal(dim1=-2, dim2=-1).log().sum(-1)[..., None]
        log_prior = -0.5 * (z - self.prior(shifts)[:, :, None, None]).square().sum(-1)
        return z, self.log_prob(x[..., None, :], z) + log_prior - log_q

    def moments(
        self, x: torch.Tensor, shifts: torch.Tensor, generators: Generators, draws: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Means (R, E, b, d_Z) and covariances (R, E, b, d_Z, d_Z) of z given cells and labels, by weighted draws."""
        z, log_weight = self.weighed(x, shifts, generators, draws)
        return weighted_moments(z[..., : self.d_Z], log_weight)

    def measured(self, z: torch.Tensor, generators: Generators, exposure: torch.Tensor) -> torch.Tensor:
        """Cells (R, …, d_X) drawn given z (R, …, d_Z) and exposures; NaN where latents are too far to decode."""
        output = self.decoder(z)
        if not output.isfinite().all():
            return torch.full_like(output, math.nan)
        return self.likelihood.sample(output, generators, exposure)

    @staticmethod
    def picked(z: torch.Tensor, log_weight: torch.Tensor, generators: Generators) -> torch.Tensor:
        """(R, E, b, d) a latent for each cell, one of its posterior draws (R, E, b, k, d) by weight."""
        picked = _gumbel(log_weight, generators).argmax(-1)
        return z.gather(-2, picked[..., None, None].expand(*picked.shape, 1, z.shape[-1]))[..., 0, :]


def _gumbel(log_weight: torch.Tensor, generators: Generators) -> torch.Tensor:
    """Log weights with Gumbel noise, the largest of which is a draw by weight."""
    u = uniform(log_weight.shape[1:], generators, log_weight)
    return log_weight - torch.log(-torch.log(u.clamp(1e-20, 1 - 1e-7)))


def _surrogate(log_weight: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Zero, with the gradient of Σ share log_weight."""
    value = (share * log_weight).sum(-1)
    return value - value.detach()


def weighted_moments(z: torch.Tensor, log_weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Means (…, d) and covariances (…, d, d) of latents (…, k, d) by their log weights (…, k).

    A covariance about the mean of the same k draws is too small by 1 − Σ share², and divided by it.
    """
    share = torch.softmax(log_weight, -1)[..., None]
    mean = (share * z).sum(-2)
    away = z - mean[..., None, :]
    left = (1 - share.square().sum(-2, keepdim=True)).clamp(min=_FEWEST_TELL)
    return mean, (share * away).mT @ away / left


def combined(h: torch.Tensor, L: torch.Tensor, prior: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and root of precision of the posterior of a potential (h, L Lᵀ) under N(prior, I)."""
    weight = L @ L.mT
    root = torch.linalg.cholesky(weight + torch.eye(h.shape[-1]).to(h))
    right = prior + (weight @ h[..., None])[..., 0]
    return torch.cholesky_solve(right[..., None], root)[..., 0], root


def _under(matrix: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """(R, d, d) with as many axes between as latents (R, …, d) have."""
    return matrix.view(len(matrix), *[1] * (like.ndim - 2), *matrix.shape[1:])


def _times(rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """Rows (R, …, n) times (R, n, m)."""
    return (rows.flatten(1, -2) @ matrix).unflatten(1, rows.shape[1:-1])


def draws_for(n_features: int) -> int:
    """Latents tried for each cell in a step: fewer where cells are long, which tell more and cost more."""
    return 6 if n_features <= 200 else 4
