"""Span certificates at full strength: planted adversarial families, least gain, fewest conditions, measured doses."""

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim._linalg import integer_product, narrow
from pdae_sim.analysis.span import check_span
from pdae_sim.errors import InputError
from tests.test_analysis.test_span import E1, E2, ZERO, exact_problem, shifts_of
from theory.identifiability.span import least_gain, noise_gain, solve_span


@st.composite
def wide_problems(draw, *, max_perturbations=40):
    """Integer training shifts of a planted rank: D = X E with X of full column rank by construction, E = [I | F].

    A row t is inside if and only if its columns beyond the rank are t[:rank] F: by planting, without elimination.
    """
    K = draw(st.integers(2, max_perturbations))
    rank = draw(st.integers(1, K - 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = draw(st.sampled_from([1, 3, 10**3]))
    F = rng.integers(-size, size + 1, (rank, K - rank))
    X = np.vstack([np.eye(rank, dtype=int), rng.integers(-2, 3, (draw(st.integers(0, 5)), rank))])
    E = np.hstack([np.eye(rank, dtype=int), F])
    D = rng.permutation(X @ E)
    inside = rng.integers(-3, 4, (2, rank)) @ E
    outside = inside.copy()
    outside[np.arange(2), rng.integers(rank, K, 2)] += rng.choice([-1, 1, 7], 2)
    columns = rng.permutation(K)
    return np.vstack([np.zeros(K, dtype=int), D])[:, columns], inside[:, columns], outside[:, columns]


def certifies(train, label, certificate, *, rtol=1e-9):
    """Whether a certificate holds in float arithmetic, cancellation allowed for."""
    L, shift = np.array(train, dtype=float), np.array(label, dtype=float)
    if certificate.identified:
        alpha = certificate.coefficients
        return np.all(np.abs(alpha @ L - shift) <= rtol * (np.abs(alpha) @ np.abs(L) + np.abs(shift)))
    v = certificate.witness
    annihilates = np.abs(L @ v) <= rtol * (np.abs(L) @ np.abs(v))
    return annihilates.all() and abs(v @ shift - 1) <= rtol * (np.abs(v) @ np.abs(shift))


class TestAdversarial:
    """Families that break float ranks; every answer is planted."""

    @settings(max_examples=25)
    @given(wide_problems())
    def test_planted_ranks(self, problem):
        train, inside, outside = problem
        certificates = check_span(train, np.vstack([inside, outside]))
        assert [c.identified for c in certificates] == [True, True, False, False]
        for certificate, label in zip(certificates, [*inside, *outside], strict=True):
            assert certifies(train, label, certificate)

    @settings(max_examples=25)
    @given(wide_problems(max_perturbations=8), st.data())
    def test_units_per_perturbation_reordering_and_a_basis_change_of_the_doses(self, problem, data):
        """l ↦ T l for an invertible T keeps span, α and gain: units of 1e±9, permutations, shears."""
        train, inside, outside = problem
        K, labels = train.shape[1], np.vstack([inside, outside])
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
        T = np.diag([Fraction(10) ** int(k) for k in rng.integers(-9, 10, K)])[rng.permutation(K)]
        for _ in range(K if data.draw(st.booleans()) else 0):
            i, j = rng.choice(K, 2, replace=False)
            T[i] = T[i] + T[j] * Fraction(int(rng.integers(-3, 4)), 7)
        order = np.append(0, 1 + rng.permutation(len(train) - 1))
        before, after = (
            check_span(train, labels),
            check_span((train.astype(object) @ T.T)[order], labels.astype(object) @ T.T),
        )
        for a, b in zip(before, after, strict=True):
            assert (a.identified, a.noise_gain, b.arithmetic) == (b.identified, b.noise_gain, "exact")
            if a.identified:
                assert a.coefficients[order].tolist() == b.coefficients.tolist()

    @pytest.mark.parametrize("K", [3, 6, 12, 20])
    def test_hilbert_labels(self, K):
        """1/(i + j + 1): a condition number of 1e28 at K = 20, and the last row is no combination of the others."""
        H = [[Fraction(1, i + j + 1) for j in range(K)] for i in range(K)]
        total = [sum(column) for column in zip(*H[:-1], strict=True)]
        inside, outside = check_span([[0] * K, *H[:-1]], [total, H[-1]])
        assert inside.coefficients.tolist() == [0] + [1] * (K - 1)
        assert (inside.identified, outside.identified) == (True, False)
        v = [Fraction(*value.as_integer_ratio()) for value in outside.witness.tolist()]
        sizes = [sum(abs(a) * abs(b) for a, b in zip(v, row, strict=True)) for row in H]
        moved = [sum(a * b for a, b in zip(v, row, strict=True)) for row in H]
        assert all(
            abs(value - (k == K - 1)) <= 1e-14 * size for k, (value, size) in enumerate(zip(moved, sizes, strict=True))
        )

    @pytest.mark.parametrize("gap", [1e-9, 1e-30, 1e-200])
    def test_almost_parallel_conditions(self, gap):
        """(1, 1) and (1, 1 + gap) span the plane; (1, 1) and (2, 2) never do."""
        step = Fraction(repr(gap))
        assert check_span([[0, 0], [1, 1], [1, 1 + step]], [[0, 1]])[0].identified
        assert not check_span([[0, 0], [1, 1], [2, 2]], [[1, 1 + step]])[0].identified

    def test_doses_that_vanish_modulo_large_primes(self):
        """Elimination modulo a prime that divides a dose sees a smaller rank; the answer must not."""
        first, second = 2**61 - 1, 2**31 - 1
        train = [[0, 0, 0], [first, 1, 0], [1, Fraction(1), second], [0, first * second, 1]]
        label = [first + 1, first * second + 2, second + 1]
        assert check_span(train, [label])[0].coefficients.tolist() == [0, 1, 1, 1]
        singular = [[0, 0], [1, 1], [1, 1 + first]]
        assert check_span(singular, [[0, first]])[0].coefficients.tolist() == [0, -1, 1]
        assert not check_span(singular[:2], [[1, 1 + first]])[0].identified

    @pytest.mark.parametrize("rank", [1, pytest.param(200, marks=pytest.mark.slow), 299])
    def test_five_hundred_perturbations(self, rank):
        rng = np.random.default_rng(rank)
        E = np.hstack([np.eye(rank, dtype=int), rng.integers(0, 2, (rank, 500 - rank))])
        X = np.vstack([np.eye(rank, dtype=int), np.unique(rng.integers(1, 4, (299 - rank, rank)), axis=0)])
        inside = rng.integers(0, 2, (20, rank)) @ E
        outside = inside + np.eye(500, dtype=int)[rng.integers(rank, 500, 20)]
        certificates = check_span(np.vstack([np.zeros(500, dtype=int), X @ E]), np.vstack([inside, outside]))
        assert [c.identified for c in certificates] == [True] * 20 + [False] * 20
        assert all(certifies(X @ E, label, c) for label, c in zip(outside, certificates[20:], strict=True))
        if rank == 299:
            assert all(
                (c.coefficients[1:] == label[:rank]).all() for label, c in zip(inside, certificates, strict=False)
            )

    @given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32 - 1), st.sampled_from([1, 20, 90]))
    def test_the_exact_product_is_that_of_python(self, m, n, seed, power):
        rng = np.random.default_rng(seed)
        left, right = (rng.integers(-9, 10, shape).astype(object) ** power for shape in ((m, n), (n, 3)))
        assert (integer_product(narrow(left), narrow(right)) == left @ right).all()


