"""Observation laws one after another, and every law as plain values."""

from __future__ import annotations

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
        """Assumptions of the theory that do not hold: ``noiseless``, ``injective``."""

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
        >>> chain.breaks == ("noiseless", "injective")
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
        """What the steps break, each assumption once."""
        return tuple(dict.fromkeys(name for step in self.steps for name in step.breaks))

    def sample(self, clean: np.ndarray, *, streams: Streams) -> np.ndarray:
        """x (n, d_X) after all steps."""
        for i, step in enumerate(self.steps):
            clean = step.sample(clean, streams=streams.within(str(i)) if i else streams)
        return clean


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
