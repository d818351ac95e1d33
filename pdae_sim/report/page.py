"""One self-contained HTML page from records: text, verdicts, figures and tables; no file, no network, no script."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from pdae_sim._checks import choice
from pdae_sim.errors import InputError
from pdae_sim.report._palette import PREDICTED, TRUE, VERDICT_LOOKS
from pdae_sim.report._templates import render_template

_NOTE = "note"
_CSS_PIXELS = 96  # an inch on a page
_SLUGS = dict(zip(VERDICT_LOOKS, ("supported", "off", "unidentified", "identified", "unwarranted"), strict=True))


@dataclass(frozen=True)
class Callout:
    """A sentence that must not be missed, with the colour, the sign and the name of a verdict.

    Args:
        kind: A verdict ("identified and supported", "identified, off support", "not identified", "identified"), or
            ``note``.
        text: In plain words.
        subject: What is judged, for instance the condition.

    Raises:
        InputError: If the kind is unknown.

    Example:
        >>> Callout("not identified", "No training environment moves C.", subject="A+C").subject
        'A+C'
    """

    kind: str
    text: str
    subject: str = ""

    def __post_init__(self) -> None:
        choice("kind", self.kind, (_NOTE, *VERDICT_LOOKS))


@dataclass(frozen=True)
class Fact:
    """A number worth a place at the top of the page.

    Args:
        value: The number, or the text as it should read.
        label: What it is.
        note: A remark in smaller letters.

    Example:
        >>> Fact(0.998, "orthogonal R² of the latents").label
        'orthogonal R² of the latents'
    """

    value: object
    label: str
    note: str = ""


@dataclass(frozen=True, eq=False)
class Illustration:
    """A figure with its caption.

    Args:
        figure: At the width of the page; smaller screens scale it down.
        caption: In plain words; what to see, not only what is drawn.
        alt: What a reader who cannot see it should know; the caption when absent.

    Example:
        >>> Illustration(Figure(), "Errors fall with the number of cells.").alt
        ''
    """

    figure: Figure
    caption: str = ""
    alt: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under column names.

    Args:
        columns: The names.
        rows: One sequence per row, as long as `columns`. Numbers are shown to `digits` significant digits, None and NaN
            as a dash, verdicts with their sign.
        note: Below the table.
        title: Above it.
        digits: Significant digits.

    Raises:
        InputError: If a row is shorter or longer than `columns`.

    Example:
        >>> len(Table(("condition", "cells"), [("ctrl", 400), ("A", 380)]).rows)
        2
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[object]] = ()
    note: str = ""
    title: str = ""
    digits: int = 3

    def __post_init__(self) -> None:
        for i, row in enumerate(self.rows):
            if len(row) != len(self.columns):
                raise InputError(f"rows must have {len(self.columns)} values each; row {i} has {len(row)}")


@dataclass(frozen=True, eq=False)
class Section:
    """A heading with what belongs to it.

    Args:
        heading: Of the section.
        paragraphs: First, then callouts, figures and tables.
        figures: With their captions.
        tables: Numbered through the page, as figures are.
        callouts: Sentences that must not be missed.

    Example:
        >>> Section("How to reproduce", ["Run it again."]).paragraphs
        ['Run it again.']
    """

    heading: str
    paragraphs: Sequence[str] = ()
    figures: Sequence[Illustration] = ()
    tables: Sequence[Table] = ()
    callouts: Sequence[Callout] = ()


@dataclass(frozen=True, eq=False)
class Page:
    """A report.

    Args:
        title: Of the page.
        lead: What a reader in a hurry should know.
        sections: In order.
        facts: Key numbers below the lead.
        colophon: At the foot: versions, seed, how to repeat it.
        legend: Whether the head says what colours mean in every figure (true, predicted, others); False where figures
            have colours of their own.

    Example:
        >>> Page("How many cells?", sections=[Section("What came out")]).lead
        ''
    """

    title: str
    lead: str = ""
    sections: Sequence[Section] = ()
    facts: Sequence[Fact] = ()
    colophon: str = ""
    legend: bool = True


def render_page(page: Page) -> str:
    """Render a page as one HTML document without scripts or links to other files.

    Args:
        page: With all that it shows; text from data is escaped.

    Returns:
        The document. The same page gives the same text, byte for byte.

    Example:
        >>> "<h1>A &lt; B</h1>" in render_page(Page("A < B"))
        True
    """
    colours = {"true": TRUE, "predicted": PREDICTED}
    colours |= {_SLUGS[verdict]: look.colour for verdict, look in VERDICT_LOOKS.items()}
    return render_template(
        "page.html.jinja", page=page, colours=colours, slugs=_SLUGS, is_numeric=_is_numeric, css_pixels=_CSS_PIXELS
    )


def _is_number(value: object) -> bool:
    """Whether a cell may stand in a column of numbers."""
    return value is None or (isinstance(value, numbers.Number) and not isinstance(value, bool | np.bool_))


def _is_numeric(table: Table, column: int) -> bool:
    """Whether a column is set flush right: it holds numbers, at least one."""
    cells = [row[column] for row in table.rows]
    return all(_is_number(cell) for cell in cells) and any(cell is not None for cell in cells)
