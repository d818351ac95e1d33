"""The exact oracles against hand-worked examples, planted answers and numpy."""

import doctest
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Matrix, Rational, Symbol, symbols

from theory.causal import latent_causal
from theory.causal.latent_causal import covariance, perturbation_matrix, symbolic_adjacency, total_effects
from theory.identifiability import converse, span
from theory.identifiability.converse import second_model
from theory.identifiability.extrapolation import least_gain, noise_gain, shift_gain, solve_span

ZERO, E1, E2, E3 = [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]


@pytest.mark.parametrize("module", [span, converse, latent_causal])
def test_examples_in_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


class TestSolveSpan:
    def test_the_double_of_two_singles(self):
        solution = solve_span([ZERO, E1, E2], [1, 1, 0], ZERO)
        assert solution.identified
        assert solution.coefficients == (0, 1, 1)
        assert solution.witness is None

    def test_an_unseen_perturbation(self):
        solution = solve_span([ZERO, E1, E2], E3, ZERO)
        assert not solution.identified
        assert solution.coefficients is None
        assert solution.witness == (0, 0, 1)

    def test_half_a_dose_is_exact(self):
        assert solve_span([[2, 0]], [Fraction(1, 3), 0], [0, 0]).coefficients == (Rational(1, 6),)

    def test_only_differences_from_the_reference_count(self):
        """Labels (1, 1) and (2, 1) with reference (0, 1) span doses of the first perturbation alone."""
        assert solve_span([[1, 1], [2, 1]], [3, 1], [0, 1]).coefficients == (Rational(3, 5), Rational(6, 5))
        assert solve_span([[1, 1], [2, 1]], [3, 0], [0, 1]).witness == (0, -1)

    def test_equal_rows_share_the_weight(self):
        assert solve_span([E1, E1], E1, ZERO).coefficients == (Rational(1, 2), Rational(1, 2))

    def test_the_reference_itself_needs_nothing(self):
        assert solve_span([E1], ZERO, ZERO).coefficients == (0,)
        assert solve_span([], ZERO, ZERO).coefficients == ()
        assert solve_span([], E2, ZERO).witness == (0, 1, 0)

    def test_floats_are_binary_fractions_and_decimals_are_not(self):
        def tenths(number):
            return solve_span([[number("0.1"), number("0.3")]], [number("0.3"), number("0.9")], [0, 0])

        assert tenths(Decimal).coefficients == (3,)
        assert tenths(float).witness is not None

    def test_numpy_labels(self):
        train = np.array([[0, 0], [1, 0], [0, 1]])
        assert solve_span(train, np.array([1.0, 1.0]), train[0]).coefficients == (0, 1, 1)

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), Decimal("NaN"), "1", None, 1j])
    def test_what_is_not_a_finite_number_is_refused(self, bad):
        with pytest.raises(ValueError, match="received"):
            solve_span([[bad]], [1], [0])

    def test_lengths_are_checked_by_name(self):
        with pytest.raises(ValueError, match=r"train\[1\]: expected a label of length 2"):
            solve_span([[1, 0], [1]], [1, 0], [0, 0])
        with pytest.raises(ValueError, match="test: expected"):
            solve_span([[1, 0]], [1], [0, 0])


entries = st.integers(-3, 3)


@st.composite
def planted(draw):
    """Training shifts L (K, M), a reference, and coefficients, all integers; L is often rank deficient."""
    K, M = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    L = np.array(draw(st.lists(st.lists(entries, min_size=M, max_size=M), min_size=K, max_size=K)))
    reference = np.array(draw(st.lists(entries, min_size=K, max_size=K)))
    return L, reference, np.array(draw(st.lists(entries, min_size=M, max_size=M)))


@given(planted())
@settings(max_examples=60, deadline=None)
def test_a_planted_combination_is_found_and_none_is_shorter(world):
    L, reference, alpha = world
    solution = solve_span((L.T + reference).tolist(), (reference + L @ alpha).tolist(), reference.tolist())
    result = np.array(solution.coefficients)
    assert (L @ result == L @ alpha).all()
    assert result @ result <= alpha @ alpha
    np.testing.assert_allclose(result.astype(float), np.linalg.pinv(L) @ L @ alpha, atol=1e-9)


