"""Peak memory of a fit, estimated before it begins: bytes by part, from shapes and phases alone.

The peak is what is held throughout (the cells, the network with Adam's slots) and, on top of it, the largest passing
need: learning the scaling, the covariance of the cells, or the largest step of any phase. A step is counted by running
the code of the fit itself on tensors of the meta device, which have shapes and no values.
"""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._batches import kept_out
from pdae_sim.estimation._cell_numbers import by_cells, sits_out
from pdae_sim.estimation._components import is_wide
from pdae_sim.estimation._losses import TERMS
from pdae_sim.estimation._networks import Network
from pdae_sim.estimation._posterior import PosteriorNetwork, draws_for
from pdae_sim.estimation._rows import held_sparse
from pdae_sim.estimation._scaling import LabelScaling, block_rows
from pdae_sim.estimation._weighted_terms import WeightedTerms
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.likelihoods.counts import NegativeBinomialLikelihood
from pdae_sim.estimation.phases import Phase

_log = logging.getLogger(__name__)

_FLOAT, _DOUBLE = 4, 8
_WORKSPACE = 48 * 2**20
"""What torch and its linear algebra take when first used, whatever the shapes."""
_TOLERANCE = 2.0
"""The estimate may be this many times too large; only what exceeds memory even then is refused."""


@dataclass(frozen=True)
class Shape:
    """The sizes of a fit.

    Args:
        counts: Cells of each training environment, of each distinct data set.
        sizes: d_X, d_Z and K.
        itemsize: Bytes of a value of x as given.
        copied: Whether training cells are selected out of data that hold others too.
        sparse: Bytes of the training cells as stored, where steps draw them from there; 0 where they are dense.
        replicates: Networks trained at once.
        data_sets: Distinct data sets among them.
    """

    counts: tuple[int, ...]
    sizes: tuple[int, int, int]
    itemsize: int = 4
    copied: bool = False
    sparse: int = 0
    replicates: int = 1
    data_sets: int = 1

    @classmethod
    def of(cls, data: Sequence[PerturbationData], n_latents: int | None, replicates: int = 1) -> Shape:
        """The sizes of a fit of some networks to distinct data sets alike; without `n_latents` the most it tries."""
        first = data[0]
        kept, d_X = ~first.held_out, first.stored.shape[1]
        labels = first.labels[kept]
        weigh = labels[~sits_out(first.counts[kept])]
        latents = n_latents or min(LabelScaling.of(weigh).rank(weigh, at_most=d_X) + 1 if len(weigh) else 1, d_X)
        return cls(
            tuple(first.counts[kept].tolist()),
            (d_X, latents, labels.shape[1]),
            itemsize=first.stored.dtype.itemsize,
            copied=not kept.all() and "train" not in vars(first),
            sparse=_stored(first, kept) if len(data) == 1 else 0,
            replicates=replicates,
            data_sets=len(data),
        )

    @property
    def values(self) -> int:
        """Values of x in training, over all data sets."""
        return self.data_sets * sum(self.counts) * self.sizes[0]


@dataclass(frozen=True)
class Need:
    """Bytes of a fit beyond the data as given.

    Args:
        selected: Training cells copied out of the data, in the host's memory.
        cells: Standardised cells, where the fit runs.
        network: Parameters, gradients and Adam's slots, where the fit runs.
        passing: The largest need between steps: scaling, covariance, encoding.
        steps: The largest step of each phase, by name.
    """

    selected: int
    cells: int
    network: int
    passing: int
    steps: dict[str, int]

    @property
    def step(self) -> int:
        """The largest step of any phase."""
        return max(self.steps.values(), default=0)

    @property
    def running(self) -> int:
        """The most that is held where the fit runs."""
        return self.cells + self.network + max(self.passing, self.step) + _WORKSPACE

    @property
    def total(self) -> int:
        """The peak of a fit on a CPU, beyond the data as given."""
        return self.selected + self.running

    def in_words(self) -> str:
        """One line for the log."""
        largest = max(self.steps, key=lambda name: self.steps[name], default="none")
        parts = {"training cells selected": self.selected, "standardised": self.cells, "network and Adam": self.network}
        told = ", ".join(f"{name} {written(size)}" for name, size in parts.items() if size)
        return (
            f"this fit will take about {written(self.total)} beside its data: {told}, "
            f"largest step {written(self.step)} ({largest})"
        )


def estimate(shape: Shape, architecture: Architecture, phases: Sequence[Phase]) -> Need:
    """The memory of a fit from its shapes and its phases.

    Args:
        shape: Sizes of data and latents.
        architecture: Shapes of the networks.
        phases: The training plan.

    Returns:
        Bytes by part.
    """
    noisy = any(phase.through_noise for phase in phases)
    held = _parameters(shape.sizes, architecture, shape.replicates, noisy)
    return Need(
        selected=(shape.sparse or shape.values * shape.itemsize) * shape.copied,
        cells=0 if shape.sparse else shape.values * _FLOAT,
        network=(5 if any(phase.held_out for phase in phases) else 4) * held,
        passing=_passing(shape, architecture),
        steps={phase.name: _step(shape, architecture, phase) for phase in phases},
    )


def check_available(need: Need, device: torch.device) -> None:
    """Say in one line what a fit will take, and whether it is there.

    Raises:
        InputError: If half of the estimate already exceeds what is available.
    """
    _log.info("%s", need.in_words())
    room, wanted = available(device), need.total if device.type == "cpu" else need.running
    if room is None or wanted <= room:
        return
    told = f"about {written(wanted)} are needed on {device.type} and {written(room)} are available; {_fix(need)}"
    if wanted > _TOLERANCE * room:
        raise InputError(f"data and plan need more memory than there is: {told}")
    _log.warning("memory may not suffice: %s", told)


