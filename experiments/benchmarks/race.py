"""Wall time to the published loss's final energy distance at a supported unseen condition.

Run: `python -m experiments.benchmarks.race [--worlds 5] [--published-steps 6000]`. Each world is three-singles
(d_Z = 2, d_X = 10, control and three singles, 4,096 cells each); the condition is A+B. The published loss is trained to
its end, then the default with ever more of its steps, until it does as well; all in one process, one after another.
Prints a Markdown table with machine and versions.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from experiments.benchmarks.machine import describe
from pdae_sim import energy_distance
from pdae_sim.data import PerturbationData
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.presets import PUBLISHED_SMALL, STAGED, shortened
from pdae_sim.estimation.training import Phase
from pdae_sim.simulation.simulator import Simulator
from pdae_sim.simulation.worlds import world

CONDITION, FRESH = "A+B", 16_384
SHARES = (0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
"""Of the default's steps, phase by phase."""


@dataclass(frozen=True)
class Run:
    """A fit: its wall seconds and its energy distance at the condition."""

    seconds: float
    distance: float


def timed(model: PDAE, data: PerturbationData, truth: np.ndarray) -> Run:
    """Fit, and judge on fresh cells of the condition, without bias."""
    start = time.perf_counter()
    model.fit(data)
    seconds = time.perf_counter() - start
    return Run(seconds, energy_distance(model.sample(CONDITION, FRESH, rng=0), truth, unbiased=True))


def shares(share: float) -> tuple[Phase, ...]:
    """The default with a share of its steps."""
    return tuple(replace(phase, steps=max(round(share * phase.steps), 1)) for phase in STAGED)


def race(seed: int, published_steps: int) -> tuple[Run, list[Run]]:
    """The published loss to its end, and the default until it does as well."""
    simulation = world("three-singles", (f"seed={seed}",)).simulate()
    simulator = Simulator.from_state(simulation.simulator)
    label = simulation.data.space.vector(CONDITION)
    truth = simulator.sample([label], FRESH, rng=seed + 1).data.x.astype(float)
    plan = replace(PUBLISHED_SMALL, phases=shortened(PUBLISHED_SMALL.phases, published_steps))
    published = timed(PDAE(2, phases=plan.phases, architecture=plan.architecture), simulation.data, truth)
    ours: list[Run] = []
    for share in SHARES:
        ours.append(timed(PDAE(2, phases=shares(share)), simulation.data, truth))
        if ours[-1].distance <= published.distance:
            break
    return published, ours


def line(seed: int, published: Run, ours: Sequence[Run]) -> str:
    """A row of the table."""
    last, share = ours[-1], SHARES[len(ours) - 1]
    reached = f"{published.seconds / last.seconds:.0f}" if last.distance <= published.distance else "not reached"
    return (
        f"| {seed} | {published.distance:.5f} | {published.seconds:.0f} | {share:.0%} | {last.distance:.5f} "
        f"| {last.seconds:.1f} | {reached} |"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=5)
    parser.add_argument("--published-steps", type=int, default=6000)
    given = parser.parse_args()
    print(f"{describe()}; {given.published_steps} steps of the published loss\n")
    print(
        "| world | published: ED at A+B | s | default: share of steps | ED at A+B | s | ratio of times |\n"
        + "|---" * 7
        + "|"
    )
    ratios = []
    for seed in range(given.worlds):
        published, ours = race(seed, given.published_steps)
        print(line(seed, published, ours), flush=True)
        ratios.append(published.seconds / ours[-1].seconds if ours[-1].distance <= published.distance else 0.0)
    reached = sum(ratio > 0 for ratio in ratios)
    print(f"\nmedian ratio {statistics.median(ratios):.0f}, least {min(ratios):.0f} (0: not reached)")
    print(f"reached in {reached} of {given.worlds} worlds")


if __name__ == "__main__":
    main()
