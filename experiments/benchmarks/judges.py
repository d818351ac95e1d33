"""Metrics of predictions judged where the truth is known: bias, noise, power against planted errors, rank agreement.

Run: `python -m experiments.benchmarks.judges [--seeds 20] [--sizes 50,100,200,400] [--small] [--only counts]
[--workers 1] [--out FILE]`, which adds to the file, then `python -m experiments.judges_page`. Worlds have the shape of
a small screen of doubles (eight latents, 20 singles, 100 genes, as in `effects`), in log-normalised counts and without
noise; seeds from 9,000.

Power: a prediction is caught if it scores worse than each of 19 fresh samples of the true law against the same measured
cells (level 5 %), all of n cells. Wins: how often the true sample scores better, ties for half. Agreement: Spearman's
and Kendall's rank correlation of a metric with exact Kullback–Leibler divergences, truth from prediction, of f(z)
before any count, where predictions are laws of latents with other shifts, spreads or correlations. Planted errors lie
off the image of f, so that their divergence is infinite; beside them stands the energy distance of large samples.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from scipy import optimize, stats
from scipy.spatial.distance import cdist

from experiments.benchmarks._table import command, options, print_table, provenance
from experiments.benchmarks.effects import SHAPE
from pdae_sim import LinearLatentModel, Simulator, energy_distance
from pdae_sim.analysis import (
    ControlCells,
    DifferentialExpression,
    direction_match,
    discrimination_score,
    energy_estimate,
    mean_difference,
    mean_r2,
    mmd,
    overlap_at_n,
    pearson_delta,
    worth,
)
from pdae_sim.simulation.worlds import world

FIRST_SEED = 9000
KINDS = {"counts": (), "noiseless": ("observation=[{kind='none'}]",)}
TRUTHS, JUDGED = 19, 2
CONTROL, MANY, LARGE, DIRECTIONS = 2000, 8000, 1000, 64


@dataclass(frozen=True, eq=False)
class Measured:
    """What a judge has: measured cells of a condition, of its peers and of control.

    Args:
        cells: (n, d_X) of the condition.
        control: Control cells.
        average: (d_X,) mean over training conditions of their means.
        effects: (peers, d_X) measured changes of held-out conditions.
        index: Row of `effects` of the condition.
        tested: Differential expression of the cells.
    """

    cells: np.ndarray
    control: ControlCells
    average: np.ndarray
    effects: np.ndarray
    index: int
    tested: DifferentialExpression


@dataclass(frozen=True, eq=False)
class Predicted:
    """Predicted cells, with what several metrics need of them.

    Args:
        x: (n, d_X) the cells.
        mean: (d_X,) of the cells.
        tested: Their differential expression.
    """

    x: np.ndarray
    mean: np.ndarray
    tested: DifferentialExpression


Scorer = Callable[[Predicted, Measured], float]


def sliced_wasserstein(x: np.ndarray, y: np.ndarray) -> float:
    """Mean over random directions of the Wasserstein distance of projections (Rabin et al. 2011)."""
    directions = np.random.default_rng(0).normal(size=(x.shape[1], DIRECTIONS))
    directions /= np.linalg.norm(directions, axis=0)
    pairs = zip((x @ directions).T, (y @ directions).T, strict=True)
    return float(np.mean([stats.wasserstein_distance(*pair) for pair in pairs]))


def wasserstein(x: np.ndarray, y: np.ndarray) -> float:
    """Wasserstein distance of two samples of one size, by the best assignment."""
    distances = cdist(x, y)
    return float(distances[optimize.linear_sum_assignment(distances)].mean())


def _discrimination(p: Predicted, known: Measured, distance: str) -> float:
    return discrimination_score(p.mean - known.control.mean, known.effects, known.index, distance=distance)


@dataclass(frozen=True)
class Metric:
    """A metric, and what it gives a perfect prediction of endless cells.

    Args:
        score: From predicted cells and what is measured.
        perfect: Its value for the true law; None where that is infinite.
        less: Whether less is better.
    """

    score: Scorer
    perfect: float | None
    less: bool = False

    def badness(self, predicted: Predicted, known: Measured) -> float:
        """The score, turned so that less is better; 0 where it is not defined."""
        value = float(np.nan_to_num(self.score(predicted, known), nan=0.0, posinf=1e12))
        return value if self.less else -value


METRICS = {
    "energy distance (U)": Metric(lambda p, m: energy_distance(p.x, m.cells, unbiased=True), 0.0, less=True),
    "energy distance (V)": Metric(lambda p, m: energy_distance(p.x, m.cells), 0.0, less=True),
    "n_eff": Metric(lambda p, m: worth(energy_estimate(p.x, m.cells, spectrum_rows=100)).value, None),
    "MMD²": Metric(lambda p, m: mmd(p.x, m.cells), 0.0, less=True),
    "sliced Wasserstein": Metric(lambda p, m: sliced_wasserstein(p.x, m.cells), 0.0, less=True),
    "exact Wasserstein": Metric(lambda p, m: wasserstein(p.x, m.cells), 0.0, less=True),
    "distance of means": Metric(lambda p, m: mean_difference(p.x, m.cells), 0.0, less=True),
    "R² of means": Metric(lambda p, m: mean_r2(p.x, m.cells), 1.0),
    "Pearson Δ": Metric(lambda p, m: pearson_delta(p.mean, m.cells.mean(0), m.control.mean), 1.0),
    "Pearson Δ (average)": Metric(lambda p, m: pearson_delta(p.mean, m.cells.mean(0), m.average), 1.0),
    "discrimination (L1)": Metric(partial(_discrimination, distance="l1"), 1.0),
    "discrimination (cosine)": Metric(partial(_discrimination, distance="cosine"), 1.0),
    "DE direction": Metric(lambda p, m: direction_match(p.tested, m.tested), 1.0),
    "DE overlap": Metric(lambda p, m: overlap_at_n(p.tested, m.tested), 1.0),
}
"""The metrics by name, those of whole laws first."""

LAWS = tuple(METRICS)[:6]
"""Metrics of whole laws; the others look at means and single features."""

PLANTED = (
    "tiled mean",
    "features shuffled",
    "half the spread",
    "labels swapped",
    "nearest neighbour",
    "control shifted",
)
"""Wrong predictions: every cell the true mean; true cells, each feature shuffled; true cells at half their distance
from the mean; true cells of another condition; measured cells of the nearest training condition; control cells moved by
the true change of the mean."""

FAMILIES = ("all", "shift", "shape")
"""Laws of graded divergence: of latents with another shift, and of another spread or correlation."""


class Screen:
    """A world with the cells that are measured of it.

    Args:
        kind: One of `KINDS`.
        seed: Of the world and of all cells.
    """

    def __init__(self, kind: str, seed: int) -> None:
        config = world("norman-like", (*SHAPE, *KINDS[kind]), seed=seed)
        self.seed, self.simulator = seed, config.simulator()
        design = config.experiments()[0]
        self.control, *self.train = design.train
        self.test = list(design.test)
        self.control_cells = self.draw(self.control, CONTROL, "control")

    def draw(self, label: np.ndarray, n: int, purpose: str, simulator: Simulator | None = None) -> np.ndarray:
        """Cells of a label, others for every purpose."""
        root = np.random.SeedSequence([self.seed, *purpose.encode()])
        return (simulator or self.simulator).sample([label], n, rng=root).data.x

    def measured(self, n: int) -> list[Measured]:
        """What is measured of the first held-out conditions, n cells each of them all."""
        control = ControlCells(self.control_cells, log1p=bool(self.control_cells.min() >= 0))
        average = np.mean([self.draw(label, n, "measured").mean(0) for label in self.train], axis=0)
        cells = [self.draw(label, n, "measured") for label in self.test]
        effects = np.array([x.mean(0) for x in cells]) - control.mean
        test = control.differential_expression
        return [Measured(x, control, average, effects, i, test(x)) for i, x in enumerate(cells[:JUDGED])]

    def neighbour(self, label: np.ndarray) -> np.ndarray:
        """The training label nearest in the identified metric."""
        latent = self.simulator.latent
        return min(
            self.train, key=lambda each: np.linalg.norm(latent.whitening @ (latent.mean(each) - latent.mean(label)))
        )

    def other(self, index: int) -> np.ndarray:
        """The held-out label after this one."""
        return self.test[(index + 1) % len(self.test)]

    def planted(self, index: int, n: int, mean: np.ndarray) -> dict[str, np.ndarray]:
        """The six wrong predictions of a held-out condition, n cells each; `mean` is its true one."""
        label, rng = self.test[index], np.random.default_rng([self.seed, index, n])
        fresh = self.draw(label, n, f"planted {n}")
        control = rng.choice(self.control_cells, n, replace=False)
        predictions = (
            np.tile(mean, (n, 1)),
            rng.permuted(fresh, axis=0),
            mean + (fresh - mean) / 2,
            self.draw(self.other(index), n, "swapped"),
            self.draw(self.neighbour(label), n, "measured"),
            control + mean - self.control_cells.mean(0),
        )
        return dict(zip(PLANTED, predictions, strict=True))

    def graded(self, index: int) -> list[tuple[str, Simulator, np.ndarray, float]]:
        """Laws at known divergences from that of a condition: what is wrong, simulator, label and divergence."""
        label, own, W = self.test[index], self.simulator.latent.covariance, self.simulator.latent.perturbation_matrix
        doses = [dose * label for dose in (1.0, 0.5, 0.75, 1.25, 1.5)]
        labels = [*doses, self.neighbour(label), self.other(index), self.control]
        order = np.random.default_rng(self.seed).permutation(len(own))
        shapes = [*(scale * own for scale in (0.25, 0.5, 1.5, 2.5)), np.diag(np.diag(own)), own[order][:, order]]
        models = [LinearLatentModel.from_covariance(covariance, W) for covariance in (own, *shapes)]
        laws = [("shift", self.simulator, each) for each in labels]
        laws += [("shape", replace(self.simulator, latent=model), label) for model in models]
        return [(kind, law, each, divergence(self.simulator, label, law, each)) for kind, law, each in laws]


def divergence(truth: Simulator, label: np.ndarray, other: Simulator, other_label: np.ndarray) -> float:
    """Kullback–Leibler divergence of f(z) under `other` from the true one: that of Gaussian latents, f injective."""
    S, T = truth.latent.covariance_under(label), other.latent.covariance_under(other_label)
    away = truth.latent.mean(label) - other.latent.mean(other_label)
    precise = np.linalg.solve(T, np.column_stack([S, away]))
    logs = np.linalg.slogdet(T)[1] - np.linalg.slogdet(S)[1]
    return float(max(np.trace(precise[:, :-1]) - len(S) + away @ precise[:, -1] + logs, 0.0) / 2)


@dataclass(frozen=True, eq=False)
class Exact:
    """What is exact of a held-out condition, as far as large samples tell.

    Args:
        mean: (d_X,) true mean.
        distances: (6,) energy distances of the planted errors (U-statistics of large samples).
        divergences: Of the graded laws, exact.
        graded: Energy distances of those, of large samples.
        kinds: What is wrong with each of them.
    """

    mean: np.ndarray
    distances: np.ndarray
    divergences: np.ndarray
    graded: np.ndarray
    kinds: np.ndarray

    @classmethod
    def of(cls, screen: Screen, index: int) -> Exact:
        """Exact values of a held-out condition by its number."""
        mean = screen.draw(screen.test[index], MANY, "mean").mean(0)
        own = screen.draw(screen.test[index], LARGE, "large")
        away = lambda x: float(energy_distance(x, own, unbiased=True))  # noqa: E731
        laws = screen.graded(index)
        cells = [screen.draw(label, LARGE, f"large {i}", law) for i, (_, law, label, _) in enumerate(laws)]
        return cls(
            mean,
            np.array([away(x) for x in screen.planted(index, LARGE, mean).values()]),
            np.array([value for *_, value in laws]),
            np.array([away(x) for x in cells]),
            np.array([kind for kind, *_ in laws]),
        )

    def agreement(self, scores: np.ndarray) -> list[tuple[float, float]]:
        """Rank agreement with the divergences: of all laws, of shifts and of shapes."""
        masks = [np.ones(len(self.kinds), bool), self.kinds == "shift", self.kinds == "shape"]
        return [agreement(scores[mask], self.divergences[mask]) for mask in masks]


def agreement(scores: np.ndarray, exact: np.ndarray) -> tuple[float, float]:
    """Spearman's and Kendall's rank correlation; 0 where all scores are one."""
    if np.ptp(scores) == 0:
        return 0.0, 0.0
    return float(stats.spearmanr(scores, exact).statistic), float(stats.kendalltau(scores, exact).statistic)


def judged(screen: Screen, known: Measured, exact: Exact, n: int, truths: int = TRUTHS) -> dict[str, np.ndarray]:
    """How every metric fares at one condition with n cells: arrays whose first axis are the metrics."""
    index, label = known.index, screen.test[known.index]

    def score(cells: Iterable[np.ndarray]) -> np.ndarray:
        predictions = [Predicted(x, x.mean(0), known.control.differential_expression(x)) for x in cells]
        return np.array([[metric.badness(each, known) for each in predictions] for metric in METRICS.values()])

    true = score(screen.draw(label, truths * n, f"true {n}").reshape(truths, n, -1))
    wrong = score(screen.planted(index, n, exact.mean).values())
    graded = score(
        [screen.draw(each, n, f"graded {i}", law) for i, (_, law, each, _) in enumerate(screen.graded(index))]
    )
    far = np.append(0.0, exact.distances)
    beaten = wrong[:, :, None] - true[:, None, :]
    return {
        "power": (beaten > 0).all(-1).astype(float),
        "wins": (beaten > 0).mean(-1) + (beaten == 0).mean(-1) / 2,
        "true": true.mean(1),
        "spread": true.std(1, ddof=1),
        "swapped": wrong[:, PLANTED.index("labels swapped")],
        "agreement": np.array([exact.agreement(row) for row in graded]),
        "planted": np.array([agreement(np.append(t[0], w), far) for t, w in zip(true, wrong, strict=True)]),
    }


def measure(kind: str, seed: int, sizes: tuple[int, ...], truths: int = TRUTHS) -> dict[str, np.ndarray]:
    """Means over the judged conditions of a world: (sizes, metrics, …) each, and what is exact."""
    screen = Screen(kind, seed)
    exact = [Exact.of(screen, index) for index in range(JUDGED)]
    found = [[judged(screen, known, exact[known.index], n, truths) for known in screen.measured(n)] for n in sizes]
    values = {name: np.array([np.mean([one[name] for one in row], axis=0) for row in found]) for name in found[0][0]}
    large = np.mean([each.agreement(each.graded) for each in exact], axis=0)
    return values | {"exact": np.mean([each.distances for each in exact], axis=0), "large": large}


def summary(worlds: list[dict[str, np.ndarray]], sizes: tuple[int, ...]) -> dict:
    """Means over worlds, those of power, wins and agreement with half the length of their 95 % intervals."""
    mean = {name: np.mean([world[name] for world in worlds], axis=0) for name in worlds[0]}
    half = {name: 1.96 * stats.sem([world[name] for world in worlds], axis=0) for name in worlds[0]}

    def pairs(name: str, *place: int) -> list:
        return np.stack([mean[name][place], half[name][place]], axis=-1).round(4).tolist()

    def told(i: int, k: int, metric: Metric) -> dict:
        perfect = 0.0 if metric.less else -(metric.perfect or 0.0)
        true, swapped, spread = (float(mean[name][i, k]) for name in ("true", "swapped", "spread"))
        known = metric.perfect is not None
        return {
            "power": dict(zip(PLANTED, pairs("power", i, k), strict=True)),
            "wins": dict(zip(PLANTED, pairs("wins", i, k), strict=True)),
            "bias": round((true - perfect) / (swapped - perfect), 4) if known else None,
            "noise": round(spread / (swapped - true), 4) if known else None,
            "agreement": dict(zip(FAMILIES, pairs("agreement", i, k), strict=True)),
            "agreement on planted errors": pairs("planted", i, k),
        }

    return {
        "energy distance of large samples": dict(zip(PLANTED, mean["exact"].round(4).tolist(), strict=True)),
        "agreement of large samples": dict(zip(FAMILIES, pairs("large"), strict=True)),
        "cells": {
            str(n): {name: told(i, k, metric) for k, (name, metric) in enumerate(METRICS.items())}
            for i, n in enumerate(sizes)
        },
    }


def rows(found: dict, n: int) -> Iterator[tuple]:
    """A line for every metric: power, in per cent, and Spearman's correlation with the divergence."""
    for name, values in found["cells"][str(n)].items():
        yield name, *(100 * values["power"][error][0] for error in PLANTED), values["agreement"]["all"][0][0]


