"""The default beside rivals: CPA's adversary, engression's generator (ours and the package), every baseline.

Run: `python -m experiments.benchmarks.rivals [--worlds 6] [--workers 2] [--out DIR]`. Random worlds
`three-singles` on the study engine: d_Z = 2, d_X = 10, control and three singles, 4,096 cells each. Prints a Markdown
table with machine and versions, medians over worlds with 95 % intervals between order statistics (six worlds at least).
Energy distances are unbiased: a value below 0 is noise about 0. The package takes part where `engression` is installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence

import numpy as np
import torch

from experiments.benchmarks._table import options
from experiments.benchmarks.accuracy import (
    CELLS,
    PLANE,
    folder_of,
    print_predictions,
    print_seconds,
    run_declared,
)
from pdae_sim import _random
from pdae_sim.data import PerturbationData
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.study.declaration import Declaration

PACKAGE = {"kind": "experiments.benchmarks.rivals:Package", "name": "engression (package)"}
RIVALS: tuple[dict, ...] = (
    {"kind": "adversarial"},
    {"kind": "conditional"},
    {"kind": "conditional", "name": "conditional, pre-additive", "n_latents": 2},
)


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


def main() -> None:
    """Print the table."""
    arguments = options(__doc__, worlds=6, workers=2, out=None)
    with folder_of(arguments) as folder:
        rows, provenance = run_declared(declaration(arguments.worlds), folder, arguments.workers)
        print_predictions(rows)
        print_seconds(provenance)


if __name__ == "__main__":
    main()
