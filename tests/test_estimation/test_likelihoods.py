"""Likelihoods against the densities of scipy, and samplers against the moments of their laws."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit

from pdae_sim.estimation.likelihoods import (
    DropoutLikelihood,
    GaussianLikelihood,
    NegativeBinomialLikelihood,
    PoissonLikelihood,
)

SCALE = torch.tensor([0.5, 2.0, 1.0, 3.0])
LAWS = {
    "gaussian": lambda r=1: GaussianLikelihood(r, 4, by_feature=False, scale=SCALE),
    "gaussian_by_feature": lambda r=1: GaussianLikelihood(r, 4),
    "gaussian_growing": lambda r=1: GaussianLikelihood(r, 4, growing=True),
    "centred": lambda r=1: GaussianLikelihood(r, 4, centred=True, scale=SCALE),
    "dropout": lambda r=1: DropoutLikelihood(r, 4, zero=torch.tensor([-1.0, 0.0, 0.5, 2.0])),
    "poisson": lambda r=1: PoissonLikelihood(r, 4),
    "negative_binomial": lambda r=1: NegativeBinomialLikelihood(r, 4),
    "latent_library": lambda r=1: NegativeBinomialLikelihood(r, 4, latent_library=True),
}
COUNTS = ("poisson", "negative_binomial", "latent_library")


def law_of(name: str, replicates: int = 1):
    """A law with parameters that differ by replicate and feature, in float64."""
    law = LAWS[name](replicates)
    generator = torch.Generator().manual_seed(3)
    for p in law.parameters():
        p.data += 0.4 * torch.randn(p.shape, generator=generator)
    return law.double()


def cells_of(name: str, *shape: int) -> torch.Tensor:
    rng = np.random.default_rng(4)
    x = rng.poisson(4.0, shape) if name in COUNTS else rng.normal(size=shape)
    if name == "dropout":
        zero = LAWS[name]().zero[0, 0].numpy()
        x = np.where(rng.uniform(size=shape) < 0.3, zero, x)
    return torch.tensor(x, dtype=torch.float64)


def outputs(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def values(parameter: torch.Tensor) -> np.ndarray:
    return parameter.detach().numpy()[0, 0]


class TestDensities:
    X, U = (1, 7, 1, 4), (1, 7, 3, 4)
    """Cells, and three latents tried for each."""

    def compared(self, name: str):
        law = law_of(name)
        x, u = cells_of(name, *self.X), outputs(*self.U)
        found = law.log_prob(x, u).detach().numpy()
        assert found.shape == (1, 7, 3)
        return law, x.numpy(), u.numpy(), found

    def test_gaussian_noise_by_feature(self):
        law, x, u, found = self.compared("gaussian_by_feature")
        np.testing.assert_allclose(found, stats.norm.logpdf(x, u, np.exp(values(law.log_sd))).sum(-1), rtol=1e-12)

    def test_one_sigma_is_one_in_the_units_of_x(self):
        law, x, u, found = self.compared("gaussian")
        units, sd = SCALE.numpy(), float(np.exp(values(law.log_sd)[0]))
        expected = stats.norm.logpdf(x * units, u * units, sd) + np.log(units)
        np.testing.assert_allclose(found, expected.sum(-1), rtol=1e-6)  # units are held in float32

    def test_the_variance_is_a_quadratic_of_the_mean(self):
        law, x, u, found = self.compared("gaussian_growing")
        sd, growth = np.exp(values(law.log_sd)), np.exp(values(law.log_growth))
        expected = stats.norm.logpdf(x, u, np.sqrt(sd**2 + growth**2 * (u - values(law.least_at)) ** 2))
        np.testing.assert_allclose(found, expected.sum(-1), rtol=1e-12)

    def test_centred_cells_are_normal_on_the_plane_of_features_that_add_to_zero(self):
        law, x, u, found = self.compared("centred")
        units = SCALE.numpy().astype(float)
        sd = np.exp(values(law.log_sd)) * units
        basis = np.linalg.svd(np.eye(4) - 0.25)[0][:, :3]  # of the complement of the constant vector
        normal = stats.multivariate_normal(cov=basis.T @ np.diag(sd**2) @ basis)
        x = x - (x * units).mean(-1, keepdims=True) / units
        found = law.log_prob(torch.tensor(x), torch.tensor(u)).detach().numpy()
        away = (x - u) * units @ basis
        constant = np.log(units).sum() - 0.5 * math.log(4)  # of the units, and of the measure of the plane
        np.testing.assert_allclose(found[0], normal.logpdf(away[0]) + constant, rtol=1e-6)

    def test_a_level_of_the_whole_cell_is_nothing_to_centred_cells(self):
        law, x, u = law_of("centred"), cells_of("centred", *self.X), outputs(*self.U)
        raised = u + 3.0 / SCALE.double()
        np.testing.assert_allclose(law.log_prob(x, raised).detach(), law.log_prob(x, u).detach(), rtol=1e-5)

    def test_dropout_is_a_mixture_of_zeros_and_gaussian_entries(self):
        law, x, u, found = self.compared("dropout")
        odds = values(law.log_odds) + values(law.slope) * u
        density = np.log1p(-expit(odds)) + stats.norm.logpdf(x, u, np.exp(values(law.log_sd)))
        lost = np.broadcast_to(x == values(law.zero), u.shape)
        assert 0.1 < lost.mean() < 0.6
        np.testing.assert_allclose(found, np.where(lost, np.log(expit(odds)), density).sum(-1), rtol=1e-10)

    def test_poisson_given_totals_is_multinomial(self):
        _, x, u, found = self.compared("poisson")
        total, p = x.sum(-1), torch.softmax(torch.tensor(u), -1).numpy()
        multinomial = stats.multinomial.logpmf(np.broadcast_to(x, u.shape), np.broadcast_to(total, u.shape[:-1]), p)
        np.testing.assert_allclose(found - multinomial, stats.poisson.logpmf(total, total) + 0 * found, atol=1e-8)

    def test_negative_binomial(self):
        law, x, u, found = self.compared("negative_binomial")
        mean = x.sum(-1, keepdims=True) * torch.softmax(torch.tensor(u), -1).numpy()
        theta = np.exp(-values(law.log_dispersion))
        np.testing.assert_allclose(found, stats.nbinom.logpmf(x, theta, theta / (theta + mean)).sum(-1), rtol=1e-8)

    def test_negative_binomial_of_a_library_that_is_a_latent(self):
        law, x, u, _ = self.compared("latent_library")
        own = 3.0 * outputs(1, 7, 3, 1)
        mean = np.exp(law.log_depth.item() + own.numpy() * math.exp(law.log_depth_sd.item()))
        np.testing.assert_allclose(law.library(own).detach(), mean, rtol=1e-12)
        mean, theta = mean * np.exp(u), np.exp(-values(law.log_dispersion))
        found = law.log_prob(torch.tensor(x), torch.tensor(u), own).detach().numpy()
        np.testing.assert_allclose(found, stats.nbinom.logpmf(x, theta, theta / (theta + mean)).sum(-1), rtol=1e-8)

    def test_without_dispersion_the_negative_binomial_is_poisson(self):
        law, x, u = law_of("negative_binomial"), cells_of("poisson", *self.X), outputs(*self.U)
        law.log_dispersion.data.fill_(-50.0)
        np.testing.assert_allclose(law.log_prob(x, u).detach(), law_of("poisson").log_prob(x, u), atol=0.05)


class TestLaws:
    @pytest.mark.parametrize("name", LAWS)
    def test_the_order_of_features_is_no_input(self, name):
        law, order = law_of(name), torch.tensor([2, 0, 3, 1])
        other, x, u = law_of(name), cells_of(name, 1, 9, 4), outputs(1, 9, 4)
        for tensor in [*other.parameters(), *other.buffers()]:
            if tensor.shape[-1] == 4:
                tensor.data = tensor.data[..., order]
        found = other.log_prob(x[..., order], u[..., order]).detach()
        np.testing.assert_allclose(found, law.log_prob(x, u).detach(), rtol=1e-9)

    @pytest.mark.parametrize("name", LAWS)
    def test_replicates_have_laws_of_their_own(self, name):
        law, x, u = law_of(name, 2), cells_of(name, 2, 9, 4), outputs(2, 9, 4)
        both = law.log_prob(x, u).detach()
        for r in range(2):
            one = LAWS[name](1).double()
            one.load_state_dict({key: value[r : r + 1] for key, value in law.state_dict().items()})
            np.testing.assert_allclose(one.log_prob(x[r : r + 1], u[r : r + 1]).detach()[0], both[r], rtol=1e-12)

    @pytest.mark.parametrize("name", LAWS)
    @pytest.mark.parametrize("size", [0.0, 30.0, 1e4])
    def test_gradients_are_finite_far_away_and_at_cells_without_a_molecule(self, name, size):
        law = LAWS[name]()
        x = cells_of(name, 1, 9, 4).float()
        x[:, 0] = 0.0
        x[:, 1] *= 1e4
        u = (size * outputs(1, 9, 4)).float().requires_grad_()
        own = torch.tensor([-6.0, 6.0] * law.n_own).repeat(1, 9, 1)[..., : law.n_own].requires_grad_()
        value = law.log_prob(x, u, own if law.n_own else None)
        value.sum().backward()
        gradients = [u.grad, *(p.grad for p in law.parameters())]
        assert value.isfinite().all()
        assert all(g.isfinite().all() for g in gradients)
        assert law.inputs(x).isfinite().all()
        assert law.inputs(x).shape[-1] == law.n_inputs + law.n_own


class TestLibraries:
    def test_given_the_total_and_the_total_make_a_density_of_cells(self):
        law = LAWS["poisson"]().double()
        total = torch.exp(torch.tensor(np.random.default_rng(0).normal(5.0, 0.4, 500))).round()
        law.learn_inputs([(total[:, None] * torch.tensor([0.1, 0.2, 0.3, 0.4])).round()])
        x, u = cells_of("poisson", 1, 9, 4), outputs(1, 9, 4)
        found = (law.log_prob(x, u) + law.of_total(x))[0].numpy()
        n, p = x[0].sum(-1).numpy(), torch.softmax(u, -1)[0].numpy()
        normal = stats.norm(law.total_centre.item(), law.total_spread.item()).logpdf(np.log(n)) - np.log(n)
        np.testing.assert_allclose(found, stats.multinomial.logpmf(x[0].numpy(), n, p) + normal, rtol=1e-6)

    def test_the_further_input_is_near_the_library_of_a_cell(self):
        rng = np.random.default_rng(0)
        own = rng.normal(size=(2000, 1))
        law, x = LAWS["latent_library"](), rng.poisson(np.exp(6.0 + 0.4 * own) * [0.1, 0.2, 0.3, 0.4])
        x = torch.tensor(x, dtype=torch.float32)
        law.learn_inputs([x])
        guess = law.inputs(x[None])[..., -1:]
        assert np.corrcoef(guess[0, :, 0], own[:, 0])[0, 1] > 0.98
        np.testing.assert_allclose(law.library(guess).detach()[0], x.sum(-1, keepdim=True), rtol=1e-4)


class TestSamplers:
    N = 40_000

    def drawn(self, name: str, total: float | None = None):
        """A law, an output, and many cells drawn from it; seven standard errors bound every moment below."""
        law, u = law_of(name), outputs(1, 1, 4)
        exposure = None if total is None else torch.full((1, self.N, 1), total, dtype=torch.float64)
        x = law.sample(u.expand(1, self.N, 4), [torch.Generator().manual_seed(0)], exposure)[0].detach().numpy()
        return law, u.numpy()[0, 0], x

    def check(self, x: np.ndarray, mean: np.ndarray, variance: np.ndarray) -> None:
        np.testing.assert_array_less(np.abs(x.mean(0) - mean), 7 * np.sqrt(variance / len(x)) + 1e-12)
        fourth = ((x - mean) ** 4).mean(0)
        error = np.sqrt((fourth - variance**2).clip(0) / len(x))
        np.testing.assert_array_less(np.abs(((x - mean) ** 2).mean(0) - variance), 7 * error + 1e-12)

    @pytest.mark.parametrize("name", ["gaussian", "gaussian_by_feature", "gaussian_growing"])
    def test_gaussian_cells(self, name):
        law, u, x = self.drawn(name)
        self.check(x, u, law.log_variance(torch.tensor(u)[None, None]).exp().detach().numpy()[0, 0])

    def test_centred_cells_add_to_zero_and_have_the_projected_covariance(self):
        law, u, x = self.drawn("centred")
        units = SCALE.numpy().astype(float)
        projection = np.eye(4) - 0.25
        expected = projection @ np.diag((np.exp(values(law.log_sd)) * units) ** 2) @ projection
        np.testing.assert_allclose((x * units).sum(1), 0, atol=1e-5)
        np.testing.assert_allclose((x * units).mean(0), projection @ (u * units), atol=7 * expected.max() ** 0.5 / 200)
        np.testing.assert_allclose(np.cov((x * units).T), expected, atol=10 * expected.max() / math.sqrt(self.N))

    def test_dropout_loses_entries_by_their_odds(self):
        law, u, x = self.drawn("dropout")
        share = expit(values(law.log_odds) + values(law.slope) * u)
        lost = x == values(law.zero)
        self.check(lost.astype(float), share, share * (1 - share))
        for g in range(4):
            kept = x[~lost[:, g], g]
            self.check(kept[:, None], u[g : g + 1], np.exp(2 * values(law.log_sd)[g : g + 1]))

    @pytest.mark.parametrize("total", [1.0, 30.0])
    def test_poisson_cells_are_multinomial(self, total):
        _, u, x = self.drawn("poisson", total)
        p = np.exp(u) / np.exp(u).sum()
        assert (x.sum(1) == total).all()
        self.check(x, total * p, total * p * (1 - p))
        covariance = total * (np.diag(p) - np.outer(p, p))
        np.testing.assert_allclose(np.cov(x.T), covariance, atol=10 * covariance.max() / math.sqrt(self.N))

    def test_negative_binomial_cells_are_overdispersed(self):
        law, u, x = self.drawn("negative_binomial", 30.0)
        mean = 30 * np.exp(u) / np.exp(u).sum()
        self.check(x, mean, mean + np.exp(values(law.log_dispersion)) * mean**2)
        theta = np.exp(-values(law.log_dispersion))
        for g in range(4):  # frequencies, one by one
            p = stats.nbinom.pmf(np.arange(8), theta[g], theta[g] / (theta[g] + mean[g]))
            found = np.array([(x[:, g] == k).mean() for k in range(8)])
            np.testing.assert_array_less(np.abs(found - p), 6 * np.sqrt(p / self.N))

    @pytest.mark.parametrize("name", COUNTS)
    def test_a_cell_without_molecules_stays_without(self, name):
        assert (self.drawn(name, 0.0)[2] == 0).all()

    @pytest.mark.parametrize("name", LAWS)
    def test_each_replicate_draws_from_its_own_generator(self, name):
        law, u = law_of(name, 2), outputs(2, 5, 4)
        exposure = torch.full((2, 5, 1), 20.0, dtype=torch.float64)
        both, other = (
            law.sample(u, [torch.Generator().manual_seed(s) for s in seeds], exposure).detach()
            for seeds in ((1, 2), (1, 3))
        )
        assert torch.equal(both[0], other[0])
        assert not torch.equal(both[1], other[1])


class TestStarts:
    @pytest.mark.parametrize("name", ["gaussian_by_feature", "dropout", "gaussian"])
    def test_gaussian_noise_starts_at_the_residual_variance(self, name):
        law = LAWS[name]()
        variance = 0.04 / SCALE**2 if name == "gaussian" else torch.tensor([0.3, 0.1, 0.5, 0.2])
        law.start(torch.zeros(1, 4), variance.repeat(1, law.n_inputs // 4))
        found = law.log_variance(torch.zeros(1, 1, 4)).exp().detach()[0, 0]
        np.testing.assert_allclose(found, variance.clamp(min=0.01) if name != "gaussian" else variance, rtol=0.3)

    def test_inputs_of_counts_are_standardised_at_one_depth(self):
        rng = np.random.default_rng(0)
        x = torch.tensor(rng.poisson(rng.gamma(3, 5, (500, 1)) * [0.1, 1.0, 3.0, 0.0]), dtype=torch.float64)
        law = PoissonLikelihood(2, 4).double()
        law.learn_inputs([x, 2 * x])
        inputs = law.inputs(torch.stack([x, 2 * x]))
        np.testing.assert_allclose(inputs.mean(1), 0, atol=1e-5)
        np.testing.assert_allclose(inputs.std(1)[:, :3], 1, atol=1e-5)
        assert not inputs[..., 3].any()  # a gene that is never seen
        np.testing.assert_allclose(law.depth[:, 0, 0], [x.sum(1).median(), 2 * x.sum(1).median()])

    def test_a_linear_model_of_the_inputs_becomes_one_of_log_rates(self):
        """To first order, by differences."""
        law = PoissonLikelihood(1, 4).double()
        rate = torch.tensor([[2.0, 30.0, 8.0, 60.0]], dtype=torch.float64)
        law.depth.fill_(100.0)
        law.spread.copy_(torch.tensor([0.5, 2.0, 1.0, 0.7]))
        weights = torch.tensor([1.0, -0.8, 0.5, 0.3], dtype=torch.float64)
        weights -= (weights * rate[0] / 100).sum()  # shares that change keep adding to one
        loadings = (weights * rate[0] / (1 + rate[0]) / law.spread[0, 0])[None, None]
        bias, found = law.linear_start(rate, loadings)
        np.testing.assert_allclose(found[0, 0], weights, rtol=1e-6)
        step = 1e-4
        moved, still = (law.inputs(100 * torch.softmax(bias + s * found[:, 0], -1)[None]) for s in (step, 0.0))
        np.testing.assert_allclose((moved - still)[0, 0] / step, loadings[0, 0], rtol=1e-3)
