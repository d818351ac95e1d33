"""Which columns of a table are measured features: what else is numeric, by its name or its values, is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pandas import DataFrame, Series

_NAMES = {
    "no name in the header": r"unnamed: ?[1-9]\d*",
    "row numbers": r"unnamed: ?0|index|id|row(_?names?|_?number)?|level_0|cell[_ ]?(id|number|name)s?|barcodes?",
    "a total or a quality": r"n_?(counts?|genes?(_by_counts)?|umis?|features?|molecules?|cells?)|n(count|feature)_\w+"
    r"|(log1p_)?(total|n)_(counts?|umis?|genes?|features?)\w*|lib(rary)?[_ ]?size|size[_ ]?factors?|total|sum"
    r"|(pct|percent|frac(tion)?)[._ ].*|mito(chondrial)?[._ ].*|.*[._ ](pct|percent|fraction)|doublet[._ ]?scores?"
    r"|(s|g2m)[._]score",
    "a code": r"batch([._ ].*)?|plate([._ ].*)?|well|lane|replicate|rep|donor([._ ]id)?|patient([._ ]id)?|run"
    r"|sample([._ ]id)?|subject|animal|mouse|channel|gem[._ ]?group|library([._ ]id)?|clusters?|leiden([._ ].*)?"
    r"|louvain([._ ].*)?|seurat[._ ]clusters|cell[._ ]?(type|line)|guide([._ ].*)?|sgrna|num[._ ]guides|passage"
    r"|sex|phase",
    "a flag": r"(is|has)[._ ].*|.*[._ ]flag|flag|(predicted[._ ])?doublets?|singlet|pass(ed)?([._ ]qc)?"
    r"|good[._ ]coverage",
    "a time": r"(.*[._ ])?(date|datetime|timestamp)|time([._ ]?point)?|day|month|year|hours?|age",
    "a coordinate": r"(x_)?(umap|t-?sne|pca?)[._ ]?\d+|spatial[._ ]?\d*",
}
"""Names of columns that tools write beside genes; matched whole and in any case."""

_FLAGS = {"true", "false", "yes", "no", "t", "f", "y", "n"}
_ENOUGH = 50  # rows before a column is judged by its values
_PARTS = 3  # columns that a total is one of at least
_CODES = 3  # columns of whole numbers among fractions, beyond which they are data


def left_out(frame: DataFrame) -> dict[str, str]:
    """Columns that are no features, each with the reason; of text, by name, or by value.

    Args:
        frame: The columns that are not asked for by name and serve no other purpose.
    """
    reasons = {name: reason for name in frame if (reason := _by_kind(frame[name]) or _by_name(str(name)))}
    numbers = frame[[name for name in frame if name not in reasons]]
    return reasons | dict(_by_values(numbers))


def _by_name(name: str) -> str | None:
    return next((reason for reason, names in _NAMES.items() if re.fullmatch(names, name.strip(), re.IGNORECASE)), None)


def _by_kind(column: Series) -> str | None:
    """Why a column that does not hold numbers is no feature; None for numbers, or for numbers with some text."""
    import pandas as pd

    if pd.api.types.is_bool_dtype(column.dtype):
        return "a flag"
    if column.dtype.kind in "mM":
        return "a time"
    present = column.dropna()
    if pd.api.types.is_numeric_dtype(column.dtype) or not len(present):
        return None
    if 2 * pd.to_numeric(present, errors="coerce").notna().sum() >= len(present):
        return None
    words = present.astype(str).str.strip()
    if words.str.lower().isin(_FLAGS).all():
        return "a flag"
    if words.str.fullmatch(r"[-+]?\d+,\d+").mean() > 0.5:
        return None  # numbers with decimal commas are a problem to mend, not a column to leave out
    return "a time" if words.str.match(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}\b").all() else "text"


def _by_values(numbers: DataFrame) -> Iterator[tuple[str, str]]:
    import pandas as pd

    x = numbers.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    if len(x) < _ENOUGH or not x.shape[1] or not np.isfinite(x).all():
        return
    whole = (x == np.round(x)).all(0)
    codes = whole & (np.ptp(x, axis=0) > 0) & ((x == 0).mean(0) < 0.5) & (x >= 0).all(0)
    among_fractions = 0 < codes.sum() <= _CODES and whole.sum() < 0.5 * len(whole)
    total = x.sum(1)
    for j, name in enumerate(numbers):
        if whole[j] and (np.diff(x[:, j]) == 1).all():
            yield name, "row numbers"
        elif whole[j] and ((x[:, j] >= 19000101) & (x[:, j] <= 21001231) & (x[:, j] % 100 <= 31)).all():
            yield name, "a time"
        elif (
            x.shape[1] > _PARTS
            and x.min() >= 0 < np.ptp(x[:, j])
            and np.allclose(total - x[:, j], x[:, j], rtol=1e-6, atol=0)
        ):
            yield name, "the total of the others"
        elif codes[j] and among_fractions:
            yield name, "a code"
