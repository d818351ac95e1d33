"""Arguments of public functions against what they are declared as: looked at where a call has failed, or would lie.

`checked` costs a look at the kinds of arrays. A call that raises what is no error of ours is looked at again: an
argument that is not of the kind that its annotation says is told in a line; else the error is a bug and stays as it is.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import numbers
import re
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import nullcontext, suppress
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np

from pdae_sim._random import seed_sequence
from pdae_sim.errors import InputError, TrainingError

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def checked(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Refuse arguments of `function` that are not what their annotations say, in one line; of a record its fields.

    Complex numbers, masked arrays and tensors with gradients (where no tensor is declared) are refused before the call,
    for numpy would take a part of them in silence.

    Example:
        >>> @checked
        ... def halved(x: np.ndarray, n: int) -> np.ndarray:
        ...     return x[:n] / 2
        >>> try:
        ...     halved(np.ones(4), "2")
        ... except InputError as error:
        ...     print(error)
        n must be a whole number; received '2'
    """
    return _checked(function, arithmetic=nullcontext)


def checked_numbers(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Refuse wrong arguments as `checked` does, and values too large or too small to be computed with.

    Example:
        >>> @checked_numbers
        ... def squared(x: np.ndarray) -> np.ndarray:
        ...     return x**2
        >>> try:
        ...     squared(np.full(2, 1e200))
        ... except InputError as error:
        ...     "rescale x" in str(error)
        True
    """
    return _checked(function, arithmetic=_strict)


def _strict() -> np.errstate:
    return np.errstate(over="raise", invalid="raise", divide="raise")


def _checked(function: Callable[Parameters, Result], arithmetic: Callable[[], Any]) -> Callable[Parameters, Result]:
    signature, ours, extreme = inspect.signature(function), (InputError, TrainingError), _EXTREME
    plain, blamed, rescale, strict = _plain, _blame, _rescale, arithmetic is _strict

    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        args, kwargs = plain(signature, args, kwargs)
        try:
            with arithmetic():
                return function(*args, **kwargs)
        except ours:
            raise
        except Exception as error:
            refusal = blamed(function, signature, args, kwargs)
            if refusal is None and strict and (isinstance(error, extreme) or type(error).__name__ == "_LinAlgError"):
                refusal = rescale(signature, args, kwargs, error)
            if refusal is None:
                raise
            raise refusal from error

    # with the globals of the function, for doctest tells by them where a function is from
    here = types.FunctionType(call.__code__, function.__globals__, function.__name__, None, call.__closure__)
    return cast("Callable[Parameters, Result]", functools.wraps(function)(here))


_EXTREME = (FloatingPointError, OverflowError, ZeroDivisionError, np.linalg.LinAlgError)


def _rescale(signature: inspect.Signature, args: tuple, kwargs: dict, error: Exception) -> InputError:
    """The refusal of numbers that cannot be computed with."""
    reason = str(error).splitlines()[0][:80]
    arrays = [name for name, annotation, _ in _declared(signature, args, kwargs) if _holds_numbers(annotation)]
    what = " and ".join(arrays) or "the input"
    return InputError(
        f"values are too large, too small or too close to each other for float64 ({reason}); rescale {what}"
    )


def _holds_numbers(annotation: str) -> bool:
    return any(word in annotation for word in (*_NUMERIC, "float", "PerturbationData", "FitSamples", "Truth"))


def _plain(signature: inspect.Signature, args: tuple, kwargs: dict) -> tuple[Any, Any]:
    """Arguments with arrays of half or extended precision in float64.

    Raises:
        InputError: For numbers of which numpy would drop a part.
    """
    _refuse_foreign(signature, args, kwargs)
    return tuple(map(_in_double, args)), {name: _in_double(value) for name, value in kwargs.items()}


def _in_double(value: object) -> object:
    if isinstance(value, (np.ndarray, np.floating)) and value.dtype.kind == "f" and value.dtype.itemsize not in (4, 8):
        with np.errstate(over="ignore"):  # what overflows is not finite, and refused as such
            return value.astype(np.float64)
    return value


def _refuse_foreign(signature: inspect.Signature, args: tuple, kwargs: dict) -> None:
    """Raise an InputError for numbers of which numpy would drop a part."""
    given = (*zip(signature.parameters, args, strict=False), *kwargs.items())
    for name, value in given if list(signature.parameters) != ["self"] else vars(args[0]).items():
        what = _foreign(value)
        if what and not (what == "a tensor with gradients" and _takes_tensors(signature, name)):
            raise InputError(f"{name} must be plain real numbers; received {what}")


def _foreign(value: object) -> str | None:
    if isinstance(value, (complex, np.complexfloating)) or getattr(value, "dtype", None) in _COMPLEX:
        return "complex numbers"
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        return "a masked array with hidden values; fill them first"
    if getattr(getattr(value, "dtype", None), "kind", "") in ("M", "m"):
        return "dates or times"
    return "a tensor with gradients" if getattr(value, "requires_grad", False) is True else None


_COMPLEX = (np.dtype(np.complex64), np.dtype(np.complex128))


def _takes_tensors(signature: inspect.Signature, name: str) -> bool:
    return name in signature.parameters and "Tensor" in str(signature.parameters[name].annotation)


def _blame(function: Callable, signature: inspect.Signature, args: tuple, kwargs: dict) -> InputError | None:
    """The refusal of the first argument that is not of the kind it is declared as; None if all are."""
    for name, annotation, value in _declared(signature, args, kwargs):
        expected = _wrong(annotation, value, function.__globals__)
        if expected is not None:
            return InputError(f"{name} must be {expected}; received {shown(value)}")
    return None


def check_fields(record: object, known: Mapping[str, Any]) -> None:
    """Raise an InputError for a field of a dataclass that is not what its annotation says.

    Args:
        record: The dataclass.
        known: Names that annotations may hold, such as the globals of its module.
    """
    for each in dataclasses.fields(cast(Any, record)):
        value = getattr(record, each.name)
        expected = _wrong(str(each.type), value, known)
        if expected is not None:
            raise InputError(f"{each.name} must be {expected}; received {shown(value)}")


def _declared(signature: inspect.Signature, args: tuple, kwargs: dict) -> Iterator[tuple[str, str, object]]:
    """Names, annotations and values: of arguments, or of the fields of a record that looks at itself."""
    if list(signature.parameters) == ["self"] and dataclasses.is_dataclass(args[0]):
        yield from ((each.name, str(each.type), getattr(args[0], each.name)) for each in dataclasses.fields(args[0]))
        return
    with suppress(TypeError):
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            parameter = signature.parameters[name]
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                yield name, str(parameter.annotation), value


def shown(value: object) -> str:
    """A value for a message, on one line and no longer than a few words."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {shape} and {getattr(value, 'dtype', 'no dtype')}"
    try:
        text = " ".join(repr(value).split())
    except Exception:
        return f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:57]}…"


