"""The second simulator of claim 2.6: the same laws in training, another beyond."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim import Simulator, strategies
from pdae_sim.analysis.span import check_span
from pdae_sim.errors import InputError
from pdae_sim.simulation.counterexample import second_simulator
from pdae_sim.simulation.departures import Do, Epistasis, MechanismChange, Saturation, VarianceIntervention
from pdae_sim.simulation.laws import LAWS
from pdae_sim.simulation.observation import GaussianNoise, Noiseless, random_observation
from tests.counterexamples import TEST, TRAIN, WITNESS, a_world
from theory.identifiability.converse import second_model

EPS = np.finfo(float).eps


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

    @settings(max_examples=20)
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

    @settings(max_examples=20)
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
