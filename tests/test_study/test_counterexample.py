"""Claim 2.6 as software: a second model that every training condition confirms, and that says something else beyond."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pdae_sim import LinearLatentModel, Simulator, strategies
from pdae_sim.analysis.hypothesis_tests.multiple_testing import two_sample_tests
from pdae_sim.analysis.span import check_span
from pdae_sim.cli._app import run
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.errors import InputError
from pdae_sim.estimation._losses import Step, perturbation
from pdae_sim.estimation.counterexample import _displaced as displaced_pdae
from pdae_sim.estimation.counterexample import second_pdae
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.estimation.presets import DEFAULT
from pdae_sim.simulation.counterexample import _displaced as displaced
from pdae_sim.simulation.counterexample import second_simulator
from pdae_sim.simulation.departures import Do, Epistasis, MechanismChange, Saturation, VarianceIntervention
from pdae_sim.simulation.laws import LAWS
from pdae_sim.simulation.mixings import Affine, Fold, LinearTanh, Mixing, Orthonormal
from pdae_sim.simulation.observation import GaussianNoise, Noiseless, random_observation
from pdae_sim.study.counterexample import find_counterexample, most_visible_move, sample_pair
from pdae_sim.study.model_comparison import PairedSamples, compare_models
from theory.identifiability.converse import second_model

EPS = np.finfo(float).eps
TRAIN, TEST, WITNESS = ["ctrl", "A", "B"], "A+C", [0, 0, 1]
OBSERVED = {
    "none": {},
    "gaussian": {"snr": 2.0},
    "heteroscedastic": {"snr": 2.0},
    "dropout": {"rate": 0.3},
    "signal_dropout": {},
    "negative_binomial": {},
    "log_normal": {},
}


@st.composite
def planted(draw, *, departing=False):
    """A world with any law of the noises, a planted non-identified label with its witness, and a move."""
    problem = draw(strategies.span_problems(identified=False, kind="float"))
    latent = draw(
        strategies.latent_models(n_perturbations=len(problem.test), noise=strategies.noise_laws(), departing=departing)
    )
    noise = draw(st.sampled_from([Noiseless(), GaussianNoise(0.5)]))
    problem = replace(problem, train=tuple(dict.fromkeys(problem.train)))  # each condition is sampled once
    world = Simulator(latent, draw(strategies.mixings(latent.n_latents)), noise)
    numerators = st.lists(st.integers(-4, 4), min_size=latent.n_latents, max_size=latent.n_latents)
    return world, problem, np.array(draw(numerators.filter(any))) / 2


def second_of(world, problem, u):
    return second_simulator(world, u, witness=np.array(problem.witness, float), train=problem.train, test=problem.test)


def rounding(world, problem, u):
    """1,000 eps times the magnitudes that are summed on the way to z' (f has slopes of at most 1.3 · 1.4²)."""
    latent, labels = world.latent, np.abs(np.array([*problem.train, problem.test], float))
    response = np.abs(np.linalg.inv(np.eye(latent.n_latents) - latent.adjacency))
    blind = np.abs(np.eye(latent.n_latents) - latent.adjacency) @ np.outer(
        np.abs(u), np.abs(np.array(problem.witness, float))
    )
    return 1e3 * EPS * (1 + (response @ (np.abs(latent.targets) + blind) @ labels.T).max())


def a_world(*, departures=(), noise="gaussian", observation=None, targets=((1.5, 0, 0.5), (0, -1.5, 0.75))):
    latent = LinearLatentModel([[0, 0], [0.8, 0]], [1.0, 0.5], targets, noise, departures)
    return Simulator(latent, Simulator.random(latent, n_observed=4, rng=5).mixing, observation or Noiseless())


