"""The proofs of `theory` as a page that a mathematician can read without Python.

Run: `python -m experiments.proofs [PATH]`. Writes experiments/results/proofs.html, or PATH.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import cycle
from pathlib import Path

import jinja2
from latex2mathml.converter import convert
from markupsafe import Markup, escape
from sympy import Integer
from sympy.matrices import MatrixBase

from experiments.proof_figures import FIGURES
from pdae_sim._files import write_text
from theory.assumptions import NOTATION
from theory.claims import CLAIMS
from theory.engine.checker import measurements
from theory.engine.proof import DEFINITION, Equation, Lemma, Step
from theory.engine.record import Claim, Counterexample, Model, Relaxation
from theory.symbols import NOTATION as LETTERS
from theory.typesetting import latex
from theory.typesetting.ideas import IDEAS
from theory.typesetting.index import INDEX
from theory.typesetting.readme import module_of

PAGE = Path(__file__).parent / "results" / "proofs.html"

_SPELLED = {r"\arg\min": r"\operatorname{argmin}", "{aligned}": "{split}", r"\mathbf{1}": "𝟏"}
"""What the converter or browsers do not know, and what they do."""
_OPERATOR = re.compile(r"\\(log|det|exp|cos|sin|operatorname\{\w+\}) ?(?=\\(?!left|quad|,|\W)|[\w𝔼])")
"""An operator without brackets, which needs a little space."""
_ACCENTED = re.compile(r"(\\(?:tilde|hat)\s?(?:\{[^{}]*\}|\w))\^")
"""A letter with an accent and a superscript, which is set beside it and not above the accent."""
_OPENING = re.compile(r"(?!(?:log|det|rank|exp|vol)\b)(?:a(?=\s[^=+<>-])|[a-z]{2,}(?=[\s,:]))")
"""An English word at the beginning of a sentence."""
_ACCENT = re.compile(r'<mo(?: stretchy="false")?>([~^])</mo>')
_COMBINING = {"\u0303": "tilde", "\u0302": "hat", "\u0304": "bar"}
_LETTERS = "A-Za-zÀ-ɏΑ-ω"
_TOKEN = re.compile(
    rf"`(?P<name>[^`]+)`|(?P<accented>[{_LETTERS}])(?P<accent>[{''.join(_COMBINING)}])|_(?P<lower>\w+)"
    r"|\^(?:\((?P<group>[^()]*)\)|(?P<upper>\w+))|(?P<quote>')|(?P<minus>(?<![^\s(=,\[])-(?=[^\s\d>]|\d|\s))"
    rf"|(?P<letter>(?<![{_LETTERS}])[{_LETTERS}](?![{_LETTERS}\u0302-\u0304’]))"
)
"""What in a sentence is not plain text: the name of a step, an accent, a script, a minus, a letter of a formula."""


@dataclass(frozen=True)
class Use:
    """An equation that a step uses: the formula, and the links to what it rests on."""

    formula: Markup
    by: tuple[Markup, ...]


@dataclass(frozen=True)
class Part:
    """A step or a lemma as the page shows it; a lemma has a reason and no formula."""

    anchor: str
    number: int
    name: str
    statement: Markup
    concludes: bool
    formula: Markup | None = None
    uses: tuple[Use, ...] = ()
    reason: Markup | None = None
    rests_on: tuple[Markup, ...] = ()
    states: tuple[Markup, ...] = ()


@dataclass(frozen=True)
class Without:
    """What happens without an assumption: in words, the explicit model, and by how much the conclusion fails."""

    assumption: Markup
    statement: Markup
    model: tuple[Markup, ...]
    what: Markup
    agree: Markup
    gap: Markup
    survives: bool


@dataclass(frozen=True)
class Chapter:
    """A claim as the page shows it."""

    claim: Claim
    anchor: str
    statement: Markup
    idea: Markup
    picture: Markup
    formula: Markup
    source: str
    assumptions: tuple[tuple[str, str, Markup], ...]
    uses: tuple[Markup, ...]
    parts: tuple[Part, ...]
    check: str
    without: tuple[Without, ...]
    remark: Markup
    places: tuple[tuple[str, tuple[Markup, ...]], ...]


def page(claims: Sequence[Claim] = CLAIMS) -> str:
    """The page as one self-contained HTML document; the same records give the same bytes."""
    chapters = [chapter(claim) for claim in claims]
    kinds = Counter(type(item) for claim in claims for item in claim.proof)
    models = sum(len(chapter.without) for chapter in chapters)
    notation = [tuple(map(_Speaker(claims[0]).words, row)) for row in LETTERS]
    return _template().render(
        chapters=chapters, notation=notation, n_steps=kinds[Step], n_lemmas=kinds[Lemma], n_models=models
    )


def chapter(claim: Claim) -> Chapter:
    """Everything the page says of a claim."""
    say = _Speaker(claim)
    return Chapter(
        claim=claim,
        anchor=_anchor(claim),
        statement=say.words(_sentence(claim.statement)),
        idea=say.words(IDEAS[claim.name]),
        picture=Markup(FIGURES[claim.name]()) if claim.name in FIGURES else Markup(""),
        formula=display(claim.latex),
        source=claim.source,
        assumptions=tuple(
            (say.anchor(a.name), _spaced(a.name), say.words(_sentence(a.statement))) for a in claim.assumptions
        ),
        uses=tuple(say.link(other.name) for other in claim.uses),
        parts=tuple(_part(item, number, say) for number, item in enumerate(claim.proof, 1)),
        check=_checked(claim),
        without=tuple(_without(case, say) for case in (*claim.counterexamples, *claim.relaxations)),
        remark=say.words(claim.remark),
        places=_places(claim),
    )


def _places(claim: Claim) -> tuple[tuple[str, tuple[Markup, ...]], ...]:
    """Modules and tests where a claim is proved, tested and shown, as links from the page."""
    entry = INDEX[claim.name]
    found = (("Proved in", (module_of(claim),)), ("Tested in", entry.tests), ("Shown in", entry.shown))
    return tuple((kind, tuple(map(_file, paths))) for kind, paths in found)


def _file(path: str) -> Markup:
    return Markup('<a href="{}">{}</a>').format(f"../../{path}", path.rpartition("/")[2].replace("_", " "))


def display(formula: str) -> Markup:
    """A formula in LaTeX as displayed MathML."""
    return _mathml(formula, "block")


def inline(formula: str) -> Markup:
    """A formula in LaTeX as MathML within a line."""
    return _mathml(formula, "inline")


class _Speaker:
    """Words of one claim as HTML, with links to what they name."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.items = {item.name for item in claim.proof}
        self.assumed = {name: a for a in claim.assumptions for name in (*a.implies, a.name)}
        self.used = {other.name: other for other in claim.uses}

    def words(self, sentence: str) -> Markup:
        """A sentence, with letters of formulas in italics, scripts raised and lowered, and names as links."""
        pieces, position = [], 0
        for token in _TOKEN.finditer(sentence):
            pieces += [escape(sentence[position : token.start()]), self._styled(token)]
            position = token.end()
        return Markup("").join([*pieces, escape(sentence[position:])])

    def anchor(self, name: str) -> str:
        return f"{_anchor(self.claim)}-{name.replace('_', '-')}"

    def link(self, name: str) -> Markup:
        """A citation as a link; a definition has no place to go to."""
        if name in (DEFINITION, NOTATION.name):
            return Markup(name)
        if name in self.used:
            return Markup('<a href="#{}">claim {}</a>').format(_anchor(self.used[name]), self.used[name].number)
        target = name if name in self.items else self.assumed[name].name
        text = _spaced(name) if target == name else f"{_spaced(name)}, by {_spaced(target)}"
        kind = "" if name in self.items else Markup(' class="assumed"')
        return Markup('<a{} href="#{}">{}</a>').format(kind, self.anchor(target), text)

    def _styled(self, token: re.Match[str]) -> Markup:
        kind, text = token.lastgroup, token[token.lastgroup or 0]
        if kind == "name":
            return self.link(text) if text in self.items else Markup("<em>{}</em>").format(_spaced(text))
        if kind == "accent":
            return inline(rf"\{_COMBINING[text]}{{{token['accented']}}}")
        if kind in ("minus", "quote"):
            return Markup("−" if kind == "minus" else "’" if re.match(r"s\b", token.string[token.end() :]) else "′")
        if kind == "letter":
            return Markup(text if _is_article(token) else f"<i>{text}</i>")
        tag, text = ("sub" if kind == "lower" else "sup"), text.replace("-", "−")
        return Markup(
            f"<{tag}><i>{text}</i></{tag}>" if len(text) == 1 and text.isalpha() else f"<{tag}>{text}</{tag}>"
        )


