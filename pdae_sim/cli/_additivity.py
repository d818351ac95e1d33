"""What training combinations that share parts with a condition say of whether its effects add."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pdae_sim import analysis, io
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
    from pdae_sim._contexts import is_context

    relations = hypothesis_tests.additive_relations(data.train)
    measured = np.array([data.space.vector(name) != 0 for name in relations], bool).reshape(-1, len(data.names))
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
    effects = ~is_context(data.names, data.control)
    combined = [(data.space.vector(condition) != 0)[effects].sum() > 1 for condition in conditions]
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
    label = data.space.vector(condition)
    parts, perturbations = label != 0, np.array(data.names)
    common, own = measured[:, parts].sum(axis=1), measured.sum(axis=1)
    order = [*_dose_tests(data, label, names, measured), *np.lexsort((own - common, -common)).tolist()]
    chosen = list(dict.fromkeys(order))[:_NEIGHBOURS]
    return {names[r]: tuple(perturbations[measured[r] & parts].tolist()) for r in chosen if common[r]}


def _dose_tests(data: PerturbationData, label: np.ndarray, names: Sequence[str], measured: np.ndarray) -> list[int]:
    """Tests between doses of perturbations that must be straight in dose to identify a label, the nearest first.

    Such a label is not in the span once each dose of the perturbation may have an effect of its own.
    """
    labels, alone, chosen = data.train.labels, measured.sum(axis=1) == 1, list[int]()
    for k in np.flatnonzero(label):
        doses = np.setdiff1d(np.append(labels[:, k], label[k]), 0)
        if len(doses) < 2:
            continue
        free, wanted = (np.hstack([np.delete(rows, k, 1), rows[:, [k]] == doses]) for rows in (labels, label[None]))
        if not analysis.check_span(free, wanted)[0].identified:
            tests = np.flatnonzero(alone & measured[:, k])
            apart = [abs(data.space.vector(names[r])[k] - label[k]) for r in tests.tolist()]
            chosen += tests[np.argsort(apart, kind="stable")][: _NEIGHBOURS // 2].tolist()
    return chosen


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
        return "but " + ", and ".join(
            _fault([row for row in rejected if row["of_doses"] == of_doses], of_doses)
            for of_doses in sorted({row["of_doses"] for row in rejected})
        )
    if rows:
        at, least = ", ".join(row["condition"] for row in rows), min(row["holm"] for row in rows)
        sign = "≥" if len(rows) > 1 and least < 1 else "="
        return f"and at {at} no departure from adding effects was found (p {sign} {least:.2g})"
    if n_related:
        return "and no training combination of its parts has cells enough to tell whether effects add"
    return _NOTHING if combined else ""


def _fault(rejected: Sequence[dict], of_doses: bool) -> str:
    """The perturbations whose effects do not add, or are not straight in dose, and where."""
    names = list(dict.fromkeys(name for row in rejected for name in row["shared"]))
    at = ", ".join(row["condition"] for row in rejected)
    where = f"p {'≤' if len(rejected) > 1 else '='} {max(row['holm'] for row in rejected):.2g} at {at}"
    if not of_doses:
        return f"effects of {' and '.join(names)} do not add ({where})"
    return f"effects of {' and '.join(names)} are not straight in dose ({where}; try convert {learnt_scales(names)})"


def learnt_scales(names: Sequence[str]) -> str:
    """The options of `convert` that learn scales of dose, as a shell reads them."""
    return " ".join(f"--dose-scale {shlex.quote(f'{name}=learn')}" for name in names)
