"""Worlds whose mixings are outside the simulator's families: random networks, smooth and with kinks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

import numpy as np

from pdae_sim import PerturbationData

Made = tuple[PerturbationData, Callable[[np.ndarray, int, int], np.ndarray], np.ndarray]
"""Training data, cells of the double from a shift of its latents, and W."""

W = np.array([[1.2, 0.3], [-0.4, 1.3]])
CONDITIONS = {"ctrl": (0.0, 0.0), "A": (1.0, 0.0), "B": (0.0, 1.0)}
GENES, PROTEINS, MOLECULES, SNR = 60, 12, 400, 9.0


def network(rng: np.random.Generator, kink: bool, d_X: int) -> Callable[[np.ndarray], np.ndarray]:
    """A random network of two hidden layers on two latents; features have variance 1 over N(0, 2 I).

    Args:
        rng: Draws the weights.
        kink: Leaky rectifiers in place of a smooth bend.
        d_X: Features.
    """
    sizes = (2, 32, 32, d_X)
    weights = [rng.normal(size=pair) / np.sqrt(pair[0]) for pair in pairwise(sizes)]
    biases = [0.5 * rng.normal(size=n) for n in sizes[1:]]

    def raw(z: np.ndarray) -> np.ndarray:
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            u = z @ weight + bias
            z = np.where(u > 0, u, 0.3 * u) if kink else u * 0.3 + np.tanh(u)
        return z @ weights[-1] + biases[-1]

    some = raw(rng.normal(size=(4096, 2)) * np.sqrt(2))
    centre, spread = some.mean(0), some.std(0)
    return lambda z: (raw(z) - centre) / spread


def gaussian(kink: bool, seed: int, cells: int) -> Made:
    """Twelve features with Gaussian noise at a signal-to-noise ratio of nine."""
    rng = np.random.default_rng((seed, kink, 0))
    f = network(rng, kink, PROTEINS)
    return _made(seed, cells, lambda z, rng: f(z) + rng.normal(size=(len(z), PROTEINS)) / np.sqrt(SNR))


def counted(kink: bool, seed: int, cells: int) -> Made:
    """Sixty genes in Poisson counts, 400 molecules a cell in the mean, some cells deeper than others."""
    rng = np.random.default_rng((seed, kink, 1))
    f, baseline = network(rng, kink, GENES), rng.normal(size=GENES)

    def observe(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        rate = np.exp(baseline + 0.5 * f(z))
        depth = MOLECULES * np.exp(0.3 * rng.normal(size=(len(z), 1)))
        return rng.poisson(depth * rate / rate.sum(1, keepdims=True)).astype(np.float64)

    return _made(seed, cells, observe)


def _made(seed: int, cells: int, observe: Callable[[np.ndarray, np.random.Generator], np.ndarray]) -> Made:
    def draw(mean: np.ndarray, n: int, *names: int) -> np.ndarray:
        rng = np.random.default_rng((seed, 7, *names))
        x = observe(mean + rng.normal(size=(n, 2)), rng)
        if x.min() >= 0 and (x == np.rint(x)).all():  # as analysts hand counts over
            x = np.log1p(1e4 * x / np.maximum(x.sum(1, keepdims=True), 1))
        return x

    x = np.concatenate([draw(W @ label, cells, 0, e) for e, label in enumerate(CONDITIONS.values())])
    data = PerturbationData.from_arrays(x, np.repeat(list(CONDITIONS), cells))
    return data, lambda shift, n, number: draw(W.sum(1) + shift, n, 1, number), W


OUTSIDE: dict[str, Callable[[int, int], Made]] = {
    "smooth network at SNR 9": partial(gaussian, False),
    "kinked network at SNR 9": partial(gaussian, True),
    "smooth network in 400 molecules": partial(counted, False),
    "kinked network in 400 molecules": partial(counted, True),
}
"""By name, from a seed and a number of cells."""