def available(device: torch.device) -> int | None:
    """Bytes that a fit can still take where it runs; None where nobody says."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    found = [room for room in (_host(), _group()) if room is not None]
    return min(found, default=None)


def written(size: int) -> str:
    """Bytes for people."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"


def _fix(need: Need) -> str:
    """The change that frees most."""
    if need.step > need.cells + need.selected:
        worst = max(need.steps, key=lambda name: need.steps[name])
        return f"lower cells or environments of phase {worst!r} (a step of it takes {written(need.step)})"
    return "fit fewer cells or fewer columns of x, or give x as float32"


def _passing(shape: Shape, architecture: Architecture) -> int:
    """The largest need between steps."""
    d_X, d_Z, _ = shape.sizes
    scaling = 3 * _DOUBLE * min(max(shape.counts), block_rows(d_X)) * d_X
    checking = 0 if shape.sparse else 2 * shape.values // shape.data_sets
    blocks = 3 * _DOUBLE * block_rows(d_X) * d_X
    covariance = (4 * _DOUBLE * d_X**2 * (not is_wide(d_X, d_Z)) + blocks) * architecture.charted
    latents = 3 * _DOUBLE * sum(shape.counts) * d_Z
    return max(scaling, checking, covariance, blocks + latents)


def _stored(data: PerturbationData, kept: np.ndarray) -> int:
    """Bytes of the sparse cells of the environments kept, where a fit draws its steps from them; else 0."""
    share = data.counts[kept].sum() / data.counts.sum()
    x = data.stored
    if isinstance(x, np.ndarray) or not held_sparse((int(share * x.shape[0]), x.shape[1])):
        return 0
    return int(share * (x.data.nbytes + x.indices.nbytes))


@lru_cache(maxsize=1024)
def _parameters(sizes: tuple[int, int, int], architecture: Architecture, replicates: int, noisy: bool) -> int:
    with _Allocations():
        return sum(p.nbytes for p in _network(sizes, architecture, replicates, noisy).parameters())


def _step(shape: Shape, architecture: Architecture, phase: Phase) -> int:
    """The largest that one gradient step of a phase holds at once, or one look at the cells that it keeps out."""
    counts = np.array(shape.counts)
    counts = counts[~sits_out(counts)]
    E, terms = len(counts), tuple(phase.weights)
    drawn = (phase.cells, 1) if phase.sampling == "cells" else (min(phase.environments, E), phase.cells)
    kept = kept_out(phase.held_out, counts, shape.sizes[0])
    look_at = (int(kept.sum()), 1) if by_cells(counts) else (int((kept > 0).sum()), int(kept.max()))
    network = shape.sizes, architecture, shape.replicates
    step = _passing_of(*network, terms, phase.learns, drawn)
    look = _passing_of(*network, terms, (), look_at) if kept.sum() > drawn[0] * drawn[1] else 0
    return max(step, look)


@lru_cache(maxsize=1024)
def _passing_of(
    sizes: tuple[int, int, int],
    architecture: Architecture,
    replicates: int,
    terms: tuple[str, ...],
    learns: tuple[str, ...],
    batch: tuple[int, int],
) -> int:
    """What the loss of b cells of each of E environments holds at once, and its gradient in the parts that learn."""
    if not terms:
        return 0
    with _Allocations() as allocations, torch.set_grad_enabled(bool(learns)):
        noisy = any("posterior" in TERMS[term].needs for term in terms)
        objective = WeightedTerms(_network(sizes, architecture, replicates, noisy), 1.0)
        moved = [p for part, parameters in objective.parts().items() if part in learns for p in parameters]
        for parameter in moved:
            parameter.grad = torch.zeros_like(parameter)  # counted with the network
        before = allocations.peak = allocations.held
        x, labels = torch.empty(replicates, *batch, sizes[0]), torch.empty(replicates, batch[0], sizes[2])
        first, *rest = objective.losses(terms, x, labels, [torch.Generator()] * replicates).values()
        if learns:
            sum(rest, first).sum().backward(inputs=moved)
        return allocations.peak - before


def _network(
    sizes: tuple[int, int, int], architecture: Architecture, replicates: int, noisy: bool
) -> Network | PosteriorNetwork:
    generators = [torch.Generator()] * replicates
    if not noisy:
        return Network(sizes, architecture, generators)
    law = NegativeBinomialLikelihood(replicates, sizes[0])  # the largest
    return PosteriorNetwork(sizes, architecture, law, generators, draws=draws_for(sizes[0]))


class _Allocations(TorchDispatchMode):
    """Inside, tensors are of the meta device: shapes without values, whose bytes are counted as if they were held.

    Attributes:
        held: Bytes of the tensors alive.
        peak: The most since it was last set.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Callable, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return 1  # no value is known: `if` takes the branch of distances that need no repair
        settings = dict(kwargs or {})
        if "device" in settings:
            settings["device"] = torch.device("meta")
        if "generator" in settings:
            settings["generator"] = None
        result = func(*args, **settings)
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._count(tensor.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        self._change(storage.nbytes())
        weakref.finalize(storage, self._change, -storage.nbytes())

    def _change(self, size: int) -> None:
        self.held += size
        self.peak = max(self.peak, self.held)


def _host() -> int | None:
    """Memory that the kernel could give without swapping (Linux), else pages that are free."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        names = {"SC_AVPHYS_PAGES", "SC_PAGE_SIZE"} & set(getattr(os, "sysconf_names", ()))
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") if len(names) == 2 else None


def _group(folder: Path = Path("/sys/fs/cgroup")) -> int | None:
    """What the limit of this process's control group leaves (Linux, version 2); None where there is none."""
    try:
        limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
        kept = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) - int(used) + int(kept.get("inactive_file", 0))
