"""A claim: its proof, a numerical check, and for each assumption a counterexample; and the report of running it.

Claims are equal only to themselves, so that what was computed of one can be kept.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from sympy import Rational

from theory.engine.proof import Assumption, Formula, Lemma, Pair, Step

Said: TypeAlias = tuple[Formula, str, Formula] | str


@dataclass(frozen=True)
class Measurement:
    """A numerical deviation and the bound that rounding, or a stated inequality, puts on it."""

    name: str
    value: float
    bound: float


class Compared(NamedTuple):
    """What it is that two models are compared in, and what it is in either.

    Attributes:
        what: in words.
        own: in the model, or as the claim says.
        rival: in its rival, or as it is.
    """

    what: str
    own: Formula
    rival: Formula


@dataclass(frozen=True)
class Model:
    """An explicit model that lacks one assumption, beside a second one, or beside what the claim says.

    Attributes:
        premises: residuals that vanish because everything but that assumption holds.
        gap: by how much the conclusion is violated; a constant.
        agree: what is the same in both; at least one of it as a function and not as a number.
        differ: what is not, against the claim.
    """

    premises: tuple[Formula, ...]
    gap: Formula
    agree: tuple[Compared, ...] = ()
    differ: Compared | None = None


def compare(differ: tuple[str, Formula, Formula], *agree: tuple[str, Formula, Formula]) -> Model:
    """Two models by what differs, against the claim, and what agrees.

    Example:
        >>> compare(("mean", Integer(2), Integer(1)), ("variance", Integer(1), Integer(1))).gap
        1
    """
    same = tuple(Compared(*pair) for pair in agree)
    return Model(tuple(_apart(pair) for pair in same), _apart(Compared(*differ)), agree=same, differ=Compared(*differ))


def _apart(pair: Compared) -> Formula:
    """The difference, of matrices in a form that does not change."""
    difference = pair.own - pair.rival
    return difference.as_immutable() if hasattr(difference, "as_immutable") else difference


@dataclass(frozen=True)
class Counterexample:
    """A family of models without one assumption, in which a conclusion of the claim, `refutes`, fails.

    `build(size)` gives the model with a violation of that size: at size 0 the gap vanishes, at size 1 it does not. Its
    docstring says which two models are compared.
    """

    drops: Assumption
    statement: str
    build: Callable[[Rational], Model]
    refutes: str = ""


@dataclass(frozen=True)
class Relaxation:
    """A family of models without one assumption of the proof, in which the conclusion holds: the gap vanishes."""

    drops: Assumption
    statement: str
    build: Callable[[Rational], Model]


@dataclass(frozen=True, eq=False)
class Claim:
    """A claim about the model class as a record that can be run.

    Attributes:
        name: a word by which the command line and other claims call it.
        number: its place among the claims.
        statement: the claim in one line.
        latex: the claim as a formula.
        assumptions: what it is stated under.
        source: where it comes from.
        proof: steps and lemmas, in order.
        conclusions: the names of the steps and lemmas that the claim consists of; the others only lead to them.
        check: a numerical confirmation on random instances that does not use the proof.
        counterexamples: for each assumption that can be dropped, a model in which the conclusion fails.
        relaxations: for assumptions that only this proof needs, a model in which the conclusion holds without.
        uses: claims the proof cites; each is available only if its own assumptions are.
        remark: a limit or an extension of the claim; empty if there is none.
        says: the statement as formulas (left, relation, right), one for each conclusion.
        confirmations: names of steps that lead nowhere: the claim computed with free symbols in small dimensions.
    """

    name: str
    number: str
    statement: str
    latex: str
    assumptions: tuple[Assumption, ...]
    source: str
    proof: tuple[Step | Lemma, ...]
    conclusions: tuple[str, ...]
    check: Callable[..., tuple[Measurement, ...]]
    counterexamples: tuple[Counterexample, ...]
    relaxations: tuple[Relaxation, ...] = ()
    uses: tuple["Claim", ...] = ()
    remark: str = ""
    says: tuple[Said, ...] = ()
    confirmations: tuple[str, ...] = ()

    @property
    def equalities(self) -> tuple[Pair, ...]:
        """What other claims may cite of it: the equations that it states."""
        return tuple((said[0], said[2]) for said in self.says if not isinstance(said, str) and said[1] == "=")

    def without(self, assumption: str) -> "Claim":
        """This claim with one assumption dropped; its proof must then fail."""
        return replace(self, assumptions=tuple(a for a in self.assumptions if a.name != assumption))


@dataclass(frozen=True)
class Outcome:
    """The result of one part of a claim: what it was, whether it passed, and the residual or the deviation."""

    kind: str
    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """The outcomes of a claim, in three parts."""

    claim: Claim
    proof: tuple[Outcome, ...]
    check: tuple[Outcome, ...]
    counterexamples: tuple[Outcome, ...]

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """The outcomes that did not pass."""
        return tuple(outcome for outcome in self.outcomes if not outcome.passed)

    @property
    def outcomes(self) -> tuple[Outcome, ...]:
        """All outcomes, proof first."""
        return self.proof + self.check + self.counterexamples

    @property
    def passed(self) -> bool:
        """Whether every part passed."""
        return not self.failed