def keep(path: Path, kind: str, found: dict) -> None:
    """Add the worlds of one kind to the stored results."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps(kept | {kind: found}, indent=1) + "\n", encoding="utf-8")


def main(words: list[str] | None = None) -> None:
    """Print tables of power, and keep all with `--out`."""
    arguments = options(__doc__, words, seeds=20, sizes="50,100,200,400", small=False, only="", workers=1, out=None)
    sizes = (40,) if arguments.small else tuple(map(int, arguments.sizes.split(",")))
    seeds = range(FIRST_SEED, FIRST_SEED + (2 if arguments.small else arguments.seeds))
    made = provenance(command("judges"))
    for kind in arguments.only.split(",") if arguments.only else KINDS:
        worlds = Parallel(n_jobs=arguments.workers)(delayed(measure)(kind, seed, sizes) for seed in seeds)
        found = {"provenance": made, "worlds": len(seeds), "conditions": JUDGED * len(seeds), "sizes": list(sizes)}
        found |= summary(worlds, sizes)
        columns = {"": "", **dict.fromkeys(PLANTED, ".0f"), "Spearman": ".2f"}
        for n in sizes:
            print_table(columns, rows(found, n), title=f"{kind}, {n} cells: power at 5 %, per cent")
        if arguments.out:
            keep(arguments.out, kind, found)


if __name__ == "__main__":
    main()
