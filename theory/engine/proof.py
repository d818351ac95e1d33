"""A proof and its parts: assumptions, lemmas, and steps that derive an identity from equations.

Equations and steps are equal only to themselves, so that what was computed of one can be kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from sympy import Expr
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
