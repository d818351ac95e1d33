"""The Norman-like world, 90,000 cells of 1,000 genes in 237 conditions: one pass over its cells, time and peak memory.

Run: `python -m experiments.benchmarks.scale [--data FILE] [--steps 6] [--repeats 3] [--fit]`. Every measurement is a
process of its own that reads the file, standardises the cells and takes a few steps; a pass is as many steps as it
takes to draw each training cell once, extrapolated from the median step. Peaks are of the whole process (VmHWM), the
reading included. Prints Markdown tables with machine and versions. With `--fit`, one whole fit of the plan `screen` is
judged on the held-out doubles beside every baseline.

Rivals: `published` is the published loss, plan and networks on batches of 128 single cells, distances in blocks, as
this library computes it; `written out` is its perturbation term alone with all 128² decoded cells and 128³ distances
held at once (`experiments.benchmarks.pairwise`).
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from experiments.benchmarks.machine import describe
from experiments.benchmarks.pairwise import pairwise_loss
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation.networks import Network
from pdae_sim.estimation.pdae import PDAE, begun
from pdae_sim.estimation.presets import PLANS, shortened
from pdae_sim.estimation.training import Phase, train
from pdae_sim.simulation.worlds import world
from pdae_sim.study.evaluation import evaluate, fitted_estimators
from pdae_sim.study.identification import identification_rows

LATENTS, PUBLISHED_LATENTS, WARM = 20, 101, 2
RUNS = {
    "screen": ("screen", LATENTS),
    "joint": ("joint", LATENTS),
    "published": ("published", PUBLISHED_LATENTS),
    "written out": ("published", PUBLISHED_LATENTS),
}
"""Plan and latents of each measurement."""


def ready(name: str, path: Path, steps: int) -> tuple[PDAE, Network, Cells]:
    """A model of a few steps a phase, its networks before the first and the cells they see."""
    plan, latents = PLANS[RUNS[name][0]], RUNS[name][1]
    model = PDAE(latents, architecture=plan.architecture, phases=shortened(plan.phases, steps))
    data = model.frame(PerturbationData.read(path))
    return model, *begun([model], [data])


def measured(name: str, path: Path, steps: int) -> dict:
    """Seconds of each phase's steps and of its pass, and the peak of this process."""
    model, network, cells = ready(name, path, steps + WARM)
    times = written_out(network, cells, steps) if name == "written out" else stepped(model, network, cells)
    n = sum(map(len, cells.rows[0]))
    phases = {phase.name: phase for phase in model.phases}
    step = {phase: statistics.median(taken[WARM:]) for phase, taken in times.items()}
    n_drawn = {phase: drawn(phases[phase], len(cells.rows[0])) for phase in times}
    passes = {phase: seconds * n / n_drawn[phase] for phase, seconds in step.items()}
    return {"step": step, "pass": passes, "drawn": n_drawn, "peak": peak(), "cells": n}


def stepped(model: PDAE, network: Network, cells: Cells) -> dict[str, list[float]]:
    """Seconds of every step, by phase; the first of a phase also holds what comes before it."""
    times: dict[str, list[float]] = {phase.name: [] for phase in model.phases}
    last = time.perf_counter()

    def tick(progress, _) -> None:
        nonlocal last
        now = time.perf_counter()
        times[model.phases[progress.phase].name].append(now - last)
        last = now

    train(network, cells, [model.phases], after_step=tick)
    return times


def written_out(network: Network, cells: Cells, steps: int) -> dict[str, list[float]]:
    """Seconds of steps on the B³ loss with everything held at once, Adam included."""
    (phase,), generator = PLANS["published"].phases, torch.Generator().manual_seed(0)
    optimiser, times = torch.optim.AdamW(network.parameters(), lr=phase.learning_rate, fused=True), []
    for step in range(steps + WARM):
        start = time.perf_counter()
        x, labels = cells.batch(phase, step)
        optimiser.zero_grad(set_to_none=True)
        pairwise_loss(network, x[0, :, 0], labels[0], [generator]).backward()
        optimiser.step()
        times.append(time.perf_counter() - start)
    return {phase.name: times}


def drawn(phase: Phase, n_environments: int) -> int:
    """Cells of one step."""
    return phase.cells * (1 if phase.sampling == "cells" else min(phase.environments, n_environments))


