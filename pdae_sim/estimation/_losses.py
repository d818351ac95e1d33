"""The terms of the loss, each a pure function of a step's tensors.

A step holds b cells of each of E training environments for each of R replicates: x (R, E, b, d_X), labels (R, E, K).
Every environment weighs the same whatever its number of cells. Letters as in the model: g(x) latents, g(x) − Ŵ l base
latents. Every term is (R,), a value for each replicate.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import cast

import torch
from torch.nn import functional

from pdae_sim.energy import distance_sum, energy_loss, paired_distances
from pdae_sim.errors import InputError
from pdae_sim.estimation._networks import MLP, Generators, Network, normal
from pdae_sim.estimation._posterior import PosteriorNetwork

PARTS = ("chart", "encoder", "shift", "decoder", "noise")
"""The parts of a PDAE that can learn."""

_LATENTS = ("chart", "encoder", "shift")
"""The parts that base latents depend on."""


@dataclass(frozen=True, eq=False)
class Step:
    """What every term may read: the network, a batch of cells, and what they are encoded to.

    Args:
        network: Encoder, decoder and Ŵ.
        x: (R, E, b, d_X) standardised cells.
        labels: (R, E, K).
        beta: Exponent of the energy terms.
        generators: Sources of decoder noise and prior draws, one for each replicate.
        with_volume: Whether a term needs log |det ∂h/∂y|, which then gives the latents too.
    """

    network: Network
    x: torch.Tensor
    labels: torch.Tensor
    beta: float
    generators: Generators
    with_volume: bool = False

    @cached_property
    def y(self) -> torch.Tensor:
        """(R, E, b, d_Z) coordinates of the chart; x itself where there is none."""
        return self.network.encoder.coordinates(self.x)

    @cached_property
    def z(self) -> torch.Tensor:
        """(R, E, b, d_Z) encoded cells g(x)."""
        if self.with_volume:
            return self._latents_and_volume[0].unflatten(1, self.x.shape[1:3])
        return self.network.encoder.map(self.y)

    @cached_property
    def volume(self) -> torch.Tensor:
        """(R, E b) log |det ∂h/∂y| at the coordinates of the chart."""
        return self._latents_and_volume[1]

    @cached_property
    def _latents_and_volume(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self.y.shape[-1] != self.network.shift.shape[1]:
            raise InputError("likelihood needs an encoder with a chart where d_X > d_Z; set Architecture(charted=True)")
        return log_volume(self.network.encoder.map, self.y.flatten(1, 2), self.generators)

    @cached_property
    def shifts(self) -> torch.Tensor:
        """(R, E, d_Z) rows Ŵ l_e."""
        return self.network.shifts(self.labels)

    @property
    def base(self) -> torch.Tensor:
        """(R, E, b, d_Z) base latents g(x) − Ŵ l_e."""
        return self.z - self.shifts[:, :, None]

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Cells decoded with fresh noise."""
        return self.network.decoder(z, self.generators)


@dataclass(frozen=True)
class Term:
    """A term of the loss.

    Args:
        function: Its value (R,) at a step.
        moves: The parts in which it has a gradient.
        needs: ``chart`` if it trains one, ``volume`` if it needs log |det ∂h/∂y|, ``posterior`` if latents are no
            function of a cell, ``pairs`` if every cell is taken to the label of every other.
    """

    function: Callable[[Step], torch.Tensor]
    moves: frozenset[str]
    needs: frozenset[str]

    def __call__(self, step: Step) -> torch.Tensor:
        """The value (R,) at a step."""
        return self.function(step)


TERMS: dict[str, Term] = {}
"""Loss terms by name. A new one is a function of a `Step` under `term`, here or in a module beside this one."""


def term(*moves: str, needs: Collection[str] = ()) -> Callable[[Callable[[Step], torch.Tensor]], Callable]:
    """Enter a function into `TERMS` under its own name, with the parts it moves and what it needs."""

    def entered(function: Callable[[Step], torch.Tensor]) -> Callable[[Step], torch.Tensor]:
        TERMS[function.__name__] = Term(function, frozenset(moves), frozenset(needs))
        return function

    return entered


@term(*_LATENTS, "decoder", needs=("pairs",))
def perturbation(step: Step) -> torch.Tensor:
    """Every cell shifted to every target environment, against the cells of that environment, by energy score.

    mean over h of  E‖x_h − x_{e→h}‖^β − ½ E‖x_{e→h} − x'_{e'→h}‖^β,  over distinct samples.
    """
    return perturbation_energy(step.x, _everywhere(step), step.beta).mean(1)


