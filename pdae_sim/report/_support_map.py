"""Training and unseen conditions in the identified metric: which lie within the support of the training cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from pdae_sim._checks import at_least, choice, matrix
from pdae_sim.errors import InputError
from pdae_sim.report import _marks as marks
from pdae_sim.report._labels import place_labels
from pdae_sim.report._palette import MUTED, VERDICT_LOOKS, environment_colour, new_figure, styled, tint
from pdae_sim.report._projection import equal_limits, first_two, principal_axes, set_plane

TRAIN = "train"

_SIZES = {"o": 8.5, "D": 7.5, "X": 9.5}


@styled
def support_map(means: np.ndarray, conditions: Sequence[str], roles: Sequence[str], *, radius: float = 1.0) -> Figure:
    """The latent mean of every condition, discs where training cells give support, test conditions by verdict.

    Distances are in standard deviations of the base latent, so the training cells of an environment form a unit
    Gaussian around its mean. With d_Z > 2 the means are shown along their first two principal axes, which shortens
    distances: a point may lie over a disc and still be far from it. The verdicts are those passed, not read off the
    map.

    Args:
        means: (E, d_Z) latent means W l in the isotropic form.
        conditions: E names.
        roles: For each condition ``train`` or a verdict: "identified and supported", "identified, off support",
            "not identified", or "identified" where support is unknown.
        radius: Of the discs, in standard deviations.

    Raises:
        InputError: If lengths disagree or a role is unknown.
    """
    means = matrix("means", means)
    if not len(means) == len(conditions) == len(roles):
        raise InputError(
            f"means, conditions and roles must agree in length; received {len(means)}, {len(conditions)}, {len(roles)}"
        )
    roles = [choice("role", role, (TRAIN, *VERDICT_LOOKS)) for role in roles]
    points, axis_names = _plane(means)
    limits, height = equal_limits(points, at_least("radius", radius, 0.0) + 0.25)
    figure = new_figure(height)
    axes = figure.add_subplot()
    set_plane(axes, limits, axis_names)
    _draw_support(axes, points[[role == TRAIN for role in roles]], radius)
    for (x, y), role in zip(points, roles, strict=True):
        if role != TRAIN:
            _draw_test(axes, x, y, role)
    _draw_key(figure, roles, radius)
    place_labels(
        figure,
        axes,
        points,
        [str(condition) for condition in conditions],
        colours=[MUTED if role == TRAIN else VERDICT_LOOKS[role].colour for role in roles],
        bold=[role != TRAIN for role in roles],
    )
    return figure


def _plane(means: np.ndarray) -> tuple[np.ndarray, tuple[str, str]]:
    """Means in two coordinates, and the names of these: their own, or the first two principal axes."""
    d = means.shape[1]
    if d <= 2:
        return first_two(means), ("first latent", "second latent" if d == 2 else "")
    directions, share = principal_axes(means)
    first, second = (
        f"{word} principal axis of the means ({p:.0%})" for word, p in zip(("1st", "2nd"), share, strict=True)
    )
    return (means - means.mean(axis=0)) @ directions.T, (first, second)


def _draw_support(axes: Axes, points: np.ndarray, radius: float) -> None:
    for order, (x, y) in enumerate(points):
        colour = environment_colour(order)
        axes.add_patch(Circle((x, y), radius, facecolor=tint(colour, 0.22), edgecolor="none", zorder=1, alpha=0.75))
        axes.add_patch(Circle((x, y), radius, facecolor="none", edgecolor=colour, linewidth=0.9, zorder=2))
        marks.dot(axes, x, y, colour, size=5)


def _draw_test(axes: Axes, x: float, y: float, role: str) -> None:
    look = VERDICT_LOOKS[role]
    size = _SIZES.get(look.marker, 8.0)
    marks.dot(axes, x, y, look.colour, marker=look.marker, size=size, hollow=not look.filled)


def _draw_key(figure: Figure, roles: Sequence[str], radius: float) -> None:
    train = [marks.dot_key(f"training condition, disc of radius {radius:g}", environment_colour(0), size=9)]
    verdicts = [
        marks.dot_key(name, look.colour, marker=look.marker, hollow=not look.filled, size=_SIZES.get(look.marker, 8.0))
        for name, look in VERDICT_LOOKS.items()
        if name in roles
    ]
    marks.key(figure, train * (TRAIN in roles) + verdicts, columns=2)
