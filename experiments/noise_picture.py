"""A double through the noise of an assay: the truth, the default, tilting and the additive shift, side by side.

Run: `python -m experiments.noise_picture experiments/results/noise.png`. The world `noisy`, seed 3: two latents, ten
features, a signal-to-noise ratio of ten; control and both singles are seen, A+B is not.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pdae_sim import PDAE, energy_distance
from pdae_sim.estimation import Additive, Tilting
from pdae_sim.report import PREDICTED, TRUE
from pdae_sim.simulation.worlds import world

DOUBLE, SHOWN = "A+B", 2000
SEEN = "#c3c9d2"


def picture(seed: int = 3, cells: int = 4096, steps: int | None = None) -> Figure:
    """Four panels in the plane of the first two principal components of all cells that are shown."""
    data = world("noisy", (f"design.cells={cells}", "design.test_cells=8192"), seed=seed).simulate().data
    model = PDAE(2, steps=steps, random_state=seed).fit(data)
    estimators = {"pdae": model, "tilting": Tilting(model).fit(data), "additive": Additive().fit(data.train)}
    true = data.test.samples(0)
    drawn = {name: each.sample(DOUBLE, len(true), rng=1) for name, each in estimators.items()}
    distances = {name: energy_distance(x, true, unbiased=True) for name, x in drawn.items()}
    titles = {name: f"{name}: energy distance {distances[name]:.4f}" for name in drawn}
    seen = data.train.x[:: max(len(data.train.x) // SHOWN, 1)]
    centre = seen.mean(0)
    plane = np.linalg.svd(np.concatenate([seen, true[:SHOWN]]) - centre, full_matrices=False)[2][:2].T
    drawing = Figure(figsize=(12, 3.6), layout="constrained")
    panels = drawing.subplots(1, 4, sharex=True, sharey=True)
    shown = {f"truth under {DOUBLE}": (true, TRUE)} | {titles[name]: (x, PREDICTED) for name, x in drawn.items()}
    for panel, (title, (x, colour)) in zip(panels, shown.items(), strict=True):
        panel.scatter(*((seen - centre) @ plane).T, s=4, color=SEEN, linewidths=0, alpha=0.6)
        panel.scatter(*((x[:SHOWN] - centre) @ plane).T, s=4, color=colour, linewidths=0, alpha=0.5)
        panel.set_title(title, fontsize=10)
        panel.set_xticks([])
        panel.set_yticks([])
    return drawing


def main(image: Path) -> None:
    """Write the picture."""
    image.parent.mkdir(parents=True, exist_ok=True)
    picture().savefig(image, dpi=110, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "experiments/results/noise.png"))
