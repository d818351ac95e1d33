"""The demo."""

from __future__ import annotations

import pytest

from pdae_sim import LinearLatentModel, Simulator
from pdae_sim.simulation.worlds import world
from pdae_sim.study import demo


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


@pytest.mark.parametrize(("cells", "judged"), [(30, 60), (None, None)])
def test_a_quick_look_judges_by_few_cells_and_the_demo_by_as_many_as_an_evaluation(monkeypatch, cells, judged):
    seen = {}
    monkeypatch.setattr(demo, "evaluate", lambda *_, n_samples, **__: seen.update(n=n_samples))
    monkeypatch.setattr(demo, "identify", lambda *_, n, **__: seen.update(identified=n))
    found = demo.run_demo(seed=0, steps=1, cells=cells)
    assert {len(x) for x in found.predictions.values()} == {judged or demo._PREDICTED_CELLS}
    assert seen["n"] == judged
    assert seen["identified"] == (judged or demo._FRESH_CELLS)