class TestLeastGain:
    """`theory.least_gain` at equal counts, and optimality at others."""

    @settings(max_examples=25)
    @given(exact_problem)
    def test_at_equal_counts_it_is_that_of_the_theory(self, problem):
        train = list(dict.fromkeys(problem.train))
        (found,) = check_span(train, [problem.test], problem.reference, counts=[1] * len(train))
        assert found.identified == problem.identified
        if problem.identified:
            expected = least_gain(train, problem.test, problem.reference)
            assert found.coefficients.tolist() == [float(a) for a in expected]
            assert found.noise_gain == pytest.approx(float(noise_gain(expected)))

    @settings(max_examples=25)
    @given(exact_problem, st.data())
    def test_no_other_combination_has_less(self, problem, data):
        train = list(dict.fromkeys(problem.train))
        n = [data.draw(st.integers(1, 5000)) for _ in train]
        (found,) = check_span(train, [problem.test], problem.reference, counts=n)
        if problem.identified:
            assert certifies(
                shifts_of(train, problem.reference), shifts_of([problem.test], problem.reference)[0], found
            )
            k = train.index(problem.reference)
            sizes = [n[k] if e == k else size for e, size in enumerate(n)]
            for rival in (solve_span(train, problem.test, problem.reference).coefficients,):
                assert found.noise_gain <= float(noise_gain(rival, sizes, n[k])) * (1 + 1e-9)
            assert found.noise_gain == pytest.approx(
                float(noise_gain([Fraction(a) for a in found.coefficients.tolist()], sizes, n[k]))
            )

    def test_cells_decide_between_two_ways(self):
        """(2) is 2 A or the double dose; where that has few cells A carries it."""
        heavy, light = (check_span([[0], [1], [2]], [[2]], counts=[10**6, 10**6, n])[0] for n in (10**6, 1))
        assert heavy.coefficients[2] > 0.8
        assert light.coefficients[2] < 1e-5
        assert heavy.method == light.method == "least noise gain"

    @pytest.mark.parametrize("counts", [[1, 1], [1, 1, 0], [1.5, 1, 1], [[1, 1, 1]]])
    def test_wrong_counts(self, counts):
        with pytest.raises(InputError, match="counts must be 3 whole numbers ≥ 1"):
            check_span([ZERO, E1, E2], [E1], counts=counts)

    def test_one_condition_twice_is_named(self):
        with pytest.raises(InputError, match=r"train_labels rows 1 and 3 are one condition, \[1, 0, 0\]; merge"):
            check_span([ZERO, E1, E2, E1], [E1], counts=[1] * 4)


