"""Whether an equation that a step uses is stated by what it cites.

A cited step, lemma, assumption or claim must *be* the equation: as it stands, in either direction, up to terms moved
from one side to the other, or with generic letters replaced, if all that a step rests on holds of these. A definition
introduces a letter that nothing else speaks of.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from sympy import Expr, Integer, Rational, Symbol, expand, igcd, ilcm
from sympy.matrices import MatrixBase
from sympy.matrices.expressions import Identity, MatrixExpr, MatrixSymbol, Transpose

from theory.engine.expectation import Expectation
from theory.engine.proof import DEFINITION, Assumption, Equation, Formula, Lemma, Pair, Step, cited_names
from theory.engine.rewriting import Polynomial, Word, inner_word, polynomial

Binding = dict[Any, Any]


@dataclass
class Ledger:
    """What a proof may use so far.

    Attributes:
        known: names that may be cited.
        facts: what was established, by name: the record itself or a claim.
        letters: what earlier items speak of.
        defined: the letters that definitions introduced, with what they stand for.
        meant: what assumptions say that a letter is, by the letter: one thing in all of a proof.
    """

    known: frozenset[str]
    facts: dict[str, Any]
    letters: set[Any] = field(default_factory=set)
    defined: dict[Any, Formula] = field(default_factory=dict)
    meant: dict[Any, Formula] = field(default_factory=dict)
    strict: bool = True


def fault(equation: Equation, step: Step, ledger: Ledger) -> str:
    """Why a step may not use an equation; empty if it may."""
    missing = sorted(set(equation.rests_on) - ledger.known)
    if missing:
        return f"rests on {', '.join(missing)}"
    if not ledger.strict:
        return ""
    if DEFINITION in equation.rests_on:
        return _definition_fault(equation, step, ledger)
    sources = _cited(equation, ledger)
    if equation.old in ledger.defined and all(isinstance(source, Assumption) for source in sources):
        return f"{equation.old} is a defined letter"
    stating = [source for source in sources if states(source, equation)]
    if stating and not any(_free(source, dict(equation.at), ledger) for source in stating):
        return f"{stating[0].name} is of one {', '.join(str(letter) for letter, _ in equation.at)} alone"
    if any(isinstance(source, Assumption) for source in stating):
        meant = ledger.meant.setdefault(equation.old, equation.new)
        return "" if meant == equation.new else f"{equation.old} was {meant} before"
    if stating:
        return ""
    return f"{', '.join(equation.rests_on)} does not state {equation.old} = {equation.new}"


def _free(source: Any, at: Mapping[Any, Any], ledger: Ledger) -> bool:
    """Whether what a step rests on holds of other letters too, in place of those that it calls generic."""
    return not isinstance(source, Step) or all(_holds_at(equation, at, source, ledger) for equation in source.equations)


def _holds_at(equation: Equation, at: Mapping[Any, Any], step: Step, ledger: Ledger) -> bool:
    """Whether an equation of a step, with other letters, is stated by what it cites. What is defined is one thing."""
    letters = letters_of(equation.old, equation.new)
    if not letters & set(at):
        return True
    if DEFINITION in equation.rests_on:
        own = {one for one in letters & set(ledger.defined) if _same_definition(equation, one, ledger.defined[one])}
        return not own & (set(at) | letters_of(step.left, step.right))
    old, new = (side.xreplace(dict(at)) for side in (equation.old, equation.new))
    for source in _cited(equation, ledger):
        fixed = isinstance(source, Lemma | Step)
        moved = {letter: image for letter, image in at.items() if not fixed or letter in source.generic}
        moved |= {letter: image.xreplace(dict(at)) for letter, image in equation.at}
        if _states(source, Equation(equation.cites, old, new, tuple(moved.items()))) and _free(source, moved, ledger):
            return not isinstance(source, Assumption) or ledger.meant.get(old, new) == new
    return False


def _cited(equation: Equation, ledger: Ledger) -> list[Any]:
    """What an equation rests on, as far as it is a record, and what two steps of it say together."""
    sources = [source for source in map(ledger.facts.get, equation.rests_on) if source is not None]
    return [*sources, *_joined(sources)]


def _joined(sources: Sequence[Any]) -> Iterable[Step]:
    """What two steps with the same left side say of their right sides."""
    steps = [source for source in sources if isinstance(source, Step) and source.relation == "="]
    for place, one in enumerate(steps):
        for other in steps[place + 1 :]:
            if one.left == other.left:
                both = tuple(letter for letter in one.generic if letter in other.generic)
                yield Step("", "", one.right, other.right, (*one.equations, *other.equations), both)


def states(source: Any, equation: Equation) -> bool:
    """Whether an assumption, lemma, step or claim states an equation; what was found once is kept."""
    key = (id(source), id(equation))
    if key not in _FOUND:
        _FOUND[key] = (source, equation, _states(source, equation))
    return _FOUND[key][2]


_FOUND: dict[tuple[int, int], tuple[Any, Equation, bool]] = {}


def _states(source: Any, equation: Equation) -> bool:
    at = dict(equation.at)
    if isinstance(source, Assumption):
        return any(_instance(pair, equation, at, every=True) for pair in source.states)
    if isinstance(source, Lemma | Step):
        allowed = set(at) <= set(source.generic)
        return allowed and any(_instance(pair, equation, at, every=False) for pair in source.states)
    return any(_instance(pair, equation, at, every=True) for pair in source.equalities)


def _instance(pair: Pair, equation: Equation, at: Mapping[Any, Any], *, every: bool) -> bool:
    left, right = (side.xreplace(dict(at)) for side in pair)
    if (left, right) in ((equation.old, equation.new), (equation.new, equation.old)):
        return True
    kinds = [tuple(isinstance(side, kind) for kind in (MatrixExpr, MatrixBase)) for side in (equation.old, left)]
    if kinds[0] != kinds[1]:
        return False
    if not isinstance(left, MatrixExpr):
        return _proportional(equation.old - equation.new, left - right)
    if isinstance(equation.old, Expectation) and {equation.old, equation.new} == {
        Expectation(left),
        Expectation(right),
    }:
        return True
    wanted, stated = _difference(equation.old, equation.new), _difference(left, right)
    return wanted is not None and stated is not None and _matches(stated, wanted, every=every)


def _proportional(first: Formula, second: Formula) -> bool:
    if isinstance(first, MatrixBase) or isinstance(second, MatrixBase):
        return isinstance(first, MatrixBase) and first == second
    return expand(first - second) == 0 or expand(first + second) == 0


@lru_cache(maxsize=8192)
def _terms(left: MatrixExpr, right: MatrixExpr) -> tuple[tuple[Word, Expr], ...]:
    return tuple(polynomial(left - right).items())


def _difference(left: MatrixExpr, right: MatrixExpr) -> Polynomial | None:
    if not (isinstance(left, MatrixExpr) and isinstance(right, MatrixExpr) and left.shape == right.shape):
        return None
    return dict(_terms(left, right)) if left.atoms(MatrixSymbol) | right.atoms(MatrixSymbol) else None


def _matches(stated: Polynomial, wanted: Polynomial, *, every: bool) -> bool:
    """Whether the letters of one polynomial can be replaced by letters so that it is the other, or its negative."""
    if len(stated) != len(wanted):
        return False
    return any(
        _assign(sorted(stated.items(), key=_longest), {w: sign * value for w, value in wanted.items()}, {}, every=every)
        for sign in (1, -1)
    )


def _longest(term: tuple[Word, Expr]) -> tuple[int, str]:
    return (-len(term[0]), str(term[0]))


def _assign(stated: Sequence[tuple[Word, Expr]], wanted: Polynomial, bound: Binding, *, every: bool) -> bool:
    if not stated:
        return True
    (word, value), *rest = stated
    for target, coefficient in wanted.items():
        more = _bind(word, target, bound, every=every) if coefficient == value else None
        remaining = {w: v for w, v in wanted.items() if w != target}
        if more is not None and _assign(rest, remaining, more, every=every):
            return True
    return False


def _bind(word: Word, target: Word, bound: Binding, *, every: bool) -> Binding | None:
    if len(word) != len(target):
        return None
    result = dict(bound)
    for letter, image in zip(word, target, strict=True):
        if isinstance(letter, Expectation) and isinstance(image, Expectation):
            inner = _bind(inner_word(letter), inner_word(image), result, every=every)
            if inner is None:
                return None
            result = inner
            continue
        own, other = _bare(letter), _bare(image)
        if own[1] != other[1] or (own[0] != other[0] and not (every and _of_one_kind(own[0], other[0]))):
            return None
        if result.setdefault(own[0], other[0]) != other[0]:
            return None
    return None if _exchanges(result) else result


def _exchanges(bound: Binding) -> bool:
    """Whether a letter stands for another one of the same equation, as when lₑ and l₀ are exchanged."""
    return any(image != letter and image in bound for letter, image in bound.items())


def _of_one_kind(letter: MatrixExpr, image: MatrixExpr) -> bool:
    """Whether one letter can stand for another: both random or neither, of one shape but for the number of latents."""
    shapes = [tuple(str(size).replace("dtilde", "d_Z") for size in one.shape) for one in (letter, image)]
    return type(letter) is type(image) and shapes[0] == shapes[1]


def _bare(letter: MatrixExpr) -> tuple[MatrixExpr, bool]:
    return (letter.arg, True) if isinstance(letter, Transpose) else (letter, False)


def letters_of(*formulas: Formula) -> set[Any]:
    """The letters of formulas, without symbolic dimensions."""
    return {
        atom
        for formula in formulas
        for atom in formula.atoms(MatrixSymbol, Symbol)
        if not (isinstance(atom, Symbol) and atom.is_integer)
    }


def is_instance(pair: Pair, equation: Equation) -> bool:
    """Whether an equation is a stated one, with the letters that it names replaced."""
    return _instance(pair, equation, dict(equation.at), every=False)


def common_factor(step: Step) -> int:
    """The whole number that the left side of an identity has as a factor, 1 if there is none: both can do without."""
    return 1 if step.relation != "=" else abs(int(_content(step.left).p)) or 1


def _content(side: Formula) -> Rational:
    """The common factor of the coefficients of an expression; zero has none."""
    if isinstance(side, MatrixExpr) and side.atoms(MatrixSymbol):
        coefficients = [value.as_coeff_Mul()[0] for value in polynomial(side).values()]
    elif isinstance(side, MatrixBase):
        coefficients = [_coefficient(entry) for entry in side if entry != 0]
    else:
        coefficients = [_coefficient(side)] if isinstance(side, Expr) and not side.is_number else []
    numbers = [value for value in coefficients if value.is_Rational]
    return Rational(_gcd(numbers)) if numbers and len(numbers) == len(coefficients) else Rational(1)


def _coefficient(entry: Expr) -> Expr:
    return entry.primitive()[0] if entry.is_Add else entry.as_coeff_Mul()[0]


def _gcd(numbers: Sequence[Rational]) -> Rational:
    """The greatest common divisor of rational numbers: of numerators over the common denominator."""
    denominator = ilcm(1, *(int(value.q) for value in numbers))
    return Rational(igcd(*(int(value * denominator) for value in numbers), 0), denominator)


def _definition_fault(equation: Equation, step: Step, ledger: Ledger) -> str:
    stating = [name for name, source in ledger.facts.items() if states(source, equation)]
    if stating:
        return f"{equation.old} = {equation.new} is no definition: {stating[0]} states it"
    for letter, meaning in ledger.defined.items():
        if letter in letters_of(equation.old, equation.new) and _same_definition(equation, letter, meaning):
            return ""
    spoken = ledger.letters.union(*(letters_of(e.old, e.new) for e in step.equations if DEFINITION not in e.rests_on))
    for letter in sorted(letters_of(equation.old, equation.new) - spoken - set(ledger.defined), key=str):
        meaning = _solved(equation, letter)
        if meaning is not None:
            ledger.defined[letter] = meaning
            return ""
    return f"{equation.old} = {equation.new} introduces no letter"


def _same_definition(equation: Equation, letter: Any, meaning: Formula) -> bool:
    if {equation.old, equation.new} == {letter, meaning}:
        return True
    if not isinstance(letter, MatrixExpr):
        return not isinstance(equation.old, MatrixExpr) and _proportional(equation.old - equation.new, letter - meaning)
    if not isinstance(equation.old, MatrixExpr):
        return False
    wanted, own = _difference(equation.old, equation.new), _difference(letter, meaning)
    if not wanted or not own or (letter,) not in wanted:
        return False
    scaled = {word: value * wanted[letter,] / own[letter,] for word, value in own.items()}
    return _matches(scaled, wanted, every=False)


def _solved(equation: Equation, letter: Any) -> Formula | None:
    """What a letter is by an equation that contains it once, alone in its term."""
    if not isinstance(letter, MatrixExpr):
        return _solved_scalar(equation, letter)
    terms = _difference(equation.old, equation.new) or {}
    own = [word for word in terms if any(_bare(part)[0] == letter for part in _parts(word))]
    if own != [(letter,)] or not terms[letter,].is_Rational:
        return None
    return equation.new if equation.old == letter else letter - (equation.old - equation.new) / terms[letter,]


def _solved_scalar(equation: Equation, letter: Symbol) -> Formula | None:
    if isinstance(equation.old, MatrixExpr):
        return None
    if equation.old == letter and letter not in equation.new.free_symbols:
        return equation.new
    return None


def _parts(word: Word) -> Iterable[MatrixExpr]:
    for letter in word:
        if isinstance(letter, Expectation):
            yield from _parts(inner_word(letter))
        else:
            yield letter


def remember(item: Step | Lemma, ledger: Ledger) -> None:
    """Enter an established item."""
    ledger.known = ledger.known | {item.name}
    ledger.facts[item.name] = item
    said = [side for pair in item.states for side in pair]
    if isinstance(item, Step):
        said += [item.left, item.right, *(side for e in item.equations for side in (e.old, e.new))]
    ledger.letters |= letters_of(*said) - set(ledger.defined)


def is_manifest(step: Step, ledger: Ledger) -> bool:
    """Whether the slack of an inequality is not negative as it is written."""
    if step.relation == "=":
        return step.slack is None
    if isinstance(step.slack, Expr) and not isinstance(step.slack, MatrixExpr):
        return bool(step.slack.is_nonnegative)
    if step.slack is None or not set(cited_names(step.positive)) <= ledger.known:
        return False
    sure = {letter for name in cited_names(step.positive) for letter in getattr(ledger.facts.get(name), "positive", ())}
    return step.slack.weight is None or step.slack.weight in sure


def slack_of(step: Step) -> Formula:
    """The slack of an inequality as an expression."""
    if not hasattr(step.slack, "root"):
        return step.slack if step.slack is not None else Integer(0)
    square: Any = step.slack
    if square.mean:
        return Expectation(square.root * square.root.T)
    weight = Identity(square.root.shape[0]) if square.weight is None else square.weight
    return square.root.T * weight * square.root
