"""The strategies themselves: what they plant is true, they shrink to the simple case and find the hard one."""

import warnings
from decimal import Decimal
from fractions import Fraction
from random import Random

import networkx as nx
import numpy as np
import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisWarning

from pdae_sim import strategies
from pdae_sim.contexts import by_context, context_levels, sharing_contexts
from pdae_sim.errors import InputError
from pdae_sim.simulation.departures import DEPARTURES
from pdae_sim.simulation.laws import LAWS, Gaussian
from pdae_sim.simulation.mixings import Orthonormal
from pdae_sim.simulation.observation import OBSERVATIONS, GaussianNoise, Noiseless


def simplest(strategy, condition=lambda _: True):
    return find(
        strategy, condition, settings=settings(database=None, max_examples=2000, phases=[Phase.generate, Phase.shrink])
    )


def some(strategy, condition):
    """Any example that meets the condition: that there is one is the test, and not how long it is when printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", HypothesisWarning)
        return find(strategy, condition, settings=settings(database=None, max_examples=5000, phases=[Phase.generate]))


class TestSpanProblems:
    @given(st.sampled_from(strategies.NUMBER_KINDS).flatmap(lambda kind: strategies.span_problems(kind=kind)))
    def test_the_planted_certificate_holds(self, problem):
        L, target = _shifts(problem)
        if problem.identified:
            sums = [sum(a * row[k] for a, row in zip(problem.coefficients, L, strict=True)) for k in range(len(target))]
            assert sums == target
            assert problem.coefficients[problem.position] == 0
        else:
            assert all(_dot(problem.witness, row) == 0 for row in L)
            assert _dot(problem.witness, target) == 1

    @given(strategies.span_problems())
    def test_the_planted_rank_is_that_of_the_shifts(self, problem):
        L, _ = _shifts(problem)
        assert np.linalg.matrix_rank(np.array(L, dtype=float)) == problem.rank

    @given(st.booleans().flatmap(lambda asked: st.tuples(st.just(asked), strategies.span_problems(identified=asked))))
    def test_the_verdict_can_be_asked_for(self, pair):
        asked, problem = pair
        assert problem.identified is asked

    def test_they_shrink_to_elementary_shifts_and_a_reference_of_zeros(self):
        problem = simplest(strategies.span_problems(), lambda p: p.rank == 2 and not p.identified)
        assert {tuple(row) for row in problem.train} == {(0, 0, 0), (1, 0, 0), (0, 1, 0)}
        assert problem.test == (0, 0, 1)

    @pytest.mark.parametrize("verdict", [True, False])
    def test_the_hard_cases_are_found(self, verdict):
        """Dependent training shifts, a reference away from zero, and one environment more than perturbations."""
        found = some(
            strategies.span_problems(identified=verdict),
            lambda p: any(p.reference) and 0 < p.rank < len(p.test) < len(p.train) - 1,
        )
        assert found.identified is verdict


class TestNumbers:
    @pytest.mark.parametrize(
        ("kind", "cls"), [("int", int), ("fraction", Fraction), ("decimal", Decimal), ("float", float)]
    )
    def test_a_kind_is_one_type(self, kind, cls):
        assert type(simplest(strategies.labels(1, kind=kind), any)[0]) is cls

    def test_labels_shrink_to_the_control(self):
        assert simplest(strategies.labels(3)) == (0, 0, 0)

    def test_thirds_and_negative_doses_are_found(self):
        assert simplest(strategies.doses("fraction"), lambda dose: dose < 0 and dose.denominator == 3) == Fraction(
            -1, 3
        )

    def test_an_unknown_kind_is_refused(self):
        with pytest.raises(ValueError, match="kind must be one of int, fraction, decimal, float"):
            strategies.doses("complex")

    def test_spellings_find_padding_the_control_and_a_spelt_out_dose(self):
        space = simplest(strategies.label_spaces(min_size=2, max_size=2))
        assert simplest(strategies.conditions(space)) == "ctrl"
        for wanted in (" + ", "ctrl", ":1", ":0", "/"):
            some(strategies.spellings(space), lambda pair, wanted=wanted: wanted in pair[0] and any(pair[1]))


class TestMatrices:
    @given(st.integers(1, 5).flatmap(strategies.orthogonal_matrices))
    def test_they_are_orthogonal(self, Q):
        assert np.allclose(Q @ Q.T, np.eye(len(Q)), atol=64 * np.finfo(float).eps)

    def test_orthogonal_matrices_shrink_to_the_identity(self):
        assert np.array_equal(simplest(strategies.orthogonal_matrices(3)), np.eye(3))

    @pytest.mark.parametrize("sign", [1, -1])
    def test_rotations_and_reflections_are_found(self, sign):
        assert some(
            strategies.orthogonal_matrices(2), lambda Q: np.sign(np.linalg.det(Q)) == sign and abs(Q[0, 1]) > 0.5
        ).shape == (2, 2)

    @given(st.integers(1, 5).flatmap(strategies.adjacency_matrices))
    def test_graphs_are_acyclic(self, A):
        assert nx.is_directed_acyclic_graph(nx.from_numpy_array(A.T, create_using=nx.DiGraph))

    def test_graphs_shrink_to_the_empty_one(self):
        assert not simplest(strategies.adjacency_matrices(4)).any()

    def test_a_long_path_against_the_order_of_the_nodes_is_found(self):
        """A path of three arrows, one of them from a later to an earlier node: not every graph is lower triangular."""
        A = some(strategies.adjacency_matrices(4), lambda A: np.triu(A).any() and np.linalg.matrix_power(A, 3).any())
        assert np.count_nonzero(A) >= 3


class TestWorlds:
    def test_models_shrink_to_no_effect(self):
        model = simplest(strategies.latent_models())
        assert not model.adjacency.any()
        assert not model.targets.any()
        assert np.array_equal(model.covariance, [[1.0]])

    @pytest.mark.parametrize("seed", range(4))
    def test_models_shrink_to_two_latents_where_two_are_needed(self, seed):
        """Single latents are taken away, with what belongs to them."""
        found = find(
            strategies.latent_models(),
            lambda model: np.count_nonzero(model.perturbation_matrix[:, 0]) > 1,
            settings=settings(database=None, max_examples=2000, phases=[Phase.generate, Phase.shrink]),
            random=Random(seed),
        )
        assert found.n_latents == 2

    @given(strategies.latent_models(n_latents=3, n_perturbations=2))
    def test_sizes_can_be_asked_for(self, model):
        assert model.perturbation_matrix.shape == (3, 2)

    def test_noise_laws_shrink_to_the_gaussian_and_find_every_kind(self):
        assert simplest(strategies.noise_laws()) == Gaussian()
        for law in LAWS.values():
            assert isinstance(some(strategies.noise_laws(), lambda found, law=law: isinstance(found, law)), law)

    def test_departures_find_every_kind_and_shrink_to_none(self):
        assert simplest(strategies.departures(2, 2)).breaks == ()
        assert not simplest(strategies.departures(2, 2, kind="epistasis")).terms.any()
        for kind, cls in DEPARTURES.items():
            assert isinstance(some(strategies.departures(2, 2, kind=kind), lambda _: True), cls)

    def test_models_depart_and_have_other_noise_only_where_asked(self):
        models = strategies.latent_models(departing=True, noise=strategies.noise_laws())
        model = some(models, lambda found: {"gaussian", "additive"} <= set(found.breaks))
        assert {"gaussian", "additive"} <= set(model.breaks)
        assert simplest(strategies.latent_models()).breaks == ()

    @given(st.integers(1, 4).flatmap(strategies.covariances))
    def test_covariances_are_positive_definite(self, covariance):
        assert np.array_equal(covariance, covariance.T)
        assert np.linalg.eigvalsh(covariance)[0] > 0.1

    def test_planted_designs_find_both_answers(self):
        design = some(strategies.planted_designs(), lambda found: set(found.planted) == {True, False})
        assert np.linalg.matrix_rank(design.train) == design.rank

    def test_larger_designs_can_be_asked_for(self):
        wide = strategies.planted_designs(max_perturbations=12, max_environments=3)
        assert some(wide, lambda design: design.train.shape[1] > 9).train.shape[0] <= 4

    def test_families_shrink_to_few_latents(self):
        mixing = simplest(strategies.family_mixings("coupling"))
        assert (mixing.n_latents, mixing.n_observed) == (2, 2)
        assert some(strategies.family_mixings("linear"), lambda f: f.n_observed > f.n_latents + 2).n_observed >= 4

    def test_mixings_shrink_to_the_embedding(self):
        mixing = simplest(strategies.mixings(2, 3))
        assert [type(layer) for layer in mixing.layers] == [Orthonormal]
        assert np.array_equal(mixing(np.array([[2.0, 3.0]])), [[2.0, 3.0, 0.0]])

    def test_two_different_bends_are_found(self):
        found = some(strategies.mixings(1), lambda f: len({type(layer) for layer in f.layers}) == 3)
        assert len(found.layers) == 5

    def test_noise_is_drawn_only_where_it_is_allowed(self):
        kinds = strategies.observations("none", "gaussian")
        noisy = some(strategies.simulators(observation=kinds), lambda s: s.observation != Noiseless())
        assert noisy.observation.scale > 0
        assert simplest(strategies.simulators(n_latents=1, n_perturbations=1)).observation == Noiseless()

    def test_observations_find_every_kind_and_shrink_to_the_first(self):
        for kind in strategies.OBSERVATION_KINDS:
            assert isinstance(simplest(strategies.observations(kind)), OBSERVATIONS[kind])
            assert isinstance(
                some(strategies.observations(), lambda law, kind=kind: isinstance(law, OBSERVATIONS[kind])), object
            )
        assert simplest(strategies.observations("gaussian", "none")) == GaussianNoise(1.0)

    def test_an_unknown_kind_of_observation_is_refused(self):
        with pytest.raises(ValueError, match="kind must be one of none, gaussian"):
            strategies.observations("gausian")

    @given(strategies.simulations(observation=strategies.observations("negative_binomial")))
    def test_counted_worlds_have_whole_numbers(self, simulation):
        x = simulation.data.x
        assert np.array_equal(x, np.round(x))
        assert x.min() >= 0
        assert len(simulation.truth.z) == len(x)

    def test_simulations_shrink_to_one_single_and_no_effect(self):
        simulation = simplest(strategies.simulations())
        assert simulation.data.conditions == ("ctrl", "A")
        assert not simulation.truth.perturbation_matrix.any()

    def test_a_simulation_with_a_double_held_out_is_found(self):
        data = some(strategies.simulations(), lambda s: s.data.held_out.any()).data
        assert all("+" in condition for condition in data.test.conditions)
        assert set(data.train.conditions) >= {"ctrl", *data.names}

    @given(strategies.contextual_data())
    def test_contexts_have_controls_and_are_told(self, data):
        levels = context_levels(data)
        assert len(levels) >= 2
        assert set(by_context(data)) == set(levels)
        assert all("ctrl" in part.conditions for part in by_context(data).values())

    def test_contexts_are_shared_or_own(self):
        assert some(strategies.contextual_data(), lambda d: bool(sharing_contexts(d)))
        assert some(strategies.contextual_data(), lambda d: not sharing_contexts(d) and len(d.labels) > 3)

    @given(strategies.perturbation_data().flatmap(lambda d: st.tuples(st.just(d), strategies.reorderings(d))))
    def test_an_order_changes_no_cell_of_a_condition(self, pair):
        data, other = pair
        assert set(other.names) == set(data.names)
        assert other.counts.sum() == data.counts.sum()
        for e, condition in enumerate(other.conditions):
            label = data.space.label(condition)
            (here,) = np.flatnonzero((data.labels == label).all(1))
            assert sorted(map(tuple, other.samples(e))) == sorted(map(tuple, data.samples(here)))
            assert other.held_out[e] == data.held_out[here]
        reference = data.space.label(other.conditions[other.reference])
        assert np.array_equal(reference, data.labels[data.reference])

    def test_orders_shrink_to_the_data_and_find_all_three(self):
        data = some(strategies.perturbation_data(n_perturbations=2), lambda d: len(d.labels) == 3 and len(d.x) > 4)
        same = simplest(strategies.reorderings(data))
        assert np.array_equal(same.x, data.x)
        assert same.conditions == data.conditions

        def all_three(other):
            return other.names != data.names and not np.array_equal(other.environment, np.sort(other.environment))

        assert some(strategies.reorderings(data), all_three).names == data.names[::-1]

    @given(strategies.perturbation_data())
    def test_data_is_a_valid_record(self, data):
        assert data.counts.min() >= 1
        assert data.counts.sum() == len(data.x)

    def test_data_shrinks_to_one_cell(self):
        assert simplest(strategies.perturbation_data()).x.shape == (1, 1)

    def test_data_out_of_order_with_a_held_out_environment_is_found(self):
        some(strategies.perturbation_data(), lambda d: (np.diff(d.environment) < 0).any() and 0 < d.held_out.sum() < 3)


@pytest.mark.parametrize(
    ("strategy", "says"),
    [
        (lambda: strategies.perturbation_data(n_perturbations=0), "n_perturbations"),
        (lambda: strategies.perturbation_data(n_observed=0), "n_observed"),
        (lambda: strategies.latent_models(n_latents=0), "n_latents"),
        (lambda: strategies.latent_models(n_perturbations=0), "n_perturbations"),
        (lambda: strategies.mixings(3, 2), "n_observed"),
    ],
)
def test_a_size_that_cannot_be_is_refused_and_not_replaced(strategy, says):
    with pytest.raises(InputError, match=says):
        find(strategy(), lambda _: True, settings=settings(database=None))


def _shifts(problem):
    exact = [[Fraction(_plain(v)) for v in row] for row in (*problem.train, problem.test, problem.reference)]
    *rows, target, origin = exact
    return [_minus(row, origin) for row in rows], _minus(target, origin)


def _plain(value):
    return repr(value) if isinstance(value, float) else value


def _minus(row, origin):
    return [a - b for a, b in zip(row, origin, strict=True)]


def _dot(v, row):
    return sum(a * b for a, b in zip(v, row, strict=True))
