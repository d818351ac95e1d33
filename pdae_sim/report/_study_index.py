"""An index page over the studies in a folder: name, question, verdict, a small figure, a link."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from matplotlib.figure import Figure

from pdae_sim import __version__
from pdae_sim._seals import undamaged
from pdae_sim.errors import InputError
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
    return render_template("study_index.html.jinja", entries=entries, version=__version__, command=registry.command)


def _entries(directory: Path, registry: StudyRegistry) -> list[_Entry]:
    modules = registry.modules()
    places = [(path.with_suffix(".html"), path) for path in sorted(directory.glob("*.parquet"))]
    places += [(path.with_name("report.html"), path) for path in sorted(directory.glob("*/results.parquet"))]
    entries = []
    for page, table in places:
        try:
            with undamaged(table.parent, "run the study again into this folder, which keeps finished tasks"):
                entries += _entry_of(page, table, directory, modules)
        except InputError as error:
            _log.warning("left out of the index: %s", error)
    order = {name: position for position, name in enumerate(modules)}
    return sorted(entries, key=lambda entry: order.get(entry.name, len(order)))


def _entry_of(page: Path, table: Path, directory: Path, modules: Mapping[str, StudyModule]) -> list[_Entry]:
    """The entry of a study with a page; none where it is another table."""
    name = _name(table) if page.is_file() else None
    module = modules.get(name or "")
    study = _study(table, module)
    if name is None or study is None:
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


def _study(table: Path, module: StudyModule | None) -> Study | None:
    """The study of a table: its module's, else that of the run in the same folder."""
    if module is not None:
        return module.study()
    store = Store(table.parent)
    return store.study() if store.about.is_file() else None


def _entry(study: Study, module: StudyModule | None, link: str, rows: list[dict]) -> _Entry:
    shown = presentation(module)
    address = quote(Path(link).as_posix())
    return _Entry(study.name, study.question, study.claim, shown.findings(rows)[0], address, shown.figure(rows))
