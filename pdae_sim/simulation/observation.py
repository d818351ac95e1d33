"""What the instrument adds: observation laws from noiseless f(z) to x."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np

from pdae_sim._checks import at_least


class Observation(Protocol):
    """A law of x given f(z)."""

    def sample(self, clean: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        """x (n, d_X) given f(z) (n, d_X)."""


@dataclass(frozen=True)
class Noiseless:
    """x = f(z)."""

    def sample(self, clean: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        return clean


@dataclass(frozen=True)
class GaussianNoise:
    """x = f(z) + ε with ε ~ N(0, scale² I), independent of z. It makes z no function of x."""

    scale: float

    def __post_init__(self) -> None:
        at_least("scale", self.scale, 0.0)

    def sample(self, clean: np.ndarray, *, rng: np.random.Generator) -> np.ndarray:
        return clean + self.scale * rng.standard_normal(clean.shape)


OBSERVATIONS = {"none": Noiseless, "gaussian": GaussianNoise}


def observation_state(observation: Observation) -> dict:
    """The observation law as plain JSON values."""
    kind = next(name for name, cls in OBSERVATIONS.items() if type(observation) is cls)
    return {"kind": kind, **asdict(observation)}


def observation_from_state(state: dict) -> Observation:
    """The law that `observation_state` described."""
    return OBSERVATIONS[state["kind"]](**{k: v for k, v in state.items() if k != "kind"})
