"""Error of every estimator against the distance of the test label from training support, in span and out of span."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from pdae_sim.analysis.verdict import judge
from pdae_sim.estimation.pdae import PDAE
from pdae_sim.simulation.worlds import world
from pdae_sim.study.evaluation import evaluate, fitted_estimators
from pdae_sim.study.spec import Study

DOSES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
IN_SPAN = [f"A:{dose:g}+B:{dose:g}" for dose in DOSES]
OUT_OF_SPAN = [f"A:{dose:g}+C:{dose:g}" for dose in DOSES]


def perform(task: dict) -> list[dict]:
    """One random mixing: fit everything on control, A and B, judge on both families of labels."""
    settings = (
        f"design.test={[*IN_SPAN, *OUT_OF_SPAN]}",
        f"design.cells={task['cells']}",
        f"design.test_cells={task['cells']}",
    )
    simulation = world("demo", settings, seed=task["seed"]).simulate()
    data, W = simulation.data, simulation.truth.isotropic().perturbation_matrix
    verdicts = dict(
        zip(
            data.test.conditions,
            judge(data.train.labels, data.test.labels, counts=data.train.counts, perturbation_matrix=W),
            strict=True,
        )
    )
    nearest = {
        condition: float(np.linalg.norm((label - data.train.labels) @ W.T, axis=1).min())
        for condition, label in zip(data.test.conditions, data.test.labels, strict=True)
    }
    model = PDAE(2, random_state=task["seed"]).fit(data)
    rows = evaluate(fitted_estimators(model, data), data, rng=task["seed"])
    return [
        {
            "scenario": "in span" if verdicts[row["condition"]].certificate.identified else "out of span",
            "seed": task["seed"],
            "verdict": verdicts[row["condition"]].name,
            "distance": nearest[row["condition"]],
            **row,
        }
        for row in rows
    ]


def study(*, seeds: int = 5, cells: int = 4096) -> Study:
    """The declaration; a smoke run takes fewer seeds and cells."""
    return Study(
        name="extrapolation",
        question="How does the error at an unseen condition grow with its distance from the training conditions?",
        claim="2.4, 2.6 and 2.9",
        prediction=(
            "In span, PDAE stays near the noise ceiling while the label is within about two standard deviations of a "
            "training condition and degrades beyond; additive baselines are off everywhere, since f is nonlinear. "
            "Out of span no estimator is good, at any distance."
        ),
        tasks=[{"seed": seed, "cells": cells} for seed in range(seeds)],
        perform=perform,
    )


SMOKE = {"seeds": 1, "cells": 400}
CAPTION = "Energy distance to the true cells, median over random mixings; values at or below zero are drawn at 0.0003."
COLUMNS = ("scenario", "distance", "condition", "estimator", "median", "least", "greatest")


def setting(study: Study) -> str:
    """What was simulated, in a sentence."""
    return (
        "The demo world (two latents, control and the singles A and B measured, C never) under "
        f"{len(study.tasks)} random mixings, {study.tasks[0]['cells']:,} cells per condition. In span: A and B "
        "together at equal doses; out of span: A and C together. Distance is that of the label to the nearest training "
        "condition, in latent standard deviations."
    )


def findings(rows: list[dict]) -> list[str]:
    """What the measurements say of the prediction, from the numbers alone."""
    table = {(scenario, round(d, 2), name): median for scenario, d, _, name, median, *_ in summary(rows)}
    near = {k: v for k, v in table.items() if k[0] == "in span" and k[1] <= 2}
    far = {k: v for k, v in table.items() if k[0] == "in span" and k[1] > 2}
    blind = {k: v for k, v in table.items() if k[0] == "out of span"}
    return [
        f"In span and within two standard deviations {_range(near, 'pdae')}, while {_best(near)}.",
        f"In span and further away {_range(far, 'pdae')}.",
        f"Out of span {_range(blind, 'pdae')}, and {_best(blind)}.",
    ]


def _range(cells: dict, name: str) -> str:
    values = [value for (*_, estimator), value in cells.items() if estimator == name]
    span = f"is {min(values):.3g} to {max(values):.3g}" if values else "was not measured"
    return f"the median energy distance of {name} {span}"


def _best(cells: dict) -> str:
    values = [v for (*_, name), v in cells.items() if name not in ("pdae", "tilting", "ceiling")]
    span = f"is {min(values):.3g} to {max(values):.3g}" if values else "was not measured"
    return f"that of the baselines without a representation {span}"


def figure(rows: list[dict]) -> Figure:
    """Median energy distance over seeds against distance, a panel in span and a panel out of span."""
    picked = [row for row in rows if row["metric"] == "energy_distance" and row["status"] == "ok"]
    drawing = Figure(figsize=(10, 4.6), layout="constrained")
    panels = drawing.subplots(1, 2, sharey=True)
    for panel, scenario in zip(panels, ("in span", "out of span"), strict=True):
        _panel(panel, [row for row in picked if row["scenario"] == scenario], scenario)
    panels[0].set_ylabel("energy distance, median over worlds")
    panels[1].legend(fontsize=8, loc="lower right", ncols=2)
    return drawing


def summary(rows: list[dict]) -> list[tuple]:
    """Rows (scenario, distance, estimator, median, least, greatest) of the energy distance over seeds."""
    cells: dict[tuple, list[float]] = {}
    for row in rows:
        if row["metric"] == "energy_distance" and row["status"] == "ok":
            key = (row["scenario"], round(row["distance"], 3), row["condition"], row["estimator"])
            cells.setdefault(key, []).append(row["value"])
    return [(*key, float(np.median(v)), min(v), max(v)) for key, v in sorted(cells.items())]


def _panel(panel, rows: list[dict], scenario: str) -> None:
    floor = 3e-4
    for name in dict.fromkeys(row["estimator"] for row in rows):
        points: dict[float, list[float]] = {}
        for row in rows:
            if row["estimator"] == name:
                points.setdefault(round(row["distance"], 6), []).append(row["value"])
        distances = sorted(points)
        medians = [max(float(np.median(points[d])), floor) for d in distances]
        style = {"pdae": {"linewidth": 2.8, "color": "#c2410c"}, "ceiling": {"color": "#555555", "linestyle": "--"}}
        panel.plot(distances, medians, marker="o", markersize=4, label=name, **style.get(name, {"linewidth": 1.2}))
    panel.set_yscale("log")
    panel.set_title(scenario)
    panel.set_xlabel("distance to the nearest training condition (latent sd)")
    panel.grid(alpha=0.3)
