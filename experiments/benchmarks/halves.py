"""Intervals from fits to halves of the cells: whether they hold what a fitted model says, and how long they are.

Run: `python -m experiments.benchmarks.halves [WORLDS] [--cells 1000] [--splits 5] [--steps 400] [--first 0]
[--only noiseless,noisy,composed] [--workers 1] [--out FILE]`. Named worlds of two latents, control and two singles; the
seed is the number of the world. The truth is the world's own W, and 200,000 cells of it for features at A+B, whose
standard error counts as nothing. With few steps a fit has an error of its own, which the intervals have to count too.
`--out` keeps every world; worlds that the file holds are not measured again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from scipy.linalg import orthogonal_procrustes
from scipy.special import erf

from experiments.benchmarks._table import machine, options, print_table, rounded
from pdae_sim import PDAE, Simulation
from pdae_sim.analysis import check_span, energy_estimate, judge
from pdae_sim.analysis.support import ShiftError, supports
from pdae_sim.errors import InputError
from pdae_sim.estimation import HalfFits, fit_halves
from pdae_sim.simulation.worlds import world
from pdae_sim.study import count_fit, feature_intervals, stability

KINDS = {
    "noiseless": ("two-latents", "noiseless"),
    "noisy": ("noisy", "gaussian"),
    "composed": ("variance-changes", "noiseless"),
}
"""World and observation model by name; the last is of no true W, and its target is composed of measured cells."""
TARGET, TRUE_CELLS, DRAWN, JUDGED = "A+B", 200_000, 20_000, 4000
HEADS = ("cells are", "worlds", "quantity", "held, %", "without the fit, %", "length / truth")


def measure(kind: str, seed: int, cells: int, splits: int, steps: int) -> dict[str, list]:
    """By quantity: rows of truth, value, low, high and the ends of the interval that leaves the fit out, if any."""
    name, observation = KINDS[kind]
    config = world(name, (f"design.cells={cells}",), seed=seed)
    simulator, simulation = config.simulator(), config.simulate()
    train = simulation.data.train
    d = simulator.latent.n_latents
    composed = kind == "composed"
    model = PDAE(d, observation=observation, steps=steps, select=composed, random_state=seed).fit(train)
    halves = fit_halves(model, train, n_splits=splits, rng=seed)
    x = simulator.sample([TARGET], TRUE_CELLS, rng=seed + 10**6).data.x
    if composed:
        return _features(x, model, halves)
    found = stability(halves, train, conditions=[TARGET], n_cells=1000, rng=seed)
    W = simulation.truth.isotropic().perturbation_matrix
    rows = {
        "Gram matrix": _gram(W, model, halves),
        **_verdict(W, simulation, model, halves),
        **_features(x, model, halves),
    }
    distance = energy_estimate(model.sample(TARGET, JUDGED, rng=seed, source="pool"), x[:JUDGED]).value
    (promised,) = found.predictions
    rows["limit of the energy distance"] = [[distance, promised.error, min(distance, 0.0), promised.limit]]
    rows["limit of the total variation"] = [[_variation(model, simulation), 0.0, 0.0, promised.total_variation]]
    rows["agreement"] = [found.agreement.tolist()]
    return rows


def _variation(model: PDAE, simulation: Simulation) -> float:
    """Total variation of two laws N(·, I) as far apart as the fitted and the true shift of the target are."""
    train, truth = simulation.data.train, simulation.truth.isotropic()
    rows = ~simulation.data.held_out[simulation.data.environment]
    z, fitted = (v - v.mean(0) for v in (truth.z[rows], model.encode(train.x)))
    turn = orthogonal_procrustes(z, fitted)[0]
    label = train.space.label(TARGET)
    e = model.perturbation_matrix_ @ label - turn.T @ truth.perturbation_matrix @ label
    return float(erf(np.linalg.norm(e) / np.sqrt(8)))


def _gram(W: np.ndarray, model: PDAE, halves: HalfFits) -> list[list[float]]:
    upper = np.triu_indices(W.shape[1])
    of = lambda fit: (fit.perturbation_matrix_.T @ fit.perturbation_matrix_)[upper]  # noqa: E731
    low, high = halves.interval(of, of(model))
    return np.column_stack([(W.T @ W)[upper], of(model), low, high]).tolist()


def _verdict(W: np.ndarray, simulation: Simulation, model: PDAE, halves: HalfFits) -> dict[str, list]:
    """Distances and effective cells at the target, by both kinds of interval."""
    train = simulation.data.train
    label = train.space.label(TARGET)
    (true,) = supports(train.labels, [label], counts=train.counts, perturbation_matrix=W)
    error = ShiftError.of(train.labels, train.counts, information=model.information_)
    verdicts = judge(
        train.labels, [label], counts=train.counts, perturbation_matrix=model.perturbation_matrix_, error=error,
        certificates=check_span(train.labels, [label]),
    )  # fmt: skip
    plain, counted = verdicts[0].support, count_fit(verdicts, np.array([label]), model, halves)[0].support
    assert plain is not None
    assert plain.interval is not None
    assert counted is not None
    assert counted.interval is not None
    distances = np.column_stack([true.distances, plain.distances, counted.distance_intervals, plain.distance_intervals])
    cells = [true.effective_cells, plain.effective_cells, *counted.interval, *plain.interval]
    return {"distances": distances.tolist(), "effective cells": [cells]}


def _features(x: np.ndarray, model: PDAE, halves: HalfFits) -> dict[str, list]:
    found = feature_intervals(model, halves, TARGET, n=DRAWN, rng=0)
    truth = {"mean": x.mean(0), **{f"q{q:02d}": np.quantile(x, q / 100, axis=0) for q in (5, 50, 95)}}
    rows: dict[str, list] = {"predicted means": [], "predicted quantiles": []}
    for number, row in enumerate(found):
        kind = "predicted means" if row["statistic"] == "mean" else "predicted quantiles"
        rows[kind].append(
            [float(truth[str(row["statistic"])][number // 4]), *(float(row[key]) for key in ("value", "low", "high"))]  # type: ignore[arg-type]
        )
    return rows


def rows_of(kind: str, worlds: list[dict]) -> Iterator[tuple]:
    """Lines of the table: shares of single intervals over all worlds."""
    for quantity in (name for name in worlds[0] if name != "agreement"):
        rows = np.array([row for each in worlds for row in each[quantity]], dtype=np.float64)
        truth, _, low, high = rows.T[:4]
        plain = (rows[:, 4] <= truth) & (truth <= rows[:, 5]) if rows.shape[1] > 4 else None
        yield (
            kind, len(worlds), quantity, 100 * np.mean((low - 1e-9 <= truth) & (truth <= high + 1e-9)),
            None if plain is None else 100 * np.mean(plain),
            float(np.median((high - low) / np.maximum(abs(truth), 1e-12))),
        )  # fmt: skip


def table_rows(results: dict) -> Iterator[tuple[str, ...]]:
    """Lines of the quoted table, in words."""
    digits = ("s", "d", "s", ".1f", ".1f", ".2f")
    for kind in KINDS:
        worlds = [value for key, value in results["worlds"].items() if key.startswith(f"{kind},")]
        for row in rows_of(kind, worlds) if worlds else ():
            yield tuple("–" if value is None else format(value, d) for value, d in zip(row, digits, strict=True))


def main() -> None:
    """Measure, keep and print."""
    arguments = options(
        __doc__, worlds=40, cells=1000, splits=5, steps=400, first=0, only=",".join(KINDS), workers=1, out=None
    )
    path = arguments.out and Path(arguments.out)
    kept: dict[str, dict] = json.loads(path.read_text())["worlds"] if path and path.exists() else {}
    for kind in arguments.only.split(","):
        setting = (arguments.cells, arguments.splits, arguments.steps)
        seeds = [s for s in range(arguments.first, arguments.first + arguments.worlds) if f"{kind}, {s}" not in kept]
        for start in range(0, len(seeds), arguments.workers):
            some = seeds[start : start + arguments.workers]
            for s, found in zip(some, Parallel(arguments.workers)(delayed(_tried)(kind, s, *setting) for s in some)):  # noqa: B905
                if found is not None:
                    kept[f"{kind}, {s}"] = rounded(found)
            if path:
                path.write_text(json.dumps({"command": _command(arguments), "machine": machine(), "worlds": kept}))
    print(f"{machine()}\n")
    print_table(dict.fromkeys(HEADS, ""), table_rows({"worlds": kept}))


def _command(arguments: object) -> str:
    told = {key: getattr(arguments, key) for key in ("cells", "splits", "steps", "first")}
    return "python -m experiments.benchmarks.halves " + " ".join(f"--{key} {value}" for key, value in told.items())


def _tried(kind: str, seed: int, *setting: int) -> dict | None:
    try:
        return measure(kind, seed, *setting)
    except InputError as error:  # a seed that finds no mixing
        print(f"{kind}, seed {seed}: {error}", file=sys.stderr)
        return None


if __name__ == "__main__":
    main()