def _wrong(annotation: str, value: object, known: Mapping[str, Any]) -> str | None:
    """What was expected in place of `value`; None where it may be what is declared."""
    if annotation.startswith(("inspect._empty", "<class", "Any", "object", "Callable")):
        return None
    options = [
        option.strip().removeprefix("_random.") for option in re.split(r"\|(?![^\[]*\])", annotation.strip("'\""))
    ]
    if value is None:
        return None if "None" in options or "SeedLike" in options else _expected(options[0])
    refused = [not _is(option, value, known) for option in options if option != "None"]
    return _expected(next(option for option in options if option != "None")) if all(refused) else None


_NUMERIC = ("ArrayLike", "ndarray", "Matrix", "Sequence", "Condition")
_TEXTS = ("Sequence[str]", "Collection[str]", "Iterable[str]", "tuple[str")


def _is(option: str, value: object, known: Mapping[str, Any]) -> bool:
    """Whether a value may be what one option of an annotation says."""
    if option in _PLAIN:
        return _PLAIN[option](value)
    if option.startswith(_TEXTS):
        return _are(value, str)
    if option.startswith("Sequence[Mapping"):
        return _are(value, Mapping)
    if option == "Condition":
        return isinstance(value, str) or _is_numeric(value)
    name = option.partition("[")[0].rpartition(".")[2]
    if name in ("Mapping", "dict"):
        return isinstance(value, Mapping)
    inner = option.partition("[")[2]
    if name in ("Sequence", "Collection", "Iterable", "tuple", "list") and inner and inner.split("]")[0] not in _PLAIN:
        kind = Iterable if name == "Iterable" else Collection
        return isinstance(value, kind) and not isinstance(value, (str, bytes, Mapping)) and not _is_single(value)
    if name in _NUMERIC:
        return _is_numeric(value)
    if name == "Tensor":
        return type(value).__name__ in ("Tensor", "Parameter") and bool(getattr(value, "ndim", 0))
    declared = known.get(name)
    if declared is None or not inspect.isclass(declared):
        return name in {each.__name__ for each in type(value).__mro__} or not name[:1].isupper()
    if getattr(declared, "_is_protocol", False):
        members = {key for each in declared.__mro__ if each is not object for key in _members(each)}
        return all(hasattr(value, member) for member in members)
    return isinstance(value, declared)


