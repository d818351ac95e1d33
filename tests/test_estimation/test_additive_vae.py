"""The additive variational autoencoder: its bound against the formula, its likelihoods, where predictions begin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from pdae_sim import LinearLatentModel, PerturbationData, Simulator
from pdae_sim.errors import InputError
from pdae_sim.estimation import AdditiveVAE, AdversarialAutoencoder
from pdae_sim.estimation._additive_code import AdditiveCode
from pdae_sim.estimation._networks import normal
from pdae_sim.estimation.additive_vae import _Bound
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.likelihoods import GaussianLikelihood

SMALL = Architecture(width=8, depth=1)


def brief(estimator, **changes):
    return estimator.set_params(architecture=SMALL, phase=replace(estimator.phase, steps=5, cells=16), **changes)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_bound_is_the_formula():
    network = AdditiveCode((4, 2, 3), SMALL, GaussianLikelihood(1, 5), [generator()], informed=True)
    x, labels = torch.randn(1, 2, 7, 5, generator=generator(1)), torch.tensor([[[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]]])
    losses = _Bound(network, 0.5).losses((), x, labels, [generator(2)])
    effect = (labels @ network.effects)[:, :, None].expand(1, 2, 7, 2)
    mean, log_sd = network.encoder(torch.cat([x, effect], -1)).chunk(2, -1)
    q = Normal(mean, log_sd.exp())
    z = mean + q.scale * normal(mean.shape[1:], [generator(2)], mean) + effect
    fit = Normal(network.decoder(z), network.likelihood.log_sd.exp()).log_prob(x).mean()
    torch.testing.assert_close(losses["likelihood"], -fit[None])
    divergence = kl_divergence(q, Normal(0.0, 1.0)).sum(-1).mean() / 5
    torch.testing.assert_close(losses["divergence"], divergence[None])


def test_beta_weighs_the_divergence(simulation):
    (player,) = _Bound(None, 0.25).players([AdditiveVAE().phase])
    assert player.weights == {"likelihood": [1.0], "divergence": [0.25]}
    free, tied = (brief(AdditiveVAE(2, observation="gaussian", beta=b)).fit(simulation.data) for b in (0.0, 100.0))
    assert tied.history_[-1]["divergence"] < free.history_[-1]["divergence"]


@pytest.fixture(scope="module")
def counted() -> PerturbationData:
    rng = np.random.default_rng(0)
    rates = np.repeat([[5.0, 3.0, 1.0, 9.0], [15.0, 3.0, 1.0, 9.0], [5.0, 9.0, 1.0, 9.0]], 60, axis=0)
    return PerturbationData.from_arrays(rng.poisson(rates).astype(float), np.repeat(["ctrl", "A", "B"], 60))


@pytest.mark.parametrize("make", [AdditiveVAE, AdversarialAutoencoder])
class TestLikelihoods:
    def test_counts_are_recognised_and_predicted_as_counts_at_the_totals_of_reference_cells(self, make, counted):
        model = brief(make(2), observation="auto").fit(counted)
        assert model.observation_.name in ("poisson", "negative_binomial")
        multinomial = brief(make(2), observation="poisson").fit(counted)
        x = multinomial.sample("A+B", 200, rng=0)
        assert np.array_equal(x, np.rint(x))
        assert (x >= 0).all()
        assert set(x.sum(1)) <= set(counted.samples(0).sum(1))

    def test_log_normal_cells_are_predicted_positive(self, make, counted):
        data = replace(counted, x=counted.x + 0.5)
        assert (brief(make(2), observation="log_normal").fit(data).sample("A+B", 50, rng=0) > 0).all()

    def test_a_likelihood_that_the_cells_do_not_have_is_refused(self, make, counted):
        with pytest.raises(InputError, match="needs counts"):
            brief(make(2), observation="poisson").fit(replace(counted, x=counted.x + 0.3))
        with pytest.raises(InputError, match="observation must be one of auto"):
            make(2, observation="binomial")

    def test_a_dose_too_far_is_refused_for_counts_too(self, make, counted):
        model = brief(make(2), observation="negative_binomial").fit(counted)
        with pytest.raises(InputError, match="too far from the training labels"):
            model.sample([1e39, 0], 3)


def test_predictions_begin_at_the_prior_or_at_reference_cells(simulation):
    model = brief(AdditiveVAE(2, observation="gaussian")).fit(simulation.data)
    prior = model.sample("A", 40, rng=0)
    reference = model.set_params(source="reference").sample("A", 40, rng=0)
    assert not np.array_equal(prior, reference)
    codes, z = torch.tensor([[1.0, -2.0, -20.0, -20.0]]), torch.tensor([[1.0, -2.0]])
    torch.testing.assert_close(model._basal(codes, generator()), z)


def test_basal_latents_are_of_cells_under_their_condition(simulation):
    model = brief(AdditiveVAE(2, observation="gaussian")).fit(simulation.data)
    x = simulation.data.samples(0)[:3]
    assert model.basal(x, "ctrl").shape == (3, 2)
    assert not np.array_equal(model.basal(x, "ctrl"), model.basal(x, "A"))


def test_the_perturbation_matrix_is_in_units_of_doses(simulation):
    data = simulation.data
    scaled = replace(data, labels=data.labels * [4.0, 0.5, 1.0])
    first, second = (brief(AdditiveVAE(2, observation="gaussian")).fit(each) for each in (data, scaled))
    np.testing.assert_allclose(second.perturbation_matrix_ * [4.0, 0.5, 1.0], first.perturbation_matrix_)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"n_latents": 0}, "n_latents must be a whole number"),
        ({"beta": -1.0}, "beta must be a finite number ≥ 0"),
        ({"source": "pool"}, "source must be one of prior, reference"),
        ({"observation": "own"}, "observation must be one of auto"),
    ],
)
def test_bad_settings_are_refused_by_name(wrong, words):
    with pytest.raises(InputError, match=words):
        AdditiveVAE(**wrong)


@pytest.mark.slow
@pytest.mark.statistical
def test_sizes_and_angle_of_effects_are_learnt_where_the_decoder_is_linear():
    """Posteriors of a linear Gaussian world are Gaussian, so that the bound is near the likelihood at its best."""
    latent = LinearLatentModel([[0, 0], [0, 0]], [1, 1], [[2.0, 1.0], [0.0, 2.0]])
    data = Simulator.random(latent, n_observed=6, kind="linear", rng=0).sample(["ctrl", "A", "B"], 2000, rng=1).data
    data = replace(data, x=data.x + 0.3 * np.random.default_rng(2).normal(size=data.x.shape))
    V = AdditiveVAE(2, observation="gaussian").fit(data).perturbation_matrix_
    W = latent.perturbation_matrix
    assert np.linalg.norm(V.T @ V - W.T @ W) < 0.1 * np.linalg.norm(W.T @ W)
