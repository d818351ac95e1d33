"""Observation laws one after another, and every law as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from pdae_sim.errors import InputError
from pdae_sim.simulation._state import from_state, to_state
from pdae_sim.simulation.observation.assays import LogNormal, NegativeBinomial
from pdae_sim.simulation.observation.noise import Dropout, GaussianNoise, Heteroscedastic, Noiseless, SignalDropout
from pdae_sim.simulation.observation.transforms import CentredLogRatio, Log1p, LogNormalise


class Observation(Protocol):
    """A law of x given f(z). The random ones also tell their exact `mean` and `variance` given f(z)."""

    @property
    def random(self) -> bool:
        """Whether x is more than a function of f(z)."""

    @property
    def breaks(self) -> tuple[str, ...]:
        """Assumptions of the theory that do not hold: ``noiseless``, ``injective``."""

    def sample(self, clean: np.ndarray, *, streams: Mapping[str, np.random.Generator]) -> np.ndarray:
        """x (n, d_X) given f(z) (n, d_X), which stays as it is.

        Args:
            clean: (n, d_X) f(z), finite.
            streams: Generators by name, continued from block to block.
        """


@dataclass(frozen=True)
class Chain:
    """Laws one after another: the first is given f(z), each next one what the step before it made.

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

    def sample(self, clean: np.ndarray, *, streams: Mapping[str, np.random.Generator]) -> np.ndarray:
        """x (n, d_X) after all steps."""
        for i, step in enumerate(self.steps):
            clean = step.sample(clean, streams=_StepStreams(streams, i) if i else streams)
        return clean


@dataclass(frozen=True)
class _StepStreams:
    """The streams of one step of a chain."""

    streams: Mapping[str, np.random.Generator]
    step: int

    def __getitem__(self, name: str) -> np.random.Generator:
        return self.streams[f"{self.step}.{name}"]


OBSERVATIONS = {
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
}
"""The laws by the name that files use."""


def observation_state(observation: Observation) -> dict:
    """The law as plain values: a kind and its fields; arrays stay arrays, a chain is a list of states."""
    if isinstance(observation, Chain):
        return {"kind": "chain", "steps": [observation_state(step) for step in observation.steps]}
    return to_state(observation, OBSERVATIONS)


def observation_from_state(state: Mapping) -> Observation:
    """The law that `observation_state` described.

    Raises:
        InputError: If the kind or a field is unknown, or a field is missing.
    """
    if state.get("kind") == "chain" and "steps" in state:
        return Chain(tuple(observation_from_state(step) for step in state["steps"]))
    try:
        return from_state(state, OBSERVATIONS)
    except TypeError as error:
        raise InputError(f"observation {state['kind']}: {str(error).partition(' ')[2]}") from None