def _members(protocol: type) -> set[str]:
    own = {key for key, value in vars(protocol).items() if callable(value) or isinstance(value, property)}
    return {key for key in own | set(getattr(protocol, "__annotations__", {})) if not key.startswith("_")}


def _is_numeric(value: object) -> bool:
    """Whether a value is a vector or table of finite real numbers with something in it."""
    try:
        array = np.asarray(value.toarray() if hasattr(value, "toarray") else value, dtype=np.float64)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return False
    return array.ndim in (1, 2) and array.size > 0 and bool(np.isfinite(array).all())


def _are(value: object, kind: type) -> bool:
    return (
        isinstance(value, Collection)
        and not isinstance(value, (str, bytes))
        and not _is_single(value)
        and all(isinstance(each, kind) for each in value)
    )


def _is_single(value: object) -> bool:
    """Whether a value is an array of no axis, which calls itself iterable and is not."""
    return getattr(value, "shape", None) == ()


def _is_seed(value: object) -> bool:
    try:
        seed_sequence(cast(Any, value))
    except (TypeError, ValueError):
        return False
    return True


def _is_real(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and bool(np.isfinite(float(value)))


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and abs(int(value)) < 2**63


_PLAIN: dict[str, Callable[[object], bool]] = {
    "int": _is_whole,
    "float": _is_real,
    "bool": lambda value: isinstance(value, (bool, np.bool_)),
    "str": lambda value: isinstance(value, str),
    "SeedLike": _is_seed,
}

_WORDS = {
    "int": "a whole number",
    "float": "a finite number",
    "bool": "True or False",
    "str": "text",
    "SeedLike": "what numpy.random.default_rng takes (a seed ≥ 0, a generator or None)",
    "Condition": "a condition or a label of finite numbers",
    "Tensor": "a tensor of floating numbers in rows",
    "Mapping": "a mapping",
    "dict": "a mapping",
}


def _expected(option: str) -> str:
    """The words for an option of an annotation."""
    if option.startswith(_TEXTS):
        return "a list of texts"
    name = option.partition("[")[0].rpartition(".")[2]
    if name in _WORDS:
        return _WORDS[name]
    if name in ("ArrayLike", "ndarray", "Matrix", "Sequence", "Collection", "Iterable", "list", "tuple"):
        return "finite real numbers in rows, at least one" if "[" not in option else f"a list ({option})"
    return f"a {name}"
