"""What a model recovered of the truth: the class of maps, the Gram matrix, and the effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pdae_sim.intervals import Estimate
from pdae_sim.report import _marks as marks
from pdae_sim.report._palette import INK, MUTED, PREDICTED, RULE, TRUE, new_figure, styled
from pdae_sim.study.identification import Identification

_FLOOR = -0.25  # R² below this are drawn there, with an arrow
_EFFECTS = 12  # effects shown one by one


@styled
def identifiability_figure(result: Identification) -> Figure:
    """R² by class of maps beside a random encoder's; Gram entries and effect sizes against the truth, with intervals.

    Points of the Gram matrix and of the effects are those of Ŵ; lines are 95 % intervals of the mean differences of
    encoded cells. Up to twelve effects are shown; all entries of the Gram matrix are.

    Args:
        result: Identification of one fitted model, as `identify` returns it.

    Returns:
        The figure: classes of maps above, Gram matrix and effects below.

    Example:
        >>> from pdae_sim import PDAE
        >>> from pdae_sim.estimation.presets import DEFAULT
        >>> from pdae_sim.simulation.worlds import world
        >>> from pdae_sim.study.identification import identify
        >>> simulation = world("demo", ["design.cells=60", "design.test_cells=10"]).simulate()
        >>> model = PDAE(2, phases=DEFAULT.shortened(2).phases, random_state=0).fit(simulation.data)
        >>> figure = identifiability_figure(identify(model, simulation, n=60, rng=0))
        >>> [axes.get_xlabel() for axes in figure.axes[:2]]
        ['R² on cells kept out', 'true entry']
    """
    n_effects = min(len(result.conditions), _EFFECTS)
    heights = (2.6, max(2.9, 1.0 + 0.26 * n_effects))
    figure = new_figure(sum(heights) + 0.5)
    grid = figure.add_gridspec(2, 2, height_ratios=heights)
    _draw_maps(figure.add_subplot(grid[0, :]), result)
    _draw_gram(figure.add_subplot(grid[1, 0]), result)
    _draw_effects(figure.add_subplot(grid[1, 1]), result.effect_rows()[:n_effects], len(result.conditions))
    _draw_key(figure)
    return figure


def _draw_maps(axes: Axes, result: Identification) -> None:
    classes, null = result.maps.classes, result.nulls.maps.classes
    heights = np.arange(len(classes))[::-1]
    for y, each, chance in zip(heights, classes, null, strict=True):
        chosen = each.name == result.outcome.map
        _draw_r2(axes, chance.r2, y - 0.2, MUTED, "D", 3.5)
        _draw_r2(axes, each.r2, y + 0.2, PREDICTED, "o", 7.0 if chosen else 4.5)
    low = min(each.r2.low for each in (*classes, *null))
    axes.set(xlim=(max(_FLOOR, min(low, 0.0)) - 0.05, 1.03), ylim=(-0.6, len(classes) - 0.4))
    axes.set_yticks(heights, [each.name for each in classes])
    for label, each in zip(axes.get_yticklabels(), classes, strict=True):
        label.set(color=INK, fontweight="bold" if each.name == result.outcome.map else "normal")
    axes.set_title(fill(result.outcome.name, 80), fontweight="bold", parse_math=False)
    axes.set_xlabel("R² on cells kept out")
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")


def _draw_r2(axes: Axes, r2: Estimate, y: float, colour: str, marker: str, size: float) -> None:
    if r2.high < _FLOOR:
        axes.plot(_FLOOR, y, "<", color=colour, markersize=4.5)
        marks.text(axes, _FLOOR, y, f"{r2.value:.2f}".replace("-", "−"), colour=colour)
        return
    axes.plot([max(r2.low, _FLOOR), r2.high], [y, y], color=colour, linewidth=1.6, zorder=3)
    axes.plot(max(r2.value, _FLOOR), y, marker, color=colour, markersize=size, zorder=4)


def _draw_gram(axes: Axes, result: Identification) -> None:
    upper = np.triu_indices(len(result.conditions))
    truth, learnt = ((moves @ moves.T)[upper] for moves in (result.true_moves, result.moves))
    low, high = result.effects.gram_low[upper], result.effects.gram_high[upper]
    least, most = min(truth.min(), low.min(), learnt.min()), max(truth.max(), high.max(), learnt.max())
    margin = 0.06 * max(most - least, 1e-9)
    ends = (least - margin, most + margin)
    axes.plot(ends, ends, color=TRUE, linewidth=1.2, zorder=2)
    axes.vlines(truth, low, high, color=PREDICTED, linewidth=1.4, alpha=0.7, zorder=3)
    axes.plot(truth, learnt, "o", color=PREDICTED, markersize=4.5, zorder=4, markeredgecolor="white", mew=0.5)
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel="true entry", ylabel="learnt; line: encoded means")
    axes.set_title(f"Gram matrix, error {result.gram_error:.3f}")
    axes.grid(True)


def _draw_effects(axes: Axes, rows: Sequence[Mapping], n_conditions: int) -> None:
    heights = np.arange(len(rows))[::-1]
    for y, row in zip(heights, rows, strict=True):
        encoded = row["encoded"]
        axes.barh(y, row["permuted"], height=0.62, color=RULE, zorder=1)
        axes.plot([row["truth"]] * 2, [y - 0.32, y + 0.32], color=TRUE, linewidth=2.2, zorder=2)
        axes.plot([encoded["low"], encoded["high"]], [y, y], color=PREDICTED, linewidth=1.6, zorder=3)
        axes.plot(row["learnt"], y, "o", color=PREDICTED, markersize=4.5, zorder=4, markeredgecolor="white", mew=0.5)
    ends = [v for row in rows for v in (row["truth"], row["learnt"], row["permuted"], row["encoded"]["high"])]
    axes.set(xlim=(0, 1.08 * max([*ends, 1e-9])), ylim=(-0.6, len(rows) - 0.4))
    axes.set_xlabel("latent sd; line: encoded means")
    axes.set_yticks(heights, [row["condition"] for row in rows], parse_math=False)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_title("Effect sizes" + (f", {len(rows)} of {n_conditions}" if len(rows) < n_conditions else ""))
    axes.grid(True, axis="x")


def _draw_key(figure: Figure) -> None:
    handles = [
        marks.line_key("truth", TRUE, width=2.2, dashes=None),
        Line2D([], [], color=PREDICTED, marker="o", markersize=4.5, linewidth=1.6, label="learnt, 95 % interval"),
        Line2D([], [], color=MUTED, marker="D", markersize=3.5, linewidth=1.6, label="random encoder"),
        marks.line_key("permuted environments", RULE, width=6, dashes=None),
    ]
    marks.key(figure, handles, columns=4)
