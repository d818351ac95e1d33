"""A harness that cannot fail proves nothing: altered signs, dropped equations and wrong formulas must be refused."""

from dataclasses import replace

import numpy as np
import pytest
from sympy import Add, Identity, Integer, Rational, Symbol, cos, sqrt, symbols
from sympy.matrices.expressions import MatAdd

from theory.assumptions import ADDITIVE
from theory.causal import latent_causal
from theory.claims import CLAIMS
from theory.engine.checker import assess, assess_counterexample, assess_relaxation, prove, residual, vanishes, verify
from theory.engine.instances import structures, worlds
from theory.engine.proof import DEFINITION, Equation, Lemma, Step
from theory.engine.record import Counterexample, Measurement, Model, Relaxation
from theory.identifiability import affine, converse, density_ratio, extrapolation, orthogonal
from theory.prediction import product_formula
from theory.symbols import L, W, W_rival, l_0, l_e

STEPS = [(claim, item) for claim in CLAIMS for item in claim.proof if isinstance(item, Step)]


def is_zero(formula) -> bool:
    return bool(getattr(formula, "is_ZeroMatrix", False)) or formula == 0


def steps_where(condition=lambda step: True):
    chosen = [pytest.param(claim, step, id=f"{claim.name}-{step.name}") for claim, step in STEPS if condition(step)]
    return pytest.mark.parametrize(("claim", "step"), chosen)


of_all = pytest.mark.parametrize(
    "examples",
    [
        pytest.param(lambda kind: [kind(c)[k % len(kind(c))] for k, c in enumerate(CLAIMS) if kind(c)], id="sample"),
        pytest.param(lambda kind: [e for c in CLAIMS for e in kind(c)], id="all", marks=pytest.mark.slow),
    ],
)
"""One example of each claim, at another place in each, or every example."""


def counterexamples(claim):
    return claim.counterexamples


def relaxations(claim):
    return claim.relaxations


def spoilt_premises(example):
    """The example as often as it has premises at size 1, with one of them false each time."""
    sound = example.build(Integer(1))
    for index in range(len(sound.premises)):
        spoilt = replace(sound, premises=(*sound.premises[:index], Integer(1), *sound.premises[index + 1 :]))
        yield replace(example, build=lambda size, spoilt=spoilt: spoilt)


def step_of(claim, name):
    return next(item for item in claim.proof if item.name == name)


@steps_where(lambda step: not is_zero(step.right))
def test_a_negated_step_fails(claim, step):
    assert residual(step.negated(), step.equations) != "0"


@pytest.mark.slow
def test_nearly_every_equation_of_a_step_is_needed():
    """Signs and factors of equations are altered in the campaign; here each is left out."""
    total, needed = 0, 0
    for _, step in STEPS:
        for index in range(len(step.equations)):
            total += 1
            needed += residual(step, step.equations[:index] + step.equations[index + 1 :]) != "0"
    assert needed >= 0.99 * total


@steps_where(lambda step: isinstance(step.right, MatAdd | Add))
def test_a_step_fails_when_the_sign_of_a_term_is_altered(claim, step):
    _assert_signs_matter(step, step.right.args[:3])


@pytest.mark.slow
@steps_where(lambda step: isinstance(step.right, MatAdd | Add) and len(step.right.args) > 3)
def test_a_step_fails_when_the_sign_of_a_further_term_is_altered(claim, step):
    _assert_signs_matter(step, step.right.args[3:])


def _assert_signs_matter(step, terms):
    for term in terms:
        assert residual(replace(step, right=step.right - 2 * term), step.equations) != "0", term


@pytest.mark.parametrize("claim", CLAIMS, ids=[claim.name for claim in CLAIMS])
def test_a_proof_read_backwards_fails(claim):
    outcomes = prove(replace(claim, proof=claim.proof[::-1]))
    assert any(not outcome.passed for outcome in outcomes)


def test_a_failed_step_cannot_be_cited():
    broken = tuple(item.negated() if item.name == "shifts" else item for item in affine.CLAIM.proof)
    failed = {outcome.name for outcome in prove(replace(affine.CLAIM, proof=broken)) if not outcome.passed}
    assert {"shifts", "one_way", "precision", "gram"} == failed


def test_a_claim_cannot_use_one_whose_proof_fails():
    broken = tuple(item.negated() if item.name == "shifts" else item for item in affine.CLAIM.proof)
    outcomes = prove(replace(orthogonal.CLAIM, uses=(replace(affine.CLAIM, proof=broken),)))
    assert not any(outcome.passed for outcome in outcomes)


