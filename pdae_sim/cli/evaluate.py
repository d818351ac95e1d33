"""`evaluate`: measurements after the fact."""

from __future__ import annotations

from typing import Annotated

import typer

from pdae_sim._checks import naming
from pdae_sim.cli.matching import check_match, check_unseen
from pdae_sim.cli.options import File, Json, Model, Quiet, Seed
from pdae_sim.cli.output import Output, table
from pdae_sim.data import PerturbationData
from pdae_sim.estimation.pdae import PDAE


def evaluate(
    model: Model,
    file: File,
    baselines: Annotated[bool, typer.Option("--baselines", help="Judge every baseline too.")] = False,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """All metrics at the held-out conditions, beside the noise ceiling."""
    from pdae_sim.study.evaluation import evaluate as measure
    from pdae_sim.study.evaluation import fitted_estimators

    output = Output.started(as_json, quiet)
    fitted, data = PDAE.load(model), PerturbationData.read(file)
    check_match(fitted, data, model, file)
    check_unseen(fitted, data, model, file)
    with naming(file):
        rows = measure(fitted_estimators(fitted, data, baselines=baselines), data, rng=seed)
    output.result({"rows": rows}, evaluation_tables(rows))


def evaluation_tables(rows: list[dict]) -> list:
    """One table per condition: estimators by metrics, best energy distance first."""
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    tables = []
    for condition in dict.fromkeys(row["condition"] for row in rows):
        cells = {(r["estimator"], r["metric"]): r["value"] for r in rows if r["condition"] == condition}
        names = dict.fromkeys(name for name, _ in cells)
        lines = [(name, *(cells.get((name, metric)) for metric in metrics)) for name in names]
        lines.sort(key=lambda line: (line[1] is None, line[1]))
        tables.append(table(condition, ("estimator", *metrics), lines))
    return tables
