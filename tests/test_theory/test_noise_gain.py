"""Claims 2.10, 2.10b and 2.10c: noise gain, its least value, and the worth of a prediction that attains it."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Matrix, Rational, diag

from pdae_sim import check_span, energy_distance
from pdae_sim.strategies import span_problems
from theory.engine.checker import assess
from theory.engine.instances import worlds
from theory.identifiability.span import least_gain
from theory.identifiability.span import noise_gain as gain_of
from theory.prediction import efficiency, noise_gain
from theory.prediction.efficiency import displaced_distance, expected_worth, mean_distance, median_worth
from theory.prediction.noise_gain import least_squares_weights


@pytest.mark.parametrize("module", [noise_gain, efficiency])
def test_examples_in_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


def distinct(problem):
    """The training labels, each once, the reference first."""
    return list(dict.fromkeys([problem.reference, *problem.train]))


@st.composite
def measured_spans(draw):
    """Labels (reference first), counts and a test label inside the span."""
    problem = draw(span_problems(max_perturbations=3, max_environments=5, identified=True))
    labels = distinct(problem)
    return labels, draw(st.lists(st.integers(1, 60), min_size=len(labels), max_size=len(labels))), problem.test


class TestLeastSquares:
    @settings(max_examples=25)
    @given(measured_spans())
    def test_weights_fit_and_their_gain_is_the_leverage_of_the_label(self, world):
        labels, counts, test = world
        weights = least_squares_weights(labels, counts, test)
        assert sum(weights) == 1
        assert all(sum(w * label[k] for w, label in zip(weights, labels, strict=True)) == t for k, t in enumerate(test))
        X, x = Matrix([[*label, 1] for label in labels]).applyfunc(Rational), Matrix([*test, 1]).applyfunc(Rational)
        solution, free = (X.T * diag(*counts) * X).gauss_jordan_solve(x)
        leverage = (x.T * solution.subs(dict.fromkeys(free, 0)))[0]
        assert sum(w**2 / n for w, n in zip(weights, counts, strict=True)) == leverage

    @settings(max_examples=25)
    @given(measured_spans())
    def test_the_library_finds_the_same(self, world):
        labels, counts, test = world
        weights = least_squares_weights(labels, counts, test)
        (result,) = check_span(labels, [test], reference=labels[0], counts=counts)
        np.testing.assert_allclose(result.coefficients[1:], np.array(weights[1:], dtype=float), rtol=1e-12, atol=0)
        exact = gain_of(weights[1:], counts[1:], counts[0])
        assert result.noise_gain == pytest.approx(float(exact), rel=1e-12)

    @settings(max_examples=25)
    @given(measured_spans())
    def test_equal_counts_are_the_case_that_the_span_oracle_solves(self, world):
        labels, _, test = world
        weights = least_squares_weights(labels, [1] * len(labels), test)
        assert weights[1:] == least_gain(labels[1:], test, labels[0])

    @settings(max_examples=25)
    @given(measured_spans())
    def test_least_norm_is_never_quieter(self, world):
        labels, counts, test = world
        weights = least_squares_weights(labels, counts, test)
        (shortest,) = check_span(labels, [test], reference=labels[0])
        sizes = np.array(counts, dtype=float)
        alpha = shortest.coefficients[1:]
        gain = (alpha**2 / sizes[1:]).sum() + (1 - alpha.sum()) ** 2 / sizes[0]
        assert gain >= float(gain_of(weights[1:], counts[1:], counts[0])) * (1 - 1e-12)

    def test_and_louder_where_doses_are_dependent(self):
        labels = [[0], [1], [2]]
        (shortest,) = check_span(labels, [[3]])
        (quietest,) = check_span(labels, [[3]], counts=[1, 1, 1])
        assert shortest.noise_gain == pytest.approx(61 / 25)
        assert quietest.noise_gain == pytest.approx(7 / 3)

    def test_wrong_input_is_named(self):
        with pytest.raises(ValueError, match="counts: expected 2"):
            least_squares_weights([[0], [1]], [3], [2])
        with pytest.raises(ValueError, match="outside the span"):
            least_squares_weights([[0, 0], [1, 0]], [3, 3], [0, 1])


class TestChecks:
    @pytest.mark.parametrize("world", worlds(4))
    def test_a_wrong_gain_is_noticed(self, world):
        passed, tilted = ({m.name: assess(m).passed for m in noise_gain.measure(world, tilt)} for tilt in (0.0, 1e-5))
        assert all(passed.values())
        assert not tilted["least"]

    @pytest.mark.parametrize("world", worlds(4))
    def test_a_wrong_bound_is_noticed(self, world):
        assert assess(noise_gain.measure_bound(world)).passed
        assert not assess(noise_gain.measure_bound(world, 1 + 1e-5)).passed

    def test_the_leading_order_is_not_exact(self):
        assert assess(efficiency.measure(2, 1.0)).passed
        assert not assess(efficiency.measure(2, 1.0, claimed=2.0)).passed
        assert assess(efficiency.measure(2, 0.001)).passed


class TestEfficiency:
    def test_of_a_double_from_equal_samples(self):
        assert expected_worth(3 / 1000) == pytest.approx(2000 / 3, rel=1e-3)
        assert expected_worth(1 / 1000, beta=0.5) == pytest.approx(4000, rel=1e-3)

    @pytest.mark.parametrize("n_latents", [1, 2, 7])
    def test_small_displacements_are_worth_twice_the_dimension_over_their_square(self, n_latents):
        worth = mean_distance(n_latents) / displaced_distance(0.01, n_latents)
        assert worth == pytest.approx(2 * n_latents / 0.01**2, rel=1e-3)

    @pytest.mark.statistical
    def test_the_library_measures_the_distance_of_a_displacement(self):
        """Two samples of 4,000 in one dimension at distance 0.5; unbiased, standard error by 10 blocks."""
        draw = np.random.default_rng(0)
        blocks = [
            energy_distance(draw.normal(size=(400, 1)), draw.normal(size=(400, 1)) + 0.5, unbiased=True)
            for _ in range(10)
        ]
        assert abs(np.mean(blocks) - displaced_distance(0.5, 1)) < 4 * np.std(blocks, ddof=1) / np.sqrt(10)
        assert abs(np.mean(blocks) - displaced_distance(0.3, 1)) > 4 * np.std(blocks, ddof=1) / np.sqrt(10)

    @pytest.mark.statistical
    @pytest.mark.parametrize("beta", [0.5, 1.0, 1.5])
    def test_any_linear_mixing_gives_one_expected_worth(self, beta):
        """E ED by pairs that share their cells, d_Z = 2 in d_X = 5; within 4 standard errors."""
        draw, g, n = np.random.default_rng(0), 0.2, 200_000
        F = draw.normal(size=(5, 2)) * [1.0, 4.0]
        z, other, e = draw.normal(size=(n, 2)), draw.normal(size=(n, 2)), np.sqrt(g) * draw.normal(size=(n, 2))
        apart = np.linalg.norm((z - other) @ F.T, axis=1) ** beta
        rises = 2 * (np.linalg.norm((z - other + e) @ F.T, axis=1) ** beta - apart)
        ratios = rises - apart / expected_worth(g, beta)
        assert abs(ratios.mean()) < 4 * ratios.std() / np.sqrt(n)
        off = rises - apart / expected_worth(1.2 * g, beta)
        assert abs(off.mean()) > 4 * off.std() / np.sqrt(n)

    @pytest.mark.statistical
    @pytest.mark.parametrize("n_latents", [1, 2, 10])
    def test_the_median_of_efficient_predictions(self, n_latents):
        """Least squares on simulated means of control, A and B, 400 cells each, predicting A+B; 4,001 replicates."""
        draw, n = np.random.default_rng(0), 400
        control, a, b = draw.normal(size=(3, 4001, n_latents)) / np.sqrt(n)
        distances = displaced_distance(np.linalg.norm(a + b - control, axis=1), n_latents)
        spread = mean_distance(n_latents)
        assert np.median(spread / distances) == pytest.approx(median_worth(3 / n, n_latents), rel=0.1)
        assert spread / distances.mean() == pytest.approx(expected_worth(3 / n), rel=0.1)
