"""The terms of the loss, each a pure function of a step's tensors.

A step holds b cells of each of E training environments: x (E, b, d_X), labels (E, K). Every environment weighs the same
whatever its number of cells. Letters as in the model: g(x) latents, g(x) − Ŵ l base latents.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn import functional

from pdae_sim.energy import distance_sum, energy_loss, paired_distances
from pdae_sim.estimation.networks import Network


@dataclass(frozen=True)
class Step:
    """What every term may read: the network, a batch, and the latents it encodes to.

    Args:
        network: The network.
        x: (E, b, d_X) standardised cells.
        labels: (E, K).
        z: (E, b, d_Z) encoded cells g(x).
        shifts: (E, d_Z) rows Ŵ l_e.
        beta: Exponent of the energy terms.
        generator: Source of decoder noise and prior draws.
    """

    network: Network
    x: torch.Tensor
    labels: torch.Tensor
    z: torch.Tensor
    shifts: torch.Tensor
    beta: float
    generator: torch.Generator

    @classmethod
    def of(
        cls, network: Network, x: torch.Tensor, labels: torch.Tensor, beta: float, generator: torch.Generator
    ) -> Step:
        """Encode a batch."""
        return cls(network, x, labels, network.encoder(x), network.shifts(labels), beta, generator)

    @property
    def base(self) -> torch.Tensor:
        """(E, b, d_Z) base latents g(x) − Ŵ l_e."""
        return self.z - self.shifts[:, None]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Cells decoded with fresh noise."""
        return self.network.decoder(z, self.generator)


def perturbation(step: Step) -> torch.Tensor:
    """Every cell shifted to every target environment, against the cells of that environment, by energy score.

    mean over h of  E‖x_h − x_{e→h}‖^β − ½ E‖x_{e→h} − x'_{e'→h}‖^β,  over distinct samples.
    """
    pooled = step.base.flatten(0, 1)  # (E b, d_Z)
    simulated = step.decode(pooled + step.shifts[:, None])  # (E, E b, d_X)
    return perturbation_energy(step.x, simulated, step.beta).mean()


def perturbation_energy(x: torch.Tensor, simulated: torch.Tensor, beta: float) -> torch.Tensor:
    """(E,) energy losses of `simulated` (E, E b, d_X), sources in environment order, against x (E, b, d_X).

    A cell is never compared with its own reconstruction.
    """
    n_environments, b, _ = x.shape
    own = torch.stack([simulated[h, h * b : (h + 1) * b] for h in range(n_environments)])
    n = simulated.shape[1]
    cross = distance_sum(simulated, x, beta=beta) - paired_distances(own, x, beta=beta).sum(1)
    within = distance_sum(simulated, beta=beta)
    return cross / (n * b - b) - 0.5 * within / (n * (n - 1))


def reconstruction(step: Step) -> torch.Tensor:
    """E‖x − f̂(g(x), ε)‖^β − ½ E‖f̂(g(x), ε) − f̂(g(x), ε')‖^β; the encoder is not moved by it."""
    return _reconstruction(step, step.z.detach())


def autoencoding(step: Step) -> torch.Tensor:
    """The reconstruction term that moves the encoder too."""
    return _reconstruction(step, step.z)


def prior(step: Step) -> torch.Tensor:
    """Energy loss between the base latents of each environment and N(0, I), averaged over environments.

    It makes the indeterminacy orthogonal rather than affine. Taken by environment it also says that the base law does
    not depend on the environment, which the pooled version leaves open.
    """
    base = step.base
    draws = torch.randn(base.shape, generator=step.generator, dtype=base.dtype, device=base.device)
    return energy_loss(base, draws, step.beta).mean()


def moments(step: Step) -> torch.Tensor:
    """Squared departure of the base latents' means (by environment) and covariance (within them) from N(0, I)."""
    base = step.base
    mean = base.mean(1, keepdim=True)
    centred = (base - mean).flatten(0, 1)
    covariance = centred.T @ centred / (len(centred) - len(base))
    return mean.square().sum(-1).mean() + (covariance - torch.eye(len(covariance)).to(covariance)).square().sum()


def sparsity(step: Step) -> torch.Tensor:
    """‖Ŵ‖_{2,1} by rows: switches superfluous latent dimensions off."""
    return step.network.shift.norm(dim=1).sum()


def density_ratio(step: Step) -> torch.Tensor:
    """Cross-entropy of environments given cells with the log-linear ratios of the model as logits.

    log p_e(z) / p_0(z) = (W l_e)ᵀ z − ½ ‖W l_e‖² + const,   with z = g(x).
    """
    logits = density_ratio_logits(step.z, step.shifts).flatten(0, 1)
    n_environments, b = step.x.shape[:2]
    truth = torch.arange(n_environments, device=logits.device).repeat_interleave(b)
    return functional.cross_entropy(logits, truth)


def density_ratio_logits(z: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """(…, E) values (W l_e)ᵀ z − ½ ‖W l_e‖² for latents (…, d_Z) and shifts (E, d_Z)."""
    return z @ shifts.T - 0.5 * shifts.square().sum(-1)


TERMS: dict[str, Callable[[Step], torch.Tensor]] = {
    "perturbation": perturbation,
    "reconstruction": reconstruction,
    "autoencoding": autoencoding,
    "prior": prior,
    "moments": moments,
    "sparsity": sparsity,
    "density_ratio": density_ratio,
}


def _reconstruction(step: Step, z: torch.Tensor) -> torch.Tensor:
    first = step.decode(z)
    fit = paired_distances(first, step.x, beta=step.beta).mean()
    if not step.network.decoder.n_noise:
        return fit
    return fit - 0.5 * paired_distances(first, step.decode(z), beta=step.beta).mean()
