"""Options that several commands share, and the two that all have: ``--json`` and ``--quiet``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Concatenate, ParamSpec, TypeVar

import typer

from pdae_sim.cli._output import Output

Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
FigureFile = Annotated[Path | None, typer.Option("--figure", help="Where to write a picture of the result, .png.")]
DatasetFile = Annotated[Path, typer.Argument(help="A dataset, .h5ad.")]
ModelFolder = Annotated[Path, typer.Argument(help="A fitted model, a directory.")]
OutFile = Annotated[Path, typer.Option("--out", help="Where to write.")]

_AS_JSON = Annotated[bool, typer.Option("--json", help="The result alone on stdout, as JSON.")]
_QUIET = Annotated[bool, typer.Option("--quiet", help="No progress.")]

Options = ParamSpec("Options")
Status = TypeVar("Status", int, None)


def command(function: Callable[Concatenate[Output, Options], Status]) -> Callable[..., Status]:
    """Give a command ``--json`` and ``--quiet`` in the place of its first parameter, the `Output` they decide."""

    @functools.wraps(function)
    def run(*, as_json: bool = False, quiet: bool = False, **options: object) -> Status:
        return function(Output.started(as_json, quiet), **options)

    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    shared = {"as_json": _AS_JSON, "quiet": _QUIET}
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in shared.items()
    ]
    run.__signature__ = inspect.Signature(parameters)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
