"""Departures from additive shifts, each beside the honest model: populations, samples, densities, what they break."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from pdae_sim import strategies
from pdae_sim.errors import InputError
from pdae_sim.simulation._mechanisms import Mechanisms, internally_standardised, response_matrix
from pdae_sim.simulation._random_departures import random_departure
from pdae_sim.simulation.departures import (
    DEPARTURES,
    Do,
    Epistasis,
    MechanismChange,
    Saturation,
    VarianceIntervention,
)
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.laws import LAWS, Skewed

EPS = np.finfo(float).eps

HONEST = LinearLatentModel(
    [[0, 0, 0], [0.8, 0, 0], [-0.6, 1.2, 0]], [1.0, 0.5, 2.0], [[1.5, 0, 0], [0, -1.0, 0], [0.5, 0.7, 1.0]]
)
SMALL = LinearLatentModel([[0, 0.7], [0, 0]], [0.5, 1.0], [[1.0, 0.5], [-0.5, 1.5]])
NAMES = tuple(DEPARTURES)


few = settings(max_examples=15)


@st.composite
def departed_models(draw, kind):
    """A Gaussian model with one departure, and a label."""
    honest = draw(strategies.latent_models())
    departure = draw(strategies.departures(honest.n_latents, honest.n_perturbations, kind=kind))
    label = np.array(draw(strategies.labels(honest.n_perturbations, kind="float")))
    return replace(honest, departures=(departure,)), np.clip(label, -3, 3)


def rng(seed=0):
    return np.random.default_rng(seed)


def departed(model, kind, strength=0.7, **changes):
    departure = random_departure(kind, model.targets, strength=strength, rng=rng(1))
    return replace(model, departures=(replace(departure, **changes),))


def interventions(model, label):
    """The departure of a model as sempler's interventions and weights, entry by entry from the definitions."""
    A, D, S, (part,) = model.adjacency.copy(), model.noise_variances, model.targets, model.departures
    d, K = S.shape
    shift = [sum(S[j, k] * label[k] for k in range(K)) for j in range(d)]
    noise, do = {}, {}
    for j in range(d):
        if isinstance(part, Epistasis):
            shift[j] += sum(part.terms[j, k, m] * label[k] * label[m] for k in range(K) for m in range(k + 1, K))
        elif isinstance(part, Saturation) and np.isfinite(part.half):
            shift[j] = sum(S[j, k] * label[k] * (1 + part.half) / (part.half + abs(label[k])) for k in range(K))
        elif isinstance(part, VarianceIntervention):
            ratio = np.prod([np.exp(part.log_ratio[j, k] * label[k]) for k in range(K)])
            noise[j] = (shift[j], D[j] * ratio**2)
        elif isinstance(part, MechanismChange):
            A[j] *= np.prod([np.exp(-part.rate[j, k] * abs(label[k])) for k in range(K)])
        elif isinstance(part, Do):
            setters = [k for k in range(K) if label[k] != 0 and not np.isnan(part.values[j, k])]
            if setters:
                do[j] = (sum(part.values[j, k] * label[k] for k in setters), D[j] * part.noise**2)
    shifts = {j: (value, 0) for j, value in enumerate(shift)}
    return A, {"shift_interventions": shifts, "noise_interventions": noise, "do_interventions": do}


def interaction(model):
    """m(A + B) − m(A) − m(B) + m(0)."""
    A, B = np.eye(model.n_perturbations)[:2]
    return model.mean(A + B) - model.mean(A) - model.mean(B) + model.mean(0 * A)


