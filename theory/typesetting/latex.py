"""The formulas of the records as LaTeX: what a step shows, by which equations, and by how much a claim fails.

Symbols are named as sympy's printer reads them (`Wtilde`, `Delta_e`), or by LaTeX where a name has braces.
"""

from sympy import Add, Expr
from sympy.matrices import MatrixBase
from sympy.matrices.expressions import MatrixExpr
from sympy.printing.latex import LatexPrinter
from sympy.printing.precedence import PRECEDENCE

from theory.engine.proof import Equation, Formula, Step

_SIGNS = {"=": "=", "≥": r"\ge", "≤": r"\le"}
LONG = 260
"""Characters of LaTeX beyond which a sum is broken into lines."""


class _Printer(LatexPrinter):
    """sympy's printer with upright transposes, the identity as I, and what is subtracted last."""

    def _print_Identity(self, expr: MatrixExpr) -> str:  # noqa: N802, the name by which sympy finds it
        return "1" if expr.shape == (1, 1) else "I"

    def _print_Transpose(self, expr: MatrixExpr) -> str:  # noqa: N802
        return super()._print_Transpose(expr).removesuffix("^{T}") + r"^{\top}"

    def _print_MatAdd(self, expr: MatrixExpr) -> str:  # noqa: N802
        """The identity first, then products before single letters, and what is subtracted last."""
        terms = sorted(
            expr.args, key=lambda term: (_is_negative(term), not term.is_Identity, -len(term.args) * term.is_MatMul)
        )
        first, *rest = (self._print(term) for term in terms)
        return first + "".join(f" - {text[1:]}" if text.startswith("-") else f" + {text}" for text in rest)

    def _print_MatMul(self, expr: MatrixExpr) -> str:  # noqa: N802
        coefficient, factors = expr.as_coeff_matrices()
        sign, size = ("-", -coefficient) if coefficient.could_extract_minus_sign() else ("", coefficient)
        scalar = [self.parenthesize(size, PRECEDENCE["Mul"]) if size.is_Add else self._print(size)] * (size != 1)
        return sign + " ".join([*scalar, *(self.parenthesize(factor, PRECEDENCE["Mul"]) for factor in factors)])

    def _print_Expectation(self, expr: MatrixExpr) -> str:  # noqa: N802
        return rf"\mathbb{{E}}\left[{self._print(expr.arg)}\right]"

    def _print_erfinv(self, expr: Expr, exp: object = None) -> str:
        return rf"\operatorname{{erf}}^{{-1}}\left({self._print(expr.args[0])}\right)"

    def _print_Permanent(self, expr: Expr, exp: object = None) -> str:  # noqa: N802
        return rf"\operatorname{{per}} {self._print(expr.arg)}"

    def _print_Subs(self, expr: Expr) -> str:  # noqa: N802
        at = ", ".join(f"{self._print(old)} = {self._print(new)}" for old, new in zip(*expr.args[1:], strict=True))
        return rf"\left. {self._print(expr.expr)} \right|_{{{at}}}"


_SETTINGS = {"mat_delim": "[", "mat_str": "matrix", "fold_short_frac": False, "inv_trig_style": "power"}


def formula(expression: Formula) -> str:
    """An expression as LaTeX in math mode.

    Example:
        >>> from theory.symbols import L, W_rival
        >>> formula(L.T * W_rival.T)
        'L^{\\top} \\tilde{W}^{\\top}'
    """
    return _Printer(_SETTINGS).doprint(expression)


def equation(left: Formula, right: Formula, relation: str = "=") -> str:
    """left = right as LaTeX, or an inequality; a long one in lines."""
    head, tail, sign = _lines(left), _lines(right), _SIGNS[relation]
    if len(head) == len(tail) == 1 and len(head[0]) + len(tail[0]) <= LONG:
        return f"{head[0]} {sign} {tail[0]}"
    rows = [*_continued(head), f"& {sign} {tail[0]}", *_continued(tail)[1:]]
    return r"\begin{aligned} " + r" \\ ".join(rows) + r" \end{aligned}"


def step_formula(step: Step) -> str:
    """What a step establishes."""
    return equation(step.left, step.right, step.relation)


def equation_of(cited: Equation) -> str:
    """An equation that a step uses."""
    return equation(cited.old, cited.new)


def gap(difference: Formula) -> str:
    """By how much a conclusion fails in a counterexample, with its size where that is not plain to see."""
    if isinstance(difference, MatrixBase | MatrixExpr):
        return formula(difference)
    exact = formula(difference)
    return exact if difference.is_Rational else rf"{exact} \approx {_rounded(difference)}"


def _is_negative(term: MatrixExpr) -> bool:
    return bool(term.is_MatMul and term.as_coeff_matrices()[0].is_negative)


def _rounded(number: Expr) -> str:
    mantissa, _, exponent = f"{float(number):.3g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if exponent else mantissa


def _lines(expression: Formula) -> list[str]:
    """The expression as one line, or a long sum as several."""
    whole = formula(expression)
    if len(whole) <= LONG or not isinstance(expression, Add):
        return [whole]
    lines = [""]
    for term in expression.as_ordered_terms():
        text = formula(term)
        signed = text if text.startswith("-") or lines == [""] else f"+ {text}"
        lines = [*lines[:-1], f"{lines[-1]} {signed}"] if len(lines[-1]) < LONG // 2 else [*lines, signed]
    return [line.strip() for line in lines]


def _continued(lines: list[str]) -> list[str]:
    return [f"& {lines[0]}", *(rf"& \quad {line}" for line in lines[1:])]
