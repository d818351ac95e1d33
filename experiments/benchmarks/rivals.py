"""The default beside rivals: latent shifts in a VAE, CPA's adversary, engression's generator, every baseline.

Run: `python -m experiments.benchmarks.rivals [--worlds 6] [--workers 2] [--only plane] [--out DIR]`. Random worlds on
the study engine, control and singles with 4,096 cells each. The plane is `three-singles` (d_Z = 2, d_X = 10), where
cells have no noise: medians with 95 % intervals between order statistics (six worlds at least). Under noise, `--only
noise`, worlds are `noisy`, `proteins` and `counts`, and the rivals have the likelihoods that the default has: medians
of the energy distance at A+B with quartiles, and in how many worlds the default is at or below a rival.

Prints Markdown tables with machine and versions. Energy distances are unbiased: a value below 0 is noise about 0. The
default is told d_Z, rivals have 8 latents unless said. With `--out` finished worlds are kept, a second call goes on,
and distances by world are written to `noise.json`. The package takes part where `engression` is installed.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from experiments.benchmarks._table import Spread, options, print_table
from experiments.benchmarks.accuracy import (
    CELLS,
    PLANE,
    folder_of,
    print_predictions,
    print_seconds,
    run_declared,
    values,
)
from pdae_sim import _random
from pdae_sim.data import PerturbationData
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.study.declaration import Declaration

PACKAGE = {"kind": "experiments.benchmarks.rivals:Package", "name": "engression (package)"}
RIVALS: tuple[dict, ...] = (
    {"kind": "additive_vae"},
    {"kind": "adversarial"},
    {"kind": "conditional"},
    {"kind": "conditional", "name": "conditional, pre-additive", "n_latents": 2},
)

NOISY = ("noisy", "proteins", "counts")
"""Worlds with noise, by name."""
THROUGH_NOISE: tuple[dict, ...] = (
    {"kind": "additive_vae"},
    {
        "kind": "adversarial",
        "name": "adversarial, likelihood chosen",
        "observation": "auto",
        "adversary": {"weight": 1000.0},
        "steps": 1000,
    },
    {"kind": "adversarial", "name": "adversarial, own Gaussian"},
)
DOUBLE = "A+B"


class Package:
    """The package `engression` as an estimator: labels as predictors, cells as response.

    Its own draws come from torch's global generator, which is seeded in a fork and left as it was.

    Args:
        steps: Gradient steps, rounded to whole epochs.
        cells: Cells of a batch, of all conditions together.
        width: Units of a hidden layer.
        depth: Hidden layers, each with noise of its own.
        n_noise: Coordinates of noise in each.
        learning_rate: Of Adam.
        random_state: Seed.
    """

    def __init__(
        self,
        *,
        steps: int = 2000,
        cells: int = 512,
        width: int = 128,
        depth: int = 2,
        n_noise: int = 10,
        learning_rate: float = 1e-2,
        random_state: int = 0,
    ) -> None:
        self.steps, self.cells, self.random_state = steps, cells, random_state
        self.settings = {"num_layer": depth + 1, "hidden_dim": width, "noise_dim": n_noise, "lr": learning_rate}

    def fit(self, data: PerturbationData) -> Package:
        """Fit on the training environments."""
        from engression import engression

        self.space_, train = data.space, data.train
        labels = torch.tensor(train.labels[train.environment], dtype=torch.float32)
        epochs = max(round(self.steps * self.cells / len(train.x)), 1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_random.torch_seed(_random.seed_sequence(self.random_state), "fit"))
            x = torch.tensor(train.x, dtype=torch.float32)
            self.model_ = engression(
                labels, x, num_epochs=epochs, batch_size=self.cells, verbose=False, **self.settings
            )
        return self

    def sample(self, label: str | Sequence, n: int, *, rng: object = None) -> np.ndarray:
        """n draws (n, d_X) from the predicted law at a label."""
        rows = torch.tensor(self.space_.label(label), dtype=torch.float32).expand(n, -1)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_random.torch_seed(_random.seed_sequence(rng), "noise"))
            x = self.model_.sample(rows, sample_size=1, expand_dim=False)
        return x.numpy().astype(np.float64)


def declaration(worlds: int) -> Declaration:
    """The study, with the package where it is installed."""
    package = [PACKAGE] if importlib.util.find_spec("engression") else []
    return Declaration.parse(
        {
            "name": "rivals",
            "question": "How far ahead of other models of unseen perturbations is the default?",
            "claim": "2.4",
            "prediction": "Nothing that ignores the additive latent shift is worth as many cells where supported.",
            "worlds": [PLANE],
            "estimators": ["pdae", *RIVALS, *package, *BASELINES],
            "metrics": ["energy_distance", "n_eff"],
            "seeds": worlds,
            "evaluation": {"n_samples": 2 * CELLS},
        }
    )


def noise(worlds: int) -> Declaration:
    """The study under noise: the likelihoods are the same, the inference differs."""
    changed = {"design.cells": CELLS, "design.test_cells": 2 * CELLS}
    return Declaration.parse(
        {
            "name": "rivals-noise",
            "question": "How far ahead is the default of rivals with the same likelihoods, where cells are noisy?",
            "claim": "2.11 and 2.12",
            "prediction": "Its median energy distance at the double is the least in every kind of world.",
            "worlds": [{"name": name, "base": name, "set": changed} for name in NOISY],
            "estimators": ["pdae", *THROUGH_NOISE, "additive", "linear"],
            "metrics": ["energy_distance"],
            "seeds": worlds,
            "timeout": 1800,
            "evaluation": {"n_samples": CELLS},
        }
    )


def distances(rows: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Energy distances at the double by kind of world, estimator and seed."""
    names = dict.fromkeys(rows.estimator)
    by_name = {name: values(rows, "energy_distance", name, DOUBLE) for name in names}
    return {
        scenario: {
            name: {str(seed): float(value) for seed, value in found.xs(scenario).items()}
            for name, found in by_name.items()
            if scenario in found.index.get_level_values("scenario")
        }
        for scenario in dict.fromkeys(rows.scenario)
    }


def print_noise(found: dict[str, dict[str, dict[str, float]]]) -> None:
    """Print a table for each kind of world, and where the default loses."""

    def lines(of: dict[str, dict[str, float]]) -> Iterator[tuple]:
        ours = of["pdae"]
        for name, each in of.items():
            shared = [seed for seed in each if seed in ours]
            ahead = sum(ours[seed] <= each[seed] for seed in shared)
            told = None if name == "pdae" else f"{ahead} of {len(shared)}"
            yield name, Spread.of(list(each.values())), told

    for scenario, of in found.items():
        columns = {"estimator": "", f"energy distance at {DOUBLE}": ".4f", "default at or below": ""}
        print_table(columns, lines(of), title=scenario)


def main() -> None:
    """Print the tables."""
    arguments = options(__doc__, worlds=6, workers=2, only="", out=None)
    with folder_of(arguments) as folder:
        if arguments.only != "noise":
            rows, provenance = run_declared(declaration(arguments.worlds), folder, arguments.workers)
            print_predictions(rows)
            print_seconds(provenance)
        if arguments.only != "plane":
            rows, provenance = run_declared(noise(arguments.worlds), folder, arguments.workers)
            found = distances(rows)
            print_noise(found)
            print_seconds(provenance)
            (folder / "noise.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
