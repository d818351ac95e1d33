"""One self-contained HTML page from records: text, verdicts, figures and tables; no file, no network, no script."""

from __future__ import annotations

import base64
import io
import math
import numbers
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import jinja2
import numpy as np
from matplotlib.figure import Figure

from pdae_sim._checks import choice
from pdae_sim.errors import InputError
from pdae_sim.report._palette import NARROW, PREDICTED, TRUE, VERDICTS, WIDE, house_style

NOTE = "note"
"""The kind of a callout that is no verdict."""

_CSS_PIXELS, _DENSITY = 96, 2
_ABSENT = "–"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_SLUGS = dict(zip(VERDICTS, ("supported", "off", "unidentified", "identified"), strict=True))


@dataclass(frozen=True)
class Callout:
    """A sentence that must not be missed, with the colour, the sign and the name of a verdict.

    Args:
        kind: A verdict ("identified and supported", "identified, off support", "not identified", "identified"), or
            ``note``.
        text: In plain words.
        subject: What is judged, for instance the condition.
    """

    kind: str
    text: str
    subject: str = ""

    def __post_init__(self) -> None:
        choice("kind", self.kind, (NOTE, *VERDICTS))


@dataclass(frozen=True)
class Fact:
    """A number worth a place at the top of the page: its value as it should read, and what it is."""

    value: object
    label: str
    note: str = ""


@dataclass(frozen=True, eq=False)
class Illustration:
    """A figure with its caption.

    Args:
        figure: Shown on screens wide enough for it, and in print.
        caption: In plain words; what to see, not only what is drawn.
        alt: What a reader who cannot see it should know; the caption when absent.
        narrow: The same figure arranged for a phone; without it a wide figure scrolls there in its own container.
    """

    figure: Figure
    caption: str = ""
    alt: str = ""
    narrow: Figure | None = None

    @classmethod
    def of(
        cls, draw: Callable[..., Figure], *args: object, caption: str = "", alt: str = "", **options
    ) -> Illustration:
        """A figure of `pdae_sim.report.figures` drawn twice, for the page and for a phone."""
        wide, narrow = (draw(*args, **options, width=width) for width in (WIDE, NARROW))
        return cls(wide, caption, alt, narrow)


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
    """A heading with what belongs to it, shown in this order: paragraphs, callouts, figures, tables."""

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
    """

    title: str
    lead: str = ""
    sections: Sequence[Section] = ()
    facts: Sequence[Fact] = ()
    colophon: str = ""


def render(page: Page) -> str:
    """The page as one HTML document. The same page gives the same text, byte for byte."""
    return _template().render(page=page, colours=_colours())


def figure_to_png_base64(figure: Figure) -> str:
    """The figure as PNG at twice the resolution of the page, in base64, without a date or a version in its metadata."""
    buffer = io.BytesIO()
    with house_style():
        figure.savefig(buffer, format="png", dpi=_CSS_PIXELS * _DENSITY, metadata={"Software": None})
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def format_value(value: object, digits: int = 3) -> str:
    """A table cell as text: numbers to some significant digits, with a true minus sign; absent and NaN as a dash."""
    value = value.item() if isinstance(value, np.generic) else value
    if value is None:
        return _ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, numbers.Integral):
        return f"{value:,}".replace("-", "−")
    if isinstance(value, numbers.Real) and not isinstance(value, Fraction):
        return _format_real(float(value), digits)
    return str(value)


def _format_real(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return _ABSENT if math.isnan(value) else ("∞" if value > 0 else "−∞")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")  # rounded before its size is judged: 9.999 is 10.0
    power = int(exponent)
    if value and not -4 <= power < 6:
        return f"{mantissa} × 10{str(power).translate(_SUPERSCRIPTS)}".replace("-", "−")
    decimals = max(digits - 1 - power, 0) if value else 0
    return f"{value + 0.0:,.{decimals}f}".replace("-", "−")


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, numbers.Number) and not isinstance(value, bool | np.bool_))


def _is_numeric(table: Table, column: int) -> bool:
    """Whether a column is set flush right: it holds numbers, at least one."""
    cells = [row[column] for row in table.rows]
    return all(_is_number(cell) for cell in cells) and any(cell is not None for cell in cells)


def _is_wide(figure: Figure) -> bool:
    return figure.get_figwidth() > NARROW + 0.5


def _colours() -> dict[str, str]:
    return {"true": TRUE, "predicted": PREDICTED} | {_SLUGS[name]: look.colour for name, look in VERDICTS.items()}


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pdae_sim.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"png": figure_to_png_base64, "value": format_value}
    environment.globals |= {
        "is_numeric": _is_numeric, "is_wide": _is_wide, "slugs": _SLUGS, "NOTE": NOTE, "css_pixels": _CSS_PIXELS,
    }  # fmt: skip
    return environment.get_template("page.html.jinja")
