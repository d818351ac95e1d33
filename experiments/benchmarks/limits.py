"""The least Gram error that anyone can have who must learn the mixing, beside what was measured.

Run: `python -m experiments.benchmarks.limits [--only plane,few,ten,graphs,dimension_scaling] [--json FILE]`. Worlds are
those of `accuracy` and of two studies, whose stored results say what was learnt there; nothing is fitted. For every
world the limit (`pdae_sim.analysis.efficient_limit`, theory 2.10f) over the error of an oracle that sees the latents,
with polynomials of degree 1, 2 and 3 for the changes of f, where there are no more than 5,000 coefficients. All are
from below, the more so the longer the shifts. Prints medians over worlds; with `--json` values by world are written,
beside parts that the file holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.__main__ import DECLARATIONS
from experiments.benchmarks import accuracy
from experiments.benchmarks._table import command, options, print_table, provenance, rounded
from pdae_sim.analysis import efficient_limit
from pdae_sim.data import Simulation
from pdae_sim.study.datasets import Dataset
from pdae_sim.study.declaration import Declaration

RESULTS = Path(__file__).parent.parent / "results"
STUDIES = {"graphs": "latent.graph", "dimension_scaling": "latent.n_latents"}
"""The column that tells the worlds of a study apart."""
PARTS = {"plane": "the plane, 4,096 cells", "few": "the plane, 250 cells", "ten": "ten latents, 15 singles"}
DEGREES, MOST = (1, 2, 3), 5000
HEADS = (
    "worlds", "number", "latents", "length of shifts", "degree 1", "degree 2", "degree 3", "learnt, over the oracle's"
)  # fmt: skip


def limits(simulation: Simulation) -> dict:
    """Latents, the median length of a shift, and the limit over the oracle's error by degree."""
    train, W = simulation.data.train, simulation.truth.isotropic().perturbation_matrix
    d = len(W)
    given = {"counts": train.counts, "perturbation_matrix": W, "reference": train.reference}
    found = {
        str(degree): efficient_limit(train.labels, degree=degree, **given).ratio
        for degree in DEGREES
        if d * comb(d + degree, degree) <= MOST
    }
    lengths = np.linalg.norm((train.labels - train.labels[train.reference]) @ W.T, axis=1)
    return {"latents": d, "length": float(np.median(lengths[lengths > 0])), "ratios": found}


def of_study(name: str) -> Iterator[tuple[str, dict]]:
    """By world of a stored study: limits of its seeds, and the Gram errors of the default and of the oracle there."""
    study = Declaration.read(DECLARATIONS / f"{name}.toml").study()
    rows = pd.read_parquet(RESULTS / f"{name}.parquet").query("metric == 'gram_error' and status == 'ok'")
    errors = rows.pivot_table(index="task_id", columns="estimator", values="value")
    column = rows.groupby("task_id")[STUDIES[name]].first()
    tasks = sorted(zip(study.ids, study.tasks, strict=True), key=lambda task: column[task[0]])
    for kind, group in groupby(tasks, key=lambda task: column[task[0]]):
        some = list(group)
        own = errors.loc[[key for key, _ in some]]
        worlds = [limits(Dataset.of(task, task["seed"], ".").simulation) for _, task in some]
        yield f"{name}: {kind}", {"limits": worlds, "learnt": own.pdae.tolist(), "oracle": own.oracle.tolist()}


def of_part(part: str) -> tuple[str, dict]:
    """Name, limits and Gram errors of a part of `accuracy`, in the order of its worlds."""
    stored = json.loads((RESULTS / "accuracy.json").read_text(encoding="utf-8"))[part]
    found = stored["gram_error"]
    study = accuracy.PARTS[part](len(found["oracle"])).study()
    seeds = [(task, seed) for task in study.tasks for seed in task.get("seeds", [task.get("seed")])]
    worlds = [limits(Dataset.of(task, seed, ".").simulation) for task, seed in seeds]
    return PARTS[part], {
        "limits": worlds,
        "learnt": found[accuracy.learnt_by(stored)],
        "oracle": found["oracle"],
    }


def least(found: dict, degree: int) -> float | None:
    """The median limit at a degree, over the oracle's error; None where there are too many coefficients."""
    some = [world["ratios"][str(degree)] for world in found["limits"] if str(degree) in world["ratios"]]
    return float(np.median(some)) if some else None


def learnt(found: dict) -> float:
    """The median Gram error of what was learnt over that of the oracle."""
    return float(np.median(found["learnt"]) / np.median(found["oracle"]))


def table_rows(results: dict) -> Iterator[tuple[str, ...]]:
    """Lines of the quoted table, in words."""
    for name, found in results["worlds"].items():
        worlds, own = found["limits"], [least(found, degree) for degree in DEGREES]
        yield (
            name, str(len(worlds)), str(worlds[0]["latents"]), f"{np.median([w['length'] for w in worlds]):.1f}",
            *("–" if value is None else f"{value:.2f}" for value in own), f"{learnt(found):.2f}",
        )  # fmt: skip


def main() -> None:
    """Compute, print and write."""
    arguments = options(__doc__, only=",".join((*PARTS, *STUDIES)), json=None)
    kept = arguments.json and Path(arguments.json).exists()
    worlds = json.loads(Path(arguments.json).read_text(encoding="utf-8"))["worlds"] if kept else {}
    for name in arguments.only.split(","):
        worlds |= rounded(dict([of_part(name)] if name in PARTS else of_study(name)))
    results = {"provenance": provenance(command("limits")), "worlds": worlds}
    print_table(dict.fromkeys(HEADS, ""), table_rows(results))
    if arguments.json:
        Path(arguments.json).write_text(json.dumps(results) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