class TestSecondSimulator:
    @given(planted())
    def test_the_shifts_are_the_same_in_training_and_differ_by_u_at_the_test(self, case):
        world, problem, u = case
        second, tolerance = second_of(world, problem, u), rounding(*case)
        v, train = np.array(problem.witness, float), np.array(problem.train, float)
        W, W_second = world.latent.perturbation_matrix, second.latent.perturbation_matrix
        offset = u * (v @ np.array(problem.reference, float))
        assert np.allclose(train @ W_second.T - offset, train @ W.T, rtol=0, atol=tolerance)
        assert np.allclose(W_second @ problem.test - offset, W @ problem.test + u, rtol=0, atol=tolerance)
        means, means_second = ([f.decode(f.mean(label)[None]) for label in train] for f in (world, second))
        assert np.allclose(means_second, means, rtol=0, atol=3 * tolerance)

    @given(strategies.span_problems(identified=False, kind="fraction"))
    def test_in_exact_arithmetic_nothing_is_left(self, problem):
        """Not to rounding: over the rationals vᵀ l_e is one number, whatever the training label."""
        levels = {
            sum(Fraction(a) * Fraction(b) for a, b in zip(problem.witness, row, strict=True)) for row in problem.train
        }
        assert len(levels) == 1

    @settings(max_examples=40)
    @given(planted(), st.integers(0, 2**32 - 1))
    def test_the_same_rng_gives_the_same_cells_in_training_and_f_of_z_plus_u_beyond(self, case, seed):
        world, problem, u = case
        second = second_of(world, problem, u)
        conditions = [*problem.train, problem.test]
        own, other = (model.sample(conditions, 5, rng=seed) for model in (world, second))
        seen = own.data.environment < len(problem.train)
        tolerance = rounding(*case) * (1 + np.abs(own.truth.z).max())
        assert np.allclose(other.data.x[seen], own.data.x[seen], rtol=0, atol=3 * tolerance)
        noise = own.data.x - world.decode(own.truth.z)
        assert np.allclose(
            other.data.x[~seen], world.decode(own.truth.z[~seen] + u) + noise[~seen], rtol=0, atol=3 * tolerance
        )

    @settings(max_examples=40)
    @given(planted(departing=True))
    def test_a_departure_rides_along_or_is_refused(self, case):
        world, problem, u = case
        try:
            second = second_of(world, problem, u)
        except InputError:
            assert world.latent.breaks  # a world without a departure is never refused
            return
        own, other = (model.sample([*problem.train, problem.test], 4, rng=0) for model in (world, second))
        seen = own.data.environment < len(problem.train)
        slack = 1e-5 * (1 + np.abs(own.truth.z).max())  # what counts as untouched is a millionth
        assert np.allclose(other.data.x[seen], own.data.x[seen], rtol=0, atol=slack)

    @pytest.mark.parametrize("noise", LAWS)
    @pytest.mark.parametrize("observation", OBSERVED)
    def test_no_law_of_the_house_is_in_the_way(self, noise, observation):
        world = a_world(noise=noise)
        clean = world.sample(["ctrl"], 200, rng=0).data.x
        world = replace(world, observation=random_observation(observation, clean=clean, rng=0, **OBSERVED[observation]))
        second = second_simulator(world, [1.0, -0.5], witness=WITNESS, train=TRAIN, test=TEST)
        own, other = (model.sample([*TRAIN, TEST], 50, rng=1).data for model in (world, second))
        for e, same in enumerate((True, True, True, False)):
            assert np.allclose(own.samples(e), other.samples(e)) is same

    @pytest.mark.parametrize(
        ("departure", "train", "test", "holds"),
        [
            (Epistasis(np.ones((2, 3, 3))), [*TRAIN, "A+B"], "A+B+C", True),
            (VarianceIntervention(np.full((2, 3), 0.5)), TRAIN, TEST, True),
            (Saturation(1.0), TRAIN, TEST, True),  # at doses 0 and 1 nothing saturates
            (Saturation(1.0), TRAIN, "A+C:2", False),
            (Saturation(1.0), ["ctrl", "A+C:2", "B"], "A", False),
            (Do(np.array([[1.0, np.nan, np.nan], [np.nan] * 3])), TRAIN, TEST, False),
            (MechanismChange(np.full((2, 3), 0.7)), TRAIN, TEST, False),
        ],
    )
    def test_departures_that_leave_what_w_does_alone_ride_along_and_others_are_refused(
        self, departure, train, test, holds
    ):
        world = a_world(departures=(departure,))
        witness = check_span(world.labels(train), world.labels([test]))[0].witness
        arguments = {"witness": witness, "train": train, "test": test}
        if not holds:
            with pytest.raises(InputError, match=r"off by .* a departure changes what W does"):
                second_simulator(world, [1.0, 1.0], **arguments)
            return
        second = second_simulator(world, [1.0, 1.0], **arguments)
        own, other = (model.sample([*train, test], 20, rng=0) for model in (world, second))
        seen = own.data.environment < len(train)
        assert np.allclose(own.data.x[seen], other.data.x[seen])
        assert np.allclose(other.truth.z[~seen] - own.truth.z[~seen], 1.0)

    def test_without_a_control_the_offset_is_taken_back_by_f(self):
        world = a_world()
        (certificate,) = check_span(world.labels(["A", "B"]), world.labels(["A+B"]))
        second = second_simulator(world, [1.0, 2.0], witness=certificate.witness, train=["A", "B"], test="A+B")
        own, other = (model.sample(["A", "B", "A+B"], 30, rng=0) for model in (world, second))
        seen = own.data.environment < 2
        assert np.allclose(other.truth.z[seen] - own.truth.z[seen], [1.0, 2.0])
        assert np.allclose(other.data.x[seen], own.data.x[seen])
        assert np.allclose(second.encode(other.data.x), other.truth.z)
        assert np.allclose(world.encode(other.data.x[~seen]), own.truth.z[~seen] + [1.0, 2.0])
        assert np.allclose(second.log_density(own.data.x, "A"), world.log_density(own.data.x, "A"))

    def test_it_is_the_second_model_of_the_theory(self):
        world, labels, u = a_world(), [[0, 0, 0], [1, 1, 0], [0, 2, 1]], [1, -2]
        oracle = second_model([[Fraction(x) for x in row] for row in [[1, 0, 2], [3, 1, 0]]], labels, [0, 0, 1], u)
        v = np.array(oracle.witness.tolist(), float).ravel()
        latent = replace(world.latent, targets=world.latent.targets * 0)
        W = np.array([[1.0, 0, 2], [3, 1, 0]])
        latent = replace(latent, targets=W - latent.adjacency @ W)
        second = second_simulator(
            replace(world, latent=latent), np.array(u) * (v @ v), witness=v / (v @ v), train=labels, test=[0, 0, 1]
        )
        assert np.allclose(second.latent.perturbation_matrix, np.array(oracle.perturbation_matrix.tolist(), float))

    def test_it_samples_and_is_rebuilt_like_any_other(self):
        second = second_simulator(a_world(), [1.0, 0.0], witness=WITNESS, train=TRAIN, test=TEST)
        simulation = second.sample([TEST], 20, rng=0)
        again = Simulator.from_state(simulation.simulator).sample([TEST], 20, rng=0)
        assert np.array_equal(again.data.x, simulation.data.x)
        assert np.array_equal(simulation.truth.perturbation_matrix, second.latent.perturbation_matrix)
        assert np.allclose(simulation.truth.z - simulation.truth.z_base, second.mean(TEST))

    @pytest.mark.parametrize(
        ("move", "witness", "match"),
        [
            ([0.0, 0.0], WITNESS, "move must"),
            ([1.0], WITNESS, "move must"),
            ([1.0, np.nan], WITNESS, "move must be finite"),
            ([1.0, 0.0], [0, 0], "witness must"),
            ([1.0, 0.0], [1, 0, 1], "at 'A' it is off by 1: witness must"),
            ([1.0, 0.0], [0, 0, 2], r"at 'A\+C' it is off by 1"),
        ],
    )
    def test_what_is_no_second_model_is_refused(self, move, witness, match):
        with pytest.raises(InputError, match=match):
            second_simulator(a_world(), move, witness=witness, train=TRAIN, test=TEST)


