"""What the page of a study shows: a module's own presentation, else medians of a declared study."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from pdae_sim.report._palette import PREDICTED, new_figure, styled
from pdae_sim.study.registry import StudyModule, StudyPresentation
from pdae_sim.study.spec import Study, seeds_of


def presentation(module: StudyModule | None) -> StudyPresentation:
    """The module itself, or that of a study without one."""
    return module or _Declared()


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
