"""Studies declared in TOML files, and what they show without a page of their own: medians, no verdict."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from pdae_sim._checks import naming
from pdae_sim._files import read_toml
from pdae_sim.report._palette import PREDICTED, WIDE, blank, in_house_style
from pdae_sim.study.spec import Study, seeds_of

FOLDER = Path(__file__).parent / "declarations"
"""Declarations that have a name here, each in a file of that name."""
SMOKE: dict = {}
CAPTION = "Medians over seeds and conditions, with quartiles, of the first metric declared."
COLUMNS = ("scenario", "varied", "estimator", "metric", "median", "lower quartile", "upper quartile", "values")


def files() -> dict[str, Path]:
    """The declarations by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def file_of(name: str) -> Path | None:
    """The file of a declaration, by its path or its name; None where it is neither."""
    return Path(name) if name.endswith(".toml") else files().get(name)


def question(name: str) -> str:
    """What a declaration asks, whether or not it could be run here."""
    path = files()[name]
    with naming(path):
        return str(read_toml(path).get("question"))


def setting(study: Study) -> str:
    """What was simulated or read, in a sentence."""
    sentences = [
        f"{count} {what} of {len(names)} {'scenario' if len(names) == 1 else 'scenarios'}: {', '.join(names)}."
        for what, key in (("random worlds", "world"), ("seeds of measured tables", "table"))
        for tasks in [[task for task in study.tasks if key in task]]
        for names in [dict.fromkeys(task["scenario"] for task in tasks)]
        for count in [sum(len(seeds_of(task)) for task in tasks)]
        if tasks
    ]
    return " ".join(sentences)


def findings(rows: list[dict]) -> list[str]:
    """That nobody has judged the prediction yet."""
    return ["The prediction is for the reader to judge: this page was made from the declaration alone."]


def summary(rows: list[dict]) -> list[tuple]:
    """Median and quartiles over seeds and conditions, by scenario, varied keys, estimator and metric."""
    cells: dict[tuple, list[float]] = {}
    for row in rows:
        if row["status"] == "ok" and row.get("value") is not None:
            key = (row["scenario"], _varied(row), row["estimator"], row["metric"])
            cells.setdefault(key, []).append(row["value"])
    return [(*key, *np.quantile(v, [0.5, 0.25, 0.75]).tolist(), len(v)) for key, v in cells.items()]


@in_house_style
def figure(rows: list[dict], *, width: float = WIDE) -> Figure:
    """A line per scenario and estimator: the median of the first metric between its quartiles."""
    found = summary(rows)
    shown = [line for line in found if line[3] == found[0][3]][:40]
    drawing = blank(width, 0.8 + 0.24 * len(shown))
    panel = drawing.subplots()
    for y, (*_, middle, low, high, _) in enumerate(shown):
        panel.plot([low, high], [y, y], color=PREDICTED, linewidth=1.2)
        panel.plot([middle], [y], color=PREDICTED, marker="o", markersize=4)
    names = [" ".join(part for part in line[:3] if part) for line in shown]
    panel.set_yticks(range(len(shown)), names)
    panel.invert_yaxis()
    panel.set_xlabel(shown[0][3] if shown else "")
    return drawing


def _varied(row: dict) -> str:
    return ", ".join(f"{key} {row[key]:g}" if _number(row[key]) else f"{key} {row[key]}" for key in row if "." in key)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
