"""The commands of `pdae-sim` and their exit statuses.

Command modules are loaded whenever the program starts, so they import nothing heavy: they call the rooms of the library
through their doors, which load on first use.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from pdae_sim.cli._boundary import BAD_INPUT, BUG, FINE, INTERRUPTED, complain, told, told_of_bug
from pdae_sim.cli._commands import (
    additivity,
    check,
    dataset,
    demo,
    design,
    doctor,
    evaluate,
    geometry,
    identify,
    model,
    span,
    stability,
    study,
    twins,
)
from pdae_sim.cli._encoding import spell_on_standard_streams

if TYPE_CHECKING:
    from pdae_sim.study.registry import StudyRegistry

_INTERRUPTED = "interrupted; the same command goes on from what was saved, or starts again"

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
for function in (
    demo.demo,
    dataset.simulate,
    dataset.worlds,
    dataset.convert,
    model.fit,
    model.predict,
    span.span,
    identify.identify,
    evaluate.evaluate,
    additivity.additivity,
    geometry.geometry,
    stability.stability,
    design.design,
    twins.twins,
    check.check,
    doctor.doctor,
):
    app.command()(function)
app.add_typer(study.study_app, name="study")


@app.callback()
def _describe() -> None:
    """Simulate, fit and judge perturbation models with additive latent shifts and unknown nonlinear mixing."""


def run(
    arguments: Sequence[str] | None = None,
    *,
    command: typer.Typer = app,
    name: str = "pdae-sim",
    studies: StudyRegistry | None = None,
) -> int:
    """Run a command and return its exit status; bad input is one line on stderr and status 2, a bug status 4."""
    words = None if arguments is None else list(arguments)
    spell_on_standard_streams()
    try:
        status = command(args=words, standalone_mode=False, prog_name=name, obj=studies)
        if status == INTERRUPTED:
            return complain(_INTERRUPTED, INTERRUPTED)
        return status if isinstance(status, int) else FINE
    except (KeyboardInterrupt, typer.Abort):
        return complain(_INTERRUPTED, INTERRUPTED)
    except Exception as error:
        if hasattr(error, "format_message"):  # one of typer's usage errors
            return complain(f"{error.format_message()} Try '{name} --help'.".removeprefix(" "), BAD_INPUT)
        line, status = told(error) or (told_of_bug(error, sys.argv[1:] if words is None else words), BUG)
        return complain(line, status)
