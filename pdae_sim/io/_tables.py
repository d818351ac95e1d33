"""CSV, TSV and Parquet tables as datasets; what is wrong with one is listed all at once."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pdae_sim._checks import near_misses
from pdae_sim._coding import as_text
from pdae_sim._contexts import AT
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError, LabelError
from pdae_sim.io._anndata import as_float32
from pdae_sim.io._annotations import Annotations
from pdae_sim.io._columns import left_out
from pdae_sim.io._grammar import is_list, written
from pdae_sim.io._hdf5 import without
from pdae_sim.io._options import ReadOptions
from pdae_sim.labels import LabelSpace

if TYPE_CHECKING:
    from pandas import DataFrame, Series
    from pandas.core.groupby import SeriesGroupBy

_log = logging.getLogger(__name__)
_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "None")
TRANSFORMS = {"none": np.positive, "log1p": np.log1p, "log": np.log}
DOMAINS = {"log": 0.0, "log1p": -1.0}
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+([eE][-+]?\d+)?\s*")
_DECIMAL_POINT = re.compile(_DECIMAL_COMMA.pattern.replace(",", "[.]"))
_THOUSANDS = re.compile(r"\s*[-+]?[1-9]\d{0,2}(,\d{3})+\s*")
_SNIFFED = 200  # rows that show how numbers are written
_SHOWN = 3  # problems of a kind that are written out

Problem = tuple[str, str]
"""Its kind and its words."""

_FIXES = {
    "missing": "write the control's name or drop them",
    "comma": "write decimals with a point",
    "thousands": "write thousands with nothing between, decimals with a point",
    "text": "write numbers, or leave the column out with leave_out=",
    "empty": "drop or impute them",
    "infinite": "drop or clip them",
    "features": "write some, or choose with features=",
    "rows": "write the cells below the header",
    "both": "a test condition is unseen, so mark its rows alike",
}
"""What to do about problems of a kind, where their words do not say it."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table and what is known of its columns.

    Args:
        frame: Its columns as read.
        options: Where to look.
        header: Its column names as written, where readers rename those that occur twice.
    """

    frame: DataFrame
    options: ReadOptions
    header: tuple[str, ...] = ()

    def dataset(self, transform: str) -> PerturbationData:
        """The dataset, its features transformed.

        Raises:
            InputError: One line that sums up every problem of the table with row counts.
        """
        problems = summary(list(self._problems(transform)))
        if problems:
            raise InputError(problems)
        values = numeric(self.frame[self.features]).to_numpy(np.float64)
        return self._annotations.data(as_float32(TRANSFORMS[transform](values), self.features), self.features)

    @cached_property
    def features(self) -> list[str]:
        """Names of the columns that are taken."""
        return [name for name in self._others if name not in self.left_out]

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Columns that are not taken, each with the reason."""
        names = [str(name) for name in self._others]
        taken = self.options.chosen(names) if names else np.ones(0, bool)
        unwanted = {name: "not chosen" for name, kept in zip(self._others, taken, strict=True) if not kept}
        if self.options.features:
            return unwanted
        return left_out(self.frame[[name for name in self._others if name not in unwanted]]) | unwanted

    @property
    def _others(self) -> list[str]:
        """Columns that are neither condition nor split nor dose, and make no context."""
        at = self.options
        return [name for name in self.frame if name not in (at.condition, at.split, at.dose, *at.context)]

    @cached_property
    def _annotations(self) -> Annotations:
        at = self.options
        wanted = [name for name in (at.condition, at.split, at.dose, *at.context) if name in self.frame]
        obs = {name: without(self.frame[name].to_numpy(), self.frame[name].isna().to_numpy()) for name in wanted}
        return Annotations(at, list(map(str, self.frame)), obs, where="the table")

    def _problems(self, transform: str) -> Iterator[Problem]:
        """Every problem with its row count; those of the split last, for they need readable conditions."""
        at = self.options
        if at.condition not in self.frame:
            hint = near_misses(at.condition, map(str, self.frame))
            yield "condition", f"no column {at.condition!r}; {hint}; name it with condition="
            return
        yield from _twice(self.header)
        problems = [*self._row_problems(), *self._feature_problems(transform)]
        try:
            self._annotations.held_out()
        except InputError as error:
            problems.append(("split", str(error)))
        yield from problems or self._mixed()

    def _row_problems(self) -> Iterator[Problem]:
        column = self.frame[self.options.condition]
        if column.isna().any():
            yield "missing", f"column {column.name!r}: {_rows(column.isna())} empty"
        for text, count in column.dropna().value_counts().items():
            try:
                LabelSpace.from_conditions([text], **self.options.grammar({})).exact(text)
            except LabelError as error:
                yield "name", f"column {column.name!r}: {error} ({count} rows)"
        if not len(column):
            yield "rows", "the table has no row"

    def _feature_problems(self, transform: str) -> Iterator[Problem]:
        for name in self.features:
            yield from _column_problems(self.frame[name], name, transform)
        if not self.features:
            others = "".join(f"; {name!r} is {reason}" for name, reason in list(self.left_out.items())[:_SHOWN])
            yield "features", f"no numeric column{others}"

    def _mixed(self) -> Iterator[Problem]:
        """Conditions with rows of both parts."""
        import pandas as pd

        held_out, (codes, labels, space) = self._annotations.held_out(), self._annotations.labels()
        if held_out is not None:
            conditions = pd.Series([space.condition(label) for label in labels])[codes]
            for name in self.options.context:
                conditions = conditions.reset_index(drop=True) + AT + self.frame[name].to_numpy()
            kept = self._annotations.kept
            yield from _both(pd.Series(held_out[kept]).groupby(conditions.to_numpy()[kept]))


