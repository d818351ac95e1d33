"""Arguments of a benchmark, the line about the machine, and tables in Markdown that are printed row by row."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from pdae_sim import __version__


class Spread(NamedTuple):
    """A median with its quartiles."""

    middle: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The quartiles of some values; of one value, that value three times."""
        low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [*values] * 3
        return cls(middle, low, high)

    def scaled(self, by: float) -> Spread:
        """This spread in another unit."""
        return Spread(*(by * value for value in self))

    def __format__(self, form: str) -> str:
        return f"{self.middle:{form}} ({self.low:{form}} to {self.high:{form}})"


def options(description: str | None, words: Sequence[str] | None = None, **defaults: object) -> argparse.Namespace:
    """The arguments of a command, each named with its default; `worlds` may also stand alone (``intervals 500``).

    Args:
        description: What the command does.
        words: Arguments; those of the process by default.
        defaults: False is a flag, None a path that may be left out; others have the type of their default.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in defaults.items():
        if name == "worlds":
            parser.add_argument("count", nargs="?", type=int, help="the same as --worlds")
        kind = {"action": "store_true"} if default is False else {"type": Path if default is None else type(default)}
        parser.add_argument(f"--{name.replace('_', '-')}", default=default, help=f"default: {default}", **kind)
    arguments = parser.parse_args(words)
    if getattr(arguments, "count", None) is not None:
        arguments.worlds = arguments.count
    return arguments


def machine() -> str:
    """Processor kind, cores, threads and versions."""
    cores, threads = os.cpu_count(), torch.get_num_threads()
    versions = f"torch {torch.__version__}, numpy {np.__version__}, Python {platform.python_version()}"
    return f"{platform.machine()}, {cores} cores, {threads} threads, {versions}"


def command(module: str, words: Sequence[str] | None = None) -> str:
    """The command line of a benchmark, by default the one that runs, less workers and files, which results ignore."""
    line = " ".join(["python -m", f"experiments.benchmarks.{module}", *(sys.argv[1:] if words is None else words)])
    return re.sub(r" --(workers|out|json)[ =]\S+", "", line)


def provenance(words: str) -> dict[str, str]:
    """What made stored results: the command in words, version of the library, day and machine."""
    day = datetime.now(UTC).date().isoformat()
    return {"command": words, "version": __version__, "date": day, "machine": machine()}


def rounded(found: Any) -> Any:
    """What JSON can hold, with numbers of five digits."""
    return json.loads(json.dumps(found), parse_float=lambda text: float(f"{float(text):.5g}"))


def print_table(columns: Mapping[str, str], rows: Iterable[Sequence[object]], *, title: str = "") -> list[Sequence]:
    """Print a table, each row as soon as it is there, and return the rows.

    Args:
        columns: Headings, each with the format of its numbers (``".3f"``).
        rows: A value for each column: numbers and `Spread`s are formatted, text stays as it is, None is a dash.
        title: A line above the table.
    """
    print(f"{title}\n" * bool(title))
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    printed = []
    for row in rows:
        cells = [_cell(value, form) for value, form in zip(row, columns.values(), strict=True)]
        print(f"| {' | '.join(cells)} |", flush=True)
        printed.append(row)
    print(flush=True)
    return printed


def _cell(value: object, form: str) -> str:
    if value is None:
        return "–"
    return value if isinstance(value, str) else format(value, form)
