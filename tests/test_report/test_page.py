"""The page: whole, safe, the same every time, and readable without colour."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest

from pdae_sim.errors import InputError
from pdae_sim.report import (
    ENVIRONMENTS,
    PREDICTED,
    TRUE,
    Callout,
    Fact,
    Illustration,
    Page,
    Section,
    Table,
    render_page,
)
from pdae_sim.report._palette import VERDICT_LOOKS
from pdae_sim.verdicts import NOT_IDENTIFIED, OFF_SUPPORT, SUPPORTED
from tests.test_report.conftest import drawn
from tests.test_report.examples import HOSTILE


class Reader(HTMLParser):
    """Tags, attributes and text of a page, and whether every element is closed."""

    VOID = frozenset({"meta", "link", "img", "path", "circle", "rect", "br"})

    def __init__(self, html):
        super().__init__()
        self.tags, self.attributes, self.text, self.open = [], [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def full_page():
    table = Table(
        ("condition", "verdict", HOSTILE, "value"),
        [(HOSTILE, SUPPORTED, "x" * 40, 1.0), ("B", NOT_IDENTIFIED, None, -np.inf), ("C", OFF_SUPPORT, "y", np.nan)],
        note=HOSTILE,
        title=HOSTILE,
    )
    section = Section(
        HOSTILE,
        [HOSTILE],
        [Illustration(drawn("shifts")[0], HOSTILE), Illustration(drawn("evaluation")[0], HOSTILE, HOSTILE)],
        [table],
        [Callout(kind, HOSTILE, HOSTILE) for kind in VERDICT_LOOKS] + [Callout("note", HOSTILE)],
    )
    return Page(HOSTILE, HOSTILE, [section, Section("Empty"), Section("")], [Fact(0.5, HOSTILE, HOSTILE)], HOSTILE)


@pytest.fixture(scope="module")
def html():
    return render_page(full_page())


def test_a_page_is_well_formed_and_reaches_for_nothing_outside_itself(html):
    page = Reader(html)
    assert not page.open
    links = [value for name, value in page.attributes if name in {"src", "href", "srcset", "action", "data"}]
    assert links
    assert all(value.startswith(("data:", "#")) for value in links)
    assert not re.search(r"(https?:)?//[a-z]|@import|url\(", re.sub(r"base64,[^\"]*", "", html))
    assert not {"script", "iframe", "object", "embed", "form"} & set(page.tags)
    assert "default-src 'none'" in html


def test_hostile_names_stay_text(html):
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 15
    assert HOSTILE in "".join(Reader(html).text)
    assert not any(name.startswith("on") for name, _ in Reader(html).attributes)


def test_every_image_has_a_description_and_a_size(html):
    images = re.findall(r"<img ([^>]*)>", html)
    assert len(images) == 2
    assert all(re.search(r'alt="[^"]+" width="\d+" height="\d+"', image) for image in images)


def test_a_page_is_the_same_byte_for_byte(html):
    assert render_page(full_page()) == html


@pytest.mark.parametrize(
    "page", [Page(""), Page("T", sections=[Section("S")]), Page("T", sections=[Section("S", tables=[Table(())])])]
)
def test_empty_pages_sections_and_tables_render_page(page):
    assert not Reader(render_page(page)).open


def test_verdicts_are_told_apart_without_colour(html):
    for verdict in VERDICT_LOOKS:
        assert f'<span class="name">{verdict}</span>' in html
    looks = [(look.marker, look.filled) for look in VERDICT_LOOKS.values()]
    assert len(set(looks)) == len(looks)
    with pytest.raises(InputError, match="kind"):
        Callout("certainly", "text")


def luminance(colour):
    channels = np.array(matplotlib.colors.to_rgb(colour))
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def test_colours_are_distinct_and_verdicts_readable_on_white():
    used = [TRUE, PREDICTED, *ENVIRONMENTS, *(look.colour for look in VERDICT_LOOKS.values())]
    assert len(set(used)) == len(used)
    contrast = [1.05 / (luminance(look.colour) + 0.05) for look in VERDICT_LOOKS.values()]
    assert min(contrast) >= 4.5  # WCAG AA for text


def test_tables_scroll_in_a_container_of_their_own(html):
    assert re.search(r'<div class="scroll" tabindex="0"[^>]*>\s*<table>', html)
    assert re.search(r"\.scroll \{[^}]*overflow-x: auto", html)


def test_a_row_of_the_wrong_length_is_refused():
    with pytest.raises(InputError, match="row 1 has 1"):
        Table(("a", "b"), [(1, 2), (1,)])
