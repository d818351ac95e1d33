"""The objective of a PDAE: terms by name, weighted by each phase."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import cast

import torch

from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._losses import TERMS, Step
from pdae_sim.estimation._networks import Generators, Network
from pdae_sim.estimation._posterior import PosteriorNetwork
from pdae_sim.estimation._posterior_gauge import settle
from pdae_sim.estimation._training import Losses, Player
from pdae_sim.estimation._whitening import whiten
from pdae_sim.estimation.phases import Phase


class WeightedTerms:
    """The loss of a PDAE: the terms of its phases, from `TERMS`.

    Args:
        network: A bank of R networks.
        beta: Exponent of the energy terms.
    """

    def __init__(self, network: Network | PosteriorNetwork, beta: float) -> None:
        self.network, self._beta = network, beta

    def parts(self) -> Mapping[str, Sequence[torch.nn.Parameter]]:
        """The parameters by the part they belong to."""
        return self.network.parts()

    def players(self, phases: Sequence[Phase]) -> Sequence[Player]:
        """The parts that learn, all together."""
        weights = {term: [phase.weights[term] for phase in phases] for term in phases[0].weights}
        return [Player(phases[0].learns, weights, phases)]

    def losses(self, terms: Collection[str], x: torch.Tensor, labels: torch.Tensor, generators: Generators) -> Losses:
        """The terms at a batch, networks at the precision of the fit."""
        with_volume = any("volume" in TERMS[term].needs for term in terms)
        step = Step(cast(Network, self.network), x, labels, self._beta, generators, with_volume)
        with self.network.lowered():
            return {term: TERMS[term](step) for term in terms}

    def end(self, phase: Phase, cells: Cells) -> None:
        """Whiten the base latents and refit Ŵ, if the phase asks for it."""
        if not phase.whiten:
            return
        if isinstance(self.network, PosteriorNetwork):
            settle(self.network, cells)
        else:
            whiten(self.network, cells)
