"""The three verdicts: their record, its fields, and what it is sure of."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pdae_sim import check_span
from pdae_sim.analysis.support import ShiftError
from pdae_sim.analysis.verdict import judge
from pdae_sim.errors import InputError
from pdae_sim.verdicts import NOT_IDENTIFIED, OFF_SUPPORT, SUPPORTED

TRAIN = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
W = np.array([[1.5, 0.0, 1.0], [0.0, 1.5, 1.0]])


def test_the_three_verdicts_are_told_apart():
    verdicts = judge(TRAIN, [[1, 1, 0], [3, 3, 0], [1, 0, 1]], counts=[4096] * 3, perturbation_matrix=W)
    assert [v.name for v in verdicts] == [SUPPORTED, OFF_SUPPORT, NOT_IDENTIFIED]
    assert verdicts[2].supported is None


def test_effective_cells_follow_the_formula():
    (verdict,) = judge(TRAIN, [[1, 1, 0]], counts=[100, 200, 300], perturbation_matrix=W)
    expected = 100 * math.exp(-4.5) + 200 * math.exp(-2.25) + 300 * math.exp(-2.25)
    assert verdict.effective_cells == pytest.approx(expected)


def test_effective_cells_are_invariant_under_rotation_of_the_latents():
    Q = np.linalg.qr(np.random.default_rng(0).normal(size=(2, 2)))[0]
    values = [
        judge(TRAIN, [[2, 1, 0]], counts=[10, 10, 10], perturbation_matrix=M)[0].effective_cells for M in (W, Q @ W)
    ]
    assert values[0] == pytest.approx(values[1])


@pytest.mark.statistical
def test_importance_sampling_has_the_effective_sample_size_of_claim_2_9():
    rng, delta, n = np.random.default_rng(0), 0.8, 400_000
    z = rng.normal(size=n)
    weights = np.exp(delta * z - delta**2 / 2)
    effective = weights.sum() ** 2 / (weights**2).sum()
    assert effective / n == pytest.approx(math.exp(-(delta**2)), rel=0.03)


def test_without_a_matrix_support_is_unknown():
    verdict = judge(TRAIN, [[1, 1, 0]])[0]
    assert (verdict.name, verdict.supported, verdict.effective_cells) == ("identified", None, None)
    with pytest.raises(InputError, match="counts"):
        judge(TRAIN, [[1, 1, 0]], perturbation_matrix=W)


class TestVerdict:
    """The record, its fields and what it is sure of."""

    def test_without_an_error_nothing_has_changed(self):
        verdicts = judge(TRAIN, [[1, 1, 0], [3, 3, 0], [1, 0, 1]], counts=[4096] * 3, perturbation_matrix=W)
        assert [v.name for v in verdicts] == [SUPPORTED, OFF_SUPPORT, NOT_IDENTIFIED]
        assert verdicts[0].effective_cells == pytest.approx(4096 * (2 * math.exp(-2.25) + math.exp(-4.5)))
        assert [v.interval for v in verdicts] == [v.sure for v in verdicts] == [None] * 3
        assert (verdicts[2].standard_error, verdicts[2].support, verdicts[2].least_standard_error_interval) == (
            None,
        ) * 3

    def test_near_the_threshold_it_is_not_sure(self):
        counts = [500] * 3
        error = ShiftError.of(TRAIN, counts)
        labels = [[1, 1, 0], [3, 3, 0], [1, 0, 0]]
        near, far, inside = judge(TRAIN, labels, counts=counts, perturbation_matrix=W, error=error)
        assert near.interval[0] < 100 < near.interval[1]
        assert [near.sure, far.sure, inside.sure] == [False, True, True]
        low, high = near.least_standard_error_interval
        assert low < near.least_standard_error < high

    def test_a_class_with_noise_of_any_law_guarantees_nothing(self):
        for counts in (None, [100, 100]):
            inside, outside = judge([[0, 0], [1, 0]], [[2, 0], [0, 1]], counts=counts, guaranteed=False)
            assert (inside.name, outside.name) == ("in the span, no guarantee", "not identified")
            assert inside.to_json()["identified"]  # of the labels alone
            assert not inside.to_json()["guaranteed"]
            bound, _ = judge([[0, 0], [1, 0]], [[2, 0], [0, 1]], counts=counts)
            assert (bound.name, bound.to_json()["guaranteed"]) == ("identified", True)

    def test_certificates_of_another_kind_are_kept(self):
        certificates = check_span(TRAIN, [[1, 1, 0]], rtol=1e-6)
        (verdict,) = judge(TRAIN, [[1, 1, 0]], certificates=certificates)
        assert verdict.certificate is certificates[0]
        with pytest.raises(InputError, match="one per test label"):
            judge(TRAIN, [[1, 1, 0], [1, 0, 0]], certificates=certificates)

    def test_a_screen_is_judged_at_once(self):
        """One tenth of the greatest size, in well under the second that a loop over labels and conditions takes."""
        rng, K = np.random.default_rng(0), 100
        train = np.vstack([np.zeros(K), np.eye(K)])
        labels = np.array([rng.permutation(np.repeat([1, 0], [2, K - 2])) for _ in range(500)])
        counts, W = rng.integers(50, 200, K + 1), rng.normal(size=(20, K)) / 5
        verdicts = judge(train, labels, counts=counts, perturbation_matrix=W, error=ShiftError.of(train, counts))
        assert len(verdicts) == 500
        assert all(v.interval[0] <= v.interval[1] for v in verdicts)


def test_a_control_alone_says_only_that_it_is_there():
    (found,) = judge(np.zeros((1, 0)), np.zeros((1, 0)), counts=[10], perturbation_matrix=np.zeros((2, 0)))
    assert found.certificate.identified
    assert found.standard_error == 0.0
