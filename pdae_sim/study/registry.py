"""Studies known by name: modules with a page of their own, and declarations in a folder."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pdae_sim._checks import naming, near_misses
from pdae_sim._files import parse_toml, read_toml
from pdae_sim.errors import InputError
from pdae_sim.study.spec import Study
from pdae_sim.study.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class StudyPresentation(Protocol):
    """What the page of a study shows beside its declaration."""

    @property
    def CAPTION(self) -> str:  # noqa: N802
        """Caption of the figure."""

    @property
    def COLUMNS(self) -> Sequence[str]:  # noqa: N802
        """Columns of the table."""

    def setting(self, study: Study) -> str:
        """What was simulated or read, in a sentence."""

    def findings(self, rows: list[dict]) -> list[str]:
        """The verdict on the prediction in a sentence, then the evidence."""

    def summary(self, rows: list[dict]) -> list[tuple]:
        """Rows of the table."""

    def figure(self, rows: list[dict]) -> Figure:
        """The figure, as wide as a page."""


class StudyModule(StudyPresentation, Protocol):
    """A study in Python with a page of its own; a module with these names is one."""

    @property
    def SMOKE(self) -> Mapping[str, object]:  # noqa: N802
        """Settings of a small size that only shows that it runs; empty where there is none."""

    @property
    def study(self) -> Callable[..., Study]:
        """Makes the study; keyword arguments are the settings of ``--set``."""


@dataclass(frozen=True)
class StudyRegistry:
    """Names of studies, and what they name.

    Args:
        modules: Gives the studies in Python by name; called when one is asked for.
        folder: Holds declarations, each ``NAME.toml``.
        command: How the command line that knows these studies is called.

    Example:
        >>> StudyRegistry(folder=Path("no/such/folder")).questions()
        {}
    """

    modules: Callable[[], Mapping[str, StudyModule]] = dict
    folder: Path = Path()
    command: str = "pdae-sim study"

    def unreadable(self) -> dict[str, str]:
        """Files of the folder that are not TOML, with the reason.

        Raises:
            InputError: If there is no such folder.
        """
        if not self.folder.is_dir():
            raise InputError(f"{self.folder}: no such folder")
        return {path.name: read for path, read in self._read().items() if isinstance(read, str)}

    def declarations(self) -> dict[str, Path]:
        """Files of the folder that declare a study, by name."""
        return {path.stem: path for path in self._asked()}

    def declared(self, name: str) -> Study | None:
        """What a declaration of the folder says, without its tasks, to be shown and not run; None if there is none.

        Raises:
            InputError: If what it says or expects is no such thing.
        """
        path = self.declarations().get(name)
        if path is None:
            return None
        with naming(path):
            return Study.said(read_toml(path))

    def questions(self) -> dict[str, str]:
        """What each study asks, by name: modules first, then declarations."""
        asked = {name: module.study().question for name, module in self.modules().items()}
        return asked | {path.stem: question for path, question in self._asked().items()}

    def _asked(self) -> dict[Path, str]:
        """Questions of the declarations, whether or not they can be run here."""
        tables = {path: read for path, read in self._read().items() if isinstance(read, dict)}
        return {
            path: str(table["question"]) for path, table in tables.items() if {"worlds", "question"} <= table.keys()
        }

    def _read(self) -> dict[Path, dict | str]:
        """The TOML files of the folder: the table of each, or why it cannot be read."""
        return {path: _table_or_reason(path) for path in sorted(self.folder.glob("*.toml"))}

    def choose(
        self, name: str, *, overrides: Sequence[str] = (), smoke: bool = False, trust: bool = True
    ) -> tuple[Study, dict[str, str]]:
        """A study by its name or its file, and the texts a folder of results keeps to know it again.

        Args:
            name: Of a study, or the path of a declaration, ``….toml``.
            overrides: Settings of a study in Python, each ``key=value`` with the value in TOML.
            smoke: Take the small size of a study in Python.
            trust: Import classes of one's own that a declaration names, and check them.

        Raises:
            InputError: If there is no such study, or a setting is unknown or out of range.
        """
        path = Path(name) if name.endswith(".toml") else self.declarations().get(name)
        if path is not None:
            from pdae_sim.study.declaration import Declaration

            if overrides or smoke:
                raise InputError(f"{name}: --set and --smoke are for studies in Python; change {path}")
            declaration = Declaration.read(path)
            with naming(path):
                study = declaration.study(trust=trust)
            return study, {"declaration.toml": path.read_text(encoding="utf-8")}
        module = self.module(name)
        settings = {**(module.SMOKE if smoke else {}), **dict(map(_setting, overrides))}
        return _made(name, module, settings), {"settings.json": json.dumps(settings)}

    def module(self, name: str) -> StudyModule:
        """A study in Python by name.

        Raises:
            InputError: If there is none.
        """
        modules = self.modules()
        if name not in modules:
            known = [*modules, *self.declarations()]
            raise InputError(f"unknown study {name!r}; {near_misses(name, known)}, or give a file NAME.toml")
        return modules[name]

    def presentation(self, store: Store) -> StudyModule | None:
        """The module that shows the study of a store; None for a declared one."""
        name, declared = store.read_about()["name"], (store.directory / "declaration.toml").is_file()
        return None if declared else self.modules().get(name)


def _table_or_reason(path: Path) -> dict | str:
    try:
        return read_toml(path)
    except InputError as error:
        return str(error)


def _made(name: str, module: StudyModule, settings: dict) -> Study:
    known = inspect.signature(module.study).parameters
    for key in settings:
        if key not in known:
            raise InputError(f"--set {key}: unknown setting; {near_misses(key, known)}")
    try:
        return module.study(**settings)
    except (TypeError, ValueError) as error:
        reason = str(error).splitlines()[0] if isinstance(error, InputError) else f"{settings} are no settings of it"
        raise InputError(f"{name}: {reason}") from None


def _setting(text: str) -> tuple[str, object]:
    key, _, value = text.partition("=")
    try:
        return key.strip(), parse_toml(f"value = {value}")["value"]
    except InputError:
        raise InputError(f"--set {text!r}: expected key=value, for example seeds=20") from None