class TestSparse:
    @settings(max_examples=40)
    @given(st.integers(0, 2**32 - 1))
    def test_no_fewer_conditions_do(self, seed):
        rng = np.random.default_rng(seed)
        rows = {(0, 0, 0), *map(tuple, rng.integers(-1, 3, (6, 3)).tolist())}
        train = sorted(rows, key=lambda row: (any(row), row))
        target = (rng.integers(-2, 3, len(train)) @ np.array(train)).tolist()
        (found,) = check_span(train, [target], sparse=True)
        assert found.identified == solve_span(train, target, train[0]).identified
        if found.identified:
            weights = np.append(1 - found.coefficients.sum(), found.coefficients[1:])
            used = int((np.abs(weights) > 1e-12).sum())
            assert certifies(train, target, found)
            assert found.method == "fewest conditions, by exhaustive search"
            affine = [(*row, 1) for row in train]
            fewer = [s for size in range(used) for s in combinations(affine, size)]
            assert not any(s and solve_span(s, (*target, 1), (0, 0, 0, 0)).identified for s in fewer)

    def test_in_words(self):
        train, names = [ZERO, E1, E2, [1, 0, 1], [0, 2, 1]], ["ctrl", "A", "B", "A+C", "B:2+C"]
        dense, sparse = (check_span(train, [[1, 1, 0]], sparse=flag)[0] for flag in (False, True))
        assert sparse.in_words("A+B", names, ["A", "B", "C"]) == "A+B = A + B − ctrl"
        assert (dense.coefficients != 0).sum() == 4

    def test_three_hundred_conditions_and_then_the_linear_programme(self):
        rng = np.random.default_rng(0)
        train = np.vstack([np.zeros(40, dtype=int), np.unique(rng.integers(0, 2, (299, 40)), axis=0)])
        three, six = train[5] + train[9] - train[0], train[[3, 50, 71, 100, 151, 200]].sum(axis=0)
        few, many = check_span(train, [three, six], sparse=True)
        assert np.flatnonzero(few.coefficients).tolist() == [5, 9]
        assert many.method == "few conditions, by linear programme; not proved fewest"
        assert certifies(train, six, many)
        assert (many.coefficients != 0).sum() <= 41

    def test_measured_doses_have_no_sparse_combination(self):
        with pytest.raises(InputError, match="sparse needs exact labels"):
            check_span([ZERO, E1], [[np.pi, 0, 0]], sparse=True)


