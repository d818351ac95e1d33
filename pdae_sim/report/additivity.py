"""The test of additivity as a picture: where the product formula fails, and for which combinations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from pdae_sim._checks import whole
from pdae_sim.analysis.hypothesis_tests.additivity import MIN_OVERLAP_CELLS, AdditivityTest
from pdae_sim.analysis.hypothesis_tests.multiple_testing import CorrectedTests
from pdae_sim.errors import InputError
from pdae_sim.report._palette import INK, MUTED, PREDICTED, TRUE, WIDE, blank, in_house_style, is_compact, tint
from pdae_sim.report._rows import shortened
from pdae_sim.report.two_samples import Remark, corrected_p_values

_ACROSS = 4  # panels side by side


@in_house_style
def additivity_cells(
    test: AdditivityTest, features: Sequence[str] | None = None, *, n_slopes: int = 10, width: float = WIDE
) -> Figure:
    """Where one product formula fails: cells against those expected under it, and slopes of the log ratio by column.

    Above, one panel per condition: cells in each bin of the column where the formula fails most, with ± twice the
    square root of the number expected as a guide to the eye. Below, the columns with the largest slope in units of
    its standard error, with ± two errors.

    Args:
        test: The evidence.
        features: The d_X names of the columns; numbers if None.
        n_slopes: Columns shown below.
        width: In inches.

    Raises:
        InputError: If names and columns disagree in number.
    """
    d = len(test.slopes)
    names = [f"column {j}" for j in range(d)] if features is None else [str(name) for name in features]
    if len(names) != d:
        raise InputError(f"features must name the {d} columns of the test; received {len(names)}")
    shown = min(whole("n_slopes", n_slopes), d)
    columns = min(2 if is_compact(width) else _ACROSS, len(test.conditions))
    rows = -(-len(test.conditions) // columns)
    heights = [1.5] * rows + [0.19 * shown + 0.35]
    figure = blank(width, sum(heights) + (1.3 if is_compact(width) else 1.1))
    figure.get_layout_engine().set(w_pad=0.1)
    grid = figure.add_gridspec(rows + 1, columns, height_ratios=heights)
    for e, condition in enumerate(test.conditions):
        _draw_bins(figure.add_subplot(grid[divmod(e, columns)]), test, e, str(condition))
    _draw_slopes(figure.add_subplot(grid[rows, :]), test, names, shown, width)
    _head(figure, test, width)
    return figure


def _draw_bins(axes: Axes, test: AdditivityTest, e: int, condition: str) -> None:
    observed, expected = test.observed_counts[:, e], test.expected_counts[:, e]
    bins, colour = np.arange(len(observed)), PREDICTED if e == len(test.conditions) - 1 else TRUE
    half = 2 * np.sqrt(expected)
    axes.bar(bins, 2 * half, bottom=expected - half, width=0.8, color=tint(MUTED, 0.25), linewidth=0, zorder=2)
    axes.hlines(expected, bins - 0.4, bins + 0.4, color=MUTED, linewidth=1.2, zorder=3)
    axes.plot(bins, observed, "o", color=colour, markersize=4.5, markeredgecolor="white", zorder=4)
    axes.set_title(shortened(condition, 20), fontsize=9, parse_math=False)
    axes.set_xticks([bins[0], bins[-1]], ["low", "high"])
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(3, integer=True))


def _draw_slopes(axes: Axes, test: AdditivityTest, names: Sequence[str], shown: int, width: float) -> None:
    ratio = np.abs(test.slopes / test.slope_errors)
    chosen = np.argsort(-ratio, kind="stable")[:shown]
    y = np.arange(shown)
    colours = [PREDICTED if ratio[j] > 2 else TRUE for j in chosen]
    axes.hlines(y, *(test.slopes[chosen] + s * 2 * test.slope_errors[chosen] for s in (-1, 1)), color=colours, lw=1.4)
    axes.scatter(test.slopes[chosen], y, c=colours, s=22, zorder=4)
    axes.axvline(0.0, color=MUTED, linewidth=0.8, zorder=1)
    axes.set_yticks(y, [shortened(names[j], 16 if is_compact(width) else 32) for j in chosen], parse_math=False)
    axes.tick_params(axis="y", length=0, labelcolor=INK, labelsize=8.2)
    axes.set_ylim(shown - 0.4, -0.6)
    axes.xaxis.set_major_locator(MaxNLocator(5 if is_compact(width) else 7))
    axes.grid(True, axis="x")
    more = f" ({shown} of {len(names)} columns)" if shown < len(names) else ""
    per = "SD" if is_compact(width) else "standard deviation"
    axes.set_xlabel(f"log ratio per {per} ± 2 errors{'' if is_compact(width) else more}")


def _head(figure: Figure, test: AdditivityTest, width: float) -> None:
    compact = is_compact(width)
    cells = f"{test.effective_cells:,.0f} effective of {int(test.counts.sum()):,} cells"
    little = "; too little overlap to tell" if test.effective_cells < MIN_OVERLAP_CELLS else ""
    title = f"{test.target}: p = {test.p_value:.3g}" + ("\n" if compact else "; ") + cells + little
    handles = [
        Line2D([], [], linestyle="none", marker="o", color=TRUE, label=f"cells by {shortened(test.feature, 18)}"),
        Patch(facecolor=tint(MUTED, 0.25), label="expected if effects add, ± 2√n"),
    ]
    key = figure.legend(
        handles=handles, loc="outside upper left", ncols=1 if compact else 2, title=title, alignment="left",
        title_fontproperties={"weight": "bold", "size": 9.5 if compact else 10.5}, labelcolor=INK,
    )  # fmt: skip
    for text in (key.get_title(), *key.get_texts()):
        text.set(parse_math=False)


def additivity_summary(found: CorrectedTests, *, level: float = 0.05, width: float = WIDE) -> Figure:
    """Every combination tested: p-values before and after correction, and how many effective cells speak.

    Hollow are those with too few effective cells to tell, whatever p says.

    Args:
        found: As `additivity_tests` gives it.
        level: Of rejection after correction.
        width: In inches.

    Raises:
        InputError: If a hypothesis has no test of additivity behind it.
    """
    if missing := [name for name in found.p_values if not hasattr(found.tests.get(name), "effective_cells")]:
        raise InputError(f"found must hold a test of additivity of {missing[0]!r}; run additivity_tests")
    remarks = {name: _remark(test, is_compact(width)) for name, test in found.tests.items()}
    return corrected_p_values(found, level=level, remarks=remarks, width=width)


def _remark(test: AdditivityTest, compact: bool) -> Remark:
    cells = f"{test.effective_cells:,.0f}"
    text = f"{cells} eff." if compact else f"{cells} effective of {int(test.counts.sum()):,} cells"
    return Remark(text, silent=test.effective_cells < MIN_OVERLAP_CELLS)
