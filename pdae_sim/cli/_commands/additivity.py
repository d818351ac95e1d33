"""`additivity`: do effects add, by the measured cells alone?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pdae_sim._checks import naming
from pdae_sim._random import child, seed_sequence
from pdae_sim.analysis.hypothesis_tests.additivity import MIN_EFFECTIVE_CELLS, additivity_test, additivity_tests
from pdae_sim.analysis.hypothesis_tests.multiple_testing import CorrectedTests, corrected
from pdae_sim.cli._options import File, Force, Json, Quiet, Seed
from pdae_sim.cli._output import Output, table
from pdae_sim.cli._pictures import Picture, check_picture, draw
from pdae_sim.data import PerturbationData

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LEVEL = 0.05
"""A formula whose p-value, corrected after Holm, is no greater is rejected."""


def additivity(
    file: File,
    target: Annotated[
        list[str] | None, typer.Option(help="A measured combination to test; repeat. Every one there is.")
    ] = None,
    multipliers: Annotated[int, typer.Option(min=19, help="Sign-flipped copies behind each p-value.")] = 999,
    figure: Picture = None,
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    force: Force = False,
) -> int:
    """Test the product formula where a combination and its parts were measured. Status 1 if it is rejected anywhere.

    Rejected are those of at most 5 % after Holm that overlap enough to tell. The picture shows where a single target
    fails, or all p-values where there are several.
    """
    output = Output.started(as_json, quiet)
    check_picture(figure, force=force)
    data = PerturbationData.read(file)
    found = _found(file, data, target or [], multipliers, seed)
    rejected = [name for name in found.tests if _rejected(found, name)]
    with naming(file):
        draw(figure, lambda: _figure(found, data), force=force)
    tests = [_row(found, name) for name in found.tests]
    payload = {"tests": tests, "rejected": rejected, "figure": None if figure is None else str(figure)}
    output.result(payload, _text(found, tests))
    return int(bool(rejected))


def _found(file: Path, data: PerturbationData, targets: list[str], n_multipliers: int, seed: int) -> CorrectedTests:
    """The wanted tests with corrections over them; the same one by itself and among others."""
    if not targets:
        with naming(file):
            return additivity_tests(data, rng=seed, n_multipliers=n_multipliers)
    root = seed_sequence(seed)
    with naming(f"{file}: --target"):
        names = list(dict.fromkeys(data.space.condition(data.space.exact(target)) for target in targets))
        tests = {
            name: additivity_test(data, name, n_multipliers=n_multipliers, rng=child(root, "additivity", name))
            for name in names
        }
    return corrected({name: test.p_value for name, test in tests.items()}, tests=tests)


def _rejected(found: CorrectedTests, name: str) -> bool:
    return found.holm[name] <= LEVEL and found.tests[name].effective_cells >= MIN_EFFECTIVE_CELLS


def _row(found: CorrectedTests, name: str) -> dict:
    test = found.tests[name]
    j = int(abs(test.slopes / test.slope_errors).argmax())
    return {
        "condition": name,
        "weights": dict(zip(test.conditions, test.weights.tolist(), strict=True)),
        "p_value": test.p_value,
        "holm": found.holm[name],
        "bh": found.bh[name],
        "rejected": _rejected(found, name),
        "enough_overlap": test.effective_cells >= MIN_EFFECTIVE_CELLS,
        "effective_cells": test.effective_cells,
        "cells": int(test.counts.sum()),
        "feature": test.feature,
        "slope": float(test.slopes[j]),
        "slope_error": float(test.slope_errors[j]),
    }


def _text(found: CorrectedTests, rows: list[dict]) -> list:
    columns = ("condition", "p_value", "holm", "bh", "effective_cells", "cells")
    drawn = table("Do effects add?", columns, [[row[column] for column in columns] for row in rows])
    words = [found.tests[row["condition"]].in_words(LEVEL if row["holm"] <= LEVEL else 0.0) for row in rows]
    return [drawn, *words]


def _figure(found: CorrectedTests, data: PerturbationData) -> Figure:
    from pdae_sim.report.additivity import additivity_cells, additivity_summary

    if len(found.tests) == 1:
        return additivity_cells(*found.tests.values(), data.features)
    return additivity_summary(found, level=LEVEL)