def peak() -> float:
    """The high-water mark of this process in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def fitted(path: Path) -> dict:
    """One whole fit of the plan `screen`: seconds, peak, identification, and distances on the held-out doubles."""
    simulation, plan, start = Simulation.read(path), PLANS["screen"], time.perf_counter()
    model = PDAE(LATENTS, architecture=plan.architecture, phases=plan.phases).fit(simulation.data)
    took, reached = time.perf_counter() - start, peak()
    known = identification_rows(model, simulation, ("affine_r2", "gram_error"), n=100)
    rows = evaluate(fitted_estimators(model, simulation.data), simulation.data, metrics=JUDGED)
    return {
        "seconds": took,
        "peak": reached,
        "identified": {row["metric"]: row["value"] for row in known},
        "judged": {name: means(rows, name) for name in dict.fromkeys(row["estimator"] for row in rows)},
    }


JUDGED = ("energy_distance", "mean_difference")


def means(rows: list[dict], estimator: str) -> dict[str, float]:
    """Means over held-out conditions."""
    own = [row for row in rows if row["estimator"] == estimator and row["status"] == "ok"]
    return {metric: float(np.mean([row["value"] for row in own if row["metric"] == metric])) for metric in JUDGED}


def apart(name: str, *arguments: object) -> dict:
    """A measurement in a process of its own."""
    command = [sys.executable, "-m", "experiments.benchmarks.scale", "--one", name, *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def passes(path: Path, steps: int, repeats: int) -> None:
    """Print the table of passes."""
    print(f"{steps} steps a phase after {WARM} to warm up, {repeats} processes each; medians (least to most)\n")
    print("| plan | phase | cells a step | seconds a step | seconds a pass, extrapolated | peak of the process, MiB |")
    print("|---|---|---|---|---|---|")
    for name, (plan, _) in RUNS.items():
        runs = [apart(name, "--data", path, "--steps", steps) for _ in range(repeats)]
        for phase in PLANS[plan].phases:
            step, whole = (spread([run[key][phase.name] for run in runs]) for key in ("step", "pass"))
            top = spread([run["peak"] for run in runs], "{:.0f}")
            print(f"| {name} | {phase.name} | {runs[0]['drawn'][phase.name]} | {step} | {whole} | {top} |", flush=True)


def spread(values: list[float], form: str = "{:.3g}") -> str:
    """The median with the extremes."""
    told = (form.format(f(values)) for f in (statistics.median, min, max))
    return "{} ({} to {})".format(*told)


def told(found: dict) -> None:
    """Print what a whole fit came to."""
    known = ", ".join(f"{metric} {value:.3f}" for metric, value in found["identified"].items())
    print(f"\nWhole fit of plan `screen`: {found['seconds']:.0f} s, peak {found['peak']:.0f} MiB; {known}\n")
    print("| estimator | energy distance, mean over held-out doubles | distance of means |\n|---|---|---|")
    for name, row in sorted(found["judged"].items(), key=lambda item: item[1]["energy_distance"]):
        print(f"| {name} | {row['energy_distance']:.4f} | {row['mean_difference']:.3f} |")


def asked() -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="a file of the world; simulated when absent")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--set", nargs="*", default=[], help="overrides of the world")
    parser.add_argument("--one", choices=(*RUNS, "fit"), help=argparse.SUPPRESS)
    return parser.parse_args()


def with_data(given: argparse.Namespace, use: Callable[[Path], None]) -> None:
    """Call `use` with the file, simulated first where none is given."""
    if given.data:
        use(given.data)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "norman.h5ad"
        world("norman-like", tuple(given.set)).simulate().write(path)
        use(path)


def main(given: argparse.Namespace) -> None:
    """Print the tables."""

    def tables(path: Path) -> None:
        passes(path, given.steps, given.repeats)
        if given.fit:
            told(apart("fit", "--data", path))

    print(f"{describe()}\n")
    with_data(given, tables)


if __name__ == "__main__":
    arguments = asked()
    if arguments.one == "fit":
        print(json.dumps(fitted(arguments.data)))
    elif arguments.one:
        print(json.dumps(measured(arguments.one, arguments.data, arguments.steps)))
    else:
        main(arguments)
