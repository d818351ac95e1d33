"""PDAE under noise: the laws of an estimator, persistence, draws, sources, odd tables, and tilting."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from pdae_sim import PDAE, PerturbationData
from pdae_sim.analysis.span import check_span
from pdae_sim.errors import InputError
from pdae_sim.estimation import _checkpoint as checkpoints
from pdae_sim.estimation import tilting
from pdae_sim.estimation._kept_cells import TILTED
from pdae_sim.estimation._sources import SOURCES
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.counterexample import second_pdae
from pdae_sim.estimation.presets import MARGINAL
from pdae_sim.estimation.replicates import fit_replicates, fit_restarts
from pdae_sim.estimation.tilting import Tilting
from tests.test_estimation.linear_gaussian import LinearGaussian

WORLD = LinearGaussian.random(noise=0.5)
N = 80
SMALL = Architecture(width=16)
QUICK = tuple(replace(phase, steps=8, cells=16, held_out=0.3) for phase in MARGINAL.phases)


def table(observation: str, n: int = N, seed: int = 1) -> np.ndarray:
    """Cells of the world, 3 n of them, as an assay of some kind shows them."""
    x, rng = WORLD.draw(n, seed)[0], np.random.default_rng(seed)
    if observation in ("poisson", "negative_binomial"):
        p = np.exp(0.4 * x)
        return rng.poisson(rng.uniform(10, 40, (len(x), 1)) * p / p.sum(1, keepdims=True)).astype(float)
    if observation == "log_normal":
        return np.exp(0.3 * x)
    return np.where(rng.uniform(size=x.shape) < 0.2, 0.0, x) if observation == "dropout" else x


def data_of(x: np.ndarray) -> PerturbationData:
    """With a perturbation C that is never seen."""
    labels = np.hstack([WORLD.labels, np.zeros((3, 1))])
    return PerturbationData(x, labels, np.repeat([0, 1, 2], len(x) // 3), ("A", "B", "C"))


def quick(observation: str = "gaussian_by_feature", **settings) -> PDAE:
    return PDAE(2, **{"observation": observation, "phases": QUICK, "architecture": SMALL, **settings})


LAWS = ["gaussian", "gaussian_by_feature", "gaussian_growing", "log_normal", "dropout", "poisson", "negative_binomial"]


@pytest.fixture(scope="module", params=LAWS)
def fitted(request):
    data = data_of(table(request.param))
    return quick(request.param).fit(data), data


@pytest.fixture(scope="module")
def gaussian():
    data = data_of(table("gaussian"))
    return quick().fit(data), data


def drawn(model: PDAE, **settings) -> np.ndarray:
    return model.sample("A+B", 50, rng=1, **settings)


class TestEveryLaw:
    def test_save_and_load_give_the_same_samples_and_latents(self, fitted, tmp_path):
        model, data = fitted
        model.save(tmp_path / "m")
        again = PDAE.load(tmp_path / "m")
        assert again.observation_ == model.observation_
        assert np.array_equal(again.encode(data.x), model.encode(data.x))
        for source in (*SOURCES, "near" + TILTED):
            np.testing.assert_allclose(drawn(again, source=source), drawn(model, source=source), rtol=1e-4, atol=1e-5)
        assert np.array_equal(again.information_, model.information_)
        assert np.array_equal(
            again.transport(data.x[:9], "ctrl", "A", rng=0), model.transport(data.x[:9], "ctrl", "A", rng=0)
        )

    def test_draws_are_of_the_posterior_whose_mean_is_encoded(self, fitted):
        model, data = fitted
        x = data.x[::20]
        draws, mean = model.encode(x, draws=400, rng=0), model.encode(x)
        assert mean.shape == (12, 2)
        assert draws.shape == (400, 12, 2)
        away = (draws.mean(0) - mean) / draws.std(0)  # of what the encoder has not learnt yet
        assert np.sqrt((away**2).mean()) < 1
        assert np.array_equal(model.encode(x, draws=3, rng=5), model.encode(x, draws=3, rng=5))
        assert not np.array_equal(model.encode(x, draws=3, rng=5), model.encode(x, draws=3, rng=6))

    def test_draws_under_a_condition(self, fitted):
        model, data = fitted
        x = data.samples(1)[:10]
        assert model.encode(x, draws=30, condition="A", rng=0).shape == (30, 10, 2)
        away = model.encode(x, condition="A") - model.encode(x, condition="ctrl")
        shift = model.perturbation_matrix_[:, 0]
        assert (away @ shift > 0).all()  # a prior beside the other moves latents its way, and not all of it
        assert (away @ shift < shift @ shift).all()

    @pytest.mark.parametrize("source", [*SOURCES, "near" + TILTED])
    def test_cells_of_every_source_are_what_the_assay_can_show(self, fitted, source):
        model, data = fitted
        x = drawn(model, source=source)
        assert np.isfinite(x).all()
        assert np.array_equal(x, drawn(model, source=source))
        if model.observation_.name in ("poisson", "negative_binomial"):
            assert (x == np.rint(x)).all()
            assert (x >= 0).all()
        if model.observation_.name == "poisson":
            assert set(x.sum(1)) <= set(data.x.sum(1))
        if model.observation_.name == "log_normal":
            assert (x > 0).all()
        if model.observation_.name == "dropout":
            assert 0.05 < (x == 0).mean() < 0.5

    def test_transport_keeps_rows_and_totals(self, fitted):
        model, data = fitted
        x = data.samples(0)
        moved = model.transport(x, "ctrl", "A", rng=0)
        assert moved.shape == x.shape
        assert np.isfinite(moved).all()
        if model.observation_.name == "poisson":
            assert np.array_equal(moved.sum(1), x.sum(1))

    def test_a_dose_beyond_decoding_is_refused(self, fitted):
        with pytest.raises(InputError, match="too far from the training latents"):
            fitted[0].sample([1e39, 0, 0], 3)

    def test_what_a_cell_tells_lies_between_nothing_and_all(self, fitted):
        values = np.linalg.eigvalsh(fitted[0].information_)
        assert (values > 0).all()
        assert (values < 1).all()

    def test_its_second_model_agrees_on_every_training_condition(self, fitted):
        model, data = fitted
        witness = check_span(data.labels, data.space.label("C")[None])[0].witness
        second = second_pdae(model, np.array([1.0, -2.0]), witness=witness, test="C")
        for condition in data.conditions:
            np.testing.assert_allclose(
                second.sample(condition, 60, rng=3), model.sample(condition, 60, rng=3), atol=1e-4
            )
        np.testing.assert_allclose(second.encode(data.x), model.encode(data.x), atol=1e-4)
        assert not np.allclose(second.sample("C", 60, rng=3), model.sample("C", 60, rng=3), atol=0.1)


class TestFits:
    def test_the_same_seed_gives_the_same_fit_and_another_seed_another(self, gaussian):
        model, data = gaussian
        assert np.array_equal(drawn(quick().fit(data)), drawn(model))
        assert not np.array_equal(drawn(quick(random_state=1).fit(data)), drawn(model))

    def test_the_order_of_environments_and_held_out_conditions_are_no_input(self, gaussian):
        model, data = gaussian
        assert np.array_equal(drawn(quick().fit(data.select([2, 0, 1]))), drawn(model))
        held_out = np.array([False, False, True])
        spoilt = np.where((data.environment == 2)[:, None], 1e9, data.x)
        own, other = (quick().fit(replace(data, x=x, held_out=held_out)) for x in (data.x, spoilt))
        assert np.array_equal(drawn(own), drawn(other))

    @pytest.mark.parametrize("stop_at", [3, 8])
    def test_an_interrupted_fit_resumes_to_the_same_bits(self, gaussian, tmp_path, monkeypatch, stop_at):
        monkeypatch.setattr(checkpoints, "CHECKPOINT_SECONDS", 0.0)
        (model, data), path, seen = gaussian, tmp_path / "checkpoint", []

        def interrupt(progress):
            seen.append(progress.step)
            if len(seen) > stop_at or progress.step == 8:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            quick().fit(data, checkpoint=path, on_step=interrupt)
        resumed = quick().fit(data, checkpoint=path, on_step=lambda progress: seen.append(progress.step))
        assert np.array_equal(drawn(resumed), drawn(model))
        assert resumed.history_ == model.history_
        assert len(seen) < 16

    def test_a_replicate_is_what_it_is_alone(self):
        for law in ("gaussian", "negative_binomial", "dropout"):
            tables = [data_of(table(law)), data_of(table(law, seed=5))]
            together = fit_replicates([quick(law, random_state=s) for s in (0, 4)], tables)
            for model, data in zip(together, tables, strict=True):
                alone = quick(law, random_state=model.random_state).fit(data)
                np.testing.assert_allclose(model.encode(data.x), alone.encode(data.x), atol=2e-3)
                np.testing.assert_allclose(model.perturbation_matrix_, alone.perturbation_matrix_, atol=2e-3)
                np.testing.assert_allclose(model.information_, alone.information_, atol=2e-3)

    def test_restarts_are_judged_by_their_likelihood(self, caplog):
        data = data_of(table("gaussian", n=240))
        idle = tuple(replace(phase, learning_rate=0.0) for phase in QUICK)
        longer = tuple(replace(phase, steps=25, learning_rate=1e-2) for phase in QUICK)
        idle = tuple(replace(phase, steps=25) for phase in idle)
        models = [quick(phases=plan) for plan in (idle, longer)]
        with caplog.at_level(logging.INFO, "pdae_sim"):
            assert fit_restarts(models, data) is models[1]

    def test_information_is_that_of_the_world(self):
        """Its eigenvalues: the gauge is free up to a rotation."""
        world = LinearGaussian.random(8)
        model = quick("gaussian_by_feature", phases=[replace(MARGINAL.phases[0], steps=60, cells=64)])
        found = model.fit(world.data(700)).information_
        np.testing.assert_allclose(np.linalg.eigvalsh(found), np.linalg.eigvalsh(world.information), atol=0.06)


class TestOddTables:
    """Tables that real assays give: nothing fails, nothing is NaN."""

    def fits(self, x: np.ndarray, observation: str, n_latents: int = 2) -> None:
        model = PDAE(n_latents, observation=observation, phases=QUICK, architecture=SMALL).fit(data_of(x))
        cells = [drawn(model), model.transport(x[:40], "ctrl", "B", rng=0), model.encode(x), model.information_]
        assert all(np.isfinite(each).all() for each in cells)
        assert np.isfinite(model.perturbation_matrix_).all()

    @pytest.mark.parametrize("law", ["poisson", "negative_binomial"])
    @pytest.mark.parametrize("transformed", [False, True])
    def test_cells_without_molecules_and_genes_never_seen(self, law, transformed):
        x = table(law)
        x[::7], x[:, 2], x[3] = 0.0, 0.0, 0.0
        x[3, 1] = 1.0
        self.fits(np.log1p(x) if transformed else x, law)

    @pytest.mark.parametrize("law", ["poisson", "negative_binomial"])
    def test_cells_of_a_single_molecule(self, law):
        self.fits(np.eye(6)[np.random.default_rng(0).integers(0, 6, 240)], law)

    @pytest.mark.parametrize("law", ["gaussian", "gaussian_growing", "dropout"])
    def test_constant_features(self, law):
        x = table(law)
        x[:, 1], x[:, 4] = 3.0, 0.0
        self.fits(x, law)

    @pytest.mark.parametrize("law", ["gaussian_by_feature", "log_normal"])
    def test_as_many_latents_as_features_and_cells_without_noise(self, law):
        self.fits(np.exp(WORLD.draw(N)[1]), law)

    def test_few_cells(self):
        self.fits(table("gaussian", n=4), "gaussian_by_feature")

    def test_centred_log_ratios_stay_centred(self):
        x = table("gaussian")
        x -= x.mean(1, keepdims=True)
        model = quick("gaussian").fit(data_of(x))
        np.testing.assert_allclose(drawn(model).sum(1), 0, atol=1e-4)


NOISY = LinearGaussian.random(noise=4.0)


class TestTilting:
    @pytest.fixture
    def exact(self):
        """A fit whose parameters are those of its world, in the units of its measurement."""
        data = NOISY.data(200)
        model = quick().fit(data)
        scaling = model._units.scaling
        measured = replace(
            NOISY,
            F=NOISY.F / scaling.scale[:, None],
            c=(NOISY.c - scaling.centre) / scaling.scale,
            variance=NOISY.variance / scaling.scale**2,
        )
        measured.make_exact(model._network)
        model.perturbation_matrix_ = NOISY.W
        return model, data

    def ratio(self, x: np.ndarray, label: np.ndarray) -> np.ndarray:
        """p_t / p_mix of noisy cells, adding to one."""
        mixture = np.mean([np.exp(NOISY.log_density(x, each)) for each in NOISY.labels], axis=0)
        weights = np.exp(NOISY.log_density(x, label)) / mixture
        return weights / weights.sum()

    @pytest.mark.parametrize("label", [(1.0, 1.0), (0.5, 0.0), (0.0, 1.5)])
    def test_weights_are_the_density_ratio_of_noisy_cells(self, exact, monkeypatch, label):
        monkeypatch.setattr(tilting, "_DRAWS", 200)
        (model, data), label = exact, np.array(label)
        found, expected = Tilting(model).fit(data).weights(label), self.ratio(data.x, label)
        assert np.abs(found - expected).sum() < 0.1  # it falls as one over the root of the draws
        assert np.abs(self.ratio(data.x, label[::-1] - 0.5) - expected).sum() > 0.3

    def test_posterior_means_in_place_of_draws_would_be_wrong(self, exact):
        (model, data), label = exact, np.array([1.0, 1.0])
        z, shifts = model.encode(data.x), NOISY.labels @ NOISY.W.T
        naive = np.exp(z @ NOISY.W @ label) / np.exp(z @ shifts.T - 0.5 * (shifts**2).sum(1)).sum(1)
        assert np.abs(naive / naive.sum() - self.ratio(data.x, label)).sum() > 0.1
