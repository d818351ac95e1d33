"""The choice of an observation model and of d_Z under noise: what small worlds are taken for, and refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pdae_sim import PDAE, PerturbationData
from pdae_sim.errors import InputError
from pdae_sim.estimation import DEFAULT, MARGINAL, OBSERVATION_MODELS, PRESETS, ObservationChoice
from pdae_sim.estimation import _framing as framing
from pdae_sim.estimation._bank import frame
from tests.test_estimation.linear_gaussian import LinearGaussian

N = 240


@pytest.fixture(autouse=True)
def _short_probes(monkeypatch):
    """A start and few steps are enough to compare models by."""
    monkeypatch.setattr(framing, "_SHORT", 6)
    monkeypatch.setattr(framing, "_LONGER", 20)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def curved(d_X: int = 6, n: int = N, seed: int = 0) -> np.ndarray:
    """Noiseless cells on a surface that is no plane, 3 n of them."""
    world = LinearGaussian.random(d_X, seed=seed)
    z = world.draw(n)[1]
    return z @ world.F.T + 0.3 * np.tanh(z @ rng(5).normal(size=(2, d_X)))


def noisy(d_X: int = 6, n: int = N) -> np.ndarray:
    return curved(d_X, n) + 0.7 * rng(1).normal(size=(3 * n, d_X))


def counts(depth: float = 30.0, d_X: int = 8, n: int = N) -> np.ndarray:
    p = np.exp(0.5 * curved(d_X, n))
    return rng(2).poisson(depth * p / p.sum(1, keepdims=True)).astype(float)


def lossy() -> np.ndarray:
    x = noisy() + 4.0
    return np.where(rng(3).uniform(size=x.shape) < 0.2, 0.0, x)


def data_of(x: np.ndarray) -> PerturbationData:
    return PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "B"], len(x) // 3))


def framed(x: np.ndarray, n_latents: int | None = 2, **settings) -> PDAE:
    """A model that has chosen, and is not fitted."""
    model = PDAE(n_latents, **settings)
    frame([model], [data_of(x)])
    return model


class TestWhatIsRecognised:
    def test_cells_without_noise(self):
        choice = framed(curved()).observation_
        assert (choice.name, choice.sure) == ("noiseless", True)
        assert not choice.noisy

    def test_noise_whose_level_differs_by_feature(self):
        x = curved() + rng(1).normal(size=(3 * N, 6)) * [0.2, 1.5, 0.2, 1.5, 0.2, 1.5]
        choice = framed(x).observation_
        assert choice.sure
        assert set(choice.evidence) == {"gaussian", "gaussian_by_feature", "gaussian_growing"}
        assert choice.evidence["gaussian_by_feature"] > choice.evidence["gaussian"] + 0.3

    @pytest.mark.parametrize("table", ["counts", "log1p", "log_normalise"])
    def test_counts_and_their_transforms(self, table):
        x = counts(8.0)
        x[5] = 0.0  # a cell without a molecule
        total = np.maximum(x.sum(1, keepdims=True), 1.0)
        x = {"counts": x, "log1p": np.log1p(x), "log_normalise": np.log1p(x / total * 1e3)}[table]
        choice = framed(x).observation_
        assert choice.name in ("poisson", "negative_binomial")
        assert choice.transform == table

    def test_few_molecules_are_counts_too(self):
        assert framed(np.minimum(counts(4.0), 2)).observation_.transform == "counts"

    def test_counts_under_a_plan_without_noise_are_not_sure(self):
        choice = framed(counts(), phases=PRESETS["quick"].phases).observation_
        assert (choice.name, choice.sure) == ("noiseless", False)
        assert framed(noisy(), phases=PRESETS["quick"].phases).observation_.sure

    def test_zeros_beside_other_values(self):
        assert framed(lossy()).observation_.name == "dropout"

    def test_zeros_that_rounding_leaves_are_no_dropout(self):
        assert framed(noisy().round(1)).observation_.name != "dropout"

    def test_values_far_from_zero_are_no_counts(self):
        """expm1 of 40 is whole, as every float beyond 2^53 is."""
        assert framed(noisy() + 300).observation_.name.startswith("gaussian")

    def test_a_feature_of_zeros_is_no_dropout(self):
        x = curved()
        x[:, 3] = 0.0
        assert framed(x).observation_.name == "noiseless"

    def test_centred_log_ratios(self):
        x = noisy()
        choice = framed(x - x.mean(1, keepdims=True), observation="gaussian").observation_
        assert choice.centred
        assert not framed(x, observation="gaussian").observation_.centred

    def test_as_many_latents_as_features_leave_the_question_open(self):
        choice = framed(noisy(2)).observation_
        assert (choice.name, choice.sure) == ("noiseless", False)

    def test_few_cells_are_not_sure_of_anything(self):
        model = framed(noisy(n=40), None)
        assert not model.observation_.sure
        assert not model.dimension_.sure
        assert model.dimension_.n_latents == 2


class TestEvidence:
    def test_held_out_conditions_are_never_looked_at(self):
        data = data_of(noisy())
        held_out = np.array([False, False, True])
        spoilt = np.where((data.environment == 2)[:, None], 7.0, data.x)
        models = [PDAE(2, phases=MARGINAL.phases), PDAE(2, phases=MARGINAL.phases)]
        for model, x in zip(models, (data.x, spoilt), strict=True):
            frame([model], [replace(data, x=x, held_out=held_out)])
        assert models[0].observation_ == models[1].observation_

    def test_it_is_in_the_units_of_x(self):
        """A thousandfold x has a density thinner by log 1000 for each of its six features, whatever the model."""
        x = np.exp(0.3 * noisy())
        choices = [framed(scale * x).observation_ for scale in (1.0, 1024.0)]
        assert choices[0].name == choices[1].name
        assert "log_normal" in choices[0].evidence
        for name, value in choices[0].evidence.items():
            assert value - choices[1].evidence[name] == pytest.approx(6 * np.log(1024), abs=0.05)

    def test_the_number_of_latents_is_that_cells_tell_of(self):
        dimension = framed(noisy(12), None, observation="gaussian").dimension_
        assert dimension.n_latents == 2
        assert dimension.errors[3] > dimension.errors[2] + 0.1

    def test_no_more_latents_are_tried_than_x_has_directions(self):
        x = np.repeat(noisy(2), 3, axis=1)
        assert framed(x, None, observation="gaussian").dimension_.n_latents <= 2

    def test_models_that_share_data_keep_what_each_asks_for(self):
        models = [PDAE(2, observation=name) for name in ("poisson", "negative_binomial", "poisson")]
        frame(models, [data_of(counts())] * 3)
        assert [model.observation_.name for model in models] == ["poisson", "negative_binomial", "poisson"]

    @pytest.mark.parametrize("name", OBSERVATION_MODELS)
    def test_it_is_written_and_read_as_json(self, name):
        choice = ObservationChoice(name, False, "why", {"gaussian": -1.5}, "log_normalise", 1e4, True)
        assert ObservationChoice.from_json(choice.to_json()) == choice


class TestOverrides:
    @pytest.mark.parametrize("name", [name for name in OBSERVATION_MODELS if name not in ("poisson", "dropout")])
    def test_what_is_given_is_taken(self, name):
        model = framed(np.exp(0.3 * noisy()) if name != "negative_binomial" else counts(), observation=name)
        assert (model.observation_.name, model.observation_.sure) == (name, True)
        assert model.plan_ == (DEFAULT if name == "noiseless" else MARGINAL)

    def test_phases_say_it_too(self):
        assert framed(noisy(), phases=DEFAULT.phases).observation_.name == "noiseless"
        assert framed(curved(n=40), phases=MARGINAL.phases).observation_.noisy

    @pytest.mark.parametrize(
        ("x", "settings", "words"),
        [
            (noisy(), {"observation": "poisson"}, "observation='poisson' needs counts, or log-normalised values"),
            (counts()[:, :1], {"observation": "poisson", "n_latents": 1}, "one feature tells nothing"),
            (noisy(), {"observation": "log_normal"}, "observation='log_normal' needs x > 0; received -"),
            (noisy(), {"observation": "poison"}, "observation must be one of .*'poison'"),
            (noisy(), {"observation": "gaussian", "phases": DEFAULT.phases}, "give phases with marginal_likelihood"),
            (noisy(), {"observation": "noiseless", "phases": MARGINAL.phases}, "give an observation model with noise"),
            (noisy(), {"phases": DEFAULT.phases + MARGINAL.phases}, "marginal_likelihood stands alone"),
            (noisy(), {"observation": "gaussian", "n_latents": 7}, "must not exceed the observed dimension 6"),
        ],
    )
    def test_what_cannot_be_is_refused_in_one_line(self, x, settings, words):
        with pytest.raises(InputError, match=words) as caught:
            framed(x, **settings)
        assert "\n" not in str(caught.value)
