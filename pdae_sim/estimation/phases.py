"""Stretches of training: which terms are minimised, by which parts, for how long; and where a fit stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace

from pdae_sim._arguments import checked
from pdae_sim._checks import at_least, choice, near_misses, repetitions, whole
from pdae_sim.errors import InputError
from pdae_sim.estimation._losses import PARTS, TERMS

_TOGETHER = 512
"""Cells of a step that takes them of all environments together, at most."""
_SAMPLINGS, _SCHEDULES = ("environments", "cells"), ("cosine", "constant")


@dataclass(frozen=True)
class Phase:
    """A stretch of training: which terms are minimised, by which parts, for how long.

    An estimator with a loss of its own, such as `ConditionalGenerator`, takes a phase without `weights` and `learns`.

    Args:
        name: For logs, random streams and the history.
        steps: Gradient steps.
        weights: Weight of each term of the loss, by its name in `TERMS`; absent terms are not computed.
        learns: The parts that move, of ``chart``, ``encoder``, ``shift``, ``decoder`` and ``noise``; others are frozen.
        cells: Cells per environment in a step.
        environments: Environments in a step; all of them where there are no more.
        learning_rate: Peak rate of Adam.
        clip: Largest gradient norm.
        decay: Decoupled weight decay of matrices; Ŵ and biases never decay.
        schedule: ``cosine`` rises over the first steps and falls to zero; ``constant`` does neither.
        sampling: ``environments`` takes `cells` of each, whatever their numbers; ``cells`` takes that many of all cells
            together, as published, so that environments weigh by their numbers. A fit does that too where most
            environments have few cells.
        held_out: Share of the smallest training environment's cells that no step sees, as many of every environment
            that has enough and some thousands in all at most; the phase ends with the parameters that had the least
            loss on them. With 0, or where they would be too few to tell, it ends with the last.
        whiten: When the phase is over, whiten the base latents and refit Ŵ in closed form.

    Raises:
        InputError: If a setting is out of range, a term or part unknown, or no part that learns is moved by a term.

    Example:
        >>> joint = Phase("joint", 200, {"perturbation": 1.0, "prior": 0.1}, cells=32)
        >>> sorted(joint.moved) == ["chart", "decoder", "encoder", "shift"]
        True
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
    whiten: bool = False

    @checked
    def __post_init__(self) -> None:
        repetitions("steps", self.steps, at_least=0)
        whole("cells", self.cells, at_least=2)
        whole("environments", self.environments)
        for name in ("learning_rate", "clip", "decay"):
            at_least(name, getattr(self, name), 0.0)
        choice("schedule", self.schedule, _SCHEDULES)
        choice("sampling", self.sampling, _SAMPLINGS)
        if not 0.0 <= at_least("held_out", self.held_out, 0.0) <= 0.5:
            raise InputError(f"held_out must be between 0 and 0.5; received {self.held_out!r}")
        self._refuse_unknown()
        object.__setattr__(self, "weights", {k: float(v) for k, v in self.weights.items() if v})
        object.__setattr__(self, "learns", tuple(self.learns))
        self._refuse_idleness()

    @property
    def through_noise(self) -> bool:
        """Whether its terms take latents for uncertain, which asks for an observation model with noise."""
        return any("posterior" in TERMS[term].needs for term in self.weights)

    @property
    def moved(self) -> frozenset[str]:
        """The parts in which a term has a gradient."""
        return frozenset().union(*(TERMS[term].moves for term in self.weights))

    def by_cells(self, n_environments: int) -> Phase:
        """This phase with as many cells of all environments together, some hundreds at most."""
        if self.sampling == "cells":
            return self
        pairs = any("pairs" in TERMS[term].needs for term in self.weights)
        cells = min(self.cells * min(n_environments, self.environments), max(self.cells, _TOGETHER))
        return replace(self, sampling="cells", cells=self.cells if pairs else cells)

    def to_json(self) -> dict:
        """The phase as plain JSON values."""
        return asdict(self) | {"learns": list(self.learns)}

    def _refuse_unknown(self) -> None:
        for term, weight in self.weights.items():
            if term not in TERMS:
                raise InputError(f"unknown loss term {term!r} in phase {self.name!r}; {near_misses(term, TERMS)}")
            at_least(f"weight of {term!r}", weight, 0.0)
        for part in self.learns:
            if part not in PARTS:
                raise InputError(f"unknown part {part!r} in phase {self.name!r}; {near_misses(part, PARTS)}")

    def _refuse_idleness(self) -> None:
        if self.weights and not self.learns:
            raise InputError(f"phase {self.name!r}: steps need a term with a weight above 0 and a part that learns")
        if self.whiten and not self.learns:
            raise InputError(f"phase {self.name!r}: whiten needs a part that learns")
        if self.steps and self.weights and not self.moved & set(self.learns):
            told = f"{', '.join(self.weights)} moves {', '.join(sorted(self.moved))}"
            raise InputError(f"phase {self.name!r}: {told}, of which none learns; it has {', '.join(self.learns)}")


@dataclass
class Progress:
    """The position of a fit, as its callback `on_step` receives it after every step.

    Args:
        phase: The phase under way.
        step: Steps of it that are done.
        histories: One row per recorded step, for each replicate.

    Example:
        >>> import numpy as np
        >>> from pdae_sim import PDAE, PerturbationData
        >>> x = np.random.default_rng(0).normal(size=(40, 3))
        >>> data = PerturbationData.from_arrays(x, ["ctrl"] * 20 + ["A"] * 20)
        >>> steps = []
        >>> phase = Phase("latents", 3, {"density_ratio": 1.0}, cells=8)
        >>> fitted = PDAE(1, phases=[phase]).fit(data, on_step=lambda progress: steps.append(progress.step))
        >>> steps == [1, 2, 3]
        True
    """

    phase: int = 0
    step: int = 0
    histories: list[list[dict]] = field(default_factory=list)
