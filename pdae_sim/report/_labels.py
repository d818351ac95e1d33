"""Labels beside points, moved until they cover neither each other nor the points (adjustText)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pdae_sim.report._palette import INK, PAPER, settle_layout

_ROUNDS = 150  # a limit by rounds and not by seconds, so that a figure is the same on every machine
_LEADER = "#a3abb6"


def place_labels(
    figure: Figure,
    axes: Axes,
    points: np.ndarray,
    texts: Sequence[str],
    *,
    colours: Sequence[str] | str = INK,
    bold: Sequence[bool] | bool = False,
    obstacles: np.ndarray | None = None,
) -> None:
    """Write each text near its point, with a thin line to it where it had to be moved away.

    Args:
        figure: Its layout is settled first, because places are chosen in pixels.
        axes: With final limits.
        points: (n, 2) data coordinates.
        texts: n labels.
        colours: One, or one per label.
        bold: Whether labels are bold; one, or one per label.
        obstacles: (m, 2) further data coordinates to keep clear of.
    """
    from adjustText import adjust_text  # it imports pyplot, which drawing a figure without labels does not need

    settle_layout(figure)
    n = len(texts)
    colours = [colours] * n if isinstance(colours, str) else colours
    bold = [bold] * n if isinstance(bold, bool) else bold
    lift = axes.transData.inverted().transform(axes.transData.transform(points) + np.array([0.0, 14.0]))
    labels = [
        axes.text(
            x, y, text, ha="center", va="center", fontsize=8.8, color=colour, parse_math=False, zorder=9,
            fontweight="bold" if strong else "normal",
            path_effects=[patheffects.withStroke(linewidth=2.2, foreground=PAPER)],
        )
        for (x, y), text, colour, strong in zip(lift, texts, colours, bold, strict=True)
    ]  # fmt: skip
    clear = points if obstacles is None else np.vstack([points, obstacles])
    adjust_text(
        labels, *clear.T, target_x=points[:, 0], target_y=points[:, 1], ax=axes, iter_lim=_ROUNDS, avoid_self=False,
        expand=(1.2, 1.4), min_arrow_len=18, arrowprops={"arrowstyle": "-", "color": _LEADER, "lw": 0.7, "shrinkB": 4},
    )  # fmt: skip
