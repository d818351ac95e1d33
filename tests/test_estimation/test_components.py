"""Leading components without a covariance are those of the covariance."""

import numpy as np
import pytest
import torch

from pdae_sim.estimation import _components as components
from pdae_sim.estimation._components import is_wide, leading_components


def cells(d: int, n: int) -> np.ndarray:
    """Three strong directions, a weak one, noise that differs by feature, and a mean far off."""
    rng = np.random.default_rng(0)
    axes = np.linalg.qr(rng.normal(size=(d, 4)))[0] * [9.0, 6.0, 4.0, 2.0]
    return 50 + rng.normal(size=(n, 4)) @ axes.T + rng.normal(size=(n, d)) * rng.uniform(0.2, 0.5, d)


def by_blocks(x: np.ndarray, size: int):
    return lambda: iter(torch.from_numpy(x).split(size))


class TestLeadingComponents:
    def test_they_are_those_of_the_covariance(self):
        x = cells(600, 400)
        mean, variances, values, vectors = leading_components(by_blocks(x, 77), 600, 20)
        covariance = np.cov(x.T)
        expected, axes = np.linalg.eigh(covariance)
        np.testing.assert_allclose(mean, x.mean(0), rtol=1e-12)
        np.testing.assert_allclose(variances, np.diag(covariance), rtol=1e-10)
        np.testing.assert_allclose(values[::-1][:20], expected[::-1][:20], rtol=0.02)
        np.testing.assert_allclose(values[::-1][:4], expected[::-1][:4], rtol=1e-10)
        agreement = np.abs(axes[:, ::-1][:, :4].T @ vectors[:, ::-1][:, :4])
        np.testing.assert_allclose(agreement, np.eye(4), atol=1e-6)

    def test_cells_of_low_rank_have_no_more_directions(self):
        rng = np.random.default_rng(1)
        x = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 500))
        values = leading_components(by_blocks(x, 64), 500, 10)[2][::-1]
        assert values[2] > 1.0
        assert values[3:].max() < 1e-12 * values[0]

    def test_few_features_have_a_covariance(self):
        assert not is_wide(2048, 2)
        assert is_wide(5000, 50)
        assert not is_wide(5000, 1000)


@pytest.mark.slow
def test_a_fit_of_long_cells_is_that_with_a_covariance(monkeypatch):
    from pdae_sim import PDAE, PerturbationData

    x = cells(300, 600)
    x[200:400, :50] += 3.0
    x[400:, 50:100] -= 3.0
    data = PerturbationData.from_arrays(x, np.repeat(["ctrl", "A", "B"], 200))
    fits = []
    for wide in (2048, 100):
        monkeypatch.setattr(components, "_WIDE", wide)
        fits.append(PDAE(2, observation="gaussian_by_feature", steps=0).fit(data).perturbation_matrix_)
    np.testing.assert_allclose(fits[0].T @ fits[0], fits[1].T @ fits[1], rtol=1e-3)
