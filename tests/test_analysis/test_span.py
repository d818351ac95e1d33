"""Span certificates against planted answers, an independent exact solver and the second model of a witness."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array, csr_matrix

from pdae_sim import strategies
from pdae_sim.analysis.span import _FLOAT_RTOL, check_span
from pdae_sim.errors import InputError
from theory.identifiability.converse import second_model
from theory.identifiability.extrapolation import noise_gain, solve_span

ZERO, E1, E2, E3 = [0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]
any_problem = st.sampled_from(strategies.NUMBER_KINDS).flatmap(lambda kind: strategies.span_problems(kind=kind))
exact_problem = st.sampled_from(["int", "fraction", "decimal"]).flatmap(
    lambda kind: strategies.span_problems(kind=kind)
)


def judge(problem):
    return check_span(problem.train, [problem.test], problem.reference)[0]


def shifts_of(train, reference):
    return np.array(train, dtype=float) - np.array(reference, dtype=float)


class TestPlanted:
    @given(any_problem)
    def test_the_verdict_is_the_planted_one(self, problem):
        certificate = judge(problem)
        assert certificate.identified == problem.identified
        assert certificate.arithmetic == "exact"
        assert (certificate.coefficients is None) == (certificate.witness is not None) == (not problem.identified)

    @given(any_problem)
    def test_the_certificate_certifies(self, problem):
        """Σ α_e Δ_e = Δ_t, or v annihilates every training shift and not the test shift."""
        certificate, L = judge(problem), shifts_of(problem.train, problem.reference)
        target = shifts_of([problem.test], problem.reference)[0]
        size = 1e-12 * (1 + np.abs(L).sum() + np.abs(target).sum())
        if problem.identified:
            assert np.allclose(
                certificate.coefficients @ L, target, atol=size * (1 + np.abs(certificate.coefficients).sum())
            )
            assert certificate.coefficients[certificate.reference] == 0
        else:
            assert np.allclose(L @ certificate.witness, 0, atol=size * np.abs(certificate.witness).sum())
            assert certificate.witness @ target == pytest.approx(1)

    @given(any_problem)
    def test_no_other_combination_is_shorter(self, problem):
        if problem.identified:
            planted = np.array(problem.coefficients, dtype=float)
            assert np.linalg.norm(judge(problem).coefficients) <= np.linalg.norm(planted) * (1 + 1e-12)

    @given(strategies.span_problems())
    def test_the_reference_is_found(self, problem):
        train = [list(row) for row in problem.train]
        zero = [i for i, row in enumerate(train) if not any(row)]
        assert check_span(train, [problem.test])[0].reference == (zero[0] if zero else 0)


class TestTheory:
    """The exact solver of `theory`, written from the claims alone."""

    @settings(max_examples=25)
    @given(exact_problem)
    def test_coefficients_and_verdict_agree_on_planted_problems(self, problem):
        self._agrees(problem.train, problem.test, problem.reference)

    @given(
        st.integers(1, 4).flatmap(
            lambda K: st.tuples(st.lists(strategies.labels(K), min_size=1, max_size=5), strategies.labels(K))
        )
    )
    def test_they_agree_on_any_rational_labels(self, problem):
        train, test = problem
        self._agrees(train, test, train[0])

    def _agrees(self, train, test, reference):
        certificate, solution = check_span(train, [test], reference)[0], solve_span(train, test, reference)
        assert certificate.identified == solution.identified
        if solution.identified:
            assert certificate.coefficients.tolist() == [float(a) for a in solution.coefficients]
            assert certificate.noise_gain == float(noise_gain(solution.coefficients))
        else:
            assert certificate.noise_gain == np.inf

    @settings(max_examples=25)
    @given(strategies.span_problems(identified=False), st.data())
    def test_a_witness_makes_a_second_model_that_fits_as_well(self, problem, data):
        """Claim 2.6: W + u vᵀ agrees on every training shift and moves the test shift by u."""
        v, K = judge(problem).witness, len(problem.test)
        W = np.array(data.draw(st.lists(strategies.labels(K, kind="int"), min_size=2, max_size=2)), dtype=float)
        moved = W + np.outer([1.0, -2.0], v)
        L = shifts_of(problem.train, problem.reference)
        target = shifts_of([problem.test], problem.reference)[0]
        size = 1e-12 * (1 + np.abs(v).sum() * np.abs(L).sum())
        assert np.allclose(moved @ L.T, W @ L.T, atol=size)
        assert np.allclose(moved @ target - W @ target, [1.0, -2.0])

    @settings(max_examples=25)
    @given(strategies.span_problems(identified=False))
    def test_the_second_model_of_theory_sees_the_same_verdict(self, problem):
        labels = [problem.reference, *problem.train]
        second = second_model([[1] * len(problem.test)], labels, problem.test, [1])
        blind = np.array(second.witness.tolist(), dtype=float).ravel()
        assert np.allclose(shifts_of(problem.train, problem.reference) @ blind, 0, atol=1e-9)


class TestDefect3:
    """The authors' check is a float32 matrix rank and calls both of the first two inside the span."""

    @pytest.mark.parametrize(
        ("train", "test"),
        [
            ([E1, E2], [1, 1, 1e-6]),
            ([[1e7, 0, 0], [0, 1e7, 0]], [1, 1, 1]),
            ([E1, E2], [1, 1, 1e-300]),
            ([E1, E2], [1, 1, np.pi * 1e-6]),
            ([E1, E2], [1, 1, np.pi * 1e-12]),
            ([[1e7 * np.pi, 0, 0], [0, 1e7, 0]], [1, 1, 1]),
        ],
    )
    def test_a_tiny_dose_of_an_unseen_perturbation_is_outside(self, train, test):
        certificate = check_span([ZERO, *train], [test])[0]
        assert not certificate.identified
        assert np.allclose(certificate.witness, [0, 0, 1 / test[2]])

    def test_a_tiny_dose_of_a_seen_one_is_inside(self):
        assert check_span([ZERO, E1, E2], [[1, 1e-6, 0]])[0].coefficients.tolist() == [0, 1, 1e-6]


