"""What choosing a way to predict by left-out training combinations costs or gains where the model is right.

Run: `python -m experiments.benchmarks.selection [WORLDS] [--only noisy,counts] [--workers 2] [--out FILE]`. Random
worlds of the named one, doses: 20 random combinations of six perturbations and five more held out; without noise, with
Gaussian noise at a signal-to-noise ratio of ten, in counts. Both predictions are of one fit: by the way that it was
given, and by the one that was chosen; energy distances to 8,192 cells, median over the five.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._worlds import measure_worlds
from pdae_sim import PDAE, energy_distance
from pdae_sim.simulation.worlds import world

_DRAWN = 4096
_COUNTS = 'observation=[{kind = "negative_binomial"}, {kind = "log_normalise"}]'
KINDS: Mapping[str, tuple[str, ...]] = {
    "noiseless": (),
    "noisy": ('observation.kind="gaussian"', "observation.snr=10.0"),
    "counts": ("mixing.n_observed=50", _COUNTS),
}


def measure(settings: tuple[str, ...], seed: int) -> dict[str, object]:
    """Distances by the way given and by the way chosen."""
    data = world("doses", settings, seed=seed).simulate().data
    model = PDAE(4, random_state=seed).fit(data)
    given = _given(model)
    found: dict[str, list[float]] = {"given": [], "chosen": []}
    for e in np.flatnonzero(data.held_out):
        truth = data.samples(e).astype(np.float64)
        for name, source in {"given": given, "chosen": model.source_}.items():
            drawn = model.sample(data.labels[e], _DRAWN, rng=seed, source=source)
            found[name].append(float(energy_distance(drawn, truth, unbiased=True)))
    medians = {name: float(np.median(values)) for name, values in found.items()}
    return {**medians, "source given": given, "source chosen": model.source_}


def _given(model: PDAE) -> str:
    """The way that the fit would have taken: the first that was judged."""
    return next(iter(model.selection_.distances)) if model.selection_ else model.source_


def rows(chosen: list[str], worlds: int, workers: int, results: dict) -> Iterator[tuple]:
    """A row for each kind."""
    for kind in chosen:
        found = measure_worlds(partial(measure, KINDS[kind]), worlds, workers=workers)
        results[kind] = {name: values.tolist() for name, values in found.items()}
        ratio = found["chosen"] / found["given"]
        changed = int((found["source given"] != found["source chosen"]).sum())
        medians = float(np.median(found["given"])), float(np.median(found["chosen"]))
        yield kind, worlds, *medians, medians[1] / medians[0], float(ratio.max()), changed


def main() -> None:
    """Print the table."""
    chosen = options(__doc__, worlds=5, only=",".join(KINDS), workers=1, out=None)
    columns = {"world": "", "worlds": "d", "given": ".4f", "chosen": ".4f", "ratio": ".2f", "worst": ".2f"}
    results: dict = {}
    every = rows(chosen.only.split(","), chosen.worlds, chosen.workers, results)
    print_table(columns | {"chosen another": "d"}, every, title=machine())
    if chosen.out:
        chosen.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
