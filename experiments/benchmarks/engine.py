"""The study engine: what 10,000 empty tasks cost, and 200 fits of latents and Ŵ beside an oracle.

Run: `python -m experiments.benchmarks.engine [--tasks 10000] [--fits 200] [--replicates 10] [--workers 2]
[--plans 3]`, with so many of the plans, from the first. Prints
Markdown tables with machine and versions. Fits are of the world three-singles: d_Z = 2, d_X = 10, control and three
singles, without a decoder for the latents; those of one task are trained at once.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

from experiments.benchmarks._table import Spread, machine, options, print_table
from experiments.benchmarks._timing import timed
from experiments.benchmarks.accuracy import CELLS, run_declared, values
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.running import run_study
from pdae_sim.study.spec import Study
from pdae_sim.study.store import Store

PLANS: dict[str, dict] = {
    "density ratios, 800 steps of 128 cells": {"kind": "density_ratio", "steps": 800, "cells": 128},
    "chart and likelihood, 400 and 1,000 steps": {
        "kind": "tilting",
        "chart": {"steps": 400},
        "refine": {"steps": 1000},
    },
    "chart and likelihood (the default)": {"kind": "tilting"},
}
"""Encoder and Ŵ by these plans, without a decoder."""
NAME = "fit"


def nothing(task: dict) -> list[dict]:
    """An empty task."""
    return [{"scenario": "empty", "estimator": "none", "seed": task["seed"], "metric": "none", "value": 0.0}]


def empty(tasks: int, workers: int) -> None:
    """Run a study whose tasks do nothing, workers started and tables written included."""
    study = Study("empty", "What does the engine cost?", "none", "", [{"seed": i} for i in range(tasks)], nothing)
    with tempfile.TemporaryDirectory() as folder:
        run_study(study, Store(Path(folder)), workers=workers)


def fits(settings: dict, number: int, replicates: int) -> Declaration:
    """So many fits of so many random mixings, each judged by the Gram error and the latents' R²."""
    return Declaration.parse(
        {
            "name": "fits",
            "question": "How long does a fit take, and how good is it?",
            "claim": "2.5",
            "prediction": "The Gram error is near that of an oracle that sees the latents.",
            "worlds": [{"base": "three-singles", "set": {"design.cells": CELLS, "design.test": []}}],
            "estimators": [{"name": NAME, **settings}],
            "replicates": replicates,
            "metrics": ["gram_error", "orthogonal_r2"],
            "seeds": number,
            "evaluation": {"n_fresh": 500},
        }
    )


def line(name: str, settings: dict, arguments: argparse.Namespace) -> tuple:
    """A row of the table: minutes of all fits, processor seconds of one, and how good they are."""
    declaration = fits(settings, arguments.fits, arguments.replicates)
    with tempfile.TemporaryDirectory() as folder:
        wall, (rows, provenance) = timed(partial(run_declared, declaration, Path(folder), arguments.workers))
    gram, oracle = (values(rows, "gram_error", estimator) for estimator in (NAME, "oracle"))
    each, failed = provenance.cpu_seconds.sum() / arguments.fits, int((rows.status != "ok").sum())
    r2, ratio = values(rows, "orthogonal_r2", NAME).median(), Spread.of((gram / oracle).tolist())
    return name, wall / 60, each, f"{gram.median():.3f}", f"{oracle.median():.3f}", ratio, f"{r2:.3f}", str(failed)


def main() -> None:
    """Print the tables."""
    arguments = options(__doc__, tasks=10_000, fits=200, replicates=10, workers=2, plans=len(PLANS))
    seconds, _ = timed(partial(empty, arguments.tasks, arguments.workers))
    print(f"{machine()}; {arguments.workers} workers\n\n{arguments.tasks:,} empty tasks: {seconds:.1f} s\n", flush=True)
    columns = {"plan": "", "all, min": ".1f", "one, processor s": ".1f", "Gram error": "", "oracle's": ""}
    columns |= {"ratio (quartiles)": ".2f", "orthogonal R²": "", "failures": ""}
    print_table(
        columns,
        (line(*plan, arguments) for plan in list(PLANS.items())[: arguments.plans]),
        title=f"{arguments.fits} fits, {arguments.replicates} at once, {CELLS:,} cells per condition",
    )


if __name__ == "__main__":
    main()
