"""Trying a claim: proof step by step, numerical check, counterexamples. Pure: records in, records out."""

import math
from functools import cache, lru_cache

from sympy import Expr, Integer, Matrix, Rational, cancel, expand, simplify, together
from sympy.matrices import MatrixBase
from sympy.matrices.expressions import MatrixExpr, MatrixSymbol

from theory.engine.proof import DEFINITION, Equation, Formula, Lemma, Step
from theory.engine.record import Claim, Counterexample, Measurement, Model, Outcome, Relaxation, Report
from theory.engine.rewriting import normal_form, rules, written


def verify(claim: Claim) -> Report:
    """Run every part of a claim and return what happened."""
    return Report(
        claim=claim,
        proof=prove(claim),
        check=tuple(assess(measurement) for measurement in measurements(claim)),
        counterexamples=tuple(assess_counterexample(example) for example in claim.counterexamples)
        + tuple(assess_relaxation(relaxation) for relaxation in claim.relaxations),
    )


@cache
def measurements(claim: Claim) -> tuple[Measurement, ...]:
    """The numerical check of a claim, run once."""
    return claim.check()


def prove(claim: Claim) -> tuple[Outcome, ...]:
    """Examine the proof in order: a step may use assumptions, used claims, and what was established before it.

    An equation that rests on something unavailable is not applied, so a dropped assumption shows as a residual that
    does not vanish, in the first step that needs it and in all that follow from it.
    """
    known, outcomes = available(claim), []
    for item in claim.proof:
        outcome = assess_step(item, known)
        outcomes.append(outcome)
        known = known | {item.name} if outcome.passed else known
    return tuple(outcomes)


def available(claim: Claim) -> frozenset[str]:
    """The names a proof may cite from the start."""
    named = {a.name for a in claim.assumptions}.union(*(a.implies for a in claim.assumptions))
    used = {other.name for other in claim.uses if _applies(other, named)}
    return frozenset({DEFINITION} | named | used)


def assess_step(item: Step | Lemma, known: frozenset[str]) -> Outcome:
    """Whether a step's residual vanishes, or a lemma rests on what is available."""
    if isinstance(item, Lemma):
        missing = sorted(set(item.rests_on) - known)
        return Outcome("lemma", item.name, not missing, f"rests on {', '.join(missing)}" if missing else item.reason)
    usable = tuple(equation for equation in item.equations if set(equation.rests_on) <= known)
    left_over = residual(item, usable)
    return Outcome("step", item.name, left_over == "0", f"residual {left_over}")


@lru_cache(maxsize=4096)
def residual(step: Step, equations: tuple[Equation, ...]) -> str:
    """What is left of left − right under the given equations, as text; "0" when the step is established."""
    if not isinstance(step.left, MatrixExpr) or not step.left.atoms(MatrixSymbol):
        return explicit_residual(_computed(step.left) - step.right, equations)
    hypotheses = [rule for equation in equations for rule in rules(equation.old, equation.new)]
    return written(normal_form(step.left - step.right, hypotheses))


def _computed(side: Formula) -> Formula:
    """A side that is written as products, derivatives or a permanent still to be taken, worked out."""
    computed = side.doit()
    return Matrix(computed) if isinstance(computed, MatrixExpr) else computed


def explicit_residual(difference: Formula, equations: tuple[Equation, ...] = ()) -> str:
    """The residual of an explicit expression or matrix, with the given equations substituted."""
    substituted = difference.subs([(equation.old, equation.new) for equation in equations])
    entries = [_simplest(entry) for entry in _entries(substituted)]
    return "0" if all(entry == 0 for entry in entries) else str(entries if len(entries) > 1 else entries[0])


def assess(measurement: Measurement) -> Outcome:
    """Whether a numerical deviation stays within its bound; a NaN does not."""
    passed = math.isfinite(measurement.bound) and measurement.value <= measurement.bound
    return Outcome("check", measurement.name, passed, f"{measurement.value:.2e} of {measurement.bound:.2e} allowed")


def assess_counterexample(example: Counterexample) -> Outcome:
    """Whether the model without the assumption violates the conclusion, and the model with it does not."""
    broken, control = example.build(Integer(1)), example.build(Integer(0))
    faults = _premise_faults(broken) + _premise_faults(control)
    if broken.gap.free_symbols:
        faults += (f"the gap is not a constant: {broken.gap}",)
    if vanishes(broken.gap):
        faults += ("the conclusion holds although the assumption is dropped",)
    if not vanishes(control.gap):
        faults += (f"the conclusion fails although nothing is violated: gap {control.gap}",)
    return Outcome(
        "counterexample", f"without {example.drops.name}", not faults, "; ".join(faults) or f"gap {broken.gap}"
    )


def assess_relaxation(relaxation: Relaxation) -> Outcome:
    """Whether the conclusion still holds in the model without the assumption."""
    case = relaxation.build(Integer(1))
    faults = _premise_faults(case) + (() if vanishes(case.gap) else (f"gap {case.gap}",))
    return Outcome("relaxation", f"even without {relaxation.drops.name}", not faults, "; ".join(faults) or "gap 0")


def vanishes(formula: Formula) -> bool:
    """Whether an explicit expression or matrix is identically zero.

    A gap that does not simplify to zero must be shown to differ from it, so constants are decided by evaluation.

    Raises:
        ArithmeticError: if an expression without free symbols can be neither simplified to zero nor told from it.
    """
    return all(_is_zero(entry) for entry in _entries(formula))


def _applies(other: Claim, named: set[str]) -> bool:
    return {a.name for a in other.assumptions} <= named and _is_proved(other)


@cache
def _is_proved(claim: Claim) -> bool:
    return all(outcome.passed for outcome in prove(claim))


def _premise_faults(case: Model) -> tuple[str, ...]:
    return tuple(f"premise does not hold: {premise}" for premise in case.premises if not vanishes(premise))


def _is_zero(expression: Expr) -> bool:
    simplest = _simplest(expression)
    if simplest == 0 or simplest.free_symbols:
        return simplest == 0
    if not abs(simplest.evalf(40)) > 1e-30:
        raise ArithmeticError(f"cannot tell {simplest} from zero")
    return False


def _entries(formula: Formula) -> list[Expr]:
    return list(Matrix([formula])) if not isinstance(formula, MatrixBase) else list(formula)


def _simplest(expression: Expr) -> Expr:
    """The expression in its simplest form, or as far as it takes to see that it is not zero."""
    for attempt in (expand, lambda e: cancel(together(e)), simplify):
        if _differs_from_zero(expression):
            break
        expression = attempt(expression)
    return expression


def _differs_from_zero(expression: Expr) -> bool:
    """Whether the value at one point says so, which spares the search for a form in which it would vanish."""
    ordered = sorted(expression.free_symbols, key=str)
    point = {s: Integer(k + 2) if s.is_integer else Rational(2 * k + 3, 7) for k, s in enumerate(ordered)}
    try:
        value = expression.evalf(subs=point)
    except (ValueError, ZeroDivisionError):  # the point is outside the domain
        return False
    return bool(value.is_number and value.is_finite and abs(value) > 1e-6)
