"""`geometry`: latent distances of conditions from their cells alone."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Annotated

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
    from pdae_sim.analysis import EnvironmentGeometry

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
            row["squared_distance"],
            Interval(*row["interval"]),
            row["lower_limit"],
            "yes" if row["overlap"] else "no",
        )
        for row in rows
    ]
    output.result(payload, [Table("Latent geometry", _HEADS, lines), *_in_words(found)])
    write_figure(figure, lambda: report.geometry_figure(*found.placed(_plane(found)), found.conditions), force=force)
    return 0 if any(row["overlap"] for row in rows) else NOTHING_JUDGED


def _plane(found: EnvironmentGeometry) -> int:
    """Dimensions that conditions are placed in: the rank where it is known, two at least."""
    return min(max(found.rank or _UNKNOWN, 2), len(found.conditions))


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