class TestMeasured:
    def test_a_stated_tolerance_its_margin_and_the_borderline(self):
        train = [[0, 0], [1, 1]]
        labels = [[1, 1 + share * 2e-2 / 2**0.5] for share in (0.01, 0.5, 2, 100)]
        found = check_span(train, labels, rtol=1e-2)
        assert [c.answer for c in found] == ["identified", "borderline", "borderline", "not identified"]
        assert [c.identified for c in found] == [True, True, False, False]
        assert all(c.margin == pytest.approx(np.log10(c.residual / 1e-2)) for c in found)
        assert found[0].margin < -1
        assert found[3].margin > 1
        assert "borderline" in found[1].in_words("x", ["ctrl", "A"], ["A", "B"])

    def test_a_rank_on_the_edge_is_borderline_too(self):
        """Two training directions a tolerance apart: whether they are one decides."""
        assert check_span([[0, 0], [1, 1], [1, 1 + 3e-2]], [[1, 0]], rtol=1e-2)[0].answer == "borderline"
        assert check_span([[0, 0], [1, 1], [1, 0]], [[1, 2]], rtol=1e-2)[0].answer == "identified"

    def test_exact_answers_are_never_borderline(self):
        inside, outside = check_span([ZERO, E1], [E1, E2])
        assert (inside.answer, inside.margin) == ("identified", -np.inf)
        assert (outside.answer, outside.margin) == ("not identified", np.inf)

    @given(wide_problems(max_perturbations=10), st.integers(-9, 7))
    def test_noise_below_the_tolerance_does_not_matter_in_any_units(self, problem, power):
        train, inside, _ = problem
        rng = np.random.default_rng(0)
        units = 10.0**power * rng.uniform(0.5, 2, train.shape[1])
        noisy = [(rows * (1 + 1e-13 * rng.normal(size=rows.shape))) * units for rows in (train, inside)]
        found = check_span(*noisy)
        assert all(c.identified and c.arithmetic == "float" for c in found)
        left = np.array([c.coefficients for c in found]) @ noisy[0] - noisy[1]
        assert np.abs(left / units).max() <= 1e-6 * (1 + np.abs(inside).max())

    def test_counts_weigh_measured_doses_as_they_do_exact_ones(self):
        exact = check_span([[0, 0], [1, 1], [2, 1], [3, 4]], [[4, 5]], counts=[10, 20, 30, 40])[0]
        measured = check_span([[0, 0], [1, 1], [2, 1], [3, 4]], [[4, 5]], counts=[10, 20, 30, 40], rtol=1e-9)[0]
        assert measured.arithmetic == "float"
        assert np.allclose(measured.coefficients, exact.coefficients)
        assert measured.noise_gain == pytest.approx(exact.noise_gain)

    @pytest.mark.parametrize("rtol", [0, 1, -1, np.nan])
    def test_a_tolerance_that_is_none(self, rtol):
        with pytest.raises(InputError, match="rtol must lie strictly between"):
            check_span([ZERO, E1], [E1], rtol=rtol)
