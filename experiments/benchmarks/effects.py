"""Metrics of effects where the answer is known: of a replicate, of draws from the true law, of control and of pool.

Run: `python -m experiments.benchmarks.effects [WORLDS] [--workers 2]`. Worlds have the shape of a small screen of
doubles: 20 singles and 20 doubles in training, 10 doubles held out, 100 genes in log-normalised counts. A value is the
mean over the held-out doubles of a world, a place their median. If the scale holds, draws from the true law are at 1: a
replicate is no more.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from experiments.benchmarks._table import Spread, machine, options, print_table
from experiments.benchmarks._worlds import measure_worlds
from pdae_sim import Simulator
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.simulation.worlds import world
from pdae_sim.study.evaluation import PREDICTION_METRICS, evaluate

METRICS = PREDICTION_METRICS[PREDICTION_METRICS.index("pearson_delta") :]
SHAPE = (
    "latent.n_latents=8",
    "latent.n_perturbations=20",
    "mixing.n_observed=100",
    "design.n_doubles=30",
    "design.n_held_out=10",
    "design.total=6000",
    "design.control_excess=5.0",
)


class TrueLaw:
    """Draws from the law of the world itself.

    Args:
        simulator: The world.
    """

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator

    def sample(self, label, n: int, *, rng=None) -> np.ndarray:
        """New cells of a condition."""
        return self.simulator.sample([label], n, rng=rng).data.x


def judge_world(seed: int, shape: tuple[str, ...] = SHAPE) -> dict[str, float]:
    """Mean over conditions of every metric of a world, and median of its place between pool and replicate."""
    simulation = world("norman-like", shape, seed=seed).simulate()
    estimators = {name: BASELINES[name]().fit(simulation.data) for name in ("control", "pool", "additive")}
    estimators["true law"] = TrueLaw(Simulator.from_state(simulation.simulator))
    rows = evaluate(estimators, simulation.data, metrics=METRICS, rng=seed)
    of = lambda key, name, metric: [  # noqa: E731
        row[key] for row in rows if (row["estimator"], row["metric"]) == (name, metric) and row[key] is not None
    ]
    names = (*estimators, "ceiling")
    values = {f"{name} {metric}": np.mean(of("value", name, metric)) for name in names for metric in METRICS}
    places = {f"{name} {metric}, scaled": np.median(of("scaled", name, metric)) for name in names for metric in METRICS}
    return {name: float(value) for name, value in {**values, **places}.items()}


def main() -> None:
    """Print the table."""
    arguments = options(__doc__, worlds=40, workers=1)
    found = measure_worlds(judge_world, arguments.worlds, workers=arguments.workers)

    def rows() -> Iterator[tuple]:
        for metric in METRICS:
            values = [Spread.of(found[f"{name} {metric}"]) for name in ("ceiling", "true law", "control", "pool")]
            yield metric, *values, *(Spread.of(found[f"{name} {metric}, scaled"]) for name in ("true law", "control"))

    columns = ("replicate", "true law", "control", "pool", "true law, scaled", "control, scaled")
    title = f"Medians (quartiles) over {arguments.worlds} worlds; {machine()}"
    print_table({"metric": "", **dict.fromkeys(columns, ".3f")}, rows(), title=title)


if __name__ == "__main__":
    main()
