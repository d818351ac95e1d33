"""`span`, `identify` and `evaluate`: verdicts before, and measurements after, the fact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pdae_sim import io
from pdae_sim._checks import InputError, naming
from pdae_sim.analysis.verdict import Verdict, judge
from pdae_sim.cli.options import File, Json, Model, Quiet, Seed
from pdae_sim.cli.output import Output, table
from pdae_sim.data import PerturbationData, Simulation
from pdae_sim.estimation.pdae import PDAE


def span(
    file: File,
    test: Annotated[
        list[str] | None, typer.Option(help="A condition to judge; repeat for more. The held-out ones.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A fitted model whose Ŵ tells the support.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Verdict and certificate per condition. Support needs W: the truth of a simulated file, or --model."""
    output = Output.started(as_json, quiet)
    data = PerturbationData.read(file)
    train, space = data.train, data.space
    conditions = test or [c for c, held_out in zip(data.conditions, data.held_out, strict=True) if held_out]
    if not conditions:
        raise InputError(f"{file}: no condition is held out; name those to judge with --test")
    with naming(f"{file}: --test"):
        labels = np.array([space.exact(condition) for condition in conditions])
    W = known_shifts(file, model, data)
    verdicts = judge(train.labels, labels, counts=train.counts, perturbation_matrix=W)
    rows = [verdict_row(c, v, train) for c, v in zip(conditions, verdicts, strict=True)]
    lines = [
        f"{c}: {v.name}. {v.certificate.in_words(c, train.conditions, train.names)}"
        for c, v in zip(conditions, verdicts, strict=True)
    ]
    output.result({"verdicts": rows}, lines)


def identify(model: Model, file: File, seed: Seed = 0, as_json: Json = False, quiet: Quiet = False) -> None:
    """Learnt against true latents and W, on fresh cells of a simulated world."""
    from pdae_sim.study.identification import identify as compare

    output = Output.started(as_json, quiet)
    fitted, simulation = PDAE.load(model), Simulation.read(file)
    check_match(fitted, simulation.data, model, file)
    d = simulation.truth.z.shape[1]
    if len(fitted.perturbation_matrix_) != d:
        raise InputError(
            f"{model}: has {len(fitted.perturbation_matrix_)} latents where {file} has {d}; fit with --latents {d}"
        )
    result = compare(fitted, simulation, rng=seed).to_json()
    low, high = result["gram_error_oracle"]
    rows = [(k, result[k], *(f"{v:.4g}" for v in result["intervals"][k])) for k in ("affine_r2", "orthogonal_r2")]
    rows += [("gram_error", result["gram_error"], f"oracle {low:.4g}", f"oracle {high:.4g}")]
    rows += [
        (f"singular value {j + 1}", value, *(f"{v:.4g}" for v in result["intervals"]["singular_values"][j]))
        for j, value in enumerate(result["singular_values"])
    ]
    output.result(result, table(f"{model} against the truth of {file}", ("quantity", "value", "low", "high"), rows))


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


def known_shifts(file: Path, model: Path | None, data: PerturbationData) -> np.ndarray | None:
    """W in isotropic form: a model's estimate where one is given, else the file's truth where there is one."""
    if model is not None:
        fitted = PDAE.load(model)
        check_match(fitted, data, model, file)
        return fitted.perturbation_matrix_
    return Simulation.read(file).truth.isotropic().perturbation_matrix if io.has_truth(file) else None


def verdict_row(condition: str, verdict: Verdict, train: PerturbationData) -> dict:
    """The fields of one verdict of `pdae-sim span --json`."""
    c = verdict.certificate
    alpha = [] if c.coefficients is None else zip(train.conditions, c.coefficients.tolist(), strict=True)
    witness = None if c.witness is None else {n: v for n, v in zip(train.names, c.witness.tolist(), strict=True) if v}
    return {
        "condition": condition,
        "identified": c.identified,
        "supported": verdict.supported,
        "coefficients": {name: value for name, value in alpha if value},
        "witness": witness,
        "noise_gain": c.noise_gain,
        "arithmetic": c.arithmetic,
        "effective_cells": verdict.effective_cells,
        "verdict": verdict.name,
    }


def check_unseen(model: PDAE, data: PerturbationData, where: Path, file: Path) -> None:
    """Raise an InputError if a condition held out in a dataset was among those a model was fitted on."""
    seen = {tuple(row) for row in model.train_labels_}
    leaked = [c for c, label in zip(data.test.conditions, data.test.labels, strict=True) if tuple(label) in seen]
    if leaked:
        raise InputError(
            f"{file}: {where} was fitted on held-out condition {leaked[0]!r}; fit it on this file's training split"
        )


def check_match(model: PDAE, data: PerturbationData, where: Path, file: Path) -> None:
    """Raise an InputError if a model and a dataset do not speak of the same things."""
    if model.features_ != data.features:
        raise InputError(
            f"{file}: its {len(data.features)} features are not those that {where} was fitted on; use that dataset"
        )
    if model.space_.names != data.names:
        theirs, ours = ", ".join(data.names), ", ".join(model.space_.names)
        raise InputError(
            f"{file}: perturbations are {theirs} where {where} has {ours}; use the dataset it was fitted on"
        )
