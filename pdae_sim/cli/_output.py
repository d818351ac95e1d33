"""Where words go: results on stdout, progress and logs on stderr."""

from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as Bars
from rich.table import Table

from pdae_sim.estimation.training import Phase, Progress

SAID = ("pdae_sim.estimation._memory", "pdae_sim.estimation.dimension")
"""Logs that are shown beside a progress bar too: said once, before a fit begins."""


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
        for name in SAID:
            logging.getLogger(name).setLevel(logging.NOTSET if quiet else logging.INFO)
        return cls(as_json, quiet)

    def result(self, payload: dict, text: str | Table | Sequence[str | Table]) -> None:
        """The result: `payload` as JSON, or `text` for people."""
        if self.as_json:
            sys.stdout.write(json.dumps(plain(payload), ensure_ascii=False, allow_nan=False) + "\n")
            return
        console = Console(highlight=False, soft_wrap=True)
        for part in [text] if isinstance(text, (str, Table)) else text:
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
        before = [sum(phase.steps for phase in phases[:index]) for index in range(len(phases) + 1)]
        with Bars(console=Console(stderr=True), transient=True) as bars:
            bar = bars.add_task("fitting", total=before[-1])
            yield lambda progress: bars.update(
                bar, completed=before[progress.phase] + progress.step, description=phases[progress.phase].name
            )


def plain(value: object) -> object:
    """`value` with numpy scalars and arrays as Python values, and numbers that are not finite as null."""
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table for people; floats to four significant digits."""
    drawn = Table(title=escape(title), title_justify="left")
    for column in columns:
        drawn.add_column(escape(column), overflow="fold")
    for row in rows:
        drawn.add_row(*(_cell(value) for value in row))
    return drawn


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else escape(str(value))
