"""A claim and its parts: assumptions, proof steps, a numerical check, and a counterexample for each assumption.

Equations, steps and claims are equal only to themselves, so that what was computed of one can be kept.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from sympy import Expr, Rational
from sympy.matrices import MatrixBase
from sympy.matrices.expressions import MatrixExpr

Formula: TypeAlias = Expr | MatrixBase | MatrixExpr

DEFINITION = "definition"
"""What a rewriting cites when it only unfolds a notation."""


class Named(Protocol):
    """An assumption, a step, a lemma or a claim, by its name."""

    @property
    def name(self) -> str:
        """The word by which it is cited."""


Citation: TypeAlias = str | Named
Citations: TypeAlias = Citation | tuple[Citation, ...]


def cited_names(cites: Citations) -> tuple[str, ...]:
    """The names of what is cited."""
    several = cites if isinstance(cites, tuple) else (cites,)
    return tuple(one if isinstance(one, str) else one.name for one in several)


@dataclass(frozen=True)
class Assumption:
    """A named hypothesis of a claim.

    Attributes:
        name: one word, by which proof steps cite it.
        statement: the hypothesis in words.
        implies: names of weaker assumptions that hold whenever this one does.
    """

    name: str
    statement: str
    implies: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Equation:
    """An equation old = new that a step may use, and what it rests on.

    Attributes:
        cites: assumptions, earlier steps, lemmas or used claims, one or several, themselves or by name; all must be
            available or the equation is not.
        old: in a general-dimension step one word (a product of matrix symbols), otherwise any expression.
        new: what it equals.
    """

    cites: Citations
    old: Formula
    new: Formula

    @property
    def rests_on(self) -> tuple[str, ...]:
        """The names it cites."""
        return cited_names(self.cites)


@dataclass(frozen=True, eq=False)
class Step:
    """An identity left = right, to be derived from the given equations.

    Both sides are matrix expressions with symbolic dimensions, or explicit expressions and matrices with free symbols;
    of these the left may leave products, derivatives and the like to be worked out, so that it reads as it is stated.
    """

    name: str
    statement: str
    left: Formula
    right: Formula
    equations: tuple[Equation, ...] = ()

    def equation(self, substitution: Mapping[Any, Any] | None = None) -> Equation:
        """This step as an equation for later steps, with symbols replaced where it is used at another instance."""
        at = dict(substitution or {})
        return Equation(self, self.left.xreplace(at), self.right.xreplace(at))

    def reversed(self) -> Equation:
        """This step read from right to left."""
        return Equation(self, self.right, self.left)

    def negated(self) -> "Step":
        """This step with the sign of its right side altered: what a proof checker must refuse."""
        return replace(self, right=-self.right)


@dataclass(frozen=True)
class Lemma:
    """A statement taken without derivation, with the reason why it may be, and what it rests on."""

    name: str
    statement: str
    reason: str
    cites: Citations = ()

    @property
    def rests_on(self) -> tuple[str, ...]:
        """The names it cites."""
        return cited_names(self.cites)


@dataclass(frozen=True)
class Measurement:
    """A numerical deviation and the bound that rounding, or a stated inequality, puts on it."""

    name: str
    value: float
    bound: float


@dataclass(frozen=True)
class Model:
    """An explicit model that lacks one assumption.

    Attributes:
        premises: residuals that vanish because everything but that assumption holds.
        gap: by how much the conclusion is violated; a constant.
    """

    premises: tuple[Formula, ...]
    gap: Formula


@dataclass(frozen=True)
class Counterexample:
    """A family of models without one assumption, in which the conclusion fails.

    `build(size)` gives the model with a violation of that size: at size 0 the gap vanishes, at size 1 it does not.
    """

    drops: Assumption
    statement: str
    build: Callable[[Rational], Model]


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
    """

    name: str
    number: str
    statement: str
    latex: str
    assumptions: tuple[Assumption, ...]
    source: str
    proof: tuple[Step | Lemma, ...]
    conclusions: tuple[str, ...]
    check: Callable[[], tuple[Measurement, ...]]
    counterexamples: tuple[Counterexample, ...]
    relaxations: tuple[Relaxation, ...] = ()
    uses: tuple["Claim", ...] = ()
    remark: str = ""

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
