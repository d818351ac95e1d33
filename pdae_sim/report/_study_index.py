"""An index page over the studies in a folder: name, question, verdict, a small figure, a link."""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from matplotlib.figure import Figure

from pdae_sim import __version__
from pdae_sim._seals import undamaged
from pdae_sim.errors import InputError
from pdae_sim.report._format import MET
from pdae_sim.report._study_presentation import presentation
from pdae_sim.report._templates import render_template
from pdae_sim.study.registry import StudyModule, StudyRegistry
from pdae_sim.study.spec import Study
from pdae_sim.study.store import Store

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Entry:
    """A study with results, as the template shows it; `link` leads to its page."""

    name: str
    question: str
    claim: str
    verdict: str
    evidence: list[str]
    link: str
    figure: Figure


def study_index(directory: Path, registry: StudyRegistry | None = None) -> str:
    """Index of the studies in a folder as one self-contained HTML document.

    Args:
        directory: Holds folders of runs (``report.html`` beside ``results.parquet``), or ``NAME.html`` beside
            ``NAME.parquet`` of studies that the registry knows, or both.
        registry: Studies in Python, which come first and in its order.

    Returns:
        The document: name, question, verdict and figure of every study, with a link to its page.

    Raises:
        InputError: If no study with a page and results is there.

    Example:
        >>> try:
        ...     study_index(Path("no/such/folder"))
        ... except InputError as error:
        ...     print(error)
        no/such/folder: holds no study with a page; run one with `pdae-sim study run NAME --out no/such/folder/NAME`
    """
    registry = registry or StudyRegistry()
    entries = _entries(directory, registry)
    if not entries:
        hint = f"run one with `{registry.command} run NAME --out {directory / 'NAME'}`"
        raise InputError(f"{directory}: holds no study with a page; {hint}")
    return render_template(
        "study_index.html.jinja",
        entries=entries,
        tally=_tally(entries),
        version=__version__,
        command=registry.command,
    )


def _tally(entries: list[_Entry]) -> str:
    """How many studies there are, and what became of the parts of their predictions."""
    counts = {word: sum(part.startswith(f"{word}: ") for e in entries for part in e.evidence) for word in MET.values()}
    studies = f"{len(entries)} stud{'y' if len(entries) == 1 else 'ies'}"
    return f"{studies}, {sum(counts.values())} parts of predictions: " + ", ".join(
        f"{count} {word.lower()}" for word, count in counts.items()
    )


def _entries(directory: Path, registry: StudyRegistry) -> list[_Entry]:
    modules = registry.modules()
    places = [(path.with_suffix(".html"), path) for path in sorted(directory.glob("*.parquet"))]
    places += [(path.with_name("report.html"), path) for path in sorted(directory.glob("*/results.parquet"))]
    entries = []
    for page, table in places:
        try:
            with undamaged(table.parent, "run the study again into this folder, which keeps finished tasks"):
                entries += _entry_of(page, table, directory, registry)
        except InputError as error:
            _log.warning("left out of the index: %s", error)
    order = {name: position for position, name in enumerate(modules)}
    return sorted(entries, key=lambda entry: order.get(entry.name, len(order)))


def _entry_of(page: Path, table: Path, directory: Path, registry: StudyRegistry) -> list[_Entry]:
    """The entry of a study with a page; none where it is another table."""
    name = _name(table) if page.is_file() else None
    if name is None:
        return []
    module = registry.modules().get(name)
    study = _study(table, name, module, registry)
    if study is None:
        return []
    return [_entry(study, module, os.path.relpath(page, directory), _read_rows(table))]


def _read_rows(table: Path) -> list[dict]:
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


def _study(table: Path, name: str, module: StudyModule | None, registry: StudyRegistry) -> Study | None:
    """The study of a table: its module's, else that of the run in the same folder, else the one declared."""
    if module is not None:
        return module.study()
    store = Store(table.parent)
    return store.study() if store.about.is_file() else registry.declared(name)


def _entry(study: Study, module: StudyModule | None, link: str, rows: list[dict]) -> _Entry:
    shown = presentation(study, module)
    address = quote(Path(link).as_posix())
    verdict, *evidence = shown.findings(rows)
    return _Entry(study.name, study.question, study.claim, verdict, evidence, address, shown.figure(rows))
