"""`evaluate`: measurements after the fact."""

from __future__ import annotations

import math
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
from pdae_sim.cli._figures import check_figure, write_figure
from pdae_sim.cli._matching import check_unseen, observation_in_words, read_matching
from pdae_sim.cli._options import DatasetFile, DatasetOptions, FigureFile, Force, ModelFolder, Seed, command
from pdae_sim.cli._output import NOTHING_JUDGED, Output
from pdae_sim.cli._tables import Table, number, with_interval
from pdae_sim.errors import InputError
from pdae_sim.intervals import Interval

if TYPE_CHECKING:
    from pdae_sim import PDAE, PerturbationData
    from pdae_sim.analysis.hypothesis_tests import GoodnessOfFit, ObservationFit

_HEADINGS = {
    "energy_distance": "energy distance",
    "n_eff": "worth in cells",
    "mmd": "MMD",
    "mean_difference": "Δ mean",
    "mean_r2": "R² mean",
    "pearson_delta": "Pearson Δ",
    "pearson_delta_pert": "Pearson Δ pert",
    "mse": "MSE",
    "mae": "MAE",
    "discrimination_score_l1": "discrimination L1",
    "discrimination_score_cosine": "discrimination cosine",
    "de_direction_match": "DE direction",
    "overlap_at_N": "DE overlap",
}
_SHOWN_METRICS = ("energy_distance", "n_eff", "pearson_delta", "pearson_delta_pert")  # of all, unless some are chosen
_LESS_IS_BETTER = ("energy_distance", "mmd", "mean_difference", "mse", "mae")
_SCALE = "in brackets: 0 % is all training cells mixed, 100 % a replicate (other cells of the very condition)"

_WHY = "why not judged"
_SHOWN = 12  # faults of features in a table
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
    if cells is not None and not goodness:
        raise InputError("--cells are for --goodness; give both")
    chosen = _chosen(metrics)
    computed = {*(chosen or study.PREDICTION_METRICS), *([] if figure is None else ["energy_distance"])}
    folder = None if export is None else _export_folder(*export, force=force)
    fitted = pdae_sim.PDAE.load(model)
    data = read_matching(fitted, model, file, options, control=baselines or export is not None)
    if not data.held_out.any() and (export is not None or not goodness):
        raise InputError(f"{file}: no condition is held out; mark some as test, or judge the fit with --goodness")
    check_unseen(fitted, data, model, file)
    if data.held_out.all() and not baselines:
        output.say(f"{file}: holds no training cells, so metrics of changes against control are left out")
    output.say(f"{model}: {observation_in_words(fitted)}")
    rows: list[dict] = []
    judged: _Fit | None = None
    if goodness:
        output.say("judging the fit on fresh cells")
        fresh = _fresh_cells(file, seed) if cells is None else read_matching(fitted, model, cells, options)
        judged = _goodness(fitted, fresh, data, model, cells or file, seed)
    if data.held_out.any():
        with naming(file):
            estimators = study.fitted_estimators(fitted, data, baselines=baselines)
            rows = study.evaluate(estimators, data, metrics=computed, rng=seed)
            exported = {} if folder is None else study.effect_cells(estimators, data, rng=seed)
        if folder is not None:
            _export(output, folder, exported, force=force)
    _draw(figure, rows, judged, force=force)
    tables = evaluation_tables(rows, shown=chosen or _SHOWN_METRICS)
    payload = {"rows": rows} if judged is None else {"rows": rows, **judged.payload()}
    output.result(payload, tables if judged is None else tables + judged.tables(fitted.observation_.name))
    any_judged = any(row["status"] == "ok" for row in rows) or (judged is not None and judged.goodness is not None)
    return 0 if any_judged else NOTHING_JUDGED


def _draw(figure: Path | None, rows: Sequence[dict], judged: _Fit | None, *, force: bool) -> None:
    """Write the figure of what was judged, if anything was."""
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

    def payload(self) -> dict[str, object]:
        return {"goodness": self.goodness, "observation": self.observation, "goodness_skipped": self.skipped}

    def tables(self, law: str) -> list[str | Table]:
        tables = [] if self.goodness is None else goodness_tables(self.goodness.to_json())
        tables += observation_tables(law, self.observation)
        lines = list(self.skipped.items())
        return [*tables, *([Table("Without goodness of fit", ("condition", _WHY), lines)] if lines else [])]


