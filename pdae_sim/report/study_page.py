"""The page of a study: question, claim and prediction, setting, verdict, figure, table, how to reproduce."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from pdae_sim import __version__
from pdae_sim.report._palette import PREDICTED, new_figure, styled
from pdae_sim.report.page import Illustration, Page, Section, Table
from pdae_sim.study.registry import StudyModule, StudyPresentation, StudyRegistry
from pdae_sim.study.spec import Study, seeds_of


def study_page(
    study: Study, rows: list[dict], *, module: StudyModule | None = None, registry: StudyRegistry | None = None
) -> Page:
    """A page from what a study declares and the rows it has.

    Args:
        study: The study.
        rows: Its long table, not empty.
        module: Shows a study in Python; a declared one is shown as medians, without a verdict.
        registry: Tells by what command and name the study is run again.
    """
    registry = registry or StudyRegistry()
    shown: StudyPresentation = module or _Declared()
    verdict, *evidence = shown.findings(rows)
    command = f"{registry.command} run {_name(study, module, registry)} --out DIR"
    return Page(
        title=study.question,
        lead=verdict,
        sections=(
            Section("What theory predicts", paragraphs=(f"Tests claim {study.claim}.", study.prediction)),
            Section("How it was measured", paragraphs=(shown.setting(study),)),
            Section(
                "What came out",
                figures=(Illustration(shown.figure(rows), shown.CAPTION),),
                tables=(Table(shown.COLUMNS, shown.summary(rows), note=_note(study, module, rows)),),
            ),
            Section("Was the prediction met?", paragraphs=evidence or [verdict]),
            Section("How to reproduce", paragraphs=(_reproduction(study, module, command),)),
        ),
        colophon=f"Study {study.name}, pdae_sim {__version__}. Reproduce with: {command}",
    )


def study_verdict(rows: list[dict], module: StudyModule | None = None) -> tuple[str, Figure]:
    """The first sentence of a study's page and its figure, for an index."""
    shown: StudyPresentation = module or _Declared()
    return shown.findings(rows)[0], shown.figure(rows)


def _note(study: Study, module: StudyModule | None, rows: list[dict]) -> str:
    done, failures = len({row["task_id"] for row in rows}), sum(row["status"] != "ok" for row in rows)
    failed = {0: "No row is a failure.", 1: "1 row is a failure."}.get(failures, f"{failures} rows are failures.")
    brackets = "" if module is None else " In brackets: 95 % intervals over worlds."
    return f"{done} of {len(study.tasks)} tasks finished. {failed}{brackets}"


def _name(study: Study, module: StudyModule | None, registry: StudyRegistry) -> str:
    """The study as the command line knows it: by name, else by a file of that name."""
    return study.name if module is not None or study.name in registry.declarations() else f"{study.name}.toml"


def _reproduction(study: Study, module: StudyModule | None, command: str) -> str:
    smoke = "; --smoke runs a small size that only shows that it works" if module is not None and module.SMOKE else ""
    return (
        f"{command} --workers 2 runs all {len(study.tasks)} tasks, keeps every finished one and goes on where it was "
        f"interrupted{smoke}. Every task is seeded by its own description, so that the table does not depend on order, "
        "workers or back end."
    )


class _Declared:
    """Medians of a declared study, without a verdict on its prediction."""

    CAPTION = "Medians over seeds and conditions, with quartiles, of the first metric declared."
    COLUMNS = ("scenario", "varied", "estimator", "metric", "median", "lower quartile", "upper quartile", "values")

    def setting(self, study: Study) -> str:
        """Worlds or tables and how many seeds of them, in a sentence each."""
        sentences = []
        for what, key in (("random worlds", "world"), ("seeds of measured tables", "table")):
            tasks = [task for task in study.tasks if key in task]
            names = list(dict.fromkeys(task["scenario"] for task in tasks))
            count = sum(len(seeds_of(task)) for task in tasks)
            scenarios = "scenario" if len(names) == 1 else "scenarios"
            sentences += [f"{count} {what} of {len(names)} {scenarios}: {', '.join(names)}."] if tasks else []
        return " ".join(sentences)

    def findings(self, rows: list[dict]) -> list[str]:
        """A sentence that leaves the verdict open."""
        return ["The prediction is for the reader to judge: this page was made from the declaration alone."]

    def summary(self, rows: list[dict]) -> list[tuple]:
        """Median and quartiles over seeds and conditions, by scenario, varied keys, estimator and metric."""
        cells: dict[tuple, list[float]] = {}
        for row in rows:
            if row["status"] == "ok" and row.get("value") is not None:
                key = (row["scenario"], _varied(row), row["estimator"], row["metric"])
                cells.setdefault(key, []).append(row["value"])
        return [(*key, *np.quantile(v, [0.5, 0.25, 0.75]).tolist(), len(v)) for key, v in cells.items()]

    def figure(self, rows: list[dict]) -> Figure:
        """A line per scenario and estimator: the median of the first metric between its quartiles."""
        return _quartiles(self.summary(rows))


@styled
def _quartiles(lines: list[tuple]) -> Figure:
    shown = [line for line in lines if line[3] == lines[0][3]][:40]
    figure = new_figure(0.8 + 0.24 * len(shown))
    panel = figure.subplots()
    for y, (*_, middle, low, high, _) in enumerate(shown):
        panel.plot([low, high], [y, y], color=PREDICTED, linewidth=1.2)
        panel.plot([middle], [y], color=PREDICTED, marker="o", markersize=4)
    names = [" ".join(part for part in line[:3] if part) for line in shown]
    panel.set_yticks(range(len(shown)), names)
    panel.invert_yaxis()
    panel.set_xlabel(shown[0][3] if shown else "")
    return figure


def _varied(row: dict) -> str:
    return ", ".join(
        f"{key} {row[key]:g}" if _is_number(row[key]) else f"{key} {row[key]}" for key in row if "." in key
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
