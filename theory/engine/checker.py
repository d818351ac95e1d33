"""Trying a claim: proof step by step, numerical check, counterexamples. Pure: records in, records out."""

import inspect
import math
import re
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from sympy import Expr, Integer, Matrix, Rational, cancel, expand, simplify, together
from sympy.matrices import MatrixBase
from sympy.matrices.expressions import MatrixExpr, MatrixSymbol

from theory.assumptions import IMPLIED, NOTATION
from theory.engine.kernel import Ledger, common_factor, fault, is_instance, is_manifest, remember, slack_of
from theory.engine.proof import DEFINITION, Equation, Formula, Lemma, Pair, Step, cited_names
from theory.engine.record import Claim, Counterexample, Measurement, Model, Outcome, Relaxation, Report
from theory.engine.rewriting import normal_form, rules, written


def verify(claim: Claim) -> Report:
    """Run every part of a claim and return what happened."""
    return Report(
        claim=claim,
        proof=(*prove(claim), *stated(claim)),
        check=(*(assess(measurement) for measurement in measurements(claim)), *spoilt(claim)),
        counterexamples=tuple(assess_counterexample(example, claim) for example in claim.counterexamples)
        + tuple(assess_relaxation(relaxation) for relaxation in claim.relaxations)
        + covered(claim),
    )


@cache
def measurements(claim: Claim) -> tuple[Measurement, ...]:
    """The numerical check of a claim, run once."""
    return claim.check()


def spoilt(claim: Claim) -> tuple[Outcome, ...]:
    """Whether everything that a check measures is seen to fail once an ingredient of it is wrong."""
    if not inspect.signature(claim.check).parameters:
        return () if not claim.says else (Outcome("fault", claim.name, False, "the check cannot be told to be wrong"),)
    names = {measurement.name for measurement in measurements(claim)}
    failed = {m.name for m in claim.check(1.0) if not m.value <= m.bound}
    unseen = sorted(names - failed)
    detail = f"a wrong ingredient is not seen by {', '.join(unseen)}" if unseen or not names else "every fault is seen"
    return (Outcome("fault", claim.name, bool(names) and not unseen, detail),)


def prove(claim: Claim) -> tuple[Outcome, ...]:
    """Examine the proof in order: a step may use assumptions, used claims, and what was established before it.

    An equation that is not stated by what it cites, or cites something unavailable, is not applied, so a dropped
    assumption shows as a residual that does not vanish, in the first step that needs it and in all that follow from it.
    """
    ledger, outcomes = ledger_of(claim), []
    for item in claim.proof:
        outcome = assess_step(item, ledger)
        outcomes.append(outcome)
        if outcome.passed:
            remember(item, ledger)
    return tuple(outcomes)


def stated(claim: Claim) -> tuple[Outcome, ...]:
    """Whether the statement is what was concluded: formula by formula, and every inequality in it the right way round.

    Each formula of `says` must be that of a conclusion, in the order of `conclusions`, and every item that leads
    nowhere must be a conclusion, or be named as a mere confirmation.
    """
    if not claim.says:
        return (Outcome("statement", claim.name, False, "the statement has no formulas"),)
    items, faults = {item.name: item for item in claim.proof}, []
    if len(claim.says) != len(claim.conclusions):
        faults.append(f"{len(claim.says)} formulas for {len(claim.conclusions)} conclusions")
    for name, said in zip(claim.conclusions, claim.says, strict=False):
        if name not in items or not _is_said(items[name], said):
            faults.append(f"the statement is not what `{name}` concludes")
    cited = {name for item in claim.proof for name in citations(item)}
    idle = set(items) - cited - set(claim.conclusions) - set(claim.confirmations)
    faults += [f"`{name}` leads nowhere" for name in sorted(idle)]
    faults += _turned_round(claim)
    broken = {a.name: _failing_without(claim, a.name) for a in claim.assumptions}
    faults += [f"nothing rests on {name}" for name, failing in broken.items() if not failing]
    faults += [
        f"`{case.refutes}` does not rest on {case.drops.name}, without which it is refuted"
        for case in claim.counterexamples
        if case.refutes not in broken.get(case.drops.name, ())
    ]
    faults += [f"nothing uses {old} = {new} of `{name}`" for name, (old, new) in unused(claim)]
    return (Outcome("statement", claim.name, not faults, "; ".join(faults) or "what is concluded"),)


def citations(item: Step | Lemma) -> set[str]:
    """The names that an item of a proof rests on."""
    return set(item.rests_on) if isinstance(item, Lemma) else _cited(item)


def _cited(step: Step) -> set[str]:
    return {name for equation in step.equations for name in equation.rests_on} | set(cited_names(step.positive))


def _is_said(item: Step | Lemma, said: Any) -> bool:
    if isinstance(said, str):
        return isinstance(item, Lemma) and item.statement == said
    left, relation, right = said
    if isinstance(item, Lemma):
        return relation == "=" and (left, right) in item.states
    return (item.left, item.relation, item.right) == (left, relation, right)


def _turned_round(claim: Claim) -> list[str]:
    """An inequality in the formula of the statement that no conclusion has."""
    formal = {said[1] for said in claim.says if not isinstance(said, str)} & set(_SPELLED)
    wrong = [sign for sign, spelled in _SPELLED.items() if sign not in formal and re.search(spelled, claim.latex)]
    return [f"the statement has {sign}, the conclusions have not" for sign in wrong if formal]


_SPELLED = {"≥": r"\\ge(?![a-z])", "≤": r"\\le(?![a-z])"}


