"""`additivity`: test the product formula on measured combinations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import pdae_sim
from pdae_sim import io, report
from pdae_sim._checks import naming
from pdae_sim.analysis import hypothesis_tests
from pdae_sim.cli._additivity import learnt_scales
from pdae_sim.cli._figures import check_figure, write_figure
from pdae_sim.cli._options import DatasetFile, DatasetOptions, FigureFile, Force, Seed, command
from pdae_sim.cli._output import NOTHING_JUDGED, Output
from pdae_sim.cli._tables import Table

if TYPE_CHECKING:
    from pdae_sim import PerturbationData
    from pdae_sim.analysis.hypothesis_tests import CorrectedTests

_SKIPPED = 20  # rows of combinations that cannot be judged
_LEVEL = 0.05
"""A formula whose p-value, corrected after Holm, is no greater is rejected."""

_NOTHING = "no measured condition is a combination of others; measure a combination and its parts"


@command
def additivity(
    output: Output,
    file: DatasetFile,
    options: DatasetOptions,
    target: Annotated[
        list[str] | None, typer.Option(help="A measured combination to test; repeat. Every one there is.")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="What can be tested, from labels alone; no test.")] = False,
    multipliers: Annotated[int, typer.Option(min=19, help="Sign-flipped copies behind each p-value.")] = 999,
    figure: FigureFile = None,
    seed: Seed = 0,
    force: Force = False,
) -> int:
    """Test whether the effects of measured combinations add. Status 1 if the product formula is rejected anywhere.

    Status 3 if no combination has cells enough to tell. Rejected are those of at most 5 % after Holm that overlap
    enough to tell. The figure shows where a single target fails, or all p-values where there are several.

    Doses of one perturbation are tested between their neighbours: is its effect straight in dose? A combination is
    tested against its parts at their own doses where these were measured.

    Rows are taken as independent. Where the same units were measured under every condition (paired rows, such as cell
    lines in a table of means) they are not, and p-values do not hold. They are for many cells: with 150 of 22 sparse
    genes a condition 7 % of true formulas are rejected at 5 %.
    """
    if listed:
        return _list(output, file, options)
    check_figure(figure, force=force)
    data = pdae_sim.PerturbationData.read(file, **options)
    with naming(file):
        results = _tested(data, target or [], multipliers, seed)
        figure = figure if results.tests else None
    rows = [_row(results, name) for name in results.tests]
    rows += [_skipped(*each) for each in results.skipped.items()]
    rejected = [row["condition"] for row in rows if row["rejected"]]
    payload = {"tests": rows, "rejected": rejected, "figure": figure}
    output.result(payload, [*_text(results, rows), *_scales(data, rows)])
    write_figure(figure, lambda: report.additivity_figure(results, data.features, level=_LEVEL), force=force)
    return int(bool(rejected)) if any(row["enough_overlap"] for row in rows) else NOTHING_JUDGED


def _list(output: Output, file: Path, options: DatasetOptions) -> int:
    """The combinations that can be tested and what each is tested against; X is not read."""
    data = io.read_labels(file, **options)
    with naming(file):
        relations = hypothesis_tests.additive_relations(data)
    counts = dict(zip(data.conditions, data.counts.tolist(), strict=True))
    rows = [{"condition": name, "coefficients": alpha, "cells": counts[name]} for name, alpha in relations.items()]
    sums = [" + ".join(f"{a:g} · {part}" for part, a in alpha.items()) for alpha in relations.values()]
    lines = [(row["condition"], row["cells"], total) for row, total in zip(rows, sums, strict=True)]
    table = Table("What can be tested", ("combination", "cells", "shift"), lines, prose=("shift",))
    output.result({"combinations": rows}, [table if lines else _NOTHING])
    return 0


def _tested(data: PerturbationData, targets: list[str], n_multipliers: int, seed: int) -> CorrectedTests:
    """Every target's test, corrected over all of them; a target's p-value by itself is the one it has among others."""
    with naming("--target"):
        names = list(dict.fromkeys(data.space.condition(data.space.exact(target)) for target in targets))
        return hypothesis_tests.additivity_tests(data, names or None, rng=seed, n_multipliers=n_multipliers)


def _row(results: CorrectedTests, name: str) -> dict:
    test, holm = results.tests[name], results.holm[name]
    enough = test.effective_cells >= hypothesis_tests.MIN_OVERLAP_CELLS
    steepest = int(abs(test.slopes / test.slope_errors).argmax())
    return {
        "condition": name,
        "of_doses": test.of_doses,
        "weights": dict(zip(test.conditions, test.weights.tolist(), strict=True)),
        "p_value": test.p_value,
        "holm": holm,
        "bh": results.bh[name],
        "rejected": holm <= _LEVEL and enough,
        "enough_overlap": enough,
        "effective_cells": test.effective_cells,
        "cells": int(test.counts.sum()),
        "feature": test.feature,
        "slope": float(test.slopes[steepest]),
        "slope_error": float(test.slope_errors[steepest]),
        "reason": None
        if enough
        else f"too little overlap; {hypothesis_tests.MIN_OVERLAP_CELLS:g} effective cells tell",
    }


def _skipped(name: str, reason: str) -> dict:
    """The row of a combination that too few cells are behind."""
    return {"condition": name, "p_value": None, "rejected": False, "enough_overlap": False, "reason": reason}


def _text(results: CorrectedTests, rows: list[dict]) -> list[str | Table]:
    columns = {
        "condition": "condition",
        "p_value": "p",
        "holm": "Holm",
        "bh": "BH",
        "effective_cells": "effective cells",
        "cells": "cells",
    }
    columns |= {"reason": "why not judged"} if any(row["reason"] for row in rows) else {}
    tested = [row for row in rows if row["condition"] in results.tests]
    sentences = [results.tests[row["condition"]].in_words(_LEVEL if row["holm"] <= _LEVEL else 0.0) for row in tested]
    skipped, more = len(rows) - len(tested), []
    if skipped > _SKIPPED:
        name, reason = next(iter(results.skipped.items()))
        more = [f"{skipped:,} combinations have too few cells and are in --json, the first {name}: {reason}"]
    lines = [[row.get(key) for key in columns] for row in (tested if more else rows)]
    table = Table("Do effects add?", tuple(columns.values()), lines, prose=("why not judged",))
    return [*([table] if lines else []), *sentences, *more]


def _scales(data: PerturbationData, rows: list[dict]) -> list[str]:
    """What to do about perturbations whose effects are not straight in dose."""
    labels = [data.space.vector(row["condition"]) for row in rows if row["rejected"] and row["of_doses"]]
    bent = [name for k, name in enumerate(data.names) if any(label[k] for label in labels)]
    return [f"effects not straight in dose: try convert {learnt_scales(bent)}"] if bent else []
