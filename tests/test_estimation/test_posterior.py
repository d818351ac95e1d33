"""Latents under noise in a linear Gaussian world, where likelihood, posterior, start and gauge have closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from pdae_sim.errors import InputError
from pdae_sim.estimation._posterior import PosteriorNetwork
from pdae_sim.estimation._posterior_gauge import _start_encoder, settle, start_linear
from pdae_sim.estimation._posterior_prediction import draw_training, draw_under, encode
from pdae_sim.estimation.architecture import Architecture
from tests.test_estimation.linear_gaussian import LinearGaussian
from tests.test_estimation.test_likelihoods import law_of

WORLD = LinearGaussian.random()


def generators(seed: int = 0) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed)]


def batch(n: int, world: LinearGaussian = WORLD) -> tuple[torch.Tensor, torch.Tensor]:
    """Cells (1, 3, n, d_X) and Ŵ l (1, 3, 2)."""
    x = torch.tensor(world.draw(n)[0]).view(1, 3, n, -1)
    return x, torch.tensor(world.labels @ world.W.T)[None]


@torch.no_grad()
def mean_bound(network, x: torch.Tensor, shifts: torch.Tensor, draws: int) -> float:
    return float(network.bound(x, shifts, generators(), draws).mean())


def mean_log_density(x: torch.Tensor, world: LinearGaussian = WORLD) -> float:
    return np.mean([world.log_density(x[0, e].numpy(), label) for e, label in enumerate(world.labels)])


def spoilt(network, by: float = 0.4):
    """A network whose potential is off: beside the place it should have, and too wide."""
    with torch.no_grad():
        network.encoder.network.biases[-1][..., :2] += by
        network.encoder.network.biases[-1][..., 2:] -= by
    return network


class TestBound:
    @pytest.mark.parametrize("draws", [1, 3])
    def test_with_the_exact_posterior_it_is_the_marginal_likelihood(self, draws):
        x, shifts = batch(20)
        bound = WORLD.exact().bound(x, shifts, generators(), draws).detach().numpy()[0]
        exact = [WORLD.log_density(x[0, e].numpy(), WORLD.labels[e]) for e in range(3)]
        np.testing.assert_allclose(bound, exact, rtol=1e-9)

    def test_with_a_wrong_posterior_it_is_below_and_more_draws_are_nearer(self):
        x, shifts = batch(400)
        network = spoilt(WORLD.exact())
        gaps = [mean_log_density(x) - mean_bound(network, x, shifts, k) for k in (1, 4, 32)]
        assert gaps[0] > 2 * gaps[1] > 4 * gaps[2] > 0

    def test_a_wrong_model_is_below(self):
        x, shifts = batch(400)
        network = WORLD.exact()
        right = mean_bound(network, x, shifts, 8)
        assert mean_bound(network, x, shifts.flip(1), 8) < right - 0.3
        network.likelihood.log_sd.data += 0.5
        assert mean_bound(network, x, shifts, 8) < right - 0.1

    @pytest.mark.parametrize("draws", [1, 5])
    def test_gradients_are_those_of_the_plain_bound_in_expectation(self, draws):
        """Plain: reparametrised throughout, densities by torch, nothing held fixed."""
        network, n, blocks = spoilt(WORLD.exact()), 150, 20
        x, labels = batch(1)[0].expand(1, 3, n, -1), torch.tensor(WORLD.labels)[None]
        moved = [
            network.shift,
            network.decoder.skip,
            network.decoder.biases[-1],
            network.likelihood.log_sd,
            network.encoder.network.biases[-1],
        ]

        def plain(generator: torch.Generator) -> torch.Tensor:
            mean, root = network.posterior(x, network.shifts(labels))
            noise = torch.randn((1, 3, n, draws, 2), generator=generator, dtype=x.dtype)
            z = mean[..., None, :] + torch.linalg.solve(root.mT[..., None, :, :], noise[..., None])[..., 0]
            q = MultivariateNormal(mean[..., None, :], precision_matrix=(root @ root.mT)[..., None, :, :])
            prior = MultivariateNormal(network.shifts(labels)[:, :, None, None], torch.eye(2, dtype=x.dtype))
            law = Normal(network.decoder(z), network.likelihood.log_sd.exp()[..., None, None, :])
            log_weight = law.log_prob(x[..., None, :]).sum(-1) + prior.log_prob(z) - q.log_prob(z)
            return torch.logsumexp(log_weight, -1) - np.log(draws)

        def gradients(values: torch.Tensor) -> np.ndarray:
            return np.concatenate([g.numpy().ravel() for g in torch.autograd.grad(values.mean(), moved)])

        ours = [gradients(network.bound(x, network.shifts(labels), generators(b), draws)) for b in range(blocks)]
        theirs = [gradients(plain(generators(1000 + b)[0])) for b in range(blocks)]
        error = np.sqrt((np.var(ours, 0, ddof=1) + np.var(theirs, 0, ddof=1)) / blocks)
        away = np.abs(np.mean(ours, 0) - np.mean(theirs, 0))
        assert (away < 5 * error + 1e-9).all()
        assert (np.abs(np.mean(theirs, 0)) > 10 * error).mean() > 0.5  # there is something to agree on


def small(law: str, replicates: int) -> tuple[PosteriorNetwork, torch.Tensor, torch.Tensor]:
    """A curved network of each replicate, cells (R, 3, 7, 4) that are counts, and labels (R, 3, 2)."""
    sources = [torch.Generator().manual_seed(r) for r in range(replicates)]
    likelihood = law_of(law, replicates)
    network = PosteriorNetwork((4, 2, 2), Architecture(width=8, depth=1), likelihood, sources).double()
    x = torch.poisson(torch.full((replicates, 3, 7, 4), 3.0), generator=sources[0]).double()
    likelihood.learn_inputs(list(x.flatten(1, 2)))
    return network, x, torch.tensor(WORLD.labels)[None].repeat(replicates, 1, 1)


@pytest.mark.parametrize("law", ["gaussian_by_feature", "latent_library"])
@pytest.mark.parametrize(("replicates", "cells"), [(1, 7), (2, 7), (2, 1)])
@pytest.mark.parametrize("at_once", [1, 200, 600])
def test_a_bound_in_parts_is_that_of_the_whole_with_its_gradients(law, replicates, cells, at_once, monkeypatch):
    network, x, labels = small(law, replicates)
    parameters, decoded = [p for p in network.parameters() if p.requires_grad], []
    network.decoder.register_forward_hook(lambda _, given, output: decoded.append(output.numel()))

    def bound(draws: int) -> tuple[torch.Tensor, ...]:
        sources = [torch.Generator().manual_seed(9 + r) for r in range(replicates)]
        values = network.bound(x[:, :, :cells], network.shifts(labels), sources, draws)
        return values.detach(), *torch.autograd.grad(
            values.sum(), parameters, allow_unused=True, materialize_grads=True
        )

    whole = [bound(draws) for draws in (1, 4)]
    most = max(decoded)
    monkeypatch.setattr("pdae_sim.estimation._posterior._AT_ONCE", at_once)
    decoded.clear()
    for expected, found in zip(whole, [bound(draws) for draws in (1, 4)], strict=True):
        for one, other in zip(expected, found, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-10, atol=1e-12)
    axis = 3 if cells == 1 else 7
    assert max(decoded) <= max(at_once, most // axis)
    with torch.no_grad():
        sources = [torch.Generator().manual_seed(9 + r) for r in range(replicates)]
        found = network.bound(x[:, :, :cells], network.shifts(labels), sources, 4)
    torch.testing.assert_close(found, whole[1][0], rtol=1e-10, atol=1e-12)


class TestPosterior:
    def test_moments_and_draws_are_those_of_the_exact_posterior(self):
        x, shifts = batch(300)
        left = np.eye(2) - WORLD.information
        with torch.no_grad():
            mean, covariance = (m.numpy() for m in WORLD.exact().moments(x, shifts, generators(), 32))
        prior = shifts.numpy()[:, :, None]
        expected = prior + (x.numpy() - WORLD.c - prior @ WORLD.F.T) @ np.linalg.solve(WORLD.covariance, WORLD.F)
        np.testing.assert_allclose(((mean - expected) ** 2).mean((0, 1, 2)), np.diag(left) / 32, rtol=0.2)
        np.testing.assert_allclose(covariance.mean((0, 1, 2)), left, atol=0.01)

    def test_weights_make_up_for_a_wrong_posterior(self):
        x, shifts = batch(200)
        network, left = spoilt(WORLD.exact(), 0.2), np.eye(2) - WORLD.information
        wrong = torch.linalg.inv((root := network.posterior(x, shifts)[1]) @ root.mT).detach().numpy().mean((0, 1, 2))
        assert np.abs(wrong - left).max() > 0.04
        found = network.moments(x, shifts, generators(), 64)[1].detach().mean((0, 1, 2))
        np.testing.assert_allclose(found, left, atol=0.02)

    def test_information_is_what_the_noise_leaves(self):
        drawn = draw_training(WORLD.exact(), WORLD.cells(1000), seed=0)
        np.testing.assert_allclose(drawn.information, WORLD.information, atol=0.01)
        np.testing.assert_allclose(drawn.by_environment, np.repeat(WORLD.information[None], 3, 0), atol=0.015)
        base = drawn.latents - np.repeat(WORLD.labels @ WORLD.W.T, 1000, axis=0)
        np.testing.assert_allclose(base.mean(0), 0, atol=5 / np.sqrt(3000))
        np.testing.assert_allclose(np.cov(base.T), np.eye(2), atol=8 / np.sqrt(3000))

    def test_encoding_without_a_condition_is_the_posterior_of_the_mixture(self):
        """By numerical integration over a grid."""
        x = torch.tensor(WORLD.draw(4)[0])
        share = np.array([0.5, 0.2, 0.3])
        shifts = torch.tensor(WORLD.labels @ WORLD.W.T)
        found = encode(WORLD.exact(), x, shifts, share, None, generators()[0])
        axis = np.linspace(-7, 7, 141)
        z = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
        residual = x.numpy()[:, None] - z @ WORLD.F.T - WORLD.c
        prior = np.exp(-0.5 * ((z[:, None] - shifts.numpy()) ** 2).sum(-1)) @ share
        weight = np.exp(-0.5 * (residual**2 / WORLD.variance).sum(-1)) * prior
        weight /= weight.sum(1, keepdims=True)
        np.testing.assert_allclose(found, weight @ z, atol=1e-6)
        draws = encode(WORLD.exact(), x, shifts, share, 4000, generators()[0])
        assert draws.shape == (4000, 12, 2)
        spread = np.sqrt(weight @ z**2 - (weight @ z) ** 2)
        np.testing.assert_array_less(np.abs(draws.mean(0) - weight @ z) / spread, 5 / np.sqrt(4000))
        np.testing.assert_allclose(draws.std(0) / spread, 1, atol=0.08)

    def test_draws_under_a_condition(self):
        x, shifts = batch(1)
        (mean, root) = (each.detach().numpy()[0, 1, 0] for each in WORLD.exact().posterior(x, shifts))
        z = draw_under(WORLD.exact(), x[0, 1].repeat(500, 1), shifts[0, 1], generators()[0], 4)[0].reshape(-1, 2)
        np.testing.assert_allclose(z.mean(0), mean, atol=5 / np.sqrt(2000))
        np.testing.assert_allclose(np.cov(z.T), np.linalg.inv(root @ root.T), atol=0.05)


class TestGauge:
    N = 3000
    CELLS = WORLD.cells(N)

    def standard_error(self) -> float:
        """Of a shift, in its worst direction."""
        return float(np.sqrt(2 / self.N / np.linalg.eigvalsh(WORLD.information)[0]))

    def test_the_truth_stays(self):
        network = WORLD.exact()
        settle(network, self.CELLS)
        np.testing.assert_allclose(network.shift.detach()[0], WORLD.W, atol=5 * self.standard_error())
        np.testing.assert_allclose(network.decoder.skip.detach().numpy()[0], WORLD.F.T, atol=0.1)

    def test_a_wrong_shift_is_refitted_in_one_step(self):
        """Means of posteriors move by J times the error of the shift; the step divides by J."""
        network = WORLD.exact()
        network.shift.data += torch.tensor([[0.5, -0.3], [0.2, 0.4]])
        settle(network, self.CELLS)
        np.testing.assert_allclose(network.shift.detach()[0], WORLD.W, atol=5 * self.standard_error())

    def test_latents_of_another_scale_are_whitened(self):
        """Again and again, as each step sees posteriors under the prior of the one before."""
        network = WORLD.exact()
        matrix = torch.tensor([[1.5, 0.4], [0.0, 0.7]], dtype=torch.float64)[None]
        offset = torch.tensor([[0.5, -0.5]], dtype=torch.float64)
        network.encoder.compose(matrix, offset)
        network.decoder.precompose(torch.linalg.inv(matrix), offset)
        network.shift.data = matrix.mT @ network.shift.data
        assert np.abs(network.decoder.skip.detach().numpy()[0] - WORLD.F.T).max() > 0.5
        few = replace(self.CELLS, rows=(tuple(rows[:600] for rows in self.CELLS.rows[0]),))
        for _ in range(8):
            settle(network, few)
        W, F = (each.detach().numpy()[0] for each in (network.shift, network.decoder.skip))
        np.testing.assert_allclose(W.T @ W, WORLD.W.T @ WORLD.W, atol=0.5)
        np.testing.assert_allclose(F.T @ F, WORLD.F @ WORLD.F.T, atol=0.08 * np.abs(WORLD.F @ WORLD.F.T).max())

    def test_cells_and_their_predictions_are_untouched_by_a_change_of_gauge(self):
        network, other = WORLD.exact(), WORLD.exact()
        matrix = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)[None]
        offset = torch.tensor([[0.3, -0.2]], dtype=torch.float64)
        other.encoder.compose(matrix, offset)
        other.decoder.precompose(matrix.mT, offset)
        x, shifts = batch(30)
        moved = (shifts - offset) @ matrix[0]
        own, its = network.bound(x, shifts, generators(), 4), other.bound(x, moved, generators(), 4)
        np.testing.assert_allclose(own.detach(), its.detach(), rtol=1e-9)


class TestStart:
    def test_with_noise_of_one_level_it_is_the_factor_model(self):
        world = LinearGaussian.random(12, noise=0.3, isotropic=True)
        network = world.untrained()
        start_linear(network, world.cells(3000, dtype=torch.float32))
        F, W = (each.detach().double().numpy()[0] for each in (network.decoder.skip, network.shift))
        gram = world.F @ world.F.T
        np.testing.assert_allclose(F.T @ F, gram, atol=0.05 * np.abs(gram).max())
        np.testing.assert_allclose(W.T @ W, world.W.T @ world.W, atol=0.2)
        x, _ = batch(500, world)
        bound = mean_bound(network, x.float(), network.shifts(torch.tensor(world.labels[None]).float()), 16)
        assert 0 < mean_log_density(x, world) - bound < 0.5

    def test_replicates_start_from_cells_of_their_own(self):
        worlds = [LinearGaussian.random(seed=s) for s in (0, 1)]
        cells = [world.cells(100, dtype=torch.float32) for world in worlds]
        x = torch.cat([each.x for each in cells])
        rows = (cells[0].rows[0], tuple(300 + r for r in cells[1].rows[0]))
        together = worlds[0].untrained(2)
        start_linear(together, replace(cells[0], x=x, rows=rows, labels=cells[0].labels.repeat(2, 1, 1)))
        for r, (world, each) in enumerate(zip(worlds, cells, strict=True)):
            alone = world.untrained()
            start_linear(alone, each)
            np.testing.assert_allclose(together.shift.detach()[r], alone.shift.detach()[0], atol=1e-5)
            np.testing.assert_allclose(together.decoder.skip.detach()[r], alone.decoder.skip.detach()[0], atol=1e-5)

    def test_cells_that_vary_in_fewer_directions_are_refused(self):
        cells = WORLD.cells(50, dtype=torch.float32)
        flat = replace(cells, x=cells.x[:, :1] * torch.ones(1, 6))
        with pytest.raises(InputError, match="n_latents must not exceed 1, the directions in which x varies"):
            start_linear(WORLD.untrained(), flat)

    def test_of_many_features_it_is_the_same_to_the_last_bit_wherever_memory_is(self):
        world, starts, held = LinearGaussian.random(120), set(), []
        for k in range(8):
            held.append(np.ones(1 + 137 * k))
            network = world.untrained()
            start_linear(network, world.cells(50, dtype=torch.float32))
            assert network.encoder.axes is not None
            starts.add(network.encoder.network.skip.detach().numpy().tobytes())
        assert len(starts) == 1

    @pytest.mark.parametrize("law", ["gaussian_by_feature", "latent_library"])
    def test_it_stays_on_the_device_of_the_networks(self, law):
        """The meta device, where tensors meet only tensors of their own device, stands for any other."""
        network = small(law, 2)[0].to("meta")
        d, n = 2, network.encoder.network.skip.shape[1] - network.likelihood.n_own
        sizes = {"loadings": (2, d, n), "scores": (2, n, d), "offset": (2, d), "residual": (2, n)}
        found = {name: torch.empty(*size, dtype=torch.float64, device="meta") for name, size in sizes.items()}
        with torch.no_grad():
            _start_encoder(network, **found)
        assert network.encoder.network.skip.device.type == "meta"
