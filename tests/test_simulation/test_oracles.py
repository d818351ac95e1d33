"""What the simulator claims to know exactly, against quadrature, closed forms, sampling and the analysis room."""

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate

from pdae_sim import strategies
from pdae_sim.analysis.verdict import judge
from pdae_sim.errors import InputError
from pdae_sim.simulation._oracles import in_span, overlap
from pdae_sim.simulation.assumptions import Assumptions
from pdae_sim.simulation.departures import VarianceIntervention
from pdae_sim.simulation.designs import planted
from pdae_sim.simulation.latent import LinearLatentModel
from pdae_sim.simulation.laws import LAWS, Gaussian, Laplace
from pdae_sim.simulation.mixings import random_mixing
from pdae_sim.simulation.observation import Chain, GaussianNoise, LogNormalise, NegativeBinomial
from pdae_sim.simulation.simulator import Simulator

LINE = LinearLatentModel([[0.0]], [1.5], [[1.2]])
PLANE = LinearLatentModel([[0.0, 0.0], [0.7, 0.0]], [1.0, 0.5], [[1.0, 0.5], [0.0, 1.0]])


few = settings(max_examples=15)


def rng(seed=0):
    return np.random.default_rng(seed)


def simulator(latent=PLANE, n_observed=2, kind="stack", **options):
    return Simulator(latent, random_mixing(latent.n_latents, n_observed, rng=rng(4), kind=kind, **options))


class TestDensities:
    @pytest.mark.parametrize("kind", ["linear", "monotone", "stack", "spline"])
    @pytest.mark.parametrize("condition", ["ctrl", "A", "A:2.5"])
    def test_one_dimensional_densities_integrate_to_one(self, kind, condition):
        world = simulator(LINE, 1, kind)
        ends = world.decode(np.array([[-12.0], [15.0]])).ravel()
        grid = np.linspace(*ends, 40_001)
        total = integrate.simpson(np.exp(world.log_density(grid[:, None], condition)), x=grid)
        assert abs(total) == pytest.approx(1, abs=1e-6)

    @pytest.mark.parametrize("kind", ["linear", "monotone", "stack", "coupling", "henon", "spline"])
    def test_two_dimensional_densities_integrate_to_one(self, kind):
        """Importance sampling from a wide Gaussian around the cells, within five standard errors."""
        world = simulator(kind=kind)
        cells = world.sample(["A+B"], 4000, rng=0).data.x
        centre, spread = cells.mean(0), 2.0 * np.cov(cells.T)
        x = rng(1).multivariate_normal(centre, spread, 60_000)
        whitened = np.linalg.solve(np.linalg.cholesky(spread), (x - centre).T)
        log_proposal = -0.5 * (whitened**2).sum(0) - np.log(2 * np.pi) - 0.5 * np.linalg.slogdet(spread)[1]
        weights = np.exp(world.log_density(x, "A+B") - log_proposal)
        assert abs(weights.mean() - 1) < 5 * weights.std() / np.sqrt(len(weights)) + 1e-3
        assert weights.std() < 40

    def test_an_embedded_density_integrates_to_one_over_the_image(self):
        """A curve in R³: ∫ p(x(t)) |x'(t)| dt over the latent line, with the speed by differences."""
        world = simulator(LINE, 3)
        t, step = np.linspace(-9, 12, 20_001, retstep=True)
        x = world.decode(t[:, None])
        speed = np.linalg.norm(np.gradient(x, step, axis=0), axis=1)
        assert integrate.simpson(np.exp(world.log_density(x, "A")) * speed, x=t) == pytest.approx(1, abs=1e-5)

    def test_a_wrong_volume_does_not(self):
        """The negative control: without the volume of f the integral is not one."""
        world = simulator(LINE, 1)
        ends = world.decode(np.array([[-12.0], [15.0]])).ravel()
        grid = np.linspace(*ends, 20_001)
        z = world.encode(grid[:, None])
        assert abs(integrate.simpson(np.exp(world.latent.log_density(z, [0.0])), x=grid)) != pytest.approx(1, abs=0.05)

    @pytest.mark.parametrize("n_observed", [2, 6])
    def test_ratios_are_log_linear_in_the_latents(self, n_observed):
        """Claim 2.1: log p_l − log p_0 = (W l)ᵀ Σ⁻¹ z − ½ (W l)ᵀ Σ⁻¹ W l."""
        world = simulator(n_observed=n_observed)
        drawn = world.sample(["ctrl"], 200, rng=0)
        move = PLANE.perturbation_matrix @ [0.5, 2.0]
        slope = np.linalg.solve(PLANE.covariance, move)
        known = drawn.truth.z @ slope - 0.5 * move @ slope
        assert np.allclose(world.log_density_ratio(drawn.data.x, "A:0.5+B:2"), known, atol=1e-8)
        apart = world.log_density(drawn.data.x, "A:0.5+B:2") - world.log_density(drawn.data.x, "ctrl")
        assert np.allclose(apart, known, atol=1e-8)

    @pytest.mark.statistical
    @pytest.mark.parametrize("law", LAWS)
    def test_a_ratio_turns_one_condition_into_another(self, law):
        """Σ w z over control cells is the mean under A; heavy tails keep the weights bounded."""
        latent = LinearLatentModel.random(2, 1, graph="chain", shift=0.4, noise=law, rng=1)
        world = simulator(latent, 5)
        drawn = world.sample(["ctrl"], 40_000, rng=0)
        weights = np.exp(world.log_density_ratio(drawn.data.x, "A"))
        if law != "skewed":  # whose support moves with the shift
            terms = weights[:, None] * (drawn.truth.z - world.mean("A"))
            assert abs(weights.mean() - 1) < 5 * weights.std() / np.sqrt(len(weights))
            assert (np.abs(terms.mean(0)) < 5 * terms.std(0) / np.sqrt(len(terms))).all()

    def test_noise_leaves_no_closed_form(self):
        world = Simulator(PLANE, simulator().mixing, GaussianNoise(0.1))
        with pytest.raises(InputError, match="no closed-form density under observation 'gaussian'"):
            world.log_density(np.zeros((1, 2)), "A")

    def test_bad_points_are_refused(self):
        with pytest.raises(InputError, match="x must have 2 columns; received 3"):
            simulator().log_density(np.zeros((1, 3)), "A")
        with pytest.raises(InputError, match="unknown perturbation 'Z'"):
            simulator().log_density(np.zeros((1, 2)), "Z")


