"""What commands say of contexts: effects of their own, effects declared shared, and the test of these."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pdae_sim import analysis, io
from pdae_sim._checks import naming
from pdae_sim._random import child, seed_sequence
from pdae_sim.analysis import hypothesis_tests
from pdae_sim.cli._options import DatasetOptions
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from pdae_sim import PerturbationData

_ASSUMED = (
    "Contexts are taken as shifts of the latents through one mixing, and effects as the same in {}; where the test "
    "rejects or cannot tell, a verdict that leans on another context leans on that alone."
)


def shared_effects(
    file: Path, data: PerturbationData, options: DatasetOptions, seed: int
) -> tuple[dict[str, list[dict]], list[str]]:
    """The tests of effects that contexts share, as an entry of the payload and in words; nothing without such contexts.

    Args:
        file: The dataset.
        data: Its labels; its cells too, or they are read.
        options: How it is read.
        seed: Seed of folds and multipliers.
    """
    from pdae_sim import contexts

    sets = contexts.sharing_contexts(data)
    if not sets:
        return {}, []
    with naming(file):
        cells = data if data.stored.shape[1] else io.read_data(file, **options)
    parts, root = contexts.by_context(cells.train), seed_sequence(seed)
    rows, words = [], []
    for members in sets:
        try:
            test = hypothesis_tests.shared_effects_test(
                {name: parts[name] for name in members if name in parts}, rng=child(root, "shared", *members)
            )
            rows.append({"contexts": members, **test.to_json()})
            words.append(f"{test.in_words()}.")
        except InputError as error:
            rows.append({"contexts": members, "p_value": None, "rejected": None, "reason": str(error)})
            words.append(f"{', '.join(members)}: {error}.")
    among = " and in ".join("{" + ", ".join(members) + "}" for members in sets)
    return {"shared_effects": rows}, [*words, _ASSUMED.format(among)]


def identified_by(data: PerturbationData, conditions: list[str]) -> list[dict[str, bool]]:
    """Whether each condition is in the span with effects of their own and with the same effects in all contexts.

    Returns:
        The two by name for each condition; no entry for data without contexts.
    """
    from pdae_sim import contexts

    if not contexts.context_levels(data):
        return []
    kinds = {"identified_if_own": contexts.own_effects(data), "identified_if_shared": contexts.share_effects(data)}
    columns = {}
    for kind, part in kinds.items():
        labels = np.array([part.space.exact(condition) for condition in conditions])
        columns[kind] = [each.identified for each in analysis.check_span(part.train.labels, labels)]
    return [dict(zip(columns, pair, strict=True)) for pair in zip(*columns.values(), strict=True)]


def parts_in_contexts(data: PerturbationData, targets: np.ndarray) -> list[str]:
    """Controls, singles and doubles of targets (T, K) in every context, targets apart; none for data without any."""
    from pdae_sim import contexts

    if not contexts.context_levels(data):
        return []
    within = contexts.by_context(data)
    parts: dict[str, None] = {}
    space = next(iter(within.values())).space
    aims = [data.space.condition(label) for label in targets]
    for aim in aims:
        label = space.exact(aim.rpartition("@")[0])
        chosen = [np.where(np.arange(len(label)) == k, label, 0) for k in np.flatnonzero(label)]
        for size in range(3):
            sums = (sum(each, np.zeros(len(label), int)) for each in combinations(chosen, size))
            parts |= dict.fromkeys(space.condition(each) for each in sums)
    offered = [f"{part}@{context}" for part in parts for context in contexts.context_levels(data)]
    return [each for each in offered if each not in aims]
