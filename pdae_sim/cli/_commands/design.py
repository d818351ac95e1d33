"""`design`: which experiments to add, and how many cells of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from pdae_sim import analysis, report
from pdae_sim._checks import naming
from pdae_sim.cli._contexts import parts_in_contexts
from pdae_sim.cli._figures import check_figure, write_figure
from pdae_sim.cli._options import DatasetFile, DatasetOptions, FigureFile, Force, Seed, SupportModel, command
from pdae_sim.cli._output import Output
from pdae_sim.cli._perturbation_matrix import KnownPerturbationMatrix, read_with_model
from pdae_sim.cli._tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from pdae_sim import LabelSpace, PerturbationData
    from pdae_sim.analysis import ExperimentPlan, SpanCertificate


@command
def design(
    output: Output,
    file: DatasetFile,
    options: DatasetOptions,
    target: Annotated[list[str], typer.Option(help="A condition to become identified; repeat for more.")],
    candidate: Annotated[
        list[str] | None,
        typer.Option(help="A condition that could be measured; repeat. The singles and doubles of the targets."),
    ] = None,
    cells: Annotated[int | None, typer.Option(min=1, help="Cells per new condition; the median of the file's.")] = None,
    standard_error: Annotated[
        float | None, typer.Option(help="Standard error of each target's shift to reach; gives cells per condition.")
    ] = None,
    model: SupportModel = None,
    figure: FigureFile = None,
    seed: Seed = 0,
    force: Force = False,
) -> int:
    """Which experiments to add to identify targets. Status 1 if no set of the candidates does it."""
    check_figure(figure, force=force)
    data, W = read_with_model(file, options, model)
    train = data.train
    targets = _labels(file, "--target", target, data.space)
    offered = candidate or parts_in_contexts(data, targets)
    candidates = _labels(file, "--candidate", offered, data.space) if offered else None
    with naming(file):
        plan = analysis.plan_experiments(
            train.labels,
            targets,
            candidates=candidates,
            reference=train.labels[train.reference],
            counts=train.counts.tolist(),
            cells=cells,
            perturbation_matrix=None if W is None else W.matrix,
        )
    conditions = (*train.conditions, *(data.space.condition(e.label) for e in plan.experiments))
    with naming(f"{file}: --standard-error"):
        added = None if standard_error is None else _cells_to_add(plan, train.counts, standard_error, W)
    result = _Design(plan, target, targets, train, conditions, added, 1.0 if W is None else W.inflation)
    output.result(result.payload() | {"figures": [] if figure is None else [figure]}, result.text())
    write_figure(figure, result.draw, force=force)
    return int(bool(plan.unreachable))


@dataclass(frozen=True, eq=False)
class _Design:
    """A plan with the names of things.

    Args:
        plan: The plan.
        targets: Names of the targets.
        labels: (T, K) labels of the targets.
        train: The training conditions in hand.
        conditions: Names of the training conditions, then of the experiments.
        added: (M,) cells to add to each of `conditions`, if a standard error is to be reached.
        inflation: The factor by which noise multiplies variances.
    """

    plan: ExperimentPlan
    targets: Sequence[str]
    labels: np.ndarray
    train: PerturbationData
    conditions: Sequence[str]
    added: np.ndarray | None
    inflation: float

    @property
    def new(self) -> Sequence[str]:
        return self.conditions[len(self.train.labels) :]

    def cells_to_add(self) -> dict[str, int] | None:
        if self.added is None:
            return None
        return {name: int(n) for name, n in zip(self.conditions, self.added, strict=True) if n}

    def draw(self) -> Figure:
        """The plan and, where they are known, the cells to add."""
        train, counts = self.train, self.train.counts.tolist()
        before = analysis.check_span(train.labels, self.labels, train.labels[train.reference], counts=counts)
        cells = None
        if self.added is not None:
            pairs = zip(counts + [0] * len(self.new), self.added.tolist(), strict=True)
            cells = dict(zip(self.conditions, pairs, strict=True))
        return report.design_figure(self.plan, self.targets, self.new, before=before, cells=cells)

    def payload(self) -> dict:
        plan = self.plan
        experiments = [
            {
                "order": position,
                "condition": condition,
                "needed_by": [self.targets[t] for t in experiment.needed_by],
                "identifies": [self.targets[t] for t in experiment.identifies],
            }
            for position, (condition, experiment) in enumerate(zip(self.new, plan.experiments, strict=True), 1)
        ]
        return {
            "experiments": experiments,
            "targets": [self._target(t) for t in range(len(self.targets))],
            "least": plan.least,
            "optimal": plan.optimal,
            "method": plan.method,
            "noise_gain": plan.noise_gain,
            "cells_to_add": self.cells_to_add(),
        }

    def _target(self, t: int) -> dict:
        certificate, distances = self.plan.certificates[t], self.plan.distances
        return {
            "condition": self.targets[t],
            "identified_before": t in self.plan.identified,
            "identified": certificate.identified,
            **certificate.evidence(self.conditions, self.train.names),
            "noise_gain": certificate.noise_gain,
            "mean_standard_error": self._standard_error(certificate),
            "distance": None if distances is None or not certificate.identified else distances[t],
        }

    def _standard_error(self, certificate: SpanCertificate) -> float | None:
        """Standard error of a target's mean per latent coordinate, at the cells of the plan."""
        return (self.inflation * certificate.noise_gain) ** 0.5 if certificate.identified else None

    def text(self) -> list[str | Table]:
        parts: list[str | Table] = []
        rows = [
            (row["order"], row["condition"], ", ".join(row["needed_by"]), ", ".join(row["identifies"]))
            for row in self.payload()["experiments"]
        ]
        if rows:
            columns = ("order", "condition", "needed by", "then identified")
            parts.append(Table(f"Measure ({self.plan.method})", columns, rows, prose=columns[2:]))
        for name, c in zip(self.targets, self.plan.certificates, strict=True):
            error = self._standard_error(c)
            gain = "" if error is None else f" Standard error of its mean at these cells: {error:.3g}."
            parts.append(f"{c.answer}: {c.in_words(name, self.conditions, self.train.names)}.{gain}")
        if self.plan.unreachable:
            lost = ", ".join(self.targets[t] for t in self.plan.unreachable)
            parts.append(f"no candidates identify {lost}: measure it, or offer others with --candidate")
        added = self.cells_to_add()
        if added is not None:
            lines = list(added.items())
            parts.append(
                Table("Cells to add", ("condition", "cells"), lines) if lines else "the cells in hand are enough"
            )
        return parts


def _labels(file: Path, option: str, conditions: Sequence[str], space: LabelSpace) -> np.ndarray:
    with naming(f"{file}: {option}"):
        return np.array([space.exact(condition) for condition in conditions], dtype=object)


def _cells_to_add(
    plan: ExperimentPlan, counts: np.ndarray, standard_error: float, W: KnownPerturbationMatrix | None
) -> np.ndarray:
    """(M,) cells to add so that every identified target has the standard error: the most that any of them asks for."""
    existing = np.append(counts, [0] * len(plan.experiments))
    J = None if W is None else W.information
    added = [
        analysis.allocate_cells(
            c.coefficients, c.reference, standard_error=standard_error, existing=existing, information=J
        ).added
        for c in plan.certificates
        if c.coefficients is not None
    ]
    return np.max(added, axis=0) if added else np.zeros(len(existing), dtype=int)
