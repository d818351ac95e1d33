"""Coverage of the intervals of the identifiability report in worlds where z is seen with noise.

An estimate is A z + s ε with ε ~ N(0, I), so that every population value is known in closed form. The plain percentile
bootstrap stands beside each interval. Run: `python -m experiments.benchmarks.intervals [WORLDS] [--workers 2]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product

import numpy as np
from scipy.stats import ortho_group

from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._worlds import band_in_words, measure_worlds
from pdae_sim.analysis.identifiability.alignment import alignment_intervals
from pdae_sim.analysis.identifiability.effects import effect_angles, estimate_effects
from pdae_sim.analysis.identifiability.nested_maps import MAP_CLASSES, fit_nested_maps, least_squares_maps

RESAMPLES, PERCENTILE = 200, " (percentile)"
NOISES, CELLS, LENGTHS = (0.1, 1.0), (60, 400), (0.0, 0.1, 1.0, 4.0)
HALVED = ((2, 120), (2, 400))  # latents and cells of the ladder, which half of them judge
EPS = 1e-9  # what rounding may put between an end and the truth


def r2_world(seed: int, d: int, n: int, noise: float) -> dict[str, bool]:
    """R² of the best maps and singular values of the map to the estimate, a stretched rotation of z with noise."""
    rng = np.random.default_rng([seed, d, n])
    A = stretched(d, rng)
    estimate, truth = seen(n, A, noise, rng)
    S = A @ A.T + noise**2 * np.eye(d)
    true = {
        "affine_r2": np.trace(np.linalg.solve(S, A) @ A.T) / d,
        "orthogonal_r2": 1 - (np.trace(S) + d - 2 * np.linalg.norm(A, "nuc")) / d,
        "singular_values": np.linalg.svd(A, compute_uv=False),
    }
    names = {"affine_r2": "affine R²", "orthogonal_r2": "orthogonal R²"}
    names["singular_values"] = "singular values, all at once"
    intervals = vars(alignment_intervals(estimate, truth, rng=seed)), percentile(estimate, truth, rng)
    return {
        f"{name}{suffix}": inside(ends[key], true[key])
        for ends, suffix in zip(intervals, ("", PERCENTILE), strict=True)
        for key, name in names.items()
    }


def stretched(d: int, rng: np.random.Generator) -> np.ndarray:
    """A rotation after stretches from 1 to 1.3."""
    return ortho_group.rvs(d, random_state=rng) * np.linspace(1.0, 1.3, d)


def seen(n: int, A: np.ndarray, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """n noisy views of z ~ N(0, I), and z."""
    z = rng.normal(size=(n, len(A)))
    return z @ A.T + noise * rng.normal(size=z.shape), z


def ladder_world(seed: int, d: int, n: int, noise: float) -> dict[str, bool]:
    """R² of the maps that were fitted on one half, and their gap, judged on the other half, as in `r2_world`.

    What the fitted maps do to the population is measured on 20,000 new cells.
    """
    rng = np.random.default_rng([seed, d, n])
    A = stretched(d, rng)
    estimate, truth = seen(n, A, noise, rng)
    maps = fit_nested_maps(estimate, truth, rng=seed)
    fit = np.setdiff1d(np.arange(n), maps.judged)
    fitted = least_squares_maps(estimate[fit], truth[fit], np.random.default_rng(0))
    new, z = seen(20_000, A, noise, rng)
    by_name = dict(zip(MAP_CLASSES, fitted, strict=True))
    lost = {name: ((by_name[name](new) - z) ** 2).sum() / (z**2).sum() for name in ("orthogonal", "affine")}
    gap = maps["orthogonal"].defect
    return {
        **{f"{name} R², held out": inside(maps[name].r2.interval, 1 - lost[name]) for name in lost},
        "their gap, held out": inside(gap.interval, lost["orthogonal"] - lost["affine"]),
    }


def effect_world(seed: int, d: int, n: int, length: float) -> dict[str, bool]:
    """Lengths, Gram entries and angles of three effects, two of them collinear.

    A world has n cells of a reference and of each of the effects, with unequal variances.
    """
    rng = np.random.default_rng([seed, d, n, int(100 * length)])
    directions = rng.normal(size=(3, d))
    directions[2] = directions[1]
    moves = length * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    environment = np.repeat(np.arange(4), n)
    z = rng.normal(size=(4 * n, d)) * np.linspace(0.7, 1.3, d) + np.vstack([np.zeros(d), moves])[environment]
    estimate, G = estimate_effects(z, environment), moves @ moves.T
    low, high = percentile_gram(z.reshape(4, n, d), rng)
    hits = {}
    for at, name in (((0, 0), "effect size"), ((0, 1), "Gram, off the diagonal"), ((1, 2), "Gram, collinear")):
        hits[name] = inside((estimate.gram_low[at], estimate.gram_high[at]), G[at])
        hits[name + PERCENTILE] = inside((low[at], high[at]), G[at])
    if length:
        angles = effect_angles(moves)
        for at, name in (((0, 1), "angle"), ((1, 2), "angle, collinear")):
            hits[name] = inside((estimate.angles_low[at] - 1e-5, estimate.angles_high[at]), angles[at])
    return hits


def percentile(estimate: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Central 95 % ranges, over resampled cells, of what `align` finds: from moments, all resamples at once."""
    n, d = truth.shape
    both = np.hstack([estimate, truth])
    weights = rng.multinomial(n, np.full(n, 1 / n), size=RESAMPLES) / n
    means = weights @ both
    S = (weights @ (both[:, :, None] * both[:, None, :]).reshape(n, -1)).reshape(-1, 2 * d, 2 * d)
    S = S - means[:, :, None] * means[:, None, :]
    seen, crossed, true = S[:, :d, :d], S[:, :d, d:], S[:, d:, d:]
    trace, crossed_t = np.trace(true, axis1=1, axis2=2), np.swapaxes(crossed, 1, 2)
    shared = np.linalg.svd(crossed, compute_uv=False).sum(1)
    draws = {
        "affine_r2": np.trace(crossed_t @ np.linalg.solve(seen, crossed), axis1=1, axis2=2) / trace,
        "orthogonal_r2": (2 * shared - np.trace(seen, axis1=1, axis2=2)) / trace,
        "singular_values": np.linalg.svd(np.linalg.solve(true, crossed_t), compute_uv=False),
    }
    return {name: np.quantile(values, [0.025, 0.975], axis=0).T for name, values in draws.items()}


