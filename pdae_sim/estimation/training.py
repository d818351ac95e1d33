"""The loop: phases of weighted terms, batches that are a pure function of the step, failures that name themselves."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim._checks import InputError, at_least, near_misses, whole
from pdae_sim.estimation.networks import Network
from pdae_sim.estimation.objectives import TERMS, Step

log = logging.getLogger(__name__)

PARTS = ("encoder", "shift", "decoder")
HEARTBEAT_SECONDS = 10.0


class TrainingError(RuntimeError):
    """A loss or gradient that is not finite, named with phase, step and term."""


@dataclass(frozen=True)
class Phase:
    """A stretch of training: which terms are minimised, by which parts, for how long.

    Args:
        name: For logs and the history.
        steps: Gradient steps.
        weights: Weight of each term of `objectives.TERMS`; absent terms are not computed.
        learns: The parts that move; the others are frozen.
        cells: Cells per environment in a step.
        environments: Environments in a step; all of them where there are no more.
        learning_rate: Peak rate of Adam; it falls to zero along a cosine.
        clip: Largest gradient norm.
    """

    name: str
    steps: int
    weights: Mapping[str, float] = field(default_factory=dict)
    learns: tuple[str, ...] = PARTS
    cells: int = 64
    environments: int = 16
    learning_rate: float = 2e-3
    clip: float = 10.0

    def __post_init__(self) -> None:
        whole("steps", self.steps, at_least=0)
        whole("cells", self.cells, at_least=2)
        whole("environments", self.environments)
        at_least("learning_rate", self.learning_rate, 0.0)
        for term, weight in self.weights.items():
            if term not in TERMS:
                raise InputError(f"unknown loss term {term!r} in phase {self.name!r}; {near_misses(term, TERMS)}")
            at_least(f"weight of {term!r}", weight, 0.0)
        for part in self.learns:
            if part not in PARTS:
                raise InputError(f"unknown part {part!r} in phase {self.name!r}; {near_misses(part, PARTS)}")
        object.__setattr__(self, "weights", {k: float(v) for k, v in self.weights.items() if v})
        object.__setattr__(self, "learns", tuple(self.learns))

    def state(self) -> dict:
        """The phase as plain JSON values."""
        return asdict(self) | {"learns": list(self.learns)}


@dataclass(frozen=True, eq=False)
class Cells:
    """Standardised training cells on their device, and batches of them.

    Args:
        x: (n, d_X).
        labels: (E, K).
        rows: For each environment the rows of x that belong to it.
        root: Root of the random streams.
    """

    x: torch.Tensor
    labels: torch.Tensor
    rows: tuple[np.ndarray, ...]
    root: np.random.SeedSequence
    _epochs: dict = field(default_factory=dict)

    def batch(self, phase: Phase, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Cells (E', b, d_X) and labels (E', K) of one step: a pure function of the step.

        Each environment gives the next stretch of its endless sequence of shuffled epochs; beyond
        `phase.environments` environments a random subset takes part.
        """
        chosen = self._environments(phase, step)
        picked = np.stack([self._stretch(phase, e, step * phase.cells) for e in chosen])
        return self.x[torch.from_numpy(picked).to(self.x.device)], self.labels[chosen.tolist()]

    def _environments(self, phase: Phase, step: int) -> np.ndarray:
        E = len(self.rows)
        if phase.environments >= E:
            return np.arange(E)
        return np.sort(_random.stream(self.root, "environments", phase.name, step).permutation(E)[: phase.environments])

    def _stretch(self, phase: Phase, e: int, start: int) -> np.ndarray:
        n = len(self.rows[e])
        first, last = start // n, (start + phase.cells - 1) // n
        order = np.concatenate([self._epoch(phase.name, e, epoch) for epoch in range(first, last + 1)])
        return self.rows[e][order[start - first * n :][: phase.cells]]

    def _epoch(self, phase: str, e: int, epoch: int) -> np.ndarray:
        """The order of one epoch; the last one of each environment is remembered."""
        key = (phase, e, epoch)
        if self._epochs.get(e, (None,))[0] != key:
            self._epochs[e] = (key, _random.stream(self.root, "epoch", *key).permutation(len(self.rows[e])))
        return self._epochs[e][1]


