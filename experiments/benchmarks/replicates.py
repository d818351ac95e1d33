"""Many fits at once against the same fits one after another.

Run: `python -m experiments.benchmarks.replicates [--replicates 64] [--steps 40] [--threads 2] [--device cpu]`. Prints a
Markdown table with machine and versions. The world is three-singles (d_Z = 2, 4,096 cells per condition), a data set of
its own for every replicate; plans are cut to a few steps each, for the time is proportional to steps.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace

import torch

from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._timing import alternate
from pdae_sim.data import PerturbationData
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.presets import DEFAULT, PRESETS
from pdae_sim.estimation.replicates import fit_replicates
from pdae_sim.simulation.worlds import world

ROUNDS = 3
DIRECT = PRESETS["represent"]
SHAPES = {
    "density ratios, 128 cells": (
        (replace(DIRECT.phases[0], cells=128),),
        DIRECT.architecture,
    ),
    "chart and likelihood": (DEFAULT.phases[:2], None),
    "the default, decoder included": (DEFAULT.phases, None),
}


def one_by_one(models: list[PDAE], data: list[PerturbationData]) -> None:
    """Each fit alone."""
    for model, each in zip(models, data, strict=True):
        model.fit(each)


def fitting(
    name: str, fit: Callable, data: list[PerturbationData], arguments: argparse.Namespace
) -> Callable[[], None]:
    """A call that fits new models of a plan, one for each seed, and waits for the device."""
    phases, architecture = SHAPES[name]
    short = [replace(phase, steps=arguments.steps) for phase in phases]
    settings = {"phases": short, "architecture": architecture, "device": arguments.device}

    def act() -> None:
        fit([PDAE(2, random_state=seed, **settings) for seed in range(len(data))], data)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return act


def main() -> None:
    """Print the table."""
    arguments = options(__doc__, replicates=64, steps=40, threads=2, device="cpu")
    torch.set_num_threads(arguments.threads)
    data = [world("three-singles", (f"seed={k}",)).simulate().data for k in range(arguments.replicates)]

    def rows():
        for name in SHAPES:
            rivals = {"alone": one_by_one, "at once": fit_replicates}
            acts = {key: fitting(name, fit, data, arguments) for key, fit in rivals.items()}
            times = alternate(acts, rounds=ROUNDS)
            yield name, times["alone"], times["at once"], times.ratio("alone", "at once")

    setting = f"{arguments.replicates} replicates on {arguments.device}, {arguments.steps} steps of each phase"
    columns = {"plan": "", "one by one, s": ".1f", "at once, s": ".1f", "ratio": ".1f"}
    print_table(columns, rows(), title=f"{machine()}; {setting}; medians of {ROUNDS} rounds (quartiles)")


if __name__ == "__main__":
    main()
