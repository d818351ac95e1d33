"""Spread of base latents that changes with the label: how it is learnt, and what predictions make of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pdae_sim import energy_distance
from pdae_sim.estimation._spread import log_scales, scaled

LABELS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
TURN = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
SCALES = np.array([[0.6, 0.0, -0.3], [0.0, 0.5, 0.0]])  # of A and of B, along the columns of TURN


def base_of(labels, n=2000, seed=0, information=1.0):
    """Base latents of every label, as posterior draws show them where cells carry so much information."""
    rng, parts = np.random.default_rng(seed), []
    for label in labels:
        z = rng.normal(size=(n, 3)) * np.exp(label @ SCALES) @ TURN.T
        mean = information * z + np.sqrt(information * (1 - information)) * rng.normal(size=(n, 3))
        parts.append(mean + np.sqrt(1 - information) * rng.normal(size=(n, 3)))
    return np.concatenate(parts)


def model_of(information=1.0, n=2000):
    return SimpleNamespace(
        base_latents_=base_of(LABELS, n, information=information),
        _base_environment=np.repeat(np.arange(3), n),
        train_labels_=LABELS,
        information_=information * np.eye(3),
    )


class TestLogScales:
    @pytest.mark.parametrize("information", [1.0, 0.7])
    def test_they_are_found_through_posterior_draws_in_any_axes(self, information):
        model = model_of(information, n=6000)
        _, change = log_scales(model.base_latents_, model._base_environment, LABELS, model.information_)
        expected = [TURN @ np.diag(row) @ TURN.T for row in SCALES]
        assert np.abs(change - expected).max() < 0.12  # four standard errors at n = 6,000 and J = 0.7

    def test_chance_is_shrunk_away(self):
        z = np.random.default_rng(0).normal(size=(200, 6))
        _, change = log_scales(z, np.repeat([0, 1], 100), np.array([[0.0], [1.0]]), 0.5 * np.eye(6))
        assert np.abs(change).max() < 0.3
        raw = np.log(np.linalg.eigvalsh(np.eye(6) + 4 * (np.cov(z[100:].T) - np.eye(6))).clip(0.1)) / 2
        assert np.abs(raw).max() > 0.6

    def test_a_condition_of_fewer_cells_than_latents_says_nothing(self):
        z = np.vstack([np.random.default_rng(0).normal(size=(100, 3)), np.full((2, 3), 50.0)])
        _, change = log_scales(z, np.repeat([0, 1], [100, 2]), np.array([[0.0], [1.0]]), np.eye(3))
        assert np.abs(change).max() < 0.5


class TestScaled:
    def test_cells_and_draws_of_the_prior_get_the_spread_of_a_combination(self):
        model, target = model_of(n=4000), np.array([1.0, 1.0])
        truth = base_of(target[None], n=4000, seed=5)
        for base, environment in ((model.base_latents_, model._base_environment), (None, None)):
            base = np.random.default_rng(1).normal(size=(4000, 3)) if base is None else base
            moved = scaled(model, base, target, environment)
            assert energy_distance(moved, truth) < 0.02 < energy_distance(base, truth)

    def test_cells_of_the_label_itself_stay(self):
        model = model_of(n=50)
        base = model.base_latents_[:50]
        np.testing.assert_allclose(scaled(model, base, LABELS[0], np.zeros(50, int)), base)
