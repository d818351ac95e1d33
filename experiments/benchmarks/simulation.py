"""The simulator: a million cells, latent sampling beside sempler, and the Norman-like world to disk.

Run: `python -m experiments.benchmarks.simulation`. Each measurement of memory is the peak of a process of its own.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from experiments.benchmarks._table import Spread, machine, print_table
from experiments.benchmarks._timing import alternate, apart, memory, timed
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.simulator import Simulator
from pdae_sim.simulation.worlds import world

ROUNDS = 5
NODES, LATENT_CELLS = 100, (100, 1_000, 10_000, 100_000)
CELLS, N_LATENTS, N_OBSERVED = 1_000_000, 10, 50
MIXINGS = ("linear", "stack", "coupling", "henon")


def latents() -> Iterator[tuple]:
    """n latents of a model with 100 nodes under a shift, beside sempler's sampler of the same model.

    Both are bounded below by n · 100 normal draws, timed alone too. Ours returns z_base beside z.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import sempler

    model = LinearLatentModel.random(NODES, NODES, graph="erdos_renyi", degree=4.0, normalise=True, rng=0)
    label, rng = np.eye(NODES)[0], np.random.default_rng(0)
    rival = sempler.LGANM(model.adjacency.T, np.zeros(NODES), model.noise_variances)
    shift = {j: (s, 0) for j, s in enumerate(model.targets @ label) if s}
    for n in LATENT_CELLS:
        rivals = {
            "here": lambda n=n: model.draw(n, label, rng=rng),
            "sempler": lambda n=n: rival.sample(n, shift_interventions=shift),
            "normals": lambda n=n: rng.standard_normal((n, NODES)),
        }
        times = alternate(rivals, rounds=ROUNDS, warm=1)
        yield n, *(1000 * times[name].middle for name in rivals), times.ratio("sempler", "here")


def million(kind: str) -> tuple[float, float]:
    """Seconds of a million cells in four conditions, and memory as a multiple of the arrays returned."""
    latent = LinearLatentModel.random(N_LATENTS, 15, rng=0)
    simulator = Simulator.random(latent, n_observed=N_OBSERVED, rng=0, kind=kind)
    simulator.sample(["ctrl"], 1000, rng=0)
    before = memory()
    seconds, sample = timed(lambda: simulator.sample(["ctrl", "A", "B", "A+B"], CELLS // 4, rng=0))
    output = sum(part.nbytes for part in (sample.data.x, sample.truth.z, sample.truth.z_base)) / 2**20
    return seconds, (memory() - before) / output


def norman() -> tuple[float, float, float]:
    """The Norman-like world, simulated and written to disk: seconds, peak and size of the file in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "norman.h5ad"
        seconds, _ = timed(lambda: world("norman-like").simulate().write(path))
        return seconds, memory(), path.stat().st_size / 2**20


def spreads(function: str, *arguments: object, rounds: int = ROUNDS) -> Iterator[Spread]:
    """Each figure of a measurement over several processes."""
    return map(Spread.of, zip(*(apart("simulation", function, *arguments) for _ in range(rounds)), strict=True))


def main() -> None:
    """Print the tables."""
    setting = f"n = {CELLS:,}, d_Z = {N_LATENTS}, d_X = {N_OBSERVED}; medians of {ROUNDS} processes (quartiles)"
    columns = {"mixing": "", "seconds": ".2f", "peak memory over output": ".2f"}
    print_table(columns, ((kind, *spreads("million", kind)) for kind in MIXINGS), title=f"{machine()}; {setting}")
    columns = {"n": ",", "here": ".2f", "sempler": ".2f", "normal draws alone": ".2f", "times faster": ".1f"}
    print_table(
        columns, latents(), title=f"Latents, {NODES} nodes, one of them shifted; median milliseconds of {ROUNDS}"
    )
    columns = {"world": "", "simulated and on disk, s": ".1f", "peak, MiB": ".0f", "file, MiB": ".0f"}
    print_table(columns, [("norman-like", *spreads("norman", rounds=3))])


if __name__ == "__main__":
    main()
