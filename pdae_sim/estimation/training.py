"""The loop: phases of weighted terms for a bank of replicates, and failures that name themselves."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

import torch

from pdae_sim import _random
from pdae_sim._checks import at_least, choice, near_misses, whole
from pdae_sim.errors import InputError, TrainingError
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._early_stopping import Best, Watch
from pdae_sim.estimation._whitening import settle
from pdae_sim.estimation.losses import TERMS, Step
from pdae_sim.estimation.networks import Network

log = logging.getLogger(__name__)

PARTS = ("chart", "encoder", "shift", "decoder")
SAMPLINGS, SCHEDULES = ("environments", "cells"), ("cosine", "constant")
BY_ENVIRONMENT = frozenset({"density_ratio", "prior", "moments"})
"""Terms that compare the cells of an environment with one another."""
_ENCODED = frozenset({"chart", "encoder", "shift"})
MOVES = {
    **dict.fromkeys(("perturbation", "all_pairs"), _ENCODED | {"decoder"}),
    "reconstruction": frozenset({"decoder"}),
    **dict.fromkeys(("autoencoding", "inversion"), frozenset({"chart", "encoder", "decoder"})),
    "charting": frozenset({"chart", "decoder"}),
    "sparsity": frozenset({"shift"}),
    **dict.fromkeys(("prior", "pooled_prior", "moments", "density_ratio", "likelihood"), _ENCODED),
}
"""The parts that each term has a gradient in."""
DECODED = frozenset({"perturbation", "all_pairs", "reconstruction", "autoencoding", "inversion"})
"""Terms that decode latents."""
HEARTBEAT_SECONDS = 10.0
LOOKS = 30
"""Times that a phase looks at the cells it keeps out."""


class Pace(Protocol):
    """What any stretch of descent has: the sizes of its batches, and its rate over its steps."""

    steps: int
    cells: int
    environments: int
    learning_rate: float
    clip: float
    decay: float
    schedule: str


def check_pace(pace: Pace) -> None:
    """Refuse sizes and rates out of range."""
    whole("cells", pace.cells, at_least=2)
    whole("environments", pace.environments)
    for name in ("learning_rate", "clip", "decay"):
        at_least(name, getattr(pace, name), 0.0)
    choice("schedule", pace.schedule, SCHEDULES)


def slowed(pace: Pace, step: int) -> float:
    """The share of the peak rate at a step."""
    return cosine(step, pace.steps) if pace.schedule == "cosine" else 1.0


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
        learning_rate: Peak rate of Adam.
        clip: Largest gradient norm.
        decay: Decoupled weight decay of the matrices of encoder and decoder; Ŵ and biases never decay.
        schedule: ``cosine`` rises over the first steps and falls to zero; ``constant`` does neither.
        sampling: ``environments`` takes `cells` of each, whatever their numbers; ``cells`` takes that many of all cells
            together, as published, so that environments weigh by their numbers.
        held_out: Share of the smallest training environment's cells that no step sees, as many of every environment and
            some thousands in all at most; the phase ends with the parameters that had the least loss on them. With 0,
            or where they would be too few to tell, it ends with the last.
        settle: When the phase is over, whiten the base latents and refit Ŵ in closed form (see `settling`).
    """

    name: str
    steps: int
    weights: Mapping[str, float] = field(default_factory=dict)
    learns: tuple[str, ...] = PARTS
    cells: int = 64
    environments: int = 16
    learning_rate: float = 2e-3
    clip: float = 10.0
    decay: float = 0.0
    schedule: str = "cosine"
    sampling: str = "environments"
    held_out: float = 0.0
    settle: bool = False

    def __post_init__(self) -> None:
        whole("steps", self.steps, at_least=0)
        check_pace(self)
        if not 0.0 <= at_least("held_out", self.held_out, 0.0) <= 0.5:
            raise InputError(f"held_out must be between 0 and 0.5; received {self.held_out!r}")
        choice("sampling", self.sampling, SAMPLINGS)
        for term, weight in self.weights.items():
            if term not in TERMS:
                raise InputError(f"unknown loss term {term!r} in phase {self.name!r}; {near_misses(term, TERMS)}")
            at_least(f"weight of {term!r}", weight, 0.0)
        for part in self.learns:
            if part not in PARTS:
                raise InputError(f"unknown part {part!r} in phase {self.name!r}; {near_misses(part, PARTS)}")
        object.__setattr__(self, "weights", {k: float(v) for k, v in self.weights.items() if v})
        object.__setattr__(self, "learns", tuple(self.learns))
        self._refuse_lone_cells()
        self._refuse_idleness()

    def _refuse_lone_cells(self) -> None:
        wrong = sorted(BY_ENVIRONMENT & set(self.weights)) if self.sampling == "cells" else []
        if wrong:
            raise InputError(
                f"phase {self.name!r}: {wrong[0]!r} needs the cells of an environment together; "
                "use sampling='environments' (or 'pooled_prior')"
            )

    def _refuse_idleness(self) -> None:
        if self.steps and not (self.weights and self.learns):
            raise InputError(f"phase {self.name!r}: steps need a term with a weight above 0 and a part that learns")
        if self.settle and not self.learns:
            raise InputError(f"phase {self.name!r}: settle needs a part that learns")
        moved = set().union(*(MOVES[term] for term in self.weights)) if self.weights else set()
        if self.steps and not moved & set(self.learns):
            told = f"{', '.join(self.weights)} moves {', '.join(sorted(moved))}"
            raise InputError(f"phase {self.name!r}: {told}, of which none learns; it has {', '.join(self.learns)}")

    def state(self) -> dict:
        """The phase as plain JSON values."""
        return asdict(self) | {"learns": list(self.learns)}

    def common(self) -> tuple:
        """What replicates trained at once must have in common; rates and weights are their own."""
        own = ("weights", "learning_rate", "clip")
        return *(value for key, value in asdict(self).items() if key not in own), tuple(sorted(self.weights))


