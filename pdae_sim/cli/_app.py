"""The commands of `pdae-sim` and their exit statuses.

Command modules are loaded whenever the program starts, so they import nothing heavy: they call the rooms of the library
through their doors, which load on first use.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer

from pdae_sim.cli._commands import (
    additivity,
    check,
    dataset,
    demo,
    design,
    doctor,
    evaluate,
    identify,
    model,
    span,
    study,
    twins,
)
from pdae_sim.cli._encoding import spell_on_standard_streams
from pdae_sim.cli._options import on_command_line
from pdae_sim.errors import InputError, TrainingError

if TYPE_CHECKING:
    from pdae_sim.study.registry import StudyRegistry

FINE, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
_NO_MEMORY = re.compile(r"out of memory|allocate memory|enough memory|bad_alloc|ALLOC_FAILED", re.IGNORECASE)
_LESS = "ask for less at a time (cells, features, draws, repetitions), or use a machine with more"
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
    """Run a command and return its exit status; bad input is one line on stderr and status 2."""
    words = None if arguments is None else list(arguments)
    spell_on_standard_streams()
    try:
        status = command(args=words, standalone_mode=False, prog_name=name, obj=studies)
        if status == INTERRUPTED:
            return _complain(_INTERRUPTED, INTERRUPTED)
        return status if isinstance(status, int) else FINE
    except (KeyboardInterrupt, typer.Abort):
        return _complain(_INTERRUPTED, INTERRUPTED)
    except (InputError, TrainingError) as error:
        return _complain(on_command_line(str(error)), BAD_INPUT)
    except OSError as error:
        return _complain(f"{error.filename or 'file'}: {error.strerror or error}", BAD_INPUT)
    except Exception as error:
        if _is_out_of_memory(error):
            return _complain(f"out of memory: {_first_line(error)}; {_LESS}", BAD_INPUT)
        if not hasattr(error, "format_message"):  # not one of typer's usage errors
            raise
        return _complain(f"{error.format_message()} Try '{name} --help'.".removeprefix(" "), BAD_INPUT)


def _is_out_of_memory(error: Exception) -> bool:
    """Whether Python, numpy or torch found no memory; torch says so of the CPU by a bare RuntimeError."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_NO_MEMORY.search(str(error))))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or ["no more is free"])[0].rstrip(".")


def _complain(message: str, status: int) -> int:
    logging.getLogger(__name__).debug("failed", exc_info=True)
    sys.stderr.write("error: " + " ".join(message.split()) + "\n")
    return status
