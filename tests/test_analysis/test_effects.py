"""Effect sizes, Gram matrices and angles: their laws and their coverage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import stats

from pdae_sim.analysis import _noncentral
from pdae_sim.analysis.identifiability.effects import _angle_law, _effect_sizes, effect_angles, estimate_effects
from pdae_sim.errors import InputError
from tests.test_analysis.planted import latents, planted


def effect_size(shift, covariance):
    return _effect_sizes(shift[None], covariance[None])[0]


class TestEffects:
    def test_an_effect_size_is_that_of_the_noncentral_chi_square(self):
        """The closed form with unit variances, from scipy's own distribution."""
        found = effect_size(np.array([1.0, 2.0]), np.eye(2))
        assert stats.ncx2.cdf(5.0, 2, found.high**2) == pytest.approx(0.025, abs=1e-9)
        assert found.low == 0.0
        assert stats.chi2.cdf(5.0, 2) < 0.975
        far = effect_size(np.array([6.0, 8.0]), np.eye(2))
        assert stats.ncx2.cdf(100.0, 2, far.low**2) == pytest.approx(0.975, abs=1e-9)
        assert far.value == pytest.approx(np.sqrt(98))

    def test_far_out_the_two_forms_of_the_law_agree(self, monkeypatch):
        shift, S = np.array([70.0, 10.0]), np.array([[0.5, 0.1], [0.1, 1.0]])
        exact = effect_size(shift, S)
        monkeypatch.setattr(_noncentral, "_SERIES", 1.0)
        near = effect_size(shift, S)
        assert (near.low, near.high) == pytest.approx((exact.low, exact.high), abs=2e-4)

    @settings(max_examples=25)
    @given(planted)
    def test_no_rotation_and_no_offset_changes_them(self, pair):
        Q, seed = pair
        z, environment = latents(60, len(Q), seed), np.repeat([0, 1, 2], 20)
        z = z + 3 * environment[:, None]
        before, after = estimate_effects(z, environment), estimate_effects(z @ Q.T + 5, environment)
        assert np.allclose(before.gram, after.gram)
        assert np.allclose([s.high for s in before.sizes], [s.high for s in after.sizes])

    def test_the_gram_matrix_is_unbiased_and_the_plain_one_is_not(self):
        """Over 150 worlds without effect the mean entry is zero to 4 standard errors; the plug-in has 2 d / n."""
        worlds, n, d = 150, 6, 2
        rng = np.random.default_rng(0)
        draws = [estimate_effects(rng.normal(size=(2 * n, d)), np.repeat([0, 1], n)) for _ in range(worlds)]
        unbiased = np.array([f.gram[0, 0] for f in draws])
        plain = np.array([f.shifts[0] @ f.shifts[0] for f in draws])
        assert abs(unbiased.mean()) < 4 * unbiased.std() / np.sqrt(len(draws))
        assert plain.mean() > 8 * plain.std() / np.sqrt(len(draws))

    @pytest.mark.statistical
    @pytest.mark.parametrize("length", [0.0, 0.3, 3.0])
    def test_intervals_cover(self, length):
        worlds, n, hits = 120, 50, []
        moves = length * np.array([[1.0, 0, 0], [0.6, 0.8, 0]])
        G, angle = moves @ moves.T, np.degrees(np.arccos(0.6))
        for seed in range(worlds):
            z = latents(3 * n, 3, seed) * [0.7, 1.0, 1.3] + np.repeat(np.vstack([np.zeros(3), moves]), n, axis=0)
            found = estimate_effects(z, np.repeat([0, 1, 2], n))
            inside = (found.gram_low - 1e-12 <= G) & (found.gram_high + 1e-12 >= G)
            hits.append([inside[0, 0], inside[0, 1], found.angles_low[0, 1] <= angle <= found.angles_high[0, 1]])
        assert (np.sum(hits, axis=0) >= stats.binom.ppf(0.001, worlds, 0.95)).all()

    @pytest.mark.parametrize(("one", "other"), [(4.0, 1.0), (1.0, 0.25), (3.0, 7.0)])
    def test_the_law_of_an_angle_does_not_change_with_the_units_of_either_effect(self, one, other):
        rng = np.random.default_rng(0)
        first, second, error = rng.normal(5, 1, 3), rng.normal(5, 1, 3), rng.normal(size=(6, 40)) / 20
        S = error @ error.T
        law = _angle_law(first, second, (S[:3, :3], S[3:, 3:]), S[:3, 3:])
        covariances = one**2 * S[:3, :3], other**2 * S[3:, 3:]
        assert _angle_law(one * first, other * second, covariances, one * other * S[:3, 3:]) == pytest.approx(law)
        drawn = rng.multivariate_normal(np.append(first, second), S / 100, 20_000)
        u, v = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (drawn[:, :3], drawn[:, 3:]))
        assert np.arccos((u * v).sum(1)).var() == pytest.approx(law.along / 100, rel=0.05)

    def test_angles_beside_no_effect_are_open(self):
        z, environment = latents(300, 2), np.repeat([0, 1, 2], 100)
        z[environment == 1] += 5
        found = estimate_effects(z, environment)
        assert (found.angles_low[0, 1], found.angles_high[0, 1]) == (0, 180)
        assert np.isnan(found.angles[0, 1])

    def test_true_angles_are_those_of_the_textbook(self):
        angles = effect_angles(np.array([[1.0, 0], [0, 2], [-3, 0]]))
        assert np.allclose(angles[np.triu_indices(3, 1)], [90, 180, 90])

    @pytest.mark.parametrize(
        ("environment", "message"),
        [
            (np.zeros(20, int), "environment must hold the reference 0 and another"),
            (np.repeat([0, 1], [18, 2]), "environment 1 needs at least 4 cells; received 2"),
            (np.zeros(3, int), "one integer per row"),
        ],
    )
    def test_the_argument_is_named(self, environment, message):
        with pytest.raises(InputError, match=message):
            estimate_effects(latents(20, 2), environment)