@given(planted(), st.lists(entries, min_size=4, max_size=4))
@settings(max_examples=60, deadline=None)
def test_exactly_one_certificate_and_it_certifies(world, test):
    L, reference, _ = world
    target = np.array(test[: len(L)])
    solution = solve_span((L.T + reference).tolist(), (reference + target).tolist(), reference.tolist())
    inside = np.linalg.matrix_rank(np.column_stack([L, target])) == np.linalg.matrix_rank(L)
    assert solution.identified == inside
    if inside:
        assert (L @ np.array(solution.coefficients) == target).all()
    else:
        v = np.array(solution.witness)
        assert (v @ L == 0).all()
        assert v @ target == v @ v > 0


class TestGains:
    def test_by_hand(self):
        assert noise_gain([1, 1]) == 1 + 1 + (1 - 2) ** 2
        assert shift_gain([1, 1]) == 1 + 1 + 4
        assert noise_gain([Fraction(1, 2)]) == Rational(1, 2)
        assert noise_gain([2, -1], n_train=[10, 5], n_reference=4) == Rational(4, 10) + Rational(1, 5)
        assert shift_gain([2, -1], n_train=[10, 5], n_reference=4) == Rational(4, 10) + Rational(1, 5) + Rational(1, 4)
        assert noise_gain([]) == 1

    def test_least_norm_is_not_least_gain(self):
        """Doses 1 and 2 measured, dose 3 asked for: norm 9/5 against 17/9, gain 61/25 against 7/3."""
        shortest, quietest = solve_span([[1], [2]], [3], [0]).coefficients, least_gain([[1], [2]], [3], [0])
        assert shortest == (Rational(3, 5), Rational(6, 5))
        assert quietest == (Rational(1, 3), Rational(4, 3))
        assert noise_gain(shortest) == Rational(61, 25)
        assert noise_gain(quietest) == Rational(7, 3)

    def test_sizes_are_checked(self):
        with pytest.raises(ValueError, match="n_train: expected 2 sizes"):
            noise_gain([1, 1], n_train=[3])
        with pytest.raises(ValueError, match="positive"):
            noise_gain([1], n_train=[0])
        with pytest.raises(ValueError, match="positive"):
            shift_gain([1], n_reference=-1)

    def test_least_gain_needs_the_span_and_ignores_the_reference_row(self):
        with pytest.raises(ValueError, match="outside the span"):
            least_gain([E1, E2], E3, ZERO)
        assert least_gain([ZERO, E1, E2], [1, 1, 0], ZERO) == (0, 1, 1)

    @given(planted())
    @settings(max_examples=40, deadline=None)
    def test_no_combination_has_a_smaller_gain(self, world):
        L, reference, alpha = world
        train, test = (L.T + reference).tolist(), (reference + L @ alpha).tolist()
        best = least_gain(train, test, reference.tolist())
        assert (L @ np.array(best) == L @ alpha).all()
        assert noise_gain(best) <= noise_gain(solve_span(train, test, reference.tolist()).coefficients)
        assert noise_gain(best) <= noise_gain([int(a) * any(shift) for a, shift in zip(alpha, L.T, strict=True)])

    def test_the_variance_of_a_predicted_mean(self):
        """Weights on independent environment means with variance 1/n: 1 - Σα on the reference, α on the others."""
        alpha, sizes = [Rational(2), Rational(-1, 2)], [3, 7]
        weights, variances = [1 - sum(alpha), *alpha], [Rational(1, 5), Rational(1, 3), Rational(1, 7)]
        direct = sum(w**2 * v for w, v in zip(weights, variances, strict=True))
        assert noise_gain(alpha, n_train=sizes, n_reference=5) == direct


W_EXAMPLE = [[1, 0, 2], [0, 1, 3]]


