"""Conditions as points at their latent distances, each with the ellipse of its error."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from scipy.stats import chi2

from pdae_sim.errors import InputError
from pdae_sim.report import _marks as marks
from pdae_sim.report._labels import place_labels
from pdae_sim.report._palette import MUTED, environment_colour, new_figure, styled, tint
from pdae_sim.report._projection import equal_limits, first_two, set_plane

_LEVEL = 0.95


@styled
def geometry_figure(points: np.ndarray, covariances: np.ndarray, conditions: Sequence[str]) -> Figure:
    """Conditions placed by their latent distances, along the first two principal axes, with 95 % ellipses.

    Distances are in standard deviations of the base latent. Beyond two dimensions the plane shortens them.

    Args:
        points: (E, d) along principal axes, as `EnvironmentGeometry.placed` returns them.
        covariances: (E, d, d) of their errors.
        conditions: E names.

    Raises:
        InputError: If lengths disagree.

    Example:
        >>> points = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.5]])
        >>> figure = geometry_figure(points, np.full((3, 2, 2), 0.01) * np.eye(2), ["ctrl", "A", "B"])
        >>> len(figure.axes)
        1
    """
    points, covariances = np.asarray(points, dtype=float), np.asarray(covariances, dtype=float)
    if not len(points) == len(covariances) == len(conditions):
        lengths = f"{len(points)}, {len(covariances)}, {len(conditions)}"
        raise InputError(f"points, covariances and conditions must agree in length; received {lengths}")
    plane, d = first_two(points), min(points.shape[1], 2)
    errors = np.zeros((len(points), 2, 2))
    errors[:, :d, :d] = covariances[:, :d, :d]
    reach = np.sqrt(chi2.ppf(_LEVEL, 2) * np.linalg.eigvalsh(errors).max(initial=0.0))
    limits, height = equal_limits(plane, 0.35 + float(reach))
    figure = new_figure(height)
    axes = figure.add_subplot()
    set_plane(axes, limits, _axes_named(points))
    for order, (point, error) in enumerate(zip(plane, errors, strict=True)):
        _draw(axes, point, error, environment_colour(order))
    key = marks.dot_key("condition, with the 95 % ellipse of its place", environment_colour(0), size=5)
    marks.key(figure, [key], columns=1)
    named = [str(condition) for condition in conditions]
    place_labels(figure, axes, plane, named, colours=[MUTED] * len(named), bold=[False] * len(named))
    return figure


def _axes_named(points: np.ndarray) -> tuple[str, str]:
    share = (points**2).sum(0) / max(float((points**2).sum()), 1e-300)
    names = [f"{word} principal axis ({p:.0%})" for word, p in zip(("1st", "2nd"), share, strict=False)]
    return names[0], names[1] if len(names) > 1 else ""


def _draw(axes: Axes, point: np.ndarray, error: np.ndarray, colour: str) -> None:
    values, vectors = np.linalg.eigh(error)
    width, height = 2 * np.sqrt(chi2.ppf(_LEVEL, 2) * np.maximum(values[::-1], 0.0))
    angle = float(np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1])))
    place = (float(point[0]), float(point[1]))
    axes.add_patch(Ellipse(place, width, height, angle=angle, facecolor=tint(colour, 0.3), edgecolor=colour, lw=0.9))
    marks.dot(axes, *place, colour, size=5)
