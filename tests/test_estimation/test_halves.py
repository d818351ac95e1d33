"""Fits to halves: they share no cell, their differences have the spread of a fit to all, and files keep them whole."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from pdae_sim import PDAE, InputError, PerturbationData
from pdae_sim.estimation import HalfFits, fit_halves
from pdae_sim.estimation.halves import _halves

LABELS = ["ctrl"] * 41 + ["A"] * 40 + ["B"]


def numbered():
    return PerturbationData.from_arrays(np.arange(82.0)[:, None] * [1.0, 1.0], LABELS)


def means(n, splits, rng):
    """Halves of n normal draws as fits whose statistic is their mean, and the mean of all."""
    x = rng.normal(size=n)
    pairs = []
    for _ in range(splits):
        order = rng.permutation(n)
        pairs.append(tuple(SimpleNamespace(w=x[part].mean()) for part in np.split(order, 2)))
    return HalfFits(tuple(pairs)), x.mean()


class TestSplits:
    def test_no_cell_is_in_both_halves_but_that_of_a_condition_with_one(self):
        one, two = _halves(numbered(), np.random.default_rng(0))
        assert set(one.x[:, 0]) & set(two.x[:, 0]) == {81.0}
        assert sorted({*one.x[:, 0], *two.x[:, 0]}) == list(range(82))
        assert one.conditions == two.conditions == ("ctrl", "A", "B")
        assert one.counts.tolist() == [20, 20, 1]

    def test_settings_are_those_of_the_model_and_seeds_are_not(self):
        data = shifted()
        halves = fit_halves(PDAE(2, steps=4, observation="gaussian"), data, n_splits=2, rng=3)
        again = fit_halves(PDAE(2, steps=4, observation="gaussian"), data, n_splits=2, rng=3)
        assert {(fit.n_latents, fit.observation_.name, fit.steps) for fit in halves.fits} == {(2, "gaussian", 4)}
        assert len({fit.random_state for fit in halves.fits}) == 4
        for fit, same in zip(halves.fits, again.fits, strict=True):
            np.testing.assert_array_equal(fit.perturbation_matrix_, same.perturbation_matrix_)


def test_splits_can_be_added_by_the_same_seed_alone():
    model, data, seen = PDAE(1, steps=3, observation="gaussian"), shifted(), []
    whole = fit_halves(model, data, n_splits=2, rng=5, on_split=lambda fits: seen.append(len(fits.pairs)))
    first = fit_halves(model, data, n_splits=1, rng=5)
    added = fit_halves(model, data, n_splits=2, rng=5, begun=first)
    assert seen == [1, 2]
    assert added.pairs[0] is first.pairs[0]
    for fit, same in zip(whole.fits, added.fits, strict=True):
        np.testing.assert_array_equal(fit.perturbation_matrix_, same.perturbation_matrix_)
    for rng in (4, None, np.random.default_rng(5)):
        with pytest.raises(InputError, match="begun must be of the same seed as rng"):
            fit_halves(model, data, n_splits=2, rng=rng, begun=first)


def test_fits_predict_as_their_model_does():
    model = PDAE(1, steps=3, observation="gaussian", select=False).fit(shifted())
    model.source_ = "near-scaled+tilting"
    one, two = fit_halves(model, shifted(), n_splits=1, rng=0).fits
    assert {one.source_, two.source_} == {"near-scaled+tilting"}
    assert np.isfinite(one.sample("A", 20, rng=0)).all()


@pytest.mark.statistical
def test_intervals_of_a_mean_hold_it_as_often_as_they_say():
    rng, held, errors = np.random.default_rng(0), [], []
    for _ in range(1500):
        halves, mean = means(60, 5, rng)
        low, high = halves.interval(lambda fit: fit.w, mean)
        held.append(low <= 0 <= high)
        errors.append(halves.standard_error(lambda fit: fit.w) ** 2)
    assert 0.93 <= np.mean(held) <= 0.97
    assert np.mean(errors) == pytest.approx(1 / 60, rel=0.05)


def seeded(seed_sd, rng, splits=5):
    """Fits to halves, and the value of one to all cells: each has an error of its cells (here 1) and of its seed."""
    of_all = rng.normal()
    pairs = of_all + rng.normal(size=(splits, 1)) * [1.0, -1.0] + seed_sd * rng.normal(size=(splits, 2))
    fits = tuple((SimpleNamespace(w=a), SimpleNamespace(w=b)) for a, b in pairs)
    return HalfFits(fits), of_all + seed_sd * rng.normal()


@pytest.mark.statistical
@pytest.mark.parametrize("seed_sd", [0.0, 1.0, 3.0])
def test_the_error_of_a_seed_is_counted_whole(seed_sd):
    rng, held, errors, differences = np.random.default_rng(1), [], [], []
    for _ in range(2000):
        halves, value = seeded(seed_sd, rng)
        low, high = halves.interval(lambda fit: fit.w, value)
        held.append(low <= 0 <= high)
        errors.append(halves.standard_error(lambda fit: fit.w) ** 2)
        differences.append(np.mean([(one.w - two.w) ** 2 / 4 for one, two in halves.pairs]))
    assert np.mean(held) > 0.935
    assert np.mean(errors) == pytest.approx(1 + seed_sd**2, rel=0.08)
    assert np.mean(differences) == pytest.approx(1 + seed_sd**2 / 2, rel=0.08)


def shifted():
    x = np.random.default_rng(0).normal(size=(240, 3)) + np.repeat([[0, 0, 0], [2, 0, 0]], 120, axis=0)
    return PerturbationData.from_arrays(x, np.repeat(["ctrl", "A"], 120))


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept") / "model"
    model = PDAE(1, steps=3, observation="gaussian", select=False).fit(shifted())
    model.save(folder)
    halves = fit_halves(model, shifted(), n_splits=2, rng=0)
    halves.save(folder)
    return folder, halves


class TestFiles:
    def test_what_is_loaded_is_what_was_fitted(self, kept):
        folder, halves = kept
        loaded = HalfFits.load(folder)
        assert len(loaded.pairs) == 2
        for fit, same in zip(halves.fits, loaded.fits, strict=True):
            np.testing.assert_array_equal(fit.perturbation_matrix_, same.perturbation_matrix_)
        assert PDAE.load(folder).n_latents == 1

    def test_more_than_a_hundred_keep_their_order(self, kept, tmp_path):
        shutil.copytree(kept[0], model := tmp_path / "model")
        (one, two), *_ = kept[1].pairs
        HalfFits(((one, two),) * 50 + ((two, one),)).save(model)
        loaded = HalfFits.load(model)
        assert len(loaded.pairs) == 51
        np.testing.assert_array_equal(loaded.fits[100].perturbation_matrix_, two.perturbation_matrix_)

    def test_a_model_without_them_has_none(self, kept, tmp_path):
        shutil.copytree(kept[0], tmp_path / "model")
        shutil.rmtree(tmp_path / "model" / "halves")
        assert HalfFits.load(tmp_path / "model") is None

    @pytest.mark.parametrize("harm", ["another model", "a fit is gone", "a fit is another", "no list", "a false list"])
    def test_what_is_not_whole_or_of_another_model_is_refused(self, kept, tmp_path, harm):
        shutil.copytree(kept[0], model := tmp_path / "model")
        halves, listed = model / "halves", model / "halves" / "of.json"
        if harm == "another model":
            config = json.loads((model / "config.json").read_text())
            (model / "config.json").write_text(json.dumps(config | {"sha256": "0" * 64}))
        elif harm == "a fit is gone":
            shutil.rmtree(halves / "03")
        elif harm == "a fit is another":
            shutil.rmtree(halves / "03")
            shutil.copytree(halves / "02", halves / "03")
        elif harm == "no list":
            listed.unlink()
        else:
            listed.write_text(json.dumps(json.loads(listed.read_text()) | {"fits": []}))
        with pytest.raises(InputError, match="run stability with --model and --force"):
            HalfFits.load(model)
