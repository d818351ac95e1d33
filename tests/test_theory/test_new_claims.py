"""Claims 1.3, 2.4b, 2.5b, 2.7d, 2.10d, 2.15 and 2.18: what their checks refuse, and the numbers that the library should
have."""

import numpy as np
import pytest

from pdae_sim import check_span
from theory.causal import co_targets
from theory.engine.checker import assess
from theory.engine.instances import structures, worlds
from theory.identifiability import changing_spread, error_propagation, gram_law
from theory.prediction import escaping, lifted, minimax


def passed(measurements):
    return [assess(m).passed for m in measurements]


@pytest.mark.parametrize("module", [changing_spread, error_propagation, gram_law, escaping])
def test_a_relative_error_of_1e5_is_seen(module):
    for world in worlds(3):
        assert all(passed(module.measure(world)))
        assert not all(passed(module.measure(world, 1e-5)))


def test_the_limit_of_bayes_risks_is_seen():
    for world in worlds(3):
        assert all(passed(minimax.measure(world)))
        assert not any(passed(minimax.measure(world, 0.1)))


def test_targets_that_are_not_atomic_are_seen():
    for structure in structures(3):
        assert all(passed(co_targets.measure(structure)))
        assert not any(passed(co_targets.measure(structure, 1e-3)))


@pytest.mark.parametrize(("k", "m", "expected"), [(2, 1, 3), (3, 2, 7), (4, 2, 31), (5, 2, 91)])
def test_gains_of_lifted_labels(k, m, expected):
    assert lifted.gain(k, m) == expected


def test_the_library_has_the_gain_of_a_triple_with_pairwise_interactions():
    """Singles and doubles of three perturbations as lifted labels: A, B, C, AB, AC, BC."""
    singles = np.hstack([np.eye(3), np.zeros((3, 3))])
    doubles = np.array([[1, 1, 0, 1, 0, 0], [1, 0, 1, 0, 1, 0], [0, 1, 1, 0, 0, 1]])
    (certificate,) = check_span(np.vstack([np.zeros(6), singles, doubles]), np.ones((1, 6)))
    assert certificate.identified
    assert certificate.noise_gain == pytest.approx(lifted.gain(3, 2))


def test_the_mean_of_estimated_gram_matrices_is_too_large_by_the_number_of_latents():
    draw = np.random.default_rng(0)
    B, n = np.array([[1.0, 0.5], [0.0, 2.0], [1.0, 1.0]]), 50
    V = np.eye(2) / n + 1 / n
    noise = draw.normal(size=(4000, 3, 3)) / np.sqrt(n)
    estimates = B + noise[:, :, 1:] - noise[:, :, :1]
    grams = np.einsum("sde,sdf->sef", estimates, estimates) - 3 * V
    error = np.square(grams - B.T @ B).sum(axis=(1, 2))
    expected = gram_law.mean_squared_error(B.T @ B, V, 3)
    assert abs(error.mean() - expected) < 4 * error.std() / np.sqrt(len(error))