class TestPopulations:
    @pytest.mark.parametrize("kind", NAMES)
    @few
    @given(data=st.data())
    def test_sempler_agrees(self, kind, data):
        sempler = pytest.importorskip("sempler")
        model, label = data.draw(departed_models(kind))
        A, what = interventions(model, label)
        population = sempler.LGANM(A.T, np.zeros(model.n_latents), model.noise_variances)
        law = population.sample(population=True, **what)
        size = 1e-12 * max(1, np.abs(law.mean).max(), np.abs(law.covariance).max())
        assert np.allclose(model.mean(label), law.mean, rtol=0, atol=size)
        assert np.allclose(model.covariance_under(label), law.covariance, rtol=0, atol=size)

    @pytest.mark.parametrize("kind", NAMES)
    @few
    @given(data=st.data())
    def test_the_reference_is_untouched(self, kind, data):
        model, label = data.draw(departed_models(kind))
        assert not model.mean(0 * label).any()
        assert np.array_equal(model.covariance_under(0 * label), replace(model, departures=()).covariance_under(label))

    @pytest.mark.statistical
    @pytest.mark.parametrize("law", LAWS)
    @pytest.mark.parametrize("kind", ["honest", *NAMES])
    def test_sampled_moments(self, kind, law):
        """Every law is standardised, so the stated mean and covariance hold for each; standard errors are empirical."""
        n, label = 20_000, np.array([1.0, -0.5, 2.0])
        model = replace(HONEST if kind == "honest" else departed(HONEST, kind), noise=law)
        base, z = model.draw(n, label, rng=rng(7))
        for sample, mean, covariance in (
            (base, np.zeros(3), HONEST.covariance),
            (z, model.mean(label), model.covariance_under(label)),
        ):
            centred = sample - mean
            products = centred[:, :, None] * centred[:, None, :]
            assert (np.abs(centred.mean(0)) <= 5 * centred.std(0) / np.sqrt(n) + 1e-12).all()
            assert (np.abs(products.mean(0) - covariance) <= 5 * products.std(0) / np.sqrt(n) + 1e-12).all()

    @pytest.mark.statistical
    @pytest.mark.parametrize("kind", NAMES)
    def test_the_honest_moments_are_rejected(self, kind):
        """The negative control: under each departure the honest mean or covariance is not that of the sample."""
        n, label = 20_000, np.array([1.0, -0.5, 2.0])
        z = departed(HONEST, kind).draw(n, label, rng=rng(7))[1]
        centred = z - HONEST.mean(label)
        products = centred[:, :, None] * centred[:, None, :]
        scores = np.abs(centred.mean(0)) / (centred.std(0) + 1e-12)
        further = np.abs(products.mean(0) - HONEST.covariance) / (products.std(0) + 1e-12)
        assert max(scores.max(), further.max()) * np.sqrt(n) > 10


class TestWhatBreaks:
    @few
    @given(strategies.latent_models(n_perturbations=3))
    def test_honest_shifts_are_additive_and_linear_in_the_dose(self, model):
        size = 20 * EPS * (1 + np.abs(model.perturbation_matrix).sum())
        assert np.abs(interaction(model)).max() <= size
        assert np.abs(model.mean([2, 0, 0]) - 2 * model.mean([1, 0, 0])).max() <= size

    @pytest.mark.parametrize("kind", ["epistasis", "do", "mechanism"])
    def test_pairs_are_not_the_sum_of_singles(self, kind):
        assert np.abs(interaction(departed(HONEST, kind))).max() > 0.1

    @few
    @given(strategies.latent_models(n_perturbations=3), st.sampled_from([0.25, 1.0, 4.0]))
    def test_saturation_bends_the_dose_but_adds_across_perturbations(self, honest, half):
        model = replace(honest, departures=(Saturation(half),))
        size = 50 * EPS * (1 + np.abs(honest.perturbation_matrix).sum())
        assert np.abs(interaction(model)).max() <= size
        assert np.abs(model.mean([2, 0, 0]) - honest.mean([2, 0, 0]) * (1 + half) / (half + 2)).max() <= size
        assert np.abs(model.mean([1, 0, 1]) - honest.mean([1, 0, 1])).max() <= size

    @pytest.mark.parametrize("kind", NAMES)
    def test_the_covariance_depends_on_the_label_where_it_says_so(self, kind):
        model, label = departed(HONEST, kind), [1.0, 1.0, 0.0]
        shared = HONEST.covariance_under([0.0, 0.0, 0.0])
        changed = np.abs(model.covariance_under(label) - shared).max()
        assert changed > 0.1 if "shared_covariance" in model.breaks else changed == 0
        assert np.array_equal(HONEST.covariance_under(label), shared)
        assert np.allclose(HONEST.covariance, shared, rtol=10 * EPS)

    def test_the_names_of_what_breaks(self):
        assert HONEST.breaks == ()
        assert departed(HONEST, "epistasis").breaks == departed(HONEST, "saturation").breaks == ("additive",)
        assert departed(HONEST, "do").breaks == ("additive", "shared_covariance")
        assert replace(departed(HONEST, "epistasis"), noise="laplace").breaks == ("additive", "gaussian")
        both = replace(HONEST, departures=(*departed(HONEST, "variance").departures, Saturation(1.0)))
        assert both.breaks == ("additive", "shared_covariance")

    def test_single_perturbations_do_not_feel_epistasis(self):
        model = departed(HONEST, "epistasis")
        for dose in np.eye(3):
            assert np.array_equal(model.mean(2 * dose), HONEST.mean(2 * dose))

    def test_do_cuts_what_comes_in_and_keeps_what_goes_out(self):
        model = replace(HONEST, departures=(Do([[np.nan] * 3, [np.nan, 2.0, np.nan], [np.nan] * 3]),))
        base, z = model.draw(50, [1.0, 1.5, 0.0], rng=rng())
        assert np.array_equal(z[:, 1], np.full(50, 3.0))
        assert np.allclose(z[:, 0], base[:, 0] + 1.5)
        moved = z[:, 2] - base[:, 2] - 1.2 * (3.0 - base[:, 1]) + 0.6 * 1.5
        assert np.allclose(moved, 0.5 * 1.0 + 0.7 * 1.5)

    @given(st.floats(-50, 50), st.sampled_from([0.25, 1.0, 4.0]))
    def test_saturation_is_odd_and_bounded(self, dose, half):
        phi = Saturation(half).dose
        assert phi(dose) == -phi(-dose)
        assert abs(phi(dose)) < 1 + half
        assert (phi(1.0), phi(half)) == pytest.approx((1.0, (1 + half) / 2))


