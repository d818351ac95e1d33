"""Formulas and sentences of the records as typography: nothing is lost, nothing is left as one types it."""

import re

import pytest
from sympy import Integer, Matrix, Symbol, sqrt
from sympy.matrices.expressions import MatrixSymbol

from theory.claims import CLAIMS
from theory.engine.proof import Lemma, Step
from theory.symbols import Delta_e, L, W, W_rival
from theory.typesetting.latex import LONG, equation, equation_of, formula, gap, step_formula

STEPS = [(claim, item) for claim in CLAIMS for item in claim.proof if isinstance(item, Step)]


def names(step):
    sides = [step.left, step.right, *(side for equation in step.equations for side in (equation.old, equation.new))]
    return {atom.name for side in sides for atom in side.atoms(Symbol, MatrixSymbol)}


def sentences(claim):
    yield claim.statement
    yield claim.source
    yield from (a.statement for a in claim.assumptions)
    for item in claim.proof:
        yield item.statement
        if isinstance(item, Lemma):
            yield item.reason
    yield from (example.statement for example in (*claim.counterexamples, *claim.relaxations))


class TestNames:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("Wtilde", r"\tilde{W}"),
            ("d_Z", "d_{Z}"),
            ("a_10", "a_{10}"),
            ("mtilde_t", r"\tilde{m}_{t}"),
            ("z'_e", "z'_{e}"),
            ("(W L)^{+}", "(W L)^{+}"),
            (r"\log \frac{p_{e}}{p_{0}} (x)", r"\log \frac{p_{e}}{p_{0}} (x)"),
        ],
    )
    def test_conventions(self, name, expected):
        assert formula(Symbol(name)) == formula(MatrixSymbol(name, 2, 2)) == expected

    def test_no_name_is_left_as_it_is_typed(self):
        for name in {name for _, step in STEPS for name in names(step)}:
            text = formula(Symbol(name))
            assert not set("~`") & set(text), name
            assert text.count("{") == text.count("}")
            assert not re.search(r"\^(?!\{)|_(?!\{)|[a-z](tilde|hat|bar)", text), name

    @pytest.mark.parametrize("claim", CLAIMS, ids=[claim.name for claim in CLAIMS])
    def test_different_names_look_different(self, claim):
        result = {name for other, step in STEPS if other is claim for name in names(step)}
        assert len({formula(Symbol(name)) for name in result}) == len(
            {re.sub(r"(?<=[a-z])_(?=\d)", "", n) for n in result}
        )


class TestFormulas:
    def test_signs_and_order(self):
        z = MatrixSymbol("z", W.shape[0], 1)
        assert formula(z - W * Delta_e) == r"z - W \Delta_{e}"
        assert formula(z + W_rival * Delta_e) == r"\tilde{W} \Delta_{e} + z"
        assert formula(-W * Delta_e / 2) == r"-\frac{1}{2} W \Delta_{e}"

    def test_a_superscript_is_not_put_on_a_superscript(self):
        starred = MatrixSymbol("w^{*}", W.shape[0], 1)
        assert formula(starred.T) == r"\left(w^{*}\right)^{\top}"
        assert formula(Symbol(r"\delta_{e}^{2}") ** 2) == r"\left(\delta_{e}^{2}\right)^{2}"

    def test_short_equations_are_one_line_and_long_ones_several(self):
        assert equation(L, L) == "L = L"
        assert any("aligned" in step_formula(step) for _, step in STEPS)
        total = sum((Symbol(f"a_{i}") * Symbol(f"b_{i}") for i in range(100)), Integer(0))
        lines = equation(total, Integer(0)).split(r"\\")
        assert len(lines) > 3
        assert max(map(len, lines)) < LONG
        assert all(f"a_{{{i}}}" in "".join(lines) for i in range(100))

    def test_every_formula_is_set_with_balanced_brackets(self):
        for _, step in STEPS:
            for text in (step_formula(step), *map(equation_of, step.equations)):
                assert text.count("{") == text.count("}")
                assert text.count(r"\left") == text.count(r"\right")
                assert not re.search(r"\*\*|Matrix|~", text)

    def test_a_gap_is_shown_with_its_size(self):
        assert gap(Integer(-3)) == "-3"
        assert gap(sqrt(Integer(2))) == r"\sqrt{2} \approx 1.41"
        assert gap(2 * sqrt(Integer(2)) / 10**9).endswith(r"\approx 2.83 \cdot 10^{-9}")
        assert gap(Matrix([[1, 0]])) == r"\left[\begin{matrix}1 & 0\end{matrix}\right]"


@pytest.mark.parametrize("claim", CLAIMS, ids=[claim.name for claim in CLAIMS])
def test_no_sentence_is_left_as_it_is_typed(claim):
    """Scripts are Unicode where Unicode has them, and brackets say how far the others go."""
    for sentence in sentences(claim):
        text = re.sub(r"`\w+`", "", sentence)
        assert not re.search(r"[~']|->|<=|>=|!=| o |\*\*|\^[^(\w]|_\d|\b(alpha|Delta|Sigma|beta|sqrt)\b", text), (
            sentence
        )
