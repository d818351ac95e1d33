"""`evaluate`: measurements after the fact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

import pdae_sim
from pdae_sim import _files as files
from pdae_sim import io, report, study
from pdae_sim._checks import choice, naming, near_misses
from pdae_sim._random import child, seed_sequence
from pdae_sim.analysis import hypothesis_tests
from pdae_sim.cli._evaluation_tables import (
    SHOWN_METRICS,
    effect_tables,
    evaluation_tables,
    goodness_tables,
    observation_tables,
)
from pdae_sim.cli._figures import check_figure, write_figure
from pdae_sim.cli._matching import check_unseen, match, observation_in_words, read_fresh, read_matching, without_fresh
from pdae_sim.cli._options import DatasetFile, DatasetOptions, FigureFile, Force, ModelFolder, Seed, command
from pdae_sim.cli._output import NOTHING_JUDGED, Output
from pdae_sim.cli._tables import Table
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pdae_sim import PDAE, PerturbationData
    from pdae_sim.analysis.hypothesis_tests import GoodnessOfFit, ObservationFit

_FRESH = 2000  # cells of each training condition drawn anew from a simulated world


@command
def evaluate(
    output: Output,
    model: ModelFolder,
    file: DatasetFile,
    options: DatasetOptions,
    baselines: Annotated[bool, typer.Option("--baselines", help="Judge every baseline too.")] = False,
    goodness: Annotated[
        bool, typer.Option("--goodness", help="Does the model fit the conditions it has seen?")
    ] = False,
    cells: Annotated[
        Path | None, typer.Option(help="Fresh cells of training conditions, for --goodness; drawn anew if simulated.")
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Metrics to compute and show, with commas between; all are in --json.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Conditions to show, those predicted worst.")] = 20,
    effects: Annotated[
        list[str] | None,
        typer.Option(help="A condition whose features to show: changes from control, measured and predicted. Repeat."),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="Where to write every row as a table, .csv.")] = None,
    export: Annotated[
        tuple[str, Path] | None,
        typer.Option(metavar="cell-eval DIR", help="Write real.h5ad and predictions, as cell-eval reads them, to DIR."),
    ] = None,
    figure: FigureFile = None,
    seed: Seed = 0,
    force: Force = False,
) -> int:
    """Judge predictions of held-out conditions. The noise ceiling stands beside them; --goodness judges the fit too.

    Status 3 if all that was to be judged has too few cells.
    """
    check_figure(figure, force=force)
    _check_csv(csv, force=force)
    if cells is not None and not goodness:
        raise InputError("--cells are for --goodness; give both")
    chosen = _chosen(metrics)
    computed = {*(chosen or study.PREDICTION_METRICS), *(["energy_distance"] if figure else [])}
    folder = None if export is None else _export_folder(*export, force=force)
    fitted = pdae_sim.PDAE.load(model)
    data = read_matching(fitted, model, file, options, control=baselines or export is not None)
    if not data.held_out.any() and (export is not None or not goodness):
        raise InputError(f"{file}: no condition is held out; mark some as test, or judge the fit with --goodness")
    check_unseen(fitted, data, model, file)
    data, kept = without_fresh(fitted, data, file)
    if data.held_out.all():
        _check_training_cells(file, **{"--baselines": baselines, "--export": export, "--effects": effects})
        output.say(f"{file}: holds no training cells, so metrics of changes against control are left out")
    with naming(file):
        changes = {c: study.feature_effects(fitted, data, c, rng=seed) for c in effects or ()}
    output.say(f"{model}: {observation_in_words(fitted)}")
    rows: list[dict] = []
    judged: _Fit | None = None
    if goodness:
        given = None if cells is None else read_matching(fitted, model, cells, options)
        fresh = given or kept or read_fresh(fitted, model, file, options) or _simulated_cells(fitted, model, file, seed)
        if fresh is not None:
            output.say("judging the fit on fresh cells")
        judged = _goodness(fitted, fresh, data, model, cells or file, seed)
    if data.held_out.any():
        with naming(file):
            estimators = study.fitted_estimators(fitted, data, baselines=baselines)
            with output.bar("judging") as tell:
                rows = study.evaluate(estimators, data, metrics=computed, rng=seed, on_share=tell)
            exported = {} if folder is None else study.effect_cells(estimators, data, rng=seed)
        _export(output, folder, exported, force=force)
    tables = evaluation_tables(rows, shown=chosen or SHOWN_METRICS, top=top) + effect_tables(changes, top=top)
    status = _tell(output, rows, tables, judged, fitted.observation_.name, changes)
    _write(figure, csv, rows, judged, force=force)
    return status


def _tell(
    output: Output,
    rows: Sequence[dict],
    tables: list[str | Table],
    judged: _Fit | None,
    law: str,
    effects: Mapping[str, list[dict]],
) -> int:
    """Write what was judged; the status says whether anything was."""
    summary = [each for metric in study.PREDICTION_METRICS for each in study.summarise(rows, metric)]
    payload = {"rows": rows, "summary": summary, "effects": effects} | ({} if judged is None else judged.payload())
    output.result(payload, tables if judged is None else tables + judged.tables(law))
    any_judged = any(row["status"] == "ok" for row in rows) or (judged is not None and judged.goodness is not None)
    return 0 if any_judged else NOTHING_JUDGED


def _check_training_cells(file: Path, **asked: object) -> None:
    """Raise an InputError if anything was asked for that takes training cells."""
    if wanted := [option for option, value in asked.items() if value]:
        raise InputError(
            f"{file}: holds no training cells, which {' and '.join(wanted)} take; give the file that was fitted"
        )


def _check_csv(csv: Path | None, *, force: bool) -> None:
    """Raise an InputError, before anything is computed, if the rows cannot be written."""
    if csv is not None:
        if csv.suffix.lower() != ".csv":
            raise InputError(f"{csv}: --csv must end in .csv")
        files.check_target(csv, force=force)


def _write(figure: Path | None, csv: Path | None, rows: Sequence[dict], judged: _Fit | None, *, force: bool) -> None:
    """Write the rows, and the figure of what was judged, if anything was."""
    if csv is not None:
        files.write_table(csv, rows, force=force)
    fit, observation = (None, None) if judged is None else (judged.goodness, judged.observation)
    if fit is not None:
        write_figure(figure, lambda: report.goodness_figure(fit, observation), force=force)
    elif any(row["status"] == "ok" for row in rows):
        write_figure(figure, lambda: report.evaluation_figure(rows), force=force)


@dataclass(frozen=True)
class _Fit:
    """Goodness of fit, of the observation model too where it has noise, and why conditions had no part in it."""

    goodness: GoodnessOfFit | None
    observation: ObservationFit | None
    skipped: dict[str, str]
    missing: str | None = None

    def payload(self) -> dict[str, object]:
        told = {"goodness_skipped": self.skipped, "goodness_missing": self.missing}
        return {"goodness": self.goodness, "observation": self.observation, **told}

    def tables(self, law: str) -> list[str | Table]:
        tables = [] if self.goodness is None else goodness_tables(self.goodness.to_json())
        tables += observation_tables(law, self.observation)
        tables += [] if self.missing is None else [f"Goodness of fit: {self.missing}"]
        lines = list(self.skipped.items())
        return [*tables, *([Table("Without goodness of fit", ("condition", "why not judged"), lines)] if lines else [])]


_NOT_JUDGED = _Fit(
    None,
    None,
    {},
    "not judged, for that needs cells of training conditions that the fit has not seen; give --cells FILE"
    " or convert or fit with --hold-out 0.2",
)


def _chosen(metrics: str | None) -> tuple[str, ...]:
    """The metrics of ``--metrics``; none of its own where it is absent."""
    names = () if metrics is None else tuple(name.strip() for name in metrics.split(","))
    for name in names:
        if name not in study.PREDICTION_METRICS:
            raise InputError(f"--metrics: unknown metric {name!r}; {near_misses(name, study.PREDICTION_METRICS)}")
    return names


def _export_folder(scorer: str, folder: Path, *, force: bool) -> Path:
    choice("--export", scorer, ["cell-eval"])
    files.check_folder(folder, ["real.h5ad"], force=force)
    return folder


def _export(output: Output, folder: Path | None, cells: Mapping[str, PerturbationData], *, force: bool) -> None:
    """Write cells for cell-eval and say how they are read, and what had to be changed."""
    if folder is None:
        return
    for name, share in io.write_cell_eval(folder, cells, force=force).items():
        if share > 0:
            output.say(f"{folder / name}.h5ad: {share:.1%} of its values were below zero, where cell-eval refuses them")
    output.say(f"cell-eval run -ap {folder / 'pdae.h5ad'} -ar {folder / 'real.h5ad'}")


def _goodness(
    model: PDAE,
    fresh: PerturbationData | None,
    data: PerturbationData,
    where: Path,
    source: Path,
    seed: int,
) -> _Fit:
    """Goodness of fit at the conditions that a model was fitted on, judged on cells it has not seen.

    In parts, and of its observation model where that has noise.
    """
    if fresh is None and not data.held_out.any():
        raise InputError(f"{source}: no condition is held out, and the fit is {_NOT_JUDGED.missing}")
    if fresh is None:
        return _NOT_JUDGED
    seen = {tuple(row) for row in model.train_labels_}
    known = np.array([tuple(row) in seen for row in fresh.labels])
    if not known.any():
        raise InputError(f"{source}: holds no condition that {where} was fitted on; --goodness judges those")
    few = known & (fresh.counts < (least := hypothesis_tests.MIN_CELLS_PER_CONDITION))
    skipped = {fresh.conditions[e]: f"{fresh.counts[e]} cells; at least {least} tell" for e in np.flatnonzero(few)}
    enough = known & ~few
    if skipped and enough.sum() < 2:
        others = {fresh.conditions[e]: "no other condition has cells enough" for e in np.flatnonzero(enough)}
        return _Fit(None, None, skipped | others)
    with naming(source):
        fresh = fresh.select(enough)
        fit = study.check_fit(model, fresh, fitted_on=data, rng=seed)
        return _Fit(fit, study.check_observation(model, fresh, fitted_on=data, rng=seed), skipped)


def _simulated_cells(fitted: PDAE, model: Path, file: Path, seed: int) -> PerturbationData | None:
    """Cells of training conditions from the world of a simulated dataset; None for any other file."""
    if not io.has_truth(file):
        return None
    with naming(file):
        drawn = study.fresh_cells(pdae_sim.Simulation.read(file), _FRESH, rng=child(seed_sequence(seed), "goodness"))
    return match(fitted, drawn.data, model, file)
