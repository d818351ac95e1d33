"""The rewriting that decides matrix identities: complete on what the proofs need, and never too generous."""

from functools import reduce
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Identity, MatrixSymbol, Symbol, ZeroMatrix, symbols
from sympy.matrices.expressions import Transpose

from theory.engine import rewriting
from theory.engine.rewriting import normal_form, polynomial, rules, written

n, m = symbols("n m", integer=True, positive=True)
A, B, C = (MatrixSymbol(name, n, n) for name in "ABC")
x, y = (MatrixSymbol(name, n, 1) for name in "xy")
X = MatrixSymbol("X", n, m)
s = Symbol("s")


@pytest.mark.parametrize(
    "zero",
    [
        (A + B) * C - A * C - B * C,
        (A * B).T - B.T * A.T,
        (A + s * B) ** 2 - A**2 - s * A * B - s * B * A - s**2 * B**2,
        A * Identity(n) - A,
        A + ZeroMatrix(n, n) - A,
        x.T * A * y - y.T * A.T * x,
        (X * X.T).T - X * X.T,
        Transpose(Transpose(A)) - A,
    ],
)
def test_identities_of_matrix_algebra(zero):
    assert not normal_form(zero)


@pytest.mark.parametrize("other", [A * B - B * A, A - A.T, x.T * A * y - x.T * A.T * y, A - 2 * A, A + A])
def test_what_is_not_an_identity_stays(other):
    assert normal_form(other)


def test_rules_apply_inside_words_and_to_transposes():
    orthogonal = rules(A.T * A, Identity(n))
    assert not normal_form(B.T * A.T * A * B - B.T * B, orthogonal)
    inverse = rules(A * B, Identity(n))
    assert not normal_form(C * B.T * A.T - C, inverse)
    assert normal_form(B * A - Identity(n), inverse)


def test_scalars_are_compared_under_symmetry():
    symmetric = rules(A.T, A)
    assert not normal_form(x.T * A * y - y.T * A * x, symmetric)
    assert normal_form(x.T * A * y - y.T * A * x)


def test_rules_with_scalars_and_zero():
    assert not normal_form(x * (y.T * x) - s * x, rules(y.T * x, s * Identity(1)))
    assert not normal_form(A * X, rules(A * X, ZeroMatrix(n, m)))
    assert not normal_form(A * B - s * C, rules(2 * A * B, 2 * s * C))


@pytest.mark.parametrize(("old", "new"), [(A + B, C), (Identity(n), A), (A, x), (ZeroMatrix(n, n), A)])
def test_a_rule_rewrites_one_word_by_its_like(old, new):
    with pytest.raises(ValueError, match="rule"):
        rules(old, new)


def test_endless_rewriting_is_reported(monkeypatch):
    monkeypatch.setattr(rewriting, "REWRITE_LIMIT", 200)
    with pytest.raises(ArithmeticError, match="terminate"):
        normal_form(A, rules(A, A * B))


@pytest.mark.parametrize("expression", [Symbol("t"), A.inv(), A ** Symbol("k", integer=True)])
def test_other_expressions_are_refused(expression):
    with pytest.raises(TypeError, match="received"):
        polynomial(expression)


def test_written_names_every_word():
    assert written(normal_form(A * B - 2 * B)) == "(-2)*B + (1)*A*B"
    assert written({}) == "0"


factors = st.lists(st.sampled_from([A, B, A.T, B.T]), min_size=1, max_size=4)
sums = st.lists(st.tuples(st.integers(-3, 3).filter(bool), factors), min_size=1, max_size=4)


@given(sums)
@settings(max_examples=40, deadline=None)
def test_normal_form_has_the_value_of_the_expression(terms):
    expression = sum((coefficient * prod(word, start=Identity(n)) for coefficient, word in terms), ZeroMatrix(n, n))
    rewritten = [(int(coefficient), word) for word, coefficient in normal_form(expression).items()]
    assert np.array_equal(_value(terms), _value(rewritten))


def _value(terms):
    """A sum of words at fixed integer matrices."""
    values = {A: np.array([[1, 2], [-3, 1]]), B: np.array([[0, 1], [2, -1]])}
    values |= {letter.T: value.T for letter, value in list(values.items())}
    total = np.zeros((2, 2), dtype=int)
    for coefficient, word in terms:
        total = total + coefficient * reduce(np.matmul, [values[letter] for letter in word], np.eye(2, dtype=int))
    return total
