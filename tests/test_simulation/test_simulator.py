"""The simulator: shifts add up, streams stay apart, states rebuild it."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim import _random, strategies
from pdae_sim.errors import InputError
from pdae_sim.io._state import packed, unpacked
from pdae_sim.labels import LabelSpace
from pdae_sim.simulation.graphs import GRAPHS
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.mixings import condition_numbers
from pdae_sim.simulation.observation import GaussianNoise
from pdae_sim.simulation.simulator import Simulator

EPS = np.finfo(float).eps

seeds = st.integers(0, 2**32 - 1)


few = settings(max_examples=15)


def rng(seed=0):
    return np.random.default_rng(seed)


def world(**options):
    latent = LinearLatentModel.random(2, 3, rng=0, graph="chain")
    return Simulator.random(latent, n_observed=4, rng=0, **options)


class TestSimulator:
    @few
    @given(strategies.simulators(), st.data())
    def test_shifts_add_up_and_the_mixing_recovers_the_latents(self, simulator, data):
        K = simulator.latent.n_perturbations
        rows = data.draw(st.lists(strategies.labels(K, kind="float"), min_size=1, max_size=3, unique=True))
        drawn = simulator.sample(rows, 4, rng=0)
        W, labels = simulator.latent.perturbation_matrix, drawn.data.labels[drawn.data.environment]
        z = drawn.truth.z
        assert np.allclose(z, drawn.truth.z_base + labels @ W.T, rtol=1e-12, atol=1e-12)
        gap = np.abs(simulator.mixing.inverse(drawn.data.x) - z).max()
        assert gap < 1000 * EPS * condition_numbers(simulator.mixing, z).max() * (1 + np.abs(z).max())

    @pytest.mark.statistical
    def test_environment_means_are_those_of_the_model(self):
        simulator, n = world(), 20_000
        drawn = simulator.sample(["ctrl", "A", "A:0.5+C"], n, rng=3)
        Sigma = simulator.latent.covariance
        for e, label in enumerate(drawn.data.labels):
            z = drawn.truth.z[drawn.data.environment == e]
            gap = z.mean(0) - simulator.latent.perturbation_matrix @ label
            assert (np.abs(gap) < 5 * np.sqrt(np.diag(Sigma) / n)).all()

    @pytest.mark.statistical
    def test_environments_are_independent(self):
        drawn = world().sample(["ctrl", "A"], 20_000, rng=0)
        base = drawn.truth.z_base.reshape(2, -1, 2) @ drawn.truth.whitening.T
        correlations = base[0].T @ base[1] / base.shape[1]
        assert np.abs(correlations).max() < 5 / np.sqrt(base.shape[1])

    def test_names_counts_and_held_out(self):
        drawn = world(names=("P", "Q", "R")).sample([[0, 0, 0], [0, 1, 0]], [3, 5], rng=0, held_out=[False, True])
        assert drawn.data.conditions == ("ctrl", "Q")
        assert drawn.data.counts.tolist() == [3, 5]
        assert drawn.data.test.conditions == ("Q",)
        assert LabelSpace.lettered(2).names == ("A", "B")
        assert LabelSpace.lettered(27).names[26] == "P26"

    @few
    @given(strategies.simulators(observation=strategies.observations("none", "gaussian")))
    def test_its_state_goes_through_a_file_and_draws_the_same_cells(self, simulator):
        tree, arrays = packed(simulator.state())
        stored = {str(i): array for i, array in enumerate(arrays)}
        again = Simulator.from_state(unpacked(json.loads(json.dumps(tree)), stored))
        labels = [[0] * simulator.latent.n_perturbations]
        assert np.array_equal(again.sample(labels, 3, rng=1).data.x, simulator.sample(labels, 3, rng=1).data.x)

    def test_the_isotropic_form_gives_the_same_law(self):
        """Latents R z with the mixing f ∘ R⁻¹, R Σ Rᵀ = I, give the same x, cell by cell (theory, claim 1)."""
        simulator = world()
        drawn = simulator.sample(["ctrl", "A+B"], 50, rng=0)
        R, white = drawn.truth.whitening, drawn.truth.isotropic()
        assert np.allclose(simulator.mixing(white.z @ np.linalg.inv(R).T), drawn.data.x)
        shift = white.z - white.z_base
        assert np.allclose(shift[-1], white.perturbation_matrix @ [1, 1, 0])

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda s: s.sample(["ctrl", "D"], 5), "unknown perturbation 'D'"),
            (lambda s: s.sample(["ctrl", "A"], 0), "n must be a whole number ≥ 1"),
            (lambda s: s.sample(["A", "A+ctrl"], 5), "two environments have the same label"),
            (lambda s: s.sample([[1, 0]], 5), r"a label must have shape \(3,\)"),
            (lambda s: Simulator(s.latent, s.mixing, names=("A",)), "names must name all 3 perturbations; received 1"),
            (lambda s: Simulator.from_state({}), "the file holds no simulator"),
        ],
    )
    def test_bad_input(self, call, message):
        with pytest.raises(InputError, match=message):
            call(world())


class TestConditions:
    """What is asked of a simulator is a list of conditions."""

    SIMULATOR = Simulator.random(LinearLatentModel.random(2, 2, rng=0), n_observed=3, rng=0)

    @pytest.mark.parametrize("text", ["A+B", "AB", "ctrl"])
    def test_a_text_alone_is_not_taken_apart(self, text):
        for ask in (lambda: self.SIMULATOR.sample(text, 5), lambda: self.SIMULATOR.assumptions(text)):
            with pytest.raises(InputError, match="conditions must be several, in a list"):
                ask()

    def test_none_at_all_are_refused(self):
        for ask in (lambda: self.SIMULATOR.assumptions([]), lambda: self.SIMULATOR.verdicts(["A"], [], 10)):
            with pytest.raises(InputError, match="train must hold a condition at least"):
                ask()


class TestStreams:
    def cells(self, drawn, condition):
        e = drawn.data.conditions.index(condition)
        return drawn.data.samples(e), drawn.truth.z[drawn.data.environment == e]

    @pytest.mark.parametrize(
        ("conditions", "n"),
        [(["ctrl", "A", "A+B"], 5), (["C", "A+B", "B:0.5", "ctrl", "A"], 5), (["A+B", "ctrl", "A"], [400, 300, 50])],
        ids=["again", "added and reordered", "more cells"],
    )
    def test_cells_already_drawn_stay(self, conditions, n):
        simulator = world(observation=GaussianNoise(0.2))
        before, after = simulator.sample(["ctrl", "A", "A+B"], 5, rng=11), simulator.sample(conditions, n, rng=11)
        for condition in before.data.conditions:
            for old, new in zip(self.cells(before, condition), self.cells(after, condition), strict=True):
                assert np.allclose(new[:5], old, rtol=1e-13, atol=1e-13)

    def test_environments_and_seeds_differ(self):
        """The negative control: cells that stay put must not stay put because they never move."""
        simulator = world()
        first = simulator.sample(["ctrl", "A"], 5, rng=0).truth.z_base
        assert not np.isclose(first[:5], first[5:]).any()
        assert not np.isclose(first, simulator.sample(["ctrl", "A"], 5, rng=1).truth.z_base).any()

    def test_noise_does_not_move_the_latents(self):
        quiet, loud = (world(observation=GaussianNoise(s)).sample(["A"], 5, rng=0).truth.z for s in (0.0, 9.0))
        assert np.array_equal(quiet, loud)

    def test_a_further_perturbation_leaves_the_base_of_the_others(self):
        few, many = (
            Simulator.random(LinearLatentModel.random(2, K, rng=0), n_observed=4, rng=0).sample(["ctrl", "B"], 5, rng=0)
            for K in (2, 3)
        )
        assert np.array_equal(few.truth.z_base, many.truth.z_base)

    def test_the_kind_of_graph_changes_neither_mixing_nor_targets(self):
        models = [LinearLatentModel.random(3, 4, graph=graph, rng=5) for graph in GRAPHS]
        first, *others = (Simulator.random(model, n_observed=5, rng=5).mixing.state() for model in models)
        assert len(others) > 5
        for other in others:
            np.testing.assert_equal(other, first)
        assert len({model.targets.tobytes() for model in models}) == 1
        assert len({model.adjacency.tobytes() for model in models}) > 2

    def test_the_kind_of_graph_changes_no_common_weight(self):
        """Every graph shares the magnitudes and signs of the pairs it joins."""
        complete, chain = (LinearLatentModel.random(4, 1, graph=g, rng=5).adjacency for g in ("complete", "chain"))
        common = (complete != 0) & (chain != 0)
        assert common.any()
        assert np.array_equal(complete[common], chain[common])

    def test_one_seed_one_world(self):
        first, second = (world().sample(["ctrl", "A"], 5, rng=2) for _ in range(2))
        assert np.array_equal(first.data.x, second.data.x)

    @pytest.mark.parametrize("kind", [int, np.random.default_rng, np.random.SeedSequence, np.random.PCG64])
    def test_anything_that_default_rng_takes(self, kind):
        first, second = (world().sample(["A"], 3, rng=kind(4)).data.x for _ in range(2))
        assert np.array_equal(first, second)

    def test_one_generator_draws_anew_each_time(self):
        generator = rng()
        assert not np.isclose(*(world().sample(["A"], 3, rng=generator).data.x for _ in range(2))).any()

    def test_no_global_state_is_read_or_set(self):
        before = np.random.get_state()  # noqa: NPY002
        drawn = world(observation=GaussianNoise(0.1)).sample(["A"], 3, rng=0).data.x
        after = np.random.get_state()  # noqa: NPY002
        assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        np.random.seed(123)  # noqa: NPY002
        assert np.array_equal(world(observation=GaussianNoise(0.1)).sample(["A"], 3, rng=0).data.x, drawn)
        np.random.set_state(before)  # noqa: NPY002

    def test_equal_paths_give_equal_streams_and_others_do_not(self):
        root = _random.seed_sequence(0)
        names = [("a",), ("b",), ("a", "b"), ("ab",), ("a", 1), ()]
        draws = [_random.stream(root, *path).random() for path in names]
        assert len(set(draws)) == len(names)
        assert draws == [_random.stream(_random.seed_sequence(0), *path).random() for path in names]
        assert 0 <= _random.torch_seed(root, "a") < 2**63