@dataclass
class Progress:
    """Where a fit stands; everything a resumed fit needs beside the parameters.

    Args:
        phase: The phase under way.
        step: Steps of it that are done.
        histories: One row per recorded step, for each replicate.
        best: The best parameters of the phase so far, on the cells it keeps out.
    """

    phase: int = 0
    step: int = 0
    histories: list[list[dict]] = field(default_factory=list)
    best: Best | None = None


def train(
    network: Network,
    cells: Cells,
    plans: Sequence[tuple[Phase, ...]],
    *,
    beta: float = 1.0,
    progress: Progress | None = None,
    optimiser_state: dict | None = None,
    after_step: Callable[[Progress, torch.optim.Optimizer], None] | None = None,
) -> list[list[dict]]:
    """Run the phases in order and return the history of each replicate, one row per recorded step.

    Args:
        network: A bank of R networks, trained in place.
        cells: The training cells.
        plans: What each replicate minimises; plans that differ in rates and weights only.
        beta: Exponent of the energy terms.
        progress: Where to begin; the start when absent.
        optimiser_state: Adam's slots by parameter, of the phase under way.
        after_step: Called after every step, for checkpoints and displays.

    Raises:
        TrainingError: If a loss or a gradient is not finite.
    """
    progress = progress or Progress()
    progress.histories = progress.histories or [[] for _ in plans]
    while progress.phase < len(plans[0]):
        stretch = _Stretch(network, cells, [plan[progress.phase] for plan in plans], beta, optimiser_state)
        stretch.watch.best = progress.best
        for rows in stretch.run(progress):
            for history, row in zip(progress.histories, rows, strict=False):
                history.append(row)
            if after_step:
                after_step(progress, stretch.optimiser)
        stretch.watch.restore()
        if stretch.phase.settle:
            settle(network, cells)
        progress.phase, progress.step, progress.best, optimiser_state = progress.phase + 1, 0, None, None
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    return progress.histories


