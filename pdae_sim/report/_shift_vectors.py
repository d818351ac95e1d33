"""True and learnt shift vectors: the columns of W and of the aligned Ŵ."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch

from pdae_sim._checks import matrix
from pdae_sim.errors import InputError
from pdae_sim.report import _marks as marks
from pdae_sim.report._labels import place_labels
from pdae_sim.report._palette import DASHED, DOTTED, INK, MUTED, PREDICTED, TRUE, new_figure, styled
from pdae_sim.report._projection import equal_limits, first_two, set_plane


@styled
def shift_vectors(
    truth: np.ndarray,
    estimate: np.ndarray,
    names: Sequence[str] | None = None,
    *,
    identified: Sequence[bool] | None = None,
) -> Figure:
    """The latent shift of one unit of each perturbation, true and learnt, from a common origin.

    Args:
        truth: W (d_Z, K) in the isotropic form.
        estimate: Ŵ (d_Z, K), already aligned with the truth. With d_Z > 2 the first two coordinates are shown.
        names: The K perturbations.
        identified: For each column whether the training labels identify it; the others are dashed, with hollow heads.

    Raises:
        InputError: If shapes disagree.
    """
    W, W_hat = matrix("truth", truth), matrix("estimate", estimate)
    if W.shape != W_hat.shape:
        raise InputError(f"truth and estimate must have one shape; received {W.shape} and {W_hat.shape}")
    K = W.shape[1]
    names = [f"P{k}" for k in range(K)] if names is None else [str(name) for name in names]
    known = np.ones(K, bool) if identified is None else np.asarray(identified, bool)
    if len(names) != K or known.shape != (K,):
        raise InputError(f"names and identified need one value per column ({K}); received {len(names)}, {known.shape}")
    tips, estimates = first_two(W.T), first_two(W_hat.T)
    ends = np.vstack([np.zeros((1, 2)), tips, estimates])
    limits, height = equal_limits(ends, 0.12 * max(float(np.ptp(ends, axis=0).max()), 1e-9))
    figure = new_figure(height)
    axes = figure.add_subplot()
    set_plane(axes, limits, ("first latent", "second latent"))
    _draw_arrows(axes, tips, estimates, known)
    _draw_key(figure, known, len(W))
    shares = np.linspace(0.0, 1.0, 25)[:, None, None]
    obstacles = (shares * np.concatenate([tips, estimates])).reshape(-1, 2)  # labels keep clear of every arrow
    place_labels(figure, axes, tips, names, obstacles=obstacles, bold=True)
    return figure


def _draw_arrows(axes: Axes, tips: np.ndarray, estimates: np.ndarray, known: np.ndarray) -> None:
    for tip, estimate, sure in zip(tips, estimates, known, strict=True):
        axes.plot(*np.column_stack([tip, estimate]), color=MUTED, linewidth=0.8, linestyle=DOTTED, zorder=2)
        _draw_arrow(axes, tip, TRUE, sure, 2.2)
        _draw_arrow(axes, estimate, PREDICTED, sure, 1.6)
    axes.plot(0, 0, "o", markersize=5, color=INK, zorder=6)


def _draw_arrow(axes: Axes, tip: np.ndarray, colour: str, sure: bool, line_width: float) -> None:
    if not np.any(tip):
        return
    axes.add_patch(
        FancyArrowPatch(
            (0.0, 0.0), (float(tip[0]), float(tip[1])), arrowstyle="-|>" if sure else "->", mutation_scale=11,
            shrinkA=3, shrinkB=0, color=colour, linewidth=line_width, linestyle="-" if sure else DASHED, zorder=4,
            joinstyle="miter", capstyle="butt",
        )
    )  # fmt: skip


def _draw_key(figure: Figure, known: np.ndarray, d: int) -> None:
    handles = [
        marks.line_key("true shift", TRUE, width=2.2, dashes=None),
        marks.line_key("learnt shift, aligned", PREDICTED, width=1.6, dashes=None),
    ]
    if not known.all():
        handles.append(marks.line_key("not identified", MUTED, width=1.4))
    if d > 2:
        handles.append(Line2D([], [], linestyle="none", label=f"(2 of {d} coordinates)"))
    marks.key(figure, handles, columns=4)
