"""Coverage of the intervals of the identifiability report in worlds where z is seen with noise.

An estimate is A z + s ε with ε ~ N(0, I), so that every population value is known in closed form. The plain percentile
bootstrap stands beside each interval. Run: `python -m experiments.benchmarks.intervals [WORLDS]`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
from scipy.stats import ortho_group

from experiments.benchmarks.machine import describe
from pdae_sim.analysis.identifiability.alignment import alignment_intervals
from pdae_sim.analysis.identifiability.effects import effects, true_angles
from pdae_sim.analysis.identifiability.nested_maps import MAPS, fitted_maps, nested_maps

WORLDS, RESAMPLES = 500, 200
NOISES, CELLS, LENGTHS = (0.1, 1.0), (60, 400), (0.0, 0.1, 1.0, 4.0)
HALVED = ((2, 120), (2, 400))  # latents and cells of the ladder, which half of them judge
EPS = 1e-9  # what rounding may put between an end and the truth
Hits = dict[str, list[float]]


def main(worlds: int = WORLDS) -> None:
    """Print the tables."""
    print(
        f"Share of {worlds} worlds (seeds 0 to {worlds - 1}) whose nominal 95 % interval holds the population value; "
        f"percentile: {RESAMPLES} resamples. {describe()}\n"
    )
    tables = {"R² and singular values": r2_rows, "Effects": effect_rows, "The ladder": ladder_rows}
    for title, rows in tables.items():
        print(f"{title}\n\n| quantity | d | cells | world | coverage | percentile |\n|{'---|' * 6}")
        for row in rows(worlds):
            print(row, flush=True)
        print()


def r2_rows(worlds: int) -> Iterator[str]:
    """R² of the best maps, and the singular values of the map to the estimate."""
    for d in (2, 5):
        for n in CELLS:
            for noise in NOISES:
                hits: Hits = {}
                for seed in range(worlds):
                    r2_world(seed, d, n, noise, hits)
                yield from lines(hits, d, n, f"noise {noise}")


def r2_world(seed: int, d: int, n: int, noise: float, hits: Hits) -> None:
    """One world: a stretched rotation of z with noise."""
    rng = np.random.default_rng([seed, d, n])
    A = stretched(d, rng)
    estimate, truth = seen(n, A, noise, rng)
    S = A @ A.T + noise**2 * np.eye(d)
    affine = np.trace(np.linalg.solve(S, A) @ A.T) / d
    orthogonal = 1 - (np.trace(S) + d - 2 * np.linalg.norm(A, "nuc")) / d
    found, drawn = alignment_intervals(estimate, truth, rng=seed), percentile(estimate, truth, rng)
    for name, value in (("affine R²", affine), ("orthogonal R²", orthogonal)):
        key = name.replace(" R²", "_r2")
        note(hits, name, inside(found[key], value), inside(drawn[key], value))
    sigma, key = np.linalg.svd(A, compute_uv=False), "singular_values"
    ours, plain = ([inside(pair, s) for pair, s in zip(ends[key], sigma, strict=True)] for ends in (found, drawn))
    note(hits, "singular values, all at once", all(ours), all(plain))


def stretched(d: int, rng: np.random.Generator) -> np.ndarray:
    """A rotation after stretches from 1 to 1.3."""
    return ortho_group.rvs(d, random_state=rng) * np.linspace(1.0, 1.3, d)


def seen(n: int, A: np.ndarray, noise: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """n noisy views of z ~ N(0, I), and z."""
    z = rng.normal(size=(n, len(A)))
    return z @ A.T + noise * rng.normal(size=z.shape), z


def ladder_rows(worlds: int) -> Iterator[str]:
    """R² of the maps that were fitted on one half, and their gap, judged on the other half."""
    for d, n in HALVED:
        for noise in NOISES:
            hits: Hits = {}
            for seed in range(worlds):
                ladder_world(seed, d, n, noise, hits)
            yield from lines(hits, d, n, f"noise {noise}")


def ladder_world(seed: int, d: int, n: int, noise: float, hits: Hits) -> None:
    """One world, as in `r2_world`; what the fitted maps do to the population is measured on 20,000 new cells."""
    rng = np.random.default_rng([seed, d, n])
    A = stretched(d, rng)
    estimate, truth = seen(n, A, noise, rng)
    maps = nested_maps(estimate, truth, rng=seed)
    fit = np.setdiff1d(np.arange(n), maps.judged)
    fitted = fitted_maps(estimate[fit], truth[fit], np.random.default_rng(0))
    new, z = seen(20_000, A, noise, rng)
    lost = {name: ((fitted[MAPS.index(name)](new) - z) ** 2).sum() / (z**2).sum() for name in ("orthogonal", "affine")}
    for name, share in lost.items():
        r2 = maps[name].r2
        note(hits, f"{name} R², held out", inside((r2.low, r2.high), 1 - share))
    gap = maps["orthogonal"].defect
    note(hits, "their gap, held out", inside((gap.low, gap.high), lost["orthogonal"] - lost["affine"]))


def effect_rows(worlds: int) -> Iterator[str]:
    """Lengths, Gram entries and angles of three effects, two of them collinear."""
    for d in (2, 5):
        for n in CELLS:
            for length in LENGTHS:
                hits: Hits = {}
                for seed in range(worlds):
                    effect_world(seed, d, n, length, hits)
                yield from lines(hits, d, n, f"length {length}")


def effect_world(seed: int, d: int, n: int, length: float, hits: Hits) -> None:
    """One world: n cells of a reference and of each of three effects, with unequal variances."""
    rng = np.random.default_rng([seed, d, n, int(100 * length)])
    directions = rng.normal(size=(3, d))
    directions[2] = directions[1]
    moves = length * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    environment = np.repeat(np.arange(4), n)
    z = rng.normal(size=(4 * n, d)) * np.linspace(0.7, 1.3, d) + np.vstack([np.zeros(d), moves])[environment]
    found, G = effects(z, environment), moves @ moves.T
    low, high = percentile_gram(z.reshape(4, n, d), rng)
    for e, f, name in ((0, 0, "effect size"), (0, 1, "Gram, off the diagonal"), (1, 2, "Gram, collinear")):
        ends = (found.gram_low[e, f], found.gram_high[e, f])
        note(hits, name, inside(ends, G[e, f]), inside((low[e, f], high[e, f]), G[e, f]))
    if length:
        angles = true_angles(moves)
        for e, f, name in ((0, 1, "angle"), (1, 2, "angle, collinear")):
            ends = (found.angles_low[e, f], found.angles_high[e, f])
            note(hits, name, inside((ends[0] - 1e-5, ends[1]), angles[e, f]))


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


def inside(ends: object, value: float) -> bool:
    """Whether an interval holds a value, up to rounding."""
    low, high = ends
    return bool(low - EPS <= value <= high + EPS)


def note(hits: Hits, name: str, ours: bool, plain: bool | None = None) -> None:
    """Count a world under a name, for the interval and for the percentiles where there are any."""
    hits.setdefault(name, []).append(ours)
    if plain is not None:
        hits.setdefault(f"{name} (percentile)", []).append(plain)


def lines(hits: Hits, d: int, n: int, world: str) -> Iterator[str]:
    """One row of the table per quantity."""
    for name in [name for name in hits if not name.endswith("(percentile)")]:
        plain = hits.get(f"{name} (percentile)")
        beside = "–" if plain is None else f"{np.mean(plain):.3f}"
        yield f"| {name} | {d} | {n} | {world} | {np.mean(hits[name]):.3f} | {beside} |"


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:2]))
