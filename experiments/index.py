"""An index page over the studies found in a folder: name, question, verdict, a small figure, a link."""

from __future__ import annotations

import base64
import io
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

import jinja2
import pandas as pd

from experiments.studies import STUDIES
from pdae_sim import __version__
from pdae_sim.errors import InputError
from pdae_sim.report._palette import house_style

_DENSITY = 90


@dataclass(frozen=True)
class Entry:
    """A study with results.

    Args:
        name: Of the study.
        question: Its question.
        claim: The claims it tests.
        verdict: Whether its prediction was met, in a sentence.
        link: To its page, relative to the index.
        thumbnail: Its figure, PNG in base64.
    """

    name: str
    question: str
    claim: str
    verdict: str
    link: str
    thumbnail: str


def index_page(directory: Path) -> str:
    """The index as one self-contained HTML document.

    Args:
        directory: Holds ``NAME.html`` beside ``NAME.parquet``, or folders of runs (``report.html`` beside
            ``results.parquet``), or both.

    Raises:
        InputError: If no study with a page and results is there.
    """
    entries = found(directory)
    if not entries:
        raise InputError(f"{directory}: holds no study with a page; run one with `python -m experiments run NAME`")
    return _template().render(entries=entries, version=__version__)


def found(directory: Path) -> list[Entry]:
    """The studies in a folder, in the order of `STUDIES`; several runs of one by path."""
    places = [(path.with_suffix(".html"), path) for path in sorted(directory.glob("*.parquet"))]
    places += [(path.with_name("report.html"), path) for path in sorted(directory.glob("*/results.parquet"))]
    named = [(_name(table), page, table) for page, table in places if page.is_file()]
    order = list(STUDIES)
    known = sorted((p for p in named if p[0] in STUDIES), key=lambda place: order.index(place[0]))
    return [_entry(name, os.path.relpath(page, directory), table) for name, page, table in known]


def read_rows(table: Path) -> list[dict]:
    """The rows of a collected table, absent values as None."""
    frame = pd.read_parquet(table)
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def _name(table: Path) -> str | None:
    """The study of a table of results; None where it is another table."""
    try:
        names = pd.read_parquet(table, columns=["study"])["study"].unique()
    except (ValueError, KeyError):
        return None
    return str(names[0]) if len(names) == 1 else None


def _entry(name: str, link: str, table: Path) -> Entry:
    module, rows = STUDIES[name], read_rows(table)
    study = module.study()
    verdict = module.findings(rows)[0]
    return Entry(name, study.question, study.claim, verdict, quote(Path(link).as_posix()), _thumbnail(module, rows))


def _thumbnail(module, rows: list[dict]) -> str:
    buffer = io.BytesIO()
    with house_style():
        module.figure(rows).savefig(buffer, format="png", dpi=_DENSITY, metadata={"Software": None})
    return base64.b64encode(buffer.getvalue()).decode("ascii")


@cache
def _template() -> jinja2.Template:
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("index.html.jinja")
