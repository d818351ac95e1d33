"""The chapters on the loss: wrong models cost something, and batches of the library have the slope claimed."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import erf
from scipy.stats import norm
from sympy import Integer, Rational

from pdae_sim.energy import distance_sum
from pdae_sim.estimation._losses import perturbation_energy
from theory.engine.checker import assess
from theory.engine.instances import worlds
from theory.training import loss, loss_batches, loss_within

WORLD = worlds(2)[1]


class TestPopulation:
    def test_every_way_to_be_wrong_costs_in_its_own_term(self):
        """A wrong Ŵ with the right latents, and a stretched latent space that only the prior sees."""
        own, H = loss.rotated(WORLD), np.diag([1.2, 1.0])
        *pairs, prior = loss.losses(WORLD, replace(own, W=1.2 * own.W))
        assert min(pairs) > 1e-4
        assert prior > 1e-4
        stretched = loss.Linear(own.decoder @ np.linalg.inv(H), H @ own.encoder, H @ own.W)
        *pairs, prior = loss.losses(WORLD, stretched)
        assert max(np.abs(pairs)) < 1e-8
        assert prior > 1e-4

    def test_the_checks_refuse_a_model_that_is_not_equivalent(self):
        assert assess(loss.measure(WORLD, loss.rotated(WORLD))).passed
        assert not assess(loss.measure(WORLD, loss.disturbed(WORLD))).passed

    def test_own_pairs_do_not_see_the_shift_and_cross_pairs_do(self):
        own = loss.rotated(WORLD)
        wrong = replace(own, W=0 * own.W)
        *itself, _ = loss.losses(WORLD, wrong, lambda source, target: source == target)
        *others, _ = loss.losses(WORLD, wrong, lambda source, target: source != target)
        assert max(np.abs(itself)) < 1e-8
        assert min(others) > 1e-2
        assert all(assess(m).passed for m in loss_within.measure(WORLD))

    def test_the_transport_that_hides_the_shift(self):
        """T carries the pooled latents to N(0, 1), environment by environment it does not."""
        z, size = np.linspace(-4, 5, 200), 1.0
        pooled = (norm.cdf(z) + norm.cdf(z - size)) / 2
        T = norm.ppf(pooled)
        np.testing.assert_allclose(norm.cdf(T), pooled, atol=1e-12)
        assert np.abs(norm.cdf(T) - norm.cdf(z)).max() > 0.1

    @pytest.mark.parametrize("gap", [0.0, 0.7, -1.3])
    def test_the_gap_of_lognormal_cells(self, gap):
        """E|e^Z - e^Z'| by quadrature of ∫ F (1 - G) + G (1 - F), against the closed form."""
        exact = float(loss.mean_gap([Integer(0)], [Rational(str(gap))]))

        def integrand(t):
            F, G = norm.cdf(t), norm.cdf(t - gap)
            return (F * (1 - G) + G * (1 - F)) * math.exp(t)

        assert math.isclose(exact, quad(integrand, -30, 30, limit=200)[0], rel_tol=1e-8)


def batches(n_replicates, size, shift, seed=0):
    """Cells x = exp(z), labels 0 and 1, W = 1, and what Ŵ = shift simulates from either source, under common noise."""
    z = torch.randn(n_replicates, 2, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    labels = torch.tensor([0.0, 1.0], dtype=torch.float64)
    latent = z + labels[:, None]
    simulated = [(latent + shift * (target - labels)[:, None]).flatten(1) for target in labels]
    return latent.exp()[..., None], torch.stack(simulated, 1).exp()[..., None]


def by_pair(x, simulated):
    """The loss of 3.9, over all replicates at once."""
    sources = simulated.unflatten(2, x.shape[1:3])[..., 0]  # (R, target, source, b)
    off = 1 - torch.eye(x.shape[2], dtype=x.dtype)

    def mean(first, second, same):
        gaps = (first[:, :, None] - second[:, None]).abs()
        return (gaps * off).sum((1, 2)) / off.sum() if same else gaps.mean((1, 2))

    return sum(
        mean(sources[:, h, e], x[:, h, :, 0], e == h) / 2
        - sum(mean(sources[:, h, e], sources[:, h, k], e == k) for k in (0, 1)) / 8
        for h in (0, 1)
        for e in (0, 1)
    )


def slope(term, n_replicates=40_000, size=2, step=0.02):
    """Mean slope of a batch loss along Ŵ at the truth, summed over targets, and its standard error."""
    ahead, behind = (term(*batches(n_replicates, size, 1 + t)) for t in (step, -step))
    values = (ahead - behind) / (2 * step)
    return float(values.mean()), float(values.std()) / math.sqrt(n_replicates)


CLAIMED = 2 * math.exp(0.5) * float(erf(0.5)) * (math.e - 1) / 12


class TestBatches:
    def test_the_counterexample_is_that_slope(self):
        case = loss_batches._equal_pairs(Integer(1))
        assert math.isclose(float(case.gap), CLAIMED, rel_tol=1e-12)

    def test_another_weight_is_refused(self):
        assert assess(loss_batches.measure(WORLD)).passed
        assert not assess(loss_batches.measure(WORLD, own_weight=1 / 3)).passed

    @pytest.mark.statistical
    def test_averaged_by_pair_of_environments_the_slope_is_zero(self):
        value, error = slope(by_pair)
        assert abs(value) < 4 * error
        assert error < CLAIMED / 8

    @pytest.mark.statistical
    def test_all_distinct_pairs_alike_have_the_slope(self):
        def alike(x, simulated):
            n, size = simulated.shape[2], x.shape[2]
            own = simulated.unflatten(2, x.shape[1:3]).diagonal(dim1=1, dim2=2).movedim(-1, 1)
            cross = distance_sum(simulated, x) - (own - x).abs().sum((2, 3))
            return (cross / (n * size - size) - distance_sum(simulated) / (2 * n * (n - 1))).sum(1)

        value, error = slope(alike)
        assert abs(value - CLAIMED) < 4 * error
        assert value > 8 * error

    def test_the_distance_of_pooled_samples_is_the_library_s(self):
        """One target and one source only: both ways of weighing pairs are the library's term."""
        x, simulated = batches(1, 4, 1.3)
        only = x[:, :1], simulated[:, :1, :4]
        gaps = (only[1][0, 0, :, 0][:, None] - only[0][0, 0, :, 0]).abs()
        off = 1 - torch.eye(4, dtype=gaps.dtype)
        within = (only[1][0, 0] - only[1][0, 0].T).abs()
        expected = ((gaps * off).sum() - (within * off).sum() / 2) / 12
        assert math.isclose(float(perturbation_energy(*only, 1.0)), float(expected), rel_tol=1e-12)
