"""How often the number of latents is found from cells alone, and how often a fit is sure of a wrong one.

Run: `python -m experiments.benchmarks.dimension [WORLDS] [--only "doses;random, counts"] [--out FILE]`. Named worlds,
and random ones of one to ten latents, each with 500 to 4,000 cells a condition (1,000 at most where perturbations are
more than six); seeds from 200, others than those that thresholds were chosen on. What precedes the first step of a fit
is run, with nothing told.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import count, islice

import numpy as np

from experiments.benchmarks._table import machine, options, print_table
from pdae_sim import PDAE, PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.simulation.config import WorldConfig
from pdae_sim.simulation.worlds import world

_COUNTS = ("mixing.n_observed=50", 'observation=[{kind = "negative_binomial"}, {kind = "log_normalise"}]')
_NOISE: dict[str, tuple[str, ...]] = {
    "": (),
    "gaussian": ('observation.kind="gaussian"', "observation.snr=10.0"),
    "heteroscedastic": ('observation.kind="heteroscedastic"', "observation.snr=10.0"),
    "dropout": ('observation.kind="dropout"', "observation.rate=0.2"),
    "counts": _COUNTS,
}
_NAMED = ("two-latents", "one-short", "polynomial", "curved", "doses", "ten-latents", "planted")
_NAMED += ("noisy", "heteroscedastic", "dropout", "counts", "proteins", "doses, gaussian", "ten-latents, gaussian")
KINDS = (*_NAMED, "random", *(f"random, {noise}" for noise in _NOISE if noise))
FIRST_SEED = 200
HEADS = ("world", "worlds", "right", "right and sure", "wrong and sure", "not sure", "processor s")


def configured(kind: str, seed: int) -> WorldConfig:
    """A world of a kind."""
    name, _, noise = kind.partition(", ")
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    cells, d = int(rng.choice([500, 1000, 2000, 4000])), int(rng.integers(1, 11))
    if name != "random":
        cells = min(cells, 1000) if name == "ten-latents" else cells
        return world(name, (f"design.cells={cells}", "design.test_cells=10", *_NOISE[noise]), seed=seed)
    K, lowest = d + int(rng.integers(0, 5)), max(2 * d, d + 3)
    latent = {"n_latents": d, "n_perturbations": K, "normalise": True, "shift": float(rng.choice([1.0, 1.5, 2.0]))}
    mixing = {"n_observed": int(rng.integers(lowest, lowest + 30)), "kind": str(rng.choice(["linear", "coupling"]))}
    design = {
        "kind": "singles_and_doubles",
        "n_doubles": 0,
        "n_held_out": 0,
        "cells": min(cells, 1000 if K > 6 else cells),
    }
    targets = "multi" if d > 1 else "single"
    table = {"latent": {**latent, "targets": targets}, "mixing": mixing, "design": design, "seed": seed}
    return WorldConfig.parse(table, _NOISE[noise])


def measure(kind: str, seed: int, data: PerturbationData) -> dict[str, object]:
    """The number of latents of one world, and the choice from its cells."""
    started, model = time.process_time(), PDAE()
    model._frame(data)
    choice = model.dimension_
    assert choice is not None
    return {
        "seed": seed,
        "true": configured(kind, seed).latent.n_latents,
        "found": choice.n_latents,
        "sure": choice.sure,
        "observation": model.observation_.name,
        "cells": int(data.train.counts.min()),
        "seconds": round(time.process_time() - started, 1),
    }


def _measured(kind: str) -> Iterator[dict]:
    """Worlds in the order of their seeds, but for those whose seed finds no mixing."""
    for seed in count(FIRST_SEED):
        try:
            data = configured(kind, seed).simulate().data
        except InputError as error:
            print(f"{kind}, seed {seed}: {error}", file=sys.stderr)
        else:
            yield measure(kind, seed, data)


def row(kind: str, found: Sequence[dict]) -> tuple[str, ...]:
    """A line of the table."""
    right, sure = (np.array([each[key] for each in found]) for key in ("found", "sure"))
    right = right == np.array([each["true"] for each in found])
    counts = (len(found), right.sum(), (right & sure).sum(), (~right & sure).sum(), (~sure).sum())
    return kind, *map(str, counts), f"{np.median([each['seconds'] for each in found]):.0f}"


def table_rows(results: dict[str, list[dict]]) -> Iterator[tuple[str, ...]]:
    """A line for each kind, and one for all."""
    yield from (row(kind, found) for kind, found in results.items())
    yield row("all", [each for found in results.values() for each in found])


def main() -> None:
    """Print the table, and keep every number with `--out`."""
    arguments = options(__doc__, worlds=5, only=";".join(KINDS), out=None)
    logging.disable(logging.WARNING)
    results: dict[str, list[dict]] = {}
    for kind in arguments.only.split(";"):
        results[kind] = list(islice(_measured(kind), arguments.worlds))
    print_table(dict.fromkeys(HEADS, ""), table_rows(results), title=machine())
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
