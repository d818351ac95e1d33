"""How accurate the default is where cells have no noise, beside an oracle that sees the latents, and mean shifts.

Run: `python -m experiments.benchmarks.accuracy [--worlds 20] [--workers 2] [--only plane,quick,published,few,ten]
[--out DIR] [--json FILE]`. Many random worlds on the study engine; prints Markdown tables with machine and versions,
medians over worlds with 95 % intervals between order statistics. With `--out` finished worlds are kept, and a second
call goes on; with `--json` values by world are written, which the documents quote, beside parts that the file holds.

The plane: d_Z = 2, d_X = 10, control and three singles, 4,096 cells each; also by the plan `quick` and by the published
loss. The few: 250 cells each. The ten: d_Z = 10, d_X = 50, 15 singles, 4,096 cells each.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from experiments.benchmarks._table import command, machine, options, print_table, provenance
from pdae_sim import energy_distance
from pdae_sim.report import format_estimate
from pdae_sim.simulation.worlds import world
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.medians import median
from pdae_sim.study.running import run_study
from pdae_sim.study.store import Store

CELLS, FEW = 4096, 250
SUPPORTED, OFF_SUPPORT = ("A+B", "A:0.5+B:0.5"), ("A+B+C", "A:-1+B:-1", "A+B+C:2")
ESTIMATORS = ("pdae", "quick", "published", "tilting")


PLANE = {
    "base": "three-singles",
    "set": {
        "design.cells": CELLS,
        "design.test": [*SUPPORTED, *OFF_SUPPORT],
        "design.test_cells": 4 * CELLS,
    },
}
"""The plane, with the unseen conditions to predict."""


def plane(worlds: int) -> Declaration:
    """Identification and prediction at d_Z = 2."""
    estimators = ["pdae", {"kind": "tilting", "on": "pdae"}, "linear", "additive"]
    prediction = "Gram error within 1.25 times the oracle's; predictions worth 1,800 cells where supported."
    question = "How near to an oracle is the default, and how far ahead of mean shifts?"
    return _in_the_plane("plane", question, worlds, estimators, claim="2.3, 2.4 and 2.5", prediction=prediction)


def published(worlds: int) -> Declaration:
    """Worlds of the plane by the published loss, which takes minutes."""
    estimator = {"kind": "pdae", "name": "published", "plan": "published_small"}
    question = "How near to an oracle is the published loss, at its best?"
    return _in_the_plane("published", question, worlds, [estimator, "additive"])


def quick(worlds: int) -> Declaration:
    """Worlds of the plane by the plan of a few seconds."""
    estimator = {"kind": "pdae", "name": "quick", "plan": "quick"}
    question = "How near to an oracle is a fit of a few seconds?"
    return _in_the_plane("quick", question, worlds, [estimator, "additive"])


def few(worlds: int) -> Declaration:
    """The plane from few cells, and A+B alone."""
    changes = {"design.cells": FEW, "design.test": ["A+B"], "design.test_cells": 2 * CELLS}
    question = "How near to an oracle is the default where cells are few?"
    return _in_the_plane("few", question, worlds, ["pdae", "additive"], changes=changes)


def _in_the_plane(
    name: str,
    question: str,
    worlds: int,
    estimators: list[str | dict],
    *,
    changes: Mapping[str, Any] | None = None,
    claim: str = "2.5",
    prediction: str = "Gram error within 1.4 times the oracle's.",
) -> Declaration:
    return Declaration.parse(
        {
            "name": f"accuracy-{name}",
            "question": question,
            "claim": claim,
            "prediction": prediction,
            "worlds": [{**PLANE, "set": {**PLANE["set"], **(changes or {})}}],
            "estimators": estimators,
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


def run_declared(declaration: Declaration, folder: Path, workers: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows and provenance of a declared study, run in a folder of its own."""
    store = Store(folder / declaration.name)
    store.directory.mkdir(parents=True, exist_ok=True)
    run_study(declaration.study(), store, workers=workers)
    return pd.read_parquet(store.results), pd.read_parquet(store.provenance)


def values(rows: pd.DataFrame, metric: str, estimator: str, condition: str | None = None) -> pd.Series:
    """The values of a metric by world."""
    matches = rows[(rows.metric == metric) & (rows.estimator == estimator) & (rows.status == "ok")]
    if condition is not None:
        matches = matches[matches.condition == condition]
    return matches.set_index(["scenario", "seed"]).value


