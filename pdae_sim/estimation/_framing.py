"""Learning of all that is fixed before the first step of a fit: observation model, units, number of latents, plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation import _bank as bank
from pdae_sim.estimation import _cell_numbers as cell_numbers
from pdae_sim.estimation import _dimension as dimension
from pdae_sim.estimation import _latent_ladder as ladder
from pdae_sim.estimation import _observation_evidence as evidence
from pdae_sim.estimation._dimension import Dimension
from pdae_sim.estimation._measurement import StandardUnits, Units
from pdae_sim.estimation._observation import ObservationChoice, as_given
from pdae_sim.estimation._posterior import PosteriorNetwork
from pdae_sim.estimation._scaling import LabelScaling, Scaling
from pdae_sim.estimation._training import train
from pdae_sim.estimation._weighted_terms import WeightedTerms
from pdae_sim.estimation.likelihoods.counts import PoissonLikelihood
from pdae_sim.estimation.phases import Phase
from pdae_sim.estimation.presets import DEFAULT, MARGINAL, MARGINAL_SCREEN, Preset

if TYPE_CHECKING:
    from pdae_sim.estimation.pdae import PDAE

_SHORT = 150
"""Steps of a short fit under noise, to compare observation models."""
_LONGER, _BATCH = 300, 512
"""Steps of one that tells latents from superfluous ones, and cells in each."""
_DRAWS = 4
"""Latents that it tries for each cell in a step."""
_PROBED_CELLS = 20_000
"""Training cells that short fits see, at most."""


def frame(model: PDAE, data: PerturbationData, known: tuple[ObservationChoice, Dimension | None] | None) -> None:
    """Give `model` its observation model, units, number of latents and plan from its training data.

    Args:
        model: An unfitted model, whose labels are scaled.
        data: Its training environments, in order.
        known: What was chosen for these data before.
    """
    data = cell_numbers.weighty(data)
    scores = _Scores(model, data)
    model.observation_ = known[0] if known else _observation(model, data, scores)
    model.plan_ = plan_of(model, data.counts, noisy=model.observation_.noisy)
    _check_plan(model)
    model._units = _units(model, data)
    if model.n_latents is not None:
        model.dimension_, model._d_Z = None, int(model.n_latents)
        return
    model.dimension_ = (known[1] if known else None) or _dimension(model, data, scores)
    model._d_Z = model.dimension_.n_latents


def plan_of(model: PDAE, counts: np.ndarray | None = None, *, noisy: bool) -> Preset:
    """Phases and networks of a model: its own, or those of the default for cells with noise or without.

    Args:
        model: The model.
        counts: (E,) cells of the training conditions, where they are known.
        noisy: Whether cells have noise.
    """
    default = (MARGINAL_SCREEN if _many(counts) else MARGINAL) if noisy else DEFAULT
    phases = _own_phases(model) or default.phases
    if counts is not None and cell_numbers.by_cells(counts):
        phases = tuple(phase.by_cells(len(counts)) for phase in phases)
    architecture = default.architecture if model.architecture is None else model.architecture
    return Preset(phases, architecture).shortened(model.steps)


def _own_phases(model: PDAE) -> tuple[Phase, ...]:
    """The phases that a model was given; empty if it was given none."""
    if model.phases is None:
        return ()
    phases = tuple(model.phases) if isinstance(model.phases, Sequence) else ()
    if not phases or not all(isinstance(phase, Phase) for phase in phases):
        told = f"{model.phases!r:.60}"
        raise InputError(f"phases must be one Phase or more, such as PRESETS['quick'].phases; received {told}")
    return phases


def _many(counts: np.ndarray | None) -> bool:
    """Whether the training data have more conditions than a step takes, beside those that sit out."""
    return counts is not None and (~cell_numbers.sits_out(counts)).sum() > MARGINAL.phases[0].environments


def labels_behind(model: PDAE) -> np.ndarray:
    """(E', K) training labels that Ŵ was learnt from: no step sees conditions that sit out, but whitening does."""
    whitened = any(phase.whiten for phase in model.plan_.phases)
    return model.train_labels_[whitened | ~cell_numbers.sits_out(model.train_counts_)]


def expects_noise(model: PDAE) -> bool | None:
    """Whether the settings of a model say that cells have noise; None where the data are to say."""
    if model.observation != "auto":
        return model.observation != "noiseless"
    weighted = [phase for phase in _own_phases(model) if phase.weights]
    return any(phase.through_noise for phase in weighted) if weighted else None


def observation_of(data: PerturbationData, name: str, device: str | torch.device) -> ObservationChoice:
    """The observation model of training data by name, or under ``auto`` the one that a PDAE takes for them."""
    from pdae_sim.estimation.pdae import PDAE

    model = PDAE(observation=name, device=device)
    model.space_, model._label_scaling = data.space, LabelScaling.of(data.labels)
    return _observation(model, data, _Scores(model, data))


def _check_plan(model: PDAE) -> None:
    """Refuse phases that do not go with the observation model."""
    for phase in model.plan_.phases:
        if phase.weights and phase.through_noise is not model.observation_.noisy:
            name = model.observation_.name
            fix = "phases with marginal_likelihood" if model.observation_.noisy else "an observation model with noise"
            raise InputError(f"phase {phase.name!r} does not go with observation={name!r}; give {fix}, or neither")


def _units(model: PDAE, data: PerturbationData) -> Units:
    if model.observation_.noisy:
        return model.observation_.units(data)
    return StandardUnits(Scaling.of(data, centred=model.plan_.architecture.output == "linear"))


def _observation(model: PDAE, data: PerturbationData, scores: _Scores) -> ObservationChoice:
    """The observation model as given, or as the cells say."""
    if model.observation != "auto":
        return as_given(model.observation, data.stored)
    noise = expects_noise(model)
    if noise is False:
        return evidence.tell(evidence.planned(data.stored))
    names, rng = evidence.candidates(data.stored), _random.stream(_random.seed_sequence(0), "observation")
    rank = model._label_scaling.rank(data.labels, at_most=data.stored.shape[1])
    some = Scaling.of(data).gathered(data.stored, evidence.looked_at(data, rng))
    if noise is None and set(names) >= {"gaussian"}:
        quiet, sure, why = evidence.noiseless(some, model.n_latents, rank, rng)
        if quiet:
            return evidence.tell(ObservationChoice("noiseless", sure, why))
    d_Z = model.n_latents or min(rank, dimension.varied_directions(some) - 1) or 1
    return evidence.tell(evidence.choose(data.stored, names, d_Z, scores))


def _dimension(model: PDAE, data: PerturbationData, scores: _Scores) -> Dimension:
    """The number of latents from the data alone, whatever the seed."""
    d_X = data.stored.shape[1]
    rank = model._label_scaling.rank(data.labels, at_most=d_X)
    rng = _random.stream(_random.seed_sequence(0), "dimension")
    few = np.sort(rng.permutation(len(data.environment))[: dimension.cells_of(d_X)])
    x = model._units.gathered(data.stored, few)
    if model.observation_.noisy:
        law, varied = model.observation_, dimension.varied_directions(x)
        found = dimension.by_information(rank, varied, partial(scores.information, law))
        return dimension.tell(ladder.confirmed(found, dimension.most_latents(rank, varied), partial(scores, law)))
    noisier = _Scores(model, data, beside=dimension.BESIDE)
    return dimension.choose(x, rank, partial(noisier.information, as_given("gaussian", x)), rng)


class _Scores:
    """What short fits say of held-out cells: their log-likelihoods, each made once, and what they tell of latents."""

    def __init__(self, model: PDAE, data: PerturbationData, *, beside: float = 0.0) -> None:
        self._model, self._all, self._beside = model, data, beside
        (phase,) = (MARGINAL_SCREEN if _many(data.counts) else MARGINAL).phases
        self._phase = replace(phase, steps=_SHORT, cells=phase.cells // 2, learning_rate=1e-2, whiten=False)
        each = _BATCH if phase.sampling == "cells" else _BATCH // min(len(data.labels), phase.environments)
        self._longer = replace(self._phase, steps=_LONGER, cells=min(each, self._phase.cells))
        self._made: dict[tuple[str, int], np.ndarray] = {}

    @cached_property
    def _data(self) -> PerturbationData:
        data = _thinned(self._all)
        if not self._beside:
            return data
        x = Scaling.of(data).gathered(data.stored, slice(None))
        rng = _random.stream(_random.seed_sequence(0), "noise beside")
        return replace(data, x=x + self._beside * rng.standard_normal(x.shape, dtype=np.float32))

    def __call__(self, choice: ObservationChoice, d_Z: int) -> np.ndarray:
        key = choice.name, d_Z
        if key not in self._made:
            self._made[key] = self._score(choice, d_Z)
        return self._made[key]

    def information(self, choice: ObservationChoice, d_Z: int) -> np.ndarray:
        """Eigenvalues of I − E Cov(z | x), descending: shares of the variance of latents that held-out cells tell."""
        _, network, held_out = self._fitted(choice, d_Z, self._longer)
        if held_out is None:
            return np.empty(0)
        x, labels = held_out
        generator = torch.Generator(device=x.device).manual_seed(0)
        with torch.no_grad():
            _, left = network.moments(x, network.shifts(labels), [generator], 4 * _DRAWS)
        return 1 - np.linalg.eigvalsh(left.double().flatten(0, -3).mean(0).cpu().numpy())

    def _score(self, choice: ObservationChoice, d_Z: int) -> np.ndarray:
        probe, network, held_out = self._fitted(choice, d_Z, self._phase)
        if held_out is None:
            return np.empty(0)
        x, labels = held_out
        generator = torch.Generator(device=x.device).manual_seed(0)
        with torch.no_grad():
            bound = network.bound(x, network.shifts(labels), [generator], 4 * _DRAWS).flatten()
        return bound.double().cpu().numpy() + _jacobian(probe, network, x)

    def _fitted(
        self, choice: ObservationChoice, d_Z: int, phase: Phase
    ) -> tuple[PDAE, PosteriorNetwork, tuple[torch.Tensor, torch.Tensor] | None]:
        """A model after a phase, its network, and the cells and labels that it kept out; None if there are too few."""
        probe = type(self._model)(d_Z, observation=choice.name, phases=(phase,), device=self._model.device)
        probe._label_scaling, probe.space_ = self._model._label_scaling, self._model.space_
        network, cells = bank.start([probe], bank.frame([probe], [self._data]))
        assert isinstance(network, PosteriorNetwork), "candidates have noise"
        network.draws = _DRAWS
        train(WeightedTerms(network, probe.beta), cells, [probe.plan_.phases])
        return probe, network, cells.weighty().split_held_out(phase.held_out)[1]


def _jacobian(probe: PDAE, network: PosteriorNetwork, x: torch.Tensor) -> float | np.ndarray:
    """log |d measured / d x| by cell: densities are compared in the units of x, masses of counts totals included."""
    units = probe._units
    if isinstance(network.likelihood, PoissonLikelihood):
        return network.likelihood.of_total(x).flatten().double().cpu().numpy()
    assert isinstance(units, StandardUnits), "what are no counts is standardised"
    volume = -float(np.log(units.scaling.scale).sum())
    if units.transform == "none":
        return volume
    logs = units.scaling.inverse(x.flatten(0, 2).cpu().numpy())
    return volume - logs.sum(1)


def _thinned(data: PerturbationData) -> PerturbationData:
    """At most some thousands of cells, as many of each environment as it has a share of them."""
    n = len(data.environment)
    if n <= _PROBED_CELLS:
        return data
    rng = _random.stream(_random.seed_sequence(0), "short fits")
    kept: Sequence[np.ndarray] = [
        rng.permutation(rows)[: max(int(len(rows) * _PROBED_CELLS / n), min(len(rows), 20))]
        for rows in data.rows_by_environment
    ]
    return data.rows(np.sort(np.concatenate(kept)))
