"""Claims 2.7 and 2.7c: what the checks refuse, what survives outside the class, and the simulator's own densities."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Integer

from pdae_sim.analysis.identifiability.alignment import gram_matrix
from pdae_sim.simulation.departures import Do, MechanismChange, VarianceIntervention
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.laws import Gaussian, Laplace
from pdae_sim.strategies import latent_models, noise_laws
from theory.engine.checker import assess, assess_counterexample, assess_relaxation
from theory.engine.instances import log_densities, structures, worlds
from theory.engine.record import Model, Relaxation
from theory.prediction import disjoint_mechanisms, product_formula

each_world = pytest.mark.parametrize("world", worlds(8), ids=lambda world: f"d{len(world.W)}")


def passed(measurements):
    return {m.name: assess(m).passed for m in measurements}


@each_world
class TestCheck:
    def test_wrong_coefficients_are_seen(self, world):
        assert all(passed(product_formula.measure(world, world.alpha, world.inside)).values())
        wrong = passed(product_formula.measure(world, world.alpha * (1 + 1e-5), world.inside))
        assert not wrong["formula"]
        assert not wrong["tilting"]

    def test_outside_the_span_nothing_holds(self, world):
        assert not any(passed(product_formula.measure(world, world.alpha, world.outside)).values())

    def test_another_constant_is_seen(self, world):
        """With another W in the place of the true one in G, the shape in x is the same and the constant is not."""
        scaled = replace(world, Sigma=world.Sigma * (1 + 1e-5))
        ours, theirs = (_constant(w) for w in (world, scaled))
        assert ours == pytest.approx(theirs * (1 + 1e-5))

    def test_diversity_is_not_needed(self, world):
        if len(world.W) > 1:
            thin = product_formula.fewer(world)
            assert np.linalg.matrix_rank(thin.W @ thin.shifts) == len(world.W) - 1
            assert all(passed(product_formula.measure(thin, thin.alpha, thin.inside)).values())


def _constant(world):
    B = world.W @ world.shifts
    G = B.T @ np.linalg.solve(world.Sigma, B)
    return (world.alpha @ np.diag(G) - world.alpha @ G @ world.alpha) / 2


@pytest.mark.statistical
def test_weights_turn_the_pooled_cells_into_the_unseen_law():
    """Self-normalised mean of z under the weights, within 4 standard errors; without them it is far off."""
    rng = np.random.default_rng(0)
    means, target, n = np.array([[0.0, 0], [0.8, 0], [0, 0.8]]), np.array([0.8, 0.8]), 4_000
    z = np.concatenate([rng.normal(size=(n, 2)) + mean for mean in means])
    logs = log_densities(z, means, np.eye(2))
    weights = np.exp(logs[1] + logs[2] - logs[0] - np.logaddexp.reduce(logs))
    weights /= weights.sum()
    error = np.sqrt((weights**2) @ (z - target) ** 2)
    assert (np.abs(weights @ z - target) < 4 * error).all()
    assert (np.abs(z.mean(axis=0) - target) > 20 * error).all()


class TestBeyondTheClass:
    @pytest.mark.parametrize("relaxation", product_formula.BEYOND, ids=lambda relaxation: relaxation.drops)
    def test_the_formula_holds_all_the_same(self, relaxation):
        assert assess_relaxation(relaxation).passed

    def test_growing_variances_are_no_survivor(self):
        claim = product_formula.CLAIM
        (broken,) = (e for e in claim.counterexamples if e.drops.name == "shared_covariance")
        assert not assess_relaxation(Relaxation(broken.drops, broken.statement, broken.build)).passed

    def test_every_survivor_is_refused_as_a_counterexample(self):
        for relaxation in product_formula.BEYOND:
            case = relaxation.build(Integer(1))
            assert isinstance(case, Model)
            assert not assess_counterexample(relaxation).passed

    def test_behind_a_curved_mixing_gaussian_noise_breaks_it(self):
        """x = sinh(z) + ε/2, densities by quadrature over z: the excess varies in x, but not for x = 1.5 z + ε/2."""
        z, weights = np.polynomial.legendre.leggauss(400)
        z, weights = 8 * z, 8 * weights

        def excess(mixing):
            x = np.linspace(-1, 3, 9)[:, None]
            noise = np.exp(-2 * (x - mixing(z)) ** 2)
            control, one, double = (np.log(noise @ (weights * np.exp(-((z - m) ** 2) / 2))) for m in (0, 1, 2))
            return np.ptp(double - 2 * one + control)

        assert excess(lambda t: 1.5 * t) < 1e-9
        assert excess(np.sinh) > 0.1


@given(latent_models(), st.data())
@settings(max_examples=30)
def test_the_simulator_obeys_the_formula_and_its_constant(model, data):
    K = model.targets.shape[1]
    alpha = np.array(data.draw(st.lists(st.integers(-2, 2), min_size=K, max_size=K)), dtype=float)
    excess, size = _excess(model, np.vstack([np.zeros(K), np.eye(K), alpha]), alpha)
    root = np.linalg.inv(np.linalg.cholesky(model.covariance))
    G = gram_matrix(root @ model.perturbation_matrix, np.eye(K))
    constant = (alpha @ np.diag(G) - alpha @ G @ alpha) / 2
    np.testing.assert_allclose(excess, constant, atol=1e-11 * np.linalg.cond(model.covariance) * size)


def test_a_laplace_base_does_not():
    model = LinearLatentModel(np.zeros((1, 1)), np.ones(1), np.ones((1, 1)), Laplace())
    excess, _ = _excess(model, np.array([[0.0], [1.0], [2.0]]), np.array([2.0]))
    assert np.ptp(excess) > 0.1


KINDS = {
    "variance": lambda mask: VarianceIntervention(0.5 * mask),
    "mechanism": lambda mask: MechanismChange(0.75 * mask),
    "do": lambda mask: Do(np.where(mask, 1.5, np.nan), noise=0.5),
}


@given(latent_models(n_latents=3, n_perturbations=2, noise=noise_laws()), st.sampled_from(sorted(KINDS)))
@settings(max_examples=30)
def test_different_mechanisms_combine_whatever_happens_to_them(model, kind):
    """A acts on latent 0 and B on latents 1 and 2, in the simulator: any noise, shifts, and more than shifts.

    Some laws have a bounded support, so densities are multiplied, not divided: zeros fall in the same places.
    """
    mask = np.array([[1, 0], [0, 1], [0, 1]])
    acting = replace(model, targets=model.targets * mask, departures=(KINDS[kind](mask),))
    control, one, other, double = _log_densities(acting, np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]]))
    np.testing.assert_allclose(np.exp(double + control), np.exp(one + other), rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("kind", ["variance", "mechanism"])
def test_one_mechanism_changed_twice_does_not(kind):
    mask = np.array([[0, 0], [1, 1]])
    model = LinearLatentModel([[0, 0], [2, 0]], np.ones(2), np.zeros((2, 2)), Gaussian(), (KINDS[kind](mask),))
    excess, _ = _excess(model, np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]]), np.ones(2))
    assert np.ptp(excess) > 0.1


def _excess(model, labels, alpha):
    """log p_t - log p_0 - Σ α_e (log p_e - log p_0) at points near the control, and the size of the log densities."""
    logs = _log_densities(model, labels)
    ratios = logs[1:] - logs[0]
    return ratios[-1] - alpha @ ratios[:-1], 1 + np.abs(logs).max()


def _log_densities(model, labels):
    points = np.random.default_rng(0).normal(size=(32, len(model.adjacency)))
    return np.stack([model.mechanisms(label).log_density(points, model.noise) for label in labels])


class TestDisjointMechanisms:
    @pytest.mark.parametrize("structure", structures(6))
    def test_the_check_sees_a_mechanism_that_both_replace(self, structure):
        A, B = disjoint_mechanisms.halves(structure)
        assert assess(disjoint_mechanisms.measure(structure, (A, B))).passed
        assert not assess(disjoint_mechanisms.measure(structure, (A, structure.order))).passed
