"""How accurate the default is, beside an oracle that sees the latents, the published loss and every baseline.

Run: `python -m experiments.benchmarks.accuracy [--worlds 20] [--workers 2] [--published-steps 1250] [--out DIR]`. Many
random worlds on the study engine; prints Markdown tables with machine and versions, medians over worlds with 95 %
intervals between order statistics. With `--out` finished worlds are kept, and a second call goes on.

The plane: d_Z = 2, d_X = 10, control and three singles, 4,096 cells each. The ten: d_Z = 10, d_X = 50, 15 singles.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks.machine import describe
from experiments.studies.intervals import median
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.running import run_study
from pdae_sim.study.store import Store

CELLS = 4096
SUPPORTED, OFF_SUPPORT = ("A+B", "A:0.5+B:0.5"), ("A+B+C", "A:-1+B:-1", "A+B+C:2")
ESTIMATORS = ("pdae", "tilting", "published")


def plane(worlds: int, published_steps: int) -> Declaration:
    """Identification and prediction at d_Z = 2; `published_steps` of 0 leaves the published loss out."""
    published = {"kind": "pdae", "name": "published", "plan": "published_small", "steps": published_steps}
    return Declaration.parse(
        {
            "name": "accuracy-plane",
            "question": "How near to an oracle is the default, and how far ahead of the published loss?",
            "claim": "2.3, 2.4 and 2.5",
            "prediction": "Gram error within 1.25 times the oracle's; predictions worth n cells where supported.",
            "worlds": [
                {
                    "base": "three-singles",
                    "set": {
                        "design.cells": CELLS,
                        "design.test": [*SUPPORTED, *OFF_SUPPORT],
                        "design.test_cells": 4 * CELLS,
                    },
                }
            ],
            "estimators": [
                "pdae",
                {"kind": "tilting", "on": "pdae"},
                *([published] if published_steps else []),
                *BASELINES,
            ],
            "metrics": ["gram_error", "affine_r2", "orthogonality_defect", "energy_distance", "n_eff"],
            "seeds": worlds,
            "evaluation": {"n_samples": 2 * CELLS},
        }
    )


def ten(worlds: int) -> Declaration:
    """Identification at d_Z = 10: shifts of 1.75 standard deviations in random directions."""
    singles = [chr(ord("A") + k) for k in range(15)]
    return Declaration.parse(
        {
            "name": "accuracy-ten",
            "question": "How near to an oracle is the default with ten latents?",
            "claim": "2.3 and 2.5",
            "prediction": "Gram error within 1.25 times the oracle's, affine R² of 0.98 or more.",
            "worlds": [
                {
                    "name": f"directions {k}",
                    "base": {
                        "latent": {
                            "n_latents": 10,
                            "n_perturbations": 15,
                            "base": "isotropic",
                            "targets": directions(k).tolist(),
                        },
                        "mixing": {"n_observed": 50},
                        "design": {"names": singles, "train": ["ctrl", *singles], "cells": CELLS},
                    },
                }
                for k in range(worlds)
            ],
            "estimators": [{"kind": "tilting", "chart": {"cells": 32}, "refine": {"cells": 64}}],
            "metrics": ["gram_error", "affine_r2", "orthogonality_defect"],
            "seeds": 1,
        }
    )


def directions(seed: int) -> np.ndarray:
    """W (10, 15) with random columns of length 1.75."""
    W = np.random.default_rng(seed).normal(size=(10, 15))
    return 1.75 * W / np.linalg.norm(W, axis=0)


def measured(declared: Declaration, folder: Path, workers: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and provenance of a declared study."""
    store = Store(folder / declared.name)
    store.directory.mkdir(parents=True, exist_ok=True)
    run_study(declared.study(), store, workers=workers)
    return pd.read_parquet(store.results), pd.read_parquet(store.provenance)


def values(rows: pd.DataFrame, metric: str, estimator: str, condition: str | None = None) -> pd.Series:
    """The values of a metric by world."""
    chosen = rows[(rows.metric == metric) & (rows.estimator == estimator) & (rows.status == "ok")]
    if condition is not None:
        chosen = chosen[chosen.condition == condition]
    return chosen.set_index(["scenario", "seed"]).value


def identified(rows: pd.DataFrame, estimators: tuple[str, ...]) -> list[str]:
    """Lines of the table of identification."""
    lines = ["| estimator | Gram error / oracle's | affine R² | orthogonality defect |", "|---|---|---|---|"]
    for name in estimators:
        ratio = (values(rows, "gram_error", name) / values(rows, "gram_error", "oracle")).dropna()
        if len(ratio):
            others = (median(values(rows, m, name).tolist()) for m in ("affine_r2", "orthogonality_defect"))
            lines.append(f"| {name} | {median(ratio.tolist())} | " + " | ".join(map(str, others)) + " |")
    return lines


def predicted(rows: pd.DataFrame) -> list[str]:
    """Lines of the table of predictions: worth where supported, energy distance beyond."""
    heads = [f"{c}, worth in cells" for c in SUPPORTED] + [f"{c}, energy distance" for c in OFF_SUPPORT]
    lines = ["| estimator | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    for name in dict.fromkeys(rows.estimator):
        cells = [values(rows, "n_eff", name, c) for c in SUPPORTED]
        cells += [values(rows, "energy_distance", name, c) for c in OFF_SUPPORT]
        if all(len(cell) for cell in cells):
            lines.append(f"| {name} | " + " | ".join(str(median(cell.tolist())) for cell in cells) + " |")
    return lines


def seconds(provenance: pd.DataFrame) -> str:
    """Median seconds of each fit."""
    parts = [json.loads(text)["fit"] for text in provenance.parts]
    names = dict.fromkeys(name for part in parts for name in part)
    medians = {name: np.median([part[name] for part in parts if name in part]) for name in names}
    return ", ".join(f"{name} {value:.1f} s" for name, value in medians.items() if value >= 0.05)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--published-steps", type=int, default=1250)
    parser.add_argument("--only", choices=("plane", "ten"))
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    print(f"{describe()}; {given.workers} workers, {given.worlds} worlds, seeds from 0\n")
    with tempfile.TemporaryDirectory() as folder:
        out = given.out or Path(folder)
        if given.only != "ten":
            rows, provenance = measured(plane(given.worlds, given.published_steps), out, given.workers)
            print("\n".join(["d_Z = 2\n", *identified(rows, ESTIMATORS), "", *predicted(rows)]))
            print(f"\nmedian seconds of a fit: {seconds(provenance)}\n", flush=True)
        if given.only != "plane":
            rows, provenance = measured(ten(given.worlds), out, given.workers)
            print("\n".join(["d_Z = 10\n", *identified(rows, ("tilting",))]))
            print(f"\nmedian seconds of a fit: {seconds(provenance)}")


if __name__ == "__main__":
    main()