@dataclass
class Progress:
    """Where a fit stands; everything a resumed fit needs beside the parameters."""

    phase: int = 0
    step: int = 0
    history: list[dict] = field(default_factory=list)


def train(
    network: Network,
    cells: Cells,
    phases: tuple[Phase, ...],
    *,
    beta: float = 1.0,
    progress: Progress | None = None,
    optimiser_state: dict | None = None,
    after_step: Callable[[Progress, torch.optim.Optimizer], None] | None = None,
) -> list[dict]:
    """Run the phases in order and return the history, one row per recorded step.

    Args:
        network: Trained in place.
        cells: The training cells.
        phases: What to minimise.
        beta: Exponent of the energy terms.
        progress: Where to begin; the start when absent.
        optimiser_state: Adam's slots by parameter, of the phase under way.
        after_step: Called after every step, for checkpoints and displays.

    Raises:
        TrainingError: If a loss or a gradient is not finite.
    """
    progress = progress or Progress()
    while progress.phase < len(phases):
        phase = phases[progress.phase]
        optimiser = _optimiser(network, phase, optimiser_state)
        for row in _run(network, cells, phase, beta, progress, optimiser):
            progress.history += [row] if row else []
            if after_step:
                after_step(progress, optimiser)
        progress.phase, progress.step, optimiser_state = progress.phase + 1, 0, None
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    return progress.history


def _run(network, cells: Cells, phase: Phase, beta: float, progress: Progress, optimiser) -> Iterator[dict | None]:
    generator = torch.Generator(device=cells.x.device)
    beat = time.monotonic()
    every = max(phase.steps // 100, 1)
    while progress.step < phase.steps:
        step = progress.step
        for group in optimiser.param_groups:
            group["lr"] = phase.learning_rate * cosine(step, phase.steps)
        generator.manual_seed(_random.torch_seed(cells.root, "step", phase.name, step))
        losses = _descend(network, cells, phase, beta, step, generator, optimiser)
        progress.step += 1
        last = progress.step == phase.steps
        recorded = step % every == 0 or last
        row = {"phase": phase.name, "step": step, **{k: float(v) for k, v in losses.items()}} if recorded else None
        if row and (last or time.monotonic() - beat > HEARTBEAT_SECONDS):
            beat = time.monotonic()
            log.info("%s %d/%d  %s", phase.name, progress.step, phase.steps, _words(row))
        yield row


def _descend(network, cells, phase: Phase, beta: float, step: int, generator, optimiser) -> dict[str, torch.Tensor]:
    x, labels = cells.batch(phase, step)
    batch = Step.of(network, x, labels, beta, generator)
    losses = {term: TERMS[term](batch) for term in phase.weights}
    total = sum(phase.weights[term] * loss for term, loss in losses.items())
    optimiser.zero_grad(set_to_none=True)
    total.backward()
    moved = [p for group in optimiser.param_groups for p in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(moved, phase.clip)
    if not torch.isfinite(total + norm):
        raise TrainingError(_blame(losses, norm, phase, step))
    optimiser.step()
    return {term: loss.detach() for term, loss in losses.items()}


def _optimiser(network: Network, phase: Phase, state: dict | None) -> torch.optim.Optimizer:
    parts = network.parts()
    for part, parameters in parts.items():
        for parameter in parameters:
            parameter.requires_grad_(part in phase.learns)
            parameter.grad = None
    optimiser = torch.optim.Adam([p for part in phase.learns for p in parts[part]], lr=phase.learning_rate)
    if state:
        optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
    return optimiser


def cosine(step: int, steps: int, *, warm: int = 50) -> float:
    """A factor that rises over the first steps and falls to zero along half a cosine."""
    rise = min(1.0, (step + 1) / min(warm, max(steps // 10, 1)))
    return rise * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))


def _blame(losses: dict, norm: torch.Tensor, phase: Phase, step: int) -> str:
    bad = [term for term, loss in losses.items() if not torch.isfinite(loss)]
    what = f"loss term {bad[0]!r}" if bad else f"the gradient of {' + '.join(losses)}"
    hint = "lower the learning rate or look for extreme values in x"
    return f"{what} is not finite (gradient norm {float(norm):g}) at step {step} of phase {phase.name!r}; {hint}"


def _words(row: dict) -> str:
    return "  ".join(f"{k}={v:.4f}" for k, v in row.items() if k not in ("phase", "step"))
