"""One fit or many of one shape at once: from models and data to networks, training cells and back."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation import _cell_numbers as cell_numbers
from pdae_sim.estimation import _memory as memory
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._checkpoint import Checkpoint
from pdae_sim.estimation._networks import Network, root_generator
from pdae_sim.estimation._posterior import PosteriorNetwork, draws_for
from pdae_sim.estimation._posterior_gauge import start_linear
from pdae_sim.estimation._rows import Rows, SparseRows, held_sparse
from pdae_sim.estimation._training import train
from pdae_sim.estimation._weighted_terms import WeightedTerms
from pdae_sim.estimation._whitening import init_pca
from pdae_sim.estimation.phases import Phase, Progress

if TYPE_CHECKING:
    from pdae_sim.estimation._dimension import Dimension
    from pdae_sim.estimation._observation import ObservationChoice
    from pdae_sim.estimation.pdae import PDAE

_log = logging.getLogger(__name__)


def fit_bank(
    models: Sequence[PDAE],
    data: Sequence[PerturbationData],
    *,
    like: PDAE | None = None,
    checkpoint: str | PathLike | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> None:
    """Fit each model to its data, all at once; a checkpoint is of the first, which is then the only one.

    With `like` they have its observation model and number of latents, whatever their own data would say.

    Raises:
        InputError: If models or data differ in what a bank must have in common, or need more memory than there is.
        TrainingError: If a loss or a gradient of any model is not finite.
    """
    check_memory(models, data)
    framed = frame(models, data, like)
    for model, each in zip(models[1:], framed[1:], strict=True):
        _check_alike(models[0], model, len(framed[0].labels), len(each.labels))
    network, cells = start(models, framed)
    saved = None if checkpoint is None else Checkpoint(checkpoint, cells, models[0]._identity())
    objective = WeightedTerms(network, models[0].beta)
    histories = train(objective, cells, [model.plan_.phases for model in models], checkpoint=saved, on_step=on_step)
    for r, model in enumerate(models):
        model._adopt(network.replicate(r), histories[r], framed[r])


def check_memory(models: Sequence[PDAE], data: Sequence[PerturbationData]) -> None:
    """Say what fitting some models at once will take, before it is taken.

    Raises:
        InputError: If it is far more than there is.
    """
    distinct = {id(model._checked(each)): each for model, each in zip(models, data, strict=True)}
    first = models[0]
    device = torch.device(first.device)
    if first.precision == "bfloat16" and device.type == "cpu":
        _log.warning("bfloat16 on a CPU can take ten times as long as float32; use device='cuda', or float32")
    for each in distinct.values():
        cell_numbers.tell(each)
    shape = memory.Shape.of(list(distinct.values()), first.n_latents, len(models))
    plan = first._expected_plan(np.array(shape.counts))
    memory.check_available(memory.estimate(shape, plan.architecture, plan.phases), device)


def frame(models: Sequence[PDAE], data: Sequence[PerturbationData], like: PDAE | None = None) -> list[PerturbationData]:
    """Teach each model what is fixed before its first step; the training data of each in order.

    Data given many times are one record, and have one observation model and one estimate of d_Z where models ask for
    the same.
    """
    ordered: dict[int, PerturbationData] = {}
    chosen: dict[tuple, tuple[ObservationChoice, Dimension | None]] = {}
    framed = []
    for model, each in zip(models, data, strict=True):
        asked = id(each), model.observation, repr(model.phases), model.n_latents
        known = chosen.get(asked) if like is None else (like.observation_, like.dimension_)
        ready = model._frame(each, known)
        chosen.setdefault(asked, (model.observation_, model.dimension_))
        framed.append(ordered.setdefault(id(each), ready))
    return framed


def start(models: Sequence[PDAE], data: Sequence[PerturbationData]) -> tuple[Network | PosteriorNetwork, Cells]:
    """Networks as they are before the first step, and the cells they are to see."""
    network, cells = untrained(models), training_cells(models, data)
    if isinstance(network, PosteriorNetwork):
        start_linear(network, cells.weighty())
    else:
        init_pca(network, cells.weighty())
    return network, cells


def untrained(models: Sequence[PDAE]) -> Network | PosteriorNetwork:
    """Networks of some models of one shape, each at the starting values of its own seed."""
    first, generators = models[0], [root_generator(model.random_state, "network") for model in models]
    shape = first.plan_.architecture
    if not first.observation_.noisy:
        return Network(first._sizes, shape, generators, precision=first.precision).to(first.device)
    units = [model._units for model in models]
    likelihood = first.observation_.likelihood(units, first._sizes[0], latent_library=True)
    return PosteriorNetwork(first._sizes, shape, likelihood, generators, draws=draws_for(first._sizes[0])).to(
        first.device
    )


def training_cells(models: Sequence[PDAE], data: Sequence[PerturbationData]) -> Cells:
    """The standardised cells of some models, each with data of its own; data given twice are held once.

    Large sparse cells stay sparse, if all models are given the same.
    """
    held: dict[int, int] = {}
    parts: list[torch.Tensor] = []
    rows = []
    stored = data[0].stored
    lean = len({id(each.stored) for each in data}) == 1 and not isinstance(stored, np.ndarray)
    lean = lean and held_sparse(stored.shape)
    for model, each in zip(models, data, strict=True):
        if lean:
            held[id(each.stored)] = 0
        elif id(each.stored) not in held:
            held[id(each.stored)] = sum(len(part) for part in parts)
            parts.append(torch.from_numpy(model._units.forward(each.stored)))
        rows.append(tuple(held[id(each.stored)] + r for r in each.rows_by_environment))
    labels = np.stack([m._label_scaling.forward(each.labels) for m, each in zip(models, data, strict=True)])
    device = models[0].device
    x: Rows
    if lean:
        x = SparseRows(stored, models[0]._units, device)
    else:
        x = (parts[0] if len(parts) == 1 else torch.cat(parts)).to(device)
    roots = tuple(_random.child(_random.seed_sequence(model.random_state), "training") for model in models)
    doses = torch.tensor(labels, dtype=torch.float32, device=device)
    return Cells(x, doses, tuple(rows), roots)


def _check_alike(first: PDAE, other: PDAE, n_first: int, n_other: int) -> None:
    apart = {
        "d_X, d_Z and K": (first._sizes, other._sizes),
        "training environments": (n_first, n_other),
        "observation model": (_law(first), _law(other)),
        "architecture": (first.plan_.architecture, other.plan_.architecture),
        "beta": (first.beta, other.beta),
        "device": (torch.device(first.device), torch.device(other.device)),
        "precision": (first.precision, other.precision),
        "plan": ([_shared(p) for p in first.plan_.phases], [_shared(p) for p in other.plan_.phases]),
    }
    for what, (a, b) in apart.items():
        if a != b:
            values = "" if what == "plan" else f"; received {a} and {b}"
            raise InputError(f"replicates must have the same {what}{values}; fit them one by one")


def _law(model: PDAE) -> tuple:
    """What a law is before it is fitted."""
    chosen = model.observation_
    return chosen.name, chosen.transform, chosen.centred


def _shared(phase: Phase) -> tuple:
    """What replicates trained at once must have in common of a phase; rates and weights are their own."""
    own = ("weights", "learning_rate", "clip")
    return *(value for key, value in asdict(phase).items() if key not in own), tuple(sorted(phase.weights))
