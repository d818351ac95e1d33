"""`demo`: the main job, from a world to a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from pdae_sim import _files as files
from pdae_sim import report, study
from pdae_sim.cli._evaluation_tables import evaluation_tables
from pdae_sim.cli._options import Force, Seed, command
from pdae_sim.cli._output import Output
from pdae_sim.cli._saving import save_or_keep

_FILES = ("data.h5ad", "model", "results.parquet", "report.html")


@command
def demo(
    output: Output,
    out: Annotated[Path, typer.Option("--out", help="A folder for data, model, results and report.")],
    steps: Annotated[int | None, typer.Option(min=1, help="Gradient steps of each phase, for a quick look.")] = None,
    cells: Annotated[int | None, typer.Option(min=64, help="Cells per condition, for a quick look.")] = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """The main job: simulate, fit PDAE and baselines, judge, report. After an interruption it goes on."""
    import torch

    torch.set_num_threads(1)  # the same result whatever the machine's number of cores
    settings: dict[str, Any] = {"seed": seed, "steps": steps, "cells": cells}
    checkpoint = out / ".model.checkpoint"
    with _under_way(out, settings, force=force) as force:
        result = study.run_demo(**settings, say=output.say, showing=output.fitting, checkpoint=checkpoint)
        output.say("writing the report")
        result.simulation.write(out / "data.h5ad", force=force)
        save_or_keep(result.model, out / "model", force=force, checkpoint=checkpoint)
        files.write_table(out / "results.parquet", result.table(), force=force)
        files.write_text(out / "report.html", report.render_page(report.demo_page(result)), force=force)
    identification = result.identification
    payload = {Path(name).stem: out / name for name in _FILES} | {
        "verdicts": result.verdict_names(),
        "identification": identification,
        "rows": result.rows,
    }
    r2, error = identification.alignment.orthogonal_r2, identification.gram_error
    headline = f"orthogonal R² {r2:.4f}, relative Gram error {error:.3f}"
    output.result(
        payload, [*evaluation_tables(result.rows, result.verdict_names()), headline, f"report: {out / 'report.html'}"]
    )


@contextmanager
def _under_way(out: Path, settings: dict[str, Any], *, force: bool) -> Iterator[bool]:
    """Hold the folder of a demo; by a note in it a run of the same settings goes on after an interruption.

    Gives whether files that are there may be overwritten.
    """
    files.check_folder(out, (), force=force)
    if not out.is_dir():
        with files.writing(out):
            out.mkdir(parents=True, exist_ok=True)
    note, text = out / ".demo.json", json.dumps(settings)
    with files.claimed(out / "demo"):
        with suppress(OSError, UnicodeDecodeError):
            force = force or note.read_text(encoding="utf-8") == text
        files.check_folder(out, _FILES, force=force)
        files.write_text(note, text, force=True)
        yield force
        note.unlink(missing_ok=True)
