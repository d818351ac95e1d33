"""`span`: verdicts before the fact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pdae_sim._checks import InputError, naming
from pdae_sim.analysis.verdict import Verdict, judge
from pdae_sim.cli.matching import known_shifts
from pdae_sim.cli.options import File, Json, Quiet, Seed
from pdae_sim.cli.output import Output
from pdae_sim.data import PerturbationData


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
