"""Error of every estimator against the distance of the test label from training support, in span and out of span."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments.studies.drawing import legend_below, line, logarithmic, panels
from experiments.studies.intervals import curve, medians
from pdae_sim.estimation.baselines import BASELINES
from pdae_sim.intervals import Estimate
from pdae_sim.report import ENVIRONMENTS, MUTED, PREDICTED, Part, format_estimate, sentences, styled
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.medians import NO_INTERVAL
from pdae_sim.study.spec import Study
from pdae_sim.verdicts import NOT_IDENTIFIED

DOSES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0)
NEAR = 2.0
"""Latent standard deviations from the nearest training condition that count as near."""
WORTHY = 100.0
"""Cells that a good prediction is worth at least."""
LEARNT, ADDITIVE = ("pdae", "tilting"), ("additive", "linear")
PLACES = ("in span", "out of span")
_FLOOR = 3e-4


def study(
    *,
    seeds: int = 20,
    cells: int = 4096,
    draws: int = 2048,
    doses: tuple[float, ...] = DOSES,
    steps: int | None = None,
) -> Study:
    """The declaration; a smoke run takes fewer seeds, cells, draws, doses and steps."""
    fitted = ["pdae", {"kind": "tilting", "on": "pdae"}, *BASELINES]
    labels = [f"A:{dose:g}+{other}:{dose:g}" for other in "BC" for dose in doses]
    size = {"design.cells": cells, "design.test_cells": cells}
    return Declaration(
        name="extrapolation",
        question="How does the error at an unseen condition grow with its distance from the training conditions?",
        claim="2.4, 2.6 and 2.9",
        prediction=(
            "In span, PDAE stays near the noise ceiling while the label is within about two standard deviations of a "
            "training condition and degrades beyond; additive baselines are off everywhere, since f is nonlinear. "
            "Out of span no estimator is good, at any distance."
        ),
        worlds=[{"base": "demo", "set": {"design.test": labels, **size}}],
        estimators=fitted if steps is None else [{"kind": "pdae", "steps": steps}, *fitted[1:]],
        metrics=["energy_distance", "n_eff"],
        seeds=seeds,
        evaluation={"n_samples": draws},
    ).study()


SMOKE = {"seeds": 1, "cells": 40, "draws": 40, "doses": (0.5, 2.0), "steps": 5}
CAPTION = (
    "Energy distance to the true cells: medians over random mixings with 95 % intervals between order statistics; "
    "values below 0.0003 are drawn there. Bands are shown for pdae and tilting."
)
COLUMNS = ("condition", "place", "distance", "pdae", "tilting", "best baseline", "which", "ceiling")


def setting(study: Study) -> str:
    """What was simulated, in a sentence."""
    worlds, cells = len(study.tasks), study.tasks[0]["world"]["design"]["cells"]
    return (
        "The demo world (two latents, control and the singles A and B measured, C never) under "
        f"{worlds} random mixing{'s' * (worlds != 1)}, {cells:,} cells per condition. In span: A and B together at "
        "equal doses; out of span: A and C together. Distance is that of the label to the nearest training "
        f"condition, in latent standard deviations; near is at most {NEAR:g}. A prediction counts as good where it is "
        f"worth {WORTHY:g} measured cells or more in half of the worlds."
    )


def findings(rows: list[dict]) -> list[str]:
    """What the measurements say of the prediction, from the numbers alone; the verdict first."""
    return sentences([_near(rows), _far(rows), _baselines(rows), _blind(rows)])


def _near(rows: list[dict]) -> Part:
    cells = curve(_worth(rows), place="in span", estimator="pdae")
    least = min((p.value for d, p in cells.items() if d <= NEAR), default=None)
    expected = f"in span and within {NEAR:g} standard deviations PDAE is good"
    if least is None:
        return Part(expected, None, "no such label was measured")
    return Part(expected, least >= WORTHY, f"its median worth there is at least {least:,.0f} cells")


def _far(rows: list[dict]) -> Part:
    cells = curve(_distance(rows), place="in span", estimator="pdae")
    near, far = ([p.value for d, p in cells.items() if (d <= NEAR) is side] for side in (True, False))
    expected = "in span and further away PDAE degrades"
    if not near or not far:
        return Part(expected, None, "no such label was measured")
    evidence = f"its median energy distance is up to {max(near):.2g} near and {min(far):.2g} to {max(far):.2g} beyond"
    return Part(expected, min(far) > max(near), evidence)


def _baselines(rows: list[dict]) -> Part:
    expected = "in span the additive baselines are off at every distance"
    return _bad(expected, {key: p for key, p in _worth(rows).items() if key[0] == "in span" and key[1] in ADDITIVE})


def _blind(rows: list[dict]) -> Part:
    expected = "out of span no estimator is good at any distance"
    return _bad(expected, {k: p for k, p in _worth(rows).items() if k[0] == "out of span" and k[1] != "ceiling"})


def _bad(expected: str, worth: dict[tuple, Estimate]) -> Part:
    """That none of these is good, with the best of them as evidence."""
    if not worth:
        return Part(expected, None, "no such label was measured")
    (_, name, distance), most = max(worth.items(), key=lambda item: item[1].value)
    evidence = f"the best of them is {name} at distance {distance:.2g}, worth {most.value:,.0f} cells"
    return Part(expected, most.value < WORTHY, evidence)


@styled
def figure(rows: list[dict]) -> Figure:
    """Median energy distance over worlds against distance, a panel in span and a panel out of span."""
    drawing, axes = panels(2, height=2.5, sharey=True)
    points = _distance(rows)
    for panel, place in zip(axes, PLACES, strict=True):
        for name in dict.fromkeys(row["estimator"] for row in rows):
            _draw(panel, name, curve(points, place=place, estimator=name))
        logarithmic(panel)
        panel.set_title(place)
        panel.set_xlabel("distance to training (latent sd)")
        panel.set_ylabel("energy distance")
        panel.grid(True)
    axes[0].axvline(NEAR, color=MUTED, linewidth=0.8, linestyle=":")
    legend_below(drawing, axes)
    return drawing


def summary(rows: list[dict]) -> list[tuple]:
    """A row for every label: median energy distances over worlds with their intervals."""
    points = _distance(rows)
    labels = dict.fromkeys((r["condition"], r["place"], r["distance"]) for r in _placed(rows))
    return [(*label, *_line(points, *label[1:])) for label in sorted(labels, key=lambda label: label[1:])]


def _line(points: dict[tuple, Estimate], place: str, distance: float) -> tuple:
    at = {name: p for (where, name, d), p in points.items() if (where, d) == (place, distance)}
    best = min((name for name in at if _is_baseline(name)), key=lambda name: at[name].value, default=None)
    return *(_said(at.get(name)) for name in (*LEARNT, best)), best, at["ceiling"].value if "ceiling" in at else None


def _said(estimate: Estimate | None) -> str | None:
    return None if estimate is None else format_estimate(estimate)


def _distance(rows: list[dict]) -> dict[tuple, Estimate]:
    return medians(_placed(rows), "energy_distance", "place", "estimator", "distance")


def _worth(rows: list[dict]) -> dict[tuple, Estimate]:
    return medians(_placed(rows), "n_eff", "place", "estimator", "distance")


def _placed(rows: list[dict]) -> list[dict]:
    """The rows with a condition, with where it is: in the span of the training shifts or not."""
    return [
        {**row, "place": PLACES[row["verdict"] == NOT_IDENTIFIED], "distance": round(row["distance"], 6)}
        for row in rows
        if row.get("distance") is not None
    ]


def _is_baseline(name: str) -> bool:
    return name not in (*LEARNT, "ceiling")


_LOOKS = {
    "pdae": {"colour": PREDICTED, "linewidth": 2.4},
    "tilting": {"colour": "#7a5195", "linewidth": 1.8},
    "ceiling": {"colour": MUTED, "linestyle": "--"},
}


def _draw(panel: Axes, name: str, points: dict[float, Estimate]) -> None:
    look = _LOOKS.get(name) or {"colour": ENVIRONMENTS[list(BASELINES).index(name)], "linewidth": 1.1}
    if name not in LEARNT:
        points = {at: Estimate(p.value, NO_INTERVAL) for at, p in points.items()}
    line(panel, points, name, floor=_FLOOR, **look)