class TestArithmetic:
    def test_one_tenth_is_exact_in_every_kind(self):
        for tenth in (0.1, Fraction(1, 10), Decimal("0.1"), np.float32(0.1), np.float64(0.1)):
            certificate = check_span([[0, 0], [tenth, 3 * Fraction(1, 10)]], [[Fraction(3, 10), Fraction(9, 10)]])[0]
            assert certificate.arithmetic == "exact"
            assert certificate.coefficients.tolist() == [0, 3]

    def test_tenths_as_floats_are_not_binary_fractions(self):
        """0.1 · 3 ≠ 0.3 in binary; as labels they are collinear with (1, 1)."""
        assert check_span([[0, 0], [0.1, 0.3]], [[0.3, 0.9]])[0].coefficients.tolist() == [0, 3]

    @pytest.mark.parametrize("label", [[1 / 3, 0], [np.pi, 1], [0.1 + 0.2, 0]])
    def test_long_floats_take_the_float_route(self, label):
        certificate = check_span([[0, 0], [1, 0], [0, 1]], [label])[0]
        assert (certificate.identified, certificate.arithmetic) == (True, "float")
        assert np.allclose(certificate.coefficients, [0, *label])

    @settings(max_examples=25)
    @given(strategies.span_problems(), st.sampled_from([np.pi, 1 / 3, np.e * 1e5, np.e * 1e-5]))
    def test_the_float_route_agrees_with_the_planted_answer(self, problem, unit):
        scaled = [np.array(rows, dtype=float) * unit for rows in (problem.train, [problem.test])]
        certificate, planted = check_span(*scaled, scaled[0][problem.position])[0], judge(problem)
        assert certificate.identified == problem.identified
        if problem.identified:
            assert np.allclose(certificate.coefficients, planted.coefficients, atol=1e-9)
        else:
            assert np.allclose(scaled[0] @ certificate.witness, scaled[0][problem.position] @ certificate.witness)
            assert certificate.witness @ (scaled[1][0] - scaled[0][problem.position]) == pytest.approx(1)

    @pytest.mark.parametrize("far", [1e6, 1e10, 1e14])
    def test_environments_of_very_different_strength_still_combine(self, far):
        """Rows of the float route are judged by direction, so the combination must use the weak ones too."""
        train = np.pi * np.array([[0, 0], [far, far], [1, -1]])
        certificate = check_span(train, [[np.pi, 0]])[0]
        assert certificate.identified
        assert np.allclose(certificate.coefficients @ train, [np.pi, 0], atol=1e-6)

    def test_the_tolerance_is_what_it_says(self):
        train = np.array([[0, 0], [np.pi, np.pi], [1e-3, 1e-3]])
        near, off = ([[np.pi, np.pi * (1 + share * _FLOAT_RTOL)]] for share in (0.1, 10))
        assert check_span(train, near)[0].identified
        assert not check_span(train, off)[0].identified


