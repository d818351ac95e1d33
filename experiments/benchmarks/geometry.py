"""Latent distances from cells alone: whether their intervals hold, how long they are, and how often tests reject.

Run: `python -m experiments.benchmarks.geometry [WORLDS] [--cells 500,1000] [--only two-latents] [--out FILE]`. Named
worlds without noise, seed = number of the world; every pair of training environments whose cells overlap enough. Length
is over that of an oracle that sees the latents, whose standard error is d √(8 / n). With `--out` kinds of worlds are
kept beside those that the file holds.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import count, islice

import numpy as np

from experiments.benchmarks._table import machine, options, print_table, rounded
from pdae_sim.analysis import environment_geometry
from pdae_sim.errors import InputError
from pdae_sim.simulation.worlds import world

NAMED = ("two-latents", "three-singles", "curved", "ten-latents")
NAMED += ("variance-changes", "mechanism-changes", "hard-interventions", "heavy-tails", "skewed", "bimodal")
HEADS = ("world", "cells", "pairs", "overlap", "held, %", "bias over s.e.", "length", "lower limit held, %")
HEADS += ("constant order rejected, %", "Euclidean rejected, %", "rank right, %")


def measure(name: str, cells: int, seed: int) -> dict[str, object]:
    """What the geometry of one world says of its pairs."""
    config = world(name, (f"design.cells={cells}",), seed=seed)
    latent, data = config.simulator().latent, config.simulate().data.train
    root = np.linalg.cholesky(latent.covariance)
    means = data.labels @ np.linalg.solve(root, latent.perturbation_matrix).T
    found = environment_geometry(data, n_multipliers=199, rng=seed)
    rows, columns = np.triu_indices(len(means), 1)
    true = ((means[rows] - means[columns]) ** 2).sum(1)
    overlap = found.enough_overlap[rows, columns]
    return {
        "true": true[overlap],
        "found": found.squared_distances[rows, columns][overlap],
        "error": found.standard_errors[rows, columns][overlap],
        "oracle": np.sqrt(8 * true / cells)[overlap],
        "lower": found.lower_limits[rows, columns][overlap],
        "pairs": len(true),
        "constant_order": found.constant_order,
        "euclidean": found.euclidean,
        "rank": found.rank,
        "true_rank": int(np.linalg.matrix_rank(means - means[0])),
    }


def _measured(name: str, cells: int) -> Iterator[dict]:
    """Worlds in the order of their seeds, but for those whose seed finds no mixing."""
    for seed in count():
        try:
            yield measure(name, cells, seed)
        except InputError as error:
            print(f"{name}, seed {seed}: {error}", file=sys.stderr)


def row(name: str, cells: int | str, found: list[dict]) -> tuple[str, ...]:
    """A line of the table over the worlds of a kind."""
    true, value, error, oracle, lower = (
        np.concatenate([each[key] for each in found]) for key in ("true", "found", "error", "oracle", "lower")
    )
    away = (value - true) / error

    def rejected(key: str) -> str:
        p = np.array([each[key] for each in found if each[key] is not None])
        return f"{100 * np.mean(p <= 0.05):.0f} ({len(p)} worlds)" if len(p) else "–"

    ranks = [each["rank"] == each["true_rank"] for each in found if each["rank"] is not None]
    return (
        name, str(cells), str(len(true)), f"{100 * len(true) / sum(each['pairs'] for each in found):.0f}",
        f"{100 * np.mean(abs(away) <= 1.959964):.1f}", f"{away.mean():.2f}", f"{np.median(error / oracle):.2f}",
        f"{100 * np.mean(lower <= true):.1f}", rejected("constant_order"), rejected("euclidean"),
        f"{100 * np.mean(ranks):.0f}" if ranks else "–",
    )  # fmt: skip


def main() -> None:
    """Print the table, and keep every number with `--out`."""
    arguments = options(__doc__, worlds=40, cells="500,1000", only="", out=None)
    path = arguments.out
    kept: dict[str, list] = json.loads(path.read_text(encoding="utf-8")) if path and path.exists() else {}

    def rows() -> Iterator[tuple]:
        for name in arguments.only.split(",") if arguments.only else NAMED:
            for cells in map(int, arguments.cells.split(",")):
                found = list(islice(_measured(name, cells), arguments.worlds))
                kept[f"{name}, {cells}"] = rounded(
                    [{k: np.asarray(v).tolist() for k, v in each.items()} for each in found]
                )
                if path:
                    path.write_text(json.dumps(kept), encoding="utf-8")
                yield row(name, cells, found)

    print(f"{machine()}; {arguments.worlds} worlds, seeds from 0\n")
    print_table(dict.fromkeys(HEADS, ""), rows())


if __name__ == "__main__":
    main()
