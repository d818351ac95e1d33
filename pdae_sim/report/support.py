"""Where training and test conditions lie in the identified metric."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle

from pdae_sim._checks import at_least, choice, matrix
from pdae_sim.errors import InputError
from pdae_sim.report._labelling import place_labels
from pdae_sim.report._palette import (
    INK,
    MUTED,
    PAPER,
    RULE,
    VERDICTS,
    WIDE,
    blank,
    environment_colour,
    in_house_style,
    is_compact,
    tint,
)
from pdae_sim.report._projection import Frame, plane

TRAIN = "train"


@in_house_style
def support_map(
    means: np.ndarray, conditions: Sequence[str], roles: Sequence[str], radius: float = 1.0, *, width: float = WIDE
) -> Figure:
    """The latent mean of every condition, discs where training cells give support, test conditions by verdict.

    Distances are in standard deviations of the base latent, so the training cells of an environment form a unit
    Gaussian around its mean. With d_Z > 2 the means are shown along their first two principal axes, which shortens
    distances: a point may lie over a disc and still be far from it. The verdicts are those given, not read off the map.

    Args:
        means: (E, d_Z) latent means W l in the isotropic form.
        conditions: E names.
        roles: For each condition ``train`` or a verdict: "identified and supported", "identified, off support",
            "not identified", or "identified" where support is unknown.
        radius: Of the discs, in standard deviations.
        width: In inches.

    Raises:
        InputError: If lengths disagree or a role is unknown.
    """
    means = matrix("means", means)
    if not len(means) == len(conditions) == len(roles):
        raise InputError(
            f"means, conditions and roles must agree in length; received {len(means)}, {len(conditions)}, {len(roles)}"
        )
    roles = [choice("role", role, (TRAIN, *VERDICTS)) for role in roles]
    points, axis_names = plane(means, of="means")
    margin = at_least("radius", radius, 0.0) + 0.25
    frame = Frame.around(points, margin, width, above=0.8 if is_compact(width) else 0.45)
    figure = blank(width, frame.height)
    axes = figure.add_subplot()
    axes.set(xlim=frame.limits[0], ylim=frame.limits[1], aspect="equal", xlabel=axis_names[0], ylabel=axis_names[1])
    axes.grid(True)
    _draw_support(axes, points, roles, radius)
    _draw_tests(axes, points, roles)
    _draw_key(figure, roles, radius, width)
    bold = [role != TRAIN for role in roles]
    size = 8.8 if not is_compact(width) else (7.8 if len(points) <= 12 else 6.8)
    place_labels(axes, points, [str(c) for c in conditions], colours=_label_colours(roles), bold=bold, size=size)
    return figure


def _draw_support(axes: Axes, points: np.ndarray, roles: Sequence[str], radius: float) -> None:
    train = [i for i, role in enumerate(roles) if role == TRAIN]
    for order, i in enumerate(train):
        colour = environment_colour(order)
        axes.add_patch(Circle(points[i], radius, facecolor=tint(colour, 0.22), edgecolor="none", zorder=1, alpha=0.75))
        axes.add_patch(Circle(points[i], radius, facecolor="none", edgecolor=colour, linewidth=0.9, zorder=2))
        axes.plot(*points[i], "o", markersize=5, color=colour, markeredgecolor=PAPER, markeredgewidth=0.8, zorder=4)


def _draw_tests(axes: Axes, points: np.ndarray, roles: Sequence[str]) -> None:
    for point, role in zip(points, roles, strict=True):
        if role != TRAIN:
            axes.plot(*point, linestyle="none", zorder=6, **_marker(role))


def _marker(role: str) -> dict:
    look = VERDICTS[role]
    face = look.colour if look.filled else PAPER
    size = {"o": 8.5, "D": 7.5, "X": 9.5}.get(look.marker, 8.0)
    edge = PAPER if look.filled else look.colour
    return {
        "marker": look.marker, "markersize": size, "markerfacecolor": face,
        "markeredgecolor": edge, "markeredgewidth": 1.0 if look.filled else 1.4,
    }  # fmt: skip


def _draw_key(figure: Figure, roles: Sequence[str], radius: float, width: float) -> None:
    handles = [Line2D([], [], linestyle="none", label=name, **_marker(name)) for name in VERDICTS if name in roles]
    if TRAIN in roles:
        label = f"training condition, disc of radius {radius:g}"
        handles.insert(0, Line2D([], [], linestyle="none", marker="o", markersize=11, label=label,
                                 markerfacecolor=tint(environment_colour(0), 0.3), markeredgecolor=RULE))  # fmt: skip
    if handles:
        columns = 1 if is_compact(width) else 2
        figure.legend(handles=handles, loc="outside upper left", ncols=columns, labelcolor=INK, handletextpad=0.3)


def _label_colours(roles: Sequence[str]) -> list[str]:
    return [MUTED if role == TRAIN else VERDICTS[role].colour for role in roles]
