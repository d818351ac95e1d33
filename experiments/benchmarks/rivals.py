"""A league of the default and its rivals, by kind of world: through noise, in counts, few cells, broken assumptions.

Run: `python -m experiments.benchmarks.rivals [--worlds 6] [--workers 2] [--only noiseless,counts] [--tune] [--out DIR]
[--json FILE]`. Energy distances at unseen conditions that the labels identify (mean over those of a world), by kind of
world and estimator, on the study engine. Rivals are latent shifts in a VAE, CPA's adversary, engression's generator
with noise beside the label or before the network, arithmetic of an autoencoder's latents under linear invariance, a
contrastive encoder with a decoder, composed transport, and every baseline. Energy distances are unbiased: below 0 is
noise about 0. The default is told d_Z, and so is the contrastive encoder; others have the code that served them best.

With `--tune` the settings that each rival chooses from are tried in three worlds of their own, without noise, through
it and in counts; `CHOSEN` names those of the least mean logarithm. With `--out` finished worlds are kept and a second
call goes on; `--json` writes what documents quote, beside kinds that the file holds.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from experiments.benchmarks._table import command, options, print_table, provenance
from experiments.benchmarks.accuracy import folder_of, print_seconds, run_declared
from pdae_sim import _random
from pdae_sim.data import PerturbationData
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.intervals import Interval
from pdae_sim.report import format_estimate
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.medians import NO_INTERVAL, median

SCENARIOS: dict[str, dict[str, Any]] = {
    "noiseless": {"base": "three-singles", "set": {"design.cells": 4096, "design.test": ["A+B"]}},
    "noisy": {"base": "noisy", "set": {"design.cells": 4096}},
    "counts": {"base": "counts", "set": {"design.cells": 4096}},
    "few cells": {"base": "three-singles", "set": {"design.cells": 250, "design.test": ["A+B"]}},
    "many conditions": {"base": "doses"},
    "effects do not add": {"base": "epistatic"},
    "variances change": {"base": "variance-changes"},
    "heavy tails": {"base": "heavy-tails"},
    "not injective": {"base": "folded"},
}
"""Kinds of worlds; the last four break an assumption each."""
TUNED_IN = ("noiseless", "noisy", "counts")
TUNING_SEED, TEST_CELLS, SAMPLES = 100, 8192, 4096

_ARITHMETIC = "experiments.benchmarks._latent_arithmetic:LatentArithmetic"
_CONTRASTIVE = {"density_ratio": 1.0, "prior": 2.0, "inversion": 1.0}
SETTINGS: dict[str, tuple[dict, ...]] = {
    "contrastive": (
        {"kind": "pdae", "plan": "staged", "refine": {"weights": _CONTRASTIVE}},
        {"kind": "pdae", "plan": "staged", "refine": {"weights": {**_CONTRASTIVE, "prior": 0.5}}},
        {"kind": "pdae", "plan": "staged", "refine": {"weights": _CONTRASTIVE, "cells": 256}},
        {"kind": "pdae", "plan": "staged", "refine": {"weights": _CONTRASTIVE, "learning_rate": 1e-2}},
    ),
    "additive VAE": (
        {"kind": "additive_vae"},
        {"kind": "additive_vae", "steps": 3000},
        {"kind": "additive_vae", "steps": 3000, "learning_rate": 1e-2},
        {"kind": "additive_vae", "steps": 3000, "learning_rate": 1e-2, "n_latents": 3},
    ),
    "adversarial": (
        {"kind": "adversarial"},
        {"kind": "adversarial", "observation": "auto", "adversary": {"weight": 1000.0}, "steps": 1000},
        {"kind": "adversarial", "observation": "auto", "adversary": {"weight": 30.0}, "steps": 2000},
        {"kind": "adversarial", "adversary": {"weight": 30.0}, "steps": 2000},
    ),
    "conditional": (
        {"kind": "conditional"},
        {"kind": "conditional", "steps": 4000},
        {"kind": "conditional", "learning_rate": 1e-2},
        {"kind": "conditional", "learning_rate": 1e-2, "steps": 4000},
    ),
    "conditional, pre-additive": (
        {"kind": "conditional", "n_latents": 2},
        {"kind": "conditional", "n_latents": 4},
        {"kind": "conditional", "n_latents": 8},
        {"kind": "conditional", "n_latents": 4, "steps": 4000},
    ),
    "latent arithmetic": (
        {"kind": _ARITHMETIC},
        {"kind": _ARITHMETIC, "n_latents": 3},
        {"kind": _ARITHMETIC, "n_latents": 4, "steps": 4000},
        {"kind": _ARITHMETIC, "n_latents": 4, "weight": 10.0},
    ),
}
"""What each rival with networks chose from."""
CHOSEN = {
    "contrastive": 4,
    "additive VAE": 1,
    "adversarial": 1,
    "conditional": 2,
    "conditional, pre-additive": 4,
    "latent arithmetic": 2,
}
"""Which of them, counted from one: that of the least mean logarithm in `tuning_rows`."""
TILTED = {"kind": "density_ratio", "name": "contrastive, tilted", "steps": 800, "cells": 128}
"""The contrastive encoder of studies, whose predictions are measured cells and carry their noise."""
PACKAGE = {"kind": "experiments.benchmarks.rivals:Package", "name": "engression (package)"}


def estimators() -> list[str | dict]:
    """The default, rivals at their best, and every baseline; engression's own package where it is installed."""
    package = [PACKAGE] if importlib.util.find_spec("engression") else []
    rivals = [{**some[CHOSEN[name] - 1], "name": name} for name, some in SETTINGS.items()]
    return ["pdae", {"kind": "tilting", "on": "pdae"}, *rivals, TILTED, *package, *BASELINES]


