"""What the library computes from one dataset, as numbers by name: printed in hexadecimal by a process of its own."""

from __future__ import annotations

import json

import numpy as np

from pdae_sim import PDAE, LinearLatentModel, PerturbationData, Simulator, check_span
from pdae_sim.analysis import environment_geometry, plan_experiments
from pdae_sim.analysis.hypothesis_tests import additivity_test, energy_test, mmd_test
from pdae_sim.energy import energy_distance
from pdae_sim.estimation import BASELINES
from pdae_sim.study import evaluate

CONDITIONS = ("ctrl", "A", "B", "A+B", "A:2+B")
HELD_OUT = (False, False, False, False, True)


def dataset() -> PerturbationData:
    """Some cells of four features, drawn with a seed."""
    latent = LinearLatentModel.random(2, 2, rng=0)
    return Simulator.random(latent, n_observed=4, rng=0).sample(CONDITIONS, 60, rng=0, held_out=HELD_OUT).data


def permuted(data: PerturbationData) -> PerturbationData:
    """The same cells in another order, with conditions as they were."""
    return data.rows(np.random.default_rng(1).permutation(len(data.x)))


def numbers(data: PerturbationData | None = None) -> dict[str, list[float]]:
    """Results of every kind from the dataset, or from the same cells in another order, by name."""
    drawn = dataset()
    data = drawn if data is None else data
    train, test, double = data.train, data.test, data.samples(3)
    (certificate,) = check_span(train.labels, test.labels, train.labels[0])
    plan = plan_experiments(train.labels[:2], test.labels)
    additivity = additivity_test(train, "A+B", n_multipliers=199, rng=0)
    geometry = environment_geometry(train, n_multipliers=99, rng=0)
    pool = BASELINES["pool"]().fit(data)
    rows = evaluate({"pool": pool}, data, metrics=["energy_distance", "mean_difference"], rng=0)
    model = PDAE(2, steps=5, random_state=0).fit(data)
    found = {
        "simulate": drawn.x,
        "span": [*certificate.coefficients, certificate.noise_gain],
        "design": [*np.ravel([e.label for e in plan.experiments]), plan.noise_gain],
        "additivity": [additivity.p_value, additivity.effective_cells, *additivity.slopes],
        "geometry": geometry.squared_distances,
        "energy distance": energy_distance(data.samples(0), double),
        "energy and MMD tests": [
            permuting(data.samples(0), double, n_permutations=99, rng=0).p_value
            for permuting in (energy_test, mmd_test)
        ],
        "evaluate": [row["value"] for row in rows],
        "fit": model.perturbation_matrix_,
        "predict": model.sample("A:2+B", 5, rng=0),
    }
    return {name: np.asarray(value, float).ravel().tolist() for name, value in found.items()}


if __name__ == "__main__":
    print(json.dumps({name: [v.hex() for v in value] for name, value in numbers().items()}))
