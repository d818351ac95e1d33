"""The terms of the loss against naive loops, closed forms and their negative controls."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experiments.benchmarks.pairwise import pairwise_loss
from pdae_sim.errors import InputError
from pdae_sim.estimation._losses import TERMS, Step, density_ratio_logits, log_volume, perturbation_energy
from pdae_sim.estimation._networks import ACTIVATIONS, MLP, Network
from pdae_sim.estimation._posterior import PosteriorNetwork
from pdae_sim.estimation.architecture import Architecture
from pdae_sim.estimation.likelihoods import GaussianLikelihood


def step(n_noise: int = 0, beta: float = 1.0, cells: int = 5, dtype: torch.dtype = torch.float64) -> Step:
    generator = torch.Generator().manual_seed(0)
    network = Network((4, 2, 3), Architecture(width=8, depth=2, n_noise=n_noise), [generator]).to(dtype)
    labels = torch.tensor([[[0, 0, 0], [1, 0, 0], [0, 2, 1]]], dtype=dtype)
    x = torch.randn(1, 3, cells, 4, generator=generator).to(dtype)
    return Step(network, x, labels, beta, [generator])


def noisy_step() -> Step:
    generator = torch.Generator().manual_seed(0)
    law = GaussianLikelihood(1, 4)
    network = PosteriorNetwork((4, 2, 3), Architecture(width=8, depth=2), law, [generator]).to(torch.float64)
    labels = torch.tensor([[[0, 0, 0], [1, 0, 0], [0, 2, 1]]], dtype=torch.float64)
    x = torch.randn(1, 3, 5, 4, generator=generator).to(torch.float64)
    return Step(network, x, labels, 1.0, [generator])


def with_latents(s: Step, z: torch.Tensor) -> Step:
    """A step whose cells are encoded to given latents."""
    other = replace(s)
    vars(other)["z"] = z
    return other


@torch.no_grad()
def everywhere(s: Step, h: int) -> dict[tuple[int, int], torch.Tensor]:
    """Cell by cell what the batch would have looked like under environment h, by environment and number."""
    network, x, labels = s.network, s.x[0], s.labels[0]
    found = {}
    for e, i in itertools.product(*map(range, x.shape[:2])):
        z = network.encoder(x[None, e, i][None])[0, 0] + network.shift[0] @ (labels[h] - labels[e])
        found[e, i] = network.decoder(z[None, None])[0, 0]
    return found


def mean_distance(pairs, beta: float) -> torch.Tensor:
    return torch.stack([torch.dist(u, v) ** beta for u, v in pairs]).mean()


@torch.no_grad()
def naive_perturbation(s: Step) -> float:
    """Triple loop over targets, pairs of environments and distinct cells; every pair of environments weighs alike."""
    E, b = s.x.shape[1:3]
    losses = []
    for h in range(E):
        made, x = everywhere(s, h), s.x[0, h]
        cross = [
            mean_distance([(x[j], made[e, i]) for i in range(b) for j in range(b) if (e, i) != (h, j)], s.beta)
            for e in range(E)
        ]
        spread = [
            mean_distance([(made[e, i], made[k, j]) for i in range(b) for j in range(b) if (e, i) != (k, j)], s.beta)
            for e in range(E)
            for k in range(E)
        ]
        losses.append(sum(cross) / E - 0.5 * sum(spread) / E**2)
    return float(sum(losses) / E)


@torch.no_grad()
def naive_all_pairs(s: Step) -> float:
    """The same over all pairs at once, a cell with its own reconstruction among them."""
    losses = []
    for h, x in enumerate(s.x[0]):
        made = everywhere(s, h)
        cross = mean_distance(itertools.product(x, made.values()), s.beta)
        losses.append(cross - 0.5 * mean_distance(itertools.permutations(made.values(), 2), s.beta))
    return float(sum(losses) / len(losses))


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.6])
def test_perturbation_loss_equals_the_triple_loop(beta):
    s = step(beta=beta)
    assert float(TERMS["perturbation"](s).detach()) == pytest.approx(naive_perturbation(s), rel=1e-10)


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.6])
def test_the_loss_over_all_pairs_compares_a_cell_with_its_own_reconstruction_too(beta):
    s = step(beta=beta)
    found = float(TERMS["all_pairs"](s).detach())
    assert found == pytest.approx(naive_all_pairs(s), rel=1e-10)
    assert found != pytest.approx(naive_perturbation(s), rel=1e-3)


def test_a_cell_is_not_compared_with_its_own_reconstruction():
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    simulated = torch.randn(2, 8, 3, dtype=torch.float64)
    alone = perturbation_energy(x[None], simulated[None], 1.0)[0]
    far = x.clone()
    far[0, 1] += 100.0
    moved = [torch.dist(far[0, 1], simulated[0, i]) - torch.dist(x[0, 1], simulated[0, i]) for i in range(8)]
    change = (sum(moved[i] for i in (0, 2, 3)) / (4 * 3) + sum(moved[4:]) / (4 * 4)) / 2
    assert float(perturbation_energy(far[None], simulated[None], 1.0)[0, 0] - alone[0]) == pytest.approx(
        float(change), rel=1e-10
    )


def test_perturbation_gradient_matches_the_naive_loop():
    s = step()
    TERMS["perturbation"](s).backward()
    grouped = s.network.shift.grad.clone()
    s.network.zero_grad()
    fresh = step()
    eps, moved = 1e-6, torch.zeros_like(grouped)
    for index in itertools.product(*map(range, grouped.shape)):
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                fresh.network.shift[index] += sign * eps
                values.append(naive_perturbation(fresh))
                fresh.network.shift[index] -= sign * eps
        moved[index] = (values[0] - values[1]) / (2 * eps)
    torch.testing.assert_close(grouped, moved, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("term", sorted(TERMS))
@pytest.mark.parametrize("n_noise", [0, 2])
def test_every_term_is_finite_with_finite_gradients(term, n_noise):
    s = noisy_step() if "posterior" in TERMS[term].needs else step(n_noise)
    TERMS[term](s).backward()
    grads = [p.grad for p in s.network.parameters() if p.grad is not None]
    assert grads
    assert all(torch.isfinite(g).all() for g in grads)


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_gradients_are_zero_and_not_nan_when_all_cells_tie(beta):
    x = torch.zeros(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    perturbation_energy(x, torch.zeros(1, 2, 6, 4, dtype=torch.float64), beta).sum().backward()
    assert (x.grad == 0).all()


def test_reconstruction_leaves_the_encoder_alone_and_autoencoding_does_not():
    for term, moves in (("reconstruction", False), ("autoencoding", True)):
        s = step()
        TERMS[term](s).backward()
        grads = [p.grad for p in s.network.encoder.parameters()]
        assert any(g is not None and g.abs().sum() > 0 for g in grads) is moves


def test_an_encoder_that_folds_cells_cannot_have_inversion_small():
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[None, None, :, None]
    z = {"plain": x, "folded": x.abs()}
    network = Network((1, 1, 1), Architecture(depth=0), [torch.Generator()]).double()
    network.decoder.network.init_linear(torch.ones(1, 1, 1, dtype=torch.float64))
    zeros = torch.zeros(1, 1, 1, dtype=torch.float64)
    found = {
        name: TERMS["inversion"](with_latents(Step(network, x, zeros, 1.0, []), value)) for name, value in z.items()
    }
    assert float(found["plain"].detach()) == pytest.approx(0.0, abs=1e-12)
    assert float(found["folded"].detach()) == pytest.approx(float((x - x.abs()).square().mean()))


def test_stochastic_reconstruction_uses_two_noise_draws():
    s = step(n_noise=2)
    value = float(TERMS["reconstruction"](s).detach())
    plain = float(torch.linalg.vector_norm(s.decode(s.z) - s.x, dim=-1).mean().detach())
    assert value < plain  # half the distance between two draws is taken off


def test_decoding_is_a_squared_error_or_the_energy_score_of_a_decoder_with_noise():
    s = step()
    squares = (s.decode(s.z) - s.x).square().sum(-1).mean()
    assert float(TERMS["decoding"](s).detach()) == pytest.approx(float(squares.detach()))
    first, second = step(n_noise=2), step(n_noise=2)
    assert torch.equal(TERMS["decoding"](first), TERMS["reconstruction"](second))


def test_sparsity_is_the_sum_of_row_norms():
    s = step()
    assert float(TERMS["sparsity"](s).detach()) == pytest.approx(
        sum(math.hypot(*row) for row in s.network.shift[0].tolist())
    )


@given(st.integers(1, 3), st.integers(0, 2**16))
def test_density_ratio_logits_are_gaussian_log_ratios(d, seed):
    rng = np.random.default_rng(seed)
    z, shifts = rng.normal(size=(6, d)), rng.normal(size=(4, d))
    shifts[0] = 0
    log_density = -0.5 * ((z[:, None] - shifts) ** 2).sum(-1)
    logits = density_ratio_logits(torch.tensor(z), torch.tensor(shifts)).numpy()
    np.testing.assert_allclose(logits - logits[:, :1], log_density - log_density[:, :1], atol=1e-12)


def test_density_ratio_prefers_the_true_shifts():
    rng = np.random.default_rng(0)
    shifts = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]])
    z = torch.tensor(rng.normal(size=(3, 4000, 2)) + shifts[:, None])

    def loss(scale: float) -> float:
        logits = density_ratio_logits(z, torch.tensor(scale * shifts)).flatten(0, 1)
        return float(torch.nn.functional.cross_entropy(logits, torch.arange(3).repeat_interleave(4000)))

    assert loss(1.0) < min(loss(0.7), loss(1.4), loss(-1.0))


def test_prior_prefers_standard_normal_base_latents():
    s = step(cells=500)

    def value(scale: float, shift: float) -> float:
        draws = torch.randn(1, 3, 500, 2, dtype=torch.float64, generator=s.generators[0])
        z = scale * draws + shift + s.shifts[:, :, None]
        return float(TERMS["prior"](with_latents(s, z)).detach())

    assert value(1.0, 0.0) < min(value(1.6, 0.0), value(0.5, 0.0), value(1.0, 0.7))


class TestLikelihood:
    @pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
    def test_slopes_are_derivatives(self, activation):
        u = torch.linspace(-4, 4, 41, dtype=torch.float64).add(0.01).requires_grad_()
        (slope,) = torch.autograd.grad(ACTIVATIONS[activation].value(u).sum(), u)
        torch.testing.assert_close(ACTIVATIONS[activation].slope(u.detach()), slope)

    @pytest.mark.parametrize("d", [1, 2, 3, 5])
    def test_the_volume_is_that_of_the_jacobian(self, d):
        h, y, generator = self.map(d)
        z, volume = log_volume(h, y, [generator])
        for row in range(y.shape[1]):
            J = torch.autograd.functional.jacobian(lambda v: h(v[None, None])[0, 0], y[0, row])
            assert float(volume[0, row].detach()) == pytest.approx(float(torch.linalg.slogdet(J)[1]), rel=1e-9)
        torch.testing.assert_close(z, h(y))

    def test_the_gradient_of_one_probe_is_right_on_average(self):
        h, y, generator = self.map(5)
        wanted = self.gradient(
            h, lambda: torch.linalg.slogdet(h.tangents(y, torch.eye(5).to(y).expand(*y.shape, 5))[1])[1]
        )
        many = y.repeat(1, 4000, 1)
        found = self.gradient(h, lambda: log_volume(h, many, [generator])[1])
        assert torch.dist(found, wanted) < 0.05 * wanted.norm()
        assert torch.dist(-found, wanted) > wanted.norm()

    def test_it_is_least_at_the_true_latents_and_not_at_others_that_are_as_gaussian(self):
        s = step(cells=4000)
        d, E = 2, 3
        generator = torch.Generator().manual_seed(1)
        base = torch.randn(1, E, 4000, d, generator=generator, dtype=torch.float64)
        network = Network((d, d, 3), Architecture(charted=False, depth=0), [generator]).double()
        truth = network.shifts(s.labels)[:, :, None] + base
        x = truth @ torch.tensor([[2.0, 0.3], [0.0, 0.7]], dtype=torch.float64)

        def loss(matrix: torch.Tensor) -> float:
            with torch.no_grad():
                network.encoder.map.init_linear(matrix[None])
                return float(TERMS["likelihood"](Step(network, x, s.labels, 1.0, [generator])))

        right = torch.linalg.inv(torch.tensor([[2.0, 0.3], [0.0, 0.7]], dtype=torch.float64))
        turned = right @ torch.tensor([[0.8, 0.6], [-0.6, 0.8]], dtype=torch.float64)
        assert loss(right) < min(loss(turned), loss(1.2 * right), loss(0.8 * right))

    def test_more_coordinates_than_latents_need_a_chart(self):
        s = step()
        network = Network((4, 2, 3), Architecture(charted=False), s.generators).double()
        with pytest.raises(InputError, match="likelihood needs an encoder with a chart"):
            TERMS["likelihood"](Step(network, s.x, s.labels, 1.0, s.generators))

    def map(self, d: int) -> tuple[MLP, torch.Tensor, torch.Generator]:
        generator = torch.Generator().manual_seed(d)
        h = MLP([d, 16, 16, d], Architecture(), [generator]).double()
        return h, torch.randn(1, 4, d, generator=generator, dtype=torch.float64), generator

    def gradient(self, h: MLP, volume) -> torch.Tensor:
        h.zero_grad()
        volume().mean().backward()
        return h.skip.grad.clone()


def test_individual_cells_give_the_published_loss():
    generator = torch.Generator().manual_seed(0)
    network = Network((4, 2, 3), Architecture(width=8, charted=False), [generator])
    labels = torch.eye(3)[torch.tensor([0, 0, 1, 2, 1, 2, 2])]
    x = torch.randn(7, 4, generator=generator)
    alone = Step(network, x[None, :, None], labels[None], 1.0, [generator])
    ours, published = TERMS["perturbation"](alone)[0], pairwise_loss(network, x, labels)
    assert float(ours.detach()) == pytest.approx(float(published.detach()), rel=1e-5)
