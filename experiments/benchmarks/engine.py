"""The study engine: what 10,000 empty tasks cost, and 200 fits of latents and Ŵ beside an oracle.

Run: `python -m experiments.benchmarks.engine [--tasks 10000] [--fits 200] [--replicates 10] [--workers 2]`. Prints
Markdown tables with machine and versions. Fits are of the world three-singles: d_Z = 2, d_X = 10, control and three
singles, without a decoder for the latents; those of one task are trained at once.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import pandas as pd

from experiments.benchmarks.machine import describe
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.running import run_study
from pdae_sim.study.spec import Study
from pdae_sim.study.store import Store

CELLS = 4096
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


def empty_seconds(tasks: int, workers: int) -> float:
    """Wall time of a study whose tasks do nothing, workers started and tables written included."""
    study = Study("empty", "What does the engine cost?", "none", "", [{"seed": i} for i in range(tasks)], nothing)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run_study(study, Store(Path(folder)), workers=workers)
        return time.perf_counter() - start


def fitting(settings: dict, fits: int, replicates: int) -> Study:
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
            "seeds": fits,
            "evaluation": {"n_fresh": 500},
        }
    ).study()


def measured(settings: dict, given: argparse.Namespace) -> tuple[float, float, pd.DataFrame]:
    """Wall time of all fits, mean processor seconds of one, and the rows."""
    with tempfile.TemporaryDirectory() as folder:
        store, start = Store(Path(folder)), time.perf_counter()
        run_study(fitting(settings, given.fits, given.replicates), store, workers=given.workers)
        wall = time.perf_counter() - start
        each = pd.read_parquet(store.provenance).cpu_seconds.sum() / given.fits
        return wall, each, pd.read_parquet(store.results)


def line(name: str, settings: dict, given: argparse.Namespace) -> str:
    """A row of the table."""
    wall, each, rows = measured(settings, given)
    gram = rows[rows.metric == "gram_error"].pivot(index="seed", columns="estimator", values="value")
    ratio = (gram[NAME] / gram.oracle).quantile([0.25, 0.5, 0.75])
    r2 = rows[(rows.metric == "orthogonal_r2") & (rows.estimator == NAME)].value.median()
    failed = int((rows.status != "ok").sum())
    medians = f"{gram[NAME].median():.3f} | {gram.oracle.median():.3f}"
    ratios = f"{ratio[0.5]:.2f} ({ratio[0.25]:.2f} to {ratio[0.75]:.2f})"
    return f"| {name} | {wall / 60:.1f} | {each:.1f} | {medians} | {ratios} | {r2:.3f} | {failed} |"


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--fits", type=int, default=200)
    parser.add_argument("--replicates", type=int, default=10, help="fits of one task, trained at once")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--plans", type=int, default=len(PLANS), help="how many of the plans, from the first")
    given = parser.parse_args()
    print(f"{describe()}; {given.workers} workers\n")
    print(f"{given.tasks:,} empty tasks: {empty_seconds(given.tasks, given.workers):.1f} s\n", flush=True)
    print(f"{given.fits} fits, {given.replicates} at once, {CELLS:,} cells per condition; medians (quartiles)\n")
    print(
        "| plan | all, min | one, processor s | Gram error | oracle's | ratio | orthogonal R² | failures |\n|---|"
        + "---|" * 7
    )
    for name, settings in list(PLANS.items())[: given.plans]:
        print(line(name, settings, given), flush=True)


if __name__ == "__main__":
    main()
