"""Baselines and tilting: one contract for all, closed forms where they have them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pdae_sim import LinearLatentModel, Simulator
from pdae_sim.errors import LabelError
from pdae_sim.estimation.baselines import BASELINES, Additive, Ceiling, Linear, Pool, Pseudobulk
from pdae_sim.estimation.tilting import Tilting


@pytest.fixture(scope="module")
def world():
    latent = LinearLatentModel([[0, 0], [0.5, 0]], [1, 1], [[1, 0, 1], [0, 1, -1]])
    return Simulator.random(latent, n_observed=4, rng=0, activation="linear")


@pytest.fixture(scope="module")
def simulation(world):
    held_out = [False, False, False, False, True]
    return world.sample(["ctrl", "A", "B", "C", "A+B"], [3000, 1000, 2000, 500, 400], rng=0, held_out=held_out)


def fitted(name: str, simulation, world):
    if name == "tilting":
        R = world.latent.whitening
        exact = SimpleNamespace(
            encode=lambda x: world.mixing.inverse(x) @ R.T, perturbation_matrix_=R @ world.latent.perturbation_matrix
        )
        return Tilting(exact).fit(simulation.data)
    return Ceiling().fit(simulation.data) if name == "ceiling" else BASELINES[name]().fit(simulation.data)


@pytest.mark.parametrize("name", [*BASELINES, "ceiling", "tilting"])
def test_every_estimator_obeys_one_contract(name, simulation, world):
    estimator = fitted(name, simulation, world)
    x = estimator.sample("A+B", 30, rng=1)
    assert x.shape == (30, 4)
    assert x.dtype == np.float64
    assert np.array_equal(x, estimator.sample([1, 1, 0], 30, rng=1))
    assert not np.array_equal(x, estimator.sample("A+B", 30, rng=2))
    with pytest.raises(LabelError, match="unknown perturbation"):
        estimator.sample("A+Z", 3, rng=0)


@pytest.mark.parametrize("name", list(BASELINES))
def test_no_baseline_looks_at_held_out_cells(name, simulation, world):
    data = simulation.data
    x = data.x.copy()
    x[data.held_out[data.environment]] = 1e9
    from dataclasses import replace

    blind = BASELINES[name]().fit(replace(data, x=x))
    assert np.array_equal(blind.sample("A+B", 20, rng=0), fitted(name, simulation, world).sample("A+B", 20, rng=0))


@pytest.mark.statistical
@pytest.mark.parametrize("name", ["additive", "linear"])
@pytest.mark.parametrize("condition", ["A+B", "A:2+B:-1", "A+B+C"])
def test_mean_shift_baselines_are_exact_under_a_linear_mixing(name, condition, simulation, world):
    n = 20_000
    predicted = fitted(name, simulation, world).sample(condition, n, rng=0)
    label = world.space.vector(condition)
    truth = world.mixing((world.latent.perturbation_matrix @ label)[None])[0]
    # noise gain at most (2² + 1 + 1 + …) over the smallest environment, spread of x about 1.4 √2
    standard_error = 2.0 * np.sqrt(9 / 500 + 1 / n)
    assert np.abs(predicted.mean(0) - truth).max() < 5 * standard_error


@pytest.mark.statistical
def test_tilting_with_exact_ratios_reaches_the_unseen_mean(simulation, world):
    estimator = fitted("tilting", simulation, world)
    predicted = estimator.sample("A+B", 20_000, rng=0)
    truth = world.mixing((world.latent.perturbation_matrix @ [1, 1, 0])[None])[0]
    effective = estimator.effective_sample_size("A+B")
    assert 100 < effective < len(simulation.data.train.x)
    assert np.abs(predicted.mean(0) - truth).max() < 5 * 2.0 / np.sqrt(effective)


def test_tilting_says_where_its_support_ends(simulation, world):
    estimator = fitted("tilting", simulation, world)
    sizes = [estimator.effective_sample_size(f"A:{dose}+B:{dose}") for dose in (1, 3, 8)]
    assert sizes[0] > 10 * sizes[1]
    assert sizes[2] < 5


def test_pool_weighs_environments_and_not_cells(simulation):
    x = Pool().fit(simulation.data).sample("A", 8000, rng=0)
    train = simulation.data.train
    means = np.array([train.samples(e).mean(0) for e in range(4)])
    assert np.linalg.norm(x.mean(0) - means.mean(0)) < np.linalg.norm(x.mean(0) - train.x.mean(0))


def test_pseudobulk_uses_conditions_that_share_a_part_and_falls_back_to_all(simulation):
    data = simulation.data
    estimator = Pseudobulk().fit(data)
    allowed = {tuple(row) for e in (1, 2) for row in data.samples(e)}
    assert all(tuple(row) in allowed for row in estimator.sample("A+B", 50, rng=0))
    assert estimator.sample("ctrl", 5, rng=0).shape == (5, 4)


def test_additive_of_a_measured_single_is_control_moved_by_its_mean_shift(simulation):
    data = simulation.data.train
    drawn = Additive().fit(data).sample("A", 500, rng=0)
    control = drawn - (data.samples(1).mean(0) - data.samples(0).mean(0))
    rows = {tuple(np.round(row, 9)) for row in data.samples(0)}
    assert all(tuple(np.round(row, 9)) in rows for row in control)


def test_linear_keeps_the_residuals_of_all_cells(simulation):
    assert Linear().fit(simulation.data).sample("A+B", 4000, rng=0).std(0) == pytest.approx(
        simulation.data.train.samples(0).std(0), rel=0.2
    )


def test_the_ceiling_needs_the_condition(simulation):
    with pytest.raises(ValueError, match="no cells of condition 'A\\+C'"):
        Ceiling().fit(simulation.data).sample("A+C", 3)
