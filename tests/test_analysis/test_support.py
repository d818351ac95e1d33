"""Support: laws of distances beside closed forms and scipy, coverage, negative controls."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from pdae_sim import check_span
from pdae_sim.analysis._noncentral import noncentral_cdf, noncentrality_interval
from pdae_sim.analysis.support import ShiftError, pooling_gain, supports
from pdae_sim.analysis.verdict import judge
from pdae_sim.errors import InputError

TRAIN = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]])
W = np.array([[1.5, 0.0, 1.0], [0.0, 1.5, 1.0]])
COUNTS = [400, 200, 300]


@st.composite
def designs(draw):
    """Training labels with the control and all singles, cells, a W and labels in their span."""
    K, d = draw(st.integers(1, 5)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    more = rng.integers(0, 3, (draw(st.integers(0, 4)), K))
    train = np.unique(np.vstack([np.zeros(K, dtype=int), np.eye(K, dtype=int), more]), axis=0)
    return train, rng.integers(5, 2000, len(train)), rng.normal(size=(d, K)), rng.integers(-2, 4, (3, K))


def least_squares(train, counts, means):
    """Ŵ by weighted normal equations, offset included: written apart from the library."""
    X = np.column_stack([np.ones(len(train)), train])
    N = np.diag(counts).astype(float)
    return (np.linalg.pinv(X.T @ N @ X) @ X.T @ N @ means)[1:].T


class TestNoncentral:
    """The saddlepoint against scipy's series, and the interval as the law inverted."""

    @pytest.mark.parametrize("d", [1, 2, 5, 40])
    @pytest.mark.parametrize("noncentrality", [0.1, 3.0, 200.0, 2e4])
    @pytest.mark.parametrize("q", [0.025, 0.975])
    def test_tail_quantiles(self, d, noncentrality, q):
        """Within a tenth of the tail: an interval at 95 % covers 94.5 to 95.5 %."""
        x = stats.ncx2.ppf(q, d, noncentrality)
        assert noncentral_cdf(x, d, noncentrality, np.inf) == pytest.approx(q, abs=2.5e-3)

    @pytest.mark.parametrize(("d", "m", "noncentrality"), [(1, 8, 2.0), (3, 20, 10.0), (10, 200, 50.0)])
    def test_hotelling(self, d, m, noncentrality):
        q = np.array([0.025, 0.975])
        x = stats.ncf.ppf(q, d, m, noncentrality) * d
        assert noncentral_cdf(x, d, noncentrality, m) == pytest.approx(q, abs=2.5e-3)
        assert np.abs(noncentral_cdf(x, d, noncentrality, np.inf) - q).max() > 2.5e-3  # the scale's own error matters

    def test_the_middle_of_the_law_is_continuous(self):
        """Where the saddlepoint is 0 / 0 (x at its mean) the two branches agree."""
        x = 7.0 + np.linspace(-1e-2, 1e-2, 101)
        steps = np.diff(noncentral_cdf(x, 3.0, 4.0, np.inf))
        assert steps.min() > 0
        assert steps.max() < 1.2 * steps.min()

    @given(st.floats(0.0, 1e6), st.floats(0.5, 100.0), st.one_of(st.floats(3.0, 1e4), st.just(math.inf)))
    def test_intervals_are_the_law_inverted(self, x, d, m):
        low, high = (float(end) for end in noncentrality_interval(x, d, m))
        assert 0 <= low <= high
        if low > 1e-6:
            assert noncentral_cdf(x, d, low, m) == pytest.approx(0.975, abs=1e-6)
        if high > 1e-6 and x > 0:
            assert noncentral_cdf(x, d, high, m) == pytest.approx(0.025, abs=1e-6)

    def test_less_confidence_is_shorter(self):
        (low, high), (inner_low, inner_high) = (noncentrality_interval(50.0, 3.0, 40.0, level=p) for p in (0.95, 0.5))
        assert low < inner_low < inner_high < high


