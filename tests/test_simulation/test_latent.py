"""The linear latent model against exact algebra, an independent simulator and sampled moments."""

import json

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdae_sim import strategies
from pdae_sim.errors import InputError
from pdae_sim.simulation._recipes import adjacency_matrix
from pdae_sim.simulation.departures import DEPARTURES, Saturation
from pdae_sim.simulation.graphs import GRAPHS
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.laws import LAWS, Gaussian, Skewed, StudentT
from theory.causal import latent_causal

EPS = np.finfo(float).eps

BASES = ("graph", "isotropic", "diagonal", "full")
seeds = st.integers(0, 2**32 - 1)


few = settings(max_examples=15)


def rng(seed=0):
    return np.random.default_rng(seed)


def varsortability(A, z):
    """The fraction of directed paths, counted by pair and length, whose end has the larger variance; ties count half.

    Reisach, Seiler, Weichwald (2021), arXiv:2102.13647, equation 1.
    """
    variance, paths = z.var(axis=0), (A != 0).astype(int)
    step, sorted_, total = paths.copy(), 0.0, 0
    while step.any():
        ends, starts = np.nonzero(step)
        sorted_ += (variance[ends] > variance[starts]).sum() + (variance[ends] == variance[starts]).sum() / 2
        total += len(ends)
        step = (step @ paths > 0).astype(int)
    return sorted_ / total


class TestPopulation:
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
        for k, (S_k, W_k) in enumerate(zip(model.targets.T, model.perturbation_matrix.T, strict=True)):
            shifted = population.sample(population=True, shift_interventions={j: (s, 0) for j, s in enumerate(S_k)})
            single = np.eye(model.n_perturbations)[k]
            assert np.allclose(shifted.mean, W_k)
            assert np.allclose(shifted.covariance, model.covariance)
            assert np.allclose(model.mean(single), W_k, rtol=1e-13, atol=1e-13)
            assert np.allclose(model.covariance_under(single), model.covariance, rtol=1e-13, atol=1e-13)

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

    @few
    @given(strategies.latent_models())
    def test_the_isotropic_form_is_whitened(self, model):
        white, R = model.isotropic(), model.whitening
        size = 1e-13 * np.linalg.cond(model.covariance)
        assert np.array_equal(white.covariance, np.eye(model.n_latents))
        assert np.allclose(R @ model.covariance @ R.T, np.eye(len(R)), atol=size)
        assert np.allclose(R.T @ R, np.linalg.inv(model.covariance), atol=size * np.abs(R).max() ** 2)
        assert np.allclose(white.perturbation_matrix, R @ model.perturbation_matrix)

    @given(st.data(), st.integers(1, 5), st.integers(1, 4))
    def test_any_covariance_and_any_shifts_make_a_model(self, data, d, K):
        """Up to the rounding of a factorisation: 1e-13 times the greatest condition, 64."""
        Sigma = data.draw(strategies.covariances(d))
        W = np.round(rng(data.draw(seeds)).standard_normal((d, K)), 1)
        model = LinearLatentModel.from_covariance(Sigma, W)
        assert np.allclose(model.covariance, Sigma, rtol=0, atol=1e-11)
        assert np.allclose(model.perturbation_matrix, W, rtol=0, atol=1e-11)
        assert not np.triu(model.adjacency).any()

    def test_its_large_responses_are_finite_and_silent(self):
        """A dense graph amplifies by many orders of magnitude; nothing warns and the noises come back."""
        model = LinearLatentModel.random(100, 3, graph="complete", rng=0)
        z = model.sample_base(3, rng=rng())
        assert np.abs(z).max() > 1e6
        tame = LinearLatentModel.random(100, 3, graph="complete", normalise=True, rng=0)
        assert np.allclose(np.diag(tame.covariance), 1)


