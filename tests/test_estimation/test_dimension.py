"""The number of latents: right on manifolds, unsure where cells are no manifold, and never from the truth."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim import PDAE
from pdae_sim.estimation._dimension import Dimension, by_information, choose, neighbour_dimension
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.presets import DEFAULT
from pdae_sim.simulation.worlds import world


def unused(d: int) -> np.ndarray:
    raise AssertionError(f"neighbours should have settled it; asked for {d}")


@settings(deadline=None, max_examples=10)
@given(d=st.integers(1, 6), scale=st.floats(1e-3, 1e3), seed=st.integers(0, 99))
def test_neighbours_find_the_dimension_of_a_flat_in_any_scale_and_rotation(d, scale, seed):
    rng = np.random.default_rng(seed)
    x = scale * rng.normal(size=(3000, d)) @ np.linalg.qr(rng.normal(size=(8, d)))[0].T
    estimate, se = neighbour_dimension(x)
    assert abs(estimate - d) < 5 * se + 0.05 * d


def test_neighbours_agree_with_a_naive_loop():
    x = np.random.default_rng(0).normal(size=(60, 3))
    logs = []
    for i in range(60):
        t = sorted(math.dist(x[i], x[j]) for j in range(60) if j != i)[:5]
        logs += [math.log(t[-1] / each) for each in t[:-1]]
    estimate, se = neighbour_dimension(x, k=5)
    assert estimate == pytest.approx(len(logs) / sum(logs))
    assert se == pytest.approx(estimate / math.sqrt(len(logs)))


@pytest.mark.parametrize(("name", "d_Z"), [("three-singles", 2), ("one-short", 3), ("curved", 2), ("polynomial", 2)])
def test_noiseless_worlds_give_their_latents_away(name, d_Z):
    choice = choose(*cells(name), unused, np.random.default_rng(0))
    assert (choice.n_latents, choice.sure) == (d_Z, True)
    assert abs(choice.estimate - d_Z) < 0.2


@pytest.mark.parametrize("name", ["noisy", "counts"])
def test_cells_that_fill_space_are_no_manifold_and_it_is_said(name, caplog):
    x, rank = cells(name)
    choice = choose(x, rank, unused, np.random.default_rng(0))
    assert (choice.n_latents, choice.sure) == (rank, False)
    assert "not sure: give n_latents" in caplog.text


def test_many_dimensions_are_left_to_a_short_fit():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(2000, 8))
    x = np.column_stack([z, 0.3 * z**2])
    choice = choose(x, 12, telling(8), rng)
    assert (choice.n_latents, choice.sure) == (8, True)
    assert choice.errors[8] == pytest.approx(0.1)
    assert choice.errors[9] == pytest.approx(0.9)


def test_a_short_fit_that_neighbours_contradict_is_not_sure():
    x = np.random.default_rng(0).normal(size=(3000, 4)) @ np.random.default_rng(1).normal(size=(4, 10))
    x = np.column_stack([x, x**2])
    assert not choose(x, 8, telling(5), np.random.default_rng(0)).sure


def telling(d_Z: int):
    """A short fit whose cells tell of d_Z latents and hardly of others."""
    return lambda d: np.where(np.arange(d) < d_Z, 0.9, 0.1)


@pytest.mark.parametrize(
    ("shares", "rank", "found"),
    [
        ([0.99, 0.97, 0.87, 0.80, 0.05, 0.04, 0.03], 6, (4, True)),
        ([0.99, 0.79, 0.04], 2, (2, True)),  # the largest fall is no gap where cells tell of what follows
        ([0.93, 0.84, 0.60, 0.39], 2, (2, False)),
        ([0.84, 0.63, 0.45, 0.23, 0.06, 0.05], 5, (4, False)),
        ([0.87, 0.80, 0.70], 1, (1, False)),  # more than can be identified
        ([0.9, 0.05], 0, (1, True)),
        ([], 3, (3, False)),
    ],
)
def test_a_gap_of_what_cells_tell_is_the_number_of_latents(shares, rank, found):
    choice = by_information(rank, 50, lambda d: np.array(shares[:d]))
    assert (choice.n_latents, choice.sure) == found
    assert list(choice.errors.values()) == pytest.approx(1 - np.array(shares))


def test_more_latents_are_tried_while_cells_tell_of_all():
    tried = []
    choice = by_information(60, 80, lambda d: tried.append(d) or telling(30)(d))
    assert (choice.n_latents, choice.sure) == (30, True)
    assert tried == [12, 24, 48]


def test_cells_that_tie_tell_nothing():
    choice = choose(np.zeros((500, 4)), 2, unused, np.random.default_rng(0))
    assert (choice.n_latents, choice.sure) == (1, False)
    assert math.isnan(choice.estimate)
    assert math.isnan(Dimension.from_json(json.loads(json.dumps(choice.to_json(), allow_nan=False))).estimate)


def test_a_fit_estimates_what_it_is_not_told_and_remembers_why(tmp_path, caplog):
    data = world("three-singles", ("design.cells=150",)).simulate().data
    phases = [replace(phase, steps=2, cells=8) for phase in DEFAULT.phases]
    shape = Architecture(width=8)
    with caplog.at_level(logging.INFO, "pdae_sim"):
        model = PDAE(phases=phases, architecture=shape).fit(data)
    assert model.perturbation_matrix_.shape == (2, 3)
    assert model.dimension_.sure
    assert "n_latents = 2" in caplog.text
    model.save(tmp_path / "m")
    assert PDAE.load(tmp_path / "m").dimension_ == model.dimension_
    assert PDAE(3, phases=phases, architecture=shape).fit(data).dimension_ is None
    assert Dimension.from_json(None) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "seed", "d_Z"),
    [("doses", 0, 4), ("dropout", 0, 2), ("ten-latents", 0, 10)],
)
def test_a_short_fit_finds_the_latents_of_named_worlds(name, seed, d_Z):
    model = PDAE()
    model._frame(world(name, ("design.cells=1000",), seed=seed).simulate().data)
    assert (model.dimension_.n_latents, model.dimension_.sure) == (d_Z, True)


def cells(name: str) -> tuple[np.ndarray, int]:
    data = world(name, ("design.cells=1500",)).simulate().data.train
    scale = data.x.std(0)
    rank = np.linalg.matrix_rank(data.labels - data.labels[data.reference])
    return (data.x - data.x.mean(0)) / np.where(scale > 0, scale, 1.0), int(rank)


class TestOddCells:
    def test_cells_given_twice_do_not_make_it_smaller(self):
        x = np.random.default_rng(0).normal(size=(1500, 3))
        twice = np.concatenate([x, x[:400]])
        assert choose(twice, 5, unused, np.random.default_rng(0)).n_latents == 3

    def test_a_flat_has_no_more_directions_than_it_varies_in(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(3000, 4)) @ rng.normal(size=(4, 10))
        asked = []
        choice = choose(x, 8, lambda d: asked.append(d) or telling(4)(d), rng)
        assert (choice.n_latents, choice.sure) == (4, True)
        assert max(asked, default=4) <= 4

    def test_nearly_equidistant_cells_are_settled_at_once(self):
        x = np.random.default_rng(0).normal(size=(300, 2000))
        choice = choose(x, 5, unused, np.random.default_rng(0))
        assert (choice.n_latents, choice.sure) == (5, False)

    def test_a_fit_without_cells_kept_out_is_not_sure_of_many(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 12))
        choice = choose(x, 9, lambda d: np.empty(0), rng)
        assert not choice.sure
        assert abs(choice.n_latents - 6) <= 1

    @pytest.mark.parametrize("n", [3, 40])
    def test_few_cells_and_constant_columns_are_no_error(self, n):
        x = np.random.default_rng(0).normal(size=(n, 3)) * [1.0, 1.0, 0.0]
        assert choose(x, 4, telling(2), np.random.default_rng(0)).n_latents in (1, 2)
