"""Results on standard output; progress and logs on standard error."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pdae_sim._json import plain

if TYPE_CHECKING:
    from rich.table import Table

    from pdae_sim.estimation.phases import Phase, Progress

ALWAYS_LOGGED = ("pdae_sim.estimation._memory", "pdae_sim.estimation._dimension")
"""Logs that are shown beside a progress bar too: written once, before a fit begins."""


@dataclass(frozen=True)
class Output:
    """How a command speaks.

    Args:
        as_json: The result alone, as JSON on stdout.
        quiet: No progress and no logs below a warning.
    """

    as_json: bool
    quiet: bool

    @classmethod
    def started(cls, as_json: bool, quiet: bool) -> Output:
        """Speech with logs sent to stderr; heartbeat lines only where no progress bar is drawn."""
        level = logging.WARNING if quiet or sys.stderr.isatty() else logging.INFO
        logging.basicConfig(level=level, format="%(message)s", stream=sys.stderr, force=True)
        for name in ALWAYS_LOGGED:
            logging.getLogger(name).setLevel(logging.NOTSET if quiet else logging.INFO)
        return cls(as_json, quiet)

    def result(self, payload: object, text: str | Table | Sequence[str | Table]) -> None:
        """The result: `payload` as JSON, or `text` for people."""
        if self.as_json:
            sys.stdout.write(json.dumps(plain(payload), ensure_ascii=False, allow_nan=False) + "\n")
            return
        from rich.console import Console

        console = Console(highlight=False, soft_wrap=True)
        for part in text if isinstance(text, Sequence) and not isinstance(text, str) else [text]:
            console.print(part, markup=False) if isinstance(part, str) else console.print(part)

    def say(self, message: str) -> None:
        """A line of progress."""
        if not self.quiet:
            sys.stderr.write(message + "\n")

    @contextmanager
    def fitting(self, phases: Sequence[Phase]) -> Iterator[Callable[[Progress], None] | None]:
        """A callback that shows a fit's progress: a bar on a terminal, nothing where heartbeats are logged."""
        if self.quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import Progress as Bars

        before = [sum(phase.steps for phase in phases[:index]) for index in range(len(phases) + 1)]
        with Bars(console=Console(stderr=True), transient=True) as bars:
            bar = bars.add_task("fitting", total=before[-1])
            yield lambda progress: bars.update(
                bar, completed=before[progress.phase] + progress.step, description=phases[progress.phase].name
            )


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table for people; floats to four significant digits."""
    from rich.markup import escape
    from rich.table import Table

    shown = Table(title=escape(title), title_justify="left")
    for column in columns:
        shown.add_column(escape(column), overflow="fold")
    for row in rows:
        shown.add_row(*(escape(_cell(value)) for value in row))
    return shown


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
