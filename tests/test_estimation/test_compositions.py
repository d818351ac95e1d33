"""Compositions of parts: exact where effects add, and where singles are monotone maps; blind to held-out cells."""

from __future__ import annotations

import numpy as np
import pytest

from pdae_sim import PerturbationData, energy_distance
from pdae_sim.estimation import Additive, AdditiveParts, Linear, LinearNear, TransportParts

COMPOSITIONS = [AdditiveParts, LinearNear, TransportParts]


def world(shift=(3.0, -2.0), n: int = 2000, seed: int = 0):
    """A moves the mean and doubles the spread of the first feature, B moves the second; their double does all of it."""
    rng = np.random.default_rng(seed)
    draw = lambda a, b: rng.normal(size=(n, 2)) * [1 + a, 1] + [shift[0] * a, shift[1] * b]  # noqa: E731
    cells = {"ctrl": draw(0, 0), "A": draw(1, 0), "B": draw(0, 1), "A+B": draw(1, 1)}
    data = PerturbationData.from_arrays(
        np.concatenate(list(cells.values())),
        np.repeat(list(cells), n),
        held_out=np.repeat([name == "A+B" for name in cells], n),
    )
    return data, draw(1, 1)


def distance(estimator, data, truth) -> float:
    return float(energy_distance(estimator().fit(data).sample("A+B", len(truth), rng=1), truth, unbiased=True))


class TestWhereSpreadChanges:
    @pytest.mark.parametrize("estimator", COMPOSITIONS)
    def test_cells_of_the_parts_know_what_shifts_of_the_reference_do_not(self, estimator):
        data, truth = world()
        assert distance(estimator, data, truth) < 0.7 * min(
            distance(Additive, data, truth), distance(Linear, data, truth)
        )

    def test_transport_maps_compose_and_are_exact_where_features_are_moved_one_by_one(self):
        data, truth = world(n=1000)
        assert distance(TransportParts, data, truth) < 0.02

    def test_transport_of_a_monotone_map_is_that_map(self):
        z = np.random.default_rng(0).normal(size=3000)
        x = np.concatenate([z[:1000], np.exp(z[1000:2000]), z[2000:] + 2.0])[:, None]
        data = PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "B"], 1000))
        found = TransportParts().fit(data).sample("A:0.5", 4000, rng=0)  # half of the way to exp
        want = 0.5 * (z + np.exp(z))  # cells of A have gone all of it, and come back half
        assert energy_distance(found, want[:, None], unbiased=True) < 0.1


class TestLabels:
    @pytest.mark.parametrize("estimator", COMPOSITIONS)
    def test_means_are_additive(self, estimator):
        data, _ = world()
        fitted = estimator().fit(data)
        means = {name: data.samples(e).mean(0) for e, name in enumerate(data.conditions)}
        want = means["A"] + means["B"] - means["ctrl"]
        found = fitted.sample("A+B", 20_000, rng=0).mean(0)
        np.testing.assert_allclose(found, want, atol=0.35 if estimator is TransportParts else 0.08)

    @pytest.mark.parametrize("estimator", COMPOSITIONS)
    @pytest.mark.parametrize("label", ["ctrl", "A", "A:2", "A:0.5+B:3"])
    def test_any_label_has_cells(self, estimator, label):
        data, _ = world(n=50)
        assert estimator().fit(data).sample(label, 7, rng=0).shape == (7, 2)

    @pytest.mark.parametrize("estimator", COMPOSITIONS)
    def test_a_training_single_is_its_own_cells(self, estimator):
        data, _ = world(n=50)
        found = estimator().fit(data).sample("B", 30, rng=0)
        assert np.isin(found.round(9), data.samples(2).round(9)).all()

    def test_a_perturbation_without_a_single_is_added_as_a_shift(self):
        rng = np.random.default_rng(0)
        x = rng.normal(size=(300, 1)) + np.repeat([0.0, 1.0, 6.0], 100)[:, None]
        data = PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "A+B"], 100))
        found = TransportParts().fit(data).sample("B", 2000, rng=0)
        assert abs(found.mean() - 5.0) < 0.5
