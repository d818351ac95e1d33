"""Rates in the number of cells: of the Gram error beside the oracle's, and of what a prediction is worth."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import logsumexp

from experiments.studies.drawing import legend_below, line, logarithmic, panels
from experiments.studies.intervals import slope
from pdae_sim.labels import LabelSpace
from pdae_sim.report import MUTED, PREDICTED, TRUE, Part, format_estimate, sentences, styled
from pdae_sim.simulation.worlds import WORLDS
from pdae_sim.study._estimators import latents_preset
from pdae_sim.study.declaration import Declaration
from pdae_sim.study.medians import median
from pdae_sim.study.spec import Study

CELLS = (250, 500, 1000, 2000, 4000, 8000, 16_000)
LABEL = "A+B+C"
"""In the span, √2 latent standard deviations from the nearest training condition."""
SIZE = "design.cells"
LEARNT = "tilting"
SHORT = {"chart": {"steps": 400}, "refine": {"steps": 1000}}
"""Training at half of the default's cost."""
TOLERANCE = 0.1
"""How far a slope may be from its rate; further off it misses it, unless its interval holds the rate."""
NEAR_ORACLE = 2.0
"""Gram errors up to this multiple of the oracle's count as near it."""


def study(*, seeds: int = 12, cells: tuple[int, ...] = CELLS, draws: int = 4096, steps: int | None = None) -> Study:
    """The declaration; a smoke run takes fewer seeds, sizes, draws and gradient steps."""
    fit = {"kind": LEARNT, **(SHORT if steps is None else {"steps": steps})}
    held_out = {"design.test": [LABEL], "design.test_cells": 2 * draws}
    return Declaration(
        name="sample_size",
        question="How fast do the errors of what is identified fall with the number of cells per condition?",
        claim="2.1, 2.5, 2.7 and 2.9",
        prediction=(
            "An oracle that sees z estimates W Δ by sample means, so that its Gram error falls as n to the −½. "
            "The likelihood on the manifold of cells and the density ratios are nearly efficient for W: the learnt "
            "Gram error falls at the same rate and stays within twice the oracle's at every n. What tilting at an "
            "unseen, supported label is worth grows in proportion to n, and stays below what exact ratios would give "
            "the same cells. The latents get better all the way."
        ),
        worlds=[{"base": "three-singles", "set": held_out, "vary": {SIZE: list(cells)}}],
        estimators=[fit],
        metrics=["gram_error", "orthogonal_r2", "energy_distance", "n_eff"],
        seeds=seeds,
        evaluation={"n_samples": draws, "n_fresh": 1000},
    ).study()


SMOKE = {"seeds": 1, "cells": (60, 240), "draws": 60, "steps": 10}
CAPTION = (
    "Left: relative Gram error of Ŵ on the training shifts. Right: what the tilted prediction of A+B+C is worth. "
    "Medians over random mixings with 95 % intervals between order statistics; dotted lines have the predicted slopes."
)
COLUMNS = (
    "cells per condition",
    "Gram error, learnt",
    "Gram error, oracle",
    "ratio",
    "1 − orthogonal R²",
    "worth in cells",
    "at best",
)


def setting(study: Study) -> str:
    """What was simulated, in a sentence."""
    seeds = {task["seed"] for task in study.tasks}
    sizes = sorted({task["columns"][SIZE] for task in study.tasks})
    settings = {key: value for key, value in study.tasks[0]["estimators"][0].items() if key not in ("name", "kind")}
    steps = " and ".join(
        f"{phase.steps} steps of {phase.cells} cells per condition" for phase in latents_preset(settings).phases
    )
    return (
        "The world three-singles (two latents; control, A, B and C measured) under "
        f"{len(seeds)} random mixing{'s' * (len(seeds) != 1)}, each at {', '.join(f'{n:,}' for n in sizes)} cells per "
        "condition, larger samples containing the smaller. A chart of the manifold of cells is learnt, then latents "
        f"and Ŵ by likelihood and density ratios, by {steps} at every size; "
        "A+B+C is predicted by tilting. The oracle takes sample means of the true latents of the same cells. At best: "
        "the effective number of training cells under the true density ratios."
    )


