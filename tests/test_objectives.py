"""The terms of the loss against naive loops, closed forms and their negative controls."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pdae_sim.estimation.networks import Architecture, Network
from pdae_sim.estimation.objectives import TERMS, Step, density_ratio_logits, perturbation_energy


def step(n_noise: int = 0, beta: float = 1.0, cells: int = 5, dtype: torch.dtype = torch.float64) -> Step:
    generator = torch.Generator().manual_seed(0)
    network = Network(4, 2, 3, Architecture(width=8, depth=2, n_noise=n_noise), generator).to(dtype)
    labels = torch.tensor([[0, 0, 0], [1, 0, 0], [0, 2, 1]], dtype=dtype)
    x = torch.randn(3, cells, 4, generator=generator).to(dtype)
    return Step.of(network, x, labels, beta, generator)


@torch.no_grad()
def naive_perturbation(s: Step) -> float:
    """Triple loop over targets, samples and pairs, cell by cell."""
    network, E, b = s.network, *s.x.shape[:2]
    losses = []
    for h in range(E):
        simulated = {}
        for e, i in itertools.product(range(E), range(b)):
            z = network.encoder(s.x[e, i]) + network.shift @ (s.labels[h] - s.labels[e])
            simulated[e, i] = network.decoder(z, None)
        cross = [
            torch.dist(s.x[h, j], value) ** s.beta
            for (e, i), value in simulated.items()
            for j in range(b)
            if not (e == h and i == j)
        ]
        within = [
            torch.dist(u, v) ** s.beta for (p, u), (q, v) in itertools.product(simulated.items(), repeat=2) if p != q
        ]
        losses.append(sum(cross) / len(cross) - 0.5 * sum(within) / len(within))
    return float(sum(losses) / E)


@pytest.mark.parametrize("beta", [0.5, 1.0, 1.6])
def test_perturbation_loss_equals_the_triple_loop(beta):
    s = step(beta=beta)
    assert float(TERMS["perturbation"](s).detach()) == pytest.approx(naive_perturbation(s), rel=1e-10)


def test_a_cell_is_not_compared_with_its_own_reconstruction():
    x = torch.randn(2, 4, 3, dtype=torch.float64)
    simulated = torch.randn(2, 8, 3, dtype=torch.float64)
    alone = perturbation_energy(x, simulated, 1.0)
    far = x.clone()
    far[0, 1] += 100.0
    others = [torch.dist(far[0, 1], simulated[0, i]) for i in range(8) if i != 1]
    old = [torch.dist(x[0, 1], simulated[0, i]) for i in range(8) if i != 1]
    change = (sum(others) - sum(old)) / (8 * 4 - 4)
    assert float(perturbation_energy(far, simulated, 1.0)[0] - alone[0]) == pytest.approx(float(change), rel=1e-10)


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
    s = step(n_noise)
    TERMS[term](s).backward()
    grads = [p.grad for p in s.network.parameters() if p.grad is not None]
    assert grads
    assert all(torch.isfinite(g).all() for g in grads)


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_gradients_are_zero_and_not_nan_when_all_cells_tie(beta):
    x = torch.zeros(2, 3, 4, dtype=torch.float64, requires_grad=True)
    perturbation_energy(x, torch.zeros(2, 6, 4, dtype=torch.float64), beta).sum().backward()
    assert (x.grad == 0).all()


def test_reconstruction_leaves_the_encoder_alone_and_autoencoding_does_not():
    for term, moves in (("reconstruction", False), ("autoencoding", True)):
        s = step()
        TERMS[term](s).backward()
        grads = [p.grad for p in s.network.encoder.parameters()]
        assert any(g is not None and g.abs().sum() > 0 for g in grads) is moves


def test_stochastic_reconstruction_uses_two_noise_draws():
    s = step(n_noise=2)
    value = float(TERMS["reconstruction"](s).detach())
    plain = float(torch.linalg.vector_norm(s.decode(s.z) - s.x, dim=-1).mean().detach())
    assert value < plain  # half the distance between two draws is taken off


def test_sparsity_is_the_sum_of_row_norms():
    s = step()
    assert float(TERMS["sparsity"](s).detach()) == pytest.approx(
        sum(math.hypot(*row) for row in s.network.shift.tolist())
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
        draws = torch.randn(3, 500, 2, dtype=torch.float64, generator=s.generator)
        z = scale * draws + shift + s.shifts[:, None]
        return float(TERMS["prior"](Step(s.network, s.x, s.labels, z, s.shifts, 1.0, s.generator)).detach())

    assert value(1.0, 0.0) < min(value(1.6, 0.0), value(0.5, 0.0), value(1.0, 0.7))