def print_identification(rows: pd.DataFrame, estimators: tuple[str, ...], title: str) -> None:
    """Print how near estimates of W and of the latents come."""

    def lines() -> Iterator[tuple]:
        for name in estimators:
            ratio = (values(rows, "gram_error", name) / values(rows, "gram_error", "oracle")).dropna()
            if len(ratio):
                others = (values(rows, metric, name) for metric in ("affine_r2", "orthogonality_defect"))
                yield name, *(format_estimate(median(column.tolist())) for column in (ratio, *others))

    columns = ("estimator", "Gram error / oracle's", "affine R²", "orthogonality defect")
    print_table(dict.fromkeys(columns, ""), lines(), title=title)


def print_predictions(rows: pd.DataFrame) -> None:
    """Print how good predictions are: worth where supported, energy distance beyond."""
    columns = [("n_eff", c) for c in SUPPORTED] + [("energy_distance", c) for c in OFF_SUPPORT]

    def lines() -> Iterator[tuple]:
        for name in dict.fromkeys(rows.estimator):
            cells = [values(rows, metric, name, condition) for metric, condition in columns]
            if all(len(cell) for cell in cells):
                yield name, *(format_estimate(median(cell.tolist())) for cell in cells)

    words = {"n_eff": "worth in cells", "energy_distance": "energy distance"}
    heads = ("estimator", *(f"{condition}, {words[metric]}" for metric, condition in columns))
    print_table(dict.fromkeys(heads, ""), lines())


def fit_seconds(provenance: pd.DataFrame) -> dict[str, list[float]]:
    """Seconds of the fits of each estimator, by world."""
    parts = [json.loads(text)["fit"] for text in provenance.parts]
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: [part[name] for part in parts if name in part] for name in names}


def print_seconds(provenance: pd.DataFrame) -> None:
    """Print the median seconds of each fit."""
    medians = {name: float(np.median(found)) for name, found in fit_seconds(provenance).items()}
    shown = (f"{name} {value:.1f} s" for name, value in medians.items() if value >= 0.05)
    print(f"median seconds of a fit: {', '.join(shown)}\n", flush=True)


@contextmanager
def folder_of(arguments: argparse.Namespace) -> Iterator[Path]:
    """The folder to keep worlds in, one that is thrown away where none is asked for; prints the heading."""
    print(f"{machine()}; {arguments.workers} workers, {arguments.worlds} worlds, seeds from 0\n")
    with tempfile.TemporaryDirectory() as folder:
        yield arguments.out or Path(folder)


def by_world(rows: pd.DataFrame) -> dict[str, dict[str, list[float]]]:
    """Values by world of every metric (and condition) of every estimator; spreads are E‖X − X'‖ of each condition."""
    rows = rows[rows.status == "ok"]
    found: dict[str, dict[str, list[float]]] = {}
    for metric in ("gram_error", "orthogonality_defect", "affine_r2"):
        names = dict.fromkeys(rows[rows.metric == metric].estimator)
        found[metric] = {name: values(rows, metric, name).sort_index().tolist() for name in names}
    for condition in dict.fromkeys(rows[rows.metric == "energy_distance"].condition):
        names = dict.fromkeys(rows[rows.metric == "energy_distance"].estimator)
        known = {name: values(rows, "energy_distance", name, condition).sort_index() for name in names}
        found[_AT + condition] = {name: each.tolist() for name, each in known.items()}
        spread = values(rows, "n_eff", "additive", condition).sort_index() * known["additive"]
        found[f"spread at {condition}"] = {"truth": spread.tolist()}
    return found


def efficient(worlds: int, workers: int) -> dict[str, dict[str, list[float]]]:
    """Energy distances, by condition, of who knows f and has estimated the mean of the latents from as many cells.

    Latents are seen and the means of the training conditions are combined by the weights of the regression on labels:
    the mean of the latents under a condition is then off by N(0, Σ w² / n I).
    """
    found = Parallel(workers)(delayed(_efficient)(seed) for seed in range(worlds))
    return {_AT + c: {"oracle": [each[c] for each in found]} for c in (*SUPPORTED, *OFF_SUPPORT)}


def _efficient(seed: int) -> dict[str, float]:
    simulator = world(str(PLANE["base"]), seed=seed).simulator()
    train = simulator.labels(["ctrl", *simulator.space.names])
    rng, found = np.random.default_rng(seed), {}
    for condition in (*SUPPORTED, *OFF_SUPPORT):
        label = simulator.space.label(condition)
        weights = np.append(1.0, label) @ np.linalg.pinv(np.column_stack([np.ones(len(train)), train]))
        shift = simulator.latent.perturbation_matrix @ label
        off = rng.normal(size=len(shift)) * np.linalg.norm(weights) / np.sqrt(CELLS)
        x, y = (
            simulator.decode(rng.normal(size=(n * CELLS, len(shift))) + mean)
            for n, mean in ((2, shift + off), (4, shift))
        )
        found[condition] = float(energy_distance(x, y, unbiased=True))
    return found


