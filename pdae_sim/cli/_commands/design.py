"""`design`: which experiments to add, and how many cells of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from pdae_sim._checks import naming
from pdae_sim.analysis._cell_allocation import allocate_cells
from pdae_sim.analysis.design import ExperimentPlan, plan_experiments
from pdae_sim.analysis.span import check_span
from pdae_sim.cli._certificates import evidence
from pdae_sim.cli._options import File, Force, Json, Quiet, Seed
from pdae_sim.cli._output import Output, table
from pdae_sim.cli._pictures import Picture, check_picture, draw
from pdae_sim.cli._shifts import Shifts
from pdae_sim.data import PerturbationData
from pdae_sim.labels import LabelSpace


def design(
    file: File,
    target: Annotated[list[str], typer.Option(help="A condition to become identified; repeat for more.")],
    candidate: Annotated[
        list[str] | None,
        typer.Option(help="A condition that could be measured; repeat. The singles and doubles of the targets."),
    ] = None,
    cells: Annotated[int | None, typer.Option(min=1, help="Cells per new condition; the median of the file's.")] = None,
    standard_error: Annotated[
        float | None, typer.Option(help="Wanted standard error of each target's shift; gives cells per condition.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="A fitted model whose Ŵ tells the support.")] = None,
    figure: Picture = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    force: Force = False,
) -> int:
    """Which experiments to add so that the targets become identified. Status 1 if no set of the candidates does it."""
    output = Output.started(as_json, quiet)
    pictures = _places(figure, with_cells=standard_error is not None)
    for place in pictures:
        check_picture(place, force=force)
    data = PerturbationData.read(file)
    train, shifts = data.train, Shifts.known(file, model, data)
    wanted, offered = (_labels(file, option, names, data.space) for option, names in
                       (("--target", target), ("--candidate", candidate or ())))  # fmt: skip
    with naming(file):
        plan = plan_experiments(
            train.labels,
            wanted,
            candidates=offered if candidate else None,
            reference=train.labels[train.reference],
            counts=train.counts.tolist(),
            cells=cells,
            perturbation_matrix=shifts and shifts.perturbation_matrix,
        )
    conditions = [*train.conditions, *(data.space.condition(e.label) for e in plan.experiments)]
    with naming(f"{file}: --standard-error"):
        needed = None if standard_error is None else _cells(plan, train.counts, standard_error)
    with naming(file):
        _draw(pictures, plan, target, conditions, train, wanted, needed, force=force)
    payload = _payload(plan, target, conditions, train, needed) | {"figures": [str(place) for place in pictures]}
    output.result(payload, _text(plan, target, conditions, train, needed))
    return int(bool(plan.unreachable))


def _places(figure: Path | None, *, with_cells: bool) -> list[Path]:
    """Where the plan is drawn and, beside it, the cells where they are asked for."""
    if figure is None:
        return []
    return [figure, *([figure.with_name(f"{figure.stem}-cells{figure.suffix}")] if with_cells else [])]


def _draw(places: list[Path], plan: ExperimentPlan, targets, conditions, train, wanted, cells, *, force: bool) -> None:
    if not places:
        return
    from pdae_sim.report.design import cell_allocation, experiment_plan

    counts = train.counts.tolist()
    before = check_span(train.labels, wanted, train.labels[train.reference], counts=counts)
    new = conditions[len(counts) :]
    draw(places[0], lambda: experiment_plan(plan, targets, new, before=before), force=force)
    if cells is not None:
        draw(places[1], lambda: cell_allocation(conditions, counts + [0] * len(new), cells), force=force)


def _labels(file: Path, option: str, conditions: Sequence[str], space: LabelSpace) -> np.ndarray:
    with naming(f"{file}: {option}"):
        found = [space.exact(condition) for condition in conditions]
    return np.array(found, dtype=object).reshape(len(found), len(space))


def _cells(plan: ExperimentPlan, counts: np.ndarray, standard_error: float) -> np.ndarray:
    """(M,) cells to add so that every identified target has the standard error: the most that any of them asks for."""
    existing = np.append(counts, [0] * len(plan.experiments))
    added = [
        allocate_cells(c.coefficients, c.reference, standard_error=standard_error, existing=existing).added
        for c in plan.certificates
        if c.identified
    ]
    return np.max(added, axis=0) if added else np.zeros(len(existing), dtype=int)


def _payload(
    plan: ExperimentPlan, targets: list[str], conditions: list[str], train: PerturbationData, cells: np.ndarray | None
) -> dict:
    n = len(train.conditions)
    experiments = [
        {
            "order": position + 1,
            "condition": conditions[n + position],
            "needed_by": [targets[t] for t in e.needed_by],
            "identifies": [targets[t] for t in e.identifies],
        }
        for position, e in enumerate(plan.experiments)
    ]
    rows = [_target(plan, t, targets[t], conditions, train.names) for t in range(len(targets))]
    added = None if cells is None else {c: int(k) for c, k in zip(conditions, cells, strict=True) if k}
    verdict = {"least": plan.least, "optimal": plan.optimal, "method": plan.method, "noise_gain": plan.noise_gain}
    return {"experiments": experiments, "targets": rows, **verdict, "cells_to_add": added}


def _target(plan: ExperimentPlan, t: int, name: str, conditions: list[str], names: Sequence[str]) -> dict:
    c = plan.certificates[t]
    return {
        "condition": name,
        "identified_before": t in plan.identified,
        "identified": c.identified,
        **evidence(c, conditions, names),
        "noise_gain": c.noise_gain,
        "mean_standard_error": c.noise_gain**0.5 if c.identified else None,
        "distance": None if plan.distances is None or not c.identified else plan.distances[t],
    }


def _text(
    plan: ExperimentPlan, targets: list[str], conditions: list[str], train: PerturbationData, cells: np.ndarray | None
) -> list:
    n, parts = len(train.conditions), []
    rows = [
        (
            k + 1,
            conditions[n + k],
            ", ".join(targets[t] for t in e.needed_by),
            ", ".join(targets[t] for t in e.identifies),
        )
        for k, e in enumerate(plan.experiments)
    ]
    if rows:
        parts.append(table(f"Measure ({plan.method})", ("order", "condition", "needed by", "then identified"), rows))
    for name, c in zip(targets, plan.certificates, strict=True):
        gain = f" Standard error of its mean at these cells: {c.noise_gain**0.5:.3g}." if c.identified else ""
        parts.append(f"{c.answer}: {c.in_words(name, conditions, train.names)}.{gain}")
    if cells is not None:
        lines = [(condition, int(k)) for condition, k in zip(conditions, cells, strict=True) if k]
        parts.append(table("Cells to add", ("condition", "cells"), lines) if lines else "the cells in hand are enough")
    return parts
