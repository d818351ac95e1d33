"""Far from the origin, and at doses below the normal range: rounding of x is all that is lost."""

from __future__ import annotations

import numpy as np
import pytest

from pdae_sim import PDAE, PerturbationData, check_span
from pdae_sim.analysis import energy_estimate, environment_geometry, mmd
from pdae_sim.analysis.hypothesis_tests import additivity_test, energy_test, mmd_test
from pdae_sim.energy import energy_distance
from pdae_sim.errors import InputError

OFFSET = 1e6  # coordinates near 1 keep 10 digits there
LOST = 1e-8


def laws(data: PerturbationData) -> list:
    x, y = data.samples(0), data.samples(3)
    distances = [energy_distance(x, y), energy_distance(x, y, unbiased=True), energy_estimate(x, y).value, mmd(x, y)]
    p_values = [test(x, y, n_permutations=99, rng=0).p_value for test in (energy_test, mmd_test)]
    additivity = additivity_test(data, "A+B", n_multipliers=99, rng=0)
    geometry = environment_geometry(data, n_multipliers=99, rng=0)
    return [distances, p_values, additivity.p_value, additivity.slopes, geometry.squared_distances]


@pytest.mark.parametrize("d", [2, 20])
def test_an_offset_changes_nothing(d):
    shifts = np.zeros((4, d))
    shifts[[1, 3], 0] = shifts[[2, 3], 1] = 1.0
    x = np.random.default_rng(0).normal(size=(240, d)) + np.repeat(shifts, 60, axis=0)
    near, far = (
        laws(PerturbationData.from_arrays(z, np.repeat(["ctrl", "A", "B", "A+B"], 60))) for z in (x, x + OFFSET)
    )
    for value, other in zip(near, far, strict=True):
        assert np.allclose(value, other, rtol=0, atol=LOST)


SUBNORMAL = [5e-324, 1e-320, 1e-310]


@pytest.mark.parametrize("dose", SUBNORMAL)
def test_span_at_subnormal_doses_is_that_of_doses_of_one(dose):
    (certificate,) = check_span(np.array([[0, 0], [dose, 0], [0, dose]]), np.array([[dose, dose]]))
    assert certificate.coefficients.tolist() == [0, 1, 1]
    assert certificate.noise_gain == 3


@pytest.mark.parametrize("dose", SUBNORMAL)
def test_a_fit_at_subnormal_doses_is_finite_or_refused(simulation, dose):
    data = simulation.data
    tiny = PerturbationData.from_arrays(data.x, [f"A:{dose}" if e else "ctrl" for e in data.environment])
    try:
        model = PDAE(2, steps=2, random_state=0).fit(tiny)
    except InputError:
        return
    assert np.isfinite(model.perturbation_matrix_).all()
    assert np.isfinite(model.sample("ctrl", 5, rng=0)).all()