def perturbation_energy(x: torch.Tensor, simulated: torch.Tensor, beta: float) -> torch.Tensor:
    """(R, E) energy losses of `simulated` (R, E, E b, d_X), sources in environment order, against x (R, E, b, d_X).

    A cell is never compared with its own reconstruction, and every pair of environments weighs the same: all distinct
    pairs alike would give own sources less than others, and the loss a slope at the truth (theory, claim 3.9).
    """
    E, b = x.shape[1:3]
    sources = simulated.unflatten(2, (E, b))
    own = sources.diagonal(dim1=1, dim2=2).movedim(-1, 1)  # (R, E, b, d_X)
    paired = paired_distances(own, x, beta=beta).sum(-1)
    cross, spread = distance_sum(simulated, x, beta=beta), distance_sum(simulated, beta=beta)
    if b == 1:  # every cell is an environment of its own, drawn from all of them: there are no pairs within
        return (cross - paired) / (E - 1) - 0.5 * spread / (E * (E - 1))
    cross_own, within = distance_sum(own, x, beta=beta), distance_sum(sources, beta=beta).sum(2)
    cross = ((cross - cross_own) / b**2 + (cross_own - paired) / (b * (b - 1))) / E
    return cross - 0.5 * ((spread - within) / b**2 + within / (b * (b - 1))) / E**2


@term(*_LATENTS, "decoder", needs=("pairs",))
def all_pairs(step: Step) -> torch.Tensor:
    """The perturbation term as published: a cell is compared with its own reconstruction too.

    Those pairs, one in E b, make the score a little optimistic; but beside a reconstruction that does not move the
    encoder they alone ask it to keep what tells cells apart, and without them Ŵ and latents decay as training goes on.
    All pairs weigh alike, whatever their environments: with own pairs left out the loss would have a slope at the truth
    (theory, claim 3.9).
    """
    simulated = _everywhere(step)
    E, b = step.x.shape[1:3]
    cross = distance_sum(simulated, step.x, beta=step.beta) / (E * b * b)
    return (cross - 0.5 * _spread(simulated, step.beta)).mean(1)


def _everywhere(step: Step) -> torch.Tensor:
    """(R, E, E b, d_X) every cell of the batch under every environment's label."""
    pooled = step.base.flatten(1, 2)
    return step.decode(pooled[:, None] + step.shifts[:, :, None])


def _spread(simulated: torch.Tensor, beta: float) -> torch.Tensor:
    """(R, E) mean distance of distinct cells."""
    n = simulated.shape[2]
    return distance_sum(simulated, beta=beta) / (n * (n - 1))


@term("decoder")
def reconstruction(step: Step) -> torch.Tensor:
    """E‖x − f̂(g(x), ε)‖^β − ½ E‖f̂(g(x), ε) − f̂(g(x), ε')‖^β; the encoder is not moved by it."""
    return _reconstruction(step, step.z.detach())


@term("decoder")
def decoding(step: Step) -> torch.Tensor:
    """‖x − f̂(g(x))‖² of latents that are known; the reconstruction term where the decoder draws noise.

    A cell that is a function of its latents is reached sooner by squares than by distances, whose slope does not fall
    with the error, and the last of the error is what tells where a decoder has to extrapolate.
    """
    if step.network.decoder.stochastic:
        return reconstruction(step)
    return (step.x - step.decode(step.z.detach())).square().sum(-1).mean((1, 2))


@term("chart", "encoder", "decoder")
def autoencoding(step: Step) -> torch.Tensor:
    """The reconstruction term that moves the encoder too."""
    return _reconstruction(step, step.z)


@term("chart", "encoder", "decoder")
def inversion(step: Step) -> torch.Tensor:
    """‖x − E f̂(g(x), ε)‖², which an encoder that folds the manifold of cells cannot have small.

    Squared, so that it leaves the latents alone where the decoder inverts them; a product of two draws of ε, so that it
    leaves the noise of the decoder alone.
    """
    first = second = step.x - step.decode(step.z)
    if step.network.decoder.stochastic:
        second = step.x - step.decode(step.z)
    return (first * second).sum(-1).mean((1, 2))


@term(*_LATENTS)
def prior(step: Step) -> torch.Tensor:
    """Energy loss between the base latents of each environment and N(0, I), averaged over environments.

    It makes the indeterminacy orthogonal rather than affine. Taken by environment it also says that the base law does
    not depend on the environment, which the pooled version leaves open.
    """
    return _prior(_grouped(step.base), step).mean(1)


@term(*_LATENTS)
def pooled_prior(step: Step) -> torch.Tensor:
    """Energy loss between the base latents of all environments together and N(0, I)."""
    return _prior(step.base.flatten(1, 2), step)


def _prior(base: torch.Tensor, step: Step) -> torch.Tensor:
    return energy_loss(base, normal(base.shape[1:], step.generators, base), step.beta)


def _grouped(base: torch.Tensor) -> torch.Tensor:
    """Base latents (R, E, b, d_Z); where environments have one cell, these are of the one law that all should have."""
    return base if base.shape[2] > 1 else base.transpose(1, 2)


