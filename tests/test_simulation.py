"""Worlds against closed forms: exact algebra, an independent simulator, sampled moments; streams that stay apart."""

import json

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim import _random, strategies
from pdae_sim._checks import InputError
from pdae_sim.simulation.graphs import GRAPHS, adjacency_matrix, random_dag, signed_weights
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.mixings import (
    ACTIVATIONS,
    LinearTanh,
    Mixing,
    Orthonormal,
    SmoothLeaky,
    mixing_from_state,
    mixing_state,
    random_mixing,
)
from pdae_sim.simulation.observation import GaussianNoise, Noiseless, observation_from_state, observation_state
from pdae_sim.simulation.simulator import Simulator, default_names
from theory import latent_causal

EPS = np.finfo(float).eps
seeds = st.integers(0, 2**32 - 1)


def rng(seed=0):
    return np.random.default_rng(seed)


class TestGraphs:
    @pytest.mark.parametrize("kind", GRAPHS)
    @given(n=st.integers(1, 9), seed=seeds)
    def test_every_graph_is_acyclic(self, kind, n, seed):
        graph = random_dag(kind, n, rng=rng(seed))
        assert nx.is_directed_acyclic_graph(graph)
        assert sorted(graph.nodes) == list(range(n))

    @pytest.mark.parametrize(("kind", "edges"), [("chain", 6), ("complete", 21), ("empty", 0)])
    def test_the_number_of_edges(self, kind, edges):
        assert random_dag(kind, 7, rng=rng()).number_of_edges() == edges

    def test_the_causal_order_is_random(self):
        orders = {tuple(nx.topological_sort(random_dag("chain", 4, rng=rng(seed)))) for seed in range(50)}
        assert len(orders) > 15

    @pytest.mark.statistical
    def test_the_degree_is_the_expected_number_of_neighbours(self):
        n, degree, draws = 10, 3.0, 400
        edges = np.array(
            [random_dag("erdos_renyi", n, rng=rng(s), degree=degree).number_of_edges() for s in range(draws)]
        )
        assert abs(2 * edges.mean() / n - degree) < 5 * 2 * edges.std() / n / np.sqrt(draws)

    @given(st.sampled_from(GRAPHS), st.integers(1, 6), seeds)
    def test_weights_have_magnitudes_in_their_range_and_both_signs_occur(self, kind, n, seed):
        graph = signed_weights(random_dag(kind, n, rng=rng(seed)), rng=rng(seed), low=0.5, high=1.5)
        weights = np.array([w for *_, w in graph.edges.data("weight")])
        assert ((np.abs(weights) >= 0.5) & (np.abs(weights) <= 1.5)).all()

    def test_adding_an_edge_leaves_the_other_weights(self):
        graph = nx.DiGraph([(0, 1), (1, 2)])
        more = nx.DiGraph([(0, 1), (1, 2), (0, 2)])
        before, after = (adjacency_matrix(signed_weights(g, rng=rng(3))) for g in (graph, more))
        assert after[2, 0] != 0
        assert np.array_equal(np.where(after == after[2, 0], 0, after), before)

    def test_an_entry_is_the_effect_of_its_column_on_its_row(self):
        graph = nx.DiGraph()
        graph.add_edge("cause", "effect", weight=0.7)
        assert adjacency_matrix(graph).tolist() == [[0, 0], [0.7, 0]]

    def test_a_cycle_an_undirected_graph_and_an_unknown_kind_are_refused(self):
        for graph in (nx.DiGraph([(0, 1), (1, 0)]), nx.Graph([(0, 1)])):
            with pytest.raises(InputError, match="directed acyclic graph"):
                adjacency_matrix(graph)
        with pytest.raises(
            InputError, match="graph must be one of erdos_renyi, chain, complete, empty; received 'tree'"
        ):
            random_dag("tree", 3, rng=rng())