class TestDensities:
    @pytest.mark.parametrize("law", ["gaussian", "student_t", "laplace", Skewed(3.0), "bimodal"], ids=str)
    @pytest.mark.parametrize("kind", ["honest", *NAMES])
    def test_they_integrate_to_one(self, kind, law):
        """On a grid of ±15 standard deviations; tails of Student's t outside hold 1e-4, kinks cost the square of h."""
        honest = replace(SMALL, noise=law)
        changes = {"noise": 0.5} if kind == "do" else {}
        model, label = honest if kind == "honest" else departed(honest, kind, **changes), [1.0, -0.5]
        mean, sd = model.mean(label), np.sqrt(np.diag(model.covariance_under(label)))
        sides = [np.linspace(m - 15 * s, m + 15 * s, 801) for m, s in zip(mean, sd, strict=True)]
        grid = np.stack(np.meshgrid(*sides, indexing="ij"), axis=-1)
        density = np.exp(model.log_density(grid.reshape(-1, 2), label)).reshape(grid.shape[:2])
        cell = np.prod([side[1] - side[0] for side in sides])
        assert density.sum() * cell == pytest.approx(1, abs=2e-3)
        assert np.einsum("ij,ijk->k", density, grid) * cell == pytest.approx(mean, abs=5e-3 * sd.max())

    @pytest.mark.parametrize("kind", NAMES)
    @few
    @given(data=st.data())
    def test_scipy_agrees_on_gaussians(self, kind, data):
        """Up to rounding times the condition of the covariance, which scipy inverts and we do not."""
        model, label = data.draw(departed_models(kind).filter(lambda pair: pair[0].mechanisms(pair[1]).scale.min() > 0))
        mean, covariance = model.mean(label), model.covariance_under(label)
        assume(np.linalg.cond(covariance) < 1e6)
        z = stats.multivariate_normal(mean, covariance).rvs(5, random_state=0).reshape(5, -1)
        ours, theirs = model.log_density(z, label), stats.multivariate_normal(mean, covariance).logpdf(z)
        assert np.allclose(ours, theirs, rtol=1e-8, atol=1e-8)

    def test_another_label_has_another_density(self):
        """The negative control of the test above."""
        z = HONEST.draw(20, [1.0, 0.0, 0.0], rng=rng())[1]
        assert not np.allclose(HONEST.log_density(z, [1.0, 0, 0]), HONEST.log_density(z, [1.0, 1.0, 0]), atol=0.1)

    @few
    @given(strategies.latent_models(), st.data())
    def test_claim_2_1_log_ratios_are_linear_with_slope_the_whitened_shift(self, model, data):
        """log p_e(z) − log p_0(z) = (W Δ)ᵀ Σ⁻¹ z + const."""
        K, d = model.n_perturbations, model.n_latents
        label = np.clip(data.draw(strategies.labels(K, kind="float")), -3, 3)
        z = np.vstack([np.zeros(d), rng(3).standard_normal((6, d))])
        ratio = model.log_density(z, label) - model.log_density(z, np.zeros(K))
        W_shift = model.perturbation_matrix @ label
        slope = np.linalg.solve(model.covariance, W_shift)
        size = 100 * EPS * np.linalg.cond(model.covariance) * (1 + np.abs(slope).sum()) * (1 + np.abs(ratio).max())
        assert np.abs(ratio - ratio[0] - z @ slope).max() <= max(size, 1e-9)

    @pytest.mark.parametrize(
        "model",
        [replace(HONEST, noise="student_t"), replace(HONEST, noise="laplace"), departed(HONEST, "variance")],
        ids=["student_t", "laplace", "variance"],
    )
    def test_log_ratios_of_the_others_are_not_linear(self, model):
        """The negative control: the second difference of a linear function along a line is zero."""
        z = np.outer([-3.0, 0.0, 3.0], [1.0, 1.0, 1.0])
        ratio = model.log_density(z, [1.0, 1.0, 0.0]) - model.log_density(z, [0.0, 0.0, 0.0])
        assert abs(ratio[0] - 2 * ratio[1] + ratio[2]) > 0.1
        honest = HONEST.log_density(z, [1.0, 1.0, 0.0]) - HONEST.log_density(z, [0.0, 0.0, 0.0])
        assert abs(honest[0] - 2 * honest[1] + honest[2]) < 1e-10

    def test_a_singular_law_has_samples_and_moments_but_no_density(self):
        model, label = departed(HONEST, "do"), [1.0, 0.0, 0.0]
        base, z = model.draw(5, label, rng=rng())
        assert np.isfinite(model.mean(label)).all()
        assert np.linalg.matrix_rank(model.covariance_under(label)) < 3
        with pytest.raises(InputError, match=r"singular .* latent 0, 2 has noise scale 0 .* Do\(values, noise=0.1\)"):
            model.log_density(z, label)
        assert np.isfinite(model.log_density(base, [0.0, 0.0, 0.0])).all()
        assert np.isfinite(departed(HONEST, "do", noise=0.1).log_density(z, label)).all()


