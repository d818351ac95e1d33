"""The README's picture and table, from what `make demo` left behind.

Run: `python -m experiments.readme demo-out experiments/results/demo.png`. Writes the picture and prints the table.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pdae_sim import PDAE, PerturbationData
from pdae_sim.report import PREDICTED, TRUE

ORDER = ("pdae", "tilting", "linear", "additive", "pseudobulk", "pool", "control", "ceiling")


def table(results: pd.DataFrame) -> str:
    """Energy distance with its 95 % interval and n_eff by estimator and condition, as Markdown."""
    verdicts = dict(zip(results.condition, results.verdict, strict=True))
    cells = {(r.condition, r.estimator, r.metric): r for r in results.itertuples()}
    head = " | ".join(f"{condition}: {verdict}" for condition, verdict in verdicts.items())
    lines = [f"| estimator | {head} |", "|---" * (len(verdicts) + 1) + "|"]
    for name in ORDER:
        lines.append(f"| {name} | " + " | ".join(_cell(cells, condition, name) for condition in verdicts) + " |")
    return "\n".join(lines)


def _cell(cells: dict, condition: str, name: str) -> str:
    distance, worth = (cells[condition, name, metric] for metric in ("energy_distance", "n_eff"))
    if distance.low <= 0:
        return f"≤ {distance.high:.4f}; worth ≥ {worth.value:,.0f} cells"
    shown = f"{distance.value:.4f}" if distance.value < 0.1 else f"{distance.value:.2f}"
    return f"{shown}; worth {worth.value:,.0f} cells" if worth.value >= 10 else shown


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


def main(folder: Path, image: Path) -> None:
    """Write the picture and print the table."""
    results = pd.read_parquet(folder / "results.parquet")
    image.parent.mkdir(parents=True, exist_ok=True)
    picture(folder, results).savefig(image, dpi=110, metadata={"Software": None})
    print(table(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
