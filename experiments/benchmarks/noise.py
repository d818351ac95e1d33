"""Predictions through the noise of an assay: the default beside tilting, every baseline and an oracle.

Run: `python -m experiments.benchmarks.noise [WORLDS] [--only noisy,counts] [--workers 2] [--out FILE]`. Many random
worlds of each kind, control and two singles with 4,096 cells each, their double held out; prints a Markdown table:
medians over worlds of the energy distance at the double with 95 % intervals between order statistics, and in how many
worlds the default is at or below all others. The oracle knows f, W and the noise and has estimated nothing but the
shift of the double, as well as is possible from so many cells: its error is N(0, Σ α_e²/n_e J⁻¹) in whitened latents.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from experiments.benchmarks._outside import OUTSIDE
from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._worlds import measure_worlds
from pdae_sim import PDAE, PerturbationData, energy_distance
from pdae_sim._random import Streams, seed_sequence, stream
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.estimation.tilting import Tilting
from pdae_sim.report import format_estimate
from pdae_sim.simulation.worlds import world
from pdae_sim.study.medians import median

CELLS, JUDGED, ROUGHLY = 4096, 8192, 2048
"""Cells of a condition, cells that predictions are judged by, and those that are far off."""
NAMED = ("noisy", "counts", "proteins", "heteroscedastic", "dropout")
DOUBLE = "A+B"
_ORACLE_DRAWS = 3


@dataclass(frozen=True, eq=False)
class NoisyWorld:
    """Training data of a world with noise, and the law of its double.

    Args:
        data: Control and singles.
        draw: Cells of the double from a shift of its whitened latents, a number of cells and a seed.
        W: (2, K) perturbation matrix of whitened latents.
    """

    data: PerturbationData
    draw: Callable[[np.ndarray, int, int], np.ndarray]
    W: np.ndarray


def named(name: str, seed: int, overrides: tuple[str, ...] = ()) -> NoisyWorld:
    """One of the named worlds."""
    config = world(name, (f"design.cells={CELLS}", *overrides), seed=seed)
    simulation, simulator = config.simulate(), config.simulator()
    latent = simulator.latent
    root = np.linalg.cholesky(latent.covariance)
    mean = latent.perturbation_matrix @ simulator.space.label(DOUBLE)

    def draw(shift: np.ndarray, n: int, number: int) -> np.ndarray:
        rng = stream(seed_sequence(seed), "double", number)
        z = (rng.normal(size=(n, len(root))) + shift) @ root.T + mean
        return simulator.observation.sample(simulator.decode(z), streams=Streams(seed_sequence(rng)))

    return NoisyWorld(simulation.data, draw, np.linalg.solve(root, latent.perturbation_matrix))


def worlds() -> dict[str, Callable[[int], NoisyWorld]]:
    """Every kind of world by name: named ones, signal-to-noise ratios, and mixings outside the simulator's families."""
    found: dict[str, Callable[[int], NoisyWorld]] = {name: partial(named, name) for name in NAMED}
    found |= {name: partial(_outside, name) for name in OUTSIDE}
    for snr in (3, 30, 100):
        found[f"snr {snr}"] = partial(named, "noisy", overrides=(f"observation.snr={snr}",))
    return found


def _outside(name: str, seed: int) -> NoisyWorld:
    data, draw, W = OUTSIDE[name](seed, CELLS)
    return NoisyWorld(data, draw, W)


def measure(make: Callable[[int], NoisyWorld], seed: int) -> dict[str, object]:
    """Energy distances at the double of everything, and what the default chose and cost, in one world."""
    made = make(seed)
    data = made.data.train
    truth = made.draw(np.zeros(2), JUDGED, 0)
    start = time.process_time()
    model = PDAE(2, random_state=seed).fit(data)
    seconds = time.process_time() - start
    fitted = {"pdae": model, "tilting": Tilting(model).fit(data)}
    fitted |= {name: baseline().fit(data) for name, baseline in BASELINES.items() if name != "ceiling"}
    sizes = {name: JUDGED if name in ("pdae", "tilting") else ROUGHLY for name in fitted}
    found = {name: _distance(each.sample(DOUBLE, sizes[name], rng=seed), truth) for name, each in fitted.items()}
    rng = np.random.default_rng(seed)
    spread = np.linalg.cholesky(np.linalg.inv(model.information_)) * np.sqrt(3 / CELLS)
    shifts = rng.normal(size=(_ORACLE_DRAWS, 2)) @ spread.T
    oracle = np.mean([_distance(made.draw(shift, JUDGED, 1 + i), truth) for i, shift in enumerate(shifts)])
    columns = [data.names.index(part) for part in DOUBLE.split("+")]
    return {
        **{f"energy {name}": value for name, value in found.items()},
        "energy oracle": oracle,
        "gram_error": gram_error(model.perturbation_matrix_[:, columns], made.W[:, columns]),
        "gram_oracle": efficient_gram_error(made.W[:, columns], model.information_, rng),
        "observation": model.observation_.name,
        "sure": model.observation_.sure,
        "seconds": seconds,
    }


