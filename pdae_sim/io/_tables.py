"""CSV and Parquet tables brought in as datasets; what is wrong with one is listed all at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pdae_sim._checks import choice, naming, near_misses
from pdae_sim._files import refuse_existing
from pdae_sim.data import PerturbationData
from pdae_sim.errors import InputError, LabelError
from pdae_sim.io._anndata import as_float32, split_mask, vectors, write_data
from pdae_sim.labels import LabelSpace

_NOT_FEATURES = {
    "Unnamed:": "column {!r} looks like a row index; write the table without it",
    "dose": "column {!r} would become a feature; write doses in the conditions (A:0.5+B) or rename the column",
}
_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "None")
TRANSFORMS = {"none": lambda x: x, "log1p": np.log1p, "log": np.log}


def convert(
    table: Path,
    out: Path,
    *,
    condition: str = "condition",
    split: str = "split",
    control: str = "ctrl",
    separator: str = "+",
    test: Sequence[str] = (),
    transform: str = "none",
    force: bool = False,
) -> PerturbationData:
    """Convert a CSV or Parquet table with a condition column and numeric columns to the dataset format.

    Args:
        table: The table.
        out: The `.h5ad` file to write.
        condition: Name of the condition column.
        split: Name of the split column, if there is one.
        control: The control's name in the condition column.
        separator: Joins the parts of a condition.
        test: Conditions to hold out.
        transform: Applied to every numeric column: none, log1p or log.
        force: Overwrite `out`.

    Raises:
        InputError: One line that lists every problem of the table with row counts.
    """
    choice("--transform", transform, TRANSFORMS)
    refuse_existing(out, force=force)
    frame = _read_frame(table, condition)
    if condition in frame:
        frame[condition] = frame[condition].map(str, na_action="ignore")
    grammar = {"control": control, "separator": separator}
    problems = _table_problems(frame, condition, split, grammar, test, transform)
    if problems:
        raise InputError(f"{table}: " + "; ".join(problems))
    space = LabelSpace.from_conditions(frame[condition], **grammar)
    numeric = frame.drop(columns=[c for c in (condition, split) if c in frame])
    features = tuple(map(str, numeric.columns))
    with naming(table):
        data = PerturbationData.from_arrays(
            as_float32(TRANSFORMS[transform](numeric.to_numpy(np.float64)), features),
            vectors(frame[condition], space),
            names=space.names,
            features=features,
            held_out=_held_out(frame, condition, split, space, test),
            control=control,
        )
    write_data(out, data, force=force)
    return data


def _read_frame(table: Path, condition: str):
    import pandas as pd

    if not table.is_file():
        raise InputError(f"{table}: no such file")
    readers = {".csv": lambda path: _read_csv(path, condition), ".parquet": pd.read_parquet}
    if table.suffix not in readers:
        raise InputError(f"{table}: expected a .csv or .parquet table")
    try:
        return readers[table.suffix](table)
    except Exception as error:  # pandas and pyarrow raise many kinds; the reader needs one line
        raise InputError(f"{table}: not a readable {table.suffix} table ({str(error).splitlines()[0]})") from None


def _read_csv(table: Path, condition: str):
    """A CSV whose condition column is text as written: `None` and `01` are names, only an empty cell is missing."""
    import pandas as pd

    present = pd.read_csv(table, nrows=0).columns
    names = {name: str for name in (condition,) if name in present}
    missing = {name: _MISSING for name in present if name not in names}
    frame = pd.read_csv(table, dtype=names, keep_default_na=False, na_values=missing)
    if names:
        frame[condition] = frame[condition].where(frame[condition] != "")
    return frame


def _table_problems(frame, condition, split, grammar: dict, test, transform) -> list[str]:
    """Every problem of the table, each with its row count."""
    if condition not in frame:
        return [f"no column {condition!r}; {near_misses(condition, frame.columns)}; name it with --condition-column"]
    problems = _condition_problems(frame[condition], grammar)
    columns = [c for c in frame if c not in (condition, split)]
    problems += [_NOT_FEATURES[key].format(c) for c in columns for key in _NOT_FEATURES if str(c).startswith(key)]
    problems += ["no numeric column"] if not columns else []
    problems += ["the table has no row"] if not len(frame) else []
    problems += [text for column in columns for text in _column_problems(frame[column], column, transform)]
    try:
        split_mask(frame, split)
    except InputError as error:
        problems.append(str(error))
    return problems or _test_problems(
        frame, condition, split, LabelSpace.from_conditions(frame[condition], **grammar), test
    )


def _condition_problems(column, grammar: dict) -> list[str]:
    problems = []
    if column.isna().any():
        problems.append(f"column {column.name!r}: {int(column.isna().sum())} rows empty")
    for text, count in column.dropna().value_counts().items():
        try:
            LabelSpace.from_conditions([text], **grammar).exact(text)
        except LabelError as error:
            problems.append(f"column {column.name!r}: {error} ({count} rows)")
    return problems


def _column_problems(column, name: str, transform: str) -> list[str]:
    import pandas as pd

    numeric = pd.to_numeric(column, errors="coerce")
    problems, text = [], int((numeric.isna() & column.notna()).sum())
    if text:
        first = column[numeric.isna() & column.notna()].iloc[0]
        problems.append(f"column {name!r}: {text} rows not numeric, the first {str(first)!r}")
    if column.isna().any():
        problems.append(f"column {name!r}: {int(column.isna().sum())} rows empty or NaN")
    if np.isinf(numeric).any():
        problems.append(f"column {name!r}: {int(np.isinf(numeric).sum())} rows infinite")
    least = {"log": 0.0, "log1p": -1.0}.get(transform)
    if least is not None and (numeric <= least).any():
        problems.append(
            f"column {name!r}: {int((numeric <= least).sum())} rows ≤ {least:g}, outside the domain of {transform}"
        )
    return problems


def _test_problems(frame, condition: str, split: str, space: LabelSpace, test: Sequence[str]) -> list[str]:
    canonical = {text: space.condition(space.exact(text)) for text in set(frame[condition])}
    present, problems = set(canonical.values()), []
    for text in test:
        try:
            wanted = space.condition(space.exact(text))
        except LabelError as error:
            problems.append(f"--test: {error}")
            continue
        if wanted not in present:
            problems.append(f"--test {text!r} has no row; {near_misses(wanted, present)}")
    return problems + _split_problems(frame[condition].map(canonical), frame, split)


def _split_problems(conditions, frame, split: str) -> list[str]:
    if split not in frame:
        return []
    counts = frame[split].groupby(conditions).value_counts().unstack(fill_value=0)
    mixed = counts[(counts > 0).all(axis=1)] if counts.shape[1] == 2 else counts[:0]
    return [
        f"condition {name!r} is both train and test ({row['train']} and {row['test']} rows); a test condition is unseen"
        for name, row in mixed.iterrows()
    ]


def _held_out(frame, condition: str, split: str, space: LabelSpace, test: Sequence[str]) -> np.ndarray | None:
    marked = split_mask(frame, split)
    if not test:
        return marked
    chosen = {space.condition(space.exact(text)) for text in test}
    named = np.array([space.condition(space.exact(text)) in chosen for text in frame[condition]])
    return named if marked is None else named | marked
