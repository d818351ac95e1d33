"""Verdicts, worth and discrepancies against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pdae_sim import energy_distance
from pdae_sim.analysis._energy_interval import Noise
from pdae_sim.analysis.prediction_error import EnergyEstimate, energy_estimate, mean_difference, mean_r2, mmd, worth
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


def test_energy_estimate_is_the_u_statistic():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(203, 3)), rng.normal(size=(157, 3)) + 0.2
    estimate = energy_estimate(x, y)
    assert estimate.value == pytest.approx(energy_distance(x, y, unbiased=True), abs=1e-12)
    pairs = np.linalg.norm(y[:, None] - y[None], axis=-1)
    assert estimate.spread == pytest.approx(pairs.sum() / (157 * 156))


@pytest.mark.statistical
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_the_jackknife_error_covers_the_spread_over_samples(shift):
    values, errors = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        estimate = energy_estimate(rng.normal(size=(300, 2)), rng.normal(size=(300, 2)) + shift)
        values.append(estimate.value)
        errors.append(estimate.standard_error)
    ratio = np.mean(errors) / np.std(values)
    assert 0.75 < ratio < (2.2 if shift == 0 else 1.35)  # conservative at zero, near one away from it


@pytest.mark.statistical
def test_an_empirical_law_of_n_cells_is_worth_n_cells():
    n, found = 200, []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        cells = rng.normal(size=(n, 3))
        predicted = cells[rng.integers(n, size=4000)]
        found.append(energy_estimate(predicted, rng.normal(size=(4000, 3))))
    distance, spread = (np.mean([getattr(e, name) for e in found]) for name in ("value", "spread"))
    assert spread / distance == pytest.approx(n, rel=0.2)


def test_worth_reports_a_bound_where_the_distance_is_not_told_from_zero():
    rng = np.random.default_rng(1)
    same = worth(energy_estimate(rng.normal(size=(800, 2)), rng.normal(size=(800, 2))))
    assert not same.bounded
    assert same.value == same.interval.low > 50
    apart = worth(energy_estimate(rng.normal(size=(800, 2)), rng.normal(size=(800, 2)) + 1))
    assert apart.bounded
    assert apart.interval.low < apart.value < apart.interval.high < 10


def test_worth_is_finite_where_the_estimate_is_far_below_zero():
    found = worth(EnergyEstimate(-0.01, 2.0, Noise(1e-3, 1e-6, 1e-9), 1e-6, 1e-6, 0.0, (50, 50)))
    assert found.value == found.interval.low
    assert np.isfinite(found.interval.low)
    assert found.interval.low > 100  # the noise alone is worth 2 / 1e-3 cells
    assert not found.bounded


def test_mmd_against_a_naive_loop():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(15, 2)), rng.normal(size=(12, 2)) + 1
    distances = [np.linalg.norm(y[i] - y[j]) for i in range(12) for j in range(i)]
    low, high = np.quantile(distances, [0.05, 0.95])
    widths = np.geomspace(low / 2, 2 * high, 5)

    def k(a, b):
        return np.mean([np.exp(-((a - b) ** 2).sum() / width**2) for width in widths])

    def within(a):
        return np.mean([k(a[i], a[j]) for i in range(len(a)) for j in range(len(a)) if i != j])

    naive = within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])
    assert mmd(x, y) == pytest.approx(naive, rel=1e-9)


def test_mean_metrics():
    x, y = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[2.0, 3.0], [2.0, 7.0]])
    assert mean_difference(x, y) == pytest.approx(2.0)
    assert mean_r2(x, y) == pytest.approx(1 - 4 / 4.5)
    assert mean_r2(y, y) == 1.0
    assert math.isnan(mean_r2(x[:, :1], y[:, :1]))


def test_bad_samples_are_refused_by_name():
    with pytest.raises(InputError, match="at least 4 rows"):
        energy_estimate(np.zeros((3, 2)), np.zeros((100, 2)))
    with pytest.raises(InputError, match="predicted must have 2 columns"):
        mmd(np.zeros((5, 3)), np.eye(5)[:, :2])
    with pytest.raises(InputError, match="all of their rows are equal"):
        mmd(np.zeros((5, 2)), np.zeros((5, 2)))
