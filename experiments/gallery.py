"""The zoo of mixings: each as a warped grid of latents with three shifted clouds of cells.

Run: `python -m experiments.gallery experiments/results/gallery.png`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdae_sim import _random
from pdae_sim.simulation.mixings import Mixing, condition_numbers, linear_r2, random_mixing

PLANES = ("linear", "monotone", "stack", "coupling", "henon", "spline", "folding", "periodic")
SHIFTS = {"control": (0.0, 0.0), "A": (2.2, 0.0), "B": (0.0, 2.2)}
COLOURS = ("#4b5563", "#c2410c", "#1d6fb8")
REACH, LINES, POINTS, CELLS = 4.0, 17, 241, 500


def picture(seed: int = 3, cells: int = CELLS) -> Figure:
    """A panel for each family in the plane, and one for the curved embedding of the plane in space."""
    drawing = Figure(figsize=(11, 11.6), layout="constrained")
    for place, kind in enumerate(PLANES, start=1):
        panel = drawing.add_subplot(3, 3, place)
        draw(panel, mixing_of(kind, 2, seed), kind, seed, cells)
        panel.set_aspect("equal", adjustable="datalim")
    panel = drawing.add_subplot(3, 3, len(PLANES) + 1, projection="3d")
    curved = mixing_of("linear", 3, seed, embedding="curved", curvature=1.2)
    draw(panel, curved, "curved embedding in space", seed, cells)
    panel.set_box_aspect((1, 1, 0.6), zoom=1.45)
    panel.view_init(elev=38, azim=-60)
    handles, names = panel.get_legend_handles_labels()
    drawing.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, markerscale=3, fontsize=11)
    return drawing


def mixing_of(kind: str, n_observed: int, seed: int, **settings: object) -> Mixing:
    """The family's member under a seed."""
    rng = _random.stream(_random.seed_sequence(seed), "gallery", kind)
    return random_mixing(2, n_observed, rng=rng, kind=kind, **settings)


def draw(panel: Axes, mixing: Mixing, name: str, seed: int, cells: int) -> None:
    """The grid and the clouds under one mixing, with its measured difficulty."""
    view = principal_axes(mixing(np.concatenate(grid())))
    for line in grid():
        panel.plot(*(mixing(line) @ view).T, color="#c3c9d2", linewidth=0.7, zorder=1)
    for (condition, shift), colour in zip(SHIFTS.items(), COLOURS, strict=True):
        rng = _random.stream(_random.seed_sequence(seed), "cells", condition)
        x = mixing(rng.standard_normal((cells, 2)) + shift) @ view
        panel.scatter(*x.T, s=5, color=colour, alpha=0.55, linewidths=0, label=condition, zorder=2)
    panel.set_title(f"{name}\n{difficulty(mixing)}", fontsize=11)
    panel.axis("off")


def principal_axes(x: np.ndarray) -> np.ndarray:
    """Columns of the principal axes: a turn that shows what is drawn at its widest."""
    return np.linalg.svd(x - x.mean(0), full_matrices=False)[2].T


def grid() -> list[np.ndarray]:
    """Lines of constant latent coordinates, each (POINTS, 2)."""
    along, ticks = np.linspace(-REACH, REACH, POINTS), np.linspace(-REACH, REACH, LINES)
    across = [np.column_stack([np.full(POINTS, tick), along]) for tick in ticks]
    return [*across, *(line[:, ::-1] for line in across)]


def difficulty(mixing: Mixing) -> str:
    """Median condition number and share of variance beyond the best affine map, over N(0, I)."""
    if not mixing.injective:
        return "not injective"
    z = np.random.default_rng(0).standard_normal((4096, 2))
    condition = np.median(condition_numbers(mixing, z))
    return f"condition {condition:.1f}, nonlinearity {1 - linear_r2(mixing, z):.2f}"


def main(image: Path) -> None:
    """Write the picture."""
    image.parent.mkdir(parents=True, exist_ok=True)
    picture().savefig(image, dpi=100, metadata={"Software": None})


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "experiments/results/gallery.png"))