COLUMNS = ("pdae", "quick", "published", "oracle", "tilting", "linear", "additive")
HEADS = ("", *COLUMNS)
PARTS = {"plane": plane, "quick": quick, "published": published, "few": few, "ten": ten}
_BESIDE = ("quick", "published")
"""Parts of their own in the worlds of the plane."""
_MOST = 10_000
"""Cells of a worth beyond which samples of this size cannot tell."""
_AT = "energy distance at "


def table_rows(results: Mapping[str, Any]) -> Iterator[list[str]]:
    """Rows of the table that documents quote, from stored results."""
    by_plan = {"pdae": results["plane"], **{name: results[name] for name in _BESIDE}}
    for part, words in (("plane", f"{CELLS:,} cells"), ("few", f"{FEW} cells"), ("ten", "ten latents")):
        if part in results:
            seen = by_plan if part == "plane" else {"pdae": results[part]}
            ratios = {name: f"{gram_ratio(found):.2f}" for name, found in seen.items()}
            words = f"{words}, {len(results[part]['gram_error']['oracle'])} worlds"
            yield [f"Gram error over an oracle's, {words}", *_cells({**ratios, "oracle": "1"})]
    defects = {name: format_estimate(median(found["orthogonality_defect"][name])) for name, found in by_plan.items()}
    yield ["orthogonality defect", *_cells(defects)]
    together = beside(*by_plan.values())
    for condition in (*SUPPORTED, *OFF_SUPPORT):
        known = together[_AT + condition]
        yield [f"energy distance at {condition}", *(format_estimate(median(known[name])) for name in COLUMNS)]
        if condition in SUPPORTED:
            yield [f"worth of {condition} in cells", *(_in_words(worth(together, name, condition)) for name in COLUMNS)]
    seconds = {name: f"{np.median(found):.0f}" for name, found in together["seconds"].items()}
    yield ["seconds of a fit", *_cells({name: seconds[name] for name in ("pdae", *_BESIDE)})]
    worlds = {name: str(len(found)) for name, found in together[_AT + SUPPORTED[0]].items()}
    yield ["worlds", *_cells(worlds)]


def beside(*parts: Mapping[str, Mapping[str, list[float]]]) -> dict[str, dict[str, list[float]]]:
    """Values of several parts in the same worlds together; of what several have, those of the first."""
    last_first = parts[::-1]
    return {key: {name: each for part in last_first for name, each in part.get(key, {}).items()} for key in parts[0]}


def _cells(known: Mapping[str, str]) -> list[str]:
    return [known.get(name, "–") for name in COLUMNS]


def gram_ratio(found: Mapping[str, Mapping[str, list[float]]]) -> float:
    """The median Gram error of what was learnt over that of the oracle."""
    learnt, oracle = (np.median(found["gram_error"][name]) for name in (learnt_by(found), "oracle"))
    return float(learnt / oracle)


def learnt_by(found: Mapping[str, Mapping[str, list[float]]]) -> str:
    """The estimator of a part whose latents are judged."""
    return next(name for name in ("pdae", *_BESIDE, "tilting") if name in found["gram_error"])


def worth(found: Mapping[str, Mapping[str, list[float]]], name: str, condition: str) -> tuple[float, float, float]:
    """The cells that the median energy distance at a condition is worth, and the ends of its interval."""
    spread, estimate = np.mean(found[f"spread at {condition}"]["truth"]), median(found[_AT + condition][name])
    ends = (estimate.value, estimate.high, estimate.low)
    return tuple(float(spread / max(distance, spread / (2 * _MOST))) for distance in ends)


def _in_words(cells: tuple[float, float, float]) -> str:
    value, low, high = (rounded(each) for each in cells)
    return value if cells[1] == 0 else f"{value} ({low} to {high})"


def rounded(cells: float) -> str:
    """A number of cells in words."""
    return f"{cells:,.0f}" if cells <= _MOST else f"> {_MOST:,}"


def main() -> None:
    """Print the tables."""
    arguments = options(__doc__, worlds=20, workers=2, only=",".join(PARTS), out=None, json=None)
    kept = arguments.json and arguments.json.exists()
    results: dict[str, Any] = json.loads(arguments.json.read_text(encoding="utf-8")) if kept else {}
    with folder_of(arguments) as folder:
        for name in arguments.only.split(","):
            rows, seconds = run_declared(PARTS[name](arguments.worlds), folder, arguments.workers)
            print_identification(rows, ESTIMATORS, name)
            print_predictions(rows)
            print_seconds(seconds)
            results[name] = by_world(rows) | {"seconds": fit_seconds(seconds)}
            results[name]["provenance"] = provenance(command("accuracy"))
            if name == "plane":
                for key, values_of in efficient(arguments.worlds, arguments.workers).items():
                    results[name][key] |= values_of
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