class TestMoments:
    @few
    @given(strategies.simulators(), st.data())
    def test_means_add_up_and_the_covariance_stays(self, world, data):
        label = data.draw(strategies.labels(world.latent.n_perturbations, kind="float"))
        assert np.allclose(world.mean(label), world.latent.perturbation_matrix @ np.array(label), atol=1e-9)
        assert np.allclose(world.covariance(label), world.latent.covariance)

    def test_encoder_and_decoder_are_each_others_inverse(self):
        world = simulator(n_observed=5)
        drawn = world.sample(["A", "B"], 300, rng=0)
        assert np.allclose(world.encode(drawn.data.x), drawn.truth.z, rtol=1e-10, atol=1e-10)
        assert np.array_equal(world.decode(drawn.truth.z), drawn.data.x)


class TestVerdicts:
    @settings(max_examples=40)
    @given(strategies.span_problems(kind="float"))
    def test_planted_span_problems(self, problem):
        assert in_span(np.array(problem.train, float), np.array([problem.test], float)) == [problem.identified]

    @given(st.integers(0, 2**32 - 1), st.integers(1, 4))
    def test_planted_designs_and_sympy(self, seed, rank):
        design = planted(5, 6, rank=rank, n_in_span=2, n_out_of_span=2, rng=seed)
        assert in_span(design.train, design.test) == design.planted.tolist()
        L = sympy.Matrix([[sympy.Rational(v) for v in row] for row in design.train])
        ranks = [L.col_join(sympy.Matrix([[sympy.Rational(v) for v in row]])).rank() for row in design.test]
        assert [r == L.rank() for r in ranks] == design.planted.tolist()

    def test_a_tiny_dose_is_still_outside(self):
        train = np.array([[0.0, 0, 0], [1e7, 0, 0], [0, 1e7, 0]])
        assert in_span(train, np.array([[1, 1, 1e-6], [1.0, 1.0, 0.0]])) == [False, True]

    @settings(max_examples=30)
    @given(st.integers(0, 2**32 - 1))
    def test_analysis_reaches_the_same_verdicts(self, seed):
        """Two independent roads: elimination and χ² here, certificates and whitened distances there."""
        latent = LinearLatentModel.random(3, 5, targets="multi", rng=seed)
        design = planted(5, 6, rank=3, n_in_span=3, n_out_of_span=2, rng=seed)
        counts = rng(seed).integers(100, 5000, len(design.train))
        true = Simulator(latent, random_mixing(3, 3, rng=rng(0))).verdicts(design.test, design.train, counts)
        W = latent.whitening @ latent.perturbation_matrix
        judged = judge(design.train, design.test, counts=counts, perturbation_matrix=W)
        assert [v.name for v in true] == [v.name for v in judged]
        for a, b in zip(true, judged, strict=True):
            if a.in_span:
                assert a.effective_cells == pytest.approx(b.effective_cells, rel=1e-6, abs=1e-12)

    def test_overlap_of_laplace_shifts_in_closed_form(self):
        """1 + χ² = ⅔ e^{a/b} + ⅓ e^{−2a/b} for a shift by a of a Laplace law of scale b = 1/√2."""
        model = LinearLatentModel([[0.0]], [4.0], [[1.0]], Laplace())
        for dose in (0.3, 1.0, 5.0):
            a = dose / 2 * np.sqrt(2)
            known = 1 / (2 / 3 * np.exp(a) + np.exp(-2 * a) / 3)
            assert overlap(model.noise, *(model.mechanisms([d]) for d in (dose, 0.0))) == pytest.approx(known, rel=1e-6)

    @pytest.mark.parametrize("law", LAWS)
    def test_overlap_is_one_at_home_and_falls_with_distance(self, law):
        model = LinearLatentModel([[0.0]], [1.0], [[1.0]], LAWS[law]())
        fractions = [
            overlap(model.noise, *(model.mechanisms([d]) for d in (dose, 0.0))) for dose in (0, 0.25, 0.5, 1.0, 2.0)
        ]
        assert fractions[0] == 1
        assert (np.diff(fractions) < 0).all()

    def test_a_law_whose_support_ends_covers_one_side_only(self):
        model = LinearLatentModel([[0.0]], [1.0], [[1.0]], LAWS["skewed"]())
        right, left = (overlap(model.noise, *(model.mechanisms([d]) for d in (dose, 0.0))) for dose in (0.3, -0.3))
        assert right > 0.5
        assert left == 0

    def test_overlap_of_gaussians_of_different_spread_by_quadrature(self):
        model = LinearLatentModel([[0.0]], [1.0], [[1.0]], Gaussian(), (VarianceIntervention([[-0.4]]),))
        p, q = model.mechanisms([0.7]), model.mechanisms([0.0])

        def integrand(z):
            at = np.array([[z]])
            return float(np.exp(2 * p.log_density(at, Gaussian()) - q.log_density(at, Gaussian()))[0])

        assert overlap(Gaussian(), p, q) == pytest.approx(1 / integrate.quad(integrand, -15, 15)[0], rel=1e-6)
        assert overlap(Gaussian(), q, model.mechanisms([3.0])) == 0  # a wide law is not covered by a narrow one

    @pytest.mark.statistical
    def test_effective_cells_are_those_of_importance_weights(self):
        """(Σ w)² / Σ w² over control cells, w = dP_A / dP_0, against n / (1 + χ²)."""
        world, n = simulator(), 100_000
        drawn = world.sample(["ctrl"], n, rng=0)
        weights = np.exp(world.log_density_ratio(drawn.data.x, "A:0.6"))
        (verdict,) = world.verdicts(["A:0.6"], ["ctrl"], n)
        assert weights.sum() ** 2 / (weights**2).sum() == pytest.approx(verdict.effective_cells, rel=0.05)

    def test_the_three_verdicts(self):
        world = simulator(LinearLatentModel([[0, 0], [0, 0]], [1, 1], [[1.5, 0, 1], [0, 1.5, 1]]))
        verdicts = world.verdicts(["A+B", "A:3+B:3", "A+C"], ["ctrl", "A", "B"], 4096)
        assert [v.name for v in verdicts] == [
            "identified and supported",
            "identified, off support",
            "not identified",
        ]
        assert [v.guaranteed for v in verdicts] == [True, True, False]
        assert verdicts[0].effective_cells == pytest.approx(4096 * (2 * np.exp(-2.25) + np.exp(-4.5)))

    def test_nothing_is_guaranteed_where_an_assumption_fails(self):
        blurred = Simulator(PLANE, simulator(n_observed=10).mixing, Chain((GaussianNoise(0.1), LogNormalise())))
        assert blurred.assumptions().broken == ("noiseless", "recoverable")
        (verdict,) = blurred.verdicts(["A+B"], ["ctrl", "A", "B"], 100)
        assert (verdict.in_span, verdict.guaranteed, verdict.name) == (True, False, "in the span, no guarantee")
        assert verdict.recovery == ""

    def test_noise_of_a_known_law_costs_no_guarantee(self):
        noisy = Simulator(PLANE, simulator().mixing, GaussianNoise(0.1))
        inside, outside = noisy.verdicts(["A:2", "B"], ["ctrl", "A"], 100)
        assert (inside.guaranteed, inside.name) == (True, "identified, off support")
        assert "claim 2.11" in inside.recovery
        assert (outside.guaranteed, outside.name, outside.recovery) == (False, "not identified", "")
        assert simulator().verdicts(["A+B"], ["ctrl", "A", "B"], 100)[0].recovery == ""  # nothing to recover from

    def test_thirds_in_condition_strings_are_thirds(self):
        assert simulator().verdicts(["A+B:3"], ["ctrl", "A:1/3+B"], 100)[0].in_span
        assert not simulator().verdicts([[1.0, 3.0]], ["ctrl", [1 / 3, 1.0]], 100)[0].in_span  # a float is no third

    def test_a_law_without_noise_is_not_covered_by_one_with_it(self):
        from pdae_sim.simulation.departures import Do

        model = LinearLatentModel([[0.0]], [1.0], [[1.0]], Gaussian(), (Do([[2.0]]),))
        set_, free = model.mechanisms([1.0]), model.mechanisms([0.0])
        assert overlap(Gaussian(), set_, free) == overlap(Gaussian(), free, set_) == 0
        assert overlap(Gaussian(), set_, set_) is None


