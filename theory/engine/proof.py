"""A proof and its parts: assumptions, lemmas, and steps that derive an identity or an inequality from equations.

An equation that a step uses must be stated by what it cites: a step is what it derives, a lemma and an assumption state
equations, a claim what its conclusions state, a definition introduces a new letter. `theory.engine.kernel` checks that.

Equations and steps are equal only to themselves, so that what was computed of one can be kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from sympy import Expr
from sympy.matrices import MatrixBase
from sympy.matrices.expressions import MatrixExpr

from theory.engine.expectation import Expectation

Formula: TypeAlias = Expr | MatrixBase | MatrixExpr
Pair: TypeAlias = tuple[Formula, Formula]

DEFINITION = "definition"
"""What an equation cites that introduces a letter."""


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
        states: it as equations; their letters stand for those of any model that is compared.
    """

    name: str
    statement: str
    implies: tuple[str, ...] = ()
    states: tuple[Pair, ...] = ()


@dataclass(frozen=True, eq=False)
class Equation:
    """An equation old = new that a step may use, and what it rests on.

    Attributes:
        cites: assumptions, earlier steps, lemmas or used claims, one or several, themselves or by name; all must be
            available, and one of them must state the equation.
        old: in a general-dimension step one word (a product of matrix symbols), otherwise any expression.
        new: what it equals.
        at: what stands for which letter of the equation that is cited.
    """

    cites: Citations
    old: Formula
    new: Formula
    at: tuple[tuple[Any, Any], ...] = ()

    @property
    def rests_on(self) -> tuple[str, ...]:
        """The names it cites."""
        return cited_names(self.cites)

    def reversed(self) -> "Equation":
        """The equation read from right to left."""
        return replace(self, old=self.new, new=self.old)


@dataclass(frozen=True)
class Square:
    """A number or matrix that is not negative as it is written: rootᵀ weight root, or its mean.

    Attributes:
        root: any expression.
        weight: a letter that a cited lemma says is positive; None for the identity.
        mean: whether the expectation is taken, of root rootᵀ.
    """

    root: MatrixExpr
    weight: MatrixExpr | None = None
    mean: bool = False


@dataclass(frozen=True, eq=False)
class Step:
    """An identity left = right, or an inequality, to be derived from the given equations.

    Both sides are matrix expressions with symbolic dimensions, or explicit expressions and matrices with free symbols;
    of these the left may leave products, derivatives and the like to be worked out, so that it reads as it is stated.

    Attributes:
        generic: letters that stand for any of their kind, so that the step may be cited with others in their place, as
            far as what it rests on may.
        relation: "=", "≥" or "≤".
        slack: by what the larger side exceeds the smaller; not negative as it is written.
        positive: lemmas that say which letters in `slack` are positive.
    """

    name: str
    statement: str
    left: Formula
    right: Formula
    equations: tuple[Equation, ...] = ()
    generic: tuple[Any, ...] = ()
    relation: str = "="
    slack: Square | Expr | None = None
    positive: Citations = ()

    @property
    def states(self) -> tuple[Pair, ...]:
        """What may be cited of it."""
        return ((self.left, self.right),) if self.relation == "=" else ()

    def equation(self, substitution: Mapping[Any, Any] | None = None) -> Equation:
        """This step as an equation for later steps, with letters replaced where it is used at another instance."""
        at = dict(substitution or {})
        return Equation(self, self.left.xreplace(at), self.right.xreplace(at), tuple(at.items()))

    def reversed(self) -> Equation:
        """This step read from right to left."""
        return Equation(self, self.right, self.left)

    def mean(self) -> Equation:
        """The expectation of either side."""
        return Equation(self, Expectation(self.left), Expectation(self.right))

    def negated(self) -> "Step":
        """This step with the sign of its right side altered: what a proof checker must refuse."""
        return replace(self, right=-self.right)


@dataclass(frozen=True)
class Lemma:
    """Equations taken without derivation, with the reason why they may be, and what they rest on.

    Attributes:
        cites: hypotheses, and what the reason refers to.
        states: the equations.
        generic: letters in them that stand for any of their kind.
        positive: letters that it says are not negative, or positive semidefinite.
    """

    name: str
    statement: str
    reason: str
    cites: Citations = ()
    states: tuple[Pair, ...] = ()
    generic: tuple[Any, ...] = ()
    positive: tuple[Any, ...] = ()

    @property
    def rests_on(self) -> tuple[str, ...]:
        """The names it cites."""
        return cited_names(self.cites)

    def equation(
        self, place: int = 0, substitution: Mapping[Any, Any] | None = None, given: Citations = ()
    ) -> Equation:
        """One of its equations for a step to use, with letters replaced, under further names."""
        at, more = dict(substitution or {}), given if isinstance(given, tuple) else (given,)
        old, new = (side.xreplace(at) for side in self.states[place])
        return Equation((self, *more), old, new, tuple(at.items()))
