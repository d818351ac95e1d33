"""Options that several commands share, and the two that all have: ``--json`` and ``--quiet``."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar, cast

import typer

from pdae_sim.cli._output import Output
from pdae_sim.errors import InputError

Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
FigureFile = Annotated[Path | None, typer.Option("--figure", help="Where to write a picture of the result, .png.")]
DatasetFile = Annotated[Path, typer.Argument(help="A dataset, .h5ad.")]
ModelFolder = Annotated[Path, typer.Argument(help="A fitted model, a directory.")]
SupportModel = Annotated[Path | None, typer.Option("--model", help="A fitted model whose Ŵ tells the support.")]
HoldOut = Annotated[
    float | None, typer.Option("--hold-out", help="Share of training cells that no fit sees, for evaluate --goodness.")
]
OutFile = Annotated[Path, typer.Option("--out", help="Where to write.")]

_AS_JSON = Annotated[bool, typer.Option("--json", help="The result alone on stdout, as JSON.")]
_QUIET = Annotated[bool, typer.Option("--quiet", help="No progress.")]

_KEY_HELP = {
    "condition": "Column of conditions.",
    "dose": "Numeric doses in obsm, or a column of dose text.",
    "split": "Column that tells train from test.",
    "control": "Name of the control.",
    "no_control": "The design has no control.",
    "reference": "Condition that others are counted from, where there is no control.",
    "separator": "Joins the parts of a condition.",
    "dose_separator": "Joins a part and its dose.",
    "train_words": "Words of the split column for train, with commas.",
    "test_words": "Words of the split column for test.",
    "layer": "Layer to read in place of X.",
    "features": "Features to take: names, A*, a boolean column of var.",
    "leave_out": "Features to leave out.",
    "covariate": "Column of contexts, such as a cell line: each has effects of its own. Repeat for more.",
    "batch": "Column of batches: contexts that share effects, apart by a shift of the latents.",
    "shared": "Effects are one and the same in all contexts; tested.",
}
"""What `ReadOptions` says in Python, in a few words."""

Parameters = ParamSpec("Parameters")
Status = TypeVar("Status", int, None)


class DatasetOptions(dict[str, Any]):
    """Arguments of `ReadOptions` that stand on the command line."""


def option_name(name: str) -> str:
    """The option of an argument of a reader.

    Example:
        >>> option_name("condition"), option_name("leave_out")
        ('--condition-key', '--leave-out')
    """
    return "--" + (f"{name}-key" if name in ("condition", "dose", "split") else name.replace("_", "-"))


def on_command_line(message: str) -> str:
    """A message of a reader whose arguments are written as the options they are here.

    Example:
        >>> on_command_line("pass control='NT', or no_control=True")
        "pass --control 'NT', or --no-control"
    """

    def option(match: re.Match[str]) -> str:
        value = match[2] or ""
        return option_name(match[1]) + (f" {value}" if value.startswith(("'", '"')) else "")

    return re.sub(rf"(?<![^\s(])({'|'.join(_SPOKEN)})=(True\b|'[^']*'|\"[^\"]*\"|(?![^\s;,.)]))", option, message)


def _given(values: Mapping[str, Any]) -> DatasetOptions:
    """The options that are given, lists with their commas taken apart."""
    given = {name: value for name, value in values.items() if value}
    if "control" in given and "no_control" in given:
        raise InputError("--control and --no-control exclude each other; give one of them")
    apart = {name: [w.strip() for part in given[name] for w in part.split(",")] for name in _LISTS if name in given}
    return DatasetOptions(given | apart)


def _reading(name: str, words: str) -> inspect.Parameter:
    """The option of one argument of `ReadOptions`."""
    default: object = False if name in _SWITCHES else None
    kind: object = list[str] | None if name in _LISTS else bool if name in _SWITCHES else str | None
    annotation = Annotated[kind, typer.Option(option_name(name), help=words)]  # type: ignore[valid-type]
    return inspect.Parameter(_READ + name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_READ, _LISTS = "read_", ("train_words", "test_words", "features", "leave_out", "covariate", "batch")
_SWITCHES = ("no_control", "shared")
_SPOKEN = (*_KEY_HELP, "test", "transform")
_READING = [_reading(name, words) for name, words in _KEY_HELP.items()]


def command(function: Callable[Concatenate[Output, Parameters], Status]) -> Callable[..., Status]:
    """Give a command ``--json`` and ``--quiet`` in the place of its first parameter, the `Output` they decide.

    A parameter of the type `DatasetOptions` becomes an option for each of `ReadOptions`; it receives those that are
    given.
    """
    _, *declared = inspect.signature(function, eval_str=True).parameters.values()
    reading: str | None = next((each.name for each in declared if each.annotation is DatasetOptions), None)
    own: list[inspect.Parameter] = [
        *(each for each in declared if each.name != reading),
        *(_READING if reading else []),
    ]
    switches: list[inspect.Parameter] = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in (("as_json", _AS_JSON), ("quiet", _QUIET))
    ]
    parameters = [*(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), *switches]

    def run(*, as_json: bool, quiet: bool, **options: object) -> Status:
        if reading is not None:
            options[reading] = _given({name: options.pop(_READ + name) for name in _KEY_HELP})
        return cast("Callable[..., Status]", function)(Output.started(as_json, quiet), **options)

    functools.update_wrapper(run, function)
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(run)["__signature__"] = inspect.Signature(parameters)  # what typer makes options of
    return run
