"""The simulator: a million cells, latent sampling beside sempler, and the Norman-like world to disk.

Run: `python -m experiments.benchmarks.simulation`. Each measurement of memory is the peak of a process of its own.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from experiments.benchmarks.machine import describe
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.simulator import Simulator
from pdae_sim.simulation.worlds import world

REPEATS = 5
NODES, LATENT_CELLS = 100, (100, 1_000, 10_000, 100_000)
CELLS, N_LATENTS, N_OBSERVED = 1_000_000, 10, 50
MIXINGS = ("linear", "stack", "coupling", "henon")


def seconds(act: Callable[[], object], repeats: int = REPEATS) -> float:
    """Median wall time."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def resident() -> float:
    """Peak resident memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def latents() -> list[dict]:
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
    rows = []
    for n in LATENT_CELLS:
        ours = seconds(lambda n=n: model.draw(n, label, rng=rng))
        theirs = seconds(lambda n=n: rival.sample(n, shift_interventions=shift))
        normals = seconds(lambda n=n: rng.standard_normal((n, NODES)))
        rows.append({"n": n, "seconds": ours, "sempler": theirs, "normals": normals})
    return rows


def million(kind: str) -> dict:
    """A million cells in four conditions; memory as a multiple of the arrays returned."""
    latent = LinearLatentModel.random(N_LATENTS, 15, rng=0)
    simulator = Simulator.random(latent, n_observed=N_OBSERVED, rng=0, kind=kind)
    simulator.sample(["ctrl"], 1000, rng=0)
    before, start = resident(), time.perf_counter()
    drawn = simulator.sample(["ctrl", "A", "B", "A+B"], CELLS // 4, rng=0)
    took, peak = time.perf_counter() - start, resident() - before
    output = sum(part.nbytes for part in (drawn.data.x, drawn.truth.z, drawn.truth.z_base)) / 2**20
    return {"seconds": took, "output MiB": output, "peak over output": peak / output}


def norman() -> dict:
    """The Norman-like world, simulated and written to disk."""
    with tempfile.TemporaryDirectory() as folder:
        path, start = Path(folder) / "norman.h5ad", time.perf_counter()
        world("norman-like").simulate().write(path)
        return {
            "seconds": time.perf_counter() - start,
            "peak MiB": resident(),
            "file MiB": path.stat().st_size / 2**20,
        }


def apart(name: str, *arguments: str) -> dict | list:
    """A measurement in a process of its own."""
    command = [sys.executable, "-m", "experiments.benchmarks.simulation", name, *arguments]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    """Print the tables."""
    print(f"{describe()}\n\nn = {CELLS:,}, d_Z = {N_LATENTS}, d_X = {N_OBSERVED}; median of {REPEATS} processes\n")
    print("| mixing | seconds | peak memory over output |\n|---|---|---|")
    for kind in MIXINGS:
        runs = [apart("million", kind) for _ in range(REPEATS)]
        took, peak = (statistics.median(run[key] for run in runs) for key in ("seconds", "peak over output"))
        print(f"| {kind} | {took:.2f} | {peak:.2f} |")
    print(f"\nLatents, {NODES} nodes, one of them shifted, milliseconds\n")
    print("| n | here | sempler | normal draws alone | times faster |\n|---|---|---|---|---|")
    for row in apart("latents"):
        ours, theirs, normals = (1000 * row[key] for key in ("seconds", "sempler", "normals"))
        print(f"| {row['n']:,} | {ours:.2f} | {theirs:.2f} | {normals:.2f} | {theirs / ours:.1f} |")
    runs = [apart("norman") for _ in range(3)]
    took, peak, size = (statistics.median(run[key] for run in runs) for key in ("seconds", "peak MiB", "file MiB"))
    print(f"\nNorman-like world to disk: {took:.1f} s, peak {peak:.0f} MiB, file {size:.0f} MiB")


if __name__ == "__main__":
    parts = {"latents": latents, "million": million, "norman": norman}
    print(json.dumps(parts[sys.argv[1]](*sys.argv[2:]))) if len(sys.argv) > 1 else main()
