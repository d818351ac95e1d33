"""Tables that fit a terminal: numbers and words stay whole, columns without room go below under the same lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pdae_sim.cli._encoding import spelt
from pdae_sim.intervals import Interval

if TYPE_CHECKING:
    from rich.console import RenderableType

_GAP = 2  # letters between columns
_PROSE = 24  # letters that a column of sentences gets at least


@dataclass(frozen=True)
class Table:
    """Rows under headings.

    Args:
        title: Above the table; wrapped between words.
        columns: Headings; the first column names the rows.
        rows: Text, numbers, or None for what is not there.
        prose: Headings of the columns that may be wrapped between words.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    prose: Sequence[str] = ()

    def fitted(self, width: int, encoding: str | None = "utf-8") -> list[RenderableType]:
        """Title and tables of at most `width` letters of an encoding, each with the first column."""
        from rich.text import Text

        names = [spelt(name, encoding) for name in self.columns]
        shown = replace(self, columns=names, prose=[spelt(name, encoding) for name in self.prose])
        cells = [[spelt(cell_text(value), encoding) for value in row] for row in self.rows]
        parts = [shown._part(chosen, cells) for chosen in shown._groups(cells, width)]
        return [Text(spelt(self.title, encoding), style="bold"), *parts]

    def _groups(self, cells: Sequence[Sequence[str]], width: int) -> list[list[int]]:
        """Columns of each table, the first in all: as many as there is room for."""
        widths = [max(len(text) for text in (name, *column)) for name, column in self._by_column(cells)]
        needed = [
            min(letters, _PROSE) if name in self.prose else letters
            for name, letters in zip(self.columns, widths, strict=True)
        ]
        groups, room = [[0]], width - needed[0]
        for column in range(1, len(needed)):
            if needed[column] + _GAP > room and len(groups[-1]) > 1:
                groups.append([0])
                room = width - needed[0]
            groups[-1].append(column)
            room -= needed[column] + _GAP
        return groups

    def _by_column(self, cells: Sequence[Sequence[str]]) -> list[tuple[str, tuple[str, ...]]]:
        return [(name, tuple(row[j] for row in cells)) for j, name in enumerate(self.columns)]

    def _part(self, chosen: Sequence[int], cells: Sequence[Sequence[str]]) -> RenderableType:
        from rich import box, table
        from rich.text import Text

        shown = table.Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
        for j in chosen:
            name = self.columns[j]
            numeric = all(isinstance(row[j], (int, float)) or row[j] is None for row in self.rows)
            shown.add_column(
                Text(name), justify="right" if numeric else "left", overflow="fold", no_wrap=name not in self.prose
            )
        for row in cells:
            shown.add_row(*(Text(row[j]) for j in chosen))
        return shown


def cell_text(value: object) -> str:
    """A value as people read it: numbers to three digits, a dash for None."""
    if value is None:
        return "–"
    return number(value) if isinstance(value, float) else str(value)


def number(value: float) -> str:
    """Three significant digits; from a thousand on, whole numbers with separators."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    text = f"{value:,.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.3g}"
    return text.replace("-", "−") if value < 0 else text


def with_interval(value: float | None, interval: Interval | None) -> str:
    """``value [low, high]``, to as many decimals as the interval is worth; an open end leaves a bound alone.

    A value of several times fewer digits keeps its first: 0.3 in [−2.0, 2.6] is not 0.
    """
    if value is None or interval is None:
        return cell_text(value)
    low, high = interval
    if not math.isfinite(high):
        return f"≥ {number(low)}"
    decimals = _decimals(high - low)
    if value and abs(value) < high - low:
        decimals = max(decimals, min(-math.floor(math.log10(abs(value))), decimals + 2))
    return f"{value:,.{decimals}f} [{low:,.{decimals}f}, {high:,.{decimals}f}]".replace("-", "−")


def interval_text(interval: Interval) -> str:
    """``[low, high]``, to as many decimals as the interval is worth."""
    decimals = _decimals(interval.high - interval.low)
    return f"[{interval.low:,.{decimals}f}, {interval.high:,.{decimals}f}]".replace("-", "−")


def _decimals(width: float) -> int:
    """Decimals that divide a width into three steps or more, four at most."""
    return 3 if width <= 0 else min(max(math.ceil(math.log10(3 / width)), 0), 4)