class TestMechanisms:
    @few
    @given(strategies.latent_models(), st.integers(0, 99))
    def test_noises_undo_solve(self, model, seed):
        mechanisms = model.mechanisms(np.ones(model.n_perturbations))
        u = rng(seed).standard_normal((4, model.n_latents))
        z = mechanisms.solve(u)
        assert np.allclose(mechanisms.noises(z), u, rtol=0, atol=1e-12 * (1 + np.abs(z).max()))
        assert np.allclose(z, z @ mechanisms.adjacency.T + mechanisms.scale * u + mechanisms.shift, atol=1e-12)

    def test_the_response_is_exact_where_a_general_solver_is_not(self):
        """A long chain of weights ¼: (I − A)⁻¹ holds their powers, tiny entries included, to relative rounding."""
        d = 60
        A = np.diag(np.full(d - 1, 0.25), -1)[::-1, ::-1]
        gap = np.subtract.outer(np.arange(d), np.arange(d)).T
        assert np.array_equal(response_matrix(A), np.where(gap >= 0, 0.25 ** np.maximum(gap, 0), 0))

    @few
    @given(strategies.latent_models())
    def test_internal_standardisation_gives_unit_variances_and_keeps_graph_and_signs(self, model):
        A, D = internally_standardised(model.adjacency, model.noise_variances)
        again = LinearLatentModel(A, D, model.targets)
        assert np.allclose(np.diag(again.covariance), 1, rtol=0, atol=100 * EPS)
        assert np.array_equal(np.sign(A), np.sign(model.adjacency))
        assert np.allclose(internally_standardised(A, D)[0], A, rtol=0, atol=1e-13)

    def test_internal_standardisation_is_not_a_rescaling_of_the_finished_latents(self):
        """On 0 → 1 → 2, all weights and noises one: both effects are 1/√2; rescaled in the end, 1/√2 and √(2/3)."""
        A, D = internally_standardised(np.diag([1.0, 1.0], -1), np.ones(3))
        assert np.allclose(np.diag(A, -1), np.sqrt(1 / 2))
        assert np.allclose(D, [1, 1 / 2, 1 / 2])
        sd = np.sqrt([1, 2, 3])
        assert not np.allclose(np.diag(A, -1), sd[:-1] / sd[1:])

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ((np.zeros((2, 2)), [1.0, -1.0], [0, 0]), "scale must be ≥ 0; received -1"),
            ((np.zeros((2, 2)), [1.0], [0, 0]), "disagree"),
        ],
    )
    def test_bad_fields(self, values, message):
        with pytest.raises(InputError, match=message):
            Mechanisms(*values)


