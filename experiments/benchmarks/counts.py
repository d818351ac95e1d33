"""Counts of many genes under many conditions: a Norman-like screen, and a measured table.

Run: `python -m experiments.benchmarks.counts [--seed 0] [--latents 20] [--observation auto] [--table FILE.csv]
[--test A+B,A+C] [--out FILE]`. Without `--table` it simulates the world `norman-like` (105 singles, 131 doubles of
which 26 are held out, 1,000 genes) of so many latents and fits the default with as many; with it, a table of counts
with a column `condition`, whose numbers of latents are for the cells to say. Prints the energy distance at each
held-out condition (unbiased; of the table in log1p), quartiles over them, in how many each estimator is below the
linear shift, seconds and memory. `--out` adds the run to those that the file holds, by its number of latents.
"""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks._table import command, machine, options, print_table, provenance
from pdae_sim import PDAE, PerturbationData, energy_distance
from pdae_sim.estimation import BASELINES
from pdae_sim.simulation.worlds import world

DRAWN, RESAMPLED = 2000, 200
OTHERS = ("linear", "additive", "pseudobulk")


def measured(path: Path, test: list[str]) -> PerturbationData:
    """A table of counts, some of its conditions held out, in log1p."""
    table = pd.read_csv(path)
    x = np.log1p(table.drop(columns="condition").to_numpy(np.float64))
    return PerturbationData.from_arrays(x, table.condition.to_numpy(), held_out=table.condition.isin(test).to_numpy())


def distances(data: PerturbationData, model: PDAE) -> dict[str, np.ndarray]:
    """Energy distances at every held-out condition, by estimator."""
    fitted = {"pdae": model} | {name: BASELINES[name]().fit(data.train) for name in OTHERS}
    test = data.test
    true = [test.samples(e).astype(np.float64) for e in range(len(test.labels))]
    return {
        name: np.array(
            [
                energy_distance(each.sample(label, DRAWN, rng=e), true[e][:DRAWN], unbiased=True)
                for e, label in enumerate(test.labels)
            ]
        )
        for name, each in fitted.items()
    }


def against(data: PerturbationData, model: PDAE, other: str, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean distance less that of another, over resampled test cells."""
    rival, rng = BASELINES[other]().fit(data.train), np.random.default_rng(seed)
    drawn = [[each.sample(label, 600, rng=0) for label in data.test.labels] for each in (model, rival)]
    found = []
    for _ in range(RESAMPLED):
        cells = [data.test.samples(e) for e in range(len(data.test.labels))]
        cells = [x[np.unique(rng.integers(len(x), size=len(x)))].astype(np.float64) for x in cells]
        ours, theirs = (
            np.mean([energy_distance(p, x, unbiased=True) for p, x in zip(each, cells, strict=True)]) for each in drawn
        )
        found.append(ours - theirs)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


HEADS = ("latents", "median", "quartiles", "linear", "below linear in", "processor s", "GiB")


def table_rows(results: dict) -> list[list[str]]:
    """What is said of each simulated screen, by its number of latents."""
    rows = []
    for name in sorted(set(results) - {"table"}, key=int):
        told = results[name]
        ours, linear = (np.array(told["distances"][kind]) for kind in ("pdae", "linear"))
        low, middle, high = np.quantile(ours, [0.25, 0.5, 0.75])
        below = f"{int((ours < linear).sum())} of {len(ours)}"
        found = [f"{middle:.3f}", f"{low:.3f} to {high:.3f}", f"{np.median(linear):.3f}", below]
        rows.append([name, *found, f"{told['processor seconds']}", f"{told['peak GiB']}"])
    return rows


def main() -> None:
    """Print the tables, and keep every number with `--out`."""
    arguments = options(__doc__, seed=0, latents=20, observation="auto", table=None, test="", out=None)
    print(f"{machine()}\n")
    if arguments.table is None:
        d_Z, config = arguments.latents, (f"latent.n_latents={arguments.latents}",)
        data = world("norman-like", config, seed=arguments.seed).simulate().data
    else:
        data, d_Z = measured(arguments.table, arguments.test.split(",")), None
    start = time.process_time()
    model = PDAE(d_Z, observation=arguments.observation, random_state=arguments.seed).fit(data)
    seconds = time.process_time() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    found = distances(data, model)

    def rows() -> list[tuple]:
        quartiles = {name: np.quantile(values, [0.25, 0.5, 0.75]) for name, values in found.items()}
        return [
            (
                name,
                *(f"{q:.4f}" for q in quartiles[name]),
                f"{values.mean():.4f}",
                int((values < found["linear"]).sum()),
            )
            for name, values in found.items()
        ]

    heads = ("estimator", "lower quartile", "median", "upper quartile", "mean", "below linear in")
    print_table(dict.fromkeys(heads, ""), rows())
    told = {
        "processor seconds": round(seconds),
        "peak GiB": round(peak, 1),
        "n_latents": len(model.perturbation_matrix_),
        "observation": model.observation_.name,
        "source": model.source_,
        "conditions": len(data.test.labels),
    }
    if arguments.table is not None:
        told |= {f"less {other}, 95 %": against(data, model, other, arguments.seed) for other in ("linear", "additive")}
    print(json.dumps(told))
    if arguments.out:
        told["distances"] = {name: v.round(5).tolist() for name, v in found.items()}
        keep(arguments.out, "table" if d_Z is None else str(d_Z), told)


def keep(path: Path, name: str, told: dict) -> None:
    """Add a run to the stored ones, by its number of latents, with what made it."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    kept[name] = {"provenance": provenance(command("counts")), **told}
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
