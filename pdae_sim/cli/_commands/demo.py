"""`demo`: the main job, from a world to a page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pdae_sim import _files as files
from pdae_sim import report, study
from pdae_sim.cli._evaluation_tables import evaluation_tables
from pdae_sim.cli._options import Force, Seed, command
from pdae_sim.cli._output import Output

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
    """The main job: simulate, fit PDAE and baselines, judge, report."""
    import torch

    files.check_folder(out, _FILES, force=force)
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # the same result whatever the machine's number of cores
    result = study.run_demo(seed=seed, steps=steps, cells=cells, say=output.say, showing=output.fitting)
    output.say("writing the report")
    result.simulation.write(out / "data.h5ad", force=force)
    result.model.save(out / "model", force=force)
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
