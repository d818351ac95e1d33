"""CSV and Parquet tables as datasets; what is wrong with one is listed all at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pdae_sim._checks import check_control, choice, naming, near_misses
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError, LabelError
from pdae_sim.io._anndata import as_float32
from pdae_sim.io._annotations import coded, split_mask
from pdae_sim.io._options import ReadOptions
from pdae_sim.labels import LabelSpace

if TYPE_CHECKING:
    from pandas import DataFrame, Series
    from pandas.core.groupby import SeriesGroupBy

_NOT_FEATURES = {
    "Unnamed:": "column {!r} looks like a row index; write the table without it",
    "dose": "column {!r} would become a feature; write doses in the conditions (A:0.5+B) or rename the column",
}
_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "None")
_TRANSFORMS = {"none": np.positive, "log1p": np.log1p, "log": np.log}
_DOMAINS = {"log": 0.0, "log1p": -1.0}


def read_table(
    table: Path,
    *,
    test: Sequence[str] = (),
    transform: str = "none",
    **options: Any,
) -> PerturbationData:
    """Read a CSV or Parquet table with a condition column and numeric columns.

    Args:
        table: The table.
        test: Conditions to hold out.
        transform: Applied to every numeric column: none, log1p or log.
        options: Those of `ReadOptions`.

    Returns:
        Data in float32, the precision of `.h5ad` files.

    Raises:
        InputError: One line that lists every problem of the table with row counts.
    """
    choice(f"{table}: transform", transform, _TRANSFORMS)
    with naming(table):
        at = ReadOptions.of(options)
    content = _Table(_read_frame(table, at.condition), at)
    problems = list(content.problems(test, transform))
    if problems:
        raise InputError(f"{table}: " + "; ".join(problems))
    numeric, space = content.frame[content.features], content.space()
    features = tuple(map(str, numeric.columns))
    with naming(table):
        data = PerturbationData.from_codes(
            as_float32(_TRANSFORMS[transform](numeric.to_numpy(np.float64)), features),
            *coded(content.frame[at.condition].to_numpy(), space),
            names=space.names,
            features=features,
            held_out=content.held_out(space, test),
            control=space.control,
            read_as=space.separators,
        )
        if not at.no_control:
            check_control(data.labels, data.held_out, data.names, data.control)
        return data


@dataclass(frozen=True, eq=False)
class _Table:
    """A table, and what is known of its columns."""

    frame: DataFrame
    options: ReadOptions

    @property
    def condition(self) -> str:
        return self.options.condition

    @property
    def split(self) -> str:
        return self.options.split

    @cached_property
    def features(self) -> list[str]:
        return [name for name in self.frame if name not in (self.condition, self.split)]

    def space(self) -> LabelSpace:
        return LabelSpace.from_conditions(self.frame[self.condition], **self.options.grammar({}))

    def marked(self) -> np.ndarray | None:
        """(n,) whether each row's split is test; None without such a column."""
        return split_mask(self.frame[self.split].to_numpy() if self.split in self.frame else None, self.options)

    def held_out(self, space: LabelSpace, test: Sequence[str]) -> np.ndarray | None:
        marked = self.marked()
        if not test:
            return marked
        chosen = {space.condition(space.exact(text)) for text in test}
        named = np.array([space.condition(space.exact(text)) in chosen for text in self.frame[self.condition]])
        return named if marked is None else named | marked

    def problems(self, test: Sequence[str], transform: str) -> Iterator[str]:
        """Every problem, each with its row count; those of the split last, for they need readable conditions."""
        if self.condition not in self.frame:
            hint = near_misses(self.condition, self.frame.columns)
            yield f"no column {self.condition!r}; {hint}; name it with condition="
            return
        problems = [*self._row_problems(), *self._feature_problems(transform)]
        try:
            self.marked()
        except InputError as error:
            problems.append(str(error))
        yield from problems or self._split_problems(test)

    def _row_problems(self) -> Iterator[str]:
        column = self.frame[self.condition]
        if column.isna().any():
            yield f"column {column.name!r}: {int(column.isna().sum())} rows empty"
        for text, count in column.dropna().value_counts().items():
            try:
                LabelSpace.from_conditions([text], **self.options.grammar({})).exact(text)
            except LabelError as error:
                yield f"column {column.name!r}: {error} ({count} rows)"
        if not len(column):
            yield "the table has no row"

    def _feature_problems(self, transform: str) -> Iterator[str]:
        for name in self.features:
            yield from (_NOT_FEATURES[key].format(name) for key in _NOT_FEATURES if str(name).startswith(key))
            yield from _column_problems(self.frame[name], name, transform)
        if not self.features:
            yield "no numeric column"

    def _split_problems(self, test: Sequence[str]) -> Iterator[str]:
        space, conditions = self.space(), self.frame[self.condition]
        canonical = {text: space.condition(space.exact(text)) for text in set(conditions)}
        for text in test:
            try:
                target = space.condition(space.exact(text))
            except LabelError as error:
                yield f"--test: {error}"
                continue
            if target not in canonical.values():
                yield f"--test {text!r} has no row; {near_misses(target, set(canonical.values()))}"
        if self.split in self.frame:
            yield from _mixed(self.frame[self.split].groupby(conditions.map(canonical)))