class TestInvariance:
    @settings(max_examples=25)
    @given(any_problem, st.data())
    def test_reordering_the_environments(self, problem, data):
        order = data.draw(st.permutations(range(len(problem.train))))
        before = judge(problem)
        after = check_span([problem.train[i] for i in order], [problem.test], problem.reference)[0]
        assert after.identified == before.identified
        if before.identified:
            assert np.allclose(after.coefficients, before.coefficients[list(order)])
            assert after.noise_gain == pytest.approx(before.noise_gain)

    @settings(max_examples=25)
    @given(exact_problem, st.data())
    def test_measuring_doses_in_other_units(self, problem, data):
        """A unit per perturbation: α stays, a witness is measured in the inverse units."""
        positive = st.sampled_from([Fraction(1), Fraction(1000), Fraction(1, 7)])
        units = [data.draw(positive) for _ in problem.test]
        train, (test, reference) = (
            self._times(rows, units) for rows in (problem.train, (problem.test, problem.reference))
        )
        before, after = judge(problem), check_span(train, [test], reference)[0]
        assert after.identified == before.identified
        if before.identified:
            assert np.allclose(after.coefficients, before.coefficients)

    def _times(self, rows, units):
        return [[Fraction(v) * unit for v, unit in zip(row, units, strict=True)] for row in rows]

    @settings(max_examples=25)
    @given(exact_problem)
    def test_any_environment_may_be_the_reference(self, problem):
        """span{l_e − l_0} does not depend on which training label is l_0."""
        for row in problem.train:
            assert check_span(problem.train, [problem.test], row)[0].identified == (
                solve_span(problem.train, problem.test, row).identified
            )
            assert check_span(problem.train, [problem.test], row)[0].identified == problem.identified

    def test_the_reference_matters_to_the_shift_not_to_the_verdict(self):
        """l_0 ≠ 0: only differences count. (1, 1) and (2, 1) around (0, 1) span doses of the first perturbation."""
        train = [[0, 1], [1, 1], [2, 1]]
        inside, outside = check_span(train, [[3, 1], [3, 0]])
        assert inside.coefficients.tolist() == [0, 0.6, 1.2]
        assert outside.witness.tolist() == [0, -1]

    def test_without_a_row_of_zeros_the_first_row_is_the_reference(self):
        assert check_span([[0, 1], [1, 1]], [[2, 1]])[0].reference == 0
        assert check_span([[1, 1], [0, 0]], [[2, 1]])[0].reference == 1

    def test_one_answer_per_test_row_whatever_the_others(self):
        train, tests = [ZERO, E1, E2], [[1, 1, 0], E3, ZERO, [2, -1, 5]]
        for together, test in zip(check_span(train, tests), tests, strict=True):
            alone = check_span(train, [test])[0]
            assert (together.identified, together.noise_gain) == (alone.identified, alone.noise_gain)
        assert check_span(train, []) == []


