"""Tests as pictures: a statistic among its relabellings, and p-values before and after correction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from pdae_sim._checks import between
from pdae_sim.analysis.hypothesis_tests.multiple_testing import CorrectedTests
from pdae_sim.analysis.hypothesis_tests.two_sample import TwoSampleTest
from pdae_sim.errors import InputError
from pdae_sim.report._palette import INK, MUTED, PREDICTED, TRUE, WIDE, in_house_style, is_compact, tint
from pdae_sim.report._rows import Block, Sheet, guide, key, number, ruled

_UNIT_LEVEL = 0.95
_BANDS = ((0.0, 0.5, 0.12), (0.5, 0.9, 0.3), (0.9, 0.95, 0.5), (0.95, 0.99, 0.75))  # quantiles, and how dark
_RANKS = "mmd"  # a statistic that is itself a share of relabellings


@in_house_style
def null_distributions(tests: Mapping[str, TwoSampleTest], *, level: float = 0.05, width: float = WIDE) -> Figure:
    """Each statistic beside the quantiles of its own relabellings, in units of their 95 % quantile.

    A permutation test keeps quantiles of its null distribution, and these are drawn: 0–50, 50–90, 90–95 and 95–99 %,
    darker towards the tail. The statistic is orange where its p-value, not corrected for the number of tests, is at
    most the level. A statistic that is a rank among relabellings is shown as it is.

    Args:
        tests: By condition, all of one kind.
        level: Of rejection.
        width: In inches.

    Raises:
        InputError: If there is no test, kinds are mixed or the level is out of range.
    """
    kinds = {test.kind for test in tests.values()}
    if len(kinds) != 1:
        raise InputError(f"tests must be of one kind, one test or more; received {', '.join(sorted(kinds)) or 'none'}")
    between("level", level, 0.0, 1.0)
    ranks = kinds == {_RANKS}
    compact = is_compact(width)
    sheet = ruled([Block("", (), tuple(str(name) for name in tests))], width, below=1.15 if compact else 0.95)
    for test, y in zip(tests.values(), sheet.heights[0], strict=True):
        _draw_null(sheet.axes, test, y, level, unit=1.0 if ranks else _unit(test))
        _note(sheet.axes, y, f"p = {number(test.p_value)}" if compact else _words(test))
    _axis_of_statistics(sheet.axes, ranks)
    _key_of_nulls(sheet, next(iter(tests.values())), level, compact)
    return sheet.figure


def _unit(test: TwoSampleTest) -> float:
    """The 95 % quantile; 1 where all relabellings give zero."""
    return test.null_quantiles[_UNIT_LEVEL] or 1.0


def _words(test: TwoSampleTest) -> str:
    return f"{number(test.statistic)}, p = {number(test.p_value)}"


def _draw_null(axes: Axes, test: TwoSampleTest, y: float, level: float, *, unit: float) -> None:
    guide(axes, y)
    quantiles = {0.0: 0.0} | test.null_quantiles
    for low, high, share in _BANDS:
        ends = np.array([quantiles[low], quantiles[high]]) / unit
        axes.plot(ends, [y, y], color=tint(MUTED, share), linewidth=8, solid_capstyle="butt", zorder=2)
    colour = PREDICTED if test.p_value <= level + 1e-12 else TRUE
    axes.plot(test.statistic / unit, y, "o", color=colour, markersize=6.5, markeredgecolor="white", zorder=5)


def _axis_of_statistics(axes: Axes, ranks: bool) -> None:
    axes.set_xlim(left=0.0)
    if ranks:
        axes.set_xlabel("greatest rank over bandwidths, as a share")
        return
    axes.set_xlabel("statistic ÷ 95 % quantile of its relabellings")
    if axes.get_xlim()[1] > 8.0:
        axes.set_xscale("symlog", linthresh=1.0)
        axes.set_xlim(0.0, axes.get_xlim()[1])
        axes.set_xticks(*_decades(axes.get_xlim()[1]))
        axes.xaxis.set_minor_formatter(NullFormatter())


def _decades(most: float) -> tuple[list[float], list[str]]:
    ticks = [0.0, 0.5, *(step * 10.0**k for k in range(9) for step in (1, 3) if step * 10.0**k <= most)]
    return ticks, [f"{tick:g}" for tick in ticks]


def _key_of_nulls(sheet: Sheet, test: TwoSampleTest, level: float, compact: bool) -> None:
    words = [f"{100 * low:g}–{100 * high:g} %" for low, high, _ in _BANDS]
    handles = [Patch(facecolor=tint(MUTED, share), label=w) for w, (_, _, share) in zip(words, _BANDS, strict=True)]
    handles += [
        Line2D([], [], linestyle="none", marker="o", color=PREDICTED, label=f"p ≤ {level:g}, uncorrected"),
        Line2D([], [], linestyle="none", marker="o", color=TRUE, label=f"p > {level:g}"),
    ]
    key(sheet.figure, handles, columns=2 if compact else 6)


def _note(axes: Axes, y: float, text: str, *, colour: str = MUTED) -> None:
    """Beside the axes, at the right."""
    axes.annotate(
        text, (1.0, y), xycoords=("axes fraction", "data"), xytext=(7, 0), textcoords="offset points", va="center",
        ha="left", fontsize=7.8, color=colour, annotation_clip=False, parse_math=False,
    )  # fmt: skip


@dataclass(frozen=True)
class Remark:
    """What is said beside a hypothesis, and whether its p-value says nothing.

    Args:
        text: Beside the axes.
        silent: Drawn hollow: whatever p is, too little is known.
    """

    text: str
    silent: bool = False


@in_house_style
def corrected_p_values(
    found: CorrectedTests,
    *,
    level: float = 0.05,
    remarks: Mapping[str, Remark] | None = None,
    width: float = WIDE,
) -> Figure:
    """The p-value of every hypothesis with both corrections, the smallest first, on a log axis.

    Rejected are those whose Holm-corrected value is in the shaded part; a value can be no smaller than the number of
    relabellings allows, and where tests are given that end of the axis is marked.

    Args:
        found: As `two_sample_tests` or `adjust_p_values` give it.
        level: α of Holm's correction, q of BH's.
        remarks: By hypothesis; what Holm and BH decide, where absent.
        width: In inches.

    Raises:
        InputError: If there is no hypothesis, a remark is on none of them, or the level is out of range.

    References:
        Holm (1979); Benjamini & Hochberg (1995).
    """
    if not found.p_values:
        raise InputError("found must hold one p-value or more; it holds none")
    if unknown := set(remarks or {}) - set(found.p_values):
        raise InputError(f"remarks must be on hypotheses in found; {sorted(unknown)[0]!r} is none of them")
    between("level", level, 0.0, 1.0)
    compact = is_compact(width)
    order = sorted(found.p_values, key=found.p_values.get)
    said = remarks or {name: Remark(_decision(found, name, level)) for name in order}
    sheet = ruled([Block("", (), tuple(str(name) for name in order))], width, below=1.2 if compact else 0.95)
    least = _axis_of_p_values(sheet.axes, found, level)
    for name, y in zip(order, sheet.heights[0], strict=True):
        remark = said.get(name, Remark(""))
        _draw_p_values(sheet.axes, y, (found.p_values[name], found.bh[name], found.holm[name]), level, remark)
    _mark_least(sheet, least)
    _key_of_p_values(sheet, said.values(), level, compact)
    return sheet.figure


def _decision(found: CorrectedTests, name: str, level: float) -> str:
    if found.holm[name] <= level:
        return "rejected"
    return "by BH only" if found.bh[name] <= level else "not rejected"


def _axis_of_p_values(axes: Axes, found: CorrectedTests, level: float) -> float | None:
    """The least p-value that the tests could give, where they are known."""
    draws = [getattr(t, "n_permutations", getattr(t, "n_multipliers", 0)) for t in found.tests.values()]
    least = 1 / (max(draws) + 1) if draws and min(draws) > 0 else None
    positive = [p for p in found.p_values.values() if p > 0]
    left = min([*positive, level, least or 1.0]) / 1.8
    axes.set(xscale="log", xlim=(left, 1.5))
    axes.xaxis.set_major_locator(LogLocator(numticks=7))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda p, _: f"{p:g}" if p >= 1e-4 else f"{p:.0e}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.axvspan(left, level, color=tint(PREDICTED, 0.1), linewidth=0, zorder=0)
    axes.axvline(level, color=PREDICTED, linewidth=0.9, linestyle=(0, (4, 2)), zorder=2)
    axes.set_xlabel("p-value, log scale")
    return least


def _draw_p_values(axes: Axes, y: float, values: tuple[float, float, float], level: float, remark: Remark) -> None:
    floor = axes.get_xlim()[0]
    p, bh, holm = (max(value, floor) for value in values)
    colour = PREDICTED if values[2] <= level else TRUE
    guide(axes, y)
    axes.plot([p, holm], [y, y], color=tint(colour, 0.4), linewidth=1.4, zorder=3)
    axes.plot(p, y, "|", color=MUTED, markersize=9, markeredgewidth=1.6, zorder=4)
    axes.plot(bh, y, "D", color=tint(colour, 0.45), markersize=4.5, zorder=4)
    face = "white" if remark.silent else colour
    axes.plot(holm, y, "o", markerfacecolor=face, markeredgecolor=colour, markeredgewidth=1.3, markersize=6, zorder=5)
    _note(axes, y, remark.text, colour=INK if values[2] <= level and not remark.silent else MUTED)


def _mark_least(sheet: Sheet, least: float | None) -> None:
    if least is not None:
        sheet.axes.plot([least, least], [0, sheet.depth], color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)
        sheet.axes.annotate(
            f"least: {number(least)}", (least, sheet.depth), xytext=(3, 3), textcoords="offset points",
            fontsize=7, color=MUTED, ha="left", va="bottom", zorder=6,
        )  # fmt: skip


def _key_of_p_values(sheet: Sheet, remarks: Sequence[Remark], level: float, compact: bool) -> None:
    handles = [
        Line2D([], [], linestyle="none", marker="|", color=MUTED, markersize=9, label="as tested"),
        Line2D([], [], linestyle="none", marker="D", color=tint(TRUE, 0.45), markersize=4.5, label="BH"),
        Line2D([], [], linestyle="none", marker="o", color=TRUE, label="Holm"),
        Patch(facecolor=tint(PREDICTED, 0.25), label=f"rejected at {100 * level:g} %"),
    ]
    if any(remark.silent for remark in remarks):
        hollow = {"markerfacecolor": "white", "markeredgecolor": TRUE}
        handles.append(Line2D([], [], linestyle="none", marker="o", label="too little overlap to tell", **hollow))
    key(sheet.figure, handles, columns=2 if compact else len(handles))
