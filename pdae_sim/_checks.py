"""Guards: each names the argument, what was expected and what was received."""

from __future__ import annotations

import difflib
import importlib
import inspect
import numbers
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

Record = TypeVar("Record", bound="BaseModel")


@contextmanager
def naming(where: object) -> Iterator[None]:
    """Put `where` (a file, an option) in front of the message of an `InputError` raised inside, where it is not yet."""
    try:
        yield
    except InputError as error:
        if str(error).startswith(f"{where}: "):
            raise
        raise type(error)(f"{where}: {error}") from None


def near_misses(word: str, known: Iterable[str], *, shown: int = 12) -> str:
    """A clause that lists what `word` may have meant, else what is known."""
    known = [str(k) for k in known]
    close = difflib.get_close_matches(word, known, n=3, cutoff=0.6)
    if close:
        return "did you mean " + " or ".join(repr(c) for c in close) + "?"
    return "known: " + (listed(known, shown=shown) if known else "none")


def listed(names: Iterable[object], *, shown: int = 12, between: str = ", ") -> str:
    """Names for a message: the first of them, and how many there are where that is more."""
    told = [str(name) for name in names]
    rest = f"{between}… ({len(told):,} in all)" if len(told) > shown else ""
    return between.join(told[:shown]) + rest


_CONTROLS = re.compile(
    r"(?!wt[0-9])(neg(ative)?|un|mock|vehicle|sham)?[-_ ]*"
    r"(ctrl|cntrl|control|ntc?|(non|safe)[-_ ]?target(ing|ed)?|scrambled?|dmso|pbs|vehicle|mock|placebo|saline|water|wt"
    r"|wild[-_ ]?type|untreated|unperturbed|unstim(ulated)?|untransfected|untransduced|unmodified"
    r"|no[-_ ]?(treatment|drug|guide)|none|baseline|empty[-_ ]?vector|sham|safe[-_ ]?harbou?r|neg)"
    r"(s|ing)?([-_ ]*(ctrl|control|cells?|sgrna|grna|guide|[0-9]+))*",
    re.IGNORECASE,
)
"""Names that laboratories give their controls."""


def likely_controls(names: Iterable[str]) -> list[str]:
    """Those of `names` that other files use for a control."""
    return [name for name in names if _CONTROLS.fullmatch(name.strip())]


def has_control(labels: np.ndarray, held_out: np.ndarray) -> bool:
    """Whether the zero label is one of training, or of data that are held out as a whole."""
    zero = (labels == 0).all(axis=1)
    return bool((zero & ~held_out).any() or (zero.any() and held_out.all()))


def check_control(labels: np.ndarray, held_out: np.ndarray, names: Sequence[str], control: str) -> None:
    """Raise an InputError unless there is a control to learn from (see `has_control`)."""
    if has_control(labels, held_out):
        return
    instead = "or pass no_control=True for a design without one"
    if (labels == 0).all(axis=1).any():
        raise InputError(f"the control {control!r} is held out; mark it train, {instead}")
    likely = likely_controls(names)
    which = " or ".join(f"control={name!r}" for name in likely[:4])
    hint = f"likely {which}" if likely else f"{near_misses(control, names)}; name it with control="
    raise InputError(f"no condition is the control {control!r}; {hint}, {instead}")


def fitting(settings: Mapping[str, object], known: Mapping[str, inspect.Parameter]) -> None:
    """Raise an InputError unless `settings` are all known, and all that have no default are among them."""
    for name in settings:
        if name not in known:
            raise InputError(f"unknown setting {name!r}; {near_misses(name, known)}")
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in settings:
            raise InputError(f"the setting {name} is required")


def choice(name: str, value: str, allowed: Iterable[str]) -> str:
    """`value`, if it is one of `allowed`."""
    allowed = list(allowed)
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name} must be one of {', '.join(allowed)}; received {value!r}")
    return value


def whole(name: str, value: object, *, at_least: int = 1) -> int:
    """`value` as an int no smaller than `at_least`; booleans and fractions are refused."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < at_least:
        raise InputError(f"{name} must be a whole number ≥ {at_least}; received {value!r}")
    return int(value)


def repetitions(name: str, value: object, *, at_least: int = 1) -> int:
    """`value` as a number of draws or resamples: whole, and not so large that they do not end."""
    return _limited(name, whole(name, value, at_least=at_least), 10_000_000)


def size(name: str, value: object, *, at_least: int = 1) -> int:
    """`value` as a number of rows, columns or layers: whole, and not so large that they cannot be held."""
    return _limited(name, whole(name, value, at_least=at_least), 1_000_000)


def _limited(name: str, count: int, most: int) -> int:
    if count > most:
        raise InputError(f"{name} must be a whole number ≤ {most:,}; received {count!r}")
    return count


def between(name: str, value: object, low: float, high: float) -> float:
    """`value` as a float strictly inside (low, high)."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low < float(value) < high:
        raise InputError(f"{name} must lie strictly between {low} and {high}; received {value!r}")
    return float(value)