def summary(problems: list[Problem]) -> str:
    """All problems in a screenful: of each kind the first few, and how many more."""
    kinds: dict[str, list[str]] = {}
    for kind, words in problems:
        kinds.setdefault(kind, []).append(words)
    shown = [
        "; ".join(all_[:_SHOWN])
        + (f"; and {len(all_) - _SHOWN:,} more like these" if len(all_) > _SHOWN else "")
        + (f" ({_FIXES[kind]})" if kind in _FIXES else "")
        for kind, all_ in kinds.items()
    ]
    return "; ".join(shown)


def read_frame(table: Path, options: ReadOptions) -> Table:
    """A table, its conditions as text.

    Raises:
        InputError: If it cannot be read.
    """
    import pandas as pd

    try:
        if kind(table) == ".parquet":
            frame = pd.read_parquet(table)
            header: tuple[str, ...] = tuple(map(str, frame))
        else:
            frame, header = _read_text(table, (options.condition, *options.context))
    except (InputError, MemoryError):
        raise
    except UnicodeDecodeError as error:
        raise InputError(
            f"not a text of UTF-8 (byte {error.start:,} is of another encoding); save it as UTF-8"
        ) from None
    except ImportError as error:
        raise InputError(f"reading {table.suffix} takes a package more: {str(error).splitlines()[0]}") from None
    except Exception as error:  # pandas and pyarrow raise many kinds; the reader needs one line
        reason = str(error).splitlines()[0]
        raise InputError(f"not a readable {table.suffix} table ({reason}); write it again") from None
    for name in {options.condition, options.split, options.dose, *options.context} & set(frame):
        frame[name] = frame[name].astype(object).map(partial(_as_condition, options), na_action="ignore")
    return Table(frame, options, header)


def _as_condition(options: ReadOptions, value: object) -> str:
    return written(value, options.grammar({})) if is_list(value) else as_text(value)


