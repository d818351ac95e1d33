"""Conditions of a few cells beside four of a thousand, and thousands of conditions of one cell each.

Run: `python -m experiments.benchmarks.strays [--seeds 5] [--strays 1,5,50] [--singletons 5000] [--steps 0]
[--workers 1] [--out FILE]`. The world is `three-singles`, noiseless and at a signal-to-noise ratio of ten, with 1,000
cells each of ctrl, A, B and C. One stray has two cells, several have one to five each: in turn a combination of A, B
and C in odd doses and a perturbation that nothing else holds. Singletons are as many cells, each with its own doses of
A, B and C, beside nothing. Prints the energy distance at A+B (unbiased) of the default, median over seeds, and that
over the one without strays, whose label space is the same. With `--steps` phases are so long, and observation model
and number of latents are given.
"""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from experiments.benchmarks._table import machine, options, print_table
from pdae_sim import PDAE, PerturbationData, Simulator, energy_distance
from pdae_sim.simulation.worlds import world

CELLS, JUDGED, OTHERS = 1000, 8000, 50
WORLDS = {"noiseless": (), "gaussian": ("observation.kind=gaussian", "observation.snr=10")}
MAIN = np.vstack([np.zeros(3), np.eye(3)])


def with_strays(simulator: Simulator, n_strays: int, seed: int) -> PerturbationData:
    """Four conditions of a thousand cells, and strays; perturbations are A, B, C and `OTHERS` more."""
    rng = np.random.default_rng([seed, n_strays])
    doses = rng.choice([0.5, 1.0, 2.0], size=(n_strays, 3)) + 0.001 * np.arange(n_strays)[:, None]
    own = np.eye(n_strays, OTHERS) * (np.arange(n_strays) % 2)[:, None]
    labels = np.hstack([np.where(own.any(1, keepdims=True), 0.0, doses), own])
    counts = [CELLS] * 4 + (rng.integers(1, 6, n_strays).tolist() if n_strays > 1 else [2] * n_strays)
    x = simulator.sample(np.vstack([MAIN, doses]), counts, rng=seed).data.x
    labels = np.repeat(np.vstack([np.pad(MAIN, ((0, 0), (0, OTHERS))), labels]), counts, axis=0)
    return PerturbationData.from_arrays(x, labels, names=["A", "B", "C", *(f"S{k}" for k in range(OTHERS))])


def singletons(simulator: Simulator, n: int, seed: int) -> PerturbationData:
    """Cells each of doses of their own: none of a perturbation, or 0.5 to 1.5 of it."""
    rng = np.random.default_rng([seed, n])
    labels = (rng.random((n, 3)) < 0.5) * (0.5 + rng.random((n, 3))) + 1e-6 * np.arange(n)[:, None]
    return PerturbationData.from_arrays(simulator.sample(labels, 1, rng=seed).data.x, labels, names=["A", "B", "C"])


def measure(observation: str, strays: int, alone: int, seed: int, steps: int) -> dict:
    """The energy distance at A+B and the seconds of a fit to some strays, or to so many singletons alone."""
    simulator = world("three-singles", WORLDS[observation], seed=seed).simulator()
    data = singletons(simulator, alone, seed) if alone else with_strays(simulator, strays, seed)
    start = time.process_time()
    given: dict[str, Any] = {"observation": observation, "n_latents": 2, "steps": steps} if steps else {}
    model = PDAE(random_state=seed, **given).fit(data)
    label = np.eye(data.labels.shape[1])[:2].sum(0)
    true = simulator.sample([[1.0, 1.0, 0.0]], JUDGED, rng=[seed, 1]).data.x
    return {
        "observation": observation,
        "strays": strays,
        "singletons": alone,
        "seed": seed,
        "steps": steps,
        "energy_distance": float(energy_distance(model.sample(label, JUDGED, rng=0), true, unbiased=True)),
        "fitted": model.observation_.name,
        "latents": len(model.perturbation_matrix_),
        "early_stopping": any("held_out" in row for row in model.history_),
        "seconds": round(time.process_time() - start, 1),
    }


def table(found: list[dict]) -> list[tuple]:
    """A line for every observation model and number of strays or singletons: medians over seeds."""
    lines = []
    for observation, strays, alone in dict.fromkeys((r["observation"], r["strays"], r["singletons"]) for r in found):
        own = [r for r in found if (r["observation"], r["strays"], r["singletons"]) == (observation, strays, alone)]
        without = [r for r in found if (r["observation"], r["strays"], r["singletons"]) == (observation, 0, 0)]
        distance, first = (float(np.median([r["energy_distance"] for r in each])) for each in (own, without))
        stopped = f"{sum(r['early_stopping'] for r in own)} of {len(own)}"
        name = f"{alone} singletons alone" if alone else f"{strays} strays"
        seconds = float(np.median([r["seconds"] for r in own]))
        lines.append((observation, name, distance, distance / first, stopped, seconds))
    return lines


def main() -> None:
    """Print the table, and keep every number with `--out`."""
    arguments = options(__doc__, seeds=5, strays="1,5,50", singletons=5000, steps=0, workers=1, out=None)
    print(f"{machine()}, {arguments.seeds} seeds\n")
    kinds = [(0, 0), *((int(n), 0) for n in arguments.strays.split(",") if n)]
    kinds += [(0, arguments.singletons)] * bool(arguments.singletons)
    tasks = [(o, *kind, seed, arguments.steps) for o in WORLDS for kind in kinds for seed in range(arguments.seeds)]
    found = Parallel(n_jobs=arguments.workers)(delayed(measure)(*task) for task in tasks)
    heads = {"": "", "conditions": "", "energy distance": ".5f", "ratio": ".2f", "stopped early": "", "seconds": ".0f"}
    print_table(heads, table(found))
    if arguments.out:
        arguments.out.write_text("[\n" + ",\n".join(map(json.dumps, found)) + "\n]\n")


if __name__ == "__main__":
    main()