class TestLatentModel:
    @settings(max_examples=25)
    @given(strategies.latent_models())
    def test_theory_agrees_exactly(self, model):
        """Dyadic entries: W and Σ of `theory` are exact, ours differ by the rounding of a triangular solve."""
        W = latent_causal.perturbation_matrix(model.adjacency.tolist(), model.targets.tolist())
        Sigma = latent_causal.covariance(model.adjacency.tolist(), model.noise_variances.tolist())
        size = 1e-13 * (1 + float(max(abs(v) for v in (*W, *Sigma))))
        assert np.allclose(model.perturbation_matrix, np.array(W.tolist(), float), rtol=0, atol=size)
        assert np.allclose(model.covariance, np.array(Sigma.tolist(), float), rtol=0, atol=size)

    @settings(max_examples=25)
    @given(strategies.latent_models())
    def test_sempler_agrees_on_every_shift_intervention(self, model):
        sempler = pytest.importorskip("sempler")
        population = sempler.LGANM(model.adjacency.T, np.zeros(model.n_latents), model.noise_variances)
        for S_k, W_k in zip(model.targets.T, model.perturbation_matrix.T, strict=True):
            shifted = population.sample(population=True, shift_interventions={j: (s, 0) for j, s in enumerate(S_k)})
            assert np.allclose(shifted.mean, W_k)
            assert np.allclose(shifted.covariance, model.covariance)

    @pytest.mark.statistical
    @pytest.mark.parametrize("graph", GRAPHS)
    def test_sampled_moments(self, graph):
        """Var of a sample covariance of Gaussians: (Σ_ij² + Σ_ii Σ_jj) / n."""
        A = LinearLatentModel.random(4, 1, graph=graph, rng=5).adjacency
        model, n = LinearLatentModel(A, [0.25, 1.0, 4.0, 9.0], np.zeros((4, 1))), 20_000
        z, Sigma = model.sample_base(n, rng=rng(1)), model.covariance
        variance = np.outer(np.diag(Sigma), np.diag(Sigma))
        assert (np.abs(z.mean(0)) < 5 * np.sqrt(np.diag(Sigma) / n)).all()
        assert (np.abs(np.cov(z.T) - Sigma) < 5 * np.sqrt((Sigma**2 + variance) / n)).all()

    @given(strategies.latent_models())
    def test_the_isotropic_form_is_whitened(self, model):
        white, R = model.isotropic(), model.whitening
        size = 1e-13 * np.linalg.cond(model.covariance)
        assert np.array_equal(white.covariance, np.eye(model.n_latents))
        assert np.allclose(R @ model.covariance @ R.T, np.eye(len(R)), atol=size)
        assert np.allclose(R.T @ R, np.linalg.inv(model.covariance), atol=size * np.abs(R).max() ** 2)
        assert np.allclose(white.perturbation_matrix, R @ model.perturbation_matrix)

    @given(seeds, st.sampled_from(["atomic", "multi"]), st.integers(1, 5), st.integers(1, 7))
    def test_targets(self, seed, kind, d, K):
        S = LinearLatentModel.random(d, K, targets=kind, shift=2.0, rng=seed).targets
        hit = (S != 0).sum(0)
        assert (hit == 1).all() if kind == "atomic" else ((hit >= 1) & (hit <= 3)).all()
        sizes = np.abs(S[S != 0])
        assert (sizes == 2.0).all() if kind == "atomic" else ((sizes >= 1.0) & (sizes <= 3.0)).all()

    def test_atomic_targets_reach_every_latent(self):
        assert np.linalg.matrix_rank(LinearLatentModel.random(4, 4, rng=0).perturbation_matrix) == 4

    def test_a_networkx_graph_with_and_without_weights(self):
        graph = nx.DiGraph([(0, 1), (1, 2)])
        drawn = LinearLatentModel.random(3, 1, graph=graph, rng=0).adjacency
        assert (drawn != 0).tolist() == [[False] * 3, [True, False, False], [False, True, False]]
        assert 0.5 <= abs(drawn[1, 0]) <= 1.5
        nx.set_edge_attributes(graph, 0.25, "weight")
        assert LinearLatentModel.random(3, 1, graph=graph, rng=0).adjacency[1, 0] == 0.25
        assert LinearLatentModel.from_graph(graph, targets=np.eye(3)).adjacency[2, 1] == 0.25

    @given(strategies.latent_models())
    def test_its_graph_is_that_of_the_adjacency(self, model):
        assert np.array_equal(adjacency_matrix(model.graph), model.adjacency)

    def test_it_does_not_follow_the_callers_array(self):
        A = np.array([[0.0, 0.0], [1.0, 0.0]])
        model = LinearLatentModel(A, [1, 1], [[1], [0]])
        A[0, 1] = 5
        assert model.adjacency[0, 1] == 0

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (([[0, 1], [1, 0]], [1, 1], np.eye(2)), "adjacency must be that of an acyclic graph"),
            (([[1.0]], [1], [[1]]), "adjacency must be that of an acyclic graph"),
            (([[0, 0], [1, 0]], [1, 0], np.eye(2)), "noise_variances must be positive; received 0"),
            (([[0, 0], [1, 0]], [1], np.eye(2)), "disagree"),
            (([[0, 0], [1, 0]], [1, 1], np.eye(3)), "disagree"),
            (([[0, np.nan], [1, 0]], [1, 1], np.eye(2)), "adjacency must be finite"),
        ],
    )
    def test_bad_fields(self, fields, message):
        with pytest.raises(InputError, match=message):
            LinearLatentModel(*fields)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_latents": 0}, "n_latents must be a whole number ≥ 1"),
            ({"graph": "tree"}, "graph must be one of"),
            ({"targets": "all"}, "targets must be one of atomic, multi"),
            ({"graph": nx.DiGraph([(0, 1)])}, "graph must have n_latents = 3 nodes; received 2"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(InputError, match=message):
            LinearLatentModel.random(**{"n_latents": 3, "n_perturbations": 2, "rng": 0} | options)


everywhere = pytest.mark.parametrize("far", [1e-3, 1.0, 1e3, 1e6])


class TestMixings:
    @everywhere
    @pytest.mark.parametrize("activation", list(ACTIVATIONS))
    @pytest.mark.parametrize("depth", [0, 1, 3])
    @pytest.mark.parametrize("n_observed", [3, 8])
    def test_every_member_inverts_to_ten_digits(self, activation, depth, n_observed, far):
        mixing = random_mixing(3, n_observed, rng=rng(depth), activation=activation, depth=depth)
        z = far * rng(1).normal(size=(200, 3))
        gap = np.linalg.norm(mixing.inverse(mixing(z)) - z, axis=1)
        assert (gap < 1e-10 * np.maximum(np.linalg.norm(z, axis=1), 1)).all()

    @everywhere
    @pytest.mark.parametrize("activation", ["tanh", "leaky"])
    @pytest.mark.parametrize("condition", [1.01, 10, 1e4, 1e8])
    def test_a_hard_member_inverts_to_its_condition(self, activation, condition, far):
        """Tolerance c · eps · cond, c = 100 for some ten operations on ten coordinates."""
        mixing = random_mixing(3, 6, rng=rng(), activation=activation, condition=condition)
        z = far * rng(1).normal(size=(200, 3))
        gap = np.linalg.norm(mixing.inverse(mixing(z)) - z, axis=1)
        assert (gap < 100 * EPS * condition * np.maximum(np.linalg.norm(z, axis=1), 1)).all()

    @given(st.integers(1, 4).flatmap(strategies.mixings), seeds)
    def test_drawn_mixings_invert(self, mixing, seed):
        z = rng(seed).normal(size=(20, mixing.layers[0].Q.shape[1]))
        gap = np.abs(mixing.inverse(mixing(z)) - z).max()
        assert gap < 1000 * EPS * mixing.condition_number * (1 + np.abs(z).max())

    @pytest.mark.parametrize(
        "layer", [LinearTanh(0.3), LinearTanh(1e-6), LinearTanh(50.0), SmoothLeaky(0.25), SmoothLeaky(1.0)]
    )
    @given(u=st.floats(-1e8, 1e8))
    def test_layers_invert_and_increase(self, layer, u):
        x, low = layer.forward(np.array(u)), layer.slopes[0]
        assert abs(layer.inverse(x) - u) <= 50 * EPS * max(abs(u), 1) / low
        assert layer.forward(np.array(u + 1)) > x

    @pytest.mark.parametrize("activation", ["tanh", "leaky"])
    @pytest.mark.parametrize("condition", [None, 3.0, 50.0])
    def test_the_bound_on_the_condition_number_holds(self, activation, condition):
        """Jacobians by central differences, error some h² + eps / h of their size."""
        mixing = random_mixing(3, 5, rng=rng(2), activation=activation, condition=condition)
        if condition is not None:
            assert mixing.condition_number == pytest.approx(condition)
        z, h = 2 * rng(3).normal(size=(300, 3)), 1e-5
        J = np.stack([(mixing(z + h * e) - mixing(z - h * e)) / (2 * h) for e in np.eye(3)], axis=-1)
        s = np.linalg.svd(J, compute_uv=False)
        assert ((s[:, 0] / s[:, -1]) <= mixing.condition_number * (1 + 1e-6)).all()
        assert (s[:, 0] / s[:, -1]).max() > 1.05

    def test_slopes_reach_their_bounds(self):
        """The bound is attained: at the origin and far out for tanh, on either side for the leaky rectifier."""
        h = 1e-4
        for layer, steep, flat in ((LinearTanh(0.3), 0.0, 40.0), (SmoothLeaky(0.25), 1e4, -1e4)):
            at = [(layer.forward(np.array(u + h)) - layer.forward(np.array(u - h))) / (2 * h) for u in (flat, steep)]
            assert np.allclose(at, layer.slopes, rtol=1e-6)

    def test_a_linear_mixing_is_a_scaled_isometry(self):
        mixing = random_mixing(2, 5, rng=rng(), activation="linear", gain=2.0)
        z = rng(1).normal(size=(2, 2))
        assert np.linalg.norm(np.diff(mixing(z), axis=0)) == pytest.approx(2 * np.linalg.norm(np.diff(z, axis=0)))
        assert mixing.condition_number == 1

    @given(st.integers(1, 3).flatmap(strategies.mixings))
    def test_its_state_is_json_and_rebuilds_it_exactly(self, mixing):
        again = mixing_from_state(json.loads(json.dumps(mixing_state(mixing))))
        z = rng().normal(size=(4, mixing.layers[0].Q.shape[1]))
        assert np.array_equal(again(z), mixing(z))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_observed": 2}, "n_observed must be at least n_latents = 3"),
            ({"activation": "relu"}, "activation must be one of tanh, leaky, linear"),
            ({"condition": 1.0}, "condition must be greater than 1"),
            ({"depth": -1}, "depth must be a whole number ≥ 0"),
            ({"gain": 0.0}, "gain be positive"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(InputError, match=message):
            random_mixing(**{"n_latents": 3, "n_observed": 5, "rng": rng()} | options)

    def test_a_map_that_is_not_orthonormal_is_refused(self):
        with pytest.raises(InputError, match="orthonormal columns"):
            Orthonormal(np.ones((2, 2)), np.zeros(2))


class TestObservation:
    @pytest.mark.statistical
    def test_noise_has_its_moments(self):
        clean, scale = np.tile([[1.0, -2.0]], (40_000, 1)), 0.5
        noise = GaussianNoise(scale).sample(clean, rng=rng()) - clean
        n = len(noise)
        assert (np.abs(noise.mean(0)) < 5 * scale / np.sqrt(n)).all()
        assert (np.abs(noise.var(0) - scale**2) < 5 * scale**2 * np.sqrt(2 / n)).all()
        assert abs((noise[:, 0] * noise[:, 1]).mean()) < 5 * scale**2 / np.sqrt(n)

    def test_noiseless_is_the_identity(self):
        clean = rng().normal(size=(3, 2))
        assert np.array_equal(Noiseless().sample(clean, rng=rng()), clean)

    @pytest.mark.parametrize("law", [Noiseless(), GaussianNoise(0.3)])
    def test_its_state_rebuilds_it(self, law):
        assert observation_from_state(json.loads(json.dumps(observation_state(law)))) == law

    def test_a_negative_scale_is_refused(self):
        with pytest.raises(InputError, match="scale must be a finite number ≥ 0"):
            GaussianNoise(-1.0)


def world(**options):
    latent = LinearLatentModel.random(2, 3, rng=0, graph="chain")
    return Simulator.random(latent, n_observed=4, rng=0, **options)


class TestSimulator:
    @given(strategies.simulators(), st.data())
    def test_shifts_add_up_and_the_mixing_recovers_the_latents(self, simulator, data):
        K = simulator.latent.n_perturbations
        rows = data.draw(st.lists(strategies.labels(K, kind="float"), min_size=1, max_size=3, unique=True))
        drawn = simulator.sample(rows, 4, rng=0)
        W, labels = simulator.latent.perturbation_matrix, drawn.data.labels[drawn.data.environment]
        z = drawn.truth.z
        assert np.allclose(z, drawn.truth.z_base + labels @ W.T, rtol=1e-12, atol=1e-12)
        gap = np.abs(simulator.mixing.inverse(drawn.data.x) - z).max()
        assert gap < 1000 * EPS * simulator.mixing.condition_number * (1 + np.abs(z).max())

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
        assert default_names(2) == ("A", "B")
        assert default_names(27)[26] == "P26"

    @given(strategies.simulators(noise=True))
    def test_its_state_is_json_and_draws_the_same_cells(self, simulator):
        again = Simulator.from_state(json.loads(json.dumps(simulator.state())))
        labels = [[0] * simulator.latent.n_perturbations]
        assert np.array_equal(again.sample(labels, 3, rng=1).data.x, simulator.sample(labels, 3, rng=1).data.x)

    def test_the_isotropic_form_gives_the_same_law(self):
        """z' = R z, f' = f ∘ R⁻¹ (section 1): the same x, cell by cell."""
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
        states = [mixing_state(Simulator.random(model, n_observed=5, rng=5).mixing) for model in models]
        assert len({json.dumps(state) for state in states}) == 1
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


def test_mixing_is_a_stack():
    """The first layer acts first."""
    lift = Orthonormal(np.array([[1.0], [0.0]]), np.array([1.0, 2.0]))
    assert Mixing((lift, SmoothLeaky(1.0)))(np.array([[3.0]])).tolist() == [[4.0, 2.0]]
