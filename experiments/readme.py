"""The README's picture and the numbers of its first table, from what `make demo` left behind.

Run: `python -m experiments.readme demo-out experiments/results`, then `make results`. Writes demo.png and demo.json.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from experiments.benchmarks._table import provenance
from pdae_sim import PDAE, PerturbationData
from pdae_sim.data import Simulation
from pdae_sim.report import PREDICTED, TRUE
from pdae_sim.study.identification import identify

ORDER = ("pdae", "tilting", "linear", "additive", "pseudobulk", "pool", "control", "ceiling")
FRESH = 2000
"""Cells a condition, fresh, by which the demo judges latents."""


def stored(folder: Path, results: pd.DataFrame) -> dict:
    """What the README quotes: verdicts, energy distances with their intervals, n_eff, and R² of the latents."""
    simulation, model = Simulation.read(folder / "data.h5ad"), PDAE.load(folder / "model")
    columns = ["condition", "estimator", "metric", "value", "low", "high"]
    kept = results[results.metric.isin(["energy_distance", "n_eff"]) & results.estimator.isin(ORDER)]
    return {
        "provenance": provenance("make demo"),
        "verdicts": dict(zip(results.condition, results.verdict, strict=True)),
        "orthogonal_r2": identify(model, simulation, n=FRESH, rng=0).alignment.orthogonal_r2,
        "rows": json.loads(kept[columns].to_json(orient="records")),
    }


def table(found: dict) -> str:
    """Energy distance with its 95 % interval and n_eff by estimator and condition, as Markdown."""
    verdicts = found["verdicts"]
    cells = {(row["condition"], row["estimator"], row["metric"]): row for row in found["rows"]}
    head = " | ".join(f"{condition}: {verdict}" for condition, verdict in verdicts.items())
    lines = [f"| estimator | {head} |", "|---" * (len(verdicts) + 1) + "|"]
    for name in ORDER:
        lines.append(f"| {name} | " + " | ".join(_cell(cells, condition, name) for condition in verdicts) + " |")
    return "\n".join(lines)


def _cell(cells: dict, condition: str, name: str) -> str:
    distance, worth = (cells[condition, name, metric] for metric in ("energy_distance", "n_eff"))
    value, cells_worth = distance["value"], worth["value"]
    if distance["low"] <= 0:
        return f"≤ {distance['high']:.4f}; worth ≥ {cells_worth:,.0f} cells"
    shown = f"{value:.4f}" if value < 0.1 else f"{value:.2f}"
    return f"{shown}; worth {cells_worth:,.0f} cells" if cells_worth >= 10 else shown


def picture(folder: Path, results: pd.DataFrame) -> Figure:
    """True and predicted cells of each unseen condition in the plane of the true cells' first two components."""
    data, model = PerturbationData.read(folder / "data.h5ad"), PDAE.load(folder / "model")
    verdicts = dict(zip(results.condition, results.verdict, strict=True))
    drawing = Figure(figsize=(12, 4.2), layout="constrained")
    for panel, (condition, verdict) in zip(drawing.subplots(1, 3), verdicts.items(), strict=True):
        true = data.samples(data.conditions.index(condition))[:1500]
        plane = np.linalg.svd(true - true.mean(0), full_matrices=False)[2][:2].T
        for x, colour, name in ((true, TRUE, "true"), (model.sample(condition, 1500, rng=0), PREDICTED, "predicted")):
            panel.scatter(*((x - true.mean(0)) @ plane).T, s=5, alpha=0.35, color=colour, label=name, linewidths=0)
        panel.set_title(f"{condition}: {verdict}", fontsize=11)
        panel.set_xticks([])
        panel.set_yticks([])
    panel.legend(markerscale=3, frameon=False, loc="lower right")
    return drawing


def main(folder: Path, out: Path) -> None:
    """Write the picture and the numbers."""
    results = pd.read_parquet(folder / "results.parquet")
    out.mkdir(parents=True, exist_ok=True)
    picture(folder, results).savefig(out / "demo.png", dpi=110, metadata={"Software": None})
    (out / "demo.json").write_text(json.dumps(stored(folder, results), indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
