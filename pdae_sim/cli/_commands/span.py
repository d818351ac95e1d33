"""`span`: verdicts before the fact."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

import pdae_sim
from pdae_sim import analysis, io, report, study
from pdae_sim._checks import naming
from pdae_sim.cli._additivity import related_additivity
from pdae_sim.cli._contexts import identified_by, shared_effects
from pdae_sim.cli._figures import check_figure, write_figure
from pdae_sim.cli._options import DatasetFile, DatasetOptions, FigureFile, Force, Seed, SupportModel, command
from pdae_sim.cli._output import Output
from pdae_sim.cli._perturbation_matrix import KnownPerturbationMatrix, read_with_model
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pdae_sim import PerturbationData
    from pdae_sim.analysis import SpanCertificate, Verdict
    from pdae_sim.simulation import TrueVerdict

_CAVEAT = (
    "Intervals count the cells that Ŵ was fitted to; what a learnt encoder adds to the error is not in them"
    " (stability --model counts it)."
)
_COUNTED = "Intervals count the whole fit, by fits to halves of its cells."
_FREE_NOISE = (
    "The decoder of this model draws noise of any law, so nothing is guaranteed (theory, claim 2.11c): true effects may"
    " be larger than those of Ŵ, and training cells worth less; fit with an observation model."
)
_NOTED = 1.005  # inflation of variances that is worth a sentence


@command
def span(
    output: Output,
    file: DatasetFile,
    options: DatasetOptions,
    test: Annotated[
        list[str] | None, typer.Option(help="A condition to judge; repeat for more. The held-out ones.")
    ] = None,
    model: SupportModel = None,
    sparse: Annotated[bool, typer.Option("--sparse", help="The α of fewest training conditions.")] = False,
    rtol: Annotated[float | None, typer.Option(help="Doses are measured to this relative tolerance.")] = None,
    counts_weighted: Annotated[
        bool, typer.Option("--counts-weighted", help="The α of least noise gain at the file's cells, not least norm.")
    ] = False,
    pooled: Annotated[
        bool, typer.Option("--pooled", help="Also what all training cells together are worth, by simulation.")
    ] = False,
    additivity: Annotated[
        bool | None,
        typer.Option(
            "--additivity/--no-additivity",
            help="Test whether effects add where training combinations share its parts: as many as take some"
            " seconds, or all.",
        ),
    ] = None,
    figure: FigureFile = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Verdict and certificate per condition. Support needs W: the truth of a simulated file, or --model."""
    check_figure(figure, force=force)
    data, W = read_with_model(file, options, model)
    conditions = _conditions(file, data, test)
    with naming(f"{file}: --test"):
        labels = np.array([data.space.exact(condition) for condition in conditions])
    with naming(file):
        train = data.train
        counts = train.counts.tolist() if counts_weighted else None
        certificates = analysis.check_span(train.labels, labels, counts=counts, sparse=sparse, rtol=rtol)
    if pooled and W is None:
        raise InputError(f"{file}: holds no truth, and --pooled needs W; give a fitted --model")
    with naming(file):
        verdicts = _judged(train, labels, certificates, W)
    cells = _pooled(train, labels, verdicts, W, seed) if pooled and W else [None] * len(verdicts)
    truths = _truths(file, train, conditions) if W and W.source == "model" else [None] * len(verdicts)
    rows = [
        {
            "condition": condition,
            **verdict.to_json(train.conditions, train.names),
            "pooled_cells": together,
            "source": None if W is None else W.source,
            "truth": _truth_row(true),
        }
        for condition, verdict, together, true in zip(conditions, verdicts, cells, truths, strict=True)
    ]
    for row, kinds in zip(rows, identified_by(data, conditions), strict=False):
        row |= kinds
    if additivity is not False:
        tested = related_additivity(file, data, options, conditions, seed, quick=additivity is None)
        for row, adds in zip(rows, tested, strict=True):
            row["additivity"] = adds
    sentences = [_sentence(row, v, train) for row, v in zip(rows, verdicts, strict=True)]
    caveats = [_COUNTED if W and W.halves else _CAVEAT] * bool(W and W.error) + [_FREE_NOISE] * bool(
        W and not W.guaranteed
    )
    tests, about_contexts = shared_effects(file, data, options, seed)
    output.result(
        {"verdicts": rows, **tests, "spread": W.spread if W else None, "promise": W.promise if W else None},
        [*sentences, *about_contexts, *caveats, *_noise(W), *(told for told in _of_model(W) if told)],
    )
    write_figure(figure, lambda: report.verdict_figure(rows), force=force)