class TestShiftError:
    """v(d) is the variance of least squares, and of the quietest combination that the span certificates find."""

    @given(designs())
    def test_it_is_that_of_the_normal_equations(self, design):
        train, counts, _, labels = design
        X = np.column_stack([np.ones(len(train)), train])
        C = np.linalg.pinv(X.T @ np.diag(counts).astype(float) @ X)[1:, 1:]
        expected = np.einsum("tk,kl,tl->t", labels, C, labels)
        assert ShiftError.of(train, counts).variances(labels) == pytest.approx(expected, rel=1e-8, abs=1e-15)

    @given(designs())
    def test_no_certificate_is_quieter(self, design):
        train, counts, _, labels = design
        for weights in (None, counts.tolist()):
            certificates = check_span(train, labels, counts=weights)
            for verdict in judge(train, labels, counts=counts, certificates=certificates):
                assert verdict.least_standard_error <= verdict.standard_error * (1 + 1e-9)

    def test_least_norm_is_not_least_gain(self):
        """Doses 1 and 2 of one perturbation: α of least norm takes 1/5 and 2/5, whatever the cells."""
        (verdict,) = judge([[0], [1], [2]], [[1]], counts=[1000, 1000, 1])
        assert verdict.standard_error > 1.05 * verdict.least_standard_error

    def test_singles_leave_one_combination(self):
        (verdict,) = judge(TRAIN, [[1, 1, 0]], counts=COUNTS)
        expected = math.sqrt(1 / 200 + 1 / 300 + 4 / 400)
        assert (verdict.standard_error, verdict.least_standard_error) == pytest.approx((expected, expected))
        assert (verdict.name, verdict.supported) == ("identified", None)

    @given(designs())
    def test_units_of_a_dose_and_the_choice_of_reference_do_not_matter(self, design):
        train, counts, _, labels = design
        scale, order = 10.0 ** np.arange(-3, len(train[0]) - 3), np.argsort(counts, kind="stable")
        expected = ShiftError.of(train, counts).variances(labels)
        found = ShiftError.of((train * scale)[order] + 7.0, counts[order]).variances(labels * scale)
        assert found == pytest.approx(expected, rel=1e-6)

    def test_the_error_of_a_training_difference_is_no_more_than_that_of_its_two_means(self):
        error = ShiftError.of([[0], [1], [2]], [100, 100, 100])
        assert error.variances([[2.0]])[0] == pytest.approx(2 / 100)  # the line through three points: 4 / 200
        assert error.variances([[1.0]])[0] < 2 / 100

    def test_few_cells_cannot_whiten(self):
        error = ShiftError.of(TRAIN, [2, 1, 1])
        with pytest.raises(InputError, match=r"1 degrees of freedom are too few to whiten 2 latents"):
            supports(TRAIN, [[1, 1, 0]], counts=[2, 1, 1], perturbation_matrix=W, error=error)

    def test_bad_counts_are_named(self):
        for counts in ([1, 2], [1, 0, 3], [1, math.nan, 2]):
            with pytest.raises(InputError, match="counts must be 3 positive numbers"):
                ShiftError.of(TRAIN, counts)


