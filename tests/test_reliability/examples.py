"""Small data, worlds and fits that calls of public functions are made with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from pdae_sim import (
    LinearLatentModel,
    PerturbationData,
    Simulator,
    contexts,
    estimation,
)

FEW = 19
"""Relabellings, multipliers and draws: as few as there may be."""


@dataclass(frozen=True)
class Call:
    """A public function with valid arguments; `scaled` of them are numbers with a unit."""

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    scaled: tuple[str, ...] = ()
    fixed: tuple[str, ...] = field(default=())

    def __call__(self, **changed: object) -> object:
        return self.function(**(dict(self.arguments) | changed))


def cells(n: int = 40, d: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d))


@cache
def data() -> PerturbationData:
    """Controls, singles and a double in two features, and a held-out dose."""
    conditions = np.repeat(["ctrl", "A", "B", "A+B", "A:2"], 40)
    x = cells(200) + np.repeat([[0, 0], [1, 0], [0, 1], [1, 1], [2, 0]], 40, axis=0)
    return PerturbationData.from_arrays(x, conditions, held_out=conditions == "A:2")


@cache
def counts() -> PerturbationData:
    x = np.random.default_rng(0).poisson(2.0, size=(60, 5))
    return PerturbationData.from_arrays(x, ["ctrl", "A", "B"] * 20, held_out=[False, False, True] * 20)


@cache
def in_two_contexts() -> PerturbationData:
    plain = PerturbationData.from_arrays(cells(240), ["ctrl", "A", "B"] * 80)
    return contexts.in_contexts(plain, [["K562"] * 120 + ["HepG2"] * 120])


@cache
def world() -> Simulator:
    return Simulator.random(LinearLatentModel.random(2, 3, rng=0), n_observed=3, rng=0)


@cache
def simulated():
    held_out = [False, False, False, True]
    return world().sample(["ctrl", "A", "B", "A+B"], 40, rng=0, held_out=held_out)


@cache
def model():
    small = estimation.Architecture(width=4, depth=1)
    return estimation.PDAE(2, steps=1, architecture=small, observation="noiseless", select=False).fit(simulated().data)


@cache
def noisy_model():
    small = estimation.Architecture(width=4, depth=1)
    return estimation.PDAE(2, steps=1, architecture=small, observation="gaussian", select=False).fit(simulated().data)


@cache
def pool():
    return estimation.Pool().fit(data())


@cache
def doses() -> PerturbationData:
    draw = np.random.default_rng(0)
    x = np.concatenate([draw.normal(m, 1.0, (60, 1)) for m in (0.0, 1.5, 2.0)])
    return PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "A:10"], 60))
