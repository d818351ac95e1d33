"""Conditions of few cells: they sit out or weigh by their cells, are told in one line, and leave predictions alone."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from pdae_sim import PDAE, PerturbationData, energy_distance
from pdae_sim._checks import listed
from pdae_sim.analysis.span import check_span
from pdae_sim.errors import InputError
from pdae_sim.estimation._batches import Cells, kept_out
from pdae_sim.estimation._cell_numbers import by_cells, sits_out, weights, weighty
from pdae_sim.estimation._posterior_gauge import posterior_moments
from pdae_sim.estimation._scaling import LabelScaling, Scaling
from pdae_sim.estimation._sources import environment_weights
from pdae_sim.estimation._whitening import covariance_within
from pdae_sim.estimation.additive_vae import AdditiveVAE
from pdae_sim.estimation.adversarial import AdversarialAutoencoder
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.estimation.conditional import ConditionalGenerator
from pdae_sim.estimation.phases import Phase
from pdae_sim.estimation.presets import PRESETS
from pdae_sim.estimation.tilting import Tilting

W = np.array([[1.5, 0.0, 0.7], [0.0, 1.5, -0.7]])
MAP = np.array([[1.0, 0.0, 1.0, 0.5], [0.0, 1.0, -1.0, 0.5]])


def linear(labels: np.ndarray, counts: list[int], *, noise: float = 0.0, seed: int = 0) -> PerturbationData:
    """Cells (z + W l) MAP of labels (E, K), the first three perturbations with an effect."""
    rng = np.random.default_rng(seed)
    each = np.repeat(labels, counts, axis=0)
    x = (rng.normal(size=(len(each), 2)) + each[:, :3] @ W.T) @ MAP
    return PerturbationData.from_arrays(x + noise * rng.normal(size=x.shape), each)


def with_strays(n_strays: int = 2, cells: int = 300) -> PerturbationData:
    """Control and three singles, and strays of one and two cells at odd doses, the last of one of its own."""
    labels = np.zeros((4 + n_strays, 4))
    labels[1:4, :3] = np.eye(3)
    labels[4:, 0] = 30.0 + np.arange(n_strays)
    labels[-1] = [0.0, 0.0, 0.0, 1.0]
    return linear(labels, [cells] * 4 + [1, 2] * (n_strays // 2))


def singletons(n: int, *, noise: float = 0.0, seed: int = 0) -> PerturbationData:
    rng = np.random.default_rng([seed, 1])
    labels = (rng.random((n, 3)) < 0.5) * (0.5 + rng.random((n, 3)))
    labels[0] = 0.0
    return linear(labels + 1e-6 * np.arange(n)[:, None], [1] * n, noise=noise, seed=seed)


def cells_of(data: PerturbationData) -> Cells:
    labels = torch.tensor(data.labels, dtype=torch.float32)[None]
    x = torch.tensor(data.x, dtype=torch.float32)
    return Cells(x, labels, (data.rows_by_environment,), (np.random.SeedSequence(0),))


@pytest.mark.parametrize(
    ("counts", "out", "singly", "expected"),
    [
        ([1000] * 4, 0, False, [1.0] * 4),
        ([1000, 1000, 2], 1, False, [1, 1, 0.002]),
        ([1000, 1000] + [5] * 30, 30, False, [1, 1] + [0.005] * 30),
        ([1000, 1000] + [5] * 60, 0, True, None),  # 300 of 2,300 cells are no strays
        ([10, 10, 10], 0, False, [1.0] * 3),  # a small experiment
        ([300, 5, 5], 0, True, None),  # without them there is one condition
        ([2] * 100, 0, True, [1.0] * 100),
        ([1] * 100, 0, True, [1.0] * 100),
    ],
)
def test_weights_are_what_numbers_of_cells_can_bear(counts, out, singly, expected):
    counts = np.array(counts)
    assert sits_out(counts).sum() == out
    assert by_cells(counts) is singly
    np.testing.assert_allclose(weights(counts), counts / counts.mean() if expected is None else expected)


class TestStrays:
    def test_steps_and_cells_kept_out_are_those_of_the_others(self):
        with_them, without = cells_of(with_strays()), cells_of(with_strays().select([0, 1, 2, 3]))
        phase = Phase("p", 5, {"density_ratio": 1.0}, cells=8, held_out=0.1)
        mine, kept = with_them.weighty().split_held_out(0.1)
        theirs, same = without.weighty().split_held_out(0.1)
        assert kept is not None
        torch.testing.assert_close(kept, same, rtol=0, atol=0)
        for step in range(3):
            torch.testing.assert_close(mine.batch(phase, step), theirs.batch(phase, step), rtol=0, atol=0)
        assert without.weighty() is without

    def test_no_unit_is_theirs(self):
        data = with_strays()
        without = data.select([0, 1, 2, 3])
        np.testing.assert_array_equal(LabelScaling.of(data.labels, data.counts).unit, [1.0, 1.0, 1.0, 1.0])
        np.testing.assert_array_equal(Scaling.of(weighty(data)).scale, Scaling.of(without).scale)

    def test_predictions_are_as_near_as_without_and_it_is_told_once(self, caplog):
        data, seen = with_strays(), np.array([1.0, 1.0, 0.0, 0.0])
        true = linear(seen[None], [2000], seed=9).x
        plan = {"observation": "noiseless", "steps": 60}
        with caplog.at_level(logging.WARNING, "pdae_sim"):
            model = PDAE(2, **plan).fit(data)
        told = [r.getMessage() for r in caplog.records if "fewer than 20 cells" in r.getMessage()]
        assert told == [
            "2 of 6 training conditions have fewer than 20 cells (3 of 1,203 cells): they sit out of training and "
            "count by their cells where effects are refitted"
        ]
        assert any("held_out" in row for row in model.history_)
        without = PDAE(2, **plan).fit(data.select([0, 1, 2, 3]))
        errors = [energy_distance(m.sample(seen, 2000, rng=0), true, unbiased=True) for m in (model, without)]
        assert errors[0] < 1.5 * max(errors[1], 1e-3)
        assert np.linalg.norm(model.perturbation_matrix_[:, 3]) > 0  # by its two cells
        assert model.train_counts_.sum() == 1203

    def test_sources_give_them_no_more_than_their_cells(self):
        data = with_strays()
        args = data.labels[4], data.labels, np.pad(W, ((0, 0), (0, 1))), data.counts
        assert environment_weights("pool", *args)[4:].sum() < 0.003
        near = environment_weights("near", *args)
        assert near[:4].sum() > 0.99  # one cell is no source

    @pytest.mark.parametrize("name", list(BASELINES))
    def test_baselines_hardly_move(self, name):
        data = with_strays()
        label = np.array([1.0, 1.0, 0.0, 0.0])
        with_them, without = (
            BASELINES[name]().fit(d).sample(label, 2000, rng=0) for d in (data, data.select([0, 1, 2, 3]))
        )
        assert energy_distance(with_them, without, unbiased=True) < 0.02

    @pytest.mark.parametrize("kind", [AdditiveVAE, AdversarialAutoencoder])
    def test_rivals_leave_them_out(self, kind):
        model = kind(2, phase=Phase("short", 3, cells=8), observation="gaussian").fit(with_strays())
        assert (model.effects_[3] == 0).all()


class TestEarlyStopping:
    def test_conditions_that_have_enough_give_cells(self):
        np.testing.assert_array_equal(kept_out(0.1, np.array([1000, 1000, 1000]), 5), [100, 100, 100])
        np.testing.assert_array_equal(kept_out(0.1, np.array([25, 1000, 900]), 5), [0, 90, 90])
        assert not kept_out(0.1, np.array([25, 25, 25]), 5).any()

    def test_where_cells_weigh_alike_a_share_of_all_is_given(self):
        given = kept_out(0.1, np.array([500] + [1] * 1500), 5)
        assert (given.sum(), given[0], given.max()) == (200, 50, 50)
        rest, kept = cells_of(singletons(1000)).split_held_out(0.1)
        assert kept is not None
        assert [each.shape for each in kept] == [(1, 100, 1, 4), (1, 100, 3)]
        assert sum(map(len, rest.rows[0])) == 900


class TestSingletons:
    def test_covariance_is_about_the_regression(self):
        data = singletons(4000)
        z = np.linalg.lstsq(MAP.T, data.x.T, rcond=None)[0].T
        means = z[np.concatenate(data.rows_by_environment)]
        C = covariance_within(data.labels, data.counts, means, np.zeros((2, 2)))
        np.testing.assert_allclose(C, np.eye(2), atol=5 / np.sqrt(4000))

    @pytest.mark.parametrize("plan", sorted(set(PRESETS) - {"marginal", "marginal_screen"}))
    def test_every_plan_takes_them(self, plan):
        preset = PRESETS[plan].shortened(2)
        phases = tuple(p.by_cells(4) for p in preset.phases)
        data = singletons(150)
        lifted = PerturbationData(np.abs(data.x), data.labels, data.environment, data.names)
        model = PDAE(2, observation="noiseless", phases=phases, architecture=preset.architecture).fit(lifted)
        assert np.isfinite(model.sample("P0", 5, rng=0)).all()

    @pytest.mark.parametrize("noise", [0.0, 0.3])
    def test_they_are_fitted_and_told_in_a_line(self, noise, caplog):
        data = singletons(700, noise=noise)
        observation = "gaussian" if noise else "noiseless"
        with caplog.at_level(logging.WARNING, "pdae_sim"):
            model = PDAE(2, observation=observation, steps=100).fit(data)
        assert [r.getMessage() for r in caplog.records] == [
            "700 of 700 training conditions have fewer than 20 cells (700 of 700 cells): every cell weighs the same, "
            "and not every condition"
        ]
        assert any("held_out" in row for row in model.history_)
        G, true = model.perturbation_matrix_.T @ model.perturbation_matrix_, W.T @ W
        assert np.linalg.norm(G - true) / np.linalg.norm(true) < 0.2
        drawn = model.sample("P0+P1", 2000, rng=0)
        x = linear(np.array([[1.0, 1.0, 0.0]]), [2000], noise=noise, seed=5).x
        assert energy_distance(drawn, x, unbiased=True) < 0.05
        assert abs(Tilting(model).fit(data).weights("P0+P1").sum() - 1) < 1e-9

    @pytest.mark.parametrize("observation", ["noiseless", pytest.param("gaussian", marks=pytest.mark.slow)])
    def test_the_number_of_latents_is_found_on_them(self, observation):
        rng = np.random.default_rng(3)
        plain = singletons(700)
        z = rng.normal(size=(700, 4)) + plain.labels @ rng.normal(size=(3, 4))
        x = np.hstack([np.sinh(z), z @ rng.normal(size=(4, 4))]) + 0.3 * rng.normal(size=(700, 8))
        data = PerturbationData(x, plain.labels, plain.environment, plain.names)
        assert 1 <= PDAE(observation=observation, steps=2).fit(data).dimension_.n_latents <= 4

    def test_rivals_take_them(self):
        data = singletons(150)
        for kind in (AdditiveVAE, AdversarialAutoencoder, ConditionalGenerator):
            model = kind(2, phase=Phase("short", 3, cells=8, held_out=0.5)).fit(data)
            assert model.sample("P0", 5, rng=0).shape == (5, 4)
        for kind in BASELINES.values():
            assert kind().fit(data).sample("P0", 5, rng=0).shape == (5, 4)

    def test_moments_of_cells_taken_together_are_those_of_each(self):
        data = singletons(60, noise=0.3)
        model = PDAE(2, observation="gaussian", steps=2).fit(data)
        from pdae_sim.estimation import _bank as bank

        (ordered,) = bank.frame([model], [data])
        moments = posterior_moments(model._posterior, bank.training_cells([model], [ordered]), 0)
        assert [m.shape for m, _ in moments] == [(1, 2)] * 60


def test_a_handful_of_single_cells_is_refused_in_a_line():
    with pytest.raises(
        InputError, match="has one cell, and 3 are there in all; a fit needs two of every condition, or 20 in all"
    ):
        PDAE(1).fit(PerturbationData.from_arrays(np.eye(3), ["ctrl", "A", "B"]))


class TestLists:
    def test_long_lists_are_cut(self):
        assert listed("AB") == "A, B"
        assert listed(range(5000), shown=2) == "0, 1, … (5,000 in all)"

    def test_combinations_of_thousands_are_a_line(self):
        n = 500
        (certificate,) = check_span(np.vstack([np.zeros(n), np.eye(n)]), np.ones((1, n)))
        told = certificate.in_words("all", ["ctrl", *(f"P{k}" for k in range(n))], [f"P{k}" for k in range(n)])
        assert len(told) < 200
        assert "(501 terms in all)" in told
