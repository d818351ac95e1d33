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
from pdae_sim.cli._encoding import spelt
from pdae_sim.cli._tables import Table

if TYPE_CHECKING:
    from pdae_sim.estimation.phases import Phase, Progress

ALWAYS_LOGGED = ("pdae_sim.estimation._memory", "pdae_sim.estimation._dimension")
"""Logs that are shown beside a progress bar too: written once, before a fit begins."""

NOTHING_JUDGED = 3
"""Exit status where all that was asked for has too few cells to be judged."""


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
        """Write the result: `payload` as JSON; or `text` for people, tables apart by blank lines.

        Tables have the width of the terminal, 80 letters in a file. Sentences are wrapped on a terminal alone.
        """
        if self.as_json:
            sys.stdout.write(_json_text(payload, sys.stdout.encoding) + "\n")
            return
        from rich.console import Console

        console, encoding = Console(highlight=False, markup=False, emoji=False), sys.stdout.encoding
        previous: str | Table | None = None
        for part in [text] if isinstance(text, (str, Table)) else text:
            if previous is not None and (isinstance(part, Table) or isinstance(previous, Table)):
                console.print()
            if isinstance(part, str):
                console.print(spelt(part, encoding), soft_wrap=not console.is_terminal)
            else:
                console.print(*part.fitted(console.width, encoding), sep="\n")
            previous = part

    def say(self, message: str) -> None:
        """A line of progress."""
        if not self.quiet:
            sys.stderr.write(message + "\n")

    @contextmanager
    def fitting(self, plan: Callable[[], Sequence[Phase]]) -> Iterator[Callable[[Progress], None] | None]:
        """A callback that shows a fit's progress: a bar on a terminal, nothing where heartbeats are logged.

        Args:
            plan: The phases, once the first of them has begun.
        """
        with self.bar("fitting") as tell:
            if tell is None:
                yield None
                return

            def show(progress: Progress) -> None:
                steps, phase = [phase.steps for phase in plan()], plan()[progress.phase]
                tell((sum(steps[: progress.phase]) + progress.step) / max(sum(steps), 1), phase.name)

            yield show

    @contextmanager
    def bar(self, name: str) -> Iterator[Callable[..., None] | None]:
        """A callback that draws the share that is done, and what is being done; None where no bar is drawn."""
        if self.quiet or not sys.stderr.isatty():
            yield None
            return
        from rich.console import Console
        from rich.progress import Progress as Bars

        with Bars(console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task(name, total=1.0)
            yield lambda share, doing=name: bars.update(task, completed=share, description=doing)


def _json_text(payload: object, encoding: str | None) -> str:
    """JSON without loss: letters that the encoding lacks are escaped."""
    text = json.dumps(plain(payload), ensure_ascii=False, allow_nan=False)
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return json.dumps(plain(payload), allow_nan=False)
    return text