class TestNoiseGain:
    @pytest.mark.parametrize(
        ("test", "gain"), [([1, 0, 0], 1), ([0, 0, 0], 1), ([1, 1, 0], 3), ([2, 0, 0], 5), ([0.5, 0.5, 0], 0.5)]
    )
    def test_by_hand(self, test, gain):
        assert check_span([ZERO, E1, E2], [test])[0].noise_gain == gain

    def test_equal_environments_share_the_noise(self):
        assert check_span([[0], [1], [1]], [[1]])[0].noise_gain == 0.5

    @pytest.mark.statistical
    def test_it_is_the_variance_of_the_predicted_mean(self):
        """Claim 2.10 with z seen and n = 1: predict z̄_0 + Σ α_e (z̄_e − z̄_0) many times."""
        certificate = check_span([ZERO, E1, E2], [[2, -1, 0]])[0]
        means = np.random.default_rng(0).normal(size=(40_000, 3))
        predicted = means[:, 0] + (means - means[:, :1]) @ certificate.coefficients
        error = predicted.var() * np.sqrt(2 / len(means))
        assert abs(predicted.var() - certificate.noise_gain) < 5 * error


class TestWords:
    def test_a_combination(self):
        certificate = check_span([ZERO, E1, E2], [[1, 1, 0]])[0]
        assert certificate.in_words("A+B", ["ctrl", "A", "B"], ["A", "B", "C"]) == "A+B = A + B − ctrl"

    def test_of_many_terms_the_twelve_largest_stay_in_their_order(self):
        names = [f"P{k}" for k in range(15)]
        label = np.arange(1, 16) / 4  # 0.25 to 3.75, and 1 twice: of P3, and of ctrl with its sign
        label[::2] *= -1
        certificate = check_span(np.vstack([np.zeros(15), np.eye(15)]), [-label])[0]
        words = certificate.in_words("T", ["ctrl", *names], names)
        added = "1.25 P4 + 1.75 P6 + 2.25 P8 + 2.75 P10 + 3.25 P12 + 3.75 P14"
        assert words == f"T = {added} − ctrl − 1.5 P5 − 2 P7 − 2.5 P9 − 3 P11 − 3.5 P13 … (16 terms in all)"

    def test_a_witness(self):
        certificate = check_span([ZERO, E1, E2], [[1, 0, 1]])[0]
        words = certificate.in_words("A+C", ["ctrl", "A", "B"], ["A", "B", "C"])
        assert words == "no training environment moves C away from ctrl; A+C does"


class TestErrors:
    @pytest.mark.parametrize(
        ("train", "test", "reference", "message"),
        [
            ([], [[1]], None, "train_labels must have at least one row"),
            ([[0, 0]], [[1]], None, "test_labels must have 2 columns, as train_labels; received 1"),
            ([[0, np.nan]], [[1, 0]], None, "train_labels must hold finite numbers; row 0, column 1 is nan"),
            ([[0, 0]], [[1, Decimal("Infinity")]], None, "test_labels must hold finite numbers; row 0, column 1"),
            ([[0, 0]], [["A", "B"]], None, "test_labels must hold finite numbers; row 0, column 0 is 'A'"),
            ([[0, 0]], [[1, 0]], [5, 0], r"reference must be one of the training rows; received \['5', '0'\]"),
        ],
    )
    def test_the_argument_is_named(self, train, test, reference, message):
        with pytest.raises(InputError, match=message):
            check_span(train, test, reference)


def test_sparse_labels_are_those_that_they_hold():
    train, test = np.array([[0, 0], [1, 0], [0, 2]]), np.array([[1, 1], [0, 3]])
    for kind in (csr_matrix, csr_array):
        found = check_span(kind(train), kind(test))
        assert [c.coefficients.tolist() for c in found] == [c.coefficients.tolist() for c in check_span(train, test)]


def test_coefficients_that_float64_takes_for_zero_are_refused():
    with pytest.raises(InputError, match="beyond float64; give doses in units of similar size"):
        check_span([[0, 0], [10**400, 0]], [[1, 0]])
