"""What the page of a study shows: a module's own presentation, else medians of a declared study."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from pdae_sim.report._forest import forest
from pdae_sim.report._format import truncated
from pdae_sim.report._palette import PREDICTED, new_figure, styled
from pdae_sim.report.findings import judged_part, sentences
from pdae_sim.study.registry import StudyModule, StudyPresentation
from pdae_sim.study.spec import Study, seeds_of


def presentation(study: Study, module: StudyModule | None) -> StudyPresentation:
    """The module itself, or that of a study without one."""
    return module or _Declared(study)


class _Declared:
    """Medians of a declared study, and the verdicts of its rows on what it expects."""

    def __init__(self, study: Study) -> None:
        self._expect = study.expect

    @property
    def CAPTION(self) -> str:  # noqa: N802
        """What the figure shows."""
        if self._expect:
            return (
                "Medians over worlds with 95 % intervals between order statistics, with an arrow where one has no end; "
                "what was expected is shaded."
            )
        return "Medians over seeds and conditions, with quartiles, of the first metric declared."

    COLUMNS = ("scenario", "varied", "estimator", "metric", "median", "lower quartile", "upper quartile", "values")

    def setting(self, study: Study) -> str:
        """Worlds or tables and how many seeds of them, in a sentence each, and what is fitted to them."""
        said = []
        for what, key in (("random worlds", "world"), ("seeds of measured tables", "table")):
            tasks = [task for task in study.tasks if key in task]
            names = list(dict.fromkeys(task["scenario"] for task in tasks))
            count = sum(len(seeds_of(task)) for task in tasks)
            scenarios = "scenario" if len(names) == 1 else "scenarios"
            said += [f"{count} {what} of {len(names)} {scenarios}: {', '.join(names)}."] if tasks else []
        fitted = [_described(estimator) for estimator in study.tasks[0].get("estimators", ())]
        return " ".join([*said, *([f"Fitted to each: {'; '.join(fitted)}."] if fitted else [])])

    def findings(self, rows: list[dict]) -> list[str]:
        """The verdict and its evidence; a sentence that leaves it open where nothing is expected of the rows."""
        if not self._expect:
            return ["The prediction is for the reader to judge: its declaration expects nothing that rows decide."]
        return sentences([judged_part(expected, rows) for expected in self._expect])

    def summary(self, rows: list[dict]) -> list[tuple]:
        """Median and quartiles over seeds and conditions, by scenario, varied keys, estimator and metric."""
        cells: dict[tuple, list[float]] = {}
        for row in rows:
            if row["status"] == "ok" and row.get("value") is not None:
                key = (row["scenario"], _varied(row), row["estimator"], row["metric"])
                cells.setdefault(key, []).append(row["value"])
        return [(*key, *np.quantile(v, [0.5, 0.25, 0.75]).tolist(), len(v)) for key, v in cells.items()]

    def figure(self, rows: list[dict]) -> Figure:
        """What was expected beside what came out; else the median of the first metric between its quartiles."""
        return forest(self._expect, rows) if self._expect else _quartiles(self.summary(rows))


def _described(estimator: dict) -> str:
    """An estimator with its kind, where it has a name of its own, and its settings."""
    name, kind = estimator["name"], estimator["kind"]
    settings = [f"{key} {value}" for key, value in estimator.items() if key not in ("name", "kind")]
    about = [*([kind] if kind != name else []), *settings]
    return f"{name} ({', '.join(about)})" if about else name


@styled
def _quartiles(lines: list[tuple]) -> Figure:
    shown = [line for line in lines if line[3] == lines[0][3]][:40]
    figure = new_figure(0.8 + 0.24 * len(shown))
    panel = figure.subplots()
    for y, (*_, middle, low, high, _) in enumerate(shown):
        panel.plot([low, high], [y, y], color=PREDICTED, linewidth=1.2)
        panel.plot([middle], [y], color=PREDICTED, marker="o", markersize=4)
    names = [truncated(" ".join(part for part in line[:3] if part), 60) for line in shown]
    panel.set_yticks(range(len(shown)), names, parse_math=False)
    panel.invert_yaxis()
    panel.set_xlabel(shown[0][3] if shown else "", parse_math=False)
    return figure


def _varied(row: dict) -> str:
    return ", ".join(
        f"{key} {row[key]:g}" if _is_number(row[key]) else f"{key} {row[key]}" for key in row if "." in key
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