@pytest.fixture(scope="module", params=[("ctrl", "A", "B"), ("A", "B")], ids=["control", "no control"])
def fitted(request):
    """A PDAE after a few steps, its data, and a label that they do not identify with its witness."""
    train, test = request.param, {3: "A+C", 2: "A+B"}[len(request.param)]
    data = a_world().sample(train, 80, rng=0).data
    model = PDAE(2, phases=DEFAULT.shortened(20).phases).fit(data)
    return model, data, test, check_span(data.labels, data.space.label(test)[None])[0].witness


class TestSecondPDAE:
    MOVE = np.array([1.0, -2.0])

    def second(self, fitted):
        model, _, test, witness = fitted
        return second_pdae(model, self.MOVE, witness=witness, test=test)

    def test_the_history_and_the_predictions_in_training_are_the_same(self, fitted):
        model, data, test, _ = fitted
        second, scale = self.second(fitted), data.x.std()
        assert second.history_ == model.history_
        assert second.history_ is not model.history_
        for condition in data.conditions:
            own, other = (m.sample(condition, 60, rng=3) for m in (model, second))
            assert np.allclose(own, other, rtol=0, atol=1e-4 * scale)  # float32 networks
        own, other = (m.sample(test, 60, rng=3) for m in (model, second))
        assert np.linalg.norm((own - other).mean(0)) > 0.1 * scale

    def test_the_prediction_beyond_is_that_of_latents_moved_by_u(self, fitted):
        model, data, test, _ = fitted
        second, l_t = self.second(fitted), data.space.label(test)
        z = model.encode(data.x) - (data.labels @ model.perturbation_matrix_.T)[data.environment]
        moved = model.decode(z + model.perturbation_matrix_ @ l_t + self.MOVE)
        z = second.encode(data.x) - (data.labels @ second.perturbation_matrix_.T)[data.environment]
        assert np.allclose(second.decode(z + second.perturbation_matrix_ @ l_t), moved, atol=1e-4 * data.x.std())

    def test_counterfactuals_between_training_conditions_are_the_same(self, fitted):
        model, data, _, _ = fitted
        source, target = data.conditions[-2:]
        x = data.samples(len(data.labels) - 2)
        own, other = (m.transport(x, source, target) for m in (model, self.second(fitted)))
        assert np.allclose(own, other, rtol=0, atol=1e-4 * data.x.std())

    def test_the_energy_loss_cannot_tell(self, fitted):
        model, data, _, witness = fitted
        cells = [model._scaling.forward(data.samples(e)) for e in range(len(data.labels))]
        x, labels = torch.tensor(np.stack(cells))[None], torch.tensor(data.labels, dtype=torch.float32)[None]
        wrong = displaced_pdae(model, self.MOVE, witness + np.eye(3)[0], 0 * self.MOVE)
        with torch.no_grad():
            losses = [
                float(perturbation(Step(m._network, x, labels, 1.0, []))) for m in (model, self.second(fitted), wrong)
            ]
        assert losses[1] == pytest.approx(losses[0], rel=1e-4)
        assert losses[2] > losses[0] * 1.01  # a v that is no witness is seen by the loss

    def test_it_is_saved_and_loaded_like_the_first(self, fitted, tmp_path):
        _, _, test, _ = fitted
        second = self.second(fitted)
        second.save(tmp_path / "second")
        again = PDAE.load(tmp_path / "second")
        assert np.array_equal(again.perturbation_matrix_, second.perturbation_matrix_)
        assert again.history_ == second.history_
        assert np.allclose(again.sample(test, 20, rng=0), second.sample(test, 20, rng=0), rtol=0, atol=1e-4)

    def test_the_first_is_left_as_it_is(self, fitted):
        model, data, _, _ = fitted
        before = model.perturbation_matrix_.copy(), model.encode(data.x), model._network.shift.clone()
        self.second(fitted)
        assert np.array_equal(model.perturbation_matrix_, before[0])
        assert np.array_equal(model.encode(data.x), before[1])
        assert torch.equal(model._network.shift, before[2])

    def test_what_is_no_witness_is_refused(self, fitted):
        model, _, test, witness = fitted
        for wrong in (2 * witness, witness + np.eye(3)[0], -witness):
            with pytest.raises(InputError, match="witness must have"):
                second_pdae(model, self.MOVE, witness=wrong, test=test)
        with pytest.raises(InputError, match="move must"):
            second_pdae(model, [0, 0], witness=witness, test=test)
        with pytest.raises(InputError, match="not fitted"):
            second_pdae(PDAE(2), [1, 0], witness=witness, test=test)


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
        model, data, test, _ = fitted
        pair = find_counterexample(model, test, effect=2.0, rng=0)
        assert set(pair.train) == set(data.conditions)
        assert np.linalg.norm(pair.move) == pytest.approx(2.0)
        found = compare_models(pair.sample(n=200, rng=0), margin=0.5, n_permutations=199, rng=0)
        assert found.differs
        assert not found.told_apart
        assert max(found.gaps.values()) < 1e-3  # float32 networks

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