class TestDraws:
    @few
    @given(strategies.latent_models(), st.data())
    def test_honest_labels_shift_the_base_by_w_l(self, model, data):
        label = data.draw(strategies.labels(model.n_perturbations, kind="float"))
        base, z = model.draw(7, label, rng=rng(1))
        size = 20 * EPS * (1 + np.abs(z).max() + np.abs(model.perturbation_matrix * label).sum())
        assert np.abs(z - base - model.perturbation_matrix @ np.array(label)).max() <= size
        assert np.array_equal(base, model.sample_base(7, rng=rng(1)))
        assert np.array_equal(z, model.draw(7, label, rng=1)[1])

    @pytest.mark.parametrize("kind", [None, *DEPARTURES])
    @pytest.mark.parametrize("law", LAWS)
    def test_the_base_belongs_to_the_cell_and_not_to_the_label(self, law, kind):
        """One u through both mechanisms: the base is the same under all labels, and u comes back from either side."""
        departures = {kind: 0.5} if kind else ()
        model = LinearLatentModel.random(3, 2, noise=law, departures=departures, graph="chain", rng=0)
        base, z = model.draw(5, [1.0, 2.0], rng=rng(2))
        assert np.array_equal(base, model.draw(5, [0.0, 0.0], rng=rng(2))[0])
        assert np.array_equal(model.draw(5, [0.0, 0.0], rng=rng(2))[1], base)
        u = model.mechanisms([0.0, 0.0]).noises(base)
        assert np.allclose(model.mechanisms([1.0, 2.0]).solve(u), z, rtol=0, atol=1e-12)
        assert not np.allclose(base, z, atol=0.1)

    @pytest.mark.parametrize("law", LAWS)
    @few
    @given(blocks=st.lists(st.integers(1, 9), min_size=1, max_size=4), seed=seeds)
    def test_block_by_block_is_at_once(self, law, blocks, seed):
        """Up to rounding: the matrix product may sum in another order for another number of rows."""
        model = LinearLatentModel.random(5, 2, noise=law, departures={"variance": 0.5}, rng=1)
        at_once, continued = model.draw(sum(blocks), [1.0, 0.5], rng=rng(seed)), rng(seed)
        parts = [model.draw(n, [1.0, 0.5], rng=continued) for n in blocks]
        for whole, pieces in zip(at_once, zip(*parts, strict=True), strict=True):
            assert np.allclose(np.concatenate(pieces), whole, rtol=0, atol=1e-13 * (1 + np.abs(whole).max()))

    def test_the_draws_of_a_seed_stay(self):
        """Worlds are named by their seeds: these numbers were drawn before the model had other laws."""
        model = LinearLatentModel.random(3, 3, targets="multi", rng=0)
        assert model.adjacency.tolist() == [
            [0, 0, 1.0686667433524568],
            [1.4024971589730733, 0, -1.006068707136723],
            [0, 0, 0],
        ]
        assert model.targets.tolist() == [
            [0, 0.8385628286218354, 2.014094166148581],
            [-1.6095278807325313, 0, -2.1698044595255492],
            [0, 2.22644955176554, 1.4715326207269115],
        ]
        z = [[0.8101286093117643, 0.35978902171870814, 0.6404226504432821]]
        assert np.allclose(model.sample_base(1, rng=rng(0)), z, rtol=1e-14)
        assert np.array_equal(LinearLatentModel.random(3, 3, rng=0).targets, -1.5 * np.eye(3))


