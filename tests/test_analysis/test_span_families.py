"""Span verdicts on families that break float ranks, as properties; every answer is planted, none is computed."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim import strategies
from pdae_sim.analysis.span import check_span
from tests.test_analysis.test_span_strength import certifies, wide_problems

SEEDS = st.integers(0, 2**32 - 1)
TINY, HUGE = Fraction(1, 10**9), Fraction(10**7)
UNITS = (TINY, Fraction(1), HUGE)


@st.composite
def hilbert_problems(draw):
    """Rows 1 / (i + j + offset) without the last; a known combination of them, and the same plus a part of the last.

    Any such matrix is invertible, so that α is unique and the last row is no combination of the others.
    """
    K, offset = draw(st.integers(2, 14)), draw(st.integers(1, 5))
    H = [[Fraction(1, i + j + offset) for j in range(K)] for i in range(K)]
    alpha = draw(st.lists(st.integers(-3, 3), min_size=K - 1, max_size=K - 1))
    inside = [sum((a * row[k] for a, row in zip(alpha, H, strict=False)), Fraction(0)) for k in range(K)]
    share = draw(st.sampled_from([Fraction(1), Fraction(-1), TINY, HUGE]))
    return H[:-1], alpha, inside, [a + share * b for a, b in zip(inside, H[-1], strict=True)]


@st.composite
def scaled_problems(draw, kind=Fraction):
    """A planted problem in units of 1e-9, 1 or 1e7 for every perturbation; labels as fractions, or as short floats."""
    problem = draw(strategies.span_problems(kind="int", max_perturbations=4))
    units = [draw(st.sampled_from(UNITS)) for _ in problem.test]

    def scaled(row):
        return [kind(v * unit) for v, unit in zip(row, units, strict=True)]

    return problem, [scaled(row) for row in problem.train], scaled(problem.test)


def by_float_rank(train, label):
    """The naive verdict: whether the label adds to the rank of a float32 matrix."""
    L = np.array([[float(v) for v in row] for row in train], dtype=np.float32)
    with_label = np.vstack([L, np.array([[float(v) for v in label]], dtype=np.float32)])
    return np.linalg.matrix_rank(L) == np.linalg.matrix_rank(with_label)


class TestHilbert:
    @settings(max_examples=25)
    @given(hilbert_problems())
    def test_verdict_and_coefficients_are_the_planted_ones(self, problem):
        train, alpha, inside, outside = problem
        found = check_span([[0] * len(inside), *train], [inside, outside])
        assert [c.identified for c in found] == [True, False]
        assert [c.arithmetic for c in found] == ["exact", "exact"]
        assert found[0].coefficients.tolist() == [0, *alpha]

    @given(hilbert_problems())
    def test_the_witness_certifies(self, problem):
        train, _, _, outside = problem
        assert certifies(train, outside, check_span([[0] * len(outside), *train], [outside])[0])

    def test_a_float_rank_is_wrong_here(self):
        """The negative control: the family is hard."""
        H = [[Fraction(1, i + j + 1) for j in range(12)] for i in range(12)]
        assert by_float_rank(H[:-1], H[-1])
        assert not check_span([[0] * 12, *H[:-1]], [H[-1]])[0].identified


class TestUnits:
    @settings(max_examples=25)
    @given(scaled_problems())
    def test_units_of_1e_minus_9_and_doses_of_1e7(self, scaled):
        problem, train, test = scaled
        (found,) = check_span(train, [test], train[problem.position])
        assert (found.identified, found.arithmetic) == (problem.identified, "exact")

    @settings(max_examples=25)
    @given(scaled_problems(kind=float))
    def test_the_same_as_short_floats(self, scaled):
        """3e-9 is read as 3/10⁹: no unit makes a label a measured one."""
        problem, train, test = scaled
        (found,) = check_span(train, [test], train[problem.position])
        assert (found.identified, found.arithmetic) == (problem.identified, "exact")

    @settings(max_examples=25)
    @given(strategies.span_problems(kind="int"), st.sampled_from(UNITS), st.data())
    def test_the_strength_of_an_environment_does_not_matter(self, problem, common, data):
        """Δ_e ↦ s_e Δ_e: the span stays, α_e is divided by s_e."""
        strengths = [common * data.draw(st.sampled_from(UNITS)) for _ in problem.train]
        origin = problem.reference
        train = [
            [o + s * (v - o) for v, o in zip(row, origin, strict=True)]
            for row, s in zip(problem.train, strengths, strict=True)
        ]
        (found,) = check_span(train, [problem.test], origin)
        assert (found.identified, found.arithmetic) == (problem.identified, "exact")

    @settings(max_examples=25)
    @given(scaled_problems())
    def test_as_measured_doses_too(self, scaled):
        """To a tolerance of 1e-9 after columns and rows are brought to size: the planted answers are far from it."""
        problem, train, test = scaled
        (found,) = check_span(train, [test], train[problem.position], rtol=1e-9)
        assert (found.identified, found.borderline) == (problem.identified, False)

    def test_a_float_rank_is_wrong_here(self):
        assert by_float_rank([[1e7, 0, 0], [0, 1e7, 0]], [1, 1, 1])
        assert by_float_rank([[1, 0, 0], [0, 1, 0]], [1, 1, 1e-9])


class TestPlantedDeficiency:
    @settings(max_examples=10)
    @given(wide_problems(max_perturbations=80))
    def test_of_any_rank(self, problem):
        self.judged(problem)

    @pytest.mark.slow
    @settings(max_examples=6)
    @given(wide_problems(max_perturbations=500))
    def test_up_to_five_hundred_perturbations(self, problem):
        self.judged(problem)

    @staticmethod
    def judged(problem):
        train, inside, outside = problem
        found = check_span(train, np.vstack([inside, outside]))
        assert [c.identified for c in found] == [True, True, False, False]
        assert all(c.arithmetic == "exact" for c in found)
        for c, label in zip(found, [*inside, *outside], strict=True):
            assert certifies(train, label, c, rtol=1e-8)

    @settings(max_examples=15)
    @given(st.integers(3, 40), st.integers(1, 3), SEEDS)
    def test_one_condition_short_is_short(self, K, missing, seed):
        """The identity under a shear, less a few rows: exactly the missing directions are not identified."""
        rng = np.random.default_rng(seed)
        shear = np.triu(rng.integers(-2, 3, (K, K)), 1) + np.eye(K, dtype=int)
        gone = set(rng.choice(K, min(missing, K - 1), replace=False).tolist())
        train = np.vstack([np.zeros(K, dtype=int), shear[[k for k in range(K) if k not in gone]]])
        assert [k for k, c in enumerate(check_span(train, shear)) if not c.identified] == sorted(gone)

    @settings(max_examples=15)
    @given(st.integers(2, 25), SEEDS)
    def test_a_billionth_beyond_the_span_is_beyond(self, K, seed):
        """K conditions that span K − 1 directions; the label has 1e-9 of the last."""
        rng = np.random.default_rng(seed)
        train = np.hstack([rng.integers(-1, 2, (K, K - 1)), np.zeros((K, 1), dtype=int)])
        train[: K - 1, : K - 1] += 4 * K * np.eye(K - 1, dtype=int)  # dominant diagonal: rank K − 1
        label = [Fraction(int(v)) for v in train.sum(axis=0)]
        near = [*label[:-1], TINY]
        inside, outside = check_span(np.vstack([np.zeros(K, dtype=int), train]).tolist(), [label, near])
        assert (inside.identified, outside.identified) == (True, False)
        assert np.flatnonzero(outside.witness).tolist() == [K - 1]
        assert outside.witness[-1] == 1e9
