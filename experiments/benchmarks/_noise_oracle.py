"""Exact posteriors of the latents of noisy cells in worlds that are known, and what they make of W.

By quadrature on a grid of latents in the isotropic form: the log-likelihood of cells at grid points is a product of
matrices, of statistics of the cells and natural parameters of the points. What a cell does not tell (its library, the
scale that centred log-ratios lost) is summed over too. The step of the grid is halved until posteriors are wider.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import singledispatch
from itertools import product

import numpy as np

from pdae_sim import PerturbationData, Simulator, _random
from pdae_sim.errors import InputError
from pdae_sim.labels import Condition
from pdae_sim.simulation.observation import (
    CentredLogRatio,
    Chain,
    Dropout,
    GaussianNoise,
    Heteroscedastic,
    LogNormal,
    LogNormalise,
    NegativeBinomial,
    Observation,
)

REACH = 5.5
"""How far the grid goes beyond the mean of the prior, in standard deviations of the base latent."""
_COARSEST, _FINEST = 0.32, 0.02  # steps of the grid
_PILOT = 300  # cells that a step is chosen by
_BLOCK = 2**22  # likelihoods held at once
_LIBRARIES = 17  # points of the sum over the library of a cell
_NEWTON = 12  # steps of Gauss and Newton where latents are a function of what is left of a cell

Terms = tuple[np.ndarray, np.ndarray]
"""Statistics (n, m) of cells and natural parameters (G, m) of points: log p(x | z) = their product, plus a constant."""

Moments = tuple[np.ndarray, np.ndarray]
"""Means (n, d_Z) and covariances (n, d_Z, d_Z) of the latents of cells."""


@singledispatch
def exponents(law: object, x: np.ndarray, clean: np.ndarray) -> Iterator[tuple[Terms, np.ndarray]]:
    """Terms of log p(x | f(z)) for each value of what is summed over, with (n,) logarithms of its weight.

    Args:
        law: The observation law.
        x: (n, d_X) cells.
        clean: (G, d_X) f at the points of the grid.
    """
    raise InputError(f"no likelihood of {type(law).__name__} is written here; take a world with another observation")


@exponents.register
def _(law: GaussianNoise, x: np.ndarray, clean: np.ndarray) -> Iterator[tuple[Terms, np.ndarray]]:
    yield _gaussian(x, clean, np.full_like(clean, law.scale)), np.zeros(len(x))


@exponents.register
def _(law: Heteroscedastic, x: np.ndarray, clean: np.ndarray) -> Iterator[tuple[Terms, np.ndarray]]:
    yield _gaussian(x, clean, law.conditional_sd(clean)), np.zeros(len(x))


def _gaussian(x: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> Terms:
    """Statistics x² , x, 1 of independent Gaussian features."""
    constant = (-((mean / sd) ** 2) / 2 - np.log(sd)).sum(axis=1, keepdims=True)
    return np.column_stack([x**2, x, np.ones(len(x))]), np.column_stack([-0.5 / sd**2, mean / sd**2, constant])


@exponents.register
def _(law: Chain, x: np.ndarray, clean: np.ndarray) -> Iterator[tuple[Terms, np.ndarray]]:
    match law.steps:
        case (NegativeBinomial() as counted, LogNormalise()):
            yield from exponents(counted, recovered_counts(x), clean)
        case (LogNormal() as intensity, CentredLogRatio() as ratio):
            yield from _log_ratios(intensity, ratio.pseudocount, x, clean)
        case _:
            raise InputError("no likelihood of this chain is written here; take a world with another observation")


def recovered_counts(x: np.ndarray) -> np.ndarray:
    """Counts (n, d_X) from log-normalised values: the smallest positive value of a cell is one molecule."""
    scaled = np.expm1(x)
    one = np.where(scaled > 0, scaled, np.inf).min(axis=1, keepdims=True)
    return np.rint(scaled / np.where(np.isfinite(one), one, 1.0))


@exponents.register
def _(law: NegativeBinomial, x: np.ndarray, clean: np.ndarray) -> Iterator[tuple[Terms, np.ndarray]]:
    """Summed over the library, log-normal; dispersions are positive in these worlds."""
    theta, p = 1 / np.broadcast_to(law.dispersion, x.shape[1:]), law.proportions(clean.copy())
    nodes, weights = np.polynomial.hermite_e.hermegauss(_LIBRARIES)
    total = x.sum(axis=1)
    for node, weight in zip(nodes, weights, strict=True):
        log_library = np.log(law.depth) + law.depth_spread * node
        shrunk = -np.log(theta + np.exp(log_library) * p)
        parameters = np.column_stack([shrunk + np.log(p), shrunk @ theta])
        yield (np.column_stack([x, np.ones(len(x))]), parameters), total * log_library + np.log(weight)


def _log_ratios(
    law: LogNormal, pseudocount: float, x: np.ndarray, clean: np.ndarray
) -> Iterator[tuple[Terms, np.ndarray]]:
    """Summed over the logarithm t of the scale that centring lost: intensities are exp(x + t) − pseudocount.

    With y = log(intensity + pseudocount) the volume of (x, t) is that of y, and dlog intensity is dy (1 + pseudocount /
    intensity), entry by entry.
    """
    mean, sd = law.baseline + law.amplitude * (clean - law.centre) / law.spread, np.broadcast_to(law.sigma, clean.shape)
    typical, step = np.log(np.exp(mean) + pseudocount).mean(axis=1), sd.mean() / np.sqrt(x.shape[1])
    for t in np.arange(typical.min() - 4 * step, typical.max() + 4 * step, step):
        inside = t > (np.log(pseudocount) - x.min(axis=1) if pseudocount else -np.inf)
        intensity = np.where(inside[:, None], np.exp(x + t) - pseudocount, 1.0)
        volume = np.log1p(pseudocount / intensity).sum(axis=1)
        yield _gaussian(np.log(intensity), mean, sd), np.where(inside, volume, -np.inf)


@dataclass(frozen=True, eq=False)
class Grid:
    """Points of latents around a mean, with f there.

    Args:
        points: (G, d_Z), isotropic.
        clean: (G, d_X) f at the points.
        log_prior: (G,) of N(mean, I), up to a constant.
        step: Distance of neighbours.
    """

    points: np.ndarray
    clean: np.ndarray
    log_prior: np.ndarray
    step: float

    @classmethod
    def around(cls, simulator: Simulator, mean: np.ndarray, step: float) -> Grid:
        """The grid of the prior N(mean, I)."""
        if len(mean) > 2:
            raise InputError(f"quadrature is for one or two latents; received {len(mean)}")
        axis = np.arange(-REACH, REACH + step, step)
        away = np.array(list(product(axis, repeat=len(mean))))
        away = away[(away**2).sum(axis=1) <= REACH**2]
        return cls(mean + away, decode(simulator, mean + away), -0.5 * (away**2).sum(axis=1), step)

    def posteriors(self, law: Observation, x: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Blocks of rows of x (n, d_X) with the posterior (b, G) of each cell over the points."""
        size = max(_BLOCK // len(self.points), 1)
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            logs = self._log_likelihood(law, x[rows])
            logs += self.log_prior
            logs -= logs.max(axis=1, keepdims=True)
            share = np.exp(logs, out=logs)
            share /= share.sum(axis=1, keepdims=True)
            yield rows, share

    def _log_likelihood(self, law: Observation, x: np.ndarray) -> np.ndarray:
        total: np.ndarray | None = None
        for (statistics, parameters), weight in exponents(law, x, self.clean):
            term = statistics @ parameters.T + weight[:, None]
            total = term if total is None else np.logaddexp(total, term, out=term)
        assert total is not None, "every law has at least one term"
        return total

    def moments(self, law: Observation, x: np.ndarray) -> Moments:
        """Posterior means (n, d_Z) and covariances (n, d_Z, d_Z) of the latents of cells."""
        d = self.points.shape[1]
        centre = self.points.mean(axis=0)  # squares are taken about it, so that no digits are lost
        away = self.points - centre
        squares = (away[:, :, None] * away[:, None]).reshape(-1, d * d)
        first, second = np.empty((len(x), d)), np.empty((len(x), d, d))
        for rows, share in self.posteriors(law, x):
            first[rows] = share @ away
            second[rows] = (share @ squares).reshape(-1, d, d)
        return centre + first, second - first[:, :, None] * first[:, None]


def decode(simulator: Simulator, z: np.ndarray) -> np.ndarray:
    """f (n, d_X) of latents (n, d_Z) in the isotropic form."""
    return simulator.decode(z @ np.linalg.inv(simulator.latent.whitening).T)


def true_matrix(simulator: Simulator) -> np.ndarray:
    """W (d_Z, K) in the isotropic form."""
    return simulator.latent.whitening @ simulator.latent.perturbation_matrix


def posterior_moments(simulator: Simulator, x: np.ndarray, mean: np.ndarray) -> Moments:
    """Posterior means (n, d_Z) and covariances (n, d_Z, d_Z) of the latents of cells under the prior N(mean, I).

    Args:
        simulator: The world.
        x: (n, d_X) cells.
        mean: (d_Z,), isotropic.
    """
    law = simulator.observation
    if not law.random or isinstance(law, Dropout):
        return from_what_is_left(simulator, x, mean), np.zeros((len(x), len(mean), len(mean)))
    return _fine_enough(simulator, x, mean).moments(law, x)


def _fine_enough(simulator: Simulator, x: np.ndarray, mean: np.ndarray) -> Grid:
    """The coarsest grid whose step is below the narrowest standard deviation of all but 1 % of posteriors."""
    some, step = x[:: max(len(x) // _PILOT, 1)], _COARSEST
    grid = Grid.around(simulator, mean, step)
    while step > _FINEST:
        narrow = np.linalg.eigvalsh(grid.moments(simulator.observation, some)[1])[:, 0]
        if np.quantile(narrow, 0.01) > step**2:  # the trapezoidal rule is then off by exp(−2 π²) and less
            return grid
        grid = Grid.around(simulator, mean, step := step / 2)
    return grid


def posterior_draws(
    simulator: Simulator, x: np.ndarray, label: Condition, *, draws: int = 1, rng: _random.SeedLike = None
) -> np.ndarray:
    """Draws (draws, n, d_Z) of the latents of cells, isotropic, from p(z | x) with the true f, W and noise.

    Args:
        simulator: The world.
        x: (n, d_X) cells.
        label: What they were measured under.
        draws: How many of each cell.
        rng: Seed or generator.
    """
    mean = true_matrix(simulator) @ simulator.space.label(label)
    generator = np.random.default_rng(rng)
    if not simulator.observation.random or isinstance(simulator.observation, Dropout):
        return np.repeat(from_what_is_left(simulator, x, mean)[None], draws, axis=0)
    grid, z = _fine_enough(simulator, x, mean), np.empty((draws, len(x), len(mean)))
    for rows, share in grid.posteriors(simulator.observation, x):
        reached = generator.random((draws, len(share), 1))
        for k in range(draws):
            picked = (np.cumsum(share, axis=1) < reached[k]).sum(axis=1)
            z[k, rows] = grid.points[np.minimum(picked, len(grid.points) - 1)]
    return z + grid.step * (generator.random(z.shape) - 0.5)


def information_by_environment(simulator: Simulator, data: PerturbationData) -> np.ndarray:
    """(E, d_Z, d_Z) J = I − E Cov(z | x) of the training cells of each condition, from the true posterior."""
    train, W = data.train, true_matrix(simulator)
    left = [
        posterior_moments(simulator, train.x[rows], W @ label)[1].mean(axis=0)
        for label, rows in zip(train.labels, train.rows_by_environment, strict=True)
    ]
    return np.eye(len(W)) - np.array(left)


def information(simulator: Simulator, data: PerturbationData) -> np.ndarray:
    """J (d_Z, d_Z), pooled over training cells, from the true posterior."""
    return np.average(information_by_environment(simulator, data), axis=0, weights=data.train.counts)


def shift_matrix(simulator: Simulator, data: PerturbationData, *, steps: int = 2, offset: bool = True) -> np.ndarray:
    """Ŵ (d_Z, K) of maximum likelihood given the true f and noise, isotropic, by Fisher scoring from the true W.

    Args:
        simulator: The world.
        data: Its training cells are used.
        steps: Steps of scoring; the second changes little, since the start is the truth.
        offset: Whether the latent mean of the label 0 is estimated too, as who does not know f has to.
    """
    train, W = data.train, true_matrix(simulator)
    design = np.column_stack([np.ones(len(train.labels)), train.labels]) if offset else train.labels.astype(float)
    theta = np.column_stack([np.zeros(len(W)), W]) if offset else W
    for _ in range(steps):
        fisher, score = 0.0, 0.0
        for row, n, cells in zip(design, train.counts, train.rows_by_environment, strict=True):
            means, covariances = posterior_moments(simulator, train.x[cells], theta @ row)
            J = np.eye(len(W)) - covariances.mean(axis=0)
            fisher = fisher + n * np.kron(np.outer(row, row), J)
            score = score + np.kron(row, (means - theta @ row).sum(axis=0))
        theta = theta + np.linalg.lstsq(fisher, score, rcond=1e-10)[0].reshape(design.shape[1], len(W)).T
    return theta[:, 1:] if offset else theta


def from_what_is_left(simulator: Simulator, x: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Latents (n, d_Z), isotropic, of which a cell's entries that are not zero are exact values, by Gauss and Newton.

    Args:
        simulator: The world.
        x: (n, d_X) cells, with at least d_Z entries that are not zero.
        mean: (d_Z,) where the latents are looked for.
    """
    grid, kept = Grid.around(simulator, mean, _COARSEST), (x != 0).astype(float)
    start = (kept @ (grid.clean**2).T - 2 * x @ grid.clean.T).argmin(axis=1)
    z, d, h = grid.points[start], len(mean), 1e-5
    for _ in range(_NEWTON):
        slopes = [(decode(simulator, z + h * u) - decode(simulator, z - h * u)) / (2 * h) for u in np.eye(d)]
        A = np.stack(slopes, axis=2) * kept[:, :, None]
        normal = A.mT @ A + 1e-12 * np.eye(d)
        z = z + np.linalg.solve(normal, A.mT @ ((x - decode(simulator, z)) * kept)[:, :, None])[:, :, 0]
    return z