class TestRandom:
    @given(seeds, st.sampled_from(["atomic", "multi", "sparse"]), st.integers(1, 5), st.integers(1, 7))
    def test_targets(self, seed, kind, d, K):
        S = LinearLatentModel.random(d, K, targets=kind, shift=2.0, rng=seed).targets
        hit, most = (S != 0).sum(0), {"atomic": 1, "multi": 3, "sparse": d}[kind]
        assert ((hit >= 1) & (hit <= most)).all()
        sizes = np.abs(S[S != 0])
        assert (sizes == 2.0).all() if kind == "atomic" else ((sizes >= 1.0) & (sizes <= 3.0)).all()

    @pytest.mark.statistical
    @pytest.mark.parametrize("density", [0.05, 0.3, 0.9])
    def test_the_density_of_sparse_targets(self, density):
        """1 + Binomial(d − 1, (density · d − 1) / (d − 1)) targets a perturbation."""
        d, K = 20, 2000
        S = LinearLatentModel.random(d, K, targets="sparse", density=density, graph="empty", rng=0).targets
        assert abs((S != 0).mean() - density) <= 5 * np.sqrt(density * (1 - density) / d / K)
        assert abs(np.sign(S[S != 0]).mean()) < 5 / np.sqrt((S != 0).sum())
        assert np.ptp((S != 0).mean(axis=1)) <= 10 * np.sqrt(density * (1 - density) / K)

    def test_dense_and_given_targets(self):
        assert (LinearLatentModel.random(4, 3, targets="sparse", density=1.0, rng=0).targets != 0).all()
        S = np.arange(6.0).reshape(3, 2)
        assert np.array_equal(LinearLatentModel.random(3, 2, targets=S, rng=0).targets, S)

    def test_atomic_targets_reach_every_latent(self):
        assert np.linalg.matrix_rank(LinearLatentModel.random(4, 4, rng=0).perturbation_matrix) == 4

    @given(st.sampled_from(BASES), st.booleans(), st.integers(1, 6), seeds)
    def test_bases(self, base, normalise, d, seed):
        model = LinearLatentModel.random(d, 2, base=base, normalise=normalise, rng=seed)
        Sigma, variances = model.covariance, np.diag(model.covariance)
        if normalise or base in ("isotropic", "full"):
            assert np.allclose(variances, 1, rtol=0, atol=1e-12)
        if base in ("isotropic", "diagonal"):
            assert not model.adjacency.any()
            assert np.array_equal(Sigma, np.diag(variances))
        if base == "diagonal":
            assert ((variances >= 0.25) & (variances <= 4)).all()
        assert np.array_equal(model.targets, LinearLatentModel.random(d, 2, rng=seed).targets)

    def test_a_full_base_has_no_zero_and_is_well_conditioned(self):
        Sigma = LinearLatentModel.random(30, 2, base="full", rng=0).covariance
        assert (np.abs(Sigma) > 1e-6).all()
        assert np.linalg.cond(Sigma) < 100

    @pytest.mark.parametrize("law", [*LAWS, Skewed(3.0)], ids=str)
    def test_the_law_of_the_noise_changes_nothing_else(self, law):
        model, plain = LinearLatentModel.random(4, 3, noise=law, rng=3), LinearLatentModel.random(4, 3, rng=3)
        assert np.array_equal(model.adjacency, plain.adjacency)
        assert np.array_equal(model.targets, plain.targets)
        assert model.breaks == (() if law == "gaussian" else ("gaussian",))

    def test_departures_by_strength_or_as_they_are(self):
        drawn = LinearLatentModel.random(4, 3, departures={"epistasis": 0.5, "variance": 0.2}, rng=3)
        alone = LinearLatentModel.random(4, 3, departures={"variance": 0.2}, rng=3)
        given_ = LinearLatentModel.random(4, 3, departures=[Saturation(2.0)], rng=3)
        assert [type(part) for part in drawn.departures] == [DEPARTURES["epistasis"], DEPARTURES["variance"]]
        assert np.array_equal(drawn.departures[1].log_ratio, alone.departures[0].log_ratio)
        assert given_.departures == (Saturation(2.0),)
        assert np.array_equal(drawn.targets, given_.targets)

    def test_a_networkx_graph_with_and_without_weights(self):
        graph = nx.DiGraph([(0, 1), (1, 2)])
        drawn = LinearLatentModel.random(3, 1, graph=graph, rng=0).adjacency
        assert (drawn != 0).tolist() == [[False] * 3, [True, False, False], [False, True, False]]
        assert 0.5 <= abs(drawn[1, 0]) <= 1.5
        nx.set_edge_attributes(graph, 0.25, "weight")
        assert LinearLatentModel.random(3, 1, graph=graph, rng=0).adjacency[1, 0] == 0.25

    def test_layers_reach_the_graph(self):
        graph = LinearLatentModel.random(6, 1, graph="layered", layers=3, rng=0).graph
        assert nx.dag_longest_path_length(graph, weight=None) == 2


class TestNormalised:
    @pytest.mark.parametrize("graph", GRAPHS)
    @few
    @given(seed=seeds)
    def test_variances_are_one_and_the_graph_and_its_signs_stay(self, graph, seed):
        plain, tame = (LinearLatentModel.random(6, 2, graph=graph, normalise=n, rng=seed) for n in (False, True))
        assert np.allclose(np.diag(tame.covariance), 1, rtol=0, atol=100 * EPS)
        assert np.array_equal(np.sign(tame.adjacency), np.sign(plain.adjacency))
        assert np.array_equal(tame.targets, plain.targets)

    @pytest.mark.statistical
    def test_variances_tell_the_causal_order_only_without_it(self):
        """Sample variances of latents that all have variance one are exchangeable in pairs: one half on average."""
        draws, found = 40, {}
        for normalise in (False, True):
            models = [
                LinearLatentModel.random(15, 1, degree=4.0, normalise=normalise, rng=seed) for seed in range(draws)
            ]
            found[normalise] = [varsortability(m.adjacency, m.sample_base(500, rng=rng(7))) for m in models]
        assert abs(np.mean(found[True]) - 0.5) < 5 * np.std(found[True]) / np.sqrt(draws)
        assert np.mean(found[False]) > 0.9

    def test_the_measure_itself(self):
        A, z = np.diag([1.0, 1.0], -1), np.array([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]])
        assert varsortability(A, z) == 1
        assert varsortability(A.T, z) == 0
        assert varsortability(A, np.sign(z)) == 0.5