def findings(rows: list[dict]) -> list[str]:
    """What the measurements say of the prediction, from the numbers alone; the verdict first."""
    learnt, oracle = (worlds_of(rows, "gram_error", name) for name in (LEARNT, "oracle"))
    worth = worths(rows)
    return sentences(
        [
            _rate("the oracle's Gram error falls as n to the −½", oracle, -0.5),
            _rate("the learnt Gram error falls as n to the −½", learnt, -0.5),
            _ratio(learnt, oracle),
            _rate("the worth of the tilted prediction grows as n", worth, 1.0),
            _bound(worth),
            _latents(misses(rows)),
        ]
    )


def _rate(expected: str, worlds: dict[int, list[float]], rate: float) -> Part:
    if len(worlds) < 2:
        return Part(expected, None, "fewer than two sizes were measured")
    estimate = slope(list(worlds), np.array(list(worlds.values())).T)
    if not math.isfinite(estimate.value):
        return Part(expected, None, "a median is not positive and finite, so that there is no slope")
    near, sizes = abs(estimate.value - rate) <= TOLERANCE, list(worlds)
    evidence = f"the slope in log-log is {format_estimate(estimate)} from {min(sizes):,} to {max(sizes):,} cells"
    if not near and rate in estimate.interval:
        return Part(expected, None, f"{evidence}, too wide an interval to tell")
    return Part(expected, near, evidence)


def _ratio(learnt: dict[int, list[float]], oracle: dict[int, list[float]]) -> Part:
    expected = f"the learnt Gram error is within {NEAR_ORACLE:g} times the oracle's at every n"
    ratios = {n: median(learnt[n]).value / median(oracle[n]).value for n in learnt.keys() & oracle.keys()}
    if not ratios:
        return Part(expected, None, "it was not measured")
    least, most = (chosen(ratios, key=ratios.get) for chosen in (min, max))
    evidence = (
        f"the ratio of medians is {ratios[least]:.2g} at {least:,} cells and at most {ratios[most]:.2g}, at {most:,}"
    )
    if ratios[min(ratios)] < 1 < ratios[max(ratios)]:
        evidence += (
            "; below the oracle's at first and above it at last: an error that more cells do not remove takes over"
        )
    return Part(expected, ratios[most] <= NEAR_ORACLE, evidence)


def _bound(worth: dict[int, list[float]]) -> Part:
    expected = "the worth stays below that of exact ratios"
    if not worth:
        return Part(expected, None, "it was not measured")
    share = {n: median(values).value / best_worth(n) for n, values in worth.items()}
    most, last = max(share, key=share.get), max(share)
    evidence = f"it is at most {share[most]:.0%} of it, at {most:,} cells, and {share[last]:.0%} at {last:,}"
    if share[last] < 0.5:
        evidence += ": there the error of the learnt ratios, not the number of cells, is the limit"
    return Part(expected, share[most] <= 1, evidence)


def _latents(missed: dict[int, list[float]]) -> Part:
    expected = "what the encoder misses of the latents (1 − orthogonal R²) falls all the way"
    middle = {n: median(values).value for n, values in missed.items()}
    if len(middle) < 2:
        return Part(expected, None, "fewer than two sizes were measured")
    series = ", ".join(f"{value:.2g} at {n:,}" for n, value in middle.items())
    values = list(middle.values())
    return Part(expected, values == sorted(values, reverse=True), f"it is {series} cells")


@styled
def figure(rows: list[dict]) -> Figure:
    """Gram error and worth against cells per condition, both in logarithms."""
    drawing, (left, right) = panels(2, height=2.5)
    for name, colour in ((LEARNT, PREDICTED), ("oracle", TRUE)):
        _draw(left, worlds_of(rows, "gram_error", name), _NAMES[name], colour)
    _reference(left, worlds_of(rows, "gram_error", "oracle"), -0.5)
    worth = worths(rows)
    _draw(right, worth, "learnt ratios, tilted", PREDICTED)
    right.plot(list(worth), [best_worth(n) for n in worth], color=TRUE, linewidth=1.3, label="exact ratios")
    _reference(right, worth, 1.0)
    left.set(title="Gram error", ylabel="‖Ĝ − G‖ / ‖G‖")
    right.set(title=f"worth of the prediction of {LABEL}", ylabel="cells")
    for axes in (left, right):
        axes.set(xscale="log", xlabel="cells per condition")
        logarithmic(axes)
        axes.set_xticks(sorted({row[SIZE] for row in rows}))
        axes.xaxis.set_major_formatter(_in_thousands)
        axes.xaxis.set_minor_formatter("")
        axes.grid(True)
    legend_below(drawing, [left, right])
    return drawing


