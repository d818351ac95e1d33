"""The training loop of every estimator: phases of gradient steps, checkpoints, early stopping, named failures."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from pdae_sim import _random
from pdae_sim.errors import TrainingError
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._checkpoint import Checkpoint, Position, Slots
from pdae_sim.estimation._early_stopping import EarlyStopping
from pdae_sim.estimation._networks import Generators
from pdae_sim.estimation.phases import Phase, Progress

HEARTBEAT_SECONDS = 10.0
LOOKS = 30
"""Times that a phase looks at the cells it keeps out."""

_log = logging.getLogger(__name__)

Losses = dict[str, torch.Tensor]
"""Values (R,) of terms by name."""


@dataclass(frozen=True, eq=False)
class Player:
    """Parts that descend together on a weighted sum of losses; several take turns in an adversarial game.

    Args:
        parts: Names of the parts that move.
        weights: Of each loss, one for each replicate.
        phases: Rates and clipping of each replicate; the rest is that of the first.
        rounds: Steps on each batch.
    """

    parts: tuple[str, ...]
    weights: Mapping[str, Sequence[float]]
    phases: Sequence[Phase]
    rounds: int = 1


class Objective(Protocol):
    """Networks and what they minimise: all that the loop knows of an estimator."""

    @property
    def network(self) -> torch.nn.Module:
        """Every parameter that is trained, (R, …) each."""

    def parts(self) -> Mapping[str, Sequence[torch.nn.Parameter]]:
        """The parameters by the part they belong to."""

    def players(self, phases: Sequence[Phase]) -> Sequence[Player]:
        """Who moves in a phase, in turn; cells kept out are judged by the losses of the last."""

    def losses(self, terms: Collection[str], x: torch.Tensor, labels: torch.Tensor, generators: Generators) -> Losses:
        """Some terms at a batch of cells (R, E, b, d_X) under labels (R, E, K)."""

    def end(self, phase: Phase, cells: Cells) -> None:
        """What follows the last step of a phase."""


def train(
    objective: Objective,
    cells: Cells,
    plans: Sequence[Sequence[Phase]],
    *,
    checkpoint: Checkpoint | None = None,
    on_step: Callable[[Progress], None] | None = None,
) -> list[list[dict]]:
    """Run the phases in order and return the history of each replicate, one row per recorded step.

    Args:
        objective: The networks, trained in place, and their losses.
        cells: The training cells of R replicates.
        plans: The phases of each replicate, which differ in rates and weights only.
        checkpoint: Where to save the position, and to begin from it.
        on_step: Called with the progress after every step.

    Raises:
        TrainingError: If a loss or a gradient is not finite.
    """
    position = checkpoint.restore(objective.network) if checkpoint else Position()
    progress = position.progress
    progress.histories = progress.histories or [[] for _ in plans]
    n_phases = len(plans[0])
    while progress.phase < n_phases:
        stretch = _PhaseRun(objective, cells, [plan[progress.phase] for plan in plans], position)
        for rows in stretch.run(progress):
            for history, row in zip(progress.histories, rows, strict=False):
                history.append(row)
            if on_step:
                on_step(progress)
            if checkpoint:
                last = progress.phase + 1 == n_phases and progress.step == stretch.phase.steps
                checkpoint.save(objective.network, stretch.optimisers, progress, stretch.stopping.best, last=last)
        stretch.end()
        progress.phase, progress.step, position = progress.phase + 1, 0, Position()
    objective.network.requires_grad_(True)
    return progress.histories


class _PhaseRun:
    """One phase at work on a bank."""

    def __init__(self, objective: Objective, cells: Cells, phases: Sequence[Phase], position: Position) -> None:
        self._objective, self.phase, self._all_cells = objective, phases[0], cells
        self._cells, self._held_out = cells.weighty().split_held_out(self.phase.held_out)
        if self.phase.held_out and self._held_out is None:
            _log.info("phase %r keeps no cells out: there are too few of them", self.phase.name)
        players, parts = objective.players(phases), objective.parts()
        moving = {part for player in players for part in player.parts}
        for part, parameters in parts.items():
            for parameter in parameters:
                parameter.requires_grad_(part in moving)
                parameter.grad = None
        saved: list[Slots] = position.optimisers or [{} for _ in players]
        free = {id(p) for name, p in objective.network.named_parameters() if name == "shift" or "biases" in name}
        self._descents = [
            _Descent(p, parts, free, cells.labels, slots) for p, slots in zip(players, saved, strict=True)
        ]
        self.stopping = EarlyStopping(self._descents[-1].moved, position.best)
        self._generators = [torch.Generator(device=cells.x.device) for _ in phases]

    @property
    def optimisers(self) -> list[torch.optim.Optimizer]:
        """Those of the players, in turn."""
        return [descent.optimiser for descent in self._descents]

    def run(self, progress: Progress) -> Iterator[list[dict]]:
        """Take the steps that are left; rows of all replicates where a step is recorded, else none."""
        phase, beat = self.phase, time.monotonic()
        every, look = max(phase.steps // 100, 1), max(phase.steps // LOOKS, 1)
        if self._held_out and progress.step == 0:
            self._look()
        while progress.step < phase.steps:
            step = progress.step
            losses = self._step(step)
            progress.step += 1
            last = progress.step == phase.steps
            if self._held_out and (progress.step % look == 0 or last):
                losses["held_out"] = self._look()
            recorded = step % every == 0 or "held_out" in losses or last
            rows = _rows_of(phase.name, step, losses) if recorded else []
            if rows and (last or time.monotonic() - beat > HEARTBEAT_SECONDS):
                beat = time.monotonic()
                _log.info("%s %d/%d  %s", phase.name, progress.step, phase.steps, _format_losses(rows[0]))
            yield rows

    def end(self) -> None:
        """Go back to the best parameters, and let the estimator finish the phase."""
        self.stopping.restore()
        self._objective.end(self.phase, self._all_cells)

    def held_out_loss(self) -> torch.Tensor:
        """(R,) on the cells kept out, with the same draws of noise at every look."""
        assert self._held_out is not None, "this phase keeps cells out"
        self._seed("held out")
        judge = self._descents[-1]
        return judge.total(self._objective.losses(judge.terms, *self._held_out, self._generators))

    @torch.no_grad()
    def _look(self) -> torch.Tensor:
        losses = self.held_out_loss()
        self.stopping.look(losses)
        return losses

    def _step(self, step: int) -> Losses:
        """The moves of every player on one batch; the losses before them."""
        self._seed("step", step)
        batch = self._cells.batch(self.phase, step)
        recorded: Losses = {}
        for descent in self._descents:
            losses: Losses = {}
            for _ in range(descent.rounds):
                losses = self._objective.losses(descent.terms, *batch, self._generators)
                descent.move(losses, step)
            recorded = {term: loss.detach() for term, loss in losses.items()} | recorded
        return recorded

    def _seed(self, stream: str, *names: object) -> None:
        for generator, root in zip(self._generators, self._cells.roots, strict=True):
            generator.manual_seed(_random.torch_seed(root, stream, self.phase.name, *names))


class _Descent:
    """Adam on the parts of a player: weights, rates and clipping are a replicate's own, its failures are named."""

    def __init__(
        self,
        player: Player,
        parts: Mapping[str, Sequence[torch.nn.Parameter]],
        free: Collection[int],
        like: torch.Tensor,
        slots: Slots,
    ) -> None:
        phases, self._phase = player.phases, player.phases[0]
        self.terms, self.rounds = tuple(player.weights), player.rounds
        self.moved = [p for name, parameters in parts.items() if name in player.parts for p in parameters]
        decayed, others = ([p for p in self.moved if (id(p) in free) is kind] for kind in (False, True))
        groups = [{"params": decayed, "weight_decay": self._phase.decay}, {"params": others, "weight_decay": 0.0}]
        self.moved = decayed + others
        self._rate = max(p.learning_rate for p in phases)
        self.optimiser = torch.optim.AdamW([g for g in groups if g["params"]], lr=self._rate, fused=True)
        if slots:
            self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": slots})
        self._weights = {term: torch.tensor(weights).to(like) for term, weights in player.weights.items()}
        self._clips = torch.tensor([p.clip for p in phases]).to(like)
        self._relative_rate = torch.tensor([p.learning_rate / self._rate if self._rate else 1.0 for p in phases]).to(
            like
        )
        self._same_rate = len({p.learning_rate for p in phases}) == 1

    def total(self, losses: Losses) -> torch.Tensor:
        """The weighted sum (R,)."""
        first, *rest = (self._weights[term] * losses[term] for term in self.terms)
        return sum(rest, first)

    def move(self, losses: Losses, step: int) -> None:
        """One step down the weighted sum.

        Raises:
            TrainingError: If a loss or the gradient is not finite, naming term, step and phase.
        """
        total = self.total(losses)
        self.optimiser.zero_grad(set_to_none=True)
        total.sum().backward(inputs=self.moved)  # accumulated in the memory layout that a fused step expects
        norms = self._clipped()
        if not torch.isfinite(total.detach() + norms).all():
            raise TrainingError(_failure_message(losses, norms, f"step {step} of phase {self._phase.name!r}"))
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate * _schedule_factor(self._phase, step)
        if self._same_rate:
            self.optimiser.step()
        else:
            self._step_slowed()

    def _clipped(self) -> torch.Tensor:
        """Scale the gradients of each replicate down to its largest norm; the norms before, (R,)."""
        grads = [p.grad for p in self.moved if p.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(g, dim=(1, 2)) for g in grads]).norm(dim=0)
        scales = (self._clips / (norms + 1e-6)).clamp(max=1.0)[:, None, None]
        for grad in grads:
            grad.mul_(scales)
        return norms

    def _step_slowed(self) -> None:
        """A step of Adam is proportional to its rate: the step at the largest rate, shortened for the others."""
        before = [p.detach().clone() for p in self.moved]
        self.optimiser.step()
        with torch.no_grad():
            for p, old in zip(self.moved, before, strict=True):
                p.copy_(torch.lerp(old, p, self._relative_rate[:, None, None]))


