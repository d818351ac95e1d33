"""`geometry`: latent distances of conditions from their cells alone."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

import pdae_sim
from pdae_sim import analysis, report
from pdae_sim._checks import naming
from pdae_sim.cli._figures import check_figure, write_figure
from pdae_sim.cli._options import DatasetFile, DatasetOptions, FigureFile, Force, Seed, command
from pdae_sim.cli._output import NOTHING_JUDGED, Output
from pdae_sim.cli._tables import Table
from pdae_sim.intervals import Interval

if TYPE_CHECKING:
    from pdae_sim import PerturbationData
    from pdae_sim.analysis import EnvironmentGeometry

_LISTED = 100  # pairs in the table; of more those with the reference
_FEWEST = 30  # cells that a condition needs, or is left out
_UNKNOWN = 3  # dimensions where the rank is not known
_HEADS = ("conditions", "squared distance", "95 % interval", "at least", "overlap")


@command
def geometry(
    output: Output,
    file: DatasetFile,
    options: DatasetOptions,
    multipliers: Annotated[int, typer.Option(min=99, help="Draws of the error behind tests and rank.")] = 999,
    figure: FigureFile = None,
    seed: Seed = 0,
    force: Force = False,
) -> int:
    """Squared latent distances of conditions from cells alone.

    With them come the rank of the shifts and two tests that every model of additive shifts must pass. Distances are in
    standard deviations of the base latent and hold for any injective mixing without noise; under noise they are those
    of noisy laws, which are smaller, and only the lower limits say something of latents. Where two conditions hardly
    overlap the distance is no guide and the lower limit is. Status 3 if no two overlap.
    """
    check_figure(figure, force=force)
    data = pdae_sim.PerturbationData.read(file, **options)
    with naming(file):
        data, small = _large(data.train)
        found = analysis.environment_geometry(data, n_multipliers=multipliers, rng=seed)
    rows = _rows(found)
    payload = {
        "pairs": rows,
        "gram": found.gram.tolist(),
        "conditions": list(found.conditions),
        "rank": found.rank,
        "rank_p_values": None if found.rank_p_values is None else found.rank_p_values.tolist(),
        "euclidean": found.euclidean,
        "constant_order": found.constant_order,
    }
    lines = [
        (
            f"{row['condition']} – {row['other']}",
            row["squared_distance"] if row["overlap"] else None,
            Interval(*row["interval"]) if row["overlap"] else None,
            row["lower_limit"],
            "yes" if row["overlap"] else "no",
        )
        for row in _listed(rows, found.conditions[found.reference])
    ]
    more = [f"{len(rows) - len(lines):,} more pairs are in --json"] if len(lines) < len(rows) else []
    output.result(payload, [Table("Latent geometry", _HEADS, lines), *small, *more, *_in_words(found)])
    write_figure(figure, lambda: report.geometry_figure(*found.placed(_plane(found)), found.conditions), force=force)
    return 0 if any(row["overlap"] for row in rows) else NOTHING_JUDGED


def _large(data: PerturbationData) -> tuple[PerturbationData, list[str]]:
    """Conditions with cells enough, and in words how many are left out; all where the reference would be."""
    enough = data.counts >= _FEWEST
    if enough.all() or not enough[data.reference] or enough.sum() < 2:
        return data, []
    few = f"{int((~enough).sum()):,} of {len(enough):,} conditions"
    told = f"{few} have fewer than {_FEWEST} cells and are left out, the first "
    return data.select(np.flatnonzero(enough)), [told + data.conditions[int(np.argmin(enough))]]


def _plane(found: EnvironmentGeometry) -> int:
    """Dimensions that conditions are placed in: the rank where it is known, two at least."""
    return min(max(_UNKNOWN if found.rank is None else found.rank, 2), len(found.conditions))


def _listed(rows: list[dict], reference: str) -> list[dict]:
    """All pairs, or those with the reference where they are many."""
    if len(rows) <= _LISTED:
        return rows
    return [row for row in rows if reference in (row["condition"], row["other"])][:_LISTED]


def _rows(found: EnvironmentGeometry) -> list[dict]:
    """A row for each pair of conditions."""
    return [
        {
            "condition": found.conditions[e],
            "other": found.conditions[f],
            "squared_distance": float(found.squared_distances[e, f]),
            "interval": found.intervals[e, f].tolist(),
            "lower_limit": float(found.lower_limits[e, f]),
            "overlap": bool(found.enough_overlap[e, f]),
        }
        for e, f in combinations(range(len(found.conditions)), 2)
    ]


def _in_words(found: EnvironmentGeometry) -> list[str]:
    told = []
    if found.rank is None:
        told.append("Some conditions hardly overlap, so rank and the test of flat distances are left out.")
    else:
        told.append(f"Rank of the shifts: {found.rank}. Distances fit a flat space: p = {found.euclidean:.2g}.")
    if found.constant_order is not None:
        told.append(f"The same at every order, as Gaussian shifts say: p = {found.constant_order:.2g}.")
    return told
