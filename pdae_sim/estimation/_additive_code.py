"""Autoencoders of cells whose code is a basal part plus an effect of each perturbation: networks, fit, prediction."""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pdae_sim import _random
from pdae_sim._checks import choice, whole
from pdae_sim._random import SeedLike
from pdae_sim.data import PerturbationData
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._cell_numbers import ENOUGH, by_cells
from pdae_sim.estimation._framing import observation_of
from pdae_sim.estimation._measurement import Units
from pdae_sim.estimation._networks import MLP, Generators, root_generator
from pdae_sim.estimation._observation import OBSERVATION_MODELS, ObservationChoice
from pdae_sim.estimation._single_phase import SinglePhaseEstimator
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.likelihoods._base import Likelihood
from pdae_sim.labels import Condition

_START = 0.25
"""Variance of Gaussian noise before the first step, in that of the cells."""


class AdditiveCode(nn.Module):
    """Encoder g, effects V with their dose curves, decoder, and the likelihood of a cell given what it says.

    Args:
        sizes: Numbers that the encoder gives of a cell, dimension of the code, K.
        shape: Shapes of the networks.
        likelihood: The law of a cell given the decoder's output.
        generators: One source of starting values for each replicate.
        curved: Logistic dose curves instead of linear ones.
        informed: Whether the encoder sees the effect of a cell's label beside the cell.
    """

    def __init__(
        self,
        sizes: tuple[int, int, int],
        shape: Architecture,
        likelihood: Likelihood,
        generators: Generators,
        *,
        curved: bool = False,
        informed: bool = False,
    ) -> None:
        super().__init__()
        n_codes, d, K = sizes
        self.likelihood, self.informed = likelihood, informed
        self.encoder = MLP([likelihood.n_inputs + d * informed, *shape.hidden, n_codes], shape, generators)
        self.decoder = MLP([d, *reversed(shape.hidden), likelihood.n_outputs], shape, generators)
        self.effects = nn.Parameter(torch.stack([torch.randn(K, d, generator=g) for g in generators]) / math.sqrt(d))
        self.slope = nn.Parameter(torch.ones(len(generators), 1, K)) if curved else None
        self.offset = nn.Parameter(torch.zeros(len(generators), 1, K)) if curved else None

    def encode(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """What the encoder gives (R, E, b, n_codes) of cells (R, E, b, d_X) under labels (R, E, K)."""
        inputs = self.likelihood.inputs(x)
        if self.informed:
            effect = self.effect(labels)
            inputs = torch.cat([inputs, effect.expand(*inputs.shape[:-1], effect.shape[-1])], -1)
        return self.encoder(inputs)

    def effect(self, labels: torch.Tensor) -> torch.Tensor:
        """Σ_k f_k(l_k) V_k (R, E, 1, d) of labels (R, E, K)."""
        return (self.response(labels) @ self.effects)[:, :, None]

    def response(self, labels: torch.Tensor) -> torch.Tensor:
        """f_k(l_k) for labels (R, E, K): increasing in the dose, and 0 at 0."""
        if self.slope is None or self.offset is None:
            return labels
        steepness = functional.softplus(self.slope)
        return torch.sigmoid(steepness * labels + self.offset) - torch.sigmoid(self.offset)

    def misfit(self, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """(R,) mean −log p(x | z) / d_X of cells (R, E, b, d_X) with codes z (R, E, b, d)."""
        return -self.likelihood.log_prob(x, self.decoder(z)).mean((1, 2)) / x.shape[-1]


class AdditiveCodeEstimator(SinglePhaseEstimator):
    """What such estimators share: the observation model, and cells of the reference moved to another label."""

    n_latents: int
    observation: str
    observation_: ObservationChoice
    effects_: np.ndarray
    _network: AdditiveCode
    _extra_observations: tuple[str, ...] = ()

    def sample(self, condition: Condition, n: int, *, rng: SeedLike = None) -> np.ndarray:
        """n draws (n, d_X) from the predicted law at a label, in the data's units.

        A perturbation of the label space that no training condition holds has no effect. Counts are drawn at the totals
        of reference cells.
        """
        label = self.space.label(condition)
        doses = self._standardised.doses(label).to(self.device)[None, None]
        root = _random.seed_sequence(rng)
        picked = _random.stream(root, "basal").integers(len(self._reference), size=whole("n", n))
        generator = torch.Generator(device=self.device).manual_seed(_random.torch_seed(root, "noise"))
        with torch.no_grad():
            z = self._basal(self._reference[torch.from_numpy(picked).to(self.device)], generator)
            output = self._network.decoder(z[None, None] + self._network.effect(doses))
            totals = torch.from_numpy(self._exposure[picked, :1]).to(self.device)[None, None]
            x = self._network.likelihood.sample(output, [generator], totals) if output.isfinite().all() else output
        return self._standardised.restored(x[0, 0], condition, self._exposure[picked])

    @abstractmethod
    def _basal(self, codes: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Basal codes (n, d) of reference cells, from what the encoder gave of them (n, n_codes)."""

    def _units_of(self, data: PerturbationData) -> Units:
        self.observation_ = observation_of(data, self.observation, self.device)
        return self.observation_.units(data)

    def _likelihood(self) -> Likelihood:
        """The law of a cell before the first step."""
        return self.observation_.likelihood([self._standardised.units], self._standardised.sizes[0])

    def _start(self, cells: Cells, n_codes: int, **options: bool) -> AdditiveCode:
        """The network before its first step."""
        sizes = n_codes, self.n_latents, self._standardised.sizes[1]
        generators = [root_generator(self.random_state, "network")]
        likelihood = self._likelihood().to(self.device)
        assert isinstance(cells.x, torch.Tensor), "standardised cells are dense"
        likelihood.learn_inputs([cells.x])
        likelihood.start(cells.x.mean(0)[None], torch.full((1, likelihood.n_inputs), _START).to(cells.x))
        return AdditiveCode(sizes, self.architecture, likelihood, generators, **options).to(self.device)

    def _finish(self) -> None:
        data = self._standardised.data
        seen = (data.labels != 0).any(0)
        self.effects_ = self._network.effects.detach()[0].cpu().numpy().astype(np.float64) * seen[:, None]
        few = by_cells(data.counts) and data.counts[data.reference] < ENOUGH  # the code of any cell is basal
        x = data.x if few else data.samples(data.reference)
        self._reference = self._encoded(x, data.labels[data.environment] if few else data.labels[data.reference])
        self._exposure = self._standardised.units.exposure(x)

    def _encoded(self, x: np.ndarray, labels: np.ndarray) -> torch.Tensor:
        """What the encoder gives (n, n_codes) of cells (n, d_X) of one label (K,), or of labels of their own (n, K)."""
        cells = torch.from_numpy(self._standardised.units.forward(x)).to(self.device)
        doses = self._standardised.doses(labels).to(self.device)
        with torch.no_grad():
            if doses.ndim > 1:
                return self._network.encode(cells[None, :, None], doses[None])[0, :, 0]
            return self._network.encode(cells[None, None], doses[None, None])[0, 0]

    def _check_parameters(self) -> None:
        super()._check_parameters()
        whole("n_latents", self.n_latents)
        choice("observation", self.observation, ("auto", *self._extra_observations, *OBSERVATION_MODELS))
