"""`identify`: what was learnt against the truth of a simulated world."""

from __future__ import annotations

import pdae_sim
from pdae_sim import estimation, report, study
from pdae_sim._checks import naming
from pdae_sim.cli._figures import check_figure, write_figure
from pdae_sim.cli._matching import check_match, observation_in_words, without_fresh
from pdae_sim.cli._options import DatasetFile, DatasetOptions, FigureFile, Force, ModelFolder, Seed, command
from pdae_sim.cli._output import Output
from pdae_sim.cli._tables import Table, interval_text, with_interval
from pdae_sim.errors import InputError
from pdae_sim.intervals import Interval

_JOINT = {"latents": "latents", "matrix": "W", "base": "base means", "base_covariance": "base covariance"}
"""Parts of a model that one rotation aligns."""


@command
def identify(
    output: Output,
    model: ModelFolder,
    file: DatasetFile,
    options: DatasetOptions,
    figure: FigureFile = None,
    seed: Seed = 0,
    force: Force = False,
) -> None:
    """Compare learnt with true latents and W. Cells are drawn anew from the simulated world."""
    check_figure(figure, force=force)
    fitted, simulation = pdae_sim.PDAE.load(model), pdae_sim.Simulation.read(file, **options)
    check_match(fitted, simulation.data, model, file)
    d = simulation.truth.z.shape[1]
    if len(fitted.perturbation_matrix_) != d:
        raise InputError(
            f"{model}: has {len(fitted.perturbation_matrix_)} latents where {file} has {d}; fit with --latents {d}"
        )
    output.say(f"{model}: {observation_in_words(fitted)}")
    with naming(file):
        identification = study.identify(fitted, simulation, rng=seed)
    rest, _ = without_fresh(fitted, simulation.data, file)
    notes = [] if estimation.fitted_to(fitted, rest) else [f"{model} was fitted to other cells than those of {file}"]
    result = identification.to_json() | {"notes": notes}
    output.result(result, [*_text(result, f"{model} against the truth of {file}"), *notes])
    write_figure(figure, lambda: report.identifiability_figure(identification), force=force)


def _text(result: dict, title: str) -> list[str | Table]:
    """The outcome with its reason, then tables."""
    verdict = result["outcome"]
    return [
        f"{verdict['name']}: {verdict['reason']}",
        _maps(result),
        _effects(result),
        Table(title, ("quantity", "value"), _quantities(result)),
    ]


def _maps(result: dict) -> Table:
    null = [row["r2"]["value"] for row in result["nulls"]["random_encoder"]["maps"]]
    rows = [
        (row["map"], _estimate(row["r2"]), row["defect"]["value"], chance)
        for row, chance in zip(result["maps"], null, strict=True)
    ]
    title = "R² of the truth given a map of the estimate, and of a random encoder's"
    return Table(title, ("map", "R²", "defect", "random encoder"), rows)


def _effects(result: dict) -> Table:
    rows = [
        (row["condition"], row["truth"], row["learnt"], _estimate(row["encoded"]), row["permuted"])
        for row in result["effects"]
    ]
    return Table("Sizes of effects ‖W Δ‖", ("condition", "truth", "learnt", "encoded", "permuted"), rows)


def _estimate(record: dict) -> str:
    return with_interval(record["value"], Interval(record["low"], record["high"]))


def _quantities(result: dict) -> list[tuple[str, object]]:
    intervals = {name: Interval(*result["intervals"][name]) for name in ("affine_r2", "orthogonal_r2")}
    singular = zip(result["singular_values"], result["intervals"]["singular_values"], strict=True)
    singular_values = [with_interval(value, Interval(*ends)) for value, ends in singular]
    permuted = result["nulls"]["permuted_environments"]["gram_error"]
    joint = result["joint"] or {}
    return [
        ("affine R²", with_interval(result["affine_r2"], intervals["affine_r2"])),
        ("orthogonal R²", with_interval(result["orthogonal_r2"], intervals["orthogonal_r2"])),
        *((f"singular value {j}", text) for j, text in enumerate(singular_values, 1)),
        ("Gram error", result["gram_error"]),
        ("Gram error of an oracle", interval_text(Interval(*result["gram_error_oracle"]))),
        ("Gram error, least root mean square if f is learnt", result["gram_error_limit"]),
        ("Gram error, environments permuted", interval_text(Interval(*permuted))),
        *((f"error of {_JOINT[part]} under one rotation", joint.get(part)) for part in _JOINT),
    ]
