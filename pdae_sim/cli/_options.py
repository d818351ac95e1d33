"""Options that several commands share, and the two that all have: ``--json`` and ``--quiet``."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Concatenate, ParamSpec, TypeVar, cast

import typer

from pdae_sim.cli._output import Output

Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
FigureFile = Annotated[Path | None, typer.Option("--figure", help="Where to write a picture of the result, .png.")]
DatasetFile = Annotated[Path, typer.Argument(help="A dataset, .h5ad.")]
ModelFolder = Annotated[Path, typer.Argument(help="A fitted model, a directory.")]
SupportModel = Annotated[Path | None, typer.Option("--model", help="A fitted model whose Ŵ tells the support.")]
OutFile = Annotated[Path, typer.Option("--out", help="Where to write.")]

_AS_JSON = Annotated[bool, typer.Option("--json", help="The result alone on stdout, as JSON.")]
_QUIET = Annotated[bool, typer.Option("--quiet", help="No progress.")]

Parameters = ParamSpec("Parameters")
Status = TypeVar("Status", int, None)


def command(function: Callable[Concatenate[Output, Parameters], Status]) -> Callable[..., Status]:
    """Give a command ``--json`` and ``--quiet`` in the place of its first parameter, the `Output` they decide."""
    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    switches: list[inspect.Parameter] = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=option)
        for name, option in (("as_json", _AS_JSON), ("quiet", _QUIET))
    ]
    parameters = [*(each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in own), *switches]

    def run(*, as_json: bool, quiet: bool, **options: object) -> Status:
        return cast("Callable[..., Status]", function)(Output.started(as_json, quiet), **options)

    functools.update_wrapper(run, function)
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    vars(run)["__signature__"] = inspect.Signature(parameters)  # what typer makes options of
    return run
