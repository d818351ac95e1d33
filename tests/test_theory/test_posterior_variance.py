"""Claims 2.13 and 2.13b against likelihoods that scipy and torch differentiate, and against maximum likelihood."""

import doctest

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from theory.engine.checker import assess
from theory.engine.instances import worlds
from theory.prediction import posterior_variance
from theory.prediction.posterior_variance import gaussian_information

each_world = pytest.mark.parametrize("world", worlds(4), ids=lambda world: f"d{len(world.W)}")


def test_examples_in_docstrings():
    result = doctest.testmod(posterior_variance)
    assert result.attempted
    assert not result.failed


@each_world
class TestChecks:
    def test_another_noise_is_noticed(self, world):
        sound = {m.name: assess(m).passed for m in posterior_variance.measure(world)}
        wrong = {m.name: assess(m).passed for m in posterior_variance.measure(world, noisier=1 + 1e-6)}
        assert all(sound.values())
        assert not wrong["linear_gaussian"]

    def test_a_gain_of_another_noise_is_noticed(self, world):
        assert assess(posterior_variance.measure_gain(world)).passed
        assert not assess(posterior_variance.measure_gain(world, noisier=1 + 1e-6)).passed

    def test_the_information_is_minus_the_hessian_of_the_likelihood(self, world):
        """Of torch's multivariate Gaussian N(F m, F Fᵀ + Ψ), whose Hessian in m does not depend on x."""
        F, variances = posterior_variance.loadings(world)
        loading = torch.from_numpy(F)
        covariance = loading @ loading.T + torch.diag(torch.from_numpy(variances))

        def log_likelihood(m):
            return torch.distributions.MultivariateNormal(loading @ m, covariance).log_prob(torch.ones(len(F)).double())

        hessian = torch.autograd.functional.hessian(log_likelihood, torch.zeros(F.shape[1]).double()).numpy()
        np.testing.assert_allclose(gaussian_information(F, variances), -hessian, rtol=1e-9, atol=1e-12)
        assert np.abs(gaussian_information(F, 1.1 * variances) + hessian).max() > 1e-3


class TestFisherInformation:
    """x = z + z³/8 + ε with Student noise: information by finite differences of integrals, variances by sums."""

    def test_a_curved_assay_with_heavy_tails(self):
        mean, step, x, z = 0.4, 1e-3, np.arange(-40, 60, 0.1), np.linspace(-7, 8, 1201)
        given = stats.t.pdf(x[:, None] - z - z**3 / 8, 4)
        low, law, high = (
            integrate.simpson(given * stats.norm.pdf(z, m), x=z) for m in (mean - step, mean, mean + step)
        )
        information = integrate.simpson((high - low) ** 2 / (4 * step**2 * law), x=x)
        joint = given * stats.norm.pdf(z, mean)
        posterior = joint / joint.sum(axis=1, keepdims=True)
        variance = posterior @ z**2 - (posterior @ z) ** 2
        claimed = 1 - integrate.simpson(law * variance, x=x)
        assert information == pytest.approx(claimed, abs=1e-4)
        assert 0.2 < claimed < 0.8  # noise costs, so that the agreement is news

    @pytest.mark.statistical
    def test_the_maximum_of_the_likelihood_has_the_variance_of_the_bound(self):
        """x = F z + ε, 2,000 replicates of 50 cells: the best fit has variance J⁻¹/50 within 4 standard errors."""
        draw, n = np.random.default_rng(0), 50
        F, variances = np.array([[1.0], [0.5], [0.0]]), np.array([1.0, 0.2, 2.0])
        means = (
            F[:, 0] * 0.3 + draw.normal(size=(2000, 3)) @ np.linalg.cholesky(F @ F.T + np.diag(variances)).T / n**0.5
        )
        J = gaussian_information(F, variances)[0, 0]
        precision = np.linalg.inv(F @ F.T + np.diag(variances))
        estimates = means @ precision @ F[:, 0] / J
        ratio = estimates.var() * n * J
        assert ratio == pytest.approx(1, abs=4 * np.sqrt(2 / 2000))
        assert estimates.var() * n > 1.2  # and not that of cells whose latents are seen