class TestStates:
    @given(st.data())
    def test_a_state_is_json_and_gives_the_departure_back(self, data):
        departure = data.draw(strategies.departures(2, 3))
        written = json.dumps(DEPARTURES.state(departure), default=lambda array: array.tolist())
        again = DEPARTURES.from_state(json.loads(written))
        assert type(again) is type(departure)
        for part in fields(departure):
            assert np.array_equal(getattr(again, part.name), getattr(departure, part.name), equal_nan=True)

    def test_arrays_are_copied_and_read_only(self):
        terms = np.zeros((1, 2, 2))
        departure = Epistasis(terms)
        terms[0, 0, 1] = 9
        assert not departure.terms.any()
        with pytest.raises(ValueError, match="read-only"):
            departure.terms[0, 0, 1] = 1


class TestRandom:
    @pytest.mark.parametrize("kind", ["epistasis", "saturation", "variance", "mechanism"])
    @few
    @given(model=strategies.latent_models(), seed=st.integers(0, 99))
    def test_strength_zero_is_no_departure(self, kind, model, seed):
        part = random_departure(kind, model.targets, strength=0.0, rng=rng(seed))
        none, zero = (m.mechanisms([1.5] * m.n_perturbations) for m in (model, replace(model, departures=(part,))))
        assert zero.differs_by_a_shift(none)
        assert np.array_equal(zero.shift, none.shift)

    @few
    @given(strategies.latent_models(), st.sampled_from([0.5, 2.0]))
    def test_the_meaning_of_strength(self, model, strength):
        S, hit = model.targets, model.targets != 0
        made = {kind: random_departure(kind, S, strength=strength, rng=rng()) for kind in NAMES}
        larger = np.maximum(np.abs(S)[:, :, None], np.abs(S)[:, None, :])
        assert np.array_equal(np.abs(made["epistasis"].terms), np.triu(strength * larger, 1))
        assert made["saturation"].half == 1 / strength
        assert np.array_equal(made["do"].values, np.where(hit, strength * S, np.nan), equal_nan=True)
        assert np.array_equal(np.abs(made["variance"].log_ratio), strength * hit)
        assert np.array_equal(made["mechanism"].rate, strength * hit)

    def test_both_signs_occur(self):
        variance, epistasis = (
            random_departure(k, np.ones((5, 5)), strength=1, rng=rng()) for k in ("variance", "epistasis")
        )
        assert set(np.sign(variance.log_ratio.ravel())) == {-1, 1}
        assert set(np.sign(epistasis.terms.ravel())) == {-1, 0, 1}

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: random_departure("off", [[1]], strength=1, rng=rng()), "departure must be one of epistasis, "),
            (lambda: random_departure("do", [[1]], strength=-1, rng=rng()), "strength must be a finite number ≥ 0"),
            (lambda: Saturation(0.0), "half must be a number > 0; received 0.0"),
            (lambda: Saturation(np.nan), "half must be a number > 0; received nan"),
            (lambda: Do([[1.0]], noise=-1), "noise must be a finite number ≥ 0"),
            (lambda: Do([[np.inf]]), "values must be finite"),
            (lambda: MechanismChange([[-1.0]]), "rate must be ≥ 0; received -1"),
            (lambda: Epistasis([[[np.nan]]]), "terms must be finite"),
            (lambda: Epistasis(np.zeros((2, 2))), "terms must have 3 dimensions"),
            (lambda: replace(SMALL, departures=(Do([[1.0]]),)), r"do.values must have shape \(2, 2\) for this model"),
            (lambda: replace(SMALL, departures=(Epistasis(np.zeros((2, 2, 3))),)), r"epistasis.terms must have shape"),
            (lambda: DEPARTURES.from_state({"kind": "undo"}), "unknown kind 'undo'; did you mean 'do'"),
        ],
    )
    def test_bad_input(self, make, message):
        with pytest.raises(InputError, match=message):
            make()
