"""What choosing a way to predict costs where the model is right, and gains where it is not.

Run: `python -m experiments.benchmarks.selection [WORLDS] [--only noisy,counts] [--workers 2] [--out FILE]`. Where
combinations were measured, some are left out: random worlds of the named one, doses, of 20 random combinations of six
perturbations and five more held out; without noise, with Gaussian noise at a signal-to-noise ratio of ten, in counts.
Where singles alone were measured, cells composed of them are compared with the model: two latents, 250 cells of each
condition or 4,096, all assumptions met or one broken, A+B held out. Both predictions are of one fit, by the way that it
was given and by the one that was chosen; energy distances to 8,192 cells or fewer, median over held-out conditions.
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
_FEW, _MANY = "design.cells=250", "design.test_cells=8192"
KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "noiseless": ("doses", ()),
    "noisy": ("doses", ('observation.kind="gaussian"', "observation.snr=10.0")),
    "counts": ("doses", ("mixing.n_observed=50", _COUNTS)),
    **{f"singles: {name}": (name, (_MANY,)) for name in ("two-latents", "polynomial", "variance-changes", "skewed")},
    **{f"250 of singles: {name}": (name, (_FEW, _MANY)) for name in ("two-latents", "noisy", "counts", "skewed")},
}


def measure(kind: str, seed: int) -> dict[str, object]:
    """Distances by the way given and by the way chosen."""
    base, settings = KINDS[kind]
    simulation = world(base, settings, seed=seed).simulate()
    data = simulation.data
    model = PDAE(simulation.truth.z.shape[1], random_state=seed).fit(data)
    found: dict[str, list[float]] = {"given": [], "chosen": []}
    sources = {"given": _given(model), "chosen": model.source_at(data.labels[np.flatnonzero(data.held_out)[0]])}
    for e in np.flatnonzero(data.held_out):
        truth = data.samples(e).astype(np.float64)
        for name, source in (("given", sources["given"]), ("chosen", None)):
            drawn = model.sample(data.labels[e], _DRAWN, rng=seed, source=source)
            found[name].append(float(energy_distance(drawn, truth, unbiased=True)))
    medians = {name: float(np.median(values)) for name, values in found.items()}
    return {**medians, **{f"source {name}": source for name, source in sources.items()}}


def _given(model: PDAE) -> str:
    """The way that the fit would have taken: the first that was judged."""
    return next(iter(model.selection_.distances)) if model.selection_ else model.source_


def rows(chosen: list[str], worlds: int, workers: int, results: dict) -> Iterator[tuple]:
    """A row for each kind."""
    for kind in chosen:
        found = measure_worlds(partial(measure, kind), worlds, workers=workers)
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
