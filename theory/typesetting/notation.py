"""Names of symbols as formulas: "h(z_1) - h(z_0)" or "log p_e/p_0 (x)" as LaTeX, for the page with the proofs.

The records name symbols as one writes them by hand: a trailing ~ is the rival's tilde, a bare ^ a hat, ^+ and ^-1 are
superscripts, a word is a Greek letter, an operator or an upright word, and E before a space or a bar an expectation.
"""

import re
from functools import cache

_SMALL = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi")
_SMALL += ("pi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega")
GREEK = frozenset({*_SMALL, "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi", "Psi", "Omega"})
"""Words that are letters."""

OPERATORS = {name: rf"\operatorname{{{name}}}" for name in ("Cov", "Var", "diag", "vol", "rank", "span", "tr")} | {
    name: rf"\{name}" for name in ("log", "exp", "cos", "sin", "det", "sum", "prod")
}
DIFFERENTIALS = {"dr": r"\mathrm{d}r", "dz": r"\mathrm{d}z", "dg": r"\mathrm{d}g", "dED": r"\mathrm{d}\mathrm{ED}"}
WHOLE = {
    "1": r"\mathbf{1}",
    "E[Z+]": r"\mathbb{E}[Z_{+}]",
    "E[Z-]": r"\mathbb{E}[Z_{-}]",
    "E_w2": r"\mathbb{E}_{e}\, w^{2}",
    "z_bar": r"\bar{z}",
    "zbar_1": r"\bar{z}_{1}",
    "zbar_2": r"\bar{z}_{2}",
    "T - theta' x": r"T - \theta^{\top} x",
    **{f"log factors {name}": rf"(\log p_{{j}}^{{{name}}})_{{j}}" for name in ("0", "A", "B", "AB")},
}
"""Names that are words of their own and follow no rule."""

_ATOM = re.compile(
    r"(?P<base>[A-Za-z]+|\d+)(?P<accent>~|\^(?![-+\w]|-\d)|\^(?=-[A-Za-z])|\^(?=_))?(?P<prime>'*)(?P<star>\*)?"
    r"(?:(?P<index>\d+)|_(?P<lower>[A-Za-z0-9]+))?(?:\^(?P<upper>[+]|-?\w+))?"
)
_CLOSED = re.compile(r"[)\]]\^(?P<upper>[+]|-?\w+)")
_RATIO = re.compile(rf"{_ATOM.pattern.replace('?P<', '?P<n_')}/{_ATOM.pattern.replace('?P<', '?P<d_')}")


@cache
def notation(name: str) -> str:
    """The name of a symbol as LaTeX.

    Args:
        name: as the records spell it.

    Returns:
        LaTeX in math mode.

    Example:
        >>> notation("W~"), notation("Delta_e"), notation("h(z_1) - h(z_0)")
        ('\\\\tilde{W}', '\\\\Delta_{e}', 'h(z_{1}) - h(z_{0})')
    """
    return WHOLE[name] if name in WHOLE else "".join(_pieces(name))


def is_composite(name: str) -> bool:
    """Whether a name is a sum, a product or a ratio, which a product must put in brackets."""
    return bool(set(_outside(name)) & set(" /"))


def is_sum(name: str) -> bool:
    """Whether a name is a sum or a difference, which a minus sign must put in brackets."""
    return bool(re.search(r" [+-] ", _outside(name)))


def _outside(name: str) -> str:
    """What of a name stands in no brackets."""
    if name in WHOLE and WHOLE[name].startswith("("):
        return ""
    depth, outside = 0, []
    for character in name:
        depth += (character in "([") - (character in ")]")
        outside.append(character if depth == 0 else "")
    return "".join(outside)


def is_raised(name: str) -> bool:
    """Whether a name ends in a superscript or a prime, so that a transpose must put it in brackets."""
    return bool(re.search(r"(\^[-+\w]+|\*|'(_\w+)?)$", name)) and not re.search(r"\^_\w+$", name)


def _pieces(name: str):
    position, bars = 0, 0
    while position < len(name):
        ratio, atom, closed = (pattern.match(name, position) for pattern in (_RATIO, _ATOM, _CLOSED))
        found = ratio or atom or closed
        if ratio:
            top, bottom = (_atom({k[2:]: v for k, v in ratio.groupdict().items() if k[0] == side}) for side in "nd")
            yield rf"\frac{{{top}}}{{{bottom}}}"
        elif atom:
            following = name[atom.end() : atom.end() + 1]
            yield _atom(atom.groupdict(), expects=following in tuple(" |[") and len(name) > 1)
        elif closed:
            yield rf"{name[position]}^{{{closed['upper']}}}"
        else:
            bars += name[position] == "|"
            yield _sign(name, position, bars)
        position = found.end() if found else position + 1


def _sign(name: str, position: int, bars: int) -> str:
    character = name[position]
    if character == "|":
        return r"\lvert " if bars % 2 else r"\rvert "
    if character == " ":
        near = {name[position - 1], name[position + 1]}
        word = re.search(r"[a-z]{3,}$", name[:position])
        return " " if word or near & set("+-,") or name[position + 1] == "(" else r"\, "
    return character


def _atom(parts: dict, expects: bool = False) -> str:
    base, lower = _base(parts["base"], expects), parts["index"] or parts["lower"]
    accent = {None: base, "~": rf"\tilde{{{base}}}"}.get(parts["accent"], rf"\hat{{{base}}}")
    below = f"_{{{lower if lower.isdigit() or len(lower) < 3 else _word(lower)}}}" if lower else ""
    above = (r"*" if parts["star"] else "") + (parts["upper"] or "")
    return accent + parts["prime"] + below + (f"^{{{above}}}" if above else "")


def _base(word: str, expects: bool) -> str:
    if word == "E" and expects:
        return r"\mathbb{E}"
    return _word(word)


def _word(word: str) -> str:
    if word in GREEK:
        return {"phi": r"\varphi", "epsilon": r"\varepsilon"}.get(word, rf"\{word}")
    known = OPERATORS | DIFFERENTIALS
    return known.get(word, word if len(word) == 1 or word.isdigit() else rf"\mathrm{{{word}}}")
