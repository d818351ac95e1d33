"""Early stopping: cells kept out are kept out, and the best parameters come back, replicate by replicate."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

from pdae_sim import PDAE, align
from pdae_sim.estimation import _checkpoint as checkpoints
from pdae_sim.estimation._bank import frame, start
from pdae_sim.estimation._batches import Cells
from pdae_sim.estimation._checkpoint import Position
from pdae_sim.estimation._early_stopping import EarlyStopping
from pdae_sim.estimation._training import _PhaseRun, train
from pdae_sim.estimation._weighted_terms import WeightedTerms
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.phases import Phase
from pdae_sim.estimation.presets import LATENTS
from pdae_sim.simulation.simulator import Simulator
from pdae_sim.simulation.worlds import world

PHASE = Phase("p", 60, {"density_ratio": 1.0}, ("chart", "encoder", "shift"), cells=8, learning_rate=3e-2, held_out=0.3)


def cells_of(counts: tuple[int, ...] = (80, 200, 120), seed: int = 0) -> Cells:
    ends = np.cumsum(counts)
    rows = tuple(np.arange(end - n, end) for n, end in zip(counts, ends, strict=True))
    x = torch.randn(int(ends[-1]), 4, generator=torch.Generator().manual_seed(seed))
    return Cells(x, torch.eye(3)[None], (rows,), (np.random.SeedSequence(seed),))


def test_no_step_sees_the_cells_kept_out():
    cells = cells_of()
    cells.x[:, 0] = torch.arange(400)
    rest, (x, labels) = cells.split_held_out(0.3)
    kept = set(x[..., 0].flatten().int().tolist())
    assert x.shape == (1, 3, 24, 4)  # as many of each: 0.3 of the smallest
    assert labels is cells.labels
    seen = {int(i) for step in range(80) for i in rest.batch(PHASE, step)[0][..., 0].flatten()}
    assert not kept & seen
    assert kept | seen == set(range(400))


def test_which_cells_are_kept_out_does_not_depend_on_the_seed():
    first, other = (cells_of(seed=s).split_held_out(0.3)[0].rows[0] for s in (0, 1))
    assert all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_environments_too_small_for_it_keep_all_their_cells_and_it_is_said(caplog):
    rest, (x, labels) = cells_of((60, 200, 120)).split_held_out(0.3)  # 3 × 18 are too few to tell
    assert x.shape == (1, 2, 36, 4)
    assert labels.tolist() == [[[0, 1, 0], [0, 0, 1]]]
    assert [len(rows) for rows in rest.rows[0]] == [60, 164, 84]
    assert cells_of((60, 60, 60)).split_held_out(0.3)[1] is None
    simulation = small(cells=5)
    with caplog.at_level(logging.INFO, "pdae_sim"):
        PDAE(2, phases=[replace(PHASE, steps=2, cells=4)]).fit(simulation.data)
    assert "keeps no cells out" in caplog.text


def test_each_replicate_goes_back_to_its_own_best():
    parameter = torch.nn.Parameter(torch.zeros(2, 1, 1))
    nan = float("nan")
    stopping = EarlyStopping([parameter])
    for value, losses in ((1.0, [nan, 1.0]), (2.0, [2.0, 2.0]), (3.0, [5.0, nan])):
        parameter.data.fill_(value)
        stopping.look(torch.tensor(losses))
    stopping.restore()
    assert parameter.flatten().tolist() == [2.0, 1.0]


def test_a_phase_that_overfits_ends_with_its_best_and_without_cells_kept_out_with_its_last():
    data = small(cells=60).data
    model = PDAE(2, architecture=Architecture(width=32), phases=[PHASE])
    network, cells = start([model], frame([model], [data]))
    history = train(WeightedTerms(network, 1.0), cells, [model.phases])[0]
    looks = [row["held_out"] for row in history if "held_out" in row]
    assert len(looks) == 30  # beside the one before the first step
    assert looks[-1] > min(looks) + 0.01  # it did overfit
    ended = _PhaseRun(WeightedTerms(network, 1.0), cells, [PHASE], Position()).held_out_loss()
    assert float(ended.detach()) == pytest.approx(min(looks), rel=1e-5)

    other = PDAE(2, architecture=Architecture(width=32), phases=[replace(PHASE, held_out=0.0)])
    assert all("held_out" not in row for row in other.fit(data).history_)


@pytest.mark.slow
def test_few_cells_are_not_folded():
    """Likelihood alone folds the plane of latents where cells are few; held to be inverted by the decoder it cannot."""
    config = world("three-singles", ("design.cells=250", "seed=1"))
    simulation = config.simulate()
    fresh = Simulator.from_state(simulation.simulator).sample(simulation.data.train.labels, 1000, rng=9)
    free = {"weights": {"likelihood": 1.0, "density_ratio": 1.0}, "learns": ("encoder", "shift"), "held_out": 0.0}

    def r2(phases) -> float:
        model = PDAE(2, phases=phases).fit(simulation.data)
        return align(model.encode(fresh.data.x), fresh.truth.isotropic().z).affine_r2

    assert r2(LATENTS.phases) > 0.95
    assert r2((replace(LATENTS.phases[0], held_out=0.0), replace(LATENTS.phases[1], **free))) < 0.9


def small(cells: int):
    return world("three-singles", (f"design.cells={cells}", "seed=0")).simulate()


def test_what_was_best_before_the_first_step_survives_an_interruption(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
    wild = replace(PHASE, name="wild", steps=90, learning_rate=0.5, schedule="constant", clip=1e9)
    phases, shape = [replace(PHASE, steps=20, learning_rate=3e-3), wild], Architecture(width=32)
    data, path = small(cells=100).data, tmp_path / "checkpoint"

    def interrupt(progress):
        if (progress.phase, progress.step) == (1, 2):  # before the first look after a step
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        PDAE(2, architecture=shape, phases=phases).fit(data, checkpoint=path, on_step=interrupt)
    resumed = PDAE(2, architecture=shape, phases=phases).fit(data, checkpoint=path)
    whole = PDAE(2, architecture=shape, phases=phases).fit(data)
    np.testing.assert_array_equal(resumed.encode(data.x), whole.encode(data.x))


def test_a_phase_that_only_harms_ends_where_it_began():
    wild = replace(PHASE, steps=30, learning_rate=0.5, schedule="constant", clip=1e9)
    model = PDAE(2, architecture=Architecture(width=32), phases=[replace(PHASE, steps=200, learning_rate=3e-3), wild])
    network, cells = start([model], frame([model], [small(cells=100).data]))
    objective = WeightedTerms(network, 1.0)
    train(objective, cells, [model.phases[:1]])
    before = network.encoder(cells.x[None, :50]).detach()
    history = train(objective, cells, [model.phases[1:]])[0]
    assert min(row["held_out"] for row in history if "held_out" in row) > 0
    torch.testing.assert_close(network.encoder(cells.x[None, :50]).detach(), before)