def _is_article(letter: re.Match[str]) -> bool:
    """Whether a or A is the article and not a letter of a formula."""
    before, after = letter.string[: letter.start()], letter.string[letter.end() :]
    formula = re.match(r"\s*[=+<>≤≥^|)]|[_(,ᵀ₀-ₜ]|\s[-−]\s", after) or re.search(r"[=+<>/|√·−]\s*$|[({\[]$", before)
    begins = not before.strip() or before.rstrip().endswith((".", ":"))
    return not formula and (letter[0] == "a" or (letter[0] == "A" and begins))


def _part(item: Step | Lemma, number: int, say: _Speaker) -> Part:
    shared = {
        "anchor": say.anchor(item.name),
        "number": number,
        "name": _spaced(item.name),
        "statement": say.words(_sentence(item.statement)),
        "concludes": item.name in say.claim.conclusions,
    }
    if isinstance(item, Lemma):
        return Part(
            **shared,
            reason=say.words(_sentence(item.reason)),
            rests_on=tuple(map(say.link, item.rests_on)),
            states=tuple(inline(latex.equation(*pair)) for pair in item.states),
        )
    return Part(
        **shared,
        formula=display(latex.step_formula(item)),
        uses=tuple(_use(equation, say) for equation in item.equations),
    )


def _use(equation: Equation, say: _Speaker) -> Use:
    return Use(inline(latex.equation_of(equation)), tuple(map(say.link, equation.rests_on)))


