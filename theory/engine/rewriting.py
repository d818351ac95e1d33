"""Matrix identities in any dimension, decided by rewriting words.

A product of matrix symbols is a *word*, a matrix expression is a linear combination of words, and a hypothesis such as
Qᵀ Q = I is a *rule* that rewrites one word. Two expressions are equal under the hypotheses when the difference of
their normal forms has no word left. The dimensions stay symbols throughout; sympy refuses products whose shapes do not
fit, so a rule or a residual is always well formed. A mean E[…] is a letter once constants are outside; what is equal
for sure is equal inside too, so rules are applied there as well.

The method is sound and not complete: no word left proves the identity, a word left only fails to prove it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sympy import Expr, Integer, cancel
from sympy.matrices.expressions import Identity, MatAdd, MatMul, MatPow, MatrixExpr, MatrixSymbol, Transpose, ZeroMatrix

from theory.engine.expectation import Expectation, averaged, word_product

Word = tuple[MatrixExpr, ...]
Polynomial = Mapping[Word, Expr]

REWRITE_LIMIT = 20_000


@dataclass(frozen=True)
class Rule:
    """Rewrite the word `old`, wherever it stands inside a longer word, as the polynomial `new`."""

    old: Word
    new: tuple[tuple[Word, Expr], ...]


def polynomial(expression: object) -> Polynomial:
    """Expand a matrix expression into words with scalar coefficients; the empty word is the identity.

    Raises:
        TypeError: if it is not made of sums, products, positive powers and transposes of matrix symbols.
    """
    match expression:
        case MatrixSymbol():
            return {(expression,): Integer(1)}
        case Expectation():
            return _collect((averaged(word), value) for word, value in polynomial(expression.arg).items())
        case Identity():
            return {(): Integer(1)}
        case ZeroMatrix():
            return {}
        case Transpose():
            return {transposed(word): coefficient for word, coefficient in polynomial(expression.arg).items()}
        case MatAdd():
            return _collect(term for part in expression.args for term in polynomial(part).items())
        case MatPow(exp=exponent) if exponent.is_Integer and exponent.is_positive:
            return _product([polynomial(expression.base)] * int(exponent))
        case MatMul():
            coefficient, factors = expression.as_coeff_matrices()
            product = _product([polynomial(factor) for factor in factors])
            return {word: coefficient * value for word, value in product.items()}
    raise TypeError(f"expected sums, products, powers and transposes of matrix symbols, received {expression}")


def transposed(word: Word) -> Word:
    """The transpose of a word: its letters transposed, in reverse order."""
    return tuple(_flipped(letter) for letter in reversed(word))


def _flipped(letter: MatrixExpr) -> MatrixExpr:
    if isinstance(letter, Expectation):
        return Expectation(word_product(transposed(inner_word(letter))))
    return letter.arg if isinstance(letter, Transpose) else Transpose(letter)


def inner_word(letter: Expectation) -> Word:
    """The word whose mean a letter E[…] is."""
    return letter.arg.args if isinstance(letter.arg, MatMul) else (letter.arg,)


def rules(old: MatrixExpr, new: MatrixExpr) -> tuple[Rule, ...]:
    """The hypothesis old = new as rewriting rules, for itself and for its transpose.

    Args:
        old: an expression that expands into a single word, e.g. Qᵀ Q.
        new: what the word equals, of the same shape.

    Raises:
        ValueError: if `old` is not one word, or its shape is not that of `new`.
    """
    if old.shape != new.shape:
        raise ValueError(f"a rule needs equal shapes: {old} is {old.shape}, {new} is {new.shape}")
    terms = list(polynomial(old).items())
    if len(terms) != 1 or not terms[0][0]:
        raise ValueError(f"the left side of a rule must be one word, received {old}")
    (word, coefficient), image = terms[0], polynomial(new)
    return _both_ways(word, {key: value / coefficient for key, value in image.items()})


def normal_form(expression: MatrixExpr, hypotheses: Iterable[Rule] = ()) -> Polynomial:
    """Rewrite an expression until no rule applies; an empty result proves that it is zero.

    A 1 × 1 word equals its transpose, so for scalars one of the two is chosen.

    Raises:
        ArithmeticError: if the rules do not terminate.
    """
    known = tuple(hypotheses)
    reduced = _rewrite(polynomial(expression), known)
    return _symmetrized(reduced, known) if expression.shape == (1, 1) else reduced


def written(terms: Polynomial) -> str:
    """A polynomial as text, for the report of a step that failed."""
    parts = [f"({value})*{'*'.join(map(str, word)) or 'I'}" for word, value in terms.items()]
    return " + ".join(sorted(parts)) or "0"


def _both_ways(word: Word, image: Polynomial) -> tuple[Rule, ...]:
    forward = Rule(word, tuple(image.items()))
    mirrored = {transposed(key): value for key, value in image.items()}
    if tuple(mirrored) == (word,):  # a symmetry A = Aᵀ is its own transpose and would rewrite forever
        return (forward,)
    return forward, Rule(transposed(word), tuple(mirrored.items()))


def _collect(terms: Iterable[tuple[Word, Expr]]) -> Polynomial:
    total: dict[Word, Expr] = {}
    for word, coefficient in terms:
        total[word] = total.get(word, Integer(0)) + coefficient
    simplified = {word: cancel(coefficient) for word, coefficient in total.items()}
    return {word: coefficient for word, coefficient in simplified.items() if coefficient != 0}


def _product(factors: list[Polynomial]) -> Polynomial:
    product: Polynomial = {(): Integer(1)}
    for factor in factors:
        product = _collect((a + b, x * y) for a, x in product.items() for b, y in factor.items())
    return product


def _rewrite(terms: Polynomial, hypotheses: tuple[Rule, ...]) -> Polynomial:
    pending = list(terms.items())
    settled: list[tuple[Word, Expr]] = []
    for _ in range(REWRITE_LIMIT):
        if not pending:
            return _collect(settled)
        word, coefficient = pending.pop()
        images = _first_rewriting(word, hypotheses)
        if images is None:
            settled.append((word, coefficient))
        else:
            pending.extend((image, coefficient * value) for image, value in images)
    raise ArithmeticError(f"rewriting did not terminate within {REWRITE_LIMIT} steps")


def _first_rewriting(word: Word, hypotheses: tuple[Rule, ...]) -> list[tuple[Word, Expr]] | None:
    for rule in hypotheses:
        size = len(rule.old)
        for start in range(len(word) - size + 1):
            if word[start : start + size] == rule.old:
                head, tail = word[:start], word[start + size :]
                return [(head + middle + tail, value) for middle, value in rule.new]
    return _inside(word, hypotheses)


def _inside(word: Word, hypotheses: tuple[Rule, ...]) -> list[tuple[Word, Expr]] | None:
    """Rewrite what a mean is taken of."""
    for place, letter in enumerate(word):
        images = _first_rewriting(inner_word(letter), hypotheses) if isinstance(letter, Expectation) else None
        if images is not None:
            return [(word[:place] + averaged(image) + word[place + 1 :], value) for image, value in images]
    return None


def _symmetrized(scalar: Polynomial, hypotheses: tuple[Rule, ...]) -> Polynomial:
    chosen = {word: _representative(word, hypotheses) for word in scalar}
    return _collect((chosen[word], value) for word, value in scalar.items())


def _representative(word: Word, hypotheses: tuple[Rule, ...]) -> Word:
    """The first, in alphabetical order, of a 1 × 1 word and its transpose in normal form."""
    mirrored = _rewrite({transposed(word): Integer(1)}, hypotheses)
    same = [key for key, value in mirrored.items() if len(mirrored) == 1 and value == 1]
    return min([word, *same], key=lambda letters: [str(letter) for letter in letters])
