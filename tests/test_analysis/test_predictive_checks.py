"""Goodness of fit of observation models: exact where the law is right, and each fault named where it is wrong."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from experiments.benchmarks.goodness import judged_noisy
from pdae_sim import PDAE, PerturbationData
from pdae_sim.analysis.hypothesis_tests.goodness import ModelPart
from pdae_sim.analysis.hypothesis_tests.predictive_checks import FeatureCheck, _poisson_binomial, observation_fit
from pdae_sim.cli._app import run
from pdae_sim.errors import InputError
from pdae_sim.estimation import remeasure
from pdae_sim.study import check_observation
from tests.test_analysis.planted import outside_band

LAWS = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "sparse counts": lambda rng, shape: rng.poisson(0.05, shape),
    "half lost": lambda rng, shape: rng.normal(size=shape) * (rng.random(shape) < 0.5),
}


def cells(law, shape, seed):
    return LAWS[law](np.random.default_rng(seed), shape)


def beside(observed, measurements, seed=0):
    return observation_fit(observed, measurements, rng=seed)


def faults(fit, feature):
    return {test.fault for test in fit.faulty_features().get(feature, ())}


class TestLevel:
    @pytest.mark.statistical
    @pytest.mark.parametrize("law", LAWS)
    def test_p_values_of_a_right_model_are_uniform_or_larger(self, law):
        """Ties and all: 200 worlds of 20 cells; those of zeros are discrete, hence only never too small."""
        worlds = [cells(law, (40, 20, 1), [1, seed]) for seed in range(200)]
        found = [beside(y[0], y[1:], seed) for seed, y in enumerate(worlds)]
        for check in (FeatureCheck.CENTRE, FeatureCheck.SPREAD, FeatureCheck.MEAN_VARIANCE):
            assert not outside_band([fit.tests.p_values[f"x1: {check}"] for fit in found]), check
        zeros = np.array([fit.tests.p_values.get("x1: zeros", 1.0) for fit in found])
        for level in (0.01, 0.05, 0.1):
            assert (zeros <= level).sum() <= stats.binom.ppf(0.995, 200, level)
            assert sum(fit.p_value <= level for fit in found) <= stats.binom.ppf(0.995, 200, level)

    def test_zeros_have_a_poisson_binomial_law(self):
        """Against convolution, one event after the other."""
        sizes = np.array([[1, 3, 0, 2, 1], [0, 0, 7, 0, 0]])
        for row, law in zip(sizes, _poisson_binomial(sizes), strict=True):
            naive = np.ones(1)
            for k, size in enumerate(row):
                for _ in range(size):
                    naive = np.convolve(naive, [1 - k / 4, k / 4])
            assert np.allclose(law, naive, atol=1e-14)

    @pytest.mark.parametrize("chance", [0.1, 0.5, 0.9])
    def test_the_p_value_of_zeros_is_that_of_adding_events_one_by_one(self, chance):
        """Cells of which none is zero in all measurements, or all are, and such with both."""
        rng = np.random.default_rng(int(10 * chance))
        y = 1.0 * (rng.random((20, 12, 1)) > chance)
        law, among = np.ones(1), (y == 0).sum(0)[:, 0]
        for k in among:
            law = np.convolve(law, [1 - k / 20, k / 20])
        seen = int((y[0] == 0).sum())
        expected = min(1.0, 2 * min(law[: seen + 1].sum(), law[seen:].sum()))
        assert beside(y[0], y[1:]).tests.p_values["x1: zeros"] == pytest.approx(expected, abs=1e-9)

    def test_residuals_fill_their_bins_evenly_however_many_are_tied(self):
        y = cells("sparse counts", (20, 4000, 1), 0)
        assert np.abs(beside(y[0], y[1:]).histograms / 4000 - 0.1).max() < 4 * np.sqrt(0.09 / 4000)


class TestFaults:
    """Each fault planted in the first feature; the second is right."""

    @pytest.mark.parametrize(
        ("plant", "fault"),
        [
            (lambda x, mean: 1.5 * x, "over-dispersed"),
            (lambda x, mean: 0.6 * x, "under-dispersed"),
            (lambda x, mean: x + 0.3, "above the model's mean"),
            (lambda x, mean: x * np.exp(0.3 * mean), "noisier at large means"),
            (lambda x, mean: x * np.exp(-0.3 * mean), "quieter at large means"),
        ],
    )
    def test_of_noise(self, plant, fault):
        rng = np.random.default_rng(0)
        mean, noise = rng.normal(size=(500, 2)), rng.normal(size=(60, 500, 2))
        x = mean + noise[0]
        x[:, 0] = mean[:, 0] + plant(noise[0, :, 0], mean[:, 0])
        fit = beside(x, mean + noise[1:])
        assert fault in faults(fit, "x1")
        assert not faults(fit, "x2")

    def test_of_zeros(self):
        rng = np.random.default_rng(0)
        y = rng.poisson(1.0, size=(60, 500, 2))
        x = y[0] * np.column_stack([rng.random(500) < 0.8, np.ones(500)])
        assert "too many zeros" in faults(beside(x, y[1:]), "x1")
        assert "too few zeros" in faults(beside(np.maximum(x, [[1, 0]]), y[1:]), "x1")

    def test_poisson_for_negative_binomial_counts(self):
        rng = np.random.default_rng(0)
        rate = rng.gamma(2.0, 2.0, size=(500, 2))
        x = rng.poisson(rate * np.column_stack([rng.gamma(2.0, 0.5, 500), np.ones(500)]))
        fit = beside(x, (rng.poisson(rate) for _ in range(60)))
        assert {"over-dispersed", "too many zeros"} <= faults(fit, "x1")
        assert not faults(fit, "x2")


class TestRecord:
    def test_is_plain_json_with_words(self):
        y = cells("half lost", (40, 100, 2), 0)
        found = beside(3.0 * y[0], y[1:]).to_json()
        assert json.loads(json.dumps(found, allow_nan=False)) == found
        assert {row["check"] for row in found["rows"]} == set(FeatureCheck)
        assert found["faults"][0]["faults"][0] == "over-dispersed"
        assert "over-dispersed in 2 (x" in found["in_words"]

    def test_what_has_no_zeros_has_no_test_of_them(self):
        y = cells("normal", (40, 20, 2), 0)
        assert "x1: zeros" not in beside(y[0], y[1:]).tests.p_values

    @pytest.mark.parametrize(
        ("x", "y", "message"),
        [
            (np.zeros((7, 1)), np.zeros((20, 7, 1)), "8 cells or more; received 7"),
            (np.zeros((9, 1)), np.zeros((18, 9, 1)), "19 or more; received 18"),
            (np.zeros((9, 1)), np.zeros((20, 8, 1)), "the 9 rows of observed; received 8"),
            (np.zeros((9, 1)), np.zeros((20, 9, 2)), "1 columns"),
        ],
    )
    def test_bad_input_is_one_line(self, x, y, message):
        with pytest.raises(InputError, match=message):
            observation_fit(x, y)


@pytest.mark.statistical
def test_parts_of_a_right_model_of_noisy_cells_pass_by_posterior_draws_and_not_by_means():
    draws, means = (judged_noisy(0, 300, draws=draws) for draws in (True, False))
    assert not draws.faults()
    assert ModelPart.BASE in means.faults()


@pytest.fixture(scope="module")
def fitted():
    """A hardly trained Poisson model of negative binomial counts, its data and fresh cells."""
    rng = np.random.default_rng(0)
    x = rng.poisson(rng.gamma(1.0, [[4.0, 4.0, 4.0, 1.0]], size=(600, 4)))
    data = PerturbationData.from_arrays(x.astype(float), ["ctrl", "A"] * 300)
    train, fresh = data.rows(np.arange(400)), data.rows(np.arange(400, 600))
    return PDAE(1, observation="poisson", steps=30).fit(train), train, fresh


class TestFitted:
    def test_counts_are_measured_anew_at_the_totals_of_the_cells(self, fitted):
        model, _, fresh = fitted
        x, again = remeasure(model, fresh.samples(0), "ctrl", draws=2, rng=0)
        assert (x == fresh.samples(0)).all()
        first, second = again
        assert (first.sum(1) == x.sum(1)).all()
        assert (first != second).any()

    def test_lost_entries_are_zeros_of_the_table(self):
        x = np.random.default_rng(0).normal(3.0, 1.0, size=(80, 3)) * (np.random.default_rng(1).random((80, 3)) < 0.7)
        data = PerturbationData.from_arrays(x, ["ctrl", "A"] * 40)
        model = PDAE(1, observation="dropout", steps=2).fit(data)
        observed, again = remeasure(model, x[::2], "ctrl", draws=1, rng=0)
        assert ((observed == 0) == (x[::2] == 0)).all()
        assert 0 < (next(again) == 0).mean() < 1

    def test_a_wrong_model_is_told_in_words(self, fitted):
        model, train, fresh = fitted
        fit = check_observation(model, fresh, fitted_on=train, rng=0)
        assert "over-dispersed" in fit.in_words()
        assert fit.to_json() == check_observation(model, fresh, fitted_on=train, rng=0).to_json()
        with pytest.raises(InputError, match="share cells"):
            check_observation(model, train, fitted_on=train)

    def test_without_noise_there_is_nothing_to_judge(self, simulation):
        model = PDAE(2, observation="noiseless", steps=2).fit(simulation.data)
        assert check_observation(model, simulation.data) is None
        with pytest.raises(InputError, match="noiseless"):
            remeasure(model, simulation.data.x, "ctrl")

    def test_the_command_names_features_in_words_json_and_picture(self, fitted, tmp_path, capsys):
        model, train, fresh = fitted
        model.save(tmp_path / "m")
        train.write(tmp_path / "d.h5ad")
        fresh.write(tmp_path / "fresh.h5ad")
        words = ["evaluate", *(str(tmp_path / name) for name in ("m", "d.h5ad")), "--goodness", "--quiet"]
        words += ["--cells", str(tmp_path / "fresh.h5ad")]
        assert run([*words, "--figure", str(tmp_path / "f.png")]) == 0
        assert "Observation model poisson" in capsys.readouterr().out
        assert run([*words, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["observation"]
        assert {fault for row in found["faults"] for fault in row["faults"]} >= {"over-dispersed"}