def _mixed(splits: SeriesGroupBy) -> Iterator[str]:
    """Conditions with rows of both parts."""
    counts = splits.value_counts().unstack(fill_value=0)
    for name, row in counts[(counts > 0).all(axis=1)].iterrows() if counts.shape[1] == 2 else ():
        rows = f"{row['train']} and {row['test']} rows"
        yield f"condition {name!r} is both train and test ({rows}); a test condition is unseen"


def _column_problems(column: Series, name: str, transform: str) -> Iterator[str]:
    import pandas as pd

    numeric = pd.to_numeric(column, errors="coerce")
    text = column[numeric.isna() & column.notna()]
    if len(text):
        yield f"column {name!r}: {len(text)} rows not numeric, the first {str(text.iloc[0])!r}"
    if column.isna().any():
        yield f"column {name!r}: {int(column.isna().sum())} rows empty or NaN"
    if np.isinf(numeric).any():
        yield f"column {name!r}: {int(np.isinf(numeric).sum())} rows infinite"
    least = _DOMAINS.get(transform)
    outside = 0 if least is None else int((numeric <= least).sum())
    if outside:
        yield f"column {name!r}: {outside} rows ≤ {least:g}, outside the domain of {transform}"


def _read_frame(table: Path, condition: str) -> DataFrame:
    """The table, its conditions as text."""
    import pandas as pd

    if not table.is_file():
        raise InputError(f"{table}: no such file")
    if table.suffix not in (".csv", ".parquet"):
        raise InputError(f"{table}: expected a .csv or .parquet table")
    try:
        frame = _read_csv(table, condition) if table.suffix == ".csv" else pd.read_parquet(table)
    except MemoryError:
        raise
    except Exception as error:  # pandas and pyarrow raise many kinds; the reader needs one line
        raise InputError(f"{table}: not a readable {table.suffix} table ({str(error).splitlines()[0]})") from None
    if condition in frame:
        frame[condition] = frame[condition].map(str, na_action="ignore")
    return frame


def _read_csv(table: Path, condition: str) -> DataFrame:
    """A CSV whose condition column is text as written: `None` and `01` are names, only an empty cell is missing."""
    import pandas as pd

    present = pd.read_csv(table, nrows=0).columns
    names = {name: str for name in (condition,) if name in present}
    missing = {name: _MISSING for name in present if name not in names}
    frame = pd.read_csv(table, dtype=names, keep_default_na=False, na_values=missing)
    if names:
        frame[condition] = frame[condition].where(frame[condition] != "")
    return frame