class TestGenericLetters:
    """A step holds of other letters only if all that it rests on does."""

    x, y, u, v = symbols("x y u v")

    def outcome(self, *proof):
        last = proof[-1]
        said = ((last.left, "=", last.right),)
        return prove(replace(CLAIMS[0], proof=proof, conclusions=(last.name,), says=said, uses=()))[-1]

    def at_y(self, step):
        at = {self.x: self.y}
        return Step("cited", "it holds of y", step.left.xreplace(at), step.right.xreplace(at), (step.equation(at),))

    def test_what_is_defined_is_one_thing(self):
        five = Step("five", "x", self.x, Integer(5), (Equation(DEFINITION, self.x, Integer(5)),), generic=(self.x,))
        assert self.outcome(five).passed
        found = self.outcome(five, self.at_y(five))
        assert (found.passed, "five is of one x alone" in found.detail) == (False, True)

    def test_a_letter_that_another_is_defined_by_is_no_more_generic(self):
        double = Equation(DEFINITION, self.u, 2 * self.x)
        twice = Step("twice", "u", self.u + self.x, 3 * self.x, (double,), generic=(self.x,))
        assert not self.outcome(twice, self.at_y(twice)).passed
        inside = Step("inside", "u drops out", self.x**2 - 1, (self.x - 1) * (self.x + 1), (double,), generic=(self.x,))
        assert self.outcome(inside, self.at_y(inside)).passed

    @pytest.mark.parametrize("generic", [True, False])
    @pytest.mark.parametrize("between", [True, False])
    def test_of_a_lemma_it_holds_as_far_as_the_lemma_does(self, generic, between):
        letters = (self.x,) if generic else ()
        lemma = Lemma("square", "x² = v x", "", (), ((self.x**2, self.v * self.x),), letters)
        x, v = self.x, self.v
        first = Step("first", "x² + 1", x**2 + 1, v * x + 1, (lemma.equation(),), generic=(x,))
        second = Step("second", "x² + 2", x**2 + 2, v * x + 2, (first.equation(),), generic=(x,))
        steps = (first, second) if between else (first,)
        found = self.outcome(lemma, *steps, self.at_y(steps[-1]))
        assert found.passed is generic

    def test_the_product_formula_needs_the_label_of_every_condition(self, monkeypatch):
        """Δ_A and Δ_B are lₑ − l₀ at labels of their own; with one lₑ for both they would be equal."""
        centred = step_of(product_formula.CLAIM, "centred")
        one_label = replace(centred, generic=tuple(letter for letter in centred.generic if letter != l_e))
        monkeypatch.setattr(product_formula, "CENTRED", one_label)
        proof = product_formula._proof()
        failed = {found.name for found in prove(replace(product_formula.CLAIM, proof=proof)) if not found.passed}
        assert {"product", "double"} <= failed


class TestWrongFormulas:
    def test_the_second_mixing_subtracts_the_offset(self):
        step = step_of(converse.CLAIM, "training_labels")
        assert residual(replace(step, left=step.left + 2 * converse.offset), step.equations) != "0"

    def test_the_second_mixing_needs_its_offset_when_the_reference_is_not_zero(self):
        step = step_of(converse.CLAIM, "training_labels")
        without = replace(step, left=step.left + converse.offset)
        at_zero = (*step.equations, Equation(("zero",), l_0, 0 * l_0))
        assert residual(without, step.equations) != "0"
        assert residual(without, at_zero) == "0"

    def test_the_rotation_is_not_its_transpose(self):
        step, H = step_of(orthogonal.CLAIM, "shifts"), affine.H
        assert residual(replace(step, right=H.T * W * L), step.equations) != "0"

    def test_shifts_are_rotated_by_the_jacobian_and_not_by_its_inverse(self):
        step, H = step_of(affine.CLAIM, "one_way"), affine.H
        wrong = Equation(("shifts",), W_rival * L, H.T * W * L)
        assert residual(step, (wrong, *step.equations[1:])) != "0"

    def test_the_covariance_needs_the_transpose(self):
        step, N = step_of(latent_causal.CLAIM, "covariance"), latent_causal.N
        assert residual(replace(step, right=N * latent_causal.D * N), step.equations) != "0"

    def test_effects_do_not_run_backwards(self):
        step = step_of(latent_causal.CLAIM, "explicit_covariance_d3")
        assert residual(replace(step, right=step.right.T.subs(Symbol("a_10"), Symbol("a_01"))), ()) != "0"

    def test_the_slope_needs_the_precision(self):
        step = step_of(density_ratio.CLAIM, "quadratic_terms_cancel")
        without = step.right.xreplace({_letter(step.right, "P"): Identity(density_ratio.d)})
        assert residual(replace(step, right=without), step.equations) != "0"