def _in_thousands(n: float, _: int) -> str:
    return f"{n:g}" if n < 1000 else f"{n / 1000:g}k"


_NAMES = {LEARNT: "learnt", "oracle": "oracle that sees z"}


def _draw(axes: Axes, worlds: dict[int, list[float]], label: str, colour: str) -> None:
    line(axes, {n: median(values) for n, values in worlds.items()}, label, colour)


def _reference(axes: Axes, worlds: dict[int, list[float]], rate: float) -> None:
    """A line of the predicted slope through the first median."""
    if not worlds:
        return
    n = np.array(list(worlds), dtype=float)
    start = median(worlds[next(iter(worlds))]).value
    axes.plot(n, start * (n / n[0]) ** rate, color=MUTED, linestyle=":", linewidth=1.1, label="predicted slope")


def summary(rows: list[dict]) -> list[tuple]:
    """A row for every size: medians over worlds with their intervals."""
    learnt, oracle = (worlds_of(rows, "gram_error", name) for name in (LEARNT, "oracle"))
    worth, missed = worths(rows), misses(rows)
    return [
        (
            n,
            _said(learnt, n),
            _said(oracle, n),
            median(learnt[n]).value / median(oracle[n]).value if n in learnt and n in oracle else None,
            _said(missed, n),
            _said(worth, n),
            round(best_worth(n)),
        )
        for n in sorted(learnt.keys() | oracle.keys() | worth.keys())
    ]


def _said(worlds: dict[int, list[float]], n: int) -> str | None:
    return format_estimate(median(worlds[n])) if n in worlds else None


def worlds_of(
    rows: list[dict], metric: str, estimator: str, of: Callable[[dict], float] = lambda row: row["value"]
) -> dict[int, list[float]]:
    """Values by size, each list in the order of seeds; only seeds that were measured at every size."""
    cells: dict[int, dict[int, float]] = {}
    for row in rows:
        if (row["metric"], row["estimator"], row["status"]) == (metric, estimator, "ok"):
            cells.setdefault(row[SIZE], {})[row["seed"]] = of(row)
    whole = sorted(set.intersection(*(set(by_seed) for by_seed in cells.values()))) if cells else []
    return {n: [cells[n][seed] for seed in whole] for n in sorted(cells)} if whole else {}


def misses(rows: list[dict]) -> dict[int, list[float]]:
    """1 − orthogonal R² by size and world: noise at small sizes, what the network cannot follow at large ones."""
    return worlds_of(rows, "orthogonal_r2", LEARNT, lambda row: 1 - row["value"])


def worths(rows: list[dict]) -> dict[int, list[float]]:
    """E‖X − X'‖ / ED of the tilted prediction by size and world, infinite where the unbiased ED is not positive.

    The numerator belongs to the world: it is read off the sizes at which n_eff was more than a bound.
    """
    distances = worlds_of(rows, "energy_distance", LEARNT)
    cells = worlds_of(rows, "n_eff", LEARNT, lambda r: math.nan if r["high"] is None else r["value"])
    if not distances or not cells:
        return {}
    ED = np.array(list(distances.values()))
    spread = np.ma.median(np.ma.masked_invalid(np.array(list(cells.values())) * ED), axis=0).filled(math.nan)
    worth = np.where(ED > 0, spread / np.where(ED > 0, ED, 1.0), math.inf)
    return dict(zip(distances, worth.tolist(), strict=True))


def best_worth(n: int) -> float:
    """Effective cells of the pooled training sample at `LABEL` under the true ratios, with n cells per condition."""
    return n * _best_share()


@cache
def _best_share() -> float:
    """E / E_mix[w²] with w = p_test / p_mix, for E equal environments; E_mix[w²] = E_test[w] by quadrature."""
    table = WORLDS["three-singles"].table
    W, train = np.array(table["latent"]["targets"]), table["design"]["train"]
    space = LabelSpace.lettered(W.shape[1])
    moves = np.array([space.vector(condition) for condition in train]) @ W.T - W @ space.vector(LABEL)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    y = np.stack(np.meshgrid(nodes, nodes), -1).reshape(-1, 2)
    log_mixture = logsumexp(y @ moves.T - 0.5 * (moves**2).sum(1), axis=1) - math.log(len(train))
    return len(train) / float(np.outer(weights, weights).ravel() @ np.exp(-log_mixture) / (2 * math.pi))