class _Stretch:
    """One phase at work on a bank."""

    def __init__(self, network: Network, cells: Cells, phases: list[Phase], beta: float, state: dict | None) -> None:
        self.network, self.phase, self.beta = network, phases[0], beta
        self.cells, self.held_out = cells.parted(self.phase.held_out)
        x = cells.x
        self.weights = {t: torch.tensor([p.weights[t] for p in phases]).to(x) for t in self.phase.weights}
        self.clips = torch.tensor([p.clip for p in phases]).to(x)
        self.rate = max(p.learning_rate for p in phases)
        self.slowness = torch.tensor([p.learning_rate / self.rate if self.rate else 1.0 for p in phases]).to(x)
        self.same_rate = len({p.learning_rate for p in phases}) == 1
        self.generators = [torch.Generator(device=x.device) for _ in phases]
        self.optimiser = _optimiser(network, phases, state)
        self.moved = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.watch = Watch(self._held_out_loss, self.moved)
        if self.phase.held_out and self.held_out is None:
            log.info("phase %r keeps no cells out: of the smallest environment they would be too few", self.phase.name)

    def run(self, progress: Progress) -> Iterator[list[dict]]:
        """Take the steps that are left; rows of all replicates where a step is recorded, else none."""
        phase, beat = self.phase, time.monotonic()
        every, look = max(phase.steps // 100, 1), max(phase.steps // LOOKS, 1)
        if self.held_out and progress.step == 0:
            self._look(progress)
        while progress.step < phase.steps:
            step = progress.step
            losses = self.descend(step)
            progress.step += 1
            last = progress.step == phase.steps
            if self.held_out and (progress.step % look == 0 or last):
                losses["held_out"] = self._look(progress)
            recorded = step % every == 0 or "held_out" in losses or last
            rows = _rows_of(phase.name, step, losses) if recorded else []
            if rows and (last or time.monotonic() - beat > HEARTBEAT_SECONDS):
                beat = time.monotonic()
                log.info("%s %d/%d  %s", phase.name, progress.step, phase.steps, _words(rows[0]))
            yield rows

    def _look(self, progress: Progress) -> torch.Tensor:
        """The loss (R,) on the cells kept out; what is best so far goes into the progress."""
        losses = self.watch.look()
        progress.best = self.watch.best
        return losses

    def descend(self, step: int) -> dict[str, torch.Tensor]:
        """One gradient step of every replicate; the losses, (R,) each."""
        for generator, root in zip(self.generators, self.cells.roots, strict=True):
            generator.manual_seed(_random.torch_seed(root, "step", self.phase.name, step))
        losses = self._losses(*self.cells.batch(self.phase, step))
        total = self._total(losses)
        self.optimiser.zero_grad(set_to_none=True)
        total.sum().backward()
        norms = self._clipped()
        if not torch.isfinite(total + norms).all():
            raise TrainingError(blame(losses, norms, f"step {step} of phase {self.phase.name!r}"))
        self._move(step)
        return {term: loss.detach() for term, loss in losses.items()}

    def _losses(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        with self.network.lowered():
            batch = Step.of(self.network, x, labels, self.beta, self.generators, self.phase.weights)
            return {term: TERMS[term](batch) for term in self.phase.weights}

    def _total(self, losses: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return sum(self.weights[term] * loss for term, loss in losses.items())

    def _held_out_loss(self) -> torch.Tensor:
        """(R,) on the cells kept out, with the same draws of noise at every look."""
        for generator, root in zip(self.generators, self.cells.roots, strict=True):
            generator.manual_seed(_random.torch_seed(root, "held out", self.phase.name))
        return self._total(self._losses(*self.held_out))

    def _clipped(self) -> torch.Tensor:
        """Scale the gradients of each replicate down to its largest norm; the norms before, (R,)."""
        grads = [p.grad for p in self.moved if p.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(g, dim=(1, 2)) for g in grads]).norm(dim=0)
        scales = (self.clips / (norms + 1e-6)).clamp(max=1.0)[:, None, None]
        for grad in grads:
            grad.mul_(scales)
        return norms

    def _move(self, step: int) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * slowed(self.phase, step)
        if self.same_rate:
            self.optimiser.step()
            return
        before = [p.detach().clone() for p in self.moved]
        self.optimiser.step()
        with torch.no_grad():
            for p, old in zip(self.moved, before, strict=True):
                p.copy_(torch.lerp(old, p, self.slowness[:, None, None]))


def _optimiser(network: Network, phases: list[Phase], state: dict | None) -> torch.optim.Optimizer:
    phase = phases[0]
    for part, parameters in network.parts().items():
        for parameter in parameters:
            parameter.requires_grad_(part in phase.learns)
            parameter.grad = None
    free = {id(p) for name, p in network.named_parameters() if name == "shift" or "biases" in name}
    moved = [p for part, parameters in network.parts().items() if part in phase.learns for p in parameters]
    decayed, others = [p for p in moved if id(p) not in free], [p for p in moved if id(p) in free]
    groups = [{"params": decayed, "weight_decay": phase.decay}, {"params": others, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW([g for g in groups if g["params"]], lr=phase.learning_rate, fused=True)
    if state:
        optimiser.load_state_dict(optimiser.state_dict() | {"state": state})
    return optimiser


def cosine(step: int, steps: int, *, warm: int = 50) -> float:
    """A factor that rises over the first steps and falls to zero along half a cosine."""
    rise = min(1.0, (step + 1) / min(warm, max(steps // 10, 1)))
    return rise * 0.5 * (1 + math.cos(math.pi * step / max(steps, 1)))


def _rows_of(phase: str, step: int, losses: Mapping[str, torch.Tensor]) -> list[dict]:
    values = {term: loss.tolist() for term, loss in losses.items()}
    n = len(next(iter(values.values()), []))
    return [{"phase": phase, "step": step, **{term: value[r] for term, value in values.items()}} for r in range(n)]


def blame(losses: Mapping[str, torch.Tensor], norms: torch.Tensor, where: str) -> str:
    """Which term, or the gradient of which terms, is not finite, and where."""
    bad = [term for term, loss in losses.items() if not torch.isfinite(loss).all()]
    what = f"loss term {bad[0]!r}" if bad else f"the gradient of {' + '.join(losses)}"
    hint = "lower the learning rate or look for extreme values in x"
    worst = float(norms.nan_to_num(nan=torch.inf).max())
    return f"{what} is not finite (gradient norm {worst:g}) at {where}; {hint}"


def _words(row: dict) -> str:
    return "  ".join(f"{k}={v:.4f}" for k, v in row.items() if k not in ("phase", "step"))