def percentile_gram(z: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(2, M, M) central 95 % ranges of the plug-in Gram matrix over resampled cells (E, n, d)."""
    weights = rng.multinomial(z.shape[1], np.full(z.shape[1], 1 / z.shape[1]), size=(RESAMPLES, len(z))) / z.shape[1]
    means = np.einsum("ben,end->bed", weights, z)
    moves = means[:, 1:] - means[:, :1]
    return np.quantile(np.einsum("bed,bfd->bef", moves, moves), [0.025, 0.975], axis=0)


def inside(ends: object, value: np.ndarray | float) -> bool:
    """Whether an interval holds a value, up to rounding; of several, whether each does."""
    low, high = np.transpose(ends)
    return bool(np.all((low - EPS <= value) & (value <= high + EPS)))


def lines(hits: dict[str, np.ndarray], d: int, n: int, setting: str) -> Iterator[tuple]:
    """One row of the table per quantity: coverage, and that of the percentiles where there are any."""
    for name in [name for name in hits if not name.endswith(PERCENTILE)]:
        plain = hits.get(name + PERCENTILE)
        yield name, d, n, setting, np.mean(hits[name]), None if plain is None else np.mean(plain)


TABLES = {
    "R² and singular values": (r2_world, product((2, 5), CELLS, NOISES), "noise"),
    "Effects": (effect_world, product((2, 5), CELLS, LENGTHS), "length"),
    "The ladder": (ladder_world, [(*sizes, noise) for sizes in HALVED for noise in NOISES], "noise"),
}
"""By title: what is measured of a world, at which settings, and what the last of a setting is called."""


def main() -> None:
    """Print the tables."""
    arguments = options(__doc__, worlds=500, workers=2)
    print(f"Share of worlds (seeds from 0) whose nominal 95 % interval holds the population value; "
          f"{band_in_words(0.95, arguments.worlds)}; percentile: {RESAMPLES} resamples. {machine()}\n")  # fmt: skip
    columns = {"quantity": "", "d": "", "cells": "", "world": "", "coverage": ".3f", "percentile": ".3f"}

    def rows(measure: Callable, settings: Iterable[tuple], word: str) -> Iterator[tuple]:
        for d, n, value in settings:
            measure_one = partial(measure, d=d, n=n, **{word: value})
            hits = measure_worlds(measure_one, arguments.worlds, workers=arguments.workers)
            yield from lines(hits, d, n, f"{word} {value}")

    for title, table in TABLES.items():
        print_table(columns, rows(*table), title=title)


if __name__ == "__main__":
    main()
