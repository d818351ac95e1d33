"""The page of the atlas: measured tables, what was said before held-out cells were seen, and how it fared.

Run: `python -m experiments.atlas_page`, after `python -m experiments.benchmarks.atlas`.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from experiments.benchmarks.atlas import TABLES, promised
from pdae_sim._files import write_text
from pdae_sim.report import Callout, Fact, Page, Section, Table, render_page

RESULTS = Path(__file__).parent / "results"
LEAD = (
    "Four public tables of single cells, each with combinations that were held out. The settings are those that ship; "
    "nothing was chosen on held-out cells by the runs shown here. Energy distances are unbiased, so that zero is the "
    "law itself; smaller is nearer."
)
_WHAT = {
    "pbmc": "Blood cells, mass cytometry: cell type × stimulus (Bodenmiller et al. 2012)",
    "mcfaline": "Glioblastoma lines × knock-downs, log-normalised RNA (McFaline-Figueroa et al. 2023)",
    "norman": "K562 cells, CRISPR activation, counts of 87 genes (Norman et al. 2019)",
    "sachs": "T cells, flow cytometry of eleven proteins (Sachs et al. 2005)",
}


def page(results: dict) -> Page:
    """The page of stored results."""
    fits, tested = results["fits"], results["combinations"]
    verdicts = Counter(row["verdict"] for row in tested)
    names = list(dict.fromkeys(fit["table"] for fit in fits))
    return Page(
        title="An atlas of measured tables",
        lead=LEAD,
        facts=[
            Fact(len(tested), "combinations tested", "against their parts, Holm by table"),
            *(Fact(verdicts[name], name) for name in ("additive", "not additive", "could not have been seen")),
        ],
        sections=[*(_section(name, fits, tested) for name in names), _promise(fits)],
        colophon="python -m experiments.benchmarks.atlas, then python -m experiments.atlas_page",
    )


def _section(name: str, fits: list[dict], tested: list[dict]) -> Section:
    own = [fit for fit in fits if fit["table"] == name]
    share = f"{TABLES[name].share:.0%} of the cells of other conditions in training"
    return Section(
        _WHAT[name],
        [f"{len(own)} seeds; {share}."],
        callouts=_callouts(own),
        tables=[_estimators(own), _combinations([row for row in tested if row["table"] == name])],
    )


def _means(fits: list[dict]) -> dict[str, list[float]]:
    """Mean over held-out combinations by estimator, one for each seed."""
    return {name: [_mean(fit["distances"][name]) for fit in fits] for name in fits[0]["distances"]}


def _mean(values: dict[str, float]) -> float:
    return float(np.mean(list(values.values())))


def _callouts(fits: list[dict]) -> list[Callout]:
    """Whether the default is the nearest, and whether a baseline is."""
    medians = {name: float(np.median(values)) for name, values in _means(fits).items()}
    best = min((name for name in medians if name != "pdae"), key=medians.__getitem__)
    words = f"{medians['pdae']:.3g} for the default, {medians[best]:.3g} for {best}, the best of the others."
    return [Callout("note", words, "nearest" if medians["pdae"] <= medians[best] else "not the nearest")]


def _estimators(fits: list[dict]) -> Table:
    means = _means(fits) | {"half of the cells": [_mean(fit["half of the cells"]) for fit in fits]}
    order = sorted(means, key=lambda name: np.median(means[name]))
    rows = [(name, np.median(means[name]), min(means[name]), max(means[name])) for name in order]
    sources = Counter(fit["source"] for fit in fits)
    used = ", ".join(f"{source} ({n})" for source, n in sources.most_common())
    return Table(
        ("estimator", "energy distance", "best seed", "worst seed"),
        rows,
        title="Mean over the held-out combinations, median over seeds",
        note=f"The default predicted by {used}. Half of the cells: one half taken for the law of the other, biased.",
    )


def _combinations(rows: list[dict]) -> Table:
    columns = ("combination", "held out", "cells", "effective", "p after Holm", "seen with 80 % power", "effects")
    return Table(
        columns,
        [
            (
                row["condition"],
                "yes" if row["held_out"] else "",
                row["cells"],
                row["effective_cells"],
                row["holm"],
                row["detectable"],
                row["verdict"],
            )
            for row in sorted(rows, key=lambda row: row["holm"])
        ],
        title="Every measured combination against its parts",
        note="Seen with 80 % power: the smallest slope of the log ratio by a standard deviation of a typical feature.",
    )


def _promise(fits: list[dict]) -> Section:
    told = promised(fits)
    rows = [
        (
            fit["table"],
            fit["seed"],
            fit["left_out"],
            fit["expected"],
            fit["limit"],
            _mean(fit["distances"]["pdae"]),
            max(fit["distances"]["pdae"].values()),
        )
        for fit in fits
    ]
    words = (
        [
            f"Over {told['predictions']} predictions the expected distance and that which came have a rank correlation "
            f"of {told['rank_correlation']:.2f}; {told['within_limit']:.0%} lie below their 95 % limit."
        ]
        if told
        else []
    )
    columns = ("table", "seed", "left out", "expected", "95 % limit", "came, mean", "came, worst")
    note = "A dash: fewer than three training combinations that the others identify, so that nothing is promised."
    return Section("What was promised", words, tables=[Table(columns, rows, note=note)])


def main(path: Path = RESULTS / "atlas.html", source: Path = RESULTS / "atlas.json") -> None:
    """Write the page."""
    write_text(path, render_page(page(json.loads(source.read_text(encoding="utf-8")))), force=True)
    print(path)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
