"""Relations in which laws overlap: doses between their neighbours, combinations against parts at their own doses.

Doses of one condition lie on a ray from the reference. Each but the largest is tested between its neighbours, the dose
below (the reference below the smallest) and the dose above: weights in (0, 1) keep what overlaps, where a large dose as
a multiple of a small one has powers that nothing overlaps with. A combination is tested against its parts at their own
doses where these were measured, so that its test does not hang on doses. What is left is walked, fewest parts first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pdae_sim.analysis.hypothesis_tests._relations import by_parts, walked
from pdae_sim.data import PerturbationData


def additive_combinations(data: PerturbationData) -> dict[str, dict[str, float]]:
    """α by condition for as many conditions as labels have independent relations, fewest parts first."""
    shifts, order = _shifts(data), by_parts(data)
    found = _of_parts(data, shifts, order)
    rays = _rays(shifts, [e for e in order if data.conditions[e] not in found])
    for ray in rays:
        found |= {data.conditions[e]: _between(data, shifts, ray, i) for i, e in enumerate(ray[:-1])}
    last = {ray[-1] for ray in rays}
    found |= walked(data, [e for e in order if e in last])
    return {name: found[name] for e in order if (name := data.conditions[e]) in found}


def combination(data: PerturbationData, target: int) -> dict[str, float] | None:
    """α for one condition: from its parts, between its neighbouring doses, or whatever others span it; else None."""
    shifts, order, name = _shifts(data), by_parts(data), data.conditions[target]
    if parts := _of_parts(data, shifts, order).get(name):
        return parts
    ray = next(ray for ray in _rays(shifts, order) if target in ray)
    if len(ray) > 1:
        return _between(data, shifts, ray, ray.index(target))
    return walked(data, [*(e for e in order if e != target), target]).get(name)


def _shifts(data: PerturbationData) -> np.ndarray:
    return data.labels - data.labels[data.reference]


def _of_parts(data: PerturbationData, shifts: np.ndarray, order: Sequence[int]) -> dict[str, dict[str, float]]:
    """α = 1 for the single perturbations of each combination at its doses, if all of them were measured."""
    present = {e: np.flatnonzero(shifts[e]).tolist() for e in order}
    single = {(k[0], shifts[e, k[0]]): e for e, k in present.items() if len(k) == 1}
    parts = {e: [single.get((i, shifts[e, i])) for i in k] for e, k in present.items() if len(k) > 1}
    return {
        data.conditions[e]: {data.conditions[part]: 1.0 for part in own if part is not None}
        for e, own in parts.items()
        if None not in own
    }


def _rays(shifts: np.ndarray, order: Sequence[int]) -> list[list[int]]:
    """Environments by the direction of their shift, in the order given."""
    rays: dict[bytes, list[int]] = {}
    for e in order:
        rays.setdefault((np.round(shifts[e] / np.linalg.norm(shifts[e]), 12) + 0.0).tobytes(), []).append(e)
    return list(rays.values())


def _between(data: PerturbationData, shifts: np.ndarray, ray: Sequence[int], i: int) -> dict[str, float]:
    """α of the i-th on a ray between its neighbours; of the last from the two before it."""
    ends = [data.reference, *ray]
    doses = np.linalg.norm(shifts[ends], axis=1)
    low, high = (i, i + 2) if i + 1 < len(ray) else (i - 1, i)
    share = float((doses[i + 1] - doses[low]) / (doses[high] - doses[low]))
    return {data.conditions[ends[j]]: a for j, a in ((low, 1 - share), (high, share)) if ends[j] != data.reference}
