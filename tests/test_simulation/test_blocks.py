"""Blocks: they cover every cell once, and threads change nothing but the time."""

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdae_sim.simulation import _blocks as blocks
from pdae_sim.simulation.worlds import world

counts = st.lists(st.integers(1, 3 * blocks.BLOCK_CELLS), min_size=1, max_size=4)


@given(counts, st.integers(1, 5000))
def test_every_cell_is_in_one_part_of_one_block(counts, width):
    rows = [part for *_, block in blocks.blocks(counts) for part in blocks.chunks(block, width)]
    covered = np.concatenate([np.arange(part.start, part.stop) for part in rows])
    assert np.array_equal(covered, np.arange(sum(counts)))


@given(counts)
def test_a_block_belongs_to_one_environment_and_starts_where_it_always_does(counts):
    starts = np.concatenate([[0], np.cumsum(counts)])
    for environment, number, rows in blocks.blocks(counts):
        assert rows.start == starts[environment] + number * blocks.BLOCK_CELLS
        assert rows.stop <= starts[environment + 1]


@pytest.mark.parametrize("name", ["two-latents", "heavy-tails", "bimodal", "counts", "dropout"])
def test_threads_change_no_cell(name, monkeypatch):
    simulator = world(name).simulator()
    alone = simulator.sample(["ctrl", "A", "A+B"], 9000, rng=3)
    used = set()
    monkeypatch.setattr(blocks, "_SERIAL", 0)
    monkeypatch.setattr(blocks, "_threads", lambda: 4)
    draw, several = type(simulator.latent).draw, threading.Event()

    def drawn(*arguments, **settings):
        used.add(threading.get_ident())
        if len(used) > 1:
            several.set()
        several.wait(timeout=30)  # the first one waits for another, however busy the machine is
        return draw(*arguments, **settings)

    monkeypatch.setattr(type(simulator.latent), "draw", drawn)
    together = simulator.sample(["ctrl", "A", "A+B"], 9000, rng=3)
    assert len(used) > 1
    assert np.allclose(together.data.x, alone.data.x, rtol=1e-12, atol=1e-12)
    assert np.allclose(together.truth.z, alone.truth.z, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_a_part_is_the_callers(threads, monkeypatch):
    monkeypatch.setattr(blocks, "_threads", lambda: threads)
    done = []

    def work(part):
        done.append(part)
        if part == 2:
            raise ValueError("part 2")

    with pytest.raises(ValueError, match="part 2"):
        blocks.run_in_threads(work, list(range(1000)), 2**30)
    assert len(done) < 1000


def test_blocks_of_one_environment_differ():
    """The negative control: blocks with streams of their own are not copies of each other."""
    z = world("two-latents").simulator().sample(["ctrl"], 2 * blocks.BLOCK_CELLS, rng=0).truth.z
    assert not np.isclose(z[: blocks.BLOCK_CELLS], z[blocks.BLOCK_CELLS :]).any(axis=1).all()
