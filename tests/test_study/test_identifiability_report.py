"""The identifiability report: planted maps get their own names, intervals cover, and chance is no finding."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise, permutations, product
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import linalg, stats
from scipy.stats import ortho_group

from pdae_sim import LinearLatentModel, Simulator, strategies
from pdae_sim._json import plain
from pdae_sim.analysis._intervals import Interval, operator_radius, ratio_intervals
from pdae_sim.analysis._nystrom_ridge import smooth
from pdae_sim.analysis.identifiability.alignment import align, alignment_intervals
from pdae_sim.analysis.identifiability.effects import effect_size, effects, true_angles
from pdae_sim.analysis.identifiability.identifiability_class import (
    AFFINE,
    EXACT,
    IN_PART,
    NONLINEAR,
    NOT_IDENTIFIED,
    ORTHOGONAL,
    SIGNED_PERMUTATION,
    outcome,
)
from pdae_sim.analysis.identifiability.nested_maps import MAPS, fitted_maps, nested_maps, signed_permutation
from pdae_sim.analysis.identifiability.procrustes import Learnt, joint_rotation
from pdae_sim.cli._app import run
from pdae_sim.data import Truth
from pdae_sim.errors import InputError
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.presets import STAGED, shortened
from pdae_sim.study.baseline_encoders import mean_matrix, permuted_environments, random_encoder
from pdae_sim.study.identification import identify

D, NOISE = 3, 0.15
planted = st.integers(1, 4).flatmap(lambda d: st.tuples(strategies.orthogonal_matrices(d), st.integers(0, 2**32 - 1)))


def latents(n, d=D, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def turned(z):
    """The rotation of two coordinates by an angle that depends on the third: keeps N(0, I), is smooth, not affine."""
    angle = 1.5 * z[:, 2]
    c, s = np.cos(angle), np.sin(angle)
    return np.column_stack([c * z[:, 0] - s * z[:, 1], s * z[:, 0] + c * z[:, 1], z[:, 2]])


def rotation(rng):
    return ortho_group.rvs(D, random_state=rng)


PLANTED = {
    EXACT: [lambda z, rng: z],
    SIGNED_PERMUTATION: [lambda z, rng: z[:, rng.permutation(D)] * rng.choice([-1, 1], D) + 1],
    ORTHOGONAL: [lambda z, rng: z @ rotation(rng) + 2],
    AFFINE: [
        lambda z, rng: z @ (rotation(rng) * [1.5, 1, 1]),
        lambda z, rng: 0.6 * z @ rotation(rng),
        lambda z, rng: z @ (np.eye(D) + 0.6 * np.eye(D, k=1)) @ rotation(rng) + 1,
    ],
    NONLINEAR: [lambda z, rng: turned(z) @ rotation(rng)],
    NOT_IDENTIFIED: [lambda z, rng: rng.normal(size=z.shape)],
}
CASES = [(name, k) for name, maps in PLANTED.items() for k in range(len(maps))]


def named(name, k, n, seed):
    rng = np.random.default_rng([seed, n])
    z = rng.normal(size=(n, D))
    estimate = PLANTED[name][k](z, rng) + NOISE * rng.normal(size=z.shape)
    return outcome(nested_maps(estimate, z, rng=seed))


class TestOutcome:
    @pytest.mark.parametrize(("name", "k"), CASES)
    def test_a_planted_map_gets_its_own_name(self, name, k):
        for seed in range(2):
            found = named(name, k, 400, seed)
            assert (found.name, found.decided) == (name, True), found.reason

    @pytest.mark.slow
    @pytest.mark.statistical
    @pytest.mark.parametrize("n", [200, 1000, 4000])
    @pytest.mark.parametrize(("name", "k"), CASES)
    def test_over_many_seeds_and_sizes(self, name, k, n):
        """A random rotation is within a tenth of a signed permutation in far fewer than one in 25."""
        counts = Counter(named(name, k, n, seed).name for seed in range(25))
        assert counts[name] >= 24, counts

    def test_noise_is_not_taken_for_a_stretch(self):
        """Noise of 0.6 opens a gap of 0.1 for a rotation too; singular values both ways tell a stretch from it."""
        z, rng = latents(2000), np.random.default_rng(1)
        maps = nested_maps(z @ rotation(rng) + 0.6 * rng.normal(size=z.shape), z)
        assert maps["orthogonal"].defect.low > 0.01
        assert outcome(maps).name == "identified up to affine; orthogonal not excluded"
        stretched = nested_maps(1.3 * z @ rotation(rng) + 0.6 * rng.normal(size=z.shape), z)
        assert outcome(stretched).name == AFFINE
        shrunk = nested_maps(0.5 * z @ rotation(rng) + 0.1 * rng.normal(size=z.shape), z)
        assert outcome(shrunk).name == AFFINE
        assert shrunk.shrinkage.low > 1 > shrunk.stretch.high

    def test_few_cells_decide_less(self):
        """A stretch by 1.2 opens a gap of about 0.04 / 3, near the tolerance squared: 25 cells show neither side."""
        z = latents(50)
        found = outcome(nested_maps(z * [1.2, 1, 1] @ rotation(3) + 0.3 * latents(50, seed=1), z))
        assert not found.decided
        assert "not excluded" in found.name

    def test_a_tolerance_decides_what_counts(self):
        z = latents(2000)
        maps = nested_maps(z @ rotation(0) * [1.25, 1, 1], z)
        assert outcome(maps).name == AFFINE
        assert outcome(maps, tolerance=0.4).name == ORTHOGONAL

    def test_a_direction_that_is_lost_is_said(self):
        z = latents(1000)
        half = np.column_stack([z[:, :2], latents(1000, 1, seed=5)])
        found = outcome(nested_maps(half, z))
        assert found.name == IN_PART
        assert "worst direction" in found.reason

    def test_few_noisy_cells_decide_nothing(self):
        """Nothing is shown to be identified, nor is it shown that nothing is."""
        z = latents(60)
        found = outcome(nested_maps(z + 2 * latents(60, seed=6), z))
        assert found.name == NOT_IDENTIFIED
        assert not found.decided
        assert "not shown to be better" in found.reason

    def test_what_a_random_encoder_does_too_is_no_finding(self):
        """Two nonlinear maps of one truth: against the mean each is nonlinear, against the other it is nothing."""
        z = latents(1000)
        one, other = nested_maps(turned(z), z), nested_maps(turned(z[:, [1, 2, 0]]), z)
        assert outcome(one).name == NONLINEAR
        assert outcome(one, null=other).name == NOT_IDENTIFIED
        straight = nested_maps(z @ rotation(1), z)
        assert outcome(straight, null=other).name == ORTHOGONAL

    def test_a_null_on_other_cells_is_refused(self):
        z = latents(200)
        with pytest.raises(InputError, match="null must be judged on the cells of the estimate"):
            outcome(nested_maps(z, z), null=nested_maps(z, z, rng=1))

    def test_swapping_coordinates_changes_no_name(self):
        z, rng = latents(400), np.random.default_rng(0)
        estimate = z @ rotation(rng) * [1.5, 1, 1] + 0.1 * rng.normal(size=z.shape)
        order = [2, 0, 1]
        first, second = (outcome(nested_maps(a, b)) for a, b in ((estimate, z), (estimate[:, order], z[:, order])))
        assert first.name == second.name == AFFINE


class TestNestedMaps:
    @given(planted)
    def test_a_larger_class_never_explains_less_of_what_it_was_fitted_to(self, pair):
        Q, seed = pair
        z = latents(60, len(Q), seed)
        estimate = np.tanh(z) @ Q + 0.3 * latents(60, len(Q), seed + 1)
        maps = fitted_maps(estimate, z, np.random.default_rng(0))
        losses = [((each(estimate) - z) ** 2).sum() for each in maps]
        assert all(a >= b * (1 - 1e-9) for a, b in pairwise(losses))

    @given(st.permutations(range(4)), st.lists(st.sampled_from([-1.0, 1.0]), min_size=4, max_size=4))
    def test_a_signed_permutation_is_found(self, order, signs):
        z = latents(30, 4)
        P = signed_permutation(z[:, order] * signs, z)
        assert np.allclose(z[:, order] * signs @ P, z - z.mean(0) + (z[:, order] * signs).mean(0) @ P)

    def test_a_signed_permutation_is_best_among_all(self):
        """Against every one of the 48 in three dimensions."""
        for seed in range(20):
            Z_hat, Z = (latents(15, seed=seed + k) - latents(15, seed=seed + k).mean(0) for k in (0, 100))
            losses = [
                ((Z_hat[:, order] * signs - Z) ** 2).sum()
                for order in permutations(range(3))
                for signs in product([1, -1], repeat=3)
            ]
            assert ((Z_hat @ signed_permutation(Z_hat, Z) - Z) ** 2).sum() == pytest.approx(min(losses))

    def test_halves_are_disjoint_and_the_judged_one_decides(self):
        """Scrambling the truth of the judged cells destroys every R²; scrambling nothing keeps them."""
        z = latents(400)
        judged = nested_maps(z, z).judged
        assert len(judged) == 200 == len(set(judged))
        scrambled = z.copy()
        scrambled[judged] = z[judged][::-1]
        assert nested_maps(z, scrambled)["affine"].r2.high < 0.2
        assert nested_maps(z, z)["affine"].r2.low > 1 - 1e-12

    def test_what_was_learnt_by_chance_is_not_counted(self):
        """Noise in 20 dimensions: an affine map explains 0.4 of the cells it was fitted to, less than 0 of others."""
        estimate, truth = latents(100, 20), latents(100, 20, seed=1)
        assert align(estimate[:50], truth[:50]).affine_r2 > 0.3
        assert nested_maps(estimate, truth)["affine"].r2.high < 0

    def test_defects_are_gaps_between_neighbours(self):
        z = latents(400)
        found = nested_maps(turned(z) + 0.1, z)
        values = [rung.r2.value for rung in found.rungs] + [1.0]
        gaps = [b - a for a, b in pairwise(values)]
        assert np.allclose([rung.defect.value for rung in found.rungs], gaps)
        assert [rung.name for rung in found.rungs] == list(MAPS)

    def test_same_seed_same_ladder(self):
        z = latents(200)
        first, second, other = (nested_maps(turned(z), z, rng=seed).to_json() for seed in (0, 0, 1))
        assert first == second != other

    @pytest.mark.parametrize("constant", [slice(0, 1), slice(0, 3)])
    def test_a_constant_latent_of_the_estimate_is_judged(self, constant):
        z = latents(400)
        estimate = z.copy()
        estimate[:, constant] = 7.0
        assert outcome(nested_maps(estimate, z)).name in (IN_PART, NOT_IDENTIFIED)

    @pytest.mark.parametrize(
        ("estimate", "truth", "message"),
        [
            (latents(30), latents(30), "nested maps of 3 latents need at least 40 cells; received 30"),
            (latents(41, 20), latents(41, 20), "nested maps of 20 latents need at least 81 cells; received 41"),
            (latents(50), np.ones((50, 3)), "truth must vary in every direction"),
            (latents(50), latents(50, 2), "must have one shape"),
            (np.full((50, 3), np.inf), latents(50), "estimate must be finite"),
        ],
    )
    def test_the_argument_is_named(self, estimate, truth, message):
        with pytest.raises(InputError, match=message):
            nested_maps(estimate, truth)


class TestSmoother:
    def test_it_is_kernel_ridge_regression_where_cells_are_few(self):
        """An oracle: for some bandwidth and ridge of its grid, the dual solution (K + λ n I)⁻¹ y."""
        x, rng = latents(80, 2), np.random.default_rng(0)
        y = np.sin(2 * x[:, :1]) + 0.1 * rng.normal(size=(80, 1))
        found = smooth(x, y, np.random.default_rng(1))(x)
        u = (x - x.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T, bias=True))).T
        squared = ((u[:, None] - u[None]) ** 2).sum(2)
        median = np.median(np.sqrt(squared[np.triu_indices(80, 1)]))
        duals = [
            K @ np.linalg.solve(K + ridge * 80 * np.eye(80), y)
            for K in (np.exp(-squared / (2 * (s * median) ** 2)) for s in (0.5, 1.0, 2.0, 4.0))
            for ridge in 10.0 ** np.arange(-8.0, 2.0)
        ]
        assert min(np.abs(found - dual).max() for dual in duals) < 1e-6

    def test_it_is_flat_where_there_is_nothing_to_find(self):
        """Noise: kept-out folds refuse most of it; what is let through predicts new noise no worse than by 5 %."""
        y = latents(400, 1, seed=9)
        s = smooth(latents(400), y, np.random.default_rng(0))
        assert (s(latents(400, seed=3)) ** 2).mean() < 0.05


class TestIntervals:
    def test_a_ratio_without_spread_is_a_point(self):
        b = np.arange(1.0, 11.0)
        assert ratio_intervals(3 * b[None], b, np.random.default_rng(0))[0] == Interval(3.0, 3.0, 3.0)

    def test_they_narrow_as_one_over_root_n(self):
        widths = []
        for n in (400, 6400):
            (found,) = ratio_intervals(latents(1, n) ** 2, np.ones(n), np.random.default_rng(0))
            widths.append(found.high - found.low)
        assert widths[0] / widths[1] == pytest.approx(4, rel=0.25)  # each width to about 10 %

    def test_those_of_an_alignment_hold_its_values(self):
        z = latents(60, 5)
        estimate = z + 0.5 * latents(60, 5, seed=1)
        found, ends = align(estimate, z), alignment_intervals(estimate, z)
        for name in ("affine_r2", "orthogonal_r2"):
            assert ends[name][0] <= getattr(found, name) <= ends[name][1]
        band = np.array(ends["singular_values"])
        assert (band[:, 0] <= found.singular_values).all()
        assert (found.singular_values <= band[:, 1]).all()

    @pytest.mark.statistical
    def test_the_band_covers_equal_singular_values_at_once_where_percentiles_do_not(self):
        d, worlds = 4, 40
        ours = plain = 0
        for seed in range(worlds):
            z = latents(80, d, seed)
            estimate = z + latents(80, d, seed + 1000)
            band = np.array(alignment_intervals(estimate, z, rng=seed)["singular_values"])
            ours += ((band[:, 0] <= 1) & (band[:, 1] >= 1)).all()
            picks = np.random.default_rng(seed).integers(80, size=(60, 80))
            draws = [align(estimate[rows], z[rows]).singular_values for rows in picks]
            low, high = np.quantile(draws, [0.025, 0.975], axis=0)
            plain += ((low <= 1) & (high >= 1)).all()
        assert ours >= stats.binom.ppf(0.001, worlds, 0.95)
        assert plain < worlds / 2

    def test_the_radius_is_that_of_a_gaussian_regression(self):
        """One regressor, one outcome: 1.96 σ / (s √n), to the 5 % that 400 multipliers leave open, thrice."""
        x, e = latents(2000, 1), latents(2000, 1, seed=1)
        x, e = x - x.mean(), e - e.mean()
        expected = 1.96 * np.sqrt((e**2 * x**2).sum()) / (x**2).sum()
        assert operator_radius(e, x, np.random.default_rng(0)) == pytest.approx(expected, rel=0.15)


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
        from pdae_sim.analysis.identifiability import effects as invariants

        shift, S = np.array([70.0, 10.0]), np.array([[0.5, 0.1], [0.1, 1.0]])
        exact = effect_size(shift, S)
        monkeypatch.setattr(invariants, "_LARGE", 1.0)
        near = effect_size(shift, S)
        assert (near.low, near.high) == pytest.approx((exact.low, exact.high), abs=2e-4)

    @given(planted)
    def test_no_rotation_and_no_offset_changes_them(self, pair):
        Q, seed = pair
        z, environment = latents(60, len(Q), seed), np.repeat([0, 1, 2], 20)
        z = z + 3 * environment[:, None]
        before, after = effects(z, environment), effects(z @ Q.T + 5, environment)
        assert np.allclose(before.gram, after.gram)
        assert np.allclose([s.high for s in before.sizes], [s.high for s in after.sizes])

    def test_the_gram_matrix_is_unbiased_and_the_plain_one_is_not(self):
        """Over 400 worlds without effect the mean entry is zero to 4 standard errors; the plug-in has 2 d / n."""
        worlds, n, d = 400, 6, 2
        rng = np.random.default_rng(0)
        draws = [effects(rng.normal(size=(2 * n, d)), np.repeat([0, 1], n)) for _ in range(worlds)]
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
            found = effects(z, np.repeat([0, 1, 2], n))
            inside = (found.gram_low - 1e-12 <= G) & (found.gram_high + 1e-12 >= G)
            hits.append([inside[0, 0], inside[0, 1], found.angles_low[0, 1] <= angle <= found.angles_high[0, 1]])
        assert (np.sum(hits, axis=0) >= stats.binom.ppf(0.001, worlds, 0.95)).all()

    def test_angles_beside_no_effect_are_open(self):
        z, environment = latents(300, 2), np.repeat([0, 1, 2], 100)
        z[environment == 1] += 5
        found = effects(z, environment)
        assert (found.angles_low[0, 1], found.angles_high[0, 1]) == (0, 180)
        assert np.isnan(found.angles[0, 1])

    def test_true_angles_are_those_of_the_textbook(self):
        angles = true_angles(np.array([[1.0, 0], [0, 2], [-3, 0]]))
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
            effects(latents(20, 2), environment)


def world(Q, seed=0, n=60):
    """A truth, and what an exact learner up to z ↦ Qᵀ (z − 2) has of it."""
    d, rng = len(Q), np.random.default_rng(seed)
    W, labels = rng.normal(size=(d, 3)), np.eye(3)[rng.integers(3, size=n)]
    base = rng.normal(size=(n, d))
    truth = Truth(base + labels @ W.T, base, W, np.eye(d))
    return truth, Learnt((truth.z - 2) @ Q, (base - 2) @ Q, Q.T @ W)


class TestJointRotation:
    @given(planted)
    def test_one_rotation_serves_all_three(self, pair):
        Q, seed = pair
        truth, estimate = world(Q, seed)
        found = joint_rotation(estimate, truth, np.eye(3))
        assert np.allclose(found.rotation, Q, atol=1e-8)
        assert np.allclose(found.offset, 2)
        assert max(found.latents, found.matrix, found.base) < 1e-15

    def test_a_matrix_that_needs_another_rotation_is_found_out(self):
        """Latents alone and W alone each match under a rotation of their own: the Gram error is zero too."""
        Q = ortho_group.rvs(3, random_state=0)
        truth, estimate = world(Q)
        wrong = Learnt(estimate.z, estimate.z_base, ortho_group.rvs(3, random_state=1) @ truth.perturbation_matrix)
        found = joint_rotation(wrong, truth, np.eye(3))
        assert found.latents + found.matrix > 0.1
        by_latents = joint_rotation(wrong, truth, np.eye(3), weights={"latents": 1.0})
        assert by_latents.latents < 1e-15 < 0.1 < by_latents.matrix
        by_matrix = joint_rotation(wrong, truth, np.eye(3), weights={"matrix": 1.0})
        assert by_matrix.matrix < 1e-15 < 0.1 < by_matrix.latents

    def test_no_other_rotation_is_better(self):
        truth, estimate = world(ortho_group.rvs(3, random_state=0))
        rng = np.random.default_rng(1)
        noisy = Learnt(
            estimate.z + rng.normal(size=estimate.z.shape),
            estimate.z_base + 1,
            estimate.perturbation_matrix + 0.5 * rng.normal(size=(3, 3)),
        )
        best = joint_rotation(noisy, truth, np.eye(3))
        least = best.latents + best.matrix + best.base
        total, effect = ((truth.z - truth.z.mean(0)) ** 2).sum(), (truth.perturbation_matrix**2).sum()
        for seed in range(200):
            near = best.rotation @ linalg.expm(0.01 * (G := latents(3, 3, seed)) - 0.01 * G.T)
            Q = near if seed % 2 else ortho_group.rvs(3, random_state=seed)
            c = best.offset + (0.1 * latents(1, 3, seed + 500)[0] if seed % 3 else 0)
            cost = ((noisy.z @ Q.T + c - truth.z) ** 2).sum() / total
            cost += ((Q @ noisy.perturbation_matrix - truth.perturbation_matrix) ** 2).sum() / effect
            cost += ((Q @ noisy.z_base.mean(0) + c - truth.z_base.mean(0)) ** 2).mean()
            assert cost >= least - 1e-12

    def test_a_wrong_base_law_shows_in_its_covariance(self):
        truth, estimate = world(np.eye(2), n=4000)
        good = joint_rotation(estimate, truth, np.eye(3)).base_covariance
        bad = joint_rotation(Learnt(estimate.z, 2 * estimate.z_base, estimate.perturbation_matrix), truth, np.eye(3))
        assert good < 0.1 < 2.5 < bad.base_covariance

    def test_fewer_cells_than_latents_leave_it_open(self):
        """Two cells and one shift in five dimensions: scipy would give one of many rotations without a word."""
        truth, estimate = world(np.eye(5), n=2)
        with pytest.raises(InputError, match="the rotation is not determined: estimate and truth agree on"):
            joint_rotation(estimate, truth, np.eye(3)[:1])

    def test_align_says_whether_a_rotation_is_determined(self):
        z = latents(100)
        assert align(z, z).determined
        assert not align(z * [1, 1, 0], z).determined


@pytest.fixture(scope="module")
def recovered():
    """A world, and the report of an exact model of it."""
    simulator = Simulator.random(LinearLatentModel.random(2, 3, rng=0), n_observed=4, rng=0)
    simulation = simulator.sample(["ctrl", "A", "B", "C"], 150, rng=0)
    R, Q = simulator.latent.whitening, ortho_group.rvs(2, random_state=0)
    W = Q @ simulation.truth.isotropic().perturbation_matrix
    model = SimpleNamespace(encode=lambda x: simulator.mixing.inverse(x) @ R.T @ Q.T, perturbation_matrix_=W)
    return simulation, model, identify(model, simulation, n=300)


@pytest.fixture(scope="module")
def fitted(simulation, tmp_path_factory):
    """A model after two steps a phase, what it was fitted to, and a folder that holds both."""
    folder = tmp_path_factory.mktemp("identify")
    model = PDAE(2, phases=shortened(STAGED, 2), random_state=0).fit(simulation.data)
    model.save(folder / "m")
    simulation.write(folder / "d.h5ad")
    return model, simulation, folder


class TestReport:
    def test_an_exact_model_is_identified_up_to_orthogonal(self, recovered):
        _, _, found = recovered
        assert found.outcome.name == ORTHOGONAL
        assert found.outcome.beyond_null.low > 0.01
        assert max(found.joint.latents, found.joint.matrix, found.joint.base) < 1e-12

    def test_its_record_has_the_fields_of_the_contract_and_more(self, recovered):
        record = json.loads(json.dumps(plain(recovered[2].to_json()), allow_nan=False))
        contract = {"affine_r2", "orthogonal_r2", "singular_values", "gram_error", "rotation", "intervals"}
        assert contract | {"outcome", "maps", "joint", "effects", "angles", "gram", "nulls"} <= set(record)
        assert [row["condition"] for row in record["effects"]] == ["A", "B", "C"]
        assert len(record["angles"]) == 3
        for row in record["effects"]:
            assert row["learnt"] == pytest.approx(row["truth"])
            assert row["permuted"] < row["truth"]

    def test_it_is_the_same_every_time(self, recovered):
        simulation, model, found = recovered
        assert identify(model, simulation, n=300).to_json() == found.to_json()

    def test_permuted_environments_have_no_effect(self, recovered):
        simulation, _, found = recovered
        low, high = found.nulls.permuted_gram_error
        assert found.gram_error < 1e-9 < 0.5 < low <= high
        z = simulation.truth.isotropic().z
        again, sizes = permuted_environments(z, simulation.data, simulation.truth.perturbation_matrix, found.shifts)
        assert (sizes < np.linalg.norm(found.true_moves, axis=1)).all()
        assert again[0] > 0.5

    def test_means_give_back_the_matrix(self, recovered):
        """Latents without any spread: least squares is exact."""
        simulation, _, _ = recovered
        W, data = simulation.truth.perturbation_matrix, simulation.data
        z = (data.labels @ W.T)[data.environment] + 3
        assert np.allclose(mean_matrix(z, data), W)

    def test_a_random_encoder_is_white_random_and_no_oracle(self, recovered):
        simulation, model, found = recovered
        data = simulation.data
        first, other = (random_encoder(model, data, rng=seed)(data.x) for seed in (0, 1))
        within = first - np.array([first[data.environment == e].mean(0) for e in range(4)])[data.environment]
        assert np.allclose(np.cov(within.T), np.eye(2), atol=1e-6)
        assert not np.allclose(first, other)
        assert found.nulls.maps["orthogonal"].r2.high < found.maps["orthogonal"].r2.low

    def test_an_untrained_network_stands_for_a_trained_one(self, fitted):
        model, simulation, _ = fitted
        z = random_encoder(model, simulation.data)(simulation.data.x)
        assert z.shape == (len(simulation.data.x), 2)
        assert not np.allclose(z, model.encode(simulation.data.x))

    def test_latents_that_collapse_have_no_rotation_and_no_name(self, recovered):
        simulation, model, _ = recovered
        flat = SimpleNamespace(
            encode=lambda x: 0 * model.encode(x), perturbation_matrix_=0 * model.perturbation_matrix_
        )
        found = identify(flat, simulation, n=100)
        assert found.joint is None
        assert found.outcome.name == NOT_IDENTIFIED

    def test_latents_of_shuffled_cells_are_not_identified(self, recovered):
        simulation, model, _ = recovered
        shuffled = SimpleNamespace(
            encode=lambda x: model.encode(x)[::-1], perturbation_matrix_=model.perturbation_matrix_
        )
        assert identify(shuffled, simulation, n=100).outcome.name == NOT_IDENTIFIED


class TestFigure:
    @pytest.mark.parametrize("width", [7.5, 3.6])
    def test_it_is_returned_and_speaks(self, recovered, width):
        import matplotlib
        from matplotlib.figure import Figure

        from pdae_sim.report.identification import identifiability
        from pdae_sim.report.page import figure_to_png_base64

        figure = identifiability(recovered[2], width=width)
        assert type(figure) is Figure
        assert figure.get_figwidth() == width
        words = {text.get_text() for text in figure.findobj(matplotlib.text.Text)}
        assert {ORTHOGONAL, *MAPS, "A", "B", "C"} <= words
        assert figure_to_png_base64(figure).startswith("iVBOR")  # the signature of a PNG

    def test_the_command_draws_it_once(self, fitted, capsys):
        folder, words = fitted[2], ["identify", "m", "d.h5ad", "--json", "--quiet", "--figure"]
        words[1:3] = [str(folder / word) for word in words[1:3]]
        assert run([*words, str(folder / "f.png")]) == 0
        assert json.loads(capsys.readouterr().out)["outcome"]["name"]
        assert (folder / "f.png").read_bytes().startswith(b"\x89PNG")
        assert run([*words, str(folder / "f.png")]) == 2
        assert "already exists" in capsys.readouterr().err
        assert run([*words, str(folder / "f.gif")]) == 2
        assert "--figure must end in .png" in capsys.readouterr().err