def at_least(name: str, value: object, low: float) -> float:
    """`value` as a finite float ≥ low."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not low <= float(value) < np.inf:
        raise InputError(f"{name} must be a finite number ≥ {low}; received {value!r}")
    return float(value)


def finite(name: str, array: np.ndarray) -> np.ndarray:
    """`array`, if it holds no NaN and no infinity."""
    bad = ~np.isfinite(array)
    if bad.any():
        first = tuple(int(i) for i in np.argwhere(bad)[0])
        raise InputError(
            f"{name} must be finite; {int(bad.sum())} of {array.size} values are not, the first at {first}"
        )
    return array


def matrix(
    name: str,
    value: object,
    *,
    columns: int | None = None,
    names: Sequence[str] | None = None,
    dtype: type = np.float64,
) -> np.ndarray:
    """`value` as a finite two-dimensional array with rows = samples; a vector becomes one column.

    With `names`, columns of a data frame are taken by name, and those of an array must be as many.
    """
    if names is not None:
        columns, value = len(names), _by_name(name, value, names)
    try:
        array: np.ndarray = np.asarray(value, dtype=dtype)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numeric; received {type(value).__name__} ({error})") from None
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise InputError(f"{name} must have shape (n, d); received shape {array.shape}")
    if columns is not None and array.shape[1] != columns:
        raise InputError(f"{name} must have {columns} columns; received {array.shape[1]}")
    return finite(name, array)


def _by_name(name: str, value: object, names: Sequence[str]) -> object:
    """The columns `names` of a data frame whose columns have names; anything else as it is."""
    known = getattr(value, "columns", None)
    if known is None or not any(isinstance(column, str) for column in known):
        return value
    missing = [column for column in names if column not in known]
    if missing:
        raise InputError(f"{name} has no column {missing[0]!r}, nor {len(missing) - 1} more of {len(names)} features")
    return value[list(names)]  # type: ignore[index]


def vector(name: str, value: object) -> np.ndarray:
    """`value` as a vector of finite numbers, at least one."""
    array = matrix(name, value)
    if array.shape[1] != 1 or not len(array):
        raise InputError(f"{name} must be a vector; received shape {array.shape}")
    return array[:, 0]


def nonzero(name: str, value: object, size: int) -> np.ndarray:
    """`value` as a vector of so many finite numbers that are not all zero."""
    array = finite(name, np.asarray(value, dtype=np.float64))
    if array.shape != (size,) or not array.any():
        raise InputError(f"{name} must have shape ({size},) and not be zero; received {value!r}")
    return array


def positive(name: str, value: object, size: int) -> np.ndarray:
    """`value` as a vector of so many finite numbers above zero."""
    array = np.asarray(value, dtype=np.float64)
    if array.shape != (size,) or not (np.isfinite(array) & (array > 0)).all():
        raise InputError(f"{name} must be {size} positive numbers, one per training row; received {value!r}")
    return array


def _problems(error: ValidationError, table: type[BaseModel]) -> Iterator[str]:
    """What pydantic found wrong with a table, a clause each, with what an unknown key may have meant."""
    for problem in error.errors():
        place = [str(part) for part in problem["loc"]]
        if problem["type"] == "extra_forbidden":
            yield f"unknown key {'.'.join(place)!r}; {near_misses(place[-1], _keys(table, place[:-1]))}"
        elif problem["type"] == "value_error":
            yield ": ".join([*([".".join(place)] if place else []), str(problem["ctx"]["error"])])
        elif problem["type"] == "missing":
            yield f"{'.'.join(place)} is missing; give it"
        else:
            yield f"{'.'.join(place)}: {problem['msg'].lower()}; received {problem['input']!r}"


def validated(model: type[Record], table: Mapping) -> Record:
    """The pydantic record of a table; every problem of it in one line of an InputError."""
    from pydantic import ValidationError

    try:
        return model.model_validate(dict(table))
    except ValidationError as error:
        raise InputError("; ".join(_problems(error, model))) from None


def _keys(table: type[BaseModel], place: list[str]) -> list[str]:
    inner = table.model_fields[place[0]].annotation if place else table
    return list(getattr(inner, "model_fields", ()))


def imported(path: str) -> Any:
    """What ``module:name`` names; modules of the working folder are found however the program started."""
    module, _, name = path.partition(":")
    if not name:
        raise InputError(f"{path!r} cannot be imported (it names no class or function); write module:name")
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.append(os.getcwd())
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise InputError(f"{path!r} cannot be imported ({error}); write module:name") from None
    except Exception as error:  # whatever a module does as it is imported
        reason = f"the module raised {type(error).__name__}: {error}"
        raise InputError(f"{path!r} cannot be imported ({reason}); mend it") from error
