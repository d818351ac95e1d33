"""An accelerator against the processor beside it: the same numbers, and how much sooner.

Run: `python -m experiments.benchmarks.accelerator [--device cuda] [--small] [--out FILE]`; at most eight minutes on a
card of today. Prints, with the name of the card: how far fits of three plans are from those on the processor, 64
fits at once against one after another, passes of the Norman-like world, bfloat16 against float32, and the energy
distance of 10⁵ and 10⁶ cells. With `--small` every size is one that a processor takes in a minute.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from experiments.benchmarks._table import machine, options, print_table
from pdae_sim import PDAE, PerturbationData, energy_distance
from pdae_sim.estimation.presets import DEFAULT, MARGINAL, PRESETS
from pdae_sim.estimation.replicates import fit_replicates
from pdae_sim.simulation.worlds import world

PLANS = {"noiseless": DEFAULT, "through noise": MARGINAL, "published": PRESETS["published_small"]}
_WORLDS = {"noiseless": "two-latents", "through noise": "noisy", "published": "two-latents"}
_LATENTS = 20


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    steps: int = 300
    replicates: int = 64
    replicate_steps: int = 40
    norman: tuple[str, ...] = ()
    norman_steps: int = 30
    cells: tuple[int, ...] = (100_000, 1_000_000)


SMALL = Sizes(20, 4, 5, ("design.total=5000", "design.test_cells=100", "mixing.n_observed=50"), 2, (2_000, 20_000))


def waited(act: Callable[[], object], device: str) -> tuple[float, object]:
    """Seconds of a call until the device has done it, and what it returned."""
    start = time.perf_counter()
    value = act()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - start, value


def fitted(plan: str, device: str, steps: int, **settings: object) -> tuple[float, PDAE, PerturbationData]:
    """Seconds, the model of a plan and its data."""
    data = world(_WORLDS[plan], seed=0).simulate().data
    phases = [replace(phase, steps=steps) for phase in PLANS[plan].phases]
    observation = "gaussian" if plan == "through noise" else "noiseless"
    model = PDAE(
        2,
        observation=observation,
        phases=phases,
        architecture=PLANS[plan].architecture,
        select=False,
        device=device,
        **settings,
    )
    return waited(lambda: model.fit(data), device)[0], model, data


def correctness(device: str, sizes: Sizes) -> Iterator[tuple]:
    """Each plan on both: the distance of their Gram matrices, and of their predictions of the double."""
    for plan in PLANS:
        (here, first, _), (there, second, _) = (fitted(plan, each, sizes.steps) for each in ("cpu", device))
        grams = [model.perturbation_matrix_.T @ model.perturbation_matrix_ for model in (first, second)]
        apart = float(np.linalg.norm(grams[0] - grams[1]) / np.linalg.norm(grams[0]))
        drawn = [model.sample("A+B", 4096, rng=k) for k, model in enumerate((first, second))]
        yield plan, here, there, apart, float(energy_distance(*drawn, unbiased=True))


def at_once(device: str, sizes: Sizes) -> Iterator[tuple]:
    """Fits of one shape to data of their own, together and in turn."""
    data = [world("three-singles", seed=k).simulate().data for k in range(sizes.replicates)]

    def models() -> list[PDAE]:
        phases = [replace(phase, steps=sizes.replicate_steps) for phase in DEFAULT.phases]
        return [
            PDAE(2, observation="noiseless", phases=phases, select=False, random_state=k, device=device)
            for k in range(len(data))
        ]

    together, _ = waited(lambda: fit_replicates(models(), data), device)
    in_turn, _ = waited(lambda: [m.fit(each) for m, each in zip(models(), data, strict=True)], device)
    yield f"{sizes.replicates} fits", in_turn, together, in_turn / together


def precision(device: str, sizes: Sizes) -> Iterator[tuple]:
    """Products in bfloat16 against float32."""
    seconds = [fitted("noiseless", device, sizes.steps, precision=name)[0] for name in ("float32", "bfloat16")]
    yield "noiseless plan, float32 against bfloat16", *seconds, seconds[0] / seconds[1]


def norman(device: str, sizes: Sizes) -> Iterator[tuple]:
    """Some steps of the plan for screens on the Norman-like world."""
    data = world("norman-like", sizes.norman, seed=0).simulate().data
    preset = PRESETS["screen"].shortened(sizes.norman_steps)
    seconds = {}
    for each in ("cpu", device):
        model = PDAE(
            _LATENTS,
            observation="noiseless",
            phases=preset.phases,
            architecture=preset.architecture,
            select=False,
            device=each,
        )
        seconds[each] = waited(lambda model=model: model.fit(data), each)[0]
    yield f"Norman-like, {sizes.norman_steps} steps", seconds["cpu"], seconds[device], seconds["cpu"] / seconds[device]


def distances(device: str, sizes: Sizes) -> Iterator[tuple]:
    """Energy distances of many cells of ten features; the processor is not asked for the most."""
    for n in sizes.cells:
        rng = np.random.default_rng(0)
        x, y = (torch.from_numpy(rng.normal(size=(n, 10)).astype(np.float32)) for _ in range(2))
        there, value = waited(lambda x=x, y=y: float(energy_distance(x.to(device), y.to(device))), device)
        if n > sizes.cells[0]:
            yield f"energy distance, n = {n:,}", None, there, None
            continue
        here, expected = waited(lambda x=x, y=y: float(energy_distance(x, y)), "cpu")
        if abs(expected - value) > 1e-5:
            raise SystemExit(f"energy distances differ: {expected} on the processor, {value} on {device}")
        yield f"energy distance, n = {n:,}", here, there, here / there


def main() -> None:
    """Print the tables."""
    chosen = options(__doc__, device="cuda", small=False, out=None)
    if chosen.device.startswith("cuda") and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; give --device cpu --small to try the script")
    sizes = SMALL if chosen.small else Sizes()
    card = torch.cuda.get_device_name() if chosen.device.startswith("cuda") else chosen.device
    title = f"{card}; {machine()}"
    plans = {"plan": "", "processor, s": ".1f", "device, s": ".1f", "Gram apart": ".1e", "energy distance": ".1e"}
    results = {"device": title, "plans": print_table(plans, correctness(chosen.device, sizes), title=title)}
    columns = {"what": "", "slow, s": ".2f", "fast, s": ".2f", "ratio": ".1f"}
    parts = (at_once, norman, precision, distances)
    every = (row for part in parts for row in part(chosen.device, sizes))
    results["ratios"] = print_table(columns, every, title="in turn or on the processor, against at once or the device")
    if chosen.out:
        chosen.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
