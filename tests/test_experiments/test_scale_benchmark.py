"""The benchmark of scale runs, on a small world of the same kind."""

from __future__ import annotations

import pytest

from experiments.benchmarks import scale
from pdae_sim.data import Simulation
from pdae_sim.estimation.presets import PLANS
from pdae_sim.simulation.worlds import world


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("scale") / "small.h5ad"
    world("norman-like", ("design.total=3000", "mixing.n_observed=110")).simulate().write(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("name", scale.RUNS)
def test_a_measurement_extrapolates_a_pass_from_its_steps(path, name):
    found = scale.measured(name, path, 1)
    n_environments = len(Simulation.read(path).data.train.conditions)
    for phase in PLANS[scale.RUNS[name][0]].phases:
        drawn = found["drawn"][phase.name]
        assert drawn == scale.drawn(phase, n_environments)
        assert found["pass"][phase.name] == pytest.approx(found["step"][phase.name] * found["cells"] / drawn)
    assert found["peak"] > 100
