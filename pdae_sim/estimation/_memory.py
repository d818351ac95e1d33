"""What a fit will hold, said before it is taken: bytes by part, from shapes and plan alone.

The peak is what is held throughout (the cells, the network with Adam's slots) and, on top of it, the largest passing
need: learning the scaling, the covariance of the cells, or the largest step of any phase. Counts of tensors are those
of the code as it stands; the tests hold them to within a factor of two of what a process takes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import torch

from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation._batches import kept_out
from pdae_sim.estimation._scaling import BLOCK_ELEMENTS, LabelScaling
from pdae_sim.estimation.networks import Architecture

log = logging.getLogger(__name__)

_FLOAT, _DOUBLE = 4, 8
_WORKSPACE = 48 * 2**20
"""What torch and its linear algebra take when first used, whatever the shapes."""
_PAIRS = 2**19 * _FLOAT * 4
"""Blocks of distances (`pdae_sim.energy`): pairs held at once, with their powers."""
_LOOK = 2
"""A loss without a gradient holds about so many times less."""
_GIVE = 2.0
"""The estimate may be this many times too large; only what exceeds memory even then is refused."""


class Planned(Protocol):
    """What the estimate needs to know of a phase."""

    name: str
    weights: dict[str, float]
    learns: tuple[str, ...]
    cells: int
    environments: int
    sampling: str
    held_out: float


@dataclass(frozen=True)
class Shape:
    """The sizes of a fit.

    Args:
        counts: Cells of each training environment, of each distinct data set.
        sizes: d_X, d_Z and K.
        itemsize: Bytes of a value of x as given.
        copied: Whether training cells are selected out of data that hold others too.
        replicates: Networks trained at once.
        data_sets: Distinct data sets among them.
    """

    counts: tuple[int, ...]
    sizes: tuple[int, int, int]
    itemsize: int = 4
    copied: bool = False
    replicates: int = 1
    data_sets: int = 1

    @classmethod
    def of(cls, data: Sequence[PerturbationData], n_latents: int | None, replicates: int = 1) -> Shape:
        """The sizes of a fit of some networks to distinct data sets alike; without `n_latents` the most it tries."""
        first = data[0]
        kept, d_X = ~first.held_out, first.x.shape[1]
        labels = first.labels[kept]
        latents = n_latents or min(LabelScaling.of(labels).rank(labels, at_most=d_X) + 1 if len(labels) else 1, d_X)
        return cls(
            tuple(first.counts[kept].tolist()),
            (d_X, latents, labels.shape[1]),
            itemsize=first.x.itemsize,
            copied=not kept.all() and "train" not in vars(first),
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
        largest = max(self.steps, key=self.steps.get, default="none")
        parts = {"training cells selected": self.selected, "standardised": self.cells, "network and Adam": self.network}
        told = ", ".join(f"{name} {written(size)}" for name, size in parts.items() if size)
        return (
            f"this fit will take about {written(self.total)} beside its data: {told}, "
            f"largest step {written(self.step)} ({largest})"
        )


def estimate(shape: Shape, architecture: Architecture, phases: Sequence[Planned]) -> Need:
    """The memory of a fit from its shapes and its plan.

    Args:
        shape: Sizes of data and latents.
        architecture: Shapes of the networks.
        phases: The plan.

    Returns:
        Bytes by part.
    """
    parameters = shape.replicates * _parameters(shape.sizes, architecture)
    return Need(
        selected=shape.values * shape.itemsize * shape.copied,
        cells=shape.values * _FLOAT,
        network=(5 if any(phase.held_out for phase in phases) else 4) * _FLOAT * parameters,
        passing=_passing(shape, architecture),
        steps={phase.name: _step(shape, architecture, phase) for phase in phases},
    )


def announce(need: Need, device: torch.device) -> None:
    """Say in one line what a fit will take, and whether it is there.

    Raises:
        InputError: If half of the estimate already exceeds what is available.
    """
    log.info("%s", need.in_words())
    room, wanted = available(device), need.total if device.type == "cpu" else need.running
    if room is None or wanted <= room:
        return
    told = f"about {written(wanted)} are wanted on {device.type} and {written(room)} are available; {_fix(need)}"
    if wanted > _GIVE * room:
        raise InputError(f"data and plan need more memory than there is: {told}")
    log.warning("memory may not suffice: %s", told)


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
        worst = max(need.steps, key=need.steps.get)
        return f"lower cells or environments of phase {worst!r} (a step of it takes {written(need.step)})"
    return "fit fewer cells or fewer columns of x, or give x as float32"


def _parameters(sizes: tuple[int, int, int], shape: Architecture) -> int:
    d_X, d_Z, K = sizes
    charts = [[d_X, *shape.hidden, d_Z]] if shape.charted else []
    encoder = [d_Z if shape.charted else d_X, *shape.hidden, d_Z]
    decoder = [d_Z + shape.n_noise, *reversed(shape.hidden), d_X * (1 + shape.own_noise)]
    return d_Z * K + sum(_of_mlp(units, shape.skip) for units in (*charts, encoder, decoder))


def _of_mlp(units: list[int], skip: bool) -> int:
    return sum(a * b + b for a, b in pairwise(units)) + units[0] * units[-1] * (skip and len(units) > 2)


def _passing(shape: Shape, architecture: Architecture) -> int:
    """The largest need between steps."""
    d_X, d_Z, _ = shape.sizes
    scaling = 3 * _DOUBLE * max(shape.counts) * d_X
    checking = 2 * shape.values // shape.data_sets
    blocks = 3 * _DOUBLE * BLOCK_ELEMENTS
    covariance = (4 * _DOUBLE * d_X**2 + blocks) * architecture.charted
    latents = 3 * _DOUBLE * sum(shape.counts) * d_Z
    return max(scaling, checking, covariance, blocks + latents)


def _step(shape: Shape, architecture: Architecture, phase: Planned) -> int:
    """The largest that one gradient step of a phase holds at once, or one look at the cells that it keeps out."""
    E = len(shape.counts)
    drawn = (phase.cells, 1) if phase.sampling == "cells" else (min(phase.environments, E), phase.cells)
    kept = kept_out(phase.held_out, min(shape.counts), E)
    look = _pass(shape, architecture, phase, (E, kept)) // _LOOK if kept else 0
    return max(_pass(shape, architecture, phase, drawn), look)


def _pass(shape: Shape, architecture: Architecture, phase: Planned, batch: tuple[int, int]) -> int:
    """What the loss of b cells of each of E environments holds until its gradient is known."""
    (E, b), (d_X, d_Z, _) = batch, shape.sizes
    m, hidden = E * b, sum(architecture.hidden)
    encoder = 3 * (2 if architecture.charted else 1) * (hidden + d_Z) + d_X
    per_term = {
        **dict.fromkeys(("perturbation", "all_pairs"), E * _decoded(shape, architecture) * m),
        "density_ratio": 5 * m * E,
        "prior": 6 * m * d_Z,
        "pooled_prior": 6 * m * d_Z,
        "likelihood": m * _volume(d_Z, architecture),
        "inversion": _decoded(shape, architecture) * m,
        **dict.fromkeys(
            ("reconstruction", "charting", "autoencoding"),
            (2 if architecture.stochastic else 1) * _decoded(shape, architecture) * m,
        ),
    }
    terms = sum(per_term.get(term, 0) for term in phase.weights)
    pairs = _PAIRS if {"perturbation", "all_pairs", "prior", "pooled_prior"} & set(phase.weights) else 0
    return shape.replicates * _FLOAT * (m * encoder + terms) + pairs


def _decoded(shape: Shape, architecture: Architecture) -> int:
    """Values that one decoded latent keeps until its gradient is known, those of the distance included."""
    d_X, d_Z, _ = shape.sizes
    layers = 6 + (architecture.output == "softplus") + 5 * architecture.own_noise
    return layers * d_X + 3 * sum(architecture.hidden) + 3 * (d_Z + architecture.n_noise)


def _volume(d_Z: int, architecture: Architecture) -> int:
    """Values of the Jacobian of one cell, d_Z directions through the hidden layers and its factors."""
    return d_Z * (4 * max(architecture.hidden, default=0) + 6 * d_Z)


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
