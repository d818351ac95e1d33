"""Wall time to the published loss's final energy distance at a supported unseen condition.

Run: `python -m experiments.benchmarks.race [--worlds 5] [--published-steps 6000]`. Each world is three-singles
(d_Z = 2, d_X = 10, control and three singles, 4,096 cells each); the condition is A+B. The published loss is trained to
its end, then the default with ever more of its steps, until it does as well; all in one process, one after another.
Prints a Markdown table with machine and versions.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._timing import timed
from pdae_sim import energy_distance
from pdae_sim.data import PerturbationData
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.phases import Phase
from pdae_sim.estimation.presets import DEFAULT, PRESETS
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

    @classmethod
    def of(cls, model: PDAE, data: PerturbationData, truth: np.ndarray) -> Run:
        """Fit, and judge on fresh cells of the condition, without bias."""
        seconds, model = timed(partial(model.fit, data))
        return cls(seconds, energy_distance(model.sample(CONDITION, FRESH, rng=0), truth, unbiased=True))


def shortened_default(share: float) -> tuple[Phase, ...]:
    """The default with a share of its steps."""
    return tuple(replace(phase, steps=max(round(share * phase.steps), 1)) for phase in DEFAULT.phases)


def race(seed: int, published_steps: int) -> tuple[Run, list[Run]]:
    """The published loss to its end, and the default until it does as well."""
    simulation = world("three-singles", (f"seed={seed}",)).simulate()
    simulator = Simulator.from_state(simulation.simulator)
    truth = simulator.sample([CONDITION], FRESH, rng=seed + 1).data.x.astype(float)
    plan = PRESETS["published_small"].shortened(published_steps)
    published = Run.of(PDAE(2, phases=plan.phases, architecture=plan.architecture), simulation.data, truth)
    ours: list[Run] = []
    for share in SHARES:
        ours.append(Run.of(PDAE(2, phases=shortened_default(share)), simulation.data, truth))
        if ours[-1].distance <= published.distance:
            break
    return published, ours


def row(seed: int, published: Run, ours: Sequence[Run]) -> tuple:
    """A row of the table; its last value is the ratio of times, None where the default did not do as well."""
    last, share = ours[-1], f"{SHARES[len(ours) - 1]:.0%}"
    ratio = published.seconds / last.seconds if last.distance <= published.distance else None
    return seed, published.distance, published.seconds, share, last.distance, last.seconds, ratio


COLUMNS = {
    "world": "", "published: ED at A+B": ".5f", "s": ".0f", "default: share of steps": "", "its ED at A+B": ".5f",
    "its s": ".1f", "ratio of times": ".0f",
}  # fmt: skip


def main() -> None:
    """Print the table."""
    arguments = options(__doc__, worlds=5, published_steps=6000)
    rows = print_table(
        COLUMNS,
        (row(seed, *race(seed, arguments.published_steps)) for seed in range(arguments.worlds)),
        title=f"{machine()}; {arguments.published_steps} steps of the published loss",
    )
    ratios = [ratio for *_, ratio in rows if ratio is not None]
    print(f"reached in {len(ratios)} of {arguments.worlds} worlds; the others count as 0")
    ratios += [0.0] * (arguments.worlds - len(ratios))
    print(f"median ratio {statistics.median(ratios):.0f}, least {min(ratios):.0f}, most {max(ratios):.0f}")


if __name__ == "__main__":
    main()
