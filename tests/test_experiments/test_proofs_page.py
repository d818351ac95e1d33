"""The page with the proofs: everything in it, nothing raw in it, the same bytes every time, nothing fetched."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from experiments import proofs
from experiments.proof_figures import FIGURES
from theory.claims import CLAIMS
from theory.engine.checker import available
from theory.engine.proof import Lemma
from theory.typesetting.ideas import IDEAS

ROOT = Path(__file__).parents[2]


class Reader(HTMLParser):
    """Tags that are open, ids, links and text outside style."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.text, self.faults = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.ids += [named["id"]] if "id" in named else []
        self.links += [named["href"]] if "href" in named else []
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.ids += [value for key, value in attributes if key == "id"]

    def handle_endtag(self, tag):
        self.faults += [tag] * (not self.open or self.open.pop() != tag)

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


@pytest.fixture(scope="module")
def page():
    return proofs.page()


@pytest.fixture(scope="module")
def read(page):
    reader = Reader()
    reader.feed(page)
    return reader


def test_the_page_is_up_to_date(page):
    """If not: `python -m experiments.proofs`."""
    assert proofs.PAGE.read_text(encoding="utf-8") == page


def test_every_claim_step_lemma_and_assumption_has_a_place(read):
    anchors = {f"claim-{claim.number.replace('.', '-')}": claim for claim in CLAIMS}
    parts = [f"{anchor}-{item.name}".replace("_", "-") for anchor, claim in anchors.items() for item in claim.proof]
    assumed = [f"{anchor}-{a.name}".replace("_", "-") for anchor, claim in anchors.items() for a in claim.assumptions]
    assert sorted(read.ids) == sorted([*anchors, *parts, *assumed])
    assert len(set(read.ids)) == len(read.ids)


def test_every_link_leads_to_a_place(read):
    files = [link for link in read.links if link.startswith("../../")]
    assert all((proofs.PAGE.parent / link).is_file() for link in files)
    assert len(files) >= 2 * len(CLAIMS)
    inner = [link for link in read.links if link != "data:," and link not in files]
    assert len(inner) > sum(len(available(claim)) for claim in CLAIMS)
    assert {link.removeprefix("#") for link in inner} <= set(read.ids)


def test_formulas_reasons_and_models_are_all_there(page):
    items = [item for claim in CLAIMS for item in claim.proof]
    lemmas = sum(isinstance(item, Lemma) for item in items)
    cases = sum(len(claim.counterexamples) + len(claim.relaxations) for claim in CLAIMS)
    assert page.count('display="block"') == len(items) - lemmas + len(CLAIMS)
    assert page.count("<i>Reason.</i>") == lemmas
    assert page.count('<p class="gap">') == cases
    assert page.count(">conclusion<") == sum(len(claim.conclusions) for claim in CLAIMS)


def test_nothing_is_left_as_it_is_typed(page):
    body = re.sub(r'<p class="about">[^<]*</p>|<mo[^>]*>[~^*]</mo>', "", page[page.index("<body>") :])
    text = html.unescape(re.sub(r"<[^>]+>", "\0", body))
    for raw in ("\\", "_", "`", "^", "&", "**", "Matrix(", "sqrt", "->", "<=", ">=", "!=", "None,", "lambda"):
        assert raw not in text, text[text.index(raw) - 80 : text.index(raw) + 80]
    assert not re.search(r"[A-Za-z)\]]~|[A-Za-z)]'", text)


def test_it_is_whole_and_fetches_nothing(page, read):
    assert not read.faults
    assert not read.open
    assert "<script" not in page
    assert not re.search(r"src=\"(?!data:,)", page)
    for link in re.findall(r"<a href=\"([^#\"]+)", page):  # to the records and tests beside it
        assert (proofs.PAGE.parent / link).is_file(), link
    assert not re.search(r"<link[^>]* href=\"(?!data:,)", page)
    assert set(re.findall(r"https?://[^\"< ]+", page)) == {"http://www.w3.org/1998/Math/MathML"}
    assert "default-src 'none'" in page


def test_long_formulas_scroll_in_their_own_box(page):
    """All formulas but accented letters within a sentence, which are short."""
    assert re.search(r"\.formula \{ overflow-x: auto", page)
    assert re.search(r"\.scroll \{ [^}]*overflow-x: auto", page)
    boxed = re.sub(r'<(?:div class="formula[^>]*|span class="scroll")><math.*?</math>', "", page)
    assert page.count("<math") > 4 * boxed.count("<math") > 0
    assert max(len(re.sub("<[^>]+>", "", result)) for result in re.findall("<math.*?</math>", boxed)) <= 3


def test_what_is_told_of_a_step_is_what_it_cites(page):
    affine = page[page.index('id="claim-2-2-equal-ratios"') :][:6000]
    assert '<a href="#claim-2-2-transport">transport</a>' in affine


def test_a_formula_the_converter_does_not_know_is_respelt():
    assert "argmin" in proofs.display(r"\arg\min f")
    assert "\\" not in proofs.display(r"\arg\min f")
    assert "<mtable" in proofs.display(r"\begin{aligned} & a \\ & = b \end{aligned}")


def test_every_proof_begins_with_its_idea(page):
    assert list(IDEAS) == [claim.name for claim in CLAIMS]
    assert page.count("<b>Idea.</b>") == len(CLAIMS)
    assert all(len(re.findall(r"\.( |$)", idea)) >= 2 for idea in IDEAS.values())


def test_pictures_are_where_they_belong(page):
    assert FIGURES.keys() <= {claim.name for claim in CLAIMS}
    assert page.count("<figure>") == page.count("</svg>") == len(FIGURES)
