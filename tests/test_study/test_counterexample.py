"""Claim 2.6 as software: a second model that every training condition confirms, and that says something else beyond."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pdae_sim import LinearLatentModel, Simulator, strategies
from pdae_sim.analysis.hypothesis_tests.multiple_testing import two_sample_tests
from pdae_sim.errors import InputError
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.presets import DEFAULT
from pdae_sim.labels import LabelSpace
from pdae_sim.simulation.counterexample import _displaced as displaced
from pdae_sim.simulation.laws import LAWS
from pdae_sim.simulation.mixings import Affine, Fold, LinearTanh, Mixing, Orthonormal
from pdae_sim.simulation.observation import GaussianNoise, Noiseless
from pdae_sim.study import counterexample
from pdae_sim.study.counterexample import find_counterexample, most_visible_move, sample_pair
from pdae_sim.study.model_comparison import PairedSamples, compare_models
from tests.counterexamples import TEST, TRAIN, a_world


@pytest.fixture(scope="module")
def fitted():
    """A PDAE after a few steps, and its data."""
    data = a_world().sample(TRAIN, 80, rng=0).data
    return PDAE(2, phases=DEFAULT.shortened(5).phases).fit(data), data


class TestChoiceOfMove:
    @settings(max_examples=25)
    @given(strategies.covariances(3), st.sampled_from([0.25, 1.0, 3.0]), st.integers(0, 99))
    def test_its_length_is_the_effect_in_standard_deviations(self, covariance, effect, seed):
        W = np.random.default_rng(seed).normal(size=(3, 3))
        world = Simulator(LinearLatentModel.from_covariance(covariance, W), Mixing(()))
        for direction in (None, [1.0, 2.0, -1.0]):
            u = find_counterexample(world, TEST, train=TRAIN, effect=effect, direction=direction, rng=0).move
            assert np.sqrt(u @ np.linalg.solve(covariance, u)) == pytest.approx(effect, rel=1e-9)
        assert np.allclose(np.cross(u, [1.0, 2.0, -1.0]), 0, atol=1e-9 * effect)

    @given(strategies.covariances(3), st.integers(0, 99))
    def test_of_a_linear_f_it_moves_the_mean_by_the_top_singular_value(self, covariance, seed):
        """Oracle: max ‖M u‖ over uᵀ Σ⁻¹ u = 1 is the largest singular value of M Σ^½."""
        rng = np.random.default_rng(seed)
        M = rng.normal(size=(5, 3))
        world = Simulator(LinearLatentModel.from_covariance(covariance, np.eye(3)), Mixing((Affine(M, np.zeros(5)),)))
        u = most_visible_move(world, TEST, 2.0, rng=0)
        largest = np.sqrt(np.linalg.eigvalsh(M @ covariance @ M.T)[-1])
        assert np.linalg.norm(M @ u) == pytest.approx(2 * largest, rel=1e-6)

    def test_what_is_even_in_a_direction_is_no_slope_there(self, monkeypatch):
        """f(z) = (z_1 / 2, z_2²) at latents that lie alike on both sides of zero: the mean has no slope in z_2."""
        half = np.random.default_rng(0).normal(size=(500, 2))
        latents = np.vstack([half, -half])
        model = SimpleNamespace(
            space=LabelSpace(("A",)),
            root=np.eye(2),
            visible=lambda *_: (lambda z: np.column_stack([z[:, 0] / 2, z[:, 1] ** 2]), latents),
        )
        monkeypatch.setattr(counterexample, "_adapted", lambda _: model)
        assert np.abs(most_visible_move(a_world(), "A", 1.0, rng=0)) == pytest.approx([1.0, 0.0], abs=1e-6)

    def test_of_a_curved_f_no_other_direction_moves_the_mean_much_more(self):
        world = a_world()
        z = world.latent.draw(2000, world.space.label(TEST), rng=np.random.default_rng(1))[1]
        R = np.linalg.cholesky(world.latent.covariance)

        def moved(u):
            return np.linalg.norm((world.decode(z + u) - world.decode(z)).mean(0))

        circle = [R @ [np.cos(a), np.sin(a)] for a in np.linspace(0, 2 * np.pi, 60)]
        found = moved(most_visible_move(world, TEST, 1.0, rng=0))
        assert found > 0.85 * max(map(moved, circle))
        assert found > 1.5 * min(map(moved, circle))


@pytest.fixture(scope="module")
def pair():
    return find_counterexample(a_world(), TEST, train=TRAIN, effect=1.5, rng=0)


@pytest.fixture(scope="module")
def found(pair):
    return compare_models(pair.sample(n=600, rng=1), margin=0.05, rng=2, n_permutations=199)


class TestComparison:
    def test_twins_are_alike_in_training_and_apart_at_the_test(self, found):
        assert found.holds
        assert not found.told_apart
        assert not found.unmatched
        assert found.differs
        assert max(found.gaps.values()) < 1e-12
        limit = max(test.upper for test in found.equivalence.values())
        assert found.distance.interval[0] > 2 * limit
        assert "no test tells the two models apart at any of 3 training conditions" in found.in_words()
        assert f"at {TEST} their energy distance is" in found.in_words()
        assert json.loads(json.dumps(found.to_json()))["test"]["condition"] == TEST

    def test_a_v_that_is_no_witness_is_told_apart_in_training(self, pair):
        """Negative control: the same u with v = e_A + e_C moves A, which was measured."""
        wrong = displaced(pair.first, pair.move, np.array([1.0, 0, 1.0]), np.zeros(2))
        cells = sample_pair(pair.first, wrong, (*pair.train, pair.test), n=400, rng=1)
        found = compare_models(cells, n_permutations=199, rng=0)
        assert found.told_apart == ("A",)
        assert "A" in found.unmatched
        assert not found.holds
        assert found.gaps["A"] > 0.1 > found.gaps["B"]
        assert "told apart at training conditions A" in found.in_words()

    @pytest.mark.parametrize("margin", [0.0, -0.5])
    def test_a_margin_that_nothing_can_meet_is_refused(self, pair, margin):
        with pytest.raises(InputError, match="margin must lie strictly between"):
            compare_models(pair.sample(n=40, rng=1), margin=margin)

    def test_a_move_that_f_cannot_show_makes_no_difference(self):
        """Where f is even, the moved law is another only if it is not the mirror image (theory: injective)."""
        latent = LinearLatentModel([[0.0]], [1.0], [[0.0, -1.0]])
        world = Simulator(latent, Mixing((Fold(0.0, 0.1, 1),)))
        hidden = find_counterexample(world, "B", train=["ctrl", "A"], effect=2.0, direction=[1.0])
        seen = find_counterexample(world, "B", train=["ctrl", "A"], effect=2.0, direction=[-1.0])
        judged = [
            compare_models(each.sample(n=300, rng=0), margin=0.2, n_permutations=199, rng=0) for each in (hidden, seen)
        ]
        assert not judged[0].differs
        assert not judged[0].holds
        assert "ask for a larger effect" in judged[0].in_words()
        assert judged[1].differs

    def test_too_few_cells_show_no_match(self, pair):
        found = compare_models(pair.sample(n=40, rng=0), n_permutations=99, rng=0)
        assert found.unmatched
        assert not found.holds
        assert "draw more cells" in found.in_words()

    def test_holm_is_given_enough_relabellings(self, pair):
        found = compare_models(pair.sample(n=40, rng=0), level=0.002, n_permutations=99, rng=0)
        assert found.tests.tests["A"].n_permutations >= 3 / 0.002

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"test": "A+B"}, r"'A\+B' is identified, A\+B = A \+ B − ctrl"),
            ({"test": "A"}, "'A' is identified"),
            ({"test": "Z"}, "unknown perturbation 'Z'"),
            ({"train": None}, "train must name"),
            ({"effect": 0.0}, "effect must"),
            ({"direction": [0.0, 0.0]}, "direction must"),
        ],
    )
    def test_what_has_no_twin_is_refused(self, change, match):
        with pytest.raises(InputError, match=match):
            find_counterexample(a_world(), **{"test": TEST, "train": TRAIN, **change})

    def test_a_fitted_model_has_twins_too(self, fitted):
        model, data = fitted
        pair = find_counterexample(model, TEST, effect=2.0, rng=0)
        assert set(pair.train) == set(data.conditions)
        assert np.linalg.norm(pair.move) == pytest.approx(2.0)
        found = compare_models(pair.sample(n=200, rng=0), margin=0.5, n_permutations=199, rng=0)
        assert found.differs
        assert not found.told_apart
        assert max(found.gaps.values()) < 1e-3  # float32 networks

    def test_rows_may_come_twice_if_either_model_draws_with_replacement(self, fitted):
        model, _ = fitted
        sides = [(a_world(), a_world()), (a_world(), model), (model, a_world()), (model, model)]
        assert [sample_pair(*pair, ["A"], n=4, rng=0).resampled for pair in sides] == [False, True, True, True]

    def test_no_draw_is_on_both_sides(self):
        """Draws with replacement repeat cells: of each the first is kept, on one side only."""
        x = np.random.default_rng(0).integers(0, 50, size=(400, 1)).astype(float)
        left, right = PairedSamples({"A": x, "B": x}, {"A": x, "B": x}, resampled=True).apart("A")
        assert len(np.unique(left)) == len(left)
        assert len(np.unique(right)) == len(right)
        assert not np.intersect1d(left, right).size
        assert len(left) + len(right) == len(np.unique(x))

    def test_counts_that_are_equal_are_cells_of_their_own(self):
        """Without the repeats two samples of one law of counts would look like two laws."""
        rng = np.random.default_rng(0)
        first, second = ({c: rng.poisson(1.0, (1000, 2)).astype(float) for c in ("ctrl", "A", "B")} for _ in range(2))
        found = compare_models(PairedSamples(first, second), n_permutations=199, rng=0)
        assert not found.told_apart
        assert not found.differs
        assert compare_models(PairedSamples(first, second, resampled=True), n_permutations=199, rng=0).told_apart

    @pytest.mark.slow
    @pytest.mark.statistical
    def test_p_values_in_training_are_calibrated_over_many_worlds(self):
        """Any law, one or two latents, with and without control and noise: exact binomial 99 % bands."""
        p_values = np.array([null_p_values(seed) for seed in range(2500)])
        for level in (0.01, 0.05, 0.1):
            low, high = stats.binom.interval(0.99, p_values.size, level)
            assert low <= (p_values <= level).sum() <= high
            anywhere = (p_values.min(1) * p_values.shape[1] <= level).sum()
            assert anywhere <= stats.binom.ppf(0.995, len(p_values), level)


def null_p_values(seed):
    """The p-values at the three training conditions of a small random world; 199 relabellings, 40 cells a side."""
    rng = np.random.default_rng(seed)
    d = 1 + seed % 2
    latent = LinearLatentModel.random(d, 4, noise=list(LAWS)[seed % 5], targets=rng.normal(size=(d, 4)), rng=seed)
    mixing = Mixing((Orthonormal(np.eye(2)[:, :d], rng.normal(size=2)), LinearTanh(0.3)))
    world = Simulator(latent, mixing, GaussianNoise(0.3) if seed % 3 == 0 else Noiseless())
    train = ["ctrl", "A", "B"] if seed % 4 else ["A", "B", "A+B"]
    test = "A+C" if seed % 4 else "C"
    pair = find_counterexample(world, test, train=train, effect=rng.uniform(0.5, 3), direction=rng.normal(size=d))
    cells = pair.sample(n=40, rng=seed)
    sides = [{c: cells.apart(c)[side] for c in cells.train} for side in (0, 1)]
    return list(two_sample_tests(*sides, n_permutations=199, rng=seed).p_values.values())