class TestWrongModelsFailTheChecks:
    """Numerical checks see a relative error of 1e-5."""

    @pytest.mark.parametrize("world", worlds(4))
    def test_density_ratio(self, world):
        slope = density_ratio.slope_of(world)
        assert assess(density_ratio.measure(world, slope)).passed
        assert not assess(density_ratio.measure(world, slope * (1 + 1e-5))).passed
        assert not assess(density_ratio.measure(world, (world.W @ world.shifts).T)).passed

    @pytest.mark.parametrize("world", worlds(4))
    def test_identifiability(self, world):
        wrong = orthogonal.rival_matrix(world) * (1 + 1e-5)
        outcomes = {m.name: assess(m).passed for m in orthogonal.measure(world, wrong)}
        assert not outcomes["orthogonality"]
        assert not outcomes["shifts"]

    @pytest.mark.parametrize("world", worlds(4))
    def test_extrapolation_outside_the_span(self, world):
        assert all(assess(m).passed for m in extrapolation.measure(world, world.inside))
        assert not any(assess(m).passed for m in extrapolation.measure(world, world.outside))

    @pytest.mark.parametrize("world", worlds(4))
    def test_converse_with_the_offset_of_the_wrong_sign(self, world):
        assert all(assess(m).passed for m in converse.measure(world))
        assert not any(assess(m).passed for m in converse.measure(world, offset_sign=-1))

    @pytest.mark.parametrize("structure", structures(4))
    def test_latent_causal(self, structure):
        W = latent_causal.exact_matrix(structure)
        assert assess(latent_causal.measure(structure, W)).passed
        assert not assess(latent_causal.measure(structure, W * (1 + 1e-5))).passed
        assert not assess(latent_causal.measure(structure, structure.S)).passed


def stands(example):
    """Whether a counterexample passes, or a relaxation."""
    return (assess_relaxation if isinstance(example, Relaxation) else assess_counterexample)(example).passed


class TestCases:
    @of_all
    def test_a_counterexample_that_violates_nothing_is_refused(self, examples):
        for example in examples(counterexamples):
            assert not stands(replace(example, build=lambda size, build=example.build: build(Integer(0))))

    @of_all
    def test_a_counterexample_that_needs_no_violation_is_refused(self, examples):
        for example in examples(counterexamples):
            assert not stands(replace(example, build=lambda size, build=example.build: build(Integer(1))))

    @of_all
    def test_a_counterexample_any_of_whose_premises_is_false_is_refused(self, examples):
        for example in examples(counterexamples):
            assert not any(stands(spoilt) for spoilt in spoilt_premises(example))

    @of_all
    def test_a_relaxation_that_does_not_hold_is_refused(self, examples):
        for relaxation in examples(relaxations):
            assert not stands(replace(relaxation, build=lambda size: Model((), Integer(1))))
            assert not any(stands(spoilt) for spoilt in spoilt_premises(relaxation))

    def test_a_counterexample_with_a_false_premise_is_refused(self):
        false = Counterexample(ADDITIVE, "", lambda size: Model(premises=(size,), gap=size))
        assert not stands(false)
        assert "premise" in assess_counterexample(false).detail

    def test_a_gap_must_be_a_constant(self):
        assert not stands(Counterexample(ADDITIVE, "", lambda size: Model((), size * Symbol("t"))))

    def test_a_survivor_with_a_gap_is_refused(self):
        assert not stands(Relaxation(ADDITIVE, "", lambda size: Model((), size)))
        assert not stands(Relaxation(ADDITIVE, "", lambda size: Model((size,), Integer(0))))


class TestJudgement:
    def test_nan_and_infinite_bounds_fail(self):
        assert not assess(Measurement("m", float("nan"), 1.0)).passed
        assert not assess(Measurement("m", 0.0, float("inf"))).passed
        assert not assess(Measurement("m", 2.0, 1.0)).passed
        assert assess(Measurement("m", 1.0, 1.0)).passed

    def test_constants_are_told_from_zero(self):
        t = Symbol("t")
        assert vanishes(sqrt(2) * sqrt(3) - sqrt(6))
        assert vanishes((t + 1) ** 2 - t**2 - 2 * t - 1)
        assert not vanishes(cos(1) - Rational(54, 100))
        assert not vanishes(t)

    def test_a_failed_check_fails_the_verdict(self):
        claim = replace(converse.CLAIM, check=lambda: (Measurement("planted", 1.0, 0.0),))
        verdict = verify(claim)
        assert not verdict.passed
        assert [outcome.name for outcome in verdict.failed] == ["planted", "converse"]  # nor can it be told to be wrong


def _letter(expression, name):
    return next(symbol for symbol in expression.atoms(type(W)) if symbol.name == name)


def test_worlds_are_the_same_at_every_call():
    assert all(np.array_equal(a.W, b.W) for a, b in zip(worlds(3), worlds(3), strict=True))