def kind(path: Path) -> str:
    """The format of a file by its suffix, in lower case and without that of a compression."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    return suffixes[0] if len(suffixes) == 2 and suffixes[1] in (".gz", ".bz2", ".xz", ".zst") else path.suffix.lower()


def numeric(frame: DataFrame) -> DataFrame:
    """Columns as float64, whatever numeric type they have."""
    import pandas as pd

    return frame.apply(lambda column: pd.to_numeric(column, errors="coerce").astype(np.float64))


def _read_text(table: Path, texts: tuple[str, ...]) -> tuple[DataFrame, tuple[str, ...]]:
    """A CSV whose conditions and contexts are text as written: `None` and `01` are names, only empty is none."""
    import pandas as pd

    separator = _separator(table)
    present = pd.read_csv(table, nrows=0, sep=separator).columns
    names = {name: str for name in texts if name in present}
    missing = {name: _MISSING for name in present if name not in names}
    decimal = "." if separator == "," else _decimal(table, separator, texts)
    frame = pd.read_csv(table, dtype=names, keep_default_na=False, na_values=missing, sep=separator, decimal=decimal)
    for name in names:
        frame[name] = frame[name].where(frame[name] != "")
    header = pd.read_csv(table, header=None, nrows=1, dtype=str, keep_default_na=False, sep=separator)
    return frame, tuple(header.iloc[0])


def _decimal(table: Path, separator: str, texts: tuple[str, ...]) -> str:
    """The sign before decimals: a comma, told in a line, where the first rows have some and none with a point."""
    import pandas as pd

    rows = pd.read_csv(table, dtype=str, keep_default_na=False, sep=separator, nrows=_SNIFFED)
    values = rows[[name for name in rows if name not in texts]].to_numpy().ravel().tolist()
    commas = [value for value in values if _DECIMAL_COMMA.fullmatch(value)]
    small = next((value for value in values if re.fullmatch(r"\s*[-+]?[1-9]\d{0,2}\s*", value)), None)
    if commas and small and all(map(_THOUSANDS.fullmatch, commas)):
        raise InputError(f"values such as {commas[0]!r} beside {small!r} have commas at thousands; write them without")
    if not commas or any(_DECIMAL_POINT.fullmatch(value) for value in values):
        return "."
    _log.warning("decimals are read after a comma, such as %r", commas[0])
    return ","


def _separator(table: Path) -> str:
    """What separates the columns: that of the suffix, unless the header has none of it and others instead."""
    import pandas as pd

    expected = SEPARATORS[kind(table)]
    header = pd.read_csv(table, sep="\x00", header=None, nrows=1, dtype=str, encoding_errors="replace")
    counts = {sign: str(header.iloc[0, 0]).count(sign) for sign in (expected, ",", ";", "\t")}
    return expected if counts[expected] else max(counts, key=lambda sign: counts[sign])


def _twice(header: tuple[str, ...]) -> Iterator[Problem]:
    for name, count in Counter(name for name in header if name).items():
        if count > 1:
            yield "twice", f"column {name!r} occurs {count} times; rename them"


def _both(splits: SeriesGroupBy) -> Iterator[Problem]:
    counts = splits.agg(["size", "sum"])
    for name, row in counts[(counts["sum"] > 0) & (counts["sum"] < counts["size"])].iterrows():
        rows = f"{row['size'] - row['sum']} and {row['sum']} rows"
        yield "both", f"condition {name!r} is both train and test ({rows})"


def _rows(marked: Series) -> str:
    """How many rows are marked."""
    n = int(marked.sum())
    return f"{n:,} row{'s' * (n != 1)}"


def _column_problems(column: Series, name: str, transform: str) -> Iterator[Problem]:
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce").astype(np.float64)
    text = column[values.isna() & column.notna()]
    if len(text):
        first = str(text.iloc[0])
        kind = "thousands" if _THOUSANDS.fullmatch(first) else "comma" if _DECIMAL_COMMA.fullmatch(first) else "text"
        yield kind, f"column {name!r}: {_rows(values.isna() & column.notna())} not numeric, the first {first!r}"
    if column.isna().any():
        yield "empty", f"column {name!r}: {_rows(column.isna())} empty or NaN"
    if np.isinf(values).any():
        yield "infinite", f"column {name!r}: {_rows(np.isinf(values))} infinite"
    least = DOMAINS.get(transform)
    if least is not None and (values <= least).any():
        yield "domain", f"column {name!r}: {_rows(values <= least)} ≤ {least:g}, outside the domain of {transform}"