def ran(capsys, *arguments):
    capsys.readouterr()
    status = run([str(a) for a in arguments])
    return status, *capsys.readouterr()


class TestCommand:
    def test_a_simulated_file_is_answered_with_two_of_its_kind(self, file, tmp_path, capsys):
        out = tmp_path / "o"
        how = ["--effect", "1.5", "--cells", "300", "--margin", "0.1", "--seed", "1", "--json"]
        arguments = ("twins", file, "--test", TEST, "--out", out, *how)
        status, said, log = ran(capsys, *arguments)
        payload = json.loads(said)
        assert (status, payload["holds"], payload["witness"]) == (0, True, {"C": 1.0})
        assert set(payload["files"]) == {"first", "second", "twins"}
        assert "comparing 300 cells" in log
        first, second = (Simulation.read(out / f"{name}.h5ad") for name in ("first", "second"))
        assert first.data.conditions == (*TRAIN, TEST)
        assert first.data.held_out.tolist() == [False] * 3 + [True]
        assert np.allclose(first.data.train.x, second.data.train.x)
        W, W_second = (s.truth.perturbation_matrix for s in (first, second))
        assert np.allclose(W_second - W, np.outer(payload["move"], [0, 0, 1]))
        assert (out / "twins.png").read_bytes()[:4] == b"\x89PNG"
        status, _, error = ran(capsys, *arguments)
        assert status == 2
        assert "already exists" in error

    def test_a_fitted_model_is_answered_with_a_second_one(self, file, tmp_path, capsys):
        model, out = tmp_path / "m", tmp_path / "o"
        fit = ("fit", file, "--out", model, "--latents", "2", "--steps", "10", "--quiet", "--json")
        assert ran(capsys, *fit)[0] == 0
        arguments = ("twins", file, "--model", model, "--test", TEST, "--cells", "60", "--out", out, "--json")
        status, said, _ = ran(capsys, *arguments, "--quiet")
        payload = json.loads(said)
        assert status == (0 if payload["holds"] else 1)
        first, second = PDAE.load(model), PDAE.load(payload["files"]["model"])
        moved = second.perturbation_matrix_ - first.perturbation_matrix_
        assert np.allclose(moved, np.outer(payload["move"], [0, 0, 1]))
        samples = [PerturbationData.read(out / f"{name}.h5ad") for name in ("first", "second")]
        assert np.allclose(*(s.train.x for s in samples), atol=1e-3)
        assert not np.allclose(*(s.test.x for s in samples), atol=1e-2)

    def test_a_check_that_fails_has_status_one(self, file, capsys):
        status, said, _ = ran(capsys, "twins", file, "--test", TEST, "--effect", "0.001", "--cells", "50", "--quiet")
        assert status == 1
        assert "ask for a larger effect" in said

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("--test", "A+B"), "'A+B' is identified, A+B = A + B − ctrl"),
            (("--test", "A+Q"), "unknown perturbation 'Q'"),
            (("--test", TEST, "--effect", "-1"), "effect must lie strictly between"),
        ],
    )
    def test_what_has_no_twin_is_refused_in_one_line(self, file, tmp_path, arguments, message, capsys):
        status, said, error = ran(capsys, "twins", file, *arguments, "--out", tmp_path / "o")
        assert (status, said) == (2, "")
        assert message in error
        assert error.count("\n") == 1
        assert not (tmp_path / "o").exists()

    def test_without_truth_a_model_is_asked_for(self, file, tmp_path, capsys):
        PerturbationData.read(file).write(tmp_path / "d.h5ad")
        status, _, error = ran(capsys, "twins", tmp_path / "d.h5ad", "--test", TEST)
        assert status == 2
        assert "--model" in error


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A simulated file with A+B and A+C held out."""
    path = tmp_path_factory.mktemp("twins") / "d.h5ad"
    held_out = [False] * 3 + [True] * 2
    a_world().sample([*TRAIN, "A+B", TEST], 80, rng=0, held_out=held_out).write(path)
    return path
