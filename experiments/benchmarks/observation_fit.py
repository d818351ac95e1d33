"""Goodness of fit of observation models: false alarms where the law is right, and what is found of a wrong one.

Three tables. Of known laws, as sparse as 0.02 molecules a cell: exact, so that shares lie in the band. Of fitted models
that judge cells of their own: what the amortised posterior adds. Of fitted models that judge fresh cells of the world:
false alarms of the right family, whose parameters are estimates, and power of wrong ones.

Run: `python -m experiments.benchmarks.observation_fit [WORLDS] [--fits 2] [--draws 25] [--workers 2]`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from experiments.benchmarks._table import machine, options, print_table
from experiments.benchmarks._worlds import band, measure_worlds
from pdae_sim import PDAE, PerturbationData
from pdae_sim.analysis.hypothesis_tests import FeatureCheck, ObservationFit, observation_fit
from pdae_sim.simulation.worlds import world
from pdae_sim.study import check_observation

LEVELS, LEVEL = (0.01, 0.05, 0.1), 0.05
CELLS, FEATURES, MEASUREMENTS = 30, 4, 39
TRAIN, FRESH = 2000, 1000

LAWS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "Poisson, mean 3": lambda rng, shape: rng.poisson(3.0, shape),
    "Poisson, mean 0.02": lambda rng, shape: rng.poisson(0.02, shape),
    "negative binomial, mean 0.2, dispersion 3": lambda rng, shape: rng.negative_binomial(1 / 3, 1 / 1.6, shape),
    "normal, half of them zero": lambda rng, shape: rng.normal(size=shape) * (rng.random(shape) < 0.5),
}
"""Laws of cells by name."""

MODELS = {
    "noisy": {"gaussian_by_feature": True},
    "heteroscedastic": {"gaussian_growing": True, "gaussian_by_feature": False},
    "counts": {"negative_binomial": True, "poisson": False},
    "dropout": {"dropout": True, "gaussian_by_feature": False},
}
"""Observation models fitted to each named world, and whether they are of the right family."""


def p_values(name: str, seed: int) -> dict[str, float]:
    """P-values in a world of one law: of the first feature by check, and Holm's least of all."""
    rng = np.random.default_rng([7, seed])
    cells = LAWS[name](rng, (MEASUREMENTS + 1, CELLS, FEATURES))
    fit = observation_fit(cells[0], cells[1:], rng=rng)
    first = {check: fit.tests.p_values.get(f"x1: {check}", 1.0) for check in FeatureCheck}
    return {**first, "any, Holm": fit.p_value}


def false_alarms(worlds: int, workers: int) -> Iterator[tuple]:
    """Shares of worlds where a right law is rejected, in per cent, by law, check and level."""
    for law in LAWS:
        for name, p in measure_worlds(partial(p_values, law), worlds, workers=workers).items():
            if (p < 1).any():
                yield law, name, *(100 * np.mean(p <= level + 1e-12) for level in LEVELS)
    yield "exact 99 % band", "", *(f"{100 * low:.1f} to {100 * high:.1f}" for low, high in band(LEVELS, worlds))


def fitted_rows(fits: int, draws: int) -> Iterator[tuple]:
    """A row for every fitted model, judging cells of its own and then fresh cells of the world."""
    for name, models in MODELS.items():
        for observation, right in models.items():
            own, fresh = [], []
            for seed in range(fits):
                config = world(name, seed=seed)
                sim, conditions = config.simulator(), ("ctrl", "A", "B")
                data = sim.sample(conditions, TRAIN, rng=[seed, 0]).data
                model = PDAE(2, observation=observation, random_state=seed).fit(data)
                for k in range(draws):
                    own.append(check_observation(model, _own(model, data, [seed, 1, k]), rng=k))
                    cells = sim.sample(conditions, FRESH // 3, rng=[seed, 2, k]).data
                    fresh.append(check_observation(model, cells, rng=k))
            yield f"{name}, {observation}", "right" if right else "wrong", *_shares(own)[-1:], *_shares(fresh)


def _own(model: PDAE, data: PerturbationData, rng: list[int]) -> PerturbationData:
    """Cells that the model draws itself, under the conditions of the data."""
    cells = [model.sample(label, FRESH // 3, rng=[*rng, e], source="model") for e, label in enumerate(data.labels)]
    conditions = np.repeat(data.conditions, FRESH // 3)
    return PerturbationData.from_arrays(np.vstack(cells), conditions)


def _shares(fits: list[ObservationFit]) -> tuple[float, ...]:
    """Share of the features at fault by check, of the fits with any at fault last."""
    by_check = [
        [sum(t.check == check for t in fit.faults(LEVEL)) / len(fit.features) for fit in fits] for check in FeatureCheck
    ]
    return *(float(np.mean(each)) for each in by_check), float(np.mean([bool(fit.faults(LEVEL)) for fit in fits]))


def main(words: list[str] | None = None) -> None:
    """Print the tables."""
    arguments = options(__doc__, words, worlds=1000, fits=2, draws=25, workers=2)
    columns = {"law": "", "test": "", **{f"rejected at {level:.0%}, %": ".1f" for level in LEVELS}}
    title = f"Cells of the law itself in {arguments.worlds} worlds, {CELLS} cells, {FEATURES} features"
    print_table(columns, false_alarms(arguments.worlds, arguments.workers), title=f"{title}; {machine()}")
    if arguments.fits:
        shares = {"own cells: any": ".2f", **dict.fromkeys(FeatureCheck, ".2f"), "any": ".2f"}
        title = (
            f"Fits to {TRAIN} cells a condition, {arguments.fits} worlds, {arguments.draws} samples of {FRESH} cells"
        )
        print_table(
            {"world and model": "", "family": "", **shares},
            fitted_rows(arguments.fits, arguments.draws),
            title=f"{title}; share of features at fault at {LEVEL} by check, of samples with any",
        )


if __name__ == "__main__":
    main()
