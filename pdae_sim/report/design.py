"""A plan of experiments as a picture: what to measure, for which target, at which noise, with how many cells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from pdae_sim.analysis.design import ExperimentPlan
from pdae_sim.analysis.span import SpanCertificate
from pdae_sim.errors import InputError
from pdae_sim.report._palette import (
    INK,
    MUTED,
    PREDICTED,
    RULE,
    TRUE,
    VERDICTS,
    WIDE,
    blank,
    in_house_style,
    is_compact,
    tint,
)
from pdae_sim.report._rows import Block, guide, key, number, ruled, shortened
from pdae_sim.verdicts import NOT_IDENTIFIED, SUPPORTED

_SERVES, _SETTLES, _LOST = MUTED, VERDICTS[SUPPORTED].colour, VERDICTS[NOT_IDENTIFIED].colour
_IN_HAND = "#b9c2cd"
_ROW = 0.24  # inches


@in_house_style
def experiment_plan(
    plan: ExperimentPlan,
    targets: Sequence[str],
    experiments: Sequence[str],
    *,
    before: Sequence[SpanCertificate] | None = None,
    width: float = WIDE,
) -> Figure:
    """Which experiment serves which target, in order, and the noise gain of every target before and after.

    Left (above, at a phone's width) a row per target and a column per experiment: a dot where the target cannot do
    without the experiment, ringed where it is identified from then on. Beside it the noise gain with the plan added,
    and that of what is measured now where certificates of it are given.

    Args:
        plan: As `plan_experiments` gives it.
        targets: Their conditions.
        experiments: The conditions of the plan's experiments, in its order.
        before: Certificates of the targets without the plan, by the same counts; what was identified is then shown.
        width: In inches.

    Raises:
        InputError: If lengths disagree.

    References:
        Claims 2.4 and 2.10.
    """
    _agree(plan, targets, experiments, before)
    compact, n = is_compact(width), len(targets)
    depth = _ROW * n + 0.35
    figure = blank(width, (2 * depth if compact else depth) + (2.0 if compact else 1.1))
    figure.get_layout_engine().set(w_pad=0.1)
    shape = {"height_ratios": [1, 1]} if compact else {"width_ratios": [_share(len(experiments)), 1.0]}
    table, gains = figure.subplots(*((2, 1) if compact else (1, 2)), sharey=not compact, **shape)
    _draw_table(table, plan, experiments, n)
    _draw_gains(gains, plan, before)
    for axes in (table, gains) if compact else (table,):
        axes.set_yticks(range(n), [shortened(str(t), 16 if compact else 28) for t in targets], parse_math=False)
        axes.tick_params(axis="y", labelcolor=INK)
    if not compact:
        gains.tick_params(axis="y", labelleft=False)
    _key(figure, plan, before is not None, compact)
    return figure


def _share(n_experiments: int) -> float:
    """The width of the table beside the noise gains."""
    return float(np.clip(0.22 * n_experiments, 0.5, 2.2))


def _agree(plan: ExperimentPlan, targets, experiments, before) -> None:
    if len(targets) != len(plan.certificates):
        raise InputError(f"targets must name the plan's {len(plan.certificates)} targets; received {len(targets)}")
    if len(experiments) != len(plan.experiments):
        raise InputError(
            f"experiments must name the plan's {len(plan.experiments)} experiments; received {len(experiments)}"
        )
    if before is not None and len(before) != len(targets):
        raise InputError(f"before must hold a certificate per target, {len(targets)}; received {len(before)}")


def _draw_table(axes: Axes, plan: ExperimentPlan, experiments: Sequence[str], n: int) -> None:
    m = len(experiments)
    axes.set(xlim=(-0.6, max(m, 1) - 0.4), ylim=(n - 0.5, -0.5))
    axes.hlines(range(n), -0.6, max(m, 1) - 0.4, color=RULE, linewidth=0.6, linestyle=(0, (1, 3)), zorder=1)
    for k, e in enumerate(plan.experiments):
        for t in e.needed_by:
            axes.plot(k, t, "o", color=_SERVES, markersize=6, zorder=3)
        for t in e.identifies:
            axes.plot(k, t, "o", markerfacecolor="none", markeredgecolor=_SETTLES, markersize=11, mew=1.8, zorder=4)
    words = [f"{k + 1}. {shortened(str(name), 14)}" for k, name in enumerate(experiments)]
    steep = m > 3 or max((len(word) for word in words), default=0) > 9
    axes.set_xticks(range(m), words, rotation=40 if steep else 0, ha="right" if steep else "center", parse_math=False)
    axes.tick_params(axis="both", length=0, labelcolor=INK)
    axes.tick_params(axis="x", rotation=40 if steep else 0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.set_title("measure, in order" if m else "nothing to measure")


def _draw_gains(axes: Axes, plan: ExperimentPlan, before: Sequence[SpanCertificate] | None) -> None:
    after = [c.noise_gain for c in plan.certificates]
    now = [c.noise_gain for c in before] if before is not None else after
    finite = [g for g in (*after, *now) if np.isfinite(g)] or [1.0]
    low, high = min(finite) / 2.5, max(finite) * 2.5
    far = high * (high / low) ** 0.12  # where what is not identified stands
    axes.set(xscale="log", xlim=(low, far * (far / high) ** 1.4), ylim=(len(after) - 0.5, -0.5), title="noise gain")
    ticks = _ticks(low, high)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    if not np.isfinite([*after, *now]).all():
        axes.axvspan(high, axes.get_xlim()[1], color=tint(_LOST, 0.1), linewidth=0, zorder=0)
    for t, (g, g0) in enumerate(zip(after, now, strict=True)):
        guide(axes, t)
        if before is not None:
            _mark(axes, g0, t, far, filled=False)
        _mark(axes, g, t, far, filled=True)
    axes.tick_params(axis="y", length=0)
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)


def _ticks(low: float, high: float) -> list[float]:
    """One, two and five in every decade, thinned to six."""
    every = [s * 10.0**k for k in range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high)))) for s in (1, 2, 5)]
    inside = [tick for tick in every if low <= tick <= high]
    return inside[:: -(-len(inside) // 6) or 1]


def _mark(axes: Axes, gain: float, t: int, far: float, *, filled: bool) -> None:
    known = np.isfinite(gain)
    colour = (PREDICTED if filled else TRUE) if known else _LOST
    look = {"markerfacecolor": colour if filled else "white", "markeredgecolor": colour, "markeredgewidth": 1.3}
    axes.plot(
        gain if known else far, t, "o" if known else "X", markersize=7 if filled else 9, zorder=3 + filled, **look
    )
    if filled:
        axes.annotate(
            number(gain) if known else "∞", (gain if known else far, t), xytext=(7, 0), textcoords="offset points",
            va="center", fontsize=8, color=INK, zorder=6,
        )  # fmt: skip


def _key(figure: Figure, plan: ExperimentPlan, with_before: bool, compact: bool) -> None:
    ring = {"markerfacecolor": "none", "markeredgewidth": 1.6}
    handles = [
        Line2D([], [], linestyle="none", marker="o", color=_SERVES, label="needed by the target"),
        Line2D([], [], linestyle="none", marker="o", markeredgecolor=_SETTLES, label="then identified", **ring),
    ] * bool(plan.experiments)
    handles.append(Line2D([], [], linestyle="none", marker="o", color=PREDICTED, label="with the plan"))
    if with_before:
        handles.append(Line2D([], [], linestyle="none", marker="o", markeredgecolor=TRUE, label="as measured", **ring))
    if plan.unreachable or (with_before and plan.experiments):
        handles.append(Line2D([], [], linestyle="none", marker="X", color=_LOST, label="not identified"))
    key(figure, handles, columns=2 if compact else 5)


@in_house_style
def cell_allocation(
    conditions: Sequence[str], existing: Sequence[int], added: Sequence[int], *, width: float = WIDE
) -> Figure:
    """Cells in hand and cells to add, by condition.

    Args:
        conditions: Their names.
        existing: Cells in hand.
        added: Cells to add.
        width: In inches.

    Raises:
        InputError: If lengths disagree or a number is negative.
    """
    have, more = (np.asarray(v, dtype=np.float64) for v in (existing, added))
    if not len(conditions) or have.shape != (len(conditions),) or more.shape != have.shape:
        raise InputError(
            f"conditions, existing and added must agree in length, one or more; received {len(conditions)}, "
            f"{have.shape} and {more.shape}"
        )
    if not (np.isfinite([*have, *more]).all() and min([*have, *more]) >= 0):
        raise InputError("existing and added must be numbers of cells ≥ 0")
    sheet = ruled([Block("", (), tuple(str(c) for c in conditions))], width, below=0.95)
    for y, h, m in zip(sheet.heights[0], have, more, strict=True):
        _draw_cells(sheet.axes, y, h, m)
    most = max((have + more).max(), 1.0)
    sheet.axes.set_xlim(0, most * (1.45 if is_compact(width) else 1.22))
    sheet.axes.xaxis.set_major_locator(MaxNLocator(4 if is_compact(width) else 7, integer=True))
    sheet.axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    sheet.axes.set_xlabel("cells")
    handles = [Patch(facecolor=_IN_HAND, label="in hand"), Patch(facecolor=PREDICTED, label="to add")]
    key(sheet.figure, handles, columns=2)
    return sheet.figure


def _draw_cells(axes: Axes, y: float, have: float, more: float) -> None:
    bar = {"height": 0.13, "zorder": 3, "linewidth": 0}
    axes.barh(y, have, color=_IN_HAND, **bar)
    axes.barh(y, more, left=have, color=PREDICTED, **bar)
    words = f"{have:,.0f}" + (f" + {more:,.0f}" if more else "")
    axes.annotate(words, (have + more, y), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