class TestSecondModel:
    def test_an_unseen_perturbation(self):
        second = second_model(W_EXAMPLE, [ZERO, E1, E2], E3, [5, 7])
        assert second.witness == Matrix([0, 0, 1])
        assert second.perturbation_matrix == Matrix([[1, 0, 7], [0, 1, 10]])
        assert second.offset == Matrix([0, 0])
        assert second.displacement == Matrix([5, 7])

    def test_a_reference_away_from_zero_needs_the_offset(self):
        labels = [[0, 0, 2], [1, 0, 2], [0, 1, 2]]
        second = second_model(W_EXAMPLE, labels, [1, 1, 5], [1, -1])
        assert second.witness == Matrix([0, 0, 3])
        assert second.offset == Matrix([6, -6])
        for label in labels:
            latent = second.perturbation_matrix * Matrix(label) - second.offset
            assert latent == Matrix(W_EXAMPLE) * Matrix(label)

    def test_free_symbols_pass_through(self):
        W, u = Matrix(2, 3, symbols("w1:7")), symbols("u1:3")
        second = second_model(W.tolist(), [E1, E2], [0, 0, 1], u)
        moved = (second.perturbation_matrix - W) * Matrix(E3) - second.offset
        assert (moved - second.displacement).expand() == Matrix([0, 0])

    @given(planted(), st.lists(entries, min_size=4, max_size=4), st.integers(-3, 3))
    @settings(max_examples=60, deadline=None)
    def test_it_fits_everywhere_and_is_displaced_at_the_test_label(self, world, test, u):
        L, reference, _ = world
        labels, target = np.vstack([reference, L.T + reference]), np.array(test[: len(L)]) + reference
        W = np.arange(1, len(L) + 1)[None]
        if solve_span(labels[1:], target, reference).identified:
            with pytest.raises(ValueError, match="outside the span"):
                second_model(W, labels, target, [u])
            return
        second = second_model(W, labels, target, [u])
        assert second == second_model(W, labels[::-1], target, [u])
        moved = [(second.perturbation_matrix - Matrix(W)) * Matrix(row) - second.offset for row in labels]
        assert all(shift == Matrix([0]) for shift in moved)
        at_test = (second.perturbation_matrix - Matrix(W)) * Matrix(target) - second.offset
        assert at_test == second.displacement == u * second.witness.T * second.witness

    def test_shapes_are_checked(self):
        with pytest.raises(ValueError, match="labels: expected at least the reference"):
            second_model(W_EXAMPLE, [], E3, [1, 1])
        with pytest.raises(ValueError, match=r"W: expected shape \(3, 3\)"):
            second_model(W_EXAMPLE, [ZERO], E3, [1, 1, 1])


class TestLatentCausal:
    def test_a_chain_by_hand(self):
        """z_0 -> z_1 -> z_2 with effects a and b: shifts travel along the paths, variances add up."""
        a, b = symbols("a b")
        A = [[0, 0, 0], [a, 0, 0], [0, b, 0]]
        assert perturbation_matrix(A, np.eye(3, dtype=int).tolist()) == Matrix([[1, 0, 0], [a, 1, 0], [a * b, b, 1]])
        assert covariance(A, [1, 1, 1]) == Matrix(
            [[1, a, a * b], [a, a**2 + 1, a**2 * b + b], [a * b, a**2 * b + b, a**2 * b**2 + b**2 + 1]]
        )

    def test_an_atomic_shift_reaches_the_descendants_only(self):
        A = [[0, 0, 0], [2, 0, 0], [0, 3, 0]]
        assert perturbation_matrix(A, [[0], [Fraction(1, 2)], [0]]) == Matrix([0, Rational(1, 2), Rational(3, 2)])

    def test_any_causal_order(self):
        A = [[0, 5, 7], [0, 0, 0], [0, 11, 0]]
        assert total_effects(A) == Matrix([[1, 5 + 77, 7], [0, 1, 0], [0, 11, 1]])

    @pytest.mark.parametrize("A", [[[1]], [[0, 1], [1, 0]], [[0, 1, 0], [0, 0, 1], [1, 0, 0]]])
    def test_cycles_are_refused(self, A):
        with pytest.raises(ValueError, match="acyclic"):
            total_effects(A)

    def test_shapes_are_checked(self):
        with pytest.raises(ValueError, match="square"):
            covariance([[0, 1]], [1])
        with pytest.raises(ValueError, match="S: expected 2 rows"):
            perturbation_matrix([[0, 0], [1, 0]], [[1]])
        with pytest.raises(ValueError, match="D: expected 2 variances"):
            covariance([[0, 0], [1, 0]], [1])

    def test_symbolic_adjacency_has_the_support(self):
        assert symbolic_adjacency([[0, 0], [1, 0]]) == Matrix([[0, 0], [Symbol("a_10"), 0]])

    @pytest.mark.parametrize("seed", range(5))
    def test_against_numpy(self, seed):
        draw = np.random.default_rng(seed)
        d = 2 + seed % 3
        A, S, D = np.tril(draw.normal(size=(d, d)), -1), draw.normal(size=(d, 2)), draw.uniform(1, 2, size=d)
        inverse = np.linalg.inv(np.eye(d) - A)
        np.testing.assert_allclose(np.array(perturbation_matrix(A, S).tolist(), float), inverse @ S, rtol=1e-12)
        np.testing.assert_allclose(np.array(covariance(A, D).tolist(), float), inverse * D @ inverse.T, rtol=1e-12)
