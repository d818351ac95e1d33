"""`identify`: what was learnt against the truth of a simulated world."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pdae_sim._checks import naming
from pdae_sim.cli._figures import check_figure, write_figure
from pdae_sim.cli._matching import check_match
from pdae_sim.cli._options import DatasetFile, FigureFile, Force, ModelFolder, Seed, command
from pdae_sim.cli._output import Output, table
from pdae_sim.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

    from pdae_sim.study.identification import Identification


@command
def identify(
    output: Output,
    model: ModelFolder,
    file: DatasetFile,
    figure: FigureFile = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Learnt against true latents and W, on fresh cells of a simulated world."""
    from pdae_sim.data import Simulation
    from pdae_sim.estimation.pdae import PDAE
    from pdae_sim.study.identification import identify

    check_figure(figure, force=force)
    fitted, simulation = PDAE.load(model), Simulation.read(file)
    check_match(fitted, simulation.data, model, file)
    d = simulation.truth.z.shape[1]
    if len(fitted.perturbation_matrix_) != d:
        raise InputError(
            f"{model}: has {len(fitted.perturbation_matrix_)} latents where {file} has {d}; fit with --latents {d}"
        )
    with naming(file):
        identification = identify(fitted, simulation, rng=seed)
    write_figure(figure, lambda: _draw(identification), force=force)
    result = identification.to_json()
    output.result(result, _text(result, f"{model} against the truth of {file}"))


def _draw(identification: Identification) -> Figure:
    from pdae_sim.report import identifiability_figure

    return identifiability_figure(identification)


def _text(result: dict, title: str) -> list[str | Table]:
    """The outcome with its reason, then tables."""
    verdict = result["outcome"]
    effects = ("condition", "truth", "learnt", "encoded", "low", "high", "permuted")
    return [
        f"{verdict['name']}: {verdict['reason']}",
        _maps(result),
        table("effects ‖W Δ‖", effects, _effects(result)),
        table(title, ("quantity", "value", "low", "high"), _quantities(result)),
    ]


def _maps(result: dict) -> Table:
    null = [row["r2"]["value"] for row in result["nulls"]["random_encoder"]["maps"]]
    rows = [
        (row["map"], *row["r2"].values(), row["defect"]["value"], chance)
        for row, chance in zip(result["maps"], null, strict=True)
    ]
    return table("truth given a map of the estimate", ("map", "R²", "low", "high", "defect", "random encoder"), rows)


def _effects(result: dict) -> list[tuple]:
    return [
        (row["condition"], row["truth"], row["learnt"], *row["encoded"].values(), row["permuted"])
        for row in result["effects"]
    ]


def _quantities(result: dict) -> list[tuple]:
    rows = [(k, result[k], *result["intervals"][k]) for k in ("affine_r2", "orthogonal_r2")]
    singular = zip(result["singular_values"], result["intervals"]["singular_values"], strict=True)
    rows += [(f"singular value {j}", value, *interval) for j, (value, interval) in enumerate(singular, 1)]
    rows += [("gram_error", result["gram_error"], None, None)]
    rows += [("the same, oracle", None, *result["gram_error_oracle"])]
    rows += [("the same, permuted", None, *result["nulls"]["permuted_environments"]["gram_error"])]
    joint = result["joint"] or {}
    parts = ("latents", "matrix", "base", "base_covariance")
    return rows + [(f"{part} under one rotation", joint.get(part), None, None) for part in parts]
