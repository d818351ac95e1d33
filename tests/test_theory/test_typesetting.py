"""Formulas and sentences of the records as typography: nothing is lost, nothing is left as one types it."""

import re

import pytest
from sympy import Integer, Matrix, Symbol, sqrt
from sympy.matrices.expressions import MatrixSymbol

from theory.causal import graphs
from theory.claims import CLAIMS
from theory.engine.record import Lemma, Step
from theory.identifiability import affine, converse
from theory.prediction import efficiency
from theory.symbols import Delta_e, L, W, W_rival
from theory.typesetting.latex import LONG, equation, formula, gap, shown, used
from theory.typesetting.notation import GREEK, WHOLE, notation
from theory.typesetting.prose import LETTER, LOWER, NAME, TEXT, UPPER, Run, letters, plain, runs

STEPS = [(claim, item) for claim in CLAIMS for item in claim.proof if isinstance(item, Step)]


def names(step):
    sides = [step.left, step.right, *(side for given in step.given for side in (given.old, given.new))]
    return {atom.name for side in sides for atom in side.atoms(Symbol, MatrixSymbol)}


def sentences(claim):
    yield claim.statement
    yield from (a.statement for a in claim.assumptions)
    for item in claim.proof:
        yield item.statement
        if isinstance(item, Lemma):
            yield item.reason
    yield from (example.statement for example in (*claim.counterexamples, *claim.survivors))


class TestNotation:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("W~", r"\tilde{W}"),
            ("d_Z", "d_{Z}"),
            ("z_base", r"z_{\mathrm{base}}"),
            ("a10", "a_{10}"),
            ("m~_t", r"\tilde{m}_{t}"),
            ("p^_h", r"\hat{p}_{h}"),
            ("(W L)^+", r"(W\, L)^{+}"),
            ("f^-1(x')", "f^{-1}(x')"),
            ("delta~_e^2", r"\tilde{\delta}_{e}^{2}"),
            ("log p_e/p_0 (x)", r"\log \frac{p_{e}}{p_{0}} (x)"),
            ("E_0 r_e", r"\mathbb{E}_{0}\, r_{e}"),
            ("E", "E"),
            ("E|X^-X'|", r"\mathbb{E}\lvert \hat{X}-X'\rvert "),
            ("h(z_1) - h(z_0)", "h(z_{1}) - h(z_{0})"),
        ],
    )
    def test_examples(self, name, expected):
        assert notation(name) == expected

    def test_no_name_is_left_as_it_is_typed(self):
        for name in {name for _, step in STEPS for name in names(step)}:
            text = notation(name)
            assert not set("~`") & set(text), name
            assert text.count("{") == text.count("}")
            assert not re.search(r"\^(?!\{)|_(?!\{)", text), name

    @pytest.mark.parametrize("claim", CLAIMS, ids=[claim.name for claim in CLAIMS])
    def test_different_names_look_different(self, claim):
        found = {name for other, step in STEPS if other is claim for name in names(step)}
        assert len({notation(name) for name in found}) == len({re.sub(r"(?<=[a-z])_(?=\d)", "", n) for n in found})

    def test_exceptions_are_used(self):
        assert WHOLE.keys() <= {name for _, step in STEPS for name in names(step)}


