"""The demo."""

from __future__ import annotations

import pytest

from pdae_sim import LinearLatentModel, Simulator
from pdae_sim.simulation.worlds import world


@pytest.fixture(scope="module")
def simulation():
    simulator = Simulator.random(LinearLatentModel.random(2, 3, rng=0), n_observed=4, rng=0)
    return simulator.sample(["ctrl", "A", "B", "A+B"], 240, rng=0, held_out=[False, False, False, True])


def test_the_demo_world_shows_all_three_situations():
    from pdae_sim.analysis.verdict import judge
    from pdae_sim.verdicts import NOT_IDENTIFIED, OFF_SUPPORT, SUPPORTED

    simulation = world("demo", ("design.cells=4096", "design.test_cells=10")).simulate()
    train, test = simulation.data.train, simulation.data.test
    W = simulation.truth.isotropic().perturbation_matrix
    verdicts = judge(train.labels, test.labels, counts=train.counts, perturbation_matrix=W)
    assert [v.name for v in verdicts] == [SUPPORTED, OFF_SUPPORT, NOT_IDENTIFIED]