class TestRecord:
    @pytest.mark.parametrize("kind", [None, *DEPARTURES])
    @pytest.mark.parametrize("law", [*LAWS, StudentT(7.5)], ids=str)
    def test_its_state_is_json_and_draws_the_same_cells(self, law, kind):
        model = LinearLatentModel.random(3, 2, noise=law, departures={kind: 0.5} if kind else (), rng=4)
        written = json.dumps(model.state(), default=lambda array: array.tolist())
        again = LinearLatentModel.from_state(json.loads(written))
        assert again.noise == model.noise
        for first, second in zip(*(m.draw(4, [1.0, 0.5], rng=rng(1)) for m in (model, again)), strict=True):
            assert np.array_equal(first, second)

    def test_a_state_without_laws_is_that_of_a_gaussian(self):
        model = LinearLatentModel.from_state({"adjacency": [[0]], "noise_variances": [1], "targets": [[1]]})
        assert (model.noise, model.departures, model.breaks) == (Gaussian(), (), ())

    @few
    @given(strategies.latent_models())
    def test_its_graph_is_that_of_the_adjacency(self, model):
        assert np.array_equal(adjacency_matrix(model.graph), model.adjacency)

    def test_it_does_not_follow_the_callers_array(self):
        A = np.array([[0.0, 0.0], [1.0, 0.0]])
        model = LinearLatentModel(A, [1, 1], [[1], [0]])
        A[0, 1] = 5
        assert model.adjacency[0, 1] == 0
        with pytest.raises(ValueError, match="read-only"):
            model.adjacency[0, 1] = 1


class TestRefused:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            (([[0, 1], [1, 0]], [1, 1], np.eye(2)), "adjacency must be that of an acyclic graph"),
            (([[1.0]], [1], [[1]]), "adjacency must be that of an acyclic graph"),
            (([[0, 0], [1, 0]], [1, 0], np.eye(2)), "noise_variances must be positive; received 0"),
            (([[0, 0], [1, 0]], [1], np.eye(2)), "disagree"),
            (([[0, 0], [1, 0]], [1, 1], np.eye(3)), "disagree"),
            (([[0, np.nan], [1, 0]], [1, 1], np.eye(2)), "adjacency must be finite"),
            (([[0]], [1], [[1]], "cauchy"), "noise must be one of gaussian, "),
        ],
    )
    def test_bad_fields(self, fields, message):
        with pytest.raises(InputError, match=message):
            LinearLatentModel(*fields)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"n_latents": 0}, "n_latents must be a whole number ≥ 1"),
            ({"graph": "ring"}, "graph must be one of"),
            ({"targets": "all"}, "targets must be one of atomic, multi, sparse"),
            ({"targets": np.eye(3)}, r"targets must have shape .* = \(3, 2\); received \(3, 3\)"),
            ({"graph": nx.DiGraph([(0, 1)])}, "graph must have n_latents = 3 nodes; received 2"),
            ({"base": "round"}, "base must be one of graph, isotropic, diagonal, full"),
            ({"density": 1.5}, r"density must lie in \[0, 1\]; received 1.5"),
            ({"normalize": True}, "unknown setting 'normalize'; did you mean 'normalise'"),
            ({"departures": {"off": 1.0}}, "departure must be one of"),
        ],
    )
    def test_bad_options(self, options, message):
        with pytest.raises(InputError, match=message):
            LinearLatentModel.random(**{"n_latents": 3, "n_perturbations": 2, "rng": 0} | options)

    @pytest.mark.parametrize(
        ("Sigma", "W", "message"),
        [
            ([[1, 2], [2, 1]], np.eye(2), "covariance must be positive definite; its least eigenvalue is -1"),
            ([[1, 0.5], [0, 1]], np.eye(2), "covariance must be square and symmetric"),
            (np.ones((2, 3)), np.eye(2), "covariance must be square and symmetric"),
            (np.eye(2), np.eye(3), "perturbation_matrix must have 2 rows, as covariance has; received 3"),
        ],
    )
    def test_bad_covariances(self, Sigma, W, message):
        with pytest.raises(InputError, match=message):
            LinearLatentModel.from_covariance(Sigma, W)

    @pytest.mark.parametrize(
        ("options", "message"),
        [({"noise": "laplace"}, "breaks gaussian"), ({"departures": {"do": 1.0}}, "breaks additive, shared_cov")],
    )
    def test_no_isotropic_form_beyond_the_honest_gaussian(self, options, message):
        with pytest.raises(InputError, match=message):
            LinearLatentModel.random(2, 2, rng=0, **options).isotropic()

    @pytest.mark.parametrize("label", [[1.0], [1.0, 0.0, 0.0], [[1.0, 0.0]]])
    def test_bad_labels(self, label):
        model = LinearLatentModel.random(2, 2, rng=0)
        for ask in (model.mean, model.covariance_under, lambda l: model.draw(3, l, rng=rng())):  # noqa: E741
            with pytest.raises(InputError, match=r"label must have shape \(2,\)"):
                ask(label)

    def test_bad_points(self):
        with pytest.raises(InputError, match="z must have 2 columns; received 3"):
            LinearLatentModel.random(2, 2, rng=0).log_density(np.zeros((1, 3)), [0, 0])
        with pytest.raises(InputError, match="label must be finite"):
            LinearLatentModel.random(2, 2, rng=0).mean([0, np.nan])
