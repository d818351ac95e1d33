"""Measured tables: what was said before the held-out cells were seen, and how every estimator fared on them.

Run: `python -m experiments.benchmarks.atlas [--tables FOLDER] [--seeds 5] [--only pbmc,norman] [--out FILE]`.

Each seed trains on four fifths of the cells (Sachs and Norman: all) under the settings that ship, and is judged by all
cells of combinations that were held out, by the unbiased energy distance. Before they are seen stand the verdict of
their labels, what training combinations say of additivity, and the expected distance with its 95 % upper limit. Then
every measured combination is tested, with the smallest departure that such cells would have shown with 80 % power.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from scipy import stats

from experiments.benchmarks._table import machine, options, print_table
from pdae_sim import PDAE, PerturbationData, energy_distance
from pdae_sim._random import seed_sequence, stream
from pdae_sim.analysis import check_span
from pdae_sim.analysis.hypothesis_tests import additivity_tests
from pdae_sim.estimation import BASELINES
from pdae_sim.estimation.tilting import Tilting
from pdae_sim.io import convert_file

_DRAWN = 2000
_POWER = stats.norm.ppf(0.975) + stats.norm.ppf(0.8)


@dataclass(frozen=True)
class Table:
    """A file of cells, the combinations that are held out (by default a third, by seed), and how it is read."""

    file: str
    test: tuple[str, ...] = ()
    transform: str = "none"
    share: float = 0.8


TABLES = {
    "pbmc": Table("pbmc_cytof_celltype_stim.csv", ("BCR+B", "BCR+CD8", "PMA+CD8", "PMA+NK", "PMA+B", "VAN+CD8")),
    "mcfaline": Table("mcfaline_gbm_lognorm.csv"),
    "norman": Table(
        "norman_k562_counts.csv",
        ("KLF1+MAP2K6", "KLF1+TGFBR2", "MAPK1+TGFBR2", "MAP2K3+MAP2K6", "MAP2K3+SLC38A2"),
        transform="log1p",
        share=1.0,
    ),
    "sachs": Table(
        "sachs2005_flow_cytometry.csv", ("ICAM2+AKTinh", "ICAM2+G0076", "ICAM2+U0126"), transform="log", share=1.0
    ),
}


def read(name: str, folder: Path, seed: int = 0) -> PerturbationData:
    """All cells of a table."""
    table = TABLES[name]
    data = convert_file(folder / table.file, test=table.test, transform=table.transform).data
    if table.test:
        return data
    combined = np.flatnonzero((data.labels != 0).sum(1) > 1)
    chosen = stream(seed_sequence(seed), "atlas", "held out").permutation(combined)[: len(combined) // 3]
    return replace(data, x=data.stored, held_out=np.isin(np.arange(len(data.labels)), chosen))


def trained_on(data: PerturbationData, share: float, seed: int) -> PerturbationData:
    """Held-out conditions whole, and a share of the cells of each other one."""
    rng = stream(seed_sequence(seed), "atlas")
    rows = [
        each if out else rng.permutation(each)[: round(share * len(each))]
        for each, out in zip(data.rows_by_environment, data.held_out, strict=True)
    ]
    return data.rows(np.sort(np.concatenate(rows)))


def fitted(name: str, seed: int, folder: Path) -> dict:
    """One seed of a table: what was said before, and the distances after."""
    table, everything = TABLES[name], read(name, folder, seed)
    data = trained_on(everything, table.share, seed)
    began = time.process_time()
    model = PDAE(random_state=seed).fit(data)
    seconds = time.process_time() - began
    estimators = {"pdae": model, "tilting": Tilting(model).fit(data)}
    estimators |= {key: kind().fit(data) for key, kind in BASELINES.items()}
    distances = {key: {} for key in estimators}
    halves: dict[str, float] = {}
    for e in np.flatnonzero(data.held_out):
        condition, truth = data.conditions[e], data.samples(e).astype(np.float64)
        for key, estimator in estimators.items():
            drawn = estimator.sample(condition, _DRAWN, rng=seed)
            distances[key][condition] = float(energy_distance(drawn, truth, unbiased=True))
        order = stream(seed_sequence(seed), "half").permutation(len(truth))
        one, other = np.array_split(truth[order], 2)
        halves[condition] = float(energy_distance(one, other)) if len(truth) > 3 else float("nan")
    chosen = model.selection_
    return {
        "table": name,
        "seed": seed,
        "source": model.source_,
        "observation": model.observation_.name,
        "n_latents": len(model.perturbation_matrix_),
        "expected": chosen and chosen.expected,
        "limit": chosen and chosen.upper_limit(),
        "left_out": chosen and len(chosen.conditions),
        "distances": distances,
        "half of the cells": halves,
        "seconds": seconds,
    }


def combinations(name: str, folder: Path) -> list[dict]:
    """Every measured combination: identified without itself, and whether its effects add as far as cells can tell."""
    data = read(name, folder)
    everything = replace(data, x=data.stored, held_out=np.zeros(len(data.labels), bool))
    found, rows = additivity_tests(everything, rng=0), []
    for condition, test in found.tests.items():
        e = data.conditions.index(condition)
        rest = np.delete(data.labels, e, axis=0)
        rows.append(
            {
                "table": name,
                "condition": condition,
                "held_out": bool(data.held_out[e]),
                "identified": bool(check_span(rest, data.labels[[e]])[0].identified),
                "cells": int(data.counts[e]),
                "effective_cells": test.effective_cells,
                "p_value": test.p_value,
                "holm": found.holm[condition],
                "detectable": float(_POWER * np.median(test.slope_errors)),
                "feature": test.feature,
                "verdict": verdict(test.enough_overlap, found.holm[condition]),
            }
        )
    return rows


def verdict(enough: bool, holm: float) -> str:
    """What a test says of a combination."""
    if not enough:
        return "could not have been seen"
    return "not additive" if holm <= 0.05 else "additive"


def summaries(fits: list[dict]) -> Iterator[tuple]:
    """A row for each table: medians over seeds of means over combinations."""
    for name in dict.fromkeys(fit["table"] for fit in fits):
        own = [fit for fit in fits if fit["table"] == name]
        mean = {key: [np.mean(list(fit["distances"][key].values())) for fit in own] for key in own[0]["distances"]}
        rivals = {key: float(np.median(values)) for key, values in mean.items() if key not in ("pdae", "tilting")}
        best = min(rivals, key=lambda key: rivals[key])
        expected = [fit["expected"] for fit in own if fit["expected"] is not None]
        yield (
            name,
            len(own),
            float(np.median(mean["pdae"])),
            float(np.max(mean["pdae"])),
            f"{best} {rivals[best]:.3f}",
            rivals.get("additive_parts"),
            float(np.median(mean["tilting"])),
            float(np.median(expected)) if expected else None,
            ", ".join(sorted({fit["source"] for fit in own})),
            float(np.median([fit["seconds"] for fit in own])),
        )


def promised(fits: list[dict]) -> dict:
    """How the distance expected before and its upper limit fared, over all held-out conditions and seeds."""
    told = [
        (fit["expected"], fit["limit"], value)
        for fit in fits
        if fit["expected"] is not None
        for value in fit["distances"]["pdae"].values()
    ]
    if len(told) < 3:
        return {}
    expected, limit, realised = np.array(told).T
    return {
        "predictions": len(told),
        "rank_correlation": float(stats.spearmanr(expected, realised).statistic),
        "within_limit": float((realised <= limit).mean()),
    }


COLUMNS = {
    "table": "",
    "seeds": "d",
    "pdae": ".3f",
    "worst seed": ".3f",
    "best baseline": "",
    "additive_parts": ".3f",
    "tilting": ".3f",
    "expected before": ".3f",
    "sources": "",
    "processor s": ".0f",
}


def write(path: Path, fits: list[dict], tested: list[dict]) -> None:
    """All rows so far, as JSON."""
    results = {"fits": fits, "promised": promised(fits), "combinations": tested}
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Print the tables, and write all rows."""
    default = Path(os.environ.get("PDAE_SIM_TABLES", Path(__file__).parents[3] / "shared" / "data"))
    chosen = options(__doc__, tables=default, seeds=5, only=",".join(TABLES), workers=1, out=None)
    names = [name for name in chosen.only.split(",") if (chosen.tables / TABLES[name].file).is_file()]
    tasks = [(name, seed) for seed in range(chosen.seeds) for name in names]
    fits = []
    for fit in Parallel(n_jobs=chosen.workers, return_as="generator")(
        delayed(fitted)(name, seed, chosen.tables) for name, seed in tasks
    ):
        fits.append(fit)
        if chosen.out:
            write(chosen.out, fits, [])
    print_table(COLUMNS, summaries(fits), title=machine())
    print(promised(fits), flush=True)
    tested = [row for name in names for row in combinations(name, chosen.tables)]
    if chosen.out:
        write(chosen.out, fits, tested)


if __name__ == "__main__":
    main()
