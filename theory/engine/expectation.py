"""The expectation as an operator on matrix expressions: linear, and constants go outside.

A letter is random or it is not, and that is a property of the letter. `E(A * z * z.T)` has the normal form A E[z zᵀ]:
so what a proof assumes of moments is said of E[z zᵀ], and never of z zᵀ, which no model makes the identity.
"""

from sympy.matrices.expressions import MatMul, MatrixExpr, MatrixSymbol, Transpose


class Random(MatrixSymbol):
    """A random matrix or vector.

    Example:
        >>> Random("z", 2, 1).shape
        (2, 1)
    """


class Base(Random):
    """A base latent of one of the models that are compared: what is assumed of z_base holds of it."""


class Expectation(MatrixExpr):
    """The mean of a matrix expression, entry by entry."""

    @property
    def arg(self) -> MatrixExpr:
        """What is averaged."""
        return self.args[0]

    @property
    def shape(self) -> tuple:
        """The shape of what is averaged."""
        return self.arg.shape

    def _eval_transpose(self) -> MatrixExpr:
        return Expectation(Transpose(self.arg).doit())


def E(expression: MatrixExpr) -> Expectation:  # noqa: N802, the operator that proofs write
    """The expectation of a matrix expression.

    Example:
        >>> E(Random("z", 2, 1)).shape
        (2, 1)
    """
    return Expectation(expression)


def averaged(word: tuple[MatrixExpr, ...]) -> tuple[MatrixExpr, ...]:
    """The mean of a word: the letters before the first random one and behind the last go outside."""
    places = [place for place, letter in enumerate(word) if is_random(letter)]
    if not places:
        return word
    first, last = places[0], places[-1] + 1
    return (*word[:first], Expectation(word_product(word[first:last])), *word[last:])


def is_random(letter: MatrixExpr) -> bool:
    """Whether a letter, or the letter that is transposed, is random."""
    return isinstance(letter.arg if isinstance(letter, Transpose) else letter, Random)


def word_product(word: tuple[MatrixExpr, ...]) -> MatrixExpr:
    """The product of the letters of a word that is not empty."""
    return word[0] if len(word) == 1 else MatMul(*word)
