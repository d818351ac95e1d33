"""Agreement of fits: rotations do not count, what is noise in one direction is told in that direction alone."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from scipy.stats import ortho_group

from pdae_sim import InputError, PerturbationData
from pdae_sim.analysis import ShiftError, judge
from pdae_sim.estimation import HalfFits
from pdae_sim.labels import LabelSpace
from pdae_sim.study import count_fit, feature_intervals, shuffled_conditions, stability

W = np.array([[2.0, 0.0], [0.0, 1.0]])
SPACE = LabelSpace(("A", "B"))


def cells(n=300):
    rng = np.random.default_rng(0)
    labels = np.repeat([[0, 0], [1, 0], [0, 1]], n, axis=0)
    return PerturbationData.from_arrays(rng.normal(size=(3 * n, 2)) + labels @ W.T, labels, names=("A", "B"))


class Fit(SimpleNamespace):
    """Latents Q (x + noise) with noise in the second coordinate, and Q W (1 + error)."""

    def __init__(self, seed, *, noise=0.0, error=0.0):
        rng = np.random.default_rng(seed)
        Q = ortho_group.rvs(2, random_state=rng)
        super().__init__(Q=Q, rng=rng, noise=noise, space_=SPACE, features_=("g1", "g2"), source_="pool", _kept=None)
        self.perturbation_matrix_ = Q @ W * (1 + error * rng.normal())
        self.train_labels_, self.train_counts_ = np.array([[0.0, 0], [1, 0], [0, 1]]), np.array([300, 300, 300])
        self.information_, self.moved = np.eye(2), error * rng.normal()

    def encode(self, x):
        return (x + self.noise * self.rng.normal(size=len(x))[:, None] * [0, 1]) @ self.Q.T + 5.0

    def sample(self, condition, n, *, rng, source=None):
        x = np.random.default_rng(rng).normal(size=(n, 2))
        return x + W @ self.space_.label(condition) + self.moved


def halves(**how):
    return HalfFits(tuple((Fit(2 * s, **how), Fit(2 * s + 1, **how)) for s in range(4)))


class TestStability:
    def test_fits_that_differ_by_rotations_agree_in_all(self):
        found = stability(halves(), cells(), rng=0)
        np.testing.assert_allclose(found.agreement, 1.0, atol=1e-6)
        np.testing.assert_allclose(found.cosines, 1.0, atol=1e-6)
        np.testing.assert_allclose(found.sizes, [2.0, 1.0])
        np.testing.assert_allclose(found.gram, W.T @ W, atol=1e-9)
        assert found.standard_errors.max() < 1e-6

    def test_noise_in_one_direction_is_told_in_that_one(self):
        data = cells()
        found = stability(halves(noise=1.0), data, rng=0)
        variance = data.x[:, 1].var()
        assert found.agreement[0] == pytest.approx(variance / (variance + 1.0), abs=0.05)
        assert found.agreement[1] > 0.99
        assert found.along == ("B", "A")

    def test_the_error_of_an_effect_is_half_the_difference_of_halves_and_what_splits_differ_by(self):
        found = stability(halves(error=0.1), cells(), rng=0)
        factors = np.array([np.linalg.norm(fit.perturbation_matrix_) for fit in halves(error=0.1).fits])
        variance = HalfFits.variance(factors.reshape(-1, 2) / np.linalg.norm(W))
        assert found.standard_errors[0] == pytest.approx(2 * np.sqrt(variance / 2), rel=1e-6)
        low, high = found.size_intervals[0]
        assert low < 2.0 < high
        low, high = np.moveaxis(found.gram_intervals, -1, 0)
        np.testing.assert_allclose((low + high) / 2, found.gram, atol=1e-9)
        assert (np.diag(high - low) > 0).all()

    def test_a_limit_is_above_what_cells_and_seed_make(self):
        (told,) = stability(halves(error=0.3), cells(), conditions=["A+B"], rng=0).predictions
        assert 0 < told.between / 4 < told.error < told.limit

    def test_the_error_of_a_prediction_is_that_of_its_mean_over_fits(self):
        """Predictions that are moved by m are 2 E|m| apart far from one another, by what fits and splits differ."""
        fits = halves(error=30.0)
        (told,) = stability(fits, cells(), conditions=["A"], n_cells=1000, rng=0).predictions
        moved = np.array([[fit.moved for fit in pair] for pair in fits.pairs])
        spread = 2 * np.sqrt(2) * np.abs(moved[:, 0] - moved[:, 1]).mean()
        assert told.between == pytest.approx(spread, rel=0.1)
        (alike,) = stability(HalfFits(fits.pairs[:1] * 4), cells(), conditions=["A"], rng=0).predictions
        assert alike.error == pytest.approx(alike.between / 4, rel=0.05)

    def test_the_total_variation_is_that_of_the_longest_error_of_the_shift(self):
        fits = halves(error=0.3)
        (told,) = stability(fits, cells(), conditions=["A"], rng=0).predictions
        sizes = np.array([np.linalg.norm(fit.perturbation_matrix_[:, 0]) for fit in fits.fits])
        squared = HalfFits.variance(sizes.reshape(-1, 2))
        longest = np.sqrt(squared * stats.f.ppf(0.95, 1, len(fits.pairs)))
        assert told.total_variation == pytest.approx(2 * stats.norm.cdf(longest / 2) - 1, rel=1e-6)
        (none,) = stability(halves(), cells(), conditions=["A"], rng=0).predictions
        assert none.total_variation == pytest.approx(0.0, abs=1e-6)

    def test_one_condition_alone_is_refused(self):
        with pytest.raises(InputError, match="differs from the reference"):
            stability(halves(), PerturbationData.from_arrays(np.zeros((9, 2)), ["ctrl"] * 9), rng=0)


def test_shuffled_conditions_keep_cells_and_counts():
    data = cells(50)
    shuffled = shuffled_conditions(data, 0)
    assert shuffled.counts.tolist() == data.counts.tolist()
    assert (shuffled.x == data.x).all()
    assert (shuffled.environment != data.environment).mean() > 0.5


def test_features_have_their_mean_and_quantiles_with_intervals():
    rows = feature_intervals(Fit(99), halves(error=0.2), "A", n=4000, rng=0)
    by = {(row["feature"], row["statistic"]): row for row in rows}
    assert len(by) == 8
    assert by["g1", "mean"]["value"] == pytest.approx(2.0, abs=0.1)
    assert by["g1", "q95"]["value"] == pytest.approx(2.0 + 1.645, abs=0.15)
    assert all(row["low"] < row["value"] < row["high"] for row in rows)


def test_features_are_predicted_as_asked():
    asked = []

    class Asked(Fit):
        def sample(self, condition, n, *, rng, source=None):
            asked.append(source)
            return super().sample(condition, n, rng=rng)

    pairs = HalfFits(((Asked(0), Asked(1)),))
    feature_intervals(Asked(2), pairs, "A", n=100, rng=0, source="reference")
    assert asked == ["reference"] * 3


def test_intervals_of_a_verdict_grow_with_the_spread_of_fits():
    model, label = Fit(99), np.array([1.0, 1.0])
    error = ShiftError.of(model.train_labels_, model.train_counts_)
    judged = judge(
        model.train_labels_,
        [label],
        counts=model.train_counts_,
        perturbation_matrix=model.perturbation_matrix_,
        error=error,
    )
    lengths = []
    for spread in (0.0, 0.05, 0.3):
        (verdict,) = count_fit(judged, [label], model, halves(error=spread))
        low, high = verdict.interval
        assert low <= verdict.effective_cells <= high <= 900
        lengths.append(np.diff(verdict.support.distance_intervals).max())
        assert verdict.to_json()["nearest"]["interval"] is not None
    assert lengths[0] < 1e-6 < lengths[1] < lengths[2]