class TestAssumptions:
    def test_an_honest_world_breaks_nothing(self):
        assumptions = simulator(n_observed=5).assumptions(["ctrl", "A", "B"])
        assert assumptions.broken == ()
        assert assumptions.hold()
        assert assumptions.extrapolation

    def test_diversity_is_that_of_the_training_labels(self):
        world = simulator()
        assert world.assumptions(["ctrl", "A", "B"]).diverse is True
        assert world.assumptions(["ctrl", "A", "A:2"]).diverse is False
        assert world.assumptions().diverse is None
        assert not world.assumptions().hold("diverse")
        assert world.assumptions().hold()  # none is known to fail

    @pytest.mark.parametrize(("n_observed", "broken"), [(2, ("noiseless", "injective")), (6, ("noiseless",))])
    def test_a_lost_total_needs_more_features_than_twice_the_latents(self, n_observed, broken):
        """Two latents: five directions are left of six features, and almost every smooth f is injective in five."""
        counts = NegativeBinomial(100.0, 0.3, 0.0, 0.5, 0.0, 1.0, 0.3)
        world = Simulator(PLANE, simulator(n_observed=n_observed).mixing, counts)
        assert world.assumptions().broken == broken
        assert world.assumptions().extrapolation == (broken == ("noiseless",))

    def test_names_are_those_of_the_theory(self):
        from theory import assumptions as witness

        known = {value.name for value in vars(witness).values() if hasattr(value, "name")}
        ours = set(Assumptions.__dataclass_fields__)
        assert ours - {"smooth"} <= known