class TestSupport:
    """Distances, cells and their intervals."""

    @given(designs())
    def test_the_truth_against_a_naive_loop(self, design):
        train, counts, W, labels = design
        for support, label in zip(supports(train, labels, counts=counts, perturbation_matrix=W), labels, strict=True):
            squared = [sum((W @ (label - row)) ** 2) for row in train]
            cells = [n * math.exp(-s) for n, s in zip(counts, squared, strict=True)]
            assert support.distances**2 == pytest.approx(np.array(squared), abs=1e-9)
            assert support.effective_cells == pytest.approx(sum(cells), rel=1e-9, abs=1e-290)
            assert support.interval is None

    @settings(max_examples=20)
    @given(designs(), st.booleans())
    def test_intervals_hold_the_estimate_and_rotations_change_nothing(self, design, known):
        train, counts, W, labels = design
        error = ShiftError.of(train, counts + 20, degrees=math.inf if known else None)
        Q = np.linalg.qr(np.random.default_rng(0).normal(size=(len(W), len(W))))[0]
        one, other = (supports(train, labels, counts=counts, perturbation_matrix=M, error=error) for M in (W, Q @ W))
        for a, b in zip(one, other, strict=True):
            assert a.interval[0] <= a.interval[1]
            assert a.interval == pytest.approx(b.interval, rel=1e-4, abs=1e-200)
            assert (a.distance_intervals[:, 0] <= a.distances + 1e-9).all()
            assert (a.distances <= a.distance_intervals[:, 1] + 1e-9).all()

    def test_a_training_label_is_at_distance_zero_for_sure(self):
        (support,) = supports(
            TRAIN, [[1, 0, 0]], counts=COUNTS, perturbation_matrix=W, error=ShiftError.of(TRAIN, COUNTS)
        )
        assert support.nearest == 1
        assert support.distance_intervals[1].tolist() == [0.0, 0.0]
        assert support.interval[0] > COUNTS[1]  # it alone is worth all its cells

    def test_one_environment_has_the_exact_interval(self):
        """All the others 60 standard deviations off: the sum's interval is n exp(−δ²) of the one that is near."""
        train, W1 = [[0], [60]], [[1.0]]
        error = ShiftError.of(train, [100, 50], degrees=math.inf)
        (support,) = supports(train, [[61]], counts=[100, 50], perturbation_matrix=W1, error=error)
        low, high = support.distance_intervals[1] ** 2
        assert support.interval == pytest.approx((50 * math.exp(-high), 50 * math.exp(-low)))

    def test_many_cells_leave_the_truth(self):
        many = ShiftError.of(TRAIN, [10**9] * 3)
        exact, near = (
            supports(TRAIN, [[2, 1, 0]], counts=COUNTS, perturbation_matrix=W, error=error)[0] for error in (None, many)
        )
        assert near.interval == pytest.approx((exact.effective_cells,) * 2, rel=2e-3)

    def test_a_block_of_labels_is_judged_as_one_by_one(self, monkeypatch):
        labels = np.random.default_rng(0).integers(0, 3, (30, 3)) * [1, 1, 0]
        given_ = {"counts": COUNTS, "perturbation_matrix": W, "error": ShiftError.of(TRAIN, COUNTS)}
        whole = supports(TRAIN, labels, **given_)
        monkeypatch.setattr("pdae_sim.analysis.support._WORK", 9)
        parts = supports(TRAIN, labels, **given_)
        assert np.allclose([s.interval for s in parts], [s.interval for s in whole], rtol=1e-9)

    @pytest.mark.statistical
    def test_the_bias_of_a_distance_is_taken_away(self):
        """E‖ŵ‖² = δ² + d v: uncorrected, five latents at 30 cells are off by many standard errors."""
        rng, train, counts, d = np.random.default_rng(0), np.array([[0], [1]]), np.array([30, 30]), 5
        truth = 0.4 * np.ones((d, 1))
        error = ShiftError.of(train, counts, degrees=math.inf)
        raw, found = [], []
        variance = error.variances([[3]])
        for _ in range(400):
            means = train @ truth.T + rng.normal(size=(2, d)) / np.sqrt(30)
            raw.append(((least_squares(train, counts, means) @ [3.0]) ** 2).sum())
            found.append(error.unbiased(raw[-1], variance, d)[0])
        target, se = 9 * 0.8, np.std(raw) / 20
        assert abs(np.mean(found) - target) < 4 * se
        assert np.mean(raw) - target > 8 * se