def evaluation_tables(
    rows: Sequence[Mapping], verdicts: Mapping[str, str] | None = None, *, shown: Sequence[str] = _SHOWN_METRICS
) -> list[str | Table]:
    """One table per condition: estimators by the metrics to be shown with intervals, best by the first metric first."""
    rows = [row for row in rows if row["metric"] in shown]
    metrics = [metric for metric in shown if any(row["metric"] == metric for row in rows)]
    columns = ("estimator", *(_HEADINGS.get(metric, metric) for metric in metrics))
    tables: list[str | Table] = []
    for condition in dict.fromkeys(row["condition"] for row in rows):
        cells = {(r["estimator"], r["metric"]): r for r in rows if r["condition"] == condition}
        names = sorted(dict.fromkeys(name for name, _ in cells), key=lambda name: _rank(cells.get((name, metrics[0]))))
        lines = [(name, *(_shown(cells.get((name, metric))) for metric in metrics)) for name in names]
        title = condition if verdicts is None else f"{condition}: {verdicts[condition]}"
        why = [_reason([cells[key] for key in cells if key[0] == name]) for name in names]
        if any(why):
            lines = [(*line, reason) for line, reason in zip(lines, why, strict=True)]
        tables.append(Table(title, (*columns, _WHY) if any(why) else columns, lines, prose=(_WHY,)))
    return [*tables, *([_SCALE] if any(row.get("scaled") is not None for row in rows) else [])]


def _reason(rows: Sequence[Mapping]) -> str | None:
    """Why the metrics of an estimator are not there, without the kind of the error."""
    errors = [row["error"] for row in rows if row.get("error")]
    return errors[0].removeprefix("InputError: ") if errors else None


def goodness_tables(result: Mapping) -> list[str | Table]:
    """The goodness of fit by part and condition, and in words."""
    columns = ("part", "condition", "p", "Holm", "worth in cells", "p of less")
    lines = [
        (row["part"], row["condition"], row["p_value"], row["holm"], _worth(row), row["equivalence_p_value"])
        for row in result["rows"]
    ]
    title = f"Goodness of fit; the last column tests a worth of less than {result['cells']:g} cells"
    return [Table(title, columns, lines), result["in_words"]]


def observation_tables(name: str, fit: ObservationFit | None) -> list[str | Table]:
    """Features that an observation model does not fit, worst first, and in words; nothing if it has no noise."""
    if fit is None:
        return []
    columns = ("feature", "beside the model", "by how much", "Holm")
    lines = [(test.feature, test.fault, test.size, fit.tests.holm[test.name]) for test in fit.faults()]
    title = f"Observation model {name}, on {fit.cells:,} cells"
    more = f"{len(lines) - _SHOWN} further faults are in --json" if len(lines) > _SHOWN else ""
    table = Table(title, columns, lines[:_SHOWN])
    return [*([table] if lines else []), *([more] if more else []), f"observation model {name}: {fit.in_words()}"]


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


def _export(output: Output, folder: Path, cells: Mapping[str, PerturbationData], *, force: bool) -> None:
    """Write cells for cell-eval and say how they are read, and what had to be changed."""
    for name, share in io.write_cell_eval(folder, cells, force=force).items():
        if share > 0:
            output.say(f"{folder / name}.h5ad: {share:.1%} of its values were below zero, where cell-eval refuses them")
    output.say(f"cell-eval run -ap {folder / 'pdae.h5ad'} -ar {folder / 'real.h5ad'}")


def _goodness(
    model: PDAE,
    fresh: PerturbationData,
    data: PerturbationData,
    where: Path,
    source: Path,
    seed: int,
) -> _Fit:
    """Goodness of fit at the conditions that a model was fitted on, judged on cells it has not seen.

    In parts, and of its observation model where that has noise.
    """
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


def _fresh_cells(file: Path, seed: int) -> PerturbationData:
    """Fresh cells of the training conditions of a simulated dataset, from its own world."""
    if not io.has_truth(file):
        raise InputError(f"{file}: was not simulated; --goodness needs cells the fit has not seen, give --cells FILE")
    simulation = pdae_sim.Simulation.read(file)
    root = child(seed_sequence(seed), "goodness")
    labels = simulation.data.train.labels
    return pdae_sim.Simulator.from_state(simulation.simulator).sample(labels, _FRESH, rng=root).data


def _rank(row: Mapping | None) -> tuple:
    """Order of estimators by a metric, best first; failures stand last."""
    if row is None or row["value"] is None:
        return (True, 0.0)
    return (False, row["value"] if row["metric"] in _LESS_IS_BETTER else -row["value"])


def _shown(row: Mapping | None) -> str | float | None:
    """A value with its interval or its place between pool and replicate.

    Its bound stands alone where an end is open, or a distance is not told apart from zero.
    """
    if row is None or row["value"] is None or row["low"] is None:
        place = None if row is None else row.get("scaled")
        value = None if row is None else row["value"]
        return value if place is None or value is None else f"{number(value)} ({place:.0%})".replace("-", "−")
    if row["metric"] == "energy_distance" and row["low"] <= 0:
        return f"≤ {number(row['high'])}"
    return with_interval(row["value"], _interval(row["low"], row["high"]))


def _worth(row: Mapping) -> str | None:
    if row["n_eff"] is None:
        return None
    return with_interval(row["n_eff"], _interval(row["n_eff_low"], row["n_eff_high"]))


def _interval(low: float, high: float | None) -> Interval:
    return Interval(low, math.inf if high is None else high)
