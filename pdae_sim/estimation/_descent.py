"""What estimators with one loss of their own share: the frame fixed before the first step, and the descent."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from pdae_sim import _random
from pdae_sim._checks import whole
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError, TrainingError
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._scaling import LabelScaling, Scaling
from pdae_sim.estimation._validation import canonical, fittable
from pdae_sim.estimation.networks import Architecture
from pdae_sim.estimation.training import HEARTBEAT_SECONDS, blame, check_pace, slowed

log = logging.getLogger(__name__)

Losses = Mapping[str, tuple[float, torch.Tensor]]
"""Terms by name, each with its weight."""


@dataclass(frozen=True)
class Course:
    """How long and how fast to descend. Batches hold `cells` of each environment, whatever their numbers.

    Args:
        steps: Gradient steps.
        cells: Cells per environment in a step.
        environments: Environments in a step; all of them where there are no more.
        learning_rate: Peak rate of Adam.
        clip: Largest gradient norm.
        decay: Decoupled weight decay.
        schedule: ``cosine`` rises over the first steps and falls to zero; ``constant`` does neither.
        name: For streams, logs and the history.
    """

    steps: int = 2000
    cells: int = 128
    environments: int = 16
    learning_rate: float = 2e-3
    clip: float = 10.0
    decay: float = 0.0
    schedule: str = "cosine"
    name: str = "descent"

    def __post_init__(self) -> None:
        whole("steps", self.steps)
        check_pace(self)

    @property
    def sampling(self) -> str:
        """Batches are drawn by environment."""
        return "environments"

    @property
    def weights(self) -> dict[str, float]:
        """No term of a `Phase`: the loss is the estimator's own."""
        return {}

    @property
    def learns(self) -> tuple[str, ...]:
        """No part of a PDAE."""
        return ()


@dataclass(frozen=True, eq=False)
class Frame:
    """What is fixed before the first step.

    Args:
        data: The training environments, in an order that is a function of their labels.
        scaling: Of the cells.
        label_scaling: Of the doses.
    """

    data: PerturbationData
    scaling: Scaling
    label_scaling: LabelScaling

    @classmethod
    def of(cls, data: PerturbationData) -> Frame:
        """Learn label space and scalings from the training environments; held-out ones are never looked at.

        Raises:
            InputError: If there are fewer than two training conditions, or one of them has a single cell.
        """
        data = canonical(fittable(data).train)
        return cls(data, Scaling.of(data), LabelScaling.of(data.labels))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """d_X, K and E."""
        return self.data.x.shape[1], self.data.labels.shape[1], len(self.data.labels)

    def doses(self, labels: np.ndarray) -> torch.Tensor:
        """Labels (…, K) in internal units; a perturbation never seen in training has dose 0, hence no effect."""
        seen = (self.data.labels != 0).any(0)
        return torch.tensor(self.label_scaling.forward(labels) * seen, dtype=torch.float32)

    def cells(self, random_state: int, device: torch.device) -> Cells:
        """The standardised training cells, as a bank of one replicate."""
        root = _random.child(_random.seed_sequence(random_state), "training")
        x = torch.from_numpy(self.scaling.forward(self.data.x)).to(device)
        return Cells(x, self.doses(self.data.labels)[None].to(device), (self.data.rows_by_environment,), (root,))

    def restored(self, x: torch.Tensor, condition: object) -> np.ndarray:
        """Standardised cells (n, d_X) in the data's units, float64.

        Raises:
            InputError: If a value is not finite.
        """
        if not x.isfinite().all():
            raise InputError(f"{condition!r} is too far from the training labels to predict; lower the dose")
        return self.scaling.inverse(x.cpu().numpy())


class Mover:
    """Adam on some parameters: its rate along the course, its gradient clipped, its failures named."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], course: Course) -> None:
        self._course, self._parameters = course, list(parameters)
        self._optimiser = torch.optim.AdamW(
            self._parameters, lr=course.learning_rate, weight_decay=course.decay, fused=True
        )

    def move(self, step: int, losses: Losses) -> dict[str, float]:
        """One step down the weighted sum; the value of each term before it.

        Raises:
            TrainingError: If a term or the gradient is not finite, naming term and step.
        """
        total = sum(weight * loss for weight, loss in losses.values())
        self._optimiser.zero_grad(set_to_none=True)
        total.backward(inputs=self._parameters)  # autograd.grad may differ in the layout that a fused step expects
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._course.clip)
        if not torch.isfinite(total.detach() + norm):
            values = {term: loss for term, (_, loss) in losses.items()}
            raise TrainingError(blame(values, norm, f"step {step} of {self._course.name!r}"))
        for group in self._optimiser.param_groups:
            group["lr"] = self._course.learning_rate * slowed(self._course, step)
        self._optimiser.step()
        return {term: loss.detach() for term, (_, loss) in losses.items()}


def batches(cells: Cells, course: Course) -> Iterator[tuple[int, torch.Tensor, torch.Tensor, list[torch.Generator]]]:
    """Steps with their cells (1, E, b, d_X), labels (1, E, K) and noise: each a function of seed and step alone."""
    generator = torch.Generator(device=cells.x.device)
    for step in range(course.steps):
        generator.manual_seed(_random.torch_seed(cells.roots[0], "step", course.name, step))
        yield step, *cells.batch(course, step), [generator]


def descend(cells: Cells, course: Course, advance: Callable[..., Mapping[str, torch.Tensor]]) -> list[dict]:
    """Take every step of the course; one row for each hundredth part of it.

    Args:
        cells: The training cells.
        course: How long.
        advance: Called with step, cells, labels and generators; moves the parameters and returns its terms.
    """
    history, beat, every = [], time.monotonic(), max(course.steps // 100, 1)
    for step, *batch in batches(cells, course):
        terms = advance(step, *batch)
        last = step + 1 == course.steps
        if step % every and not last:
            continue
        history.append({"phase": course.name, "step": step, **{term: float(loss) for term, loss in terms.items()}})
        if last or time.monotonic() - beat > HEARTBEAT_SECONDS:
            beat = time.monotonic()
            log.info("%s %d/%d  %s", course.name, step + 1, course.steps, history[-1])
    return history


def linear_output(architecture: Architecture) -> Architecture:
    """`architecture`, if its output is linear: these networks see and give standardised cells."""
    if architecture.output != "linear":
        raise InputError(f"architecture.output must be linear here; received {architecture.output!r}")
    return architecture