def _without(case: Counterexample | Relaxation, say: _Speaker) -> Without:
    model = case.build(Integer(1))
    return Without(
        assumption=say.link(case.drops.name),
        statement=say.words(_sentence(case.statement)),
        model=tuple(say.words(paragraph) for paragraph in _model(case.build)),
        what=say.words(_sentence(model.differ.what).rstrip(".") if model.differ else "The conclusion"),
        agree=say.words("; ".join(pair.what for pair in model.agree)),
        gap=_values(model),
        survives=isinstance(case, Relaxation),
    )


def _values(model: Model) -> Markup:
    """What the model has and what its rival has, if these are numbers; else by how much they differ."""
    boxed = Markup('<span class="scroll">{}</span>')
    pair = model.differ
    if pair is None or any(side.free_symbols or isinstance(side, MatrixBase) for side in (pair.own, pair.rival)):
        return Markup("differs by ") + boxed.format(inline(latex.gap(model.gap)))
    return Markup(" against ").join(boxed.format(inline(latex.gap(side))) for side in (pair.own, pair.rival))


def _model(build: Callable) -> list[str]:
    """The explicit model in the words of the function that builds it, or of the one it wraps."""
    inner = [value for value in inspect.getclosurevars(build).nonlocals.values() if callable(value)]
    described = next((inspect.getdoc(function) for function in (build, *inner) if function.__doc__), "")
    return [" ".join(paragraph.split()) for paragraph in described.split("\n\n") if paragraph]


def _checked(claim: Claim) -> str:
    """What the numerical check measures and how often. Its deviations are rounding, so they differ between machines."""
    counts = Counter(measurement.name for measurement in measurements(claim))
    measured = ", ".join(f"{_spaced(name)} ({count})" for name, count in counts.items())
    several = "s" if sum(counts.values()) > 1 else ""
    return f"{sum(counts.values())} deviation{several} on random instances, each within its bound: {measured}."


def _anchor(claim: Claim) -> str:
    return f"claim-{claim.number.replace('.', '-')}"


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    begun = text[0].upper() + text[1:] if _OPENING.match(text) else text
    return begun if begun.endswith(".") else f"{begun}."


@cache
def _mathml(formula: str, mode: str) -> Markup:
    for unknown, known in _SPELLED.items():
        formula = formula.replace(unknown, known)
    spaced = _OPERATOR.sub(r"\\\1\\, ", _ACCENTED.sub(r"\1{}^", formula))
    mathml = re.sub(r"&#x([0-9A-F]+);", lambda code: str(escape(chr(int(code[1], 16)))), convert(spaced, display=mode))
    return Markup(_fenced(_ACCENT.sub(r'<mo stretchy="false" lspace="0" rspace="0">\1</mo>', mathml)))


def _fenced(mathml: str) -> str:
    """Bars in pairs, of one height: browsers take a bar alone for an operator between two others."""
    forms = cycle(("prefix", "postfix"))
    return re.sub(r"<mo>([|‖])</mo>", lambda bar: f'<mo stretchy="false" form="{next(forms)}">{bar[1]}</mo>', mathml)


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("proofs.html.jinja")


def main(path: Path = PAGE) -> None:
    """Write the page."""
    write_text(path, page(), force=True)
    print(path)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:2]))
