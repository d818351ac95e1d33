"""The page of the judges: which metric of a prediction sees which error, how far off it is, and how it ranks.

Run: `python -m experiments.judges_page`, after `python -m experiments.benchmarks.judges --out FILE`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from experiments.benchmarks.judges import FAMILIES, LAWS, METRICS, PLANTED
from pdae_sim._files import write_text
from pdae_sim.report import (
    ENVIRONMENTS,
    INK,
    MUTED,
    PREDICTED,
    TRUE,
    Callout,
    Illustration,
    Page,
    Section,
    Table,
    new_figure,
    render_page,
    styled,
)

RESULTS = Path(__file__).parent / "results"
SEEN = LinearSegmentedColormap.from_list("seen", ["#ffffff", TRUE])
MISLED = LinearSegmentedColormap.from_list("misled", ["#ffffff", PREDICTED])
OTHERS = tuple(name for name in METRICS if name not in LAWS)
_WORDS = {"counts": "counts", "noiseless": "no noise"}
_CATCHES = 0.8


def page(results: dict) -> Page:
    """The page of stored results, which hold counts, and worlds without noise beside them."""
    counts, (few, many) = results["counts"], sizes(results)
    lead = (
        f"{len(METRICS)} metrics of a predicted perturbation, each asked to tell true cells from six wrong "
        f"predictions: {counts['conditions']} conditions of {counts['worlds']} simulated screens of 100 genes, "
        f"{few} to {many} cells a condition, the truth known."
    )
    made = [f"{each['provenance']['command']} ({each['provenance']['date']})" for each in results.values()]
    about = counts["provenance"]
    return Page(
        title="Which metric to trust, and when",
        lead=lead,
        sections=[_power(results), _order(results)],
        colophon=f"{'; '.join(dict.fromkeys(made))}; then python -m experiments.judges_page.\n"
        f"pdae_sim {about['version']}; {about['machine']}.",
        legend=False,
    )


def sizes(results: dict) -> tuple[int, int]:
    """How many cells a small and a large screen have."""
    measured = results["counts"]["sizes"]
    return min((n for n in measured if n >= 100), default=min(measured)), max(measured)


def power(results: dict, kind: str, n: int, metric: str, error: str) -> float:
    """Share of conditions in which a metric catches an error at 5 %."""
    return float(results[kind]["cells"][str(n)][metric]["power"][error][0])


def prefers(results: dict, kind: str, n: int, metric: str, error: str) -> float | None:
    """How often a metric puts the wrong prediction first; None unless that is more than half, to what worlds tell."""
    wins, half = results[kind]["cells"][str(n)][metric]["wins"][error]
    return float(1 - wins) if wins + half < 0.5 else None


def _power(results: dict) -> Section:
    few, many = sizes(results)
    caption = (
        "Blue: power, the share of conditions (%) in which the wrong prediction scores worse than each of 19 fresh "
        "samples of the true law (5 would be chance). Orange: the metric puts the wrong prediction before the true "
        "one, in so many % of the comparisons. Above the gap metrics of laws, below it those of means and features."
    )
    panels = [("counts", few), ("counts", many), *[("noiseless", few)] * ("noiseless" in results)]
    return Section(
        "Which errors a metric sees",
        callouts=[_best(results), _blind(results)],
        figures=[Illustration(heat_map(results, panels), caption)],
        tables=[_by_error(results)],
    )


def _best(results: dict) -> Callout:
    few, _ = sizes(results)
    best = max(LAWS, key=lambda name: np.mean([power(results, "counts", few, name, error) for error in PLANTED]))
    caught = [error for error in PLANTED if power(results, "counts", few, best, error) >= _CATCHES]
    misled = [error for error in PLANTED for n in sizes(results) if prefers(results, "counts", n, best, error)]
    words = (
        f"{best} has the highest power over all six errors in counts of {few} cells, and puts "
        f"{_listed(misled) if misled else 'no error'} before the truth; it catches "
        f"{_listed(caught)} in {100 * _CATCHES:.0f} % of the conditions or more."
    )
    return Callout("note", words, "Trust first")


def _blind(results: dict) -> Callout:
    """What metrics of means and features do where the law alone is wrong."""
    few, many = sizes(results)
    most = max(power(results, "counts", many, name, error) for name in OTHERS for error in PLANTED[:3])
    fooled = [first for name in OTHERS if (first := prefers(results, "counts", few, name, "tiled mean")) is not None]
    words = (
        "Pearson Δ, discrimination, differential expression and R² of means do not look at the law: against the tiled "
        f"mean, shuffled features and half the spread their power is at most {100 * most:.0f} %, even with {many} "
        f"cells, and {len(fooled)} of {len(OTHERS)} put a table of identical cells before true ones, in up to "
        f"{100 * max(fooled, default=0):.0f} % of the comparisons."
    )
    return Callout("note", words, "Never alone")


def _biased(results: dict) -> Callout:
    (few, _), cells = sizes(results), results["counts"]["cells"]
    share = lambda name: f"{100 * cells[str(few)][name]['bias']:.0f} %"  # noqa: E731
    words = (
        f"A perfect prediction of {few} cells scores {share('energy distance (V)')} as badly as swapped labels by the "
        f"V-statistic of the energy distance, {share('exact Wasserstein')} by exact Wasserstein, which puts the tiled "
        f"mean first for that reason, {share('distance of means')} by the distance of means, "
        f"{share('Pearson Δ')} by Pearson Δ; {share('energy distance (U)')} by the U-statistic, "
        f"{share('MMD²')} by MMD²."
    )
    return Callout("note", words, "Not between different numbers of cells")


def _unseen(results: dict) -> Callout:
    """Errors that no metric catches in counts, and how far off they are."""
    few, many = sizes(results)
    best = lambda kind, n, error: max(power(results, kind, n, name, error) for name in METRICS)  # noqa: E731
    missed = [error for error in PLANTED if best("counts", many, error) < _CATCHES]
    exact = results["counts"]["energy distance of large samples"]
    told = [f"{e} (at best {100 * best('counts', many, e):.0f} %; energy distance {exact[e]:.3f})" for e in missed]
    words = f"In counts of {many} cells no metric reliably catches {_listed(told)}.".replace("-", "−")
    if missed and "noiseless" in results:
        clear = [f"{e} {100 * best('noiseless', few, e):.0f} %" for e in missed]
        words += f" Without the noise of counts the best metric catches, at {few} cells: {_listed(clear)}."
    return Callout("note", words, "Beyond every metric")


def _listed(words: list[str]) -> str:
    return ", ".join(words[:-1]) + " and " * (len(words) > 1) + words[-1] if words else "none"


def _by_error(results: dict) -> Table:
    few, many = sizes(results)
    rows = []
    for error in PLANTED:
        powers = {name: power(results, "counts", few, name, error) for name in METRICS}
        best = max(powers.values())
        fooled = [name for name in METRICS if prefers(results, "counts", few, name, error) is not None]
        seen = [name for name, value in powers.items() if value >= max(best - 0.1, 0.15)]
        later = max(power(results, "counts", many, name, error) for name in seen) if seen else None
        rows.append((error, ", ".join(seen) or "none", 100 * best, later and 100 * later, ", ".join(fooled) or "none"))
    columns = (
        "error",
        "ask",
        f"power at {few} cells, %",
        f"at {many} cells, %",
        "do not ask: puts the error first",
    )
    note = (
        "Tiled mean: every cell is the true mean. Features shuffled: true cells, each feature by itself, so that means "
        "and variances are right and correlations none. Half the spread: true cells, half as far from their mean. "
        "Nearest neighbour: measured cells of the nearest training condition. Control shifted: control cells moved by "
        "the true change of the mean. Ask: within ten points of the best."
    )
    return Table(columns, rows, title="Counts: whom to ask", note=note, digits=2)


def _order(results: dict) -> Section:
    few, _ = sizes(results)
    caption = (
        "Left: how badly a perfect prediction scores, as a share of what swapped labels get from as many cells; "
        "nought is no bias. Right: standard deviation over fresh samples of the true law, as a share of the distance "
        "between true and swapped. Counts."
    )
    found = results["counts"]
    large = found["agreement of large samples"]["all"]
    words = (
        "Order is judged on 15 laws of known Kullback–Leibler divergence from the truth, that of f(z) before counts: "
        "other doses and labels, and other spreads and correlations of latents. Spearman's rank correlation, Kendall's "
        "in brackets; the energy distance of large samples, which no noise disturbs, itself comes to "
        f"{large[0][0]:.2f} ({large[1][0]:.2f}) in counts. Planted errors have no density on the image of f, so that "
        "their divergence is infinite; they are ranked by the energy distance of large samples."
    )
    return Section(
        "How far off, and in which order",
        [words],
        callouts=[_biased(results), _unseen(results)],
        figures=[Illustration(bias_curves(results), caption)],
        tables=[_agreement(results, kind, few) for kind in results],
    )


def _agreement(results: dict, kind: str, n: int) -> Table:
    found = results[kind]["cells"][str(n)]
    pair = lambda v: f"{v[0][0]:.2f} ± {v[0][1]:.2f} ({v[1][0]:.2f})".replace("-", "−")  # noqa: E731
    rows = [
        (name, *(pair(own["agreement"][family]) for family in FAMILIES), pair(own["agreement on planted errors"]))
        for name, own in found.items()
    ]
    columns = ("metric", "all laws", "shifts alone", "spread, correlation", "planted errors")
    return Table(columns, rows, title=f"Rank agreement with the exact divergence: {_WORDS[kind]}, {n} cells")


@styled
def heat_map(results: dict, shown: list[tuple[str, int]]) -> Figure:
    """Power by metric and wrong prediction, a panel for each kind of world and number of cells."""
    figure = new_figure(4.7, side=0.06)
    panels = figure.subplots(1, len(shown), sharey=True)
    for panel, (kind, n) in zip(np.atleast_1d(panels), shown, strict=True):
        _draw(panel, results, kind, n)
        panel.set_title(f"{_WORDS[kind]}, {n} cells", pad=6)
    return figure


def _draw(panel: Axes, results: dict, kind: str, n: int) -> None:
    """One panel; a gap parts metrics of laws from those of means and features."""
    places = [i + 0.35 * (name not in LAWS) for i, name in enumerate(METRICS)]
    for y, name in zip(places, METRICS, strict=True):
        for x, error in enumerate(PLANTED):
            first, value = prefers(results, kind, n, name, error), power(results, kind, n, name, error)
            share, colours = (value, SEEN) if first is None else (first, MISLED)
            box = panel.add_patch(_square(x, y))
            box.set_facecolor(colours(0.9 * share if first is None else 0.9 * (2 * share - 1)))
            dark = (share if first is None else 2 * share - 1) > 0.55
            panel.text(x, y, f"{100 * share:.0f}", ha="center", va="center", size=7.6, color="white" if dark else INK)
    panel.set_xlim(-0.5, len(PLANTED) - 0.5)
    panel.set_ylim(places[-1] + 0.5, -0.5)
    panel.set_xticks(range(len(PLANTED)), PLANTED, rotation=55, ha="right", rotation_mode="anchor")
    panel.set_yticks(places, METRICS)
    panel.tick_params(length=0)
    panel.spines[:].set_visible(False)


def _square(x: float, y: float):
    from matplotlib.patches import Rectangle

    return Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, linewidth=0)


@styled
def bias_curves(results: dict) -> Figure:
    """Bias and noise of metrics over the number of cells, in counts."""
    figure = new_figure(3.5)
    shown = [name for name, metric in METRICS.items() if metric.perfect is not None]
    cells, found = results["counts"]["sizes"], results["counts"]["cells"]
    for panel, key in zip(figure.subplots(1, 2), ("bias", "noise"), strict=True):
        ends = {}
        for i, name in enumerate(shown):
            values = [found[str(n)][name][key] for n in cells]
            dashes = "-" if name in LAWS else (0, (4, 2))
            colour = _LINES.get(name, ENVIRONMENTS[i % len(ENVIRONMENTS)])
            panel.plot(cells, values, color=colour, linestyle=dashes, linewidth=1.6, marker="o", markersize=3)
            ends[name] = (values[-1], colour)
        panel.set_xscale("log", base=2)
        panel.set_xticks(cells, [str(n) for n in cells])
        panel.set_xlabel("cells a condition")
        panel.plot(cells, np.zeros(len(cells)), color=MUTED, linewidth=0.7)
        panel.set_title({"bias": "bias, share of swapped labels", "noise": "standard deviation, the same share"}[key])
        _name_ends(panel, ends, cells[-1])
    return figure


_LINES = {"energy distance (U)": TRUE, "energy distance (V)": "#7fb0dd", "exact Wasserstein": PREDICTED}


def _name_ends(panel: Axes, ends: dict[str, tuple[float, str]], last: int) -> None:
    """Names at the right of the lines, pushed apart."""
    low, high = panel.get_ylim()
    step, at = (high - low) / 17, -np.inf
    for name, (value, colour) in sorted(ends.items(), key=lambda item: item[1][0]):
        at = max(value, at + step)
        panel.annotate(
            name, (last, value), (last * 1.12, at), color=colour, size=7.2, va="center", annotation_clip=False
        )
    panel.set_xlim(right=last * 4.2)


def main(path: Path = RESULTS / "judges.html", source: Path = RESULTS / "judges.json") -> None:
    """Write the page."""
    write_text(path, render_page(page(json.loads(source.read_text(encoding="utf-8")))), force=True)
    print(path)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
