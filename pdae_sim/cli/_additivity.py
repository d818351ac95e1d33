"""What training combinations that share parts with a condition say of whether its effects add."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pdae_sim import io
from pdae_sim._checks import naming
from pdae_sim.analysis import hypothesis_tests
from pdae_sim.cli._options import DatasetOptions

if TYPE_CHECKING:
    from pdae_sim import PerturbationData
    from pdae_sim.analysis.hypothesis_tests import AdditivityTest

_LEVEL = 0.05
_NEIGHBOURS = 4  # combinations tested for a condition
_MOST = 60  # combinations tested in all: each is a fit of densities
_WORK, _LANDMARKS, _MULTIPLIERS = 2e9, 100, 5e4
"""Products that some seconds are enough for, features beside the columns of x, and those of p-values by cell."""

_NOTHING = "and nothing measured tells whether effects add: no training combination of its parts can be tested"
_SKIPPED = "and whether effects add was not tested here: --additivity does, and `pdae-sim additivity` tests all"


def related_additivity(
    file: Path,
    data: PerturbationData,
    options: DatasetOptions,
    conditions: Sequence[str],
    seed: int,
    *,
    quick: bool = False,
) -> list[dict]:
    """Tests of the product formula at training combinations that share most parts with each condition.

    They are chosen by labels alone, those first that most conditions ask for where they are many, and corrected after
    Holm over those of one condition.

    Args:
        file: The dataset.
        data: Its labels; its cells too, or they are read where there is something to test.
        options: How it is read.
        conditions: Those to be judged.
        seed: Seed of folds and multipliers.
        quick: Test no more than takes some seconds.

    Returns:
        For each condition whether additivity is `rejected` by any test, None if none can tell; the `tests`, and all of
        it in words, for the end of a verdict.
    """
    relations = hypothesis_tests.additive_relations(data.train)
    measured = np.array([data.space.vector(name) != 0 for name in relations]).reshape(-1, len(data.names))
    related = [_related(data, condition, list(relations), measured) for condition in conditions]
    asked = Counter(name for own in related for name in own)
    most = {name for name, _ in asked.most_common(_MOST)}
    if quick and most:
        d = data.stored.shape[1] or len(io.read_features(file, **options))
        most = _affordable([name for name, _ in asked.most_common(_MOST)], relations, data, d)
    wanted = [name for name in relations if name in most]
    tests: Mapping[str, AdditivityTest] = {}
    if wanted:
        with naming(file):
            cells = data if data.stored.shape[1] else io.read_data(file, **options)
            tests = hypothesis_tests.additivity_tests(cells.train, wanted, rng=seed).tests
    skipped = [bool(own) and not own.keys() & most for own in related]
    combined = [(data.space.vector(condition) != 0).sum() > 1 for condition in conditions]
    return [_judged(*each) for each in zip(related, repeat(tests), skipped, combined)]


def _affordable(
    names: Sequence[str], relations: Mapping[str, Mapping[str, float]], data: PerturbationData, n_features: int
) -> set[str]:
    """The first of some combinations whose tests take some seconds together, by cells and features."""
    cells = dict(zip(data.conditions, data.counts.tolist(), strict=True))
    control = cells[data.conditions[data.reference]]
    work = []
    for name in names:
        n = cells[name] + control + sum(cells[part] for part in relations[name])
        columns = len(relations[name]) * min(n_features + _LANDMARKS, 2 * n / 3)  # of the fit to two folds of three
        work.append(n * (columns**2 + _MULTIPLIERS))
    return set(np.array(names)[np.cumsum(work) <= _WORK].tolist())


def _related(
    data: PerturbationData, condition: str, names: Sequence[str], measured: np.ndarray
) -> dict[str, tuple[str, ...]]:
    """Parts in common by training combination (R names, parts (R, K)) that can be tested, those with the most first."""
    parts = data.space.vector(condition) != 0
    common, own = measured[:, parts].sum(axis=1), measured.sum(axis=1)
    order = np.lexsort((own - common, -common))[:_NEIGHBOURS]
    perturbations = np.array(data.names)
    return {names[r]: tuple(perturbations[measured[r] & parts].tolist()) for r in order if common[r]}


def _judged(
    related: Mapping[str, tuple[str, ...]], tests: Mapping[str, AdditivityTest], skipped: bool, combined: bool
) -> dict:
    telling = {name: tests[name].p_value for name in related if name in tests and tests[name].enough_overlap}
    holm = hypothesis_tests.adjust_p_values(telling).holm if telling else {}
    rows: list[dict] = [
        {
            "condition": name,
            "shared": related[name],
            "of_doses": tests[name].of_doses,
            "p_value": telling[name],
            "holm": p,
        }
        for name, p in holm.items()
    ]
    rejected = [row for row in rows if row["holm"] <= _LEVEL]
    return {
        "rejected": bool(rejected) if rows else None,
        "tests": rows,
        "in_words": _SKIPPED if skipped else _in_words(rows, rejected, len(related), combined=combined),
    }


def _in_words(rows: Sequence[dict], rejected: Sequence[dict], n_related: int, *, combined: bool) -> str:
    if rejected:
        worst = min(rejected, key=lambda row: row["holm"])
        where = f"p = {worst['holm']:.2g} at {worst['condition']}"
        fault = "are not straight in dose" if worst["of_doses"] else "do not add"
        return f"but effects of {' and '.join(worst['shared'])} {fault} ({where})"
    if rows:
        at = ", ".join(row["condition"] for row in rows)
        return f"and at {at} no departure from adding effects was found (p ≥ {min(row['holm'] for row in rows):.2g})"
    if n_related:
        return "and whether effects add, no training combination of its parts has cells enough to tell"
    return _NOTHING if combined else ""