def tried() -> list[str | dict]:
    """Every setting that rivals choose from, numbered."""
    return [{**each, "name": f"{name} {k}"} for name, some in SETTINGS.items() for k, each in enumerate(some, 1)]


def declaration(name: str, seeds: int | list[int], of: Sequence[str | dict]) -> Declaration:
    """The study of one kind of world."""
    changes = {"design.test_cells": TEST_CELLS, **SCENARIOS[name].get("set", {})}
    return Declaration.parse(
        {
            "name": name.replace(" ", "-"),
            "question": f"How far ahead is the default of models of unseen perturbations: {name}?",
            "claim": "2.4, 2.11 and 2.12",
            "prediction": "Its median energy distance is the least where all assumptions hold.",
            "worlds": [{"name": name, "base": SCENARIOS[name]["base"], "set": changes}],
            "estimators": list(of),
            "metrics": ["energy_distance"],
            "seeds": seeds,
            "timeout": 1800,
            "evaluation": {"n_samples": SAMPLES},
        }
    )


def distances(rows: pd.DataFrame) -> dict[str, list[float | None]]:
    """Mean energy distance over the unseen conditions of each world, by estimator; None where a fit failed."""
    found = rows[(rows.metric == "energy_distance") & (rows.status == "ok")]
    by_world = found.pivot_table(index="seed", columns="estimator", values="value", aggfunc="mean", sort=False)
    by_world = by_world.sort_index().astype(object).where(by_world.notna(), None)
    return {str(name): by_world[name].tolist() for name in by_world.columns}


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


BESIDE = ("transport_parts", "linear", "additive", "pseudobulk", "control", "ceiling")
LEAGUE = ("pdae", "tilting", *SETTINGS, "contrastive, tilted", *BESIDE)


def measured(results: Mapping[str, Any]) -> list[str]:
    """Kinds of worlds that stored results have, in the order of the table's columns."""
    return [name for name in SCENARIOS if "energy distance" in results.get(name, {})]


def table_rows(results: Mapping[str, Any]) -> Iterator[list[str]]:
    """Rows of the table that documents quote: medians, and in how many worlds the default is at or below."""
    kinds = measured(results)
    for name in LEAGUE:
        yield [name, *(_cell(results[kind]["energy distance"], name) for kind in kinds)]
    yield ["worlds", *(str(len(results[kind]["energy distance"]["pdae"])) for kind in kinds)]
    yield ["nearest of all", *(nearest(results[kind]["energy distance"]) for kind in kinds)]


def nearest(of: Mapping[str, Sequence[float | None]]) -> str:
    """Who has the least median of all estimators."""
    medians = {name: np.median(_finished(values)) for name, values in of.items() if name != "ceiling"}
    return min(medians, key=lambda name: medians[name])


def _finished(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _with_range(values: Sequence[float]) -> str:
    """The median with its 95 % interval, or of fewer than six worlds with the least and the greatest."""
    middle = median(values)
    known = middle if middle.interval != NO_INTERVAL else replace(middle, interval=Interval(min(values), max(values)))
    return format_estimate(known)


def _cell(of: Mapping[str, Sequence[float | None]], name: str) -> str:
    """The median, and in brackets in how many worlds the default is at or below; failures are worlds where it is."""
    ours, theirs = of["pdae"], of.get(name, ())
    if not _finished(theirs):
        return "–"
    shown, lost = _with_range(_finished(theirs)), len(theirs) - len(_finished(theirs))
    if name in ("pdae", "ceiling"):
        return shown
    ahead = sum(b is None or a <= b for a, b in zip(ours, theirs, strict=True) if a is not None)
    return f"{shown} [{ahead}{f', {lost} failed' if lost else ''}]"


def tuning_rows(results: Mapping[str, Mapping[str, Sequence[float | None]]]) -> Iterator[tuple]:
    """Each setting of each rival: its energy distance in every kind, and the mean of their logarithms, least 0.001."""
    for name in next(iter(results.values())):
        values = [np.mean(_finished(of.get(name, ())) or np.nan) for of in results.values()]
        yield name, *values, float(np.mean(np.log(np.maximum(values, 1e-3))))


def main() -> None:
    """Print the tables."""
    arguments = options(__doc__, worlds=6, workers=2, only=",".join(SCENARIOS), tune=False, out=None, json=None)
    kept = arguments.json and arguments.json.exists()
    results: dict[str, Any] = json.loads(arguments.json.read_text(encoding="utf-8")) if kept else {}
    kinds = [name for name in arguments.only.split(",") if not arguments.tune or name in TUNED_IN]
    key = "tuning" if arguments.tune else "energy distance"
    with folder_of(arguments) as folder:
        for name in kinds:
            seeds = [TUNING_SEED] if arguments.tune else arguments.worlds
            declared = declaration(name, seeds, tried() if arguments.tune else estimators())
            rows, seconds = run_declared(declared, folder / key.split()[0], arguments.workers)
            print_seconds(seconds)
            results.setdefault(name, {})[key] = distances(rows)
            results[name][f"provenance of {key}"] = provenance(command("rivals"))
            if arguments.json:
                arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if arguments.tune:
        heads = {"setting": "", **dict.fromkeys(kinds, ".4f"), "mean log": ".2f"}
        print_table(heads, tuning_rows({name: results[name]["tuning"] for name in kinds}))
    else:
        shown = {name: results[name] for name in kinds}
        print_table(dict.fromkeys(["", *kinds], ""), table_rows(shown))


if __name__ == "__main__":
    main()