def _schedule_factor(phase: Phase, step: int) -> float:
    """The share of the peak rate: with ``cosine`` it rises over the first steps and falls along half a cosine."""
    if phase.schedule == "constant":
        return 1.0
    rise = min(1.0, (step + 1) / min(50, max(phase.steps // 10, 1)))
    return rise * 0.5 * (1 + math.cos(math.pi * step / max(phase.steps, 1)))


def _rows_of(phase: str, step: int, losses: Losses) -> list[dict]:
    values = {term: loss.tolist() for term, loss in losses.items()}
    n = len(next(iter(values.values()), []))
    return [{"phase": phase, "step": step, **{term: value[r] for term, value in values.items()}} for r in range(n)]


def _failure_message(losses: Losses, norms: torch.Tensor, where: str) -> str:
    """Which term, or the gradient of which terms, is not finite, and where."""
    bad = [term for term, loss in losses.items() if not torch.isfinite(loss).all()]
    what = f"loss term {bad[0]!r}" if bad else f"the gradient of {' + '.join(losses)}"
    hint = "lower the learning rate or look for extreme values in x"
    worst = float(norms.nan_to_num(nan=torch.inf).max())
    return f"{what} is not finite (gradient norm {worst:g}) at {where}; {hint}"


def _format_losses(row: dict) -> str:
    return "  ".join(f"{k}={v:.4f}" for k, v in row.items() if k not in ("phase", "step"))
