"""Sentences of the records as typography: plain-text formulas such as "W~ Delta_e = H' z_1^2" in letters and scripts.

A sentence becomes runs of text in a few styles, which the page sets in HTML and the table of claims in Unicode.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from sympy import Symbol
from sympy.matrices.expressions import MatrixSymbol, Transpose

from theory.engine.record import Claim, Formula, Step
from theory.typesetting.notation import GREEK, WHOLE

TEXT, LETTER, LOWER, UPPER, NAME = "text", "letter", "lower", "upper", "name"
"""Styles of a run: words, a variable, a subscript, a superscript, the name of a step or an assumption."""

TRANSPOSE = "⊤"
PRIME = "′"

_LETTERS = {
    name: unicodedata.lookup(
        f"Greek {'capital' if name[0].isupper() else 'small'} letter {name.replace('ambda', 'amda')}".upper()
    )
    for name in GREEK
}
_BIG = {"sum": "∑", "prod": "∏"}
_ACCENTS = {"~": "\u0303", "^": "\u0302"}
_PEOPLE = {"Kuegelgen": "Kügelgen", "Szekely": "Székely", "Cramer-Rao": "Cramér–Rao", "Cramer and": "Cramér and"}
_SIGNS = {" ~ ": " ∼ ", ">=": "≥", "<=": "≤", "!=": "≠", "->": "→", " o ": " ∘ ", "sqrt(": "√(", "sqrt ": "√"}
_ALWAYS_PRIMED = frozenset({"W", "f", "h", "z", "Sigma", "X", "Y", "x", "x_h", "t", "P_k"})

_SUMMANDS = re.compile(rf"\s(?:(?:{'|'.join(sorted(GREEK))})(?![a-z])|[A-Za-z]_)")
_RAISED = r"\^(?:\((?P<{0}group>[^()]*)\)|(?P<{0}upper>-1/2|[-±]?\w+|\+))"
_TOKEN = re.compile(
    r"`(?P<name>[^`]+)`"
    rf"|(?P<sign>{'|'.join(map(re.escape, _SIGNS))})"
    r"|(?P<minus>(?:(?<=[\s(=,\[{])|^)-(?=\S)|(?<=\s)-(?=\s)|(?<=[A-Z])-(?=[A-Z]\b))"
    r"|(?P<base>(?<![A-Za-zÀ-ɏ])(?:[A-Za-zÀ-ɏ]+|[Α-Ωα-ω]|1(?='|\s[a-z]')))(?P<index>(?<=[A-Za-z])\d+)?(?P<accent>~|\^(?=_)|\^(?![-±+\w(]))?"
    r"(?:_(?P<lower>[A-Za-z0-9]+))?(?P<late>~)?"
    rf"(?:{_RAISED.format('a')})?(?P<prime>')?"
    rf"|(?P<close>[)\]|‖])(?:_(?P<clower>\w+))?(?:{_RAISED.format('c')})?(?P<cprime>')?"
)


@dataclass(frozen=True)
class Run:
    """A piece of a sentence in one style."""

    style: str
    text: str


@dataclass(frozen=True)
class Letters:
    """What a claim makes of letters.

    Attributes:
        primed: those that have a prime in it, as the mixing f' of a second model.
        turned: those that it transposes.
        has_e: whether E is one of its letters, and not only the expectation.
    """

    primed: frozenset[str] = frozenset()
    turned: frozenset[str] = frozenset()
    has_e: bool = False

    def is_prime(self, name: str, following: str) -> bool:
        """Whether the prime after a letter is one, and not a transpose, with `following` after it."""
        if following[:1].isalpha():
            return False
        plainly = following[:1] == "(" or name in self.primed
        return plainly or (name in _ALWAYS_PRIMED and name not in self.turned)


def letters(claim: Claim) -> Letters:
    """The letters of a claim, from the formulas of its proof."""
    formulas = [formula for item in claim.proof if isinstance(item, Step) for formula in _formulas(item)]
    names = {atom.name for formula in formulas for atom in formula.atoms(Symbol, MatrixSymbol)} - WHOLE.keys()
    turned = {atom.arg.name for formula in formulas for atom in formula.atoms(Transpose) if hasattr(atom.arg, "name")}
    primed = {found for name in names for found in re.findall(r"([A-Za-z]+)\^?(?=')", name)}
    return Letters(frozenset(primed), frozenset(turned), "E" in names)


def runs(sentence: str, context: Letters = Letters()) -> tuple[Run, ...]:
    """A sentence as runs.

    Args:
        sentence: as the records spell it.
        context: the letters of the claim where it stands, which tell a prime from a transpose.

    Returns:
        Runs whose texts, one after the other, are the sentence.

    Example:
        >>> [run.text for run in runs("W~ L = H' L^+")]
        ['W̃', ' ', 'L', ' = ', 'H', '⊤', ' ', 'L', '+']
    """
    sentence = with_accents(sentence)
    found, position = [], 0
    for token in _TOKEN.finditer(sentence):
        found.append(Run(TEXT, sentence[position : token.start()]))
        found.extend(_styled(token, sentence, context))
        position = token.end()
    found.append(Run(TEXT, sentence[position:]))
    return _merged(run for run in found if run.text)


def plain(sentence: str, context: Letters = Letters()) -> str:
    """A sentence in Unicode alone, for a table in Markdown or a terminal.

    Example:
        >>> plain("W~ Delta_e has z_base in it, |z|^2 too, d_Z as it is")
        'W̃ Δₑ has z_base in it, |z|² too, d_Z as it is'
    """
    return "".join(_SHIFT[run.style](run.text) for run in runs(sentence, context))


def with_accents(sentence: str) -> str:
    """A sentence with the names of people as they write them."""
    for ascii_name, name in _PEOPLE.items():
        sentence = sentence.replace(ascii_name, name)
    return sentence


def _formulas(step: Step) -> Iterable[Formula]:
    return step.left, step.right, *(side for given in step.given for side in (given.old, given.new))


def _styled(token: re.Match, sentence: str, context: Letters) -> Iterable[Run]:
    following = sentence[token.end() :]
    if token["name"]:
        return [Run(NAME, token["name"])]
    if token["sign"]:
        return [Run(TEXT, _SIGNS[token["sign"]])]
    if token["minus"]:
        return [Run(TEXT, "−")]
    if token["close"]:
        lower = [Run(LOWER, token["clower"])] if token["clower"] else []
        return [Run(TEXT, token["close"]), *lower, *_raised(token, "c", bool(token["cprime"]))]
    return _atom(token, sentence, following, context)


def _atom(token: re.Match, sentence: str, following: str, context: Letters) -> Iterable[Run]:
    before, base = sentence[: token.start()], token["base"]
    decorated = any(token[part] for part in ("index", "accent", "lower", "late", "agroup", "aupper"))
    short = len(base) == 1 or base in GREEK or base in _BIG
    if not short and not decorated:
        if before.endswith("'") and len(base) < 3:
            return [Run(LETTER, letter) for letter in base]
        return [Run(TEXT, base + ("’" if token["prime"] else ""))]
    if base == "sum" and not decorated and not _SUMMANDS.match(following):
        return [Run(TEXT, base)]
    if base in ("a", "A") and not decorated and not token["prime"] and _is_article(base, before, following):
        return [Run(TEXT, base)]
    if base == "E" and not decorated and not token["prime"] and _is_expectation(following, context):
        return [Run(TEXT, "𝔼")]
    if token["prime"] and following[:1] == "s" and not following[1:2].isalpha():
        return [Run(LETTER, base), Run(TEXT, "’")]
    return _decorated(token, following, context)


def _decorated(token: re.Match, following: str, context: Letters) -> Iterable[Run]:
    base, lower = token["base"], token["index"] or token["lower"]
    name = f"{base}_{token['lower']}" if token["lower"] else base
    accent = _ACCENTS.get(token["accent"] or token["late"], "")
    if base == "E" and lower and not context.has_e:
        base = "𝔼"
    if base == "R" and (token["aupper"] or token["agroup"] or "").startswith("d"):
        base = "ℝ"
    if lower == "bar":
        accent, lower = "\u0304", None
    upright = base in _BIG or base in "𝔼ℝ" or base == "1" or (len(base) > 1 and base not in GREEK and base[0] != "d")
    letter = "𝟏" if base == "1" else _BIG.get(base, _LETTERS.get(base, base))
    yield Run(TEXT if upright else LETTER, letter + accent)
    prime = bool(token["prime"]) and context.is_prime(name, following)
    if prime:
        yield Run(TEXT, PRIME)
    if lower:
        yield Run(LOWER, lower)
    yield from _raised(token, "a", bool(token["prime"]) and not prime)


def _raised(token: re.Match, side: str, transposed: bool) -> Iterable[Run]:
    raised = token[f"{side}group"] or token[f"{side}upper"] or ""
    text = re.sub("[A-Za-z]+", lambda word: _LETTERS.get(word[0], word[0]), raised).replace("-", "−")
    text = re.sub(r"_(\w)", lambda index: index[1].translate(_LOWERED), text).replace("−T", f"−{TRANSPOSE}")
    if text or transposed:
        yield Run(UPPER, text + (TRANSPOSE if transposed else ""))


def _is_article(word: str, before: str, following: str) -> bool:
    """Whether "a" or "A" is the article and not a letter of a formula."""
    formula = re.match(r"\s*[=+<>≤≥^|)]|[_(~,]|\s[-−]\s", following) or re.search(r"[=+<>/|√·]\s*$|[({\[]$", before)
    begins = not before.strip() or before.rstrip().endswith((".", ":"))
    return not formula and (word == "a" or (begins and bool(re.match(r"\s[a-z]{2}", following))))


def _is_expectation(following: str, context: Letters) -> bool:
    return bool(re.match(r"\s?[|‖\[]", following)) or (
        not context.has_e and bool(re.match(r"\s(?:\(|[A-Za-z](?![a-z])|ED|exp|cos|max)", following))
    )


def _merged(pieces: Iterable[Run]) -> tuple[Run, ...]:
    merged: list[Run] = []
    for run in pieces:
        if merged and merged[-1].style == run.style == TEXT:
            merged[-1] = Run(TEXT, merged[-1].text + run.text)
        else:
            merged.append(run)
    return tuple(merged)


_LOWERED = str.maketrans("0123456789aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_UPPED = str.maketrans("0123456789+−inT" + TRANSPOSE + "αβγ", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁱⁿᵀᵀᵅᵝᵞ")


def _shifted(text: str, table: dict[int, str], mark: str) -> str:
    """A script in Unicode where all its characters exist there, else behind the mark by which one types it."""
    moved = text.translate(table)
    if all(ord(character) in table for character in text):
        return moved
    return f"{mark}{text}" if mark == "_" or len(text) == 1 else f"{mark}({text})"


_SHIFT = {
    TEXT: str,
    LETTER: str,
    NAME: lambda text: text.replace("_", " "),
    LOWER: partial(_shifted, table=_LOWERED, mark="_"),
    UPPER: partial(_shifted, table=_UPPED, mark="^"),
}
