"""Observation laws one after another, and every law as plain values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pdae_sim._random import Streams
from pdae_sim.simulation._registry import Registry
from pdae_sim.simulation.observation.assays import LogNormal, NegativeBinomial
from pdae_sim.simulation.observation.noise import Dropout, GaussianNoise, Heteroscedastic, Noiseless, SignalDropout
from pdae_sim.simulation.observation.transforms import CentredLogRatio, Log1p, LogNormalise


class Observation(Protocol):
    """A law of x given f(z). The random ones also tell their exact `mean` and `variance` given f(z).

    Example:
        >>> [kind for kind, law in OBSERVATIONS.items() if getattr(law, "random", None) is False]
        ['none', 'log1p', 'log_normalise', 'clr']
    """

    @property
    def random(self) -> bool:
        """Whether x is more than a function of f(z)."""

    @property
    def breaks(self) -> tuple[str, ...]:
        """Assumptions that do not hold on all of the law's domain: ``noiseless``, ``recoverable``, ``injective``."""

    @property
    def lost(self) -> int:
        """Directions of f(z) of which x tells nothing, as that of a cell's total after normalisation."""

    @property
    def recovery(self) -> str:
        """Why the law of x determines that of f(z), up to lost directions, despite noise; empty if it does not."""

    def sample(self, clean: np.ndarray, *, streams: Streams) -> np.ndarray:
        """x (n, d_X) given f(z) (n, d_X), which stays as it is.

        Args:
            clean: (n, d_X) f(z), finite.
            streams: Generators by name, continued from block to block.
        """


@dataclass(frozen=True)
class Chain:
    """A sequence of laws: the first is given f(z), each next one the output of the step before it.

    The i-th step draws from streams of its own, the first from those it would have alone. A chain in a chain becomes
    part of it.

    Args:
        steps: The laws, first to last.

    Example:
        >>> chain = Chain((GaussianNoise(0.1), LogNormalise()))
        >>> chain.breaks == ("noiseless", "injective", "recoverable")
        True
    """

    steps: tuple[Observation, ...]

    def __post_init__(self) -> None:
        flat = (inner for step in self.steps for inner in (step.steps if isinstance(step, Chain) else (step,)))
        object.__setattr__(self, "steps", tuple(flat))

    @property
    def random(self) -> bool:
        """Whether any step is."""
        return any(step.random for step in self.steps)

    @property
    def breaks(self) -> tuple[str, ...]:
        """What the steps break, each assumption once, and what a transform of noisy values does."""
        names = (name for step in self.steps for name in step.breaks)
        return tuple(dict.fromkeys((*names, *(["recoverable"] * (not self._recoverable)))))

    @property
    def lost(self) -> int:
        """The sum over the steps; a total that counts have lost is lost once."""
        steps = zip(self.steps, (None, *self.steps), strict=False)
        return sum(step.lost - (_normalises(step) and isinstance(before, NegativeBinomial)) for step, before in steps)

    @property
    def recovery(self) -> str:
        """The reasons of the random steps; empty if a transform of noisy values undoes them."""
        reasons = (step.recovery for step in self.steps if step.random)
        counted = any(_normalises(b) and isinstance(a, NegativeBinomial) for a, b in itertools.pairwise(self.steps))
        return "; ".join(dict.fromkeys((*reasons, *([_READ_BACK] * counted)))) if self._recoverable else ""

    @property
    def _recoverable(self) -> bool:
        """Whether every normalisation of noisy values comes directly after noise of which it keeps enough."""
        return all(_keeps(step, self.steps[:i]) for i, step in enumerate(self.steps) if i and _normalises(step))

    def sample(self, clean: np.ndarray, *, streams: Streams) -> np.ndarray:
        """x (n, d_X) after all steps."""
        for i, step in enumerate(self.steps):
            clean = step.sample(clean, streams=streams.within(str(i)) if i else streams)
        return clean


_READ_BACK = "counts are read back from normalised values where a gene of the cell has one molecule, or none for clr"


def _normalises(step: Observation) -> bool:
    return isinstance(step, LogNormalise | CentredLogRatio)


def _keeps(step: Observation, before: Sequence[Observation]) -> bool:
    """Whether the law of f(z), up to the total, is determined by that of normalised noisy values.

    Counts are read back, ratios of log-normal intensities are log-normal, and cells that lost no entry show it. Other
    noise enters the total by which a cell is divided, and nothing is proved of it.
    """
    noise = [law for law in before if law.random]
    if not noise:
        return True
    if noise != [before[-1]] or any(law.lost for law in before[:-1]):
        return False
    if isinstance(step, CentredLogRatio):
        return isinstance(noise[0], LogNormal) if step.pseudocount == 0 else isinstance(noise[0], NegativeBinomial)
    return isinstance(noise[0], NegativeBinomial | LogNormal | Dropout)


OBSERVATIONS: Registry[Observation] = Registry(
    "observation",
    {
        "none": Noiseless,
        "gaussian": GaussianNoise,
        "heteroscedastic": Heteroscedastic,
        "dropout": Dropout,
        "signal_dropout": SignalDropout,
        "negative_binomial": NegativeBinomial,
        "log_normal": LogNormal,
        "log1p": Log1p,
        "log_normalise": LogNormalise,
        "clr": CentredLogRatio,
        "chain": Chain,
    },
)
"""The laws by the name that files use."""
