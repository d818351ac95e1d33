"""The oracle with the true posterior: closed forms of a linear Gaussian world, and calibration where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.benchmarks import _noise_oracle as oracle
from experiments.benchmarks._noisy_verdicts import measure, print_noisy
from pdae_sim import LinearLatentModel, Simulator
from pdae_sim.analysis.support import ShiftError
from pdae_sim.errors import InputError
from pdae_sim.simulation.observation import GaussianNoise, SignalDropout
from pdae_sim.simulation.worlds import world

SIGMA, CONDITIONS = 0.6, ["ctrl", "A", "B"]


@pytest.fixture(scope="module")
def linear():
    """A linear Gaussian world, and F (d_X, 2) from isotropic latents."""
    latent = LinearLatentModel.random(2, 2, rng=0)
    simulator = Simulator.random(latent, n_observed=4, rng=0, kind="linear", observation=GaussianNoise(SIGMA))
    origin = oracle.decode(simulator, np.zeros((1, 2)))
    return simulator, (oracle.decode(simulator, np.eye(2)) - origin).T, origin


def closed_form(F, x, mean):
    covariance = np.linalg.inv(np.eye(2) + F.T @ F / SIGMA**2)
    return mean + (x - mean @ F.T) @ F @ covariance / SIGMA**2, covariance


def test_moments_and_information_of_a_linear_world(linear):
    simulator, F, origin = linear
    data = simulator.sample(CONDITIONS, 200, rng=1).data
    W = oracle.true_matrix(simulator)
    for label, rows in zip(data.labels, data.rows_by_environment, strict=True):
        means, covariances = oracle.posterior_moments(simulator, data.x[rows], W @ label)
        expected, covariance = closed_form(F, data.x[rows] - origin, W @ label)
        assert means == pytest.approx(expected, abs=1e-2)
        assert covariances == pytest.approx(np.broadcast_to(covariance, covariances.shape), abs=5e-3)
    J = F.T @ np.linalg.solve(F @ F.T + SIGMA**2 * np.eye(4), F)
    assert oracle.information(simulator, data) == pytest.approx(J, abs=2e-3)


def test_the_matrix_of_a_linear_world_is_generalised_least_squares(linear):
    simulator, F, origin = linear
    data = simulator.sample(CONDITIONS, [50, 80, 120], rng=2).data
    z = (data.x - origin) @ F @ np.linalg.inv(F.T @ F)
    means = np.array([z[rows].mean(0) for rows in data.rows_by_environment])
    assert oracle.shift_matrix(simulator, data) == pytest.approx((means[1:] - means[0]).T, abs=5e-3)


@pytest.mark.statistical
def test_its_spread_is_that_of_the_standard_errors(linear):
    """30 data sets: the covariance of Ŵ d is v(d) J⁻¹, within four standard errors, and not v(d) I."""
    simulator, W = linear[0], oracle.true_matrix(linear[0])
    samples = [simulator.sample(CONDITIONS, 60, rng=seed).data for seed in range(30)]
    misses = np.array([oracle.shift_matrix(simulator, data, steps=1) - W for data in samples])
    J = oracle.information(simulator, samples[0])
    v = ShiftError.of(samples[0].labels, samples[0].counts).variances(np.eye(2))
    ratio = np.einsum("nik,ij,njk->nk", misses, J, misses) / v / 2
    error = ratio.std() / np.sqrt(ratio.size)
    assert ratio.mean() == pytest.approx(1, abs=4 * error)
    assert ((misses**2).mean(axis=(0, 1)) / v).mean() > 1 + 4 * error


@pytest.mark.statistical
@pytest.mark.parametrize(
    "name", ["heteroscedastic", "counts", pytest.param("proteins", marks=pytest.mark.slow), "dropout"]
)
def test_posteriors_are_calibrated(name):
    """Over 200 cells: true latents whitened by posterior moments have mean 0 and variance 1; draws are as spread."""
    config = world(name, ("design.cells=200", "design.test_cells=8"), seed=1)
    simulation, simulator = config.simulate(), config.simulator()
    rows = simulation.data.rows_by_environment[1]
    x, z = simulation.data.x[rows], simulation.truth.isotropic().z[rows]
    means, S = oracle.posterior_moments(simulator, x, oracle.true_matrix(simulator)[:, 0])
    (draw,) = oracle.posterior_draws(simulator, x, "A", rng=0)
    if name == "dropout":  # what is left of a cell tells its latents
        assert means == pytest.approx(z, abs=1e-6)
        assert draw == pytest.approx(z, abs=1e-6)
        return
    for found in (z, draw):
        whitened = np.linalg.solve(np.linalg.cholesky(S), (found - means)[:, :, None])[:, :, 0]
        assert whitened.mean(axis=0) == pytest.approx(0, abs=4 / np.sqrt(200))
        assert whitened.var() == pytest.approx(1, abs=4 * np.sqrt(2 / 400))


def test_what_it_cannot_do_is_refused(linear):
    latent = LinearLatentModel.random(3, 2, rng=0)
    three = Simulator.random(latent, n_observed=4, rng=0, observation=GaussianNoise(1.0))
    with pytest.raises(InputError, match="two latents"):
        oracle.information(three, three.sample(["ctrl", "A"], 5, rng=0).data)
    lost = Simulator(linear[0].latent, linear[0].mixing, SignalDropout(0.0, 1.0))
    with pytest.raises(InputError, match="SignalDropout"):
        oracle.information(lost, lost.sample(CONDITIONS, 5, rng=0).data)


def test_the_table_of_noisy_verdicts(capsys):
    row = measure("dropout", 0, fit=None)
    assert row["oracle"][1] < row["truth"] < row["oracle"][2]
    print_noisy({"dropout": [row]})
    assert "1 of 1" in capsys.readouterr().out
