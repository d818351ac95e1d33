"""What was identified: the ladder of maps beside its null, the Gram matrix, and the effects."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pdae_sim.intervals import Estimate
from pdae_sim.report._palette import (
    INK,
    MUTED,
    PREDICTED,
    RULE,
    TRUE,
    WIDE,
    blank,
    in_house_style,
    is_compact,
)
from pdae_sim.study.identification import Identification

_FLOOR = -0.25  # R² below this are drawn there, with an arrow
_EFFECTS = 12  # effects shown one by one


@in_house_style
def identifiability(found: Identification, *, width: float = WIDE) -> Figure:
    """R² by class of maps beside a random encoder's; Gram entries and effect sizes against the truth, with intervals.

    Points of the Gram matrix and of the effects are those of Ŵ; lines are 95 % intervals of the mean differences of
    encoded cells. Up to twelve effects are shown; all entries of the Gram matrix are.

    Args:
        found: Of one fitted model.
        width: In inches.
    """
    compact = is_compact(width)
    n_effects = min(len(found.conditions), _EFFECTS)
    heights = (2.6, 2.9, 0.9 + 0.26 * n_effects) if compact else (2.6, max(2.9, 1.0 + 0.26 * n_effects))
    figure = blank(width, sum(heights) + 0.5)
    parts = figure.add_gridspec(len(heights), 1 if compact else 2, height_ratios=heights)
    ladder = figure.add_subplot(parts[0] if compact else parts[0, :])
    others = (parts[1], parts[2]) if compact else (parts[1, 0], parts[1, 1])
    gram, sizes = (figure.add_subplot(part) for part in others)
    _draw_ladder(ladder, found, compact)
    _draw_gram(gram, found)
    _draw_effects(sizes, found, n_effects)
    _draw_key(figure, compact)
    return figure


def _draw_ladder(axes: Axes, found: Identification, compact: bool) -> None:
    classes, null = found.maps.classes, found.nulls.maps.classes
    heights = np.arange(len(classes))[::-1]
    for y, map_class, chance in zip(heights, classes, null, strict=True):
        chosen = map_class.name == found.outcome.map
        _draw_r2(axes, chance.r2, y - 0.2, MUTED, "D", 3.5)
        _draw_r2(axes, map_class.r2, y + 0.2, PREDICTED, "o", 7.0 if chosen else 4.5)
    low = min(map_class.r2.low for map_class in (*classes, *null))
    axes.set(xlim=(max(_FLOOR, min(low, 0.0)) - 0.05, 1.03), ylim=(-0.6, len(classes) - 0.4))
    axes.set_yticks(heights, [map_class.name for map_class in classes])
    for label, map_class in zip(axes.get_yticklabels(), classes, strict=True):
        label.set(color=INK, fontweight="bold" if map_class.name == found.outcome.map else "normal")
    axes.set_title(fill(found.outcome.name, 34 if compact else 80), fontweight="bold", parse_math=False)
    axes.set_xlabel("R² on cells kept out")
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")


def _draw_r2(axes: Axes, r2: Estimate, y: float, colour: str, marker: str, size: float) -> None:
    if r2.high < _FLOOR:
        axes.plot(_FLOOR, y, "<", color=colour, markersize=4.5)
        words = f"{r2.value:.2f}".replace("-", "−")
        axes.annotate(words, (_FLOOR, y), (6, 0), textcoords="offset points", va="center", fontsize=7.5, color=colour)
        return
    axes.plot([max(r2.low, _FLOOR), r2.high], [y, y], color=colour, linewidth=1.6, zorder=3)
    axes.plot(max(r2.value, _FLOOR), y, marker, color=colour, markersize=size, zorder=4)


def _draw_gram(axes: Axes, found: Identification) -> None:
    upper = np.triu_indices(len(found.conditions))
    truth, learnt = ((moves @ moves.T)[upper] for moves in (found.true_moves, found.moves))
    low, high = found.effects.gram_low[upper], found.effects.gram_high[upper]
    ends = np.array([min(truth.min(), low.min(), learnt.min()), max(truth.max(), high.max(), learnt.max())])
    ends += 0.06 * max(np.ptp(ends), 1e-9) * np.array([-1, 1])
    axes.plot(ends, ends, color=TRUE, linewidth=1.2, zorder=2)
    axes.vlines(truth, low, high, color=PREDICTED, linewidth=1.4, alpha=0.7, zorder=3)
    axes.plot(truth, learnt, "o", color=PREDICTED, markersize=4.5, zorder=4, markeredgecolor="white", mew=0.5)
    axes.set(xlim=ends, ylim=ends, aspect="equal", xlabel="true entry", ylabel="learnt; line: encoded means")
    axes.set_title(f"Gram matrix, error {found.gram_error:.3f}")
    axes.grid(True)


def _draw_effects(axes: Axes, found: Identification, n: int) -> None:
    rows = found.effect_rows()[:n]
    heights = np.arange(len(rows))[::-1]
    for y, row in zip(heights, rows, strict=True):
        encoded = row["encoded"]
        axes.barh(y, row["permuted"], height=0.62, color=RULE, zorder=1)
        axes.plot([row["truth"]] * 2, [y - 0.32, y + 0.32], color=TRUE, linewidth=2.2, zorder=2)
        axes.plot([encoded["low"], encoded["high"]], [y, y], color=PREDICTED, linewidth=1.6, zorder=3)
        axes.plot(row["learnt"], y, "o", color=PREDICTED, markersize=4.5, zorder=4, markeredgecolor="white", mew=0.5)
    axes.set(xlim=(0, 1.08 * _longest(rows)), ylim=(-0.6, len(rows) - 0.4), xlabel="latent sd; line: encoded means")
    axes.set_yticks(heights, [row["condition"] for row in rows], parse_math=False)
    axes.set_title("Effect sizes" if n == len(found.conditions) else f"Effect sizes, {n} of {len(found.conditions)}")
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.grid(True, axis="x")


def _longest(rows: Sequence[dict]) -> float:
    ends = [max(row["truth"], row["learnt"], row["permuted"], row["encoded"]["high"]) for row in rows]
    return max([*ends, 1e-9])


def _draw_key(figure: Figure, compact: bool) -> None:
    handles = [
        Line2D([], [], color=TRUE, linewidth=2.2, label="truth"),
        Line2D([], [], color=PREDICTED, marker="o", markersize=4.5, linewidth=1.6, label="learnt, 95 % interval"),
        Line2D([], [], color=MUTED, marker="D", markersize=3.5, linewidth=1.6, label="random encoder"),
        Line2D([], [], color=RULE, linewidth=6, label="permuted environments"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2 if compact else 4, labelcolor=INK)
