"""The Norman-like world, 90,000 cells of 1,000 genes in 237 conditions: one pass over its cells, time and peak memory.

Run: `python -m experiments.benchmarks.scale [--data FILE] [--steps 6] [--repeats 3] [--fit]`. The world is simulated
where no file of it is named. Every measurement is a
process of its own that reads the file, standardises the cells and takes a few steps; a pass is as many steps as it
takes to draw each training cell once, extrapolated from the median step. Peaks are of the whole process (VmHWM), the
reading included. Prints Markdown tables with machine and versions. With `--fit`, one whole fit of the plan `screen` is
judged on the held-out doubles beside every baseline.

Rivals: `published` is the published loss, plan and networks on batches of 128 single cells, distances in blocks, as
this library computes it; `written out` is its perturbation term alone with all 128² decoded cells and 128³ distances
held at once (`experiments.benchmarks.pairwise`).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import torch

from experiments.benchmarks._table import Spread, machine, options, print_table
from experiments.benchmarks._timing import apart, memory, timed
from experiments.benchmarks.pairwise import pairwise_loss
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.estimation import _bank as bank
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._networks import Network
from pdae_sim.estimation._training import train
from pdae_sim.estimation._weighted_terms import WeightedTerms
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.phases import Phase, Progress
from pdae_sim.estimation.presets import PRESETS
from pdae_sim.simulation.worlds import world
from pdae_sim.study.evaluation import evaluate, fitted_estimators
from pdae_sim.study.identification_metrics import identification_rows

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
    preset, latents = PRESETS[RUNS[name][0]].shortened(steps), RUNS[name][1]
    model = PDAE(latents, architecture=preset.architecture, phases=preset.phases)
    return model, *bank.start([model], bank.frame([model], [PerturbationData.read(path)]))


def one(name: str, path: str, steps: int) -> dict:
    """Seconds of each phase's steps and of its pass, and the peak of this process."""
    model, network, cells = ready(name, Path(path), steps + WARM)
    times = written_out(network, cells, steps) if name == "written out" else stepped(model, network, cells)
    n, phases = sum(map(len, cells.rows[0])), {phase.name: phase for phase in model.phases}
    step = {phase: statistics.median(seconds[WARM:]) for phase, seconds in times.items()}
    batch = {phase: cells_of_a_step(phases[phase], len(cells.rows[0])) for phase in times}
    passes = {phase: seconds * n / batch[phase] for phase, seconds in step.items()}
    return {"step": step, "pass": passes, "batch": batch, "peak": memory(), "cells": n}


def stepped(model: PDAE, network: Network, cells: Cells) -> dict[str, list[float]]:
    """Seconds of every step, by phase; the first of a phase also holds what comes before it."""
    times: dict[str, list[float]] = {phase.name: [] for phase in model.phases}
    last = time.perf_counter()

    def tick(progress: Progress) -> None:
        nonlocal last
        now = time.perf_counter()
        times[model.phases[progress.phase].name].append(now - last)
        last = now

    train(WeightedTerms(network, model.beta), cells, [model.phases], on_step=tick)
    return times


def written_out(network: Network, cells: Cells, steps: int) -> dict[str, list[float]]:
    """Seconds of steps on the B³ loss with everything held at once, Adam included."""
    (phase,), generator = PRESETS["published"].phases, torch.Generator().manual_seed(0)
    optimiser = torch.optim.AdamW(network.parameters(), lr=phase.learning_rate, fused=True)

    def take(step: int) -> None:
        x, labels = cells.batch(phase, step)
        optimiser.zero_grad(set_to_none=True)
        pairwise_loss(network, x[0, :, 0], labels[0], [generator]).backward()
        optimiser.step()

    return {phase.name: [timed(partial(take, step))[0] for step in range(steps + WARM)]}


def cells_of_a_step(phase: Phase, n_environments: int) -> int:
    """Cells that a step draws."""
    return phase.cells * (1 if phase.sampling == "cells" else min(phase.environments, n_environments))


def whole(path: str) -> dict:
    """One whole fit of the plan `screen`: seconds, peak, identification, and distances on the held-out doubles."""
    simulation, plan = Simulation.read(path), PRESETS["screen"]
    unfitted = PDAE(LATENTS, architecture=plan.architecture, phases=plan.phases)
    seconds, model = timed(partial(unfitted.fit, simulation.data))
    peak, known = memory(), identification_rows(model, simulation, ("affine_r2", "gram_error"), n=100)
    rows = evaluate(fitted_estimators(model, simulation.data), simulation.data, metrics=JUDGED)
    means = pd.DataFrame(rows).query("status == 'ok'").groupby(["estimator", "metric"]).value.mean()
    return {
        "seconds": seconds,
        "peak": peak,
        "identified": {row["metric"]: row["value"] for row in known},
        "judged": sorted(means.unstack()[list(JUDGED)].itertuples(), key=lambda row: row[1]),
    }


JUDGED = ("energy_distance", "mean_difference")


def passes(path: Path, steps: int, repeats: int) -> Iterator[tuple]:
    """Rows of the table of passes."""
    for name, (plan, _) in RUNS.items():
        runs = [apart("scale", "one", name, str(path), steps) for _ in range(repeats)]
        for phase in (phase.name for phase in PRESETS[plan].phases):
            step, whole_pass = (Spread.of([run[key][phase] for run in runs]) for key in ("step", "pass"))
            yield name, phase, runs[0]["batch"][phase], step, whole_pass, f"{Spread.of([r['peak'] for r in runs]):.0f}"


def print_fit(fit: dict) -> None:
    """Print what a whole fit came to."""
    known = ", ".join(f"{metric} {value:.3f}" for metric, value in fit["identified"].items())
    title = f"Whole fit of plan `screen`: {fit['seconds']:.0f} s, peak {fit['peak']:.0f} MiB; {known}"
    columns = {"estimator": "", "energy distance, mean over held-out doubles": ".4f", "distance of means": ".3f"}
    print_table(columns, fit["judged"], title=title)


def main() -> None:
    """Print the tables."""
    arguments = options(__doc__, data=None, steps=6, repeats=3, fit=False)
    steps, repeats = arguments.steps, arguments.repeats
    columns = {
        "plan": "", "phase": "", "cells a step": "", "seconds a step": ".3g", "seconds a pass, extrapolated": ".3g",
        "peak of the process, MiB": "",
    }  # fmt: skip
    title = f"{machine()}; {steps} steps a phase after {WARM} to warm up; medians of {repeats} processes (quartiles)"
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.data or Path(folder) / "norman.h5ad"
        if not arguments.data:
            world("norman-like").simulate().write(path)
        print_table(columns, passes(path, steps, repeats), title=title)
        if arguments.fit:
            print_fit(apart("scale", "whole", str(path)))


if __name__ == "__main__":
    main()