def gram_error(W: np.ndarray, truth: np.ndarray) -> float:
    """‖Ĝ − G‖ / ‖G‖ of two perturbation matrices (2, 2)."""
    G = truth.T @ truth
    return float(np.linalg.norm(W.T @ W - G) / np.linalg.norm(G))


def efficient_gram_error(W: np.ndarray, information: np.ndarray, rng: np.random.Generator) -> float:
    """Median Gram error of an efficient estimate of W that knows mixing and noise: means apart by N(0, J⁻¹ / n).

    Args:
        W: (2, 2) true shifts of the singles.
        information: J (2, 2).
        rng: Generator.
    """
    root = np.linalg.cholesky(np.linalg.inv(information) / CELLS)
    means = rng.normal(size=(400, 3, 2)) @ root.T
    return float(np.median([gram_error(W + (m[1:] - m[0]).T, W) for m in means]))


def _distance(x: np.ndarray, y: np.ndarray) -> float:
    return float(energy_distance(x, y[: len(x)], unbiased=True))


def table(results: Mapping[str, Mapping[str, np.ndarray]]) -> Iterator[tuple]:
    """Rows of the printed table, one for each kind of world."""
    for name, found in results.items():
        energies = {key.removeprefix("energy "): found[key] for key in found if key.startswith("energy ")}
        rivals = {k: v for k, v in energies.items() if k not in ("pdae", "oracle")}
        best = min(rivals, key=lambda k: np.median(rivals[k]))
        ahead = int((energies["pdae"] <= np.min(list(rivals.values()), axis=0)).sum())
        ours, oracle = np.median(energies["pdae"]), np.median(energies["oracle"])
        kinds, counts = np.unique(found["observation"], return_counts=True)
        yield (
            name,
            format_estimate(median(energies["pdae"].tolist())),
            f"{ours / oracle:.1f}" if oracle > 0 else "–",
            f"{best} {np.median(rivals[best]):.4f}",
            f"{ahead} of {len(energies['pdae'])}",
            format_estimate(median(found["gram_error"].tolist())),
            f"{np.median(found['gram_error'] / found['gram_oracle']):.1f}",
            ", ".join(f"{kind} {count}" for kind, count in zip(kinds, counts, strict=True)),
            f"{np.median(found['seconds']):.0f}",
        )


HEADS = (
    "world",
    "energy distance",
    "over oracle's",
    "best other",
    "ahead in",
    "Gram error",
    "over oracle's Gram error",
    "chosen",
    "processor s",
)


def main() -> None:
    """Print the table, and keep every number with `--out`."""
    arguments = options(__doc__, worlds=10, workers=2, only="", out=None)
    logging.getLogger("pdae_sim").setLevel(logging.ERROR)
    print(f"{machine()}; {arguments.workers} workers, {arguments.worlds} worlds, seeds from 0\n")
    chosen = arguments.only.split(",") if arguments.only else list(worlds())
    results = {}

    def rows() -> Iterator[tuple]:
        for name in chosen:
            measured = measure_worlds(partial(measure, worlds()[name]), arguments.worlds, workers=arguments.workers)
            results[name] = measured
            yield from table({name: measured})
            if arguments.out:
                kept = {k: {key: value.tolist() for key, value in each.items()} for k, each in results.items()}
                arguments.out.write_text(json.dumps(kept, indent=1))

    print_table(dict.fromkeys(HEADS, ""), rows())


if __name__ == "__main__":
    main()