class TestFormulas:
    def test_products_bracket_names_that_are_sums(self):
        rise = MatrixSymbol("z_1 - z_0", W.shape[0], 1)
        assert formula(W.T * rise) == r"W^{\top} \left(z_{1} - z_{0}\right)"
        assert formula(rise.T * rise) == r"\left(z_{1} - z_{0}\right)^{\top} \left(z_{1} - z_{0}\right)"
        assert formula(-rise) == r"-\left(z_{1} - z_{0}\right)"

    def test_signs_and_order(self):
        z = MatrixSymbol("z", W.shape[0], 1)
        assert formula(z - W * Delta_e) == r"z - W \Delta_{e}"
        assert formula(z + W_rival * Delta_e) == r"\tilde{W} \Delta_{e} + z"
        assert formula(-W * Delta_e / 2) == r"-\frac{1}{2} W \Delta_{e}"

    def test_a_superscript_is_not_put_on_a_superscript(self):
        starred = MatrixSymbol("w*", W.shape[0], 1)
        assert formula(starred.T) == r"\left(w^{*}\right)^{\top}"
        assert formula(Symbol("delta_e^2") ** 2) == r"\left(\delta_{e}^{2}\right)^{2}"

    def test_short_equations_are_one_line_and_long_ones_several(self):
        assert equation(L, L) == "L = L"
        assert any("aligned" in shown(step) for _, step in STEPS)
        total = sum((Symbol(f"a_{i}") * Symbol(f"b_{i}") for i in range(100)), Integer(0))
        lines = equation(total, Integer(0)).split(r"\\")
        assert len(lines) > 3
        assert max(map(len, lines)) < LONG
        assert all(notation(f"a_{i}") in "".join(lines) for i in range(100))

    def test_every_formula_is_set_with_balanced_brackets(self):
        for _, step in STEPS:
            for text in (shown(step), *map(used, step.given)):
                assert text.count("{") == text.count("}")
                assert text.count(r"\left") == text.count(r"\right")
                assert not re.search(r"\*\*|Matrix|~", text)

    def test_a_gap_is_shown_with_its_size(self):
        assert gap(Integer(-3)) == "-3"
        assert gap(sqrt(Integer(2))) == r"\sqrt{2} \approx 1.41"
        assert gap(2 * sqrt(Integer(2)) / 10**9).endswith(r"\approx 2.83 \cdot 10^{-9}")
        assert gap(Matrix([[1, 0]])) == r"\left[\begin{matrix}1 & 0\end{matrix}\right]"


class TestProse:
    def test_styles(self):
        assert runs("W~ z_e^2, by `slope`") == (
            Run(LETTER, "W\u0303"),
            Run(TEXT, " "),
            Run(LETTER, "z"),
            Run(LOWER, "e"),
            Run(UPPER, "2"),
            Run(TEXT, ", by "),
            Run(NAME, "slope"),
        )

    @pytest.mark.parametrize(
        ("sentence", "expected"),
        [
            ("Cramer-Rao and Ŵ z", "Cramér–Rao and Ŵ z"),
            ("a rival's mean, a = b + a", "a rival’s mean, a = b + a"),
            ("the sum of all, sum_e w_e", "the sum of all, ∑ₑ wₑ"),
            ("Radon-Nikodym: -s x >= E|X - X'|", "Radon-Nikodym: −s x ≥ 𝔼|X − X′|"),
            ("f~^-1 o f (W L)^+' D^-1/2", "f\u0303⁻¹ ∘ f (W L)⁺ᵀ D^(−1/2)"),
            ("p'Dq - 1'p", "pᵀDq − 𝟏ᵀp"),
        ],
    )
    def test_examples(self, sentence, expected):
        assert plain(sentence) == expected

    def test_a_prime_is_a_transpose_unless_the_claim_has_a_primed_letter(self):
        assert plain("W' = W + u v'", letters(converse.CLAIM)) == "W′ = W + u vᵀ"
        assert plain("H' H and A'", letters(affine.CLAIM)) == "Hᵀ H and Aᵀ"
        assert plain("A' and T'", letters(graphs.CLAIM)) == "A′ and Tᵀ"
        assert plain("X - X' and F'F", letters(efficiency.CLAIM)) == "X − X′ and FᵀF"

    @pytest.mark.parametrize("claim", CLAIMS, ids=[claim.name for claim in CLAIMS])
    def test_no_sentence_is_left_as_it_is_typed(self, claim):
        context = letters(claim)
        for sentence in sentences(claim):
            texts = [run.text for run in runs(sentence, context) if run.style != NAME]
            assert not re.search(r"[~^_`']|->|<=|>=|!=| o |\*\*", "\0".join(texts)), sentence

    @pytest.mark.parametrize("claim", CLAIMS, ids=[claim.name for claim in CLAIMS])
    def test_no_word_is_lost(self, claim):
        context = letters(claim)
        for sentence in sentences(claim):
            said = "".join(run.text for run in runs(sentence, context))
            words = re.findall(r"(?<![\w'^~`])[a-z]{5,}(?![\w'^~])", sentence)
            assert all(word in said or word in GREEK for word in words)
