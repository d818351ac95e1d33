"""Through noise: standard errors, intervals and effects that use the information J of a cell, and ones that do not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pdae_sim.analysis._information import inflation, inverse_information
from pdae_sim.analysis.design import allocate_cells
from pdae_sim.analysis.identifiability.effects import estimate_effects
from pdae_sim.analysis.support import ShiftError, supports
from pdae_sim.analysis.verdict import judge
from pdae_sim.errors import InputError

TRAIN, COUNTS, LABEL = np.array([[0, 0], [1, 0], [0, 1]]), [300, 200, 250], [[1, 1]]
W = np.array([[1.2, 0.3], [0.0, 0.9]])
J = np.array([[0.5, 0.15], [0.15, 0.25]])


class FactorModel:
    """Cells x = F z + ε, ε ~ N(0, Ψ): the posterior of z and J in closed form."""

    F = np.array([[1.0, 0.2], [0.3, 0.5], [-0.4, 0.6], [0.5, 0.1]])
    psi = np.array([3.0, 1.5, 6.0, 4.5])

    @property
    def precision(self) -> np.ndarray:
        """FᵀΨ⁻¹F, what x adds to the precision of z."""
        return self.F.T / self.psi @ self.F

    @property
    def information(self) -> np.ndarray:
        """J = Fᵀ (F Fᵀ + Ψ)⁻¹ F = I − (I + FᵀΨ⁻¹F)⁻¹."""
        return self.F.T @ np.linalg.solve(self.F @ self.F.T + np.diag(self.psi), self.F)

    def cells(self, rng, mean, n) -> np.ndarray:
        z = mean + rng.normal(size=(n, 2))
        return z @ self.F.T + np.sqrt(self.psi) * rng.normal(size=(n, 4))

    def unbiased(self, x) -> np.ndarray:
        """Generalised least squares of z from x, of covariance I + (FᵀΨ⁻¹F)⁻¹ = J⁻¹ within a condition."""
        return x / self.psi @ self.F @ np.linalg.inv(self.precision)

    def posterior_means(self, x, prior) -> np.ndarray:
        return prior + (x - prior @ self.F.T) / self.psi @ self.F @ np.linalg.inv(np.eye(2) + self.precision)


MODEL = FactorModel()


def test_the_information_of_a_linear_gaussian_cell():
    """Two closed forms of claim 2.13, and J⁻¹ as the covariance of generalised least squares."""
    posterior = np.linalg.inv(np.eye(2) + MODEL.precision)
    assert MODEL.information == pytest.approx(np.eye(2) - posterior)
    assert inverse_information(MODEL.information) == pytest.approx(np.eye(2) + np.linalg.inv(MODEL.precision))


class TestInformation:
    @pytest.mark.parametrize("bad", [np.ones(3), np.ones((2, 3)), [[1.0, 0.5], [0.0, 1.0]], [[np.nan]]])
    def test_what_is_no_information_is_refused(self, bad):
        with pytest.raises(InputError, match="information"):
            inverse_information(bad)

    def test_eigenvalues_beyond_the_possible_are_held(self):
        assert inflation(np.diag([1.2, 1.0])) == 1.0
        assert inflation(np.diag([-0.1, 1.0])) == pytest.approx(500.5)

    @pytest.mark.parametrize("wrong", [-np.eye(2), 2 * np.eye(2)])
    def test_what_no_estimate_can_be_is_refused(self, wrong):
        with pytest.raises(InputError, match="eigenvalues from 0 to 1"):
            judge(TRAIN, LABEL, counts=COUNTS, perturbation_matrix=W, information=wrong)

    def test_one_of_other_latents_is_refused_by_a_verdict(self):
        with pytest.raises(InputError, match="information must have 2 columns"):
            judge(TRAIN, LABEL, counts=COUNTS, perturbation_matrix=W, information=np.eye(3))

    def test_its_size_is_that_of_the_latents(self):
        error = ShiftError.of(TRAIN, COUNTS, information=np.eye(3))
        with pytest.raises(InputError, match="2 latents"):
            supports(TRAIN, LABEL, counts=COUNTS, perturbation_matrix=W, error=error)

    def test_seen_latents_are_the_case_of_identity(self):
        seen, noiseless = (
            judge(
                TRAIN,
                LABEL,
                counts=COUNTS,
                perturbation_matrix=W,
                error=ShiftError.of(TRAIN, COUNTS, information=given),
            )[0]
            for given in (None, np.eye(2))
        )
        assert tuple(noiseless.interval) == pytest.approx(tuple(seen.interval))
        assert noiseless.least_standard_error_interval == pytest.approx(seen.least_standard_error_interval)

    def test_a_rotation_of_the_latents_changes_nothing(self):
        Q = np.array([[0.6, -0.8], [0.8, 0.6]])
        one, other = (
            judge(
                TRAIN, LABEL, counts=COUNTS, perturbation_matrix=M, error=ShiftError.of(TRAIN, COUNTS, information=own)
            )
            for M, own in ((W, J), (Q @ W, Q @ J @ Q.T))
        )
        assert tuple(one[0].interval) == pytest.approx(tuple(other[0].interval))
        assert one[0].effective_cells == pytest.approx(other[0].effective_cells)


class TestStandardErrors:
    def test_variances_are_multiplied_by_the_trace(self):
        seen, noisy = (judge(TRAIN, LABEL, counts=COUNTS, information=given)[0] for given in (None, J))
        factor = math.sqrt(np.trace(np.linalg.inv(J)) / 2)
        assert noisy.standard_error == pytest.approx(factor * seen.standard_error)
        assert noisy.least_standard_error == pytest.approx(factor * seen.least_standard_error)

    def test_information_replaces_that_of_the_error(self):
        error = ShiftError.of(TRAIN, COUNTS)
        (noisy,) = judge(TRAIN, LABEL, counts=COUNTS, error=error, information=J)
        assert noisy.standard_error == judge(TRAIN, LABEL, counts=COUNTS, information=J)[0].standard_error

    def test_cells_for_a_standard_error(self):
        """A quarter of the information takes four times the cells, and attains what was asked for."""
        seen = allocate_cells([0, 1, 1], 0, standard_error=0.1)
        noisy = allocate_cells([0, 1, 1], 0, standard_error=0.1, information=np.eye(2) / 4)
        assert noisy.cells.tolist() == (4 * seen.cells).tolist()
        assert noisy.standard_error == pytest.approx(0.1)

    @pytest.mark.statistical
    def test_they_are_those_of_maximum_likelihood(self):
        """400 data sets: covariance of the estimated shift of A+B is v J⁻¹, and not v I."""
        rng, n = np.random.default_rng(0), 400
        means = np.array([_estimated(rng)[0] for _ in range(n)])
        error = ShiftError.of(TRAIN, COUNTS, information=MODEL.information)
        (v,) = error.variances(LABEL)
        squares = np.einsum("ni,ij,nj->n", means - W.sum(1), MODEL.information, means - W.sum(1)) / v / 2
        assert squares.mean() == pytest.approx(1, abs=4 / math.sqrt(n))
        assert ((means - W.sum(1)) ** 2).mean() / v > 2  # a cell here has less than half the information


def _estimated(rng, *, whitened=False):
    """The shift of A+B and Ŵ from noisy cells of a factor model; with latents whitened, as who knows F only so far."""
    z = [MODEL.unbiased(MODEL.cells(rng, W @ label, n)) for label, n in zip(TRAIN, COUNTS, strict=True)]
    means = np.array([cells.mean(0) for cells in z])
    if whitened:
        within = sum((cells - m).T @ (cells - m) for cells, m in zip(z, means, strict=True)) / (sum(COUNTS) - 3)
        values, vectors = np.linalg.eigh(within - np.linalg.inv(MODEL.precision))
        means = means @ (vectors / np.sqrt(values)) @ vectors.T
    W_hat = (means[1:] - means[0]).T
    return W_hat.sum(1), W_hat


class TestIntervals:
    """Effective cells through noise: intervals hold with J, and miss without it."""

    N = 100

    def coverage(self, *, whitened, information):
        """Shares of data sets whose intervals hold δ from A to two units of it, and the effective cells there."""
        label = [[2, 0]]
        error = ShiftError.of(TRAIN, COUNTS, degrees=None if whitened else math.inf, information=information)
        (true,) = supports(TRAIN, label, counts=COUNTS, perturbation_matrix=W)
        held = []
        for seed in range(self.N):
            _, W_hat = _estimated(np.random.default_rng(seed), whitened=whitened)
            (found,) = supports(TRAIN, label, counts=COUNTS, perturbation_matrix=W_hat, error=error)
            low, high = found.distance_intervals[1]
            inside = low <= true.distances[1] <= high
            held.append((inside, found.interval.low <= true.effective_cells <= found.interval.high))
        return np.mean(held, axis=0)

    @pytest.mark.statistical
    @pytest.mark.parametrize("whitened", [False, True])
    def test_they_hold_the_truth_and_miss_without_it(self, whitened):
        """93 %, less three standard errors of a coverage."""
        least = 0.93 - 3 * math.sqrt(0.93 * 0.07 / self.N)
        assert (self.coverage(whitened=whitened, information=MODEL.information) > least).all()
        assert (self.coverage(whitened=whitened, information=None) < least).all()

    def test_noise_widens_them(self):
        seen, noisy = (
            supports(
                TRAIN,
                LABEL,
                counts=COUNTS,
                perturbation_matrix=W,
                error=ShiftError.of(TRAIN, COUNTS, information=given),
            )[0]
            for given in (None, J)
        )
        assert noisy.interval.low < seen.interval.low < seen.interval.high < noisy.interval.high
        assert (np.diff(noisy.distance_intervals) > np.diff(seen.distance_intervals)).all()


class TestEffects:
    """Posterior means under priors that are off: one step of scoring mends them."""

    @staticmethod
    def posterior_means(seed=0, n=500):
        rng, environment = np.random.default_rng(seed), np.repeat([0, 1, 2], n)
        prior = (0.5 * TRAIN @ W.T)[environment]
        x = np.vstack([MODEL.cells(rng, W @ label, n) for label in TRAIN])
        return MODEL.posterior_means(x, prior), environment, prior

    @pytest.mark.statistical
    def test_intervals_of_sizes_hold_the_truth(self):
        """Of 80 intervals 93 %, less three standard errors; those of posterior means as they are all but never do."""
        sizes, held, raw = np.linalg.norm(W, axis=0), [], []
        for seed in range(40):
            z, environment, prior = self.posterior_means(seed)
            effects = estimate_effects(z, environment, information=MODEL.information, prior_means=prior)
            held += [size in found.interval for size, found in zip(sizes, effects.sizes, strict=True)]
            raw += [
                size in found.interval
                for size, found in zip(sizes, estimate_effects(z, environment).sizes, strict=True)
            ]
        assert np.mean(held) > 0.93 - 3 * math.sqrt(0.93 * 0.07 / 80)
        assert np.mean(raw) < 0.2

    def test_their_variance_is_the_inverse_of_the_information(self):
        z, environment, prior = self.posterior_means(n=4000)
        stretched = prior + (z - prior) @ np.linalg.inv(MODEL.information)
        within = np.cov(stretched[environment == 0].T)
        assert within == pytest.approx(np.linalg.inv(MODEL.information), rel=0.1, abs=0.1)
