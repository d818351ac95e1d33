"""Many fits at once against the same fits one after another.

Run: `python -m experiments.benchmarks.replicates [--replicates 64] [--steps 40] [--threads 2] [--device cpu]`. Prints a
Markdown table with machine and versions. The world is three-singles (d_Z = 2, 4,096 cells per condition), a data set of
its own for every replicate; plans are cut to a few steps each, for the time is proportional to steps.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from experiments.benchmarks.machine import describe
from pdae_sim.data import PerturbationData
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.presets import DIRECT, REPRESENT, STAGED
from pdae_sim.estimation.replicates import fit_replicates
from pdae_sim.simulation.worlds import world

ROUNDS = 3
SHAPES = {
    "density ratios, 128 cells": ((replace(REPRESENT[0], cells=128),), DIRECT),
    "chart and likelihood": (STAGED[:2], None),
    "the default, decoder included": (STAGED, None),
}


def models(name: str, given: argparse.Namespace) -> list[PDAE]:
    """Unfitted models of a plan, one for each seed."""
    phases, architecture = SHAPES[name]
    short = [replace(phase, steps=given.steps) for phase in phases]
    return [
        PDAE(2, phases=short, architecture=architecture, random_state=seed, device=given.device)
        for seed in range(given.replicates)
    ]


def one_by_one(models: list[PDAE], data: list[PerturbationData]) -> None:
    """Each fit alone."""
    for model, each in zip(models, data, strict=True):
        model.fit(each)


def timed(fit: Callable, models: list[PDAE], data: list[PerturbationData]) -> float:
    """Wall seconds of fitting some models to their data."""
    start = time.perf_counter()
    fit(models, data)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=64)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    data = [world("three-singles", (f"seed={k}",)).simulate().data for k in range(given.replicates)]
    print(f"{describe()}; {given.replicates} replicates on {given.device}, {given.steps} steps of each phase\n")
    print(f"| plan | one by one, s | at once, s | ratio (median of {ROUNDS} rounds) |\n|---|---|---|---|")
    for name in SHAPES:
        rounds = [
            (timed(one_by_one, models(name, given), data), timed(fit_replicates, models(name, given), data))
            for _ in range(ROUNDS)
        ]
        alone, together = zip(*rounds, strict=True)
        ratio = statistics.median(a / t for a, t in rounds)
        line = f"| {name} | {statistics.median(alone):.1f} | {statistics.median(together):.1f} | {ratio:.1f} |"
        print(line, flush=True)


if __name__ == "__main__":
    main()
