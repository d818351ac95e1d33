"""Plans of experiments: what to measure, for which target, at which noise gain, with how many cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pdae_sim.analysis.design import ExperimentPlan
from pdae_sim.analysis.span import SpanCertificate
from pdae_sim.errors import InputError
from pdae_sim.report import _marks as marks
from pdae_sim.report._format import format_value, truncated
from pdae_sim.report._palette import INK, MUTED, PREDICTED, TRUE, VERDICT_LOOKS, new_figure, styled, tint
from pdae_sim.verdicts import NOT_IDENTIFIED, SUPPORTED

_SETTLES, _LOST = VERDICT_LOOKS[SUPPORTED].colour, VERDICT_LOOKS[NOT_IDENTIFIED].colour
_IN_HAND = "#b9c2cd"
_LETTERS = 14  # of an experiment's name


@styled
def design_figure(
    plan: ExperimentPlan,
    targets: Sequence[str],
    experiments: Sequence[str],
    *,
    before: Sequence[SpanCertificate] | None = None,
    cells: Mapping[str, tuple[int, int]] | None = None,
) -> Figure:
    """Which experiment serves which target, in order, and the noise gain of every target before and after.

    Left a row per target and a column per experiment: a dot where the target cannot do without the experiment, ringed
    where it is identified from then on. Beside it the noise gain with the plan added, and that of what is measured now
    where certificates of it are passed. Below, where asked for, the cells of every condition.

    Args:
        plan: As `plan_experiments` returns it.
        targets: Their conditions.
        experiments: The conditions of the plan's experiments, in its order.
        before: Certificates of the targets without the plan, by the same counts; what was identified is then shown.
        cells: By condition: cells in hand, and cells to add.

    Returns:
        The figure.

    Raises:
        InputError: If lengths disagree, or a number of cells is negative.

    References:
        Theory, claims 2.4 and 2.10.

    Example:
        >>> from pdae_sim.analysis.design import plan_experiments
        >>> plan = plan_experiments([[0, 0], [1, 0]], [[1, 1]])
        >>> figure = design_figure(plan, ["A+B"], ["B"], cells={"A": (100, 0), "B": (0, 100)})
        >>> [axes.get_title(loc="left") for axes in figure.axes]
        ['measure, in order', 'noise gain', 'cells']
    """
    _check_lengths(plan, targets, experiments, before)
    layout = marks.RowLayout.of(marks.Group(targets))
    amounts = marks.RowLayout.of(marks.Group(list(cells or ())))
    depths = [layout.depth + 0.6, *([amounts.depth + 0.4] if cells else [])]
    figure = new_figure(sum(depths) + 0.55, side=0.1)
    share = float(np.clip(0.22 * len(experiments), 0.5, 2.2))  # of the table beside the noise gains
    grid = figure.add_gridspec(len(depths), 2, height_ratios=depths, width_ratios=[share, 1.0])
    table, gains = (figure.add_subplot(grid[0, column]) for column in (0, 1))
    marks.dress_rows(table, layout)
    _draw_table(table, plan, experiments, layout.rows[0])
    _draw_gains(gains, plan, before, layout)
    if cells:
        _draw_cells(figure.add_subplot(grid[1, :]), cells, amounts)
    _draw_key(figure, plan, with_before=before is not None, with_cells=bool(cells))
    return figure


def _check_lengths(
    plan: ExperimentPlan,
    targets: Sequence[str],
    experiments: Sequence[str],
    before: Sequence[SpanCertificate] | None,
) -> None:
    if len(targets) != len(plan.certificates):
        raise InputError(f"targets must name the plan's {len(plan.certificates)} targets; received {len(targets)}")
    if len(experiments) != len(plan.experiments):
        raise InputError(
            f"experiments must name the plan's {len(plan.experiments)} experiments; received {len(experiments)}"
        )
    if before is not None and len(before) != len(targets):
        raise InputError(f"before must hold a certificate per target, {len(targets)}; received {len(before)}")


def _draw_table(axes: Axes, plan: ExperimentPlan, experiments: Sequence[str], heights: Sequence[float]) -> None:
    m = len(experiments)
    for k, experiment in enumerate(plan.experiments):
        for t in experiment.needed_by:
            marks.dot(axes, k, heights[t], MUTED)
        for t in experiment.identifies:
            axes.plot(
                k, heights[t], "o", markerfacecolor="none", markeredgecolor=_SETTLES, markersize=10, mew=1.8, zorder=6
            )
    names = [f"{k + 1}. {truncated(str(name), _LETTERS)}" for k, name in enumerate(experiments)]
    steep = m > 3 or max((len(name) for name in names), default=0) > 9
    axes.set_xlim(-0.6, max(m, 1) - 0.4)
    axes.set_xticks(range(m), names, rotation=40 if steep else 0, ha="right" if steep else "center", parse_math=False)
    axes.tick_params(axis="x", length=0, labelcolor=INK)
    axes.grid(False)
    axes.spines["bottom"].set_visible(False)
    axes.set_title("measure, in order" if m else "nothing to measure")


def _draw_gains(
    axes: Axes, plan: ExperimentPlan, before: Sequence[SpanCertificate] | None, layout: marks.RowLayout
) -> None:
    after = [c.noise_gain for c in plan.certificates]
    now = [c.noise_gain for c in before] if before is not None else after
    finite = [gain for gain in (*after, *now) if np.isfinite(gain)] or [1.0]
    low, high = min(finite) / 2.5, max(finite) * 2.5
    beyond = high * (high / low) ** 0.12  # where what is not identified stands
    marks.log_scale(axes, low, beyond * (beyond / high) ** 1.4)
    marks.dress_rows(axes, layout, named=False)
    axes.set_title("noise gain")
    ticks = _ticks(low, high)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    if not np.isfinite([*after, *now]).all():
        axes.axvspan(high, axes.get_xlim()[1], color=tint(_LOST, 0.1), linewidth=0, zorder=0)
    for y, gain, gain_now in zip(layout.rows[0], after, now, strict=True):
        if before is not None and np.isfinite(gain_now):
            marks.dot(axes, gain_now, y, TRUE, size=7, hollow=True)
        elif before is not None:
            marks.dot(axes, beyond, y, _LOST, marker="X", size=9, hollow=True)
        known = np.isfinite(gain)
        x, colour, marker, size = (gain, PREDICTED, "o", 7) if known else (beyond, _LOST, "X", 9)
        marks.dot(axes, x, y, colour, marker=marker, size=size)
        marks.text(axes, x, y, format_value(gain))


def _ticks(low: float, high: float) -> list[float]:
    """One, two and five in every decade, thinned to six."""
    decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))))
    inside = [tick for k in decades for step in (1, 2, 5) if low <= (tick := step * 10.0**k) <= high]
    return inside[:: -(-len(inside) // 6) or 1]


def _draw_cells(axes: Axes, cells: Mapping[str, tuple[int, int]], layout: marks.RowLayout) -> None:
    if any(count < 0 for pair in cells.values() for count in pair):
        raise InputError("cells must hold numbers of cells ≥ 0")
    marks.dress_rows(axes, layout)
    axes.set_title("cells")
    for y, (have, more) in zip(layout.rows[0], cells.values(), strict=True):
        axes.barh(y, have, color=_IN_HAND, height=0.13, zorder=3, linewidth=0)
        axes.barh(y, more, left=have, color=PREDICTED, height=0.13, zorder=3, linewidth=0)
        marks.text(axes, have + more, y, f"{have:,}" + (f" + {more:,}" if more else ""))
    axes.set_xlim(0, 1.22 * max(1, *(have + more for have, more in cells.values())))
    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def _draw_key(figure: Figure, plan: ExperimentPlan, *, with_before: bool, with_cells: bool) -> None:
    handles = [
        marks.dot_key("needed by the target", MUTED),
        marks.dot_key("then identified", _SETTLES, hollow=True, size=9),
    ] * bool(plan.experiments)
    handles.append(marks.dot_key("with the plan", PREDICTED))
    if with_before:
        handles.append(marks.dot_key("as measured", TRUE, hollow=True))
    if plan.unreachable or (with_before and plan.experiments):
        handles.append(marks.dot_key("not identified", _LOST, marker="X", size=8))
    amounts = [marks.patch_key("cells in hand", _IN_HAND), marks.patch_key("cells to add", PREDICTED)] * with_cells
    marks.key(figure, [*handles, *amounts], columns=5)
