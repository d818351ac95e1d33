"""Corruptions of the claims, of every kind that a referee tried, generated over all records.

`mutants(claim)` yields (family, what was done, corrupted claim); `is_noticed` says whether `python -m theory check`
would fail on it.
"""

from collections.abc import Iterator
from dataclasses import fields, replace
from inspect import signature

from sympy import Expr, Integer, Pow
from sympy.matrices.expressions import MatrixExpr

from theory.engine import checker
from theory.engine.proof import DEFINITION, Step
from theory.engine.record import Measurement, Model

FLIPPED = {"≥": "≤", "≤": "≥"}


def is_noticed(corrupted) -> bool:
    """Whether any part of a claim fails; the parts that are cheap first, and a crash is noticed."""
    parts = (_proof, _statement, _counterexamples, _check)
    try:
        return any(not outcome.passed for part in parts for outcome in part(corrupted))
    except (ArithmeticError, TypeError, ValueError, AttributeError, IndexError):
        return True


def _proof(claim):
    return checker.prove(claim)


def _statement(claim):
    return getattr(checker, "stated", lambda claim: ())(claim)


def _counterexamples(claim):
    assess = checker.assess_counterexample
    told = (lambda e: assess(e, claim)) if len(signature(assess).parameters) > 1 else assess
    yield from getattr(checker, "covered", lambda claim: ())(claim)
    yield from (told(example) for example in claim.counterexamples if id(example) not in _SOUND)
    yield from (checker.assess_relaxation(case) for case in claim.relaxations if id(case) not in _SOUND)


def _check(claim):
    if claim.check in _SOUND_CHECKS:
        return
    yield from (checker.assess(measurement) for measurement in checker.measurements(claim))
    yield from getattr(checker, "spoilt", lambda claim: ())(claim)


_SOUND: set[int] = set()
_SOUND_CHECKS: set = set()


def trust(claims) -> None:
    """Take counterexamples and checks of these claims as they are for sound, so that only what is altered is run."""
    for claim in claims:
        _SOUND.update(map(id, (*claim.counterexamples, *claim.relaxations)))
        _SOUND_CHECKS.add(claim.check)


def mutants(claim, others=()) -> Iterator[tuple[str, str, object]]:
    """All corruptions of a claim; counterexamples of `others` are put in the place of its own."""
    yield from _of_items(claim)
    yield from _of_statement(claim)
    yield from _of_records(claim, others)


def _with(claim, place, item):
    return replace(claim, proof=(*claim.proof[:place], item, *claim.proof[place + 1 :]))


def _of_items(claim):
    for place, item in enumerate(claim.proof):
        for family, done, altered in _of_step(item) if isinstance(item, Step) else _of_lemma(item):
            yield family, f"{item.name}: {done}", _with(claim, place, altered)


def _of_step(step):
    if getattr(step, "relation", "=") != "=":
        yield "reversed inequality", "relation", replace(step, relation=FLIPPED[step.relation])
    if not _is_zero(step.right):
        yield "sign", "right side", replace(step, right=-step.right)
        yield "factor on both sides", "both sides", replace(step, left=2 * step.left, right=2 * step.right)
        yield "factor on one side", "right side", replace(step, right=2 * step.right)
    for wrong in _exponents(step.right):
        yield "wrong exponent", "right side", replace(step, right=wrong)
    for place, equation in enumerate(step.equations):
        for family, done, altered in _of_equation(equation):
            yield family, f"{done} of {equation.old}", _using(step, place, altered)
        if not _is_zero(equation.new) and not _is_zero(step.right):
            both = _using(step, place, replace(equation, new=2 * equation.new))
            yield "factor on both sides", f"{equation.old} and right side", replace(both, right=2 * step.right)


def _using(step, place, equation):
    return replace(step, equations=(*step.equations[:place], equation, *step.equations[place + 1 :]))


def _of_equation(equation):
    if equation.rests_on != (DEFINITION,):
        yield "premise as definition", "definition in place", replace(equation, cites=DEFINITION)
    for name in equation.rests_on if len(equation.rests_on) > 1 else ():
        rest = tuple(other for other in equation.rests_on if other != name)
        yield "dropped citation", f"{name}", replace(equation, cites=rest)
    if _is_zero(equation.new):
        return
    shifted = "factor in an index shift" if getattr(equation, "at", ()) else "factor in a premise"
    yield shifted, "factor", replace(equation, new=2 * equation.new)
    yield "sign", "sign", replace(equation, new=-equation.new)
    for wrong in _exponents(equation.new):
        yield "wrong exponent", "exponent", replace(equation, new=wrong)


