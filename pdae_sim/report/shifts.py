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
from pdae_sim.report._labelling import place_labels
from pdae_sim.report._palette import INK, MUTED, PREDICTED, TRUE, WIDE, blank, in_house_style, is_compact
from pdae_sim.report._projection import Frame, padded


@in_house_style
def shift_vectors(
    truth: np.ndarray,
    estimate: np.ndarray,
    names: Sequence[str] | None = None,
    *,
    identified: Sequence[bool] | None = None,
    width: float = WIDE,
) -> Figure:
    """The latent shift of one unit of each perturbation, true and learnt, from a common origin.

    Args:
        truth: W (d_Z, K) in the isotropic form.
        estimate: Ŵ (d_Z, K), already aligned with the truth. With d_Z > 2 the first two coordinates are shown.
        names: The K perturbations.
        identified: For each column whether the training labels identify it; the others are dashed, with hollow heads.
        width: In inches.

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
    tips, guesses = padded(W.T), padded(W_hat.T)
    ends = np.vstack([np.zeros((1, 2)), tips, guesses])
    frame = Frame.around(ends, 0.12 * max(np.ptp(ends, axis=0).max(), 1e-9), width)
    figure = blank(width, frame.height)
    axes = figure.add_subplot()
    axes.set(xlim=frame.limits[0], ylim=frame.limits[1], aspect="equal", xlabel="first latent", ylabel="second latent")
    axes.grid(True)
    _draw_arrows(axes, tips, guesses, known)
    _draw_key(figure, known, width, len(W))
    place_labels(axes, tips, names, obstacles=_along(tips, guesses), colours=INK, bold=True, clearance=4.0)
    return figure


def _draw_arrows(axes: Axes, tips: np.ndarray, guesses: np.ndarray, known: np.ndarray) -> None:
    for tip, guess, sure in zip(tips, guesses, known, strict=True):
        axes.plot(*np.column_stack([tip, guess]), color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=2)
        _arrow(axes, tip, TRUE, sure, 2.2)
        _arrow(axes, guess, PREDICTED, sure, 1.6)
    axes.plot(0, 0, "o", markersize=5, color=INK, zorder=6)


def _arrow(axes: Axes, tip: np.ndarray, colour: str, sure: bool, line_width: float) -> None:
    if not np.any(tip):
        return
    axes.add_patch(
        FancyArrowPatch(
            (0, 0), tip, arrowstyle="-|>" if sure else "->", mutation_scale=11, shrinkA=3, shrinkB=0, color=colour,
            linewidth=line_width, linestyle="-" if sure else (0, (4, 2.5)), zorder=4, joinstyle="miter",
            capstyle="butt",
        )
    )  # fmt: skip


def _along(tips: np.ndarray, guesses: np.ndarray) -> np.ndarray:
    """Points along all arrows, for labels to keep clear of."""
    shares = np.linspace(0.0, 1.0, 25)[:, None, None]
    return (shares * np.concatenate([tips, guesses])).reshape(-1, 2)


def _draw_key(figure: Figure, known: np.ndarray, width: float, d: int) -> None:
    handles = [
        Line2D([], [], color=TRUE, linewidth=2.2, label="true shift"),
        Line2D([], [], color=PREDICTED, linewidth=1.6, label="learnt shift, aligned"),
    ]
    if not known.all():
        handles.append(Line2D([], [], color=MUTED, linewidth=1.4, linestyle=(0, (3, 2)), label="not identified"))
    if d > 2:
        handles.append(Line2D([], [], linestyle="none", label=f"(2 of {d} coordinates)"))
    figure.legend(handles=handles, loc="outside upper left", ncols=2 if is_compact(width) else 4, labelcolor=INK)