@term(*_LATENTS)
def moments(step: Step) -> torch.Tensor:
    """Squared departure of the base latents' means (by environment) and covariance (within them) from N(0, I)."""
    base = _grouped(step.base)
    mean = base.mean(2, keepdim=True)
    centred = (base - mean).flatten(1, 2)
    covariance = centred.mT @ centred / (centred.shape[1] - base.shape[1])
    excess = covariance - torch.eye(base.shape[-1]).to(covariance)
    return mean.square().sum(-1).mean((1, 2)) + excess.square().sum((1, 2))


@term("shift")
def sparsity(step: Step) -> torch.Tensor:
    """‖Ŵ‖_{2,1} by rows: switches superfluous latent dimensions off."""
    return step.network.shift.norm(dim=2).sum(1)


@term(*_LATENTS)
def density_ratio(step: Step) -> torch.Tensor:
    """Cross-entropy of environments given cells with the log-linear ratios of the model as logits.

    log p_e(z) / p_0(z) = (W l_e)ᵀ z − ½ ‖W l_e‖² + const,   with z = g(x).
    """
    R, E, b = step.x.shape[:3]
    logits = density_ratio_logits(step.z.flatten(1, 2), step.shifts)
    truth = torch.arange(E, device=logits.device).repeat_interleave(b)
    return functional.cross_entropy(logits.mT, truth.expand(R, -1), reduction="none").mean(1)


def density_ratio_logits(z: torch.Tensor, shifts: torch.Tensor) -> torch.Tensor:
    """(…, m, E) values (W l_e)ᵀ z − ½ ‖W l_e‖² for latents (…, m, d_Z) and shifts (…, E, d_Z)."""
    return z @ shifts.mT - 0.5 * shifts.square().sum(-1)[..., None, :]


@term("chart", "decoder", needs=("chart",))
def chart_reconstruction(step: Step) -> torch.Tensor:
    """E‖x − f̂(y(x), ε)‖^β − …, the reconstruction from the coordinates of the chart: it moves chart and decoder."""
    return _reconstruction(step, step.y)


@term(*_LATENTS, needs=("volume",))
def likelihood(step: Step) -> torch.Tensor:
    """−log p_e(x) up to a constant, on the manifold of cells.

    It is one where x is noiseless on a manifold of d_Z dimensions on which the chart y(x) and the map h are injective.
    With more latents than the manifold has dimensions it has no minimum: h can stretch what no cell fills.

    By the change of variables from the coordinates of the chart to latents z = h(y):

        −log p_e = ½ ‖h(y) − Ŵ l_e‖² − log |det ∂h/∂y| + const.
    """
    return 0.5 * step.base.square().sum(-1).mean((1, 2)) - step.volume.mean(1)


@term("encoder", "shift", "decoder", "noise", needs=("posterior",))
def marginal_likelihood(step: Step) -> torch.Tensor:
    """−log p(x | l) of a noisy cell, bounded from above by weighted posterior draws of its latents.

    −log (1/k) Σ_j p(x | z_j) N(z_j; Ŵ l, I) / q(z_j | x, l),   z_j ~ q( · | x, l),   averaged over cells.
    """
    network = cast(PosteriorNetwork, step.network)
    return -network.bound(step.x, step.shifts, step.generators, network.draws).mean((1, 2))


_EXACT_DIMENSION = 3


def log_volume(h: MLP, y: torch.Tensor, generators: Generators) -> tuple[torch.Tensor, torch.Tensor]:
    """h(y) (R, m, d) and log |det ∂h/∂y| (R, m) at y (R, m, d).

    Beyond three dimensions the gradient of the determinant is that of one random probe: with J = ∂h/∂y,
    ∂ log |det J| = tr(J⁻¹ ∂J) = E[uᵀ ∂J v], Jᵀ u = v, for signs v. The value is exact.
    """
    d = y.shape[-1]
    directions = torch.eye(d).to(y).expand(*y.shape, d)
    if d <= _EXACT_DIMENSION:
        z, J = h.tangents(y, directions)
        return z, torch.linalg.slogdet(J)[1]
    with torch.no_grad():
        J = h.tangents(y, directions)[1].mT  # J[…, i, k] = ∂z_i/∂y_k
        v = normal(y.shape[1:], generators, y).sign()
        u = torch.linalg.solve_ex(J.mT, v[..., None])[0][..., 0]
        value = torch.linalg.slogdet(J)[1]
    z, Jv = h.tangents(y, v[..., None, :])
    probe = (u * Jv[..., 0, :]).sum(-1)
    return z, value + probe - probe.detach()


def _reconstruction(step: Step, z: torch.Tensor) -> torch.Tensor:
    first = step.decode(z)
    fit = paired_distances(first, step.x, beta=step.beta).mean((1, 2))
    if not step.network.decoder.stochastic:
        return fit
    return fit - 0.5 * paired_distances(first, step.decode(z), beta=step.beta).mean((1, 2))