class TestCoverage:
    """Intervals hold the truth as often as they say; ones without the correction do not."""

    @pytest.mark.statistical
    @pytest.mark.parametrize("squared", [0.01, 1.0, 30.0])
    def test_of_a_squared_distance(self, squared):
        """2,000 estimates of ten coordinates, v = 0.1; a bootstrap around each adds the bias a second time."""
        rng, d, v, n = np.random.default_rng(0), 10, 0.1, 2000
        w = np.sqrt(squared / d) * np.ones(d)
        found = ((w + np.sqrt(v) * rng.normal(size=(n, d))) ** 2).sum(axis=1)
        low, high = ShiftError(np.eye(1)).interval(found, np.full(n, v), d)
        assert np.mean((low <= squared) & (squared <= high)) == pytest.approx(0.95, abs=3 * 0.0049)
        bootstrap = v * stats.ncx2.ppf([[0.025], [0.975]], d, found / v)
        if squared <= 1:
            assert np.mean((bootstrap[0] <= squared) & (squared <= bootstrap[1])) < 0.75

    @staticmethod
    def one(seed, whitened):
        """A data set with cells of its own, latents seen: whether intervals of a distance and of the cells hold."""
        rng = np.random.default_rng([seed, whitened])
        K, d = 3, int(rng.integers(1, 5))
        train = np.vstack([np.zeros(K), np.eye(K), [[1, 1, 0], [0, 2, 1]]])
        counts, truth = rng.integers(20, 80, len(train)), rng.normal(size=(d, K)) * rng.uniform(0.2, 1.2) / np.sqrt(d)
        z = [label @ truth.T + rng.normal(size=(n, d)) for label, n in zip(train, counts, strict=True)]
        W_hat = least_squares(train, counts, np.array([cells.mean(0) for cells in z]))
        if whitened:
            centred = np.vstack([cells - cells.mean(0) for cells in z])
            values, vectors = np.linalg.eigh(centred.T @ centred / (len(centred) - len(train)))
            W_hat = vectors / np.sqrt(values) @ vectors.T @ W_hat
        error, label = ShiftError.of(train, counts, degrees=None if whitened else math.inf), [[1, 1, 1]]
        (true,) = supports(train, label, counts=counts, perturbation_matrix=truth)
        (found,) = supports(train, label, counts=counts, perturbation_matrix=W_hat, error=error)
        low, high = found.distance_intervals[0]
        return low <= true.distances[0] <= high, found.interval[0] <= true.effective_cells <= found.interval[1]

    @pytest.mark.statistical
    @pytest.mark.parametrize("whitened", [False, True])
    @pytest.mark.parametrize("worlds", [80, pytest.param(600, marks=pytest.mark.slow)])
    def test_latents_seen(self, worlds, whitened):
        """93 %, less three standard errors of a coverage."""
        distance, cells = np.mean([self.one(seed, whitened) for seed in range(worlds)], axis=0)
        least = 0.93 - 3 * math.sqrt(0.93 * 0.07 / worlds)
        assert distance > least
        assert cells > least

    @pytest.mark.statistical
    def test_the_standard_error_along_a_whitened_direction(self):
        rng, d, nu = np.random.default_rng(0), 4, 30
        error, covered = ShiftError(np.eye(1), degrees=nu), []
        low, high = error.standard_error_interval(1.0, d)
        for _ in range(1000):
            u = rng.normal(size=(nu, d))
            values, vectors = np.linalg.eigh(u.T @ u / nu)
            covered.append(low <= np.linalg.norm((vectors / np.sqrt(values) @ vectors.T)[0]) <= high)
        assert np.mean(covered) == pytest.approx(0.95, abs=3 * 0.0069)
        assert ShiftError(np.eye(1)).standard_error_interval(1.0, d) == (1.0, 1.0)


class TestPooled:
    """Together the environments are worth no less than one by one, added up."""

    def test_two_on_the_line_against_quadrature(self):
        """n / ∫ p² / m, with m the mixture of N(−1, 1) and N(1.5, 1) by cells, at N(0.5, 1)."""
        n, means, target = np.array([300, 100]), np.array([-1.0, 1.5]), 0.5

        def integrand(z):
            mixture = (n * stats.norm.pdf(z - means)).sum() / n.sum()
            return stats.norm.pdf(z - target) ** 2 / mixture

        expected = n.sum() / quad(integrand, -12, 12)[0]
        alone = (n * np.exp(-((means - target) ** 2))).sum()
        gain, error = pooling_gain(means[:, None], n, [target], n_draws=40_000, rng=0)
        assert gain * alone == pytest.approx(expected, abs=4 * error * alone)
        assert error < 0.02
        assert gain > 1.2

    @given(designs())
    def test_between_one_and_all_cells(self, design):
        train, counts, W, labels = design
        gain, _ = pooling_gain(train @ W.T, counts, W @ labels[0], n_draws=200, rng=0)
        (support,) = supports(train, labels[:1], counts=counts, perturbation_matrix=W)
        assert gain >= 1 - 1e-9
        assert gain * support.effective_cells <= counts.sum() * (1 + 0.5)  # 200 draws

    @pytest.mark.parametrize("target", [0.0, [0.0], [[0.0, 0.0]], np.zeros((2, 2)), [0.0] * 3])
    def test_a_target_of_another_shape(self, target):
        with pytest.raises(InputError, match=r"target must have shape \(2,\)"):
            pooling_gain([[0.0, 0.0], [3.0, 0.0]], [100, 100], target, rng=0)

    def test_far_away_it_is_finite_and_the_nearest_is_all(self):
        gain, error = pooling_gain([[0.0, 0.0], [3.0, 0.0]], [100, 100], [40.0, 0.0], rng=0)
        assert gain == pytest.approx(1.0, abs=1e-9)
        assert error < 1e-9