def _of_model(W: KnownPerturbationMatrix | None) -> list[str]:
    """Changes of spread among its base latents, and what is known of the error of its predictions."""
    return [] if W is None else [W.spread, W.promise]


def _noise(W: KnownPerturbationMatrix | None) -> list[str]:
    """What noise leaves of the information of a cell, where it takes some."""
    if W is None or W.inflation < _NOTED:
        return []
    return [
        f"Noise: a cell tells of a shift what {1 / W.inflation:.2g} cells with latents seen do; intervals count it."
    ]


def _conditions(file: Path, data: PerturbationData, test: list[str] | None) -> list[str]:
    from pdae_sim._contexts import in_contexts

    named = [each for text in test or () for each in in_contexts(data.names, data.control, text)]
    conditions = named or [c for c, held_out in zip(data.conditions, data.held_out, strict=True) if held_out]
    if not conditions:
        raise InputError(f"{file}: no condition is held out; name those to judge with --test")
    return conditions


def _judged(
    train: PerturbationData,
    labels: np.ndarray,
    certificates: Sequence[SpanCertificate],
    W: KnownPerturbationMatrix | None,
) -> list[Verdict]:
    verdicts = analysis.judge(
        train.labels,
        labels,
        certificates=certificates,
        counts=train.counts,
        perturbation_matrix=None if W is None else W.matrix,
        error=None if W is None else W.error,
        guaranteed=W is None or W.guaranteed,
    )
    if W is None or W.halves is None or W.error is None:
        return verdicts
    return study.count_fit(verdicts, labels, *W.halves)


def _pooled(
    train: PerturbationData, labels: np.ndarray, verdicts: Sequence[Verdict], W: KnownPerturbationMatrix, seed: int
) -> list[float | None]:
    """What all training cells together are worth at each label: the sum over conditions times the gain of pooling."""
    means, targets = train.labels @ W.matrix.T, labels.astype(np.float64) @ W.matrix.T
    return [
        None
        if verdict.effective_cells is None
        else verdict.effective_cells * analysis.pooling_gain(means, train.counts, target, rng=seed)[0]
        for verdict, target in zip(verdicts, targets, strict=True)
    ]


def _truths(file: Path, train: PerturbationData, conditions: list[str]) -> Sequence[TrueVerdict | None]:
    """The verdicts of the simulator that wrote the file; None for a file without one."""
    state = pdae_sim.Simulation.read(file).simulator if io.has_truth(file) else None
    if not state:
        return [None] * len(conditions)
    return pdae_sim.Simulator.from_state(state).verdicts(conditions, train.conditions, train.counts)


def _truth_row(true: TrueVerdict | None) -> dict | None:
    if true is None:
        return None
    support = {"supported": true.supported, "effective_cells": true.effective_cells}
    return {"verdict": true.name, "in_span": true.in_span, "guaranteed": true.guaranteed, **support} | {
        "recovery": true.recovery
    }


def _sentence(row: dict, verdict: Verdict, train: PerturbationData) -> str:
    certificate = verdict.certificate.in_words(row["condition"], train.conditions, train.names)
    adds = row.get("additivity", {}).get("in_words", "") if verdict.certificate.identified else ""
    joined = ". " if verdict.certificate.identified else ", for "
    parts = [f"{row['condition']}: {row['verdict']}{adds and ', '}{adds}{joined}{certificate}."]
    if row.get("identified_if_shared") and not verdict.certificate.identified:
        parts.append("It would be, were effects the same in all contexts (--shared).")
    if row.get("identified_if_own") is False and verdict.certificate.identified:
        parts.append("That rests on effects being the same in several contexts.")
    if row["nearest"] is not None:
        interval = "" if row["effective_cells_interval"] is None else f" {row['effective_cells_interval']}"
        unsure = "" if row["sure"] is not False else ", too near to the threshold to be sure"
        together = "" if row["pooled_cells"] is None else f", {row['pooled_cells']:.3g} together"
        parts.append(
            f"Nearest {row['nearest']['condition']} at {row['nearest']['distance']:.2g} standard deviations; "
            f"training cells are worth {row['effective_cells']:.3g}{interval} of its own"
            f"{together}{unsure}."
        )
    if row["standard_error"] is not None:
        parts.append(f"Standard error of its shift {row['standard_error']:.2g}.")
    if row["truth"] is not None:
        known = row["truth"]["effective_cells"]
        worth = "" if known is None or not row["truth"]["in_span"] else f" ({known:.3g} cells)"
        because = f"; {row['truth']['recovery']}" if row["truth"]["recovery"] else ""
        parts.append(f"In truth: {row['truth']['verdict']}{worth}{because}.")
    return " ".join(parts)