def _failing_without(claim: Claim, name: str) -> set[str]:
    """The items of the proof that fail without an assumption."""
    weaker = replace(claim, assumptions=tuple(a for a in claim.assumptions if a.name != name))
    return {outcome.name for outcome in prove(weaker) if not outcome.passed}


def unused(claim: Claim) -> list[tuple[str, Pair]]:
    """The equations that lemmas state and that no step uses, other than conclusions."""
    said = [(one[0], one[2]) for one in claim.says if not isinstance(one, str)]
    equations = [equation for item in claim.proof if isinstance(item, Step) for equation in item.equations]
    return [
        (item.name, pair)
        for item in claim.proof
        if isinstance(item, Lemma)
        for pair in item.states
        if pair not in said and not any(item.name in e.rests_on and is_instance(pair, e) for e in equations)
    ]


def ledger_of(claim: Claim) -> Ledger:
    """What a proof may use from the start."""
    known = available(claim)
    facts: dict[str, Any] = {a.name: a for a in (*IMPLIED, *claim.assumptions) if a.name in known}
    facts |= {NOTATION.name: NOTATION} | {other.name: other for other in claim.uses if other.name in known}
    return Ledger(known, facts, strict=bool(claim.says))


def available(claim: Claim) -> frozenset[str]:
    """The names a proof may cite from the start."""
    named = {a.name for a in claim.assumptions}.union(*(a.implies for a in claim.assumptions))
    used = {other.name for other in claim.uses if _applies(other, named)}
    return frozenset({DEFINITION, NOTATION.name} | named | used)


def assess_step(item: Step | Lemma, ledger: Ledger) -> Outcome:
    """Whether a step's residual vanishes, or a lemma rests on what is available."""
    if isinstance(item, Lemma):
        missing = sorted(set(item.rests_on) - ledger.known)
        unsaid = sorted(_referred(item) & set(ledger.facts) - set(item.rests_on)) if ledger.strict else []
        wrong_citations = [f"rests on {', '.join(missing)}"] * bool(missing)
        wrong_citations += [f"its reason refers to {', '.join(unsaid)}"] * bool(unsaid)
        return Outcome("lemma", item.name, not wrong_citations, "; ".join(wrong_citations) or item.reason)
    faults = {equation: fault(equation, item, ledger) for equation in item.equations}
    left_over = residual(item, tuple(equation for equation, wrong in faults.items() if not wrong))
    wrong = [text for text in faults.values() if text] + (
        [] if is_manifest(item, ledger) else ["slack may be negative"]
    )
    wrong += (
        [f"the left side has the factor {common_factor(item)}"] if ledger.strict and common_factor(item) > 1 else []
    )
    passed = left_over == "0" and not wrong
    return Outcome("step", item.name, passed, "; ".join([f"residual {left_over}", *wrong]))


def _referred(lemma: Lemma) -> set[str]:
    """The names in the reason of a lemma."""
    return set(re.findall(r"`([^`]+)`", lemma.reason))


@lru_cache(maxsize=4096)
def residual(step: Step, equations: tuple[Equation, ...]) -> str:
    """What is left of left − right under the given equations, as text; "0" when the step is established."""
    larger, smaller = (step.right, step.left) if step.relation == "≤" else (step.left, step.right)
    if not isinstance(step.left, MatrixExpr) or not step.left.atoms(MatrixSymbol):
        excess = _computed(larger) - smaller
        return explicit_residual(excess if step.slack is None else excess - slack_of(step), equations)
    hypotheses = [rule for equation in equations for rule in rules(equation.old, equation.new)]
    excess = larger - smaller if step.slack is None else larger - smaller - slack_of(step)
    return written(normal_form(excess, hypotheses))


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


def covered(claim: Claim) -> tuple[Outcome, ...]:
    """Whether every assumption is dropped once, by a counterexample or by a model that shows it is not needed."""
    if not claim.says:
        return ()
    dropped = sorted([*(case.drops.name for case in claim.counterexamples), *(r.drops.name for r in claim.relaxations)])
    assumed = sorted(a.name for a in claim.assumptions)
    return (Outcome("cover", claim.name, dropped == assumed, f"dropped {', '.join(dropped)} of {', '.join(assumed)}"),)


def assess_counterexample(example: Counterexample, claim: Claim | None = None) -> Outcome:
    """Whether the model without the assumption violates the conclusion, and the model with it does not.

    What differs must be against a conclusion of this claim, and something must agree as a function and not as a number.
    """
    broken, control = example.build(Integer(1)), example.build(Integer(0))
    faults = _premise_faults(broken) + _premise_faults(control)
    if claim is not None and claim.says:
        faults += _untold(example, broken, claim)
    if broken.gap.free_symbols:
        faults += (f"the gap is not a constant: {broken.gap}",)
    if vanishes(broken.gap):
        faults += ("the conclusion holds although the assumption is dropped",)
    if not vanishes(control.gap):
        faults += (f"the conclusion fails although nothing is violated: gap {control.gap}",)
    return Outcome(
        "counterexample", f"without {example.drops.name}", not faults, "; ".join(faults) or f"gap {broken.gap}"
    )


def _untold(example: Counterexample, broken: Model, claim: Claim) -> tuple[str, ...]:
    """What a counterexample leaves unsaid."""
    faults: tuple[str, ...] = ()
    faults += () if example.refutes in claim.conclusions else (f"{example.refutes!r} is no conclusion of the claim",)
    faults += () if example.drops in claim.assumptions else (f"the claim does not assume {example.drops.name}",)
    faults += () if inspect.getdoc(example.build) else ("the two models are not described",)
    functions = [pair for pair in broken.agree if pair.own.free_symbols and pair.rival.free_symbols]
    return faults + (() if broken.differ is not None and functions else ("nothing agrees as a function",))


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
