"""Claims 2.9, 2.9b and 2.9c: what cells are worth elsewhere, the three verdicts, the library against the witness."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pdae_sim.analysis.support import pooling_gain
from pdae_sim.analysis.verdict import judge
from pdae_sim.strategies import orthogonal_matrices, span_problems
from theory.engine.checker import assess
from theory.engine.instances import worlds
from theory.identifiability.orthogonal import rival_matrix
from theory.prediction import support, verdicts
from theory.prediction.support import pooled_worth
from theory.prediction.verdicts import ExactVerdict, exact_verdict

SINGLES = [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
FLAT = [world for world in worlds(10) if len(world.W) <= 2]


@pytest.mark.parametrize("module", [support, verdicts])
def test_examples_in_docstrings(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed


class TestPooledWorth:
    @pytest.mark.parametrize("world", FLAT[:3])
    def test_the_sum_is_a_lower_bound_and_not_an_upper_one(self, world):
        assert all(assess(m).passed for m in support.measure(world))
        assert not assess(support.measure(world, excess=100.0, reach=0.5)[1]).passed

    def test_equal_laws_add_up(self):
        means, test = np.array([[0.7, -0.4]] * 3), np.zeros(2)
        counts = np.array([10.0, 20.0, 30.0])
        assert pooled_worth(means, test, counts) == pytest.approx(60 * np.exp(-0.65), rel=1e-12)

    @given(
        hnp.arrays(np.float64, 3, elements=st.floats(-2.5, 2.5)),
        hnp.arrays(np.float64, 3, elements=st.floats(0.5, 50)),
    )
    def test_never_below_the_sum_never_above_all_cells(self, means, counts):
        pooled = pooled_worth(means[:, None], np.zeros(1), counts)
        alone = (counts * np.exp(-(means**2))).sum()
        assert alone * (1 - 1e-11) <= pooled <= counts.sum() * (1 + 1e-11)
        if np.ptp(means) > 0.5:
            assert pooled > alone * (1 + 1e-6)

    def test_between_two_environments_the_sum_is_far_too_cautious_beyond_them_it_is_exact(self):
        """At distance 4 from either side: δ exp(-δ²/2) (2/π)^(1/2) and not exp(-δ²)."""
        between = pooled_worth(np.array([[4.0], [-4.0]]), np.zeros(1), np.array([0.5, 0.5]), spacing=0.05)
        assert between == pytest.approx(4 * np.exp(-8) * np.sqrt(2 / np.pi), rel=0.1)
        assert between > 1000 * np.exp(-16)
        beyond = pooled_worth(np.array([[0.0], [2.0]]), np.array([4.0]), np.array([0.5, 0.5]))
        assert beyond == pytest.approx(0.5 * np.exp(-4), rel=1e-3)

    @pytest.mark.statistical
    def test_the_library_pools_alike(self):
        means, test, counts = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]]), np.array([1.5, 1.5]), [100, 200, 300]
        exact = pooled_worth(means, test, np.array(counts, dtype=float))
        alone = (counts * np.exp(-np.square(means - test).sum(axis=1))).sum()
        factor, error = pooling_gain(means, counts, test, rng=0)
        assert abs(factor - exact / alone) < 4 * error
        assert error < 0.05 * factor

    @pytest.mark.statistical
    def test_a_sample_has_the_effective_size_of_kish(self):
        """Standard error of n E² / Σ w² by splitting the sample into 50."""
        z = np.random.default_rng(0).normal(size=(50, 4000))
        w = np.exp(z - 0.5)
        fractions = w.mean(axis=1) ** 2 / (w**2).mean(axis=1)
        error = fractions.std(ddof=1) / np.sqrt(50)
        assert abs(fractions.mean() - np.exp(-1)) < 5 * error + 5 / 4000
        assert abs(fractions.mean() - np.exp(-0.5)) > 20 * error


class TestVerdicts:
    def test_each_of_the_three_occurs(self):
        W = [[1, 0, 1], [0, 1, 1]]
        result = [exact_verdict(W, SINGLES, [500] * 3, test, 100) for test in ([1, 1, 0], [2, 2, 0], [1, 0, 1])]
        assert [(v.identified, v.supported) for v in result] == [(True, True), (True, False), (False, None)]

    def test_one_count_for_each_label(self):
        with pytest.raises(ValueError, match="counts: expected 3"):
            exact_verdict([[1, 0, 0]], SINGLES, [5], [1, 1, 0], 100)

    @settings(max_examples=40)
    @given(span_problems(max_perturbations=3, max_environments=4), st.data())
    def test_the_library_agrees_with_exact_arithmetic(self, problem, data):
        K, E = len(problem.test), len(problem.train)
        W = data.draw(hnp.arrays(np.int64, (2, K), elements=st.integers(-1, 1)))
        counts = data.draw(st.lists(st.integers(1, 500), min_size=E, max_size=E))
        exact = exact_verdict(W.tolist(), problem.train, counts, problem.test, 100)
        (result,) = judge(
            np.array(problem.train), np.array([problem.test]), counts=counts, perturbation_matrix=W.astype(float)
        )
        assert (result.certificate.identified, result.supported) == (exact.identified, exact.supported)
        if exact.identified:
            assert result.effective_cells == pytest.approx(float(exact.worth), rel=1e-9, abs=1e-300)

    @settings(max_examples=20)
    @given(orthogonal_matrices(2))
    def test_a_rotation_of_the_latents_changes_no_verdict(self, Q):
        W = np.array([[1.5, 0.0, 1.0], [0.5, 1.0, 1.0]])
        tests = np.array([[1, 1, 0], [2, 1, 0]])
        own, turned = (judge(np.array(SINGLES), tests, counts=[300] * 3, perturbation_matrix=M) for M in (W, Q @ W))
        for one, other in zip(own, turned, strict=True):
            assert other.effective_cells == pytest.approx(one.effective_cells, rel=1e-9)

    @pytest.mark.parametrize("world", worlds(4))
    def test_distances_are_those_of_a_rival_inside_the_span_only(self, world):
        rival = rival_matrix(world)
        assert assess(verdicts.measure(world, rival, world.inside)).passed
        assert not assess(verdicts.measure(world, rival * (1 + 1e-4), world.inside)).passed
        assert not assess(verdicts.measure(world, rival, world.outside)).passed

    @pytest.mark.parametrize("world", worlds(4))
    def test_outside_the_span_the_second_model_needs_the_right_sign(self, world):
        assert all(assess(m).passed for m in verdicts.measure_anywhere(world, 1.0))
        assert not assess(verdicts.measure_anywhere(world, 1.0, sign=-1)[1]).passed

    def test_a_verdict_without_identification_says_nothing_of_support(self):
        assert exact_verdict([[1, 1, 1]], SINGLES, [9] * 3, [0, 0, 1], 1) == ExactVerdict(False, None, None)