def _of_lemma(lemma):
    for name in lemma.rests_on:
        rest = tuple(other for other in lemma.rests_on if other != name)
        yield "dropped citation", name, replace(lemma, cites=rest)
    for place, (left, right) in enumerate(getattr(lemma, "states", ())):
        if not _is_zero(right):
            wrong = (*lemma.states[:place], (left, 2 * right), *lemma.states[place + 1 :])
            yield "factor in a lemma", f"{left}", replace(lemma, states=wrong)


def _of_statement(claim):
    for place, said in enumerate(getattr(claim, "says", ())):
        if isinstance(said, str):
            continue
        left, relation, right = said
        for family, altered in (
            ("reversed inequality", (left, FLIPPED.get(relation, "≥"), right)),
            ("factor in the statement", (left, relation, right + right if not _is_zero(right) else right + left)),
        ):
            says = (*claim.says[:place], altered, *claim.says[place + 1 :])
            yield family, f"statement {place + 1}", replace(claim, says=says)
    for sign, other in ((r"\ge", r"\le"), (r"\le", r"\ge")):
        if f"{sign} " in claim.latex and _has_inequality(claim):
            yield "reversed inequality", "formula", replace(claim, latex=claim.latex.replace(f"{sign} ", f"{other} "))
    for name in claim.conclusions:
        rest = tuple(other for other in claim.conclusions if other != name)
        yield "conclusion left out", name, replace(claim, conclusions=rest)


def _has_inequality(claim):
    return any(getattr(item, "relation", "=") != "=" for item in claim.proof) or not hasattr(claim, "says")


def _of_records(claim, others):
    for assumption in claim.assumptions:
        yield "dropped hypothesis", assumption.name, claim.without(assumption.name)
    for done, check in _gutted(claim):
        yield "gutted check", done, replace(claim, check=check)
    for place, example in enumerate(claim.counterexamples):
        for done, altered in (*_constants(example), *_foreign(example, claim, others)):
            examples = (*claim.counterexamples[:place], altered, *claim.counterexamples[place + 1 :])
            family = "constant as counterexample" if done.startswith("constant") else "foreign counterexample"
            yield family, f"{example.drops.name}: {done}", replace(claim, counterexamples=examples)


def _gutted(claim):
    names = sorted({measurement.name for measurement in checker.measurements(claim)})
    takes = bool(signature(claim.check).parameters)
    own = claim.check
    yield "constants", lambda fault=0.0: tuple(Measurement(name, 0.0, 1.0) for name in names)
    yield "nothing", lambda fault=0.0: ()
    wide = (lambda fault=0.0: _widened(own(fault))) if takes else (lambda: _widened(own()))
    yield "bounds", wide


def _widened(measurements):
    return tuple(replace(m, bound=1e12) for m in measurements)


def _constants(example):
    yield "constant", replace(example, build=lambda size: Model((), size))
    told = {f.name for f in fields(Model)} >= {"agree", "differ"}
    if told:
        from theory.engine.record import compare

        yield (
            "constant and words",
            replace(example, build=lambda size: compare(("gap", size, Integer(0)), ("x", size, size))),
        )


def _foreign(example, claim, others):
    """A counterexample of another claim that drops the same assumption."""
    own = {id(mine.build) for mine in claim.counterexamples} | {mine.statement for mine in claim.counterexamples}
    for other in others:
        for theirs in other.counterexamples:
            same = theirs.drops == example.drops and id(theirs.build) not in own and theirs.statement not in own
            if same and not set(other.conclusions) & set(claim.conclusions):
                yield f"foreign, of {other.number}", replace(theirs)
                return


def _exponents(formula):
    """The formula with one exponent raised by one."""
    if isinstance(formula, MatrixExpr) or not isinstance(formula, Expr):
        return
    powers = sorted((p for p in formula.atoms(Pow) if p.exp.is_Integer and p.exp > 1), key=str)
    for power in powers[:1]:
        yield formula.xreplace({power: Pow(power.base, power.exp + 1)})


def _is_zero(formula) -> bool:
    return bool(getattr(formula, "is_ZeroMatrix", False)) or formula == 0 or formula == 0 * formula
